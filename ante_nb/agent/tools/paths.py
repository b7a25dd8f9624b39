"""Paths as the model writes them, and where they lead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.agent.host import Host, ToolContext


def resolve(raw: str, cwd: Path) -> Path:
    """The absolute path that ``raw`` means: quotes taken off, ``~`` expanded, ``..`` taken out.

    Symbolic links are not followed. Permission rules and tools both go through here, so they can't
    disagree about a path.

    Raises:
        ToolError: ``raw`` is empty or no path.
    """
    text = raw.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"`":
        text = text[1:-1]
    if not text or "\0" in text:
        raise ToolError("The path is empty or holds a NUL byte.")
    try:
        expanded = os.path.expanduser(text)  # noqa: PTH111 - pathlib raises for an unknown user
    except (KeyError, RuntimeError):
        expanded = text
    return Path(os.path.normpath(Path(cwd) / expanded))


def real(path: Path) -> Path:
    """``path`` with symbolic links followed as far as it exists.

    Raises:
        ToolError: the links lead in a circle.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        raise ToolError(f"{path}: its symbolic links lead in a circle.") from None


def shown(path: Path, cwd: Path) -> str:
    """``path`` relative to the working directory where it is below it."""
    for base in (cwd, real(cwd)):
        if path.is_relative_to(base):
            return str(path.relative_to(base))
    return str(path)


def inside(path: Path, roots: Iterable[Path]) -> bool:
    """Whether ``path``, links followed, is one of ``roots`` or below it."""
    target = real(path)
    return any(target.is_relative_to(real(root)) for root in roots)


def roots_of(ctx: ToolContext) -> list[Path]:
    """The directories that file tools may use without asking."""
    return [Path(ctx.host.cwd), *ctx.state.roots]


def guard_notebook(path: Path, host: Host) -> None:
    """Refuse to change the running notebook's file: its front end holds it in memory.

    Raises:
        ToolError: ``path`` is that file.
    """
    notebook = host.notebook_path
    if notebook is None:
        return
    same = real(path) == real(Path(notebook))
    try:
        same = same or path.samefile(notebook)
    except OSError:
        pass
    if same:
        raise ToolError(
            f"{path.name} is the running notebook; it can't be changed on disk.",
            "The open notebook would overwrite it. Change cells through the notebook instead.",
        )
