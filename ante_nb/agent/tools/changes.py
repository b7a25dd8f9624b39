"""What Write and Edit share: the guards before a change, the change, and its report."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ante_nb.agent.tools.base import FILES, ToolOutcome, ToolState, text_outcome
from ante_nb.agent.tools.paths import guard_notebook, real, resolve, shown
from ante_nb.agent.tools.textfile import decode, kind_of, read_bytes, stamp, write_atomic
from ante_nb.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.agent.host import ToolContext
    from ante_nb.agent.tools.textfile import TextFile


@dataclass(frozen=True, slots=True)
class Target:
    """The file that a call is about: ``path`` with links followed, ``name`` as it is shown."""

    path: Path
    name: str


def target(raw: str, ctx: ToolContext) -> Target:
    """Where ``raw`` leads. Raises ``ToolError`` for the running notebook."""
    path = resolve(raw, ctx.host.cwd)
    guard_notebook(path, ctx.host)
    return Target(real(path), shown(path, ctx.host.cwd))


def names(raw: str, ctx: ToolContext) -> frozenset[str]:
    """The file as a footprint knows it; nothing where the path is none (the call fails by itself)."""
    try:
        return frozenset({f"{FILES}{real(resolve(raw, ctx.host.cwd))}"})
    except ToolError:
        return frozenset()


def load(where: Target, state: ToolState) -> TextFile:
    """The file as it is now, which must be as it was last read.

    Raises:
        ToolError: it was never read, has changed since, or is no text.
    """
    data = read_bytes(where.path, where.name)
    known = state.reads.get(str(where.path))
    if known is None:
        raise ToolError(f"{where.name} exists but has not been read.", "Read it first, then change it.")
    if known.digest != hashlib.sha256(data).hexdigest():
        raise ToolError(
            f"{where.name} has changed since it was read.", "Read it again, then change what is there now."
        )
    text = decode(data)
    if text is None:
        raise ToolError(f"{where.name} is no text file ({kind_of(data) or 'binary data'}).")
    return text


def store(where: Target, data: bytes, state: ToolState) -> None:
    """Write, and remember the new bytes as read."""
    write_atomic(where.path, data)
    state.reads[str(where.path)] = stamp(where.path, data)


def unified(before: str, after: str, name: str) -> str:
    """A unified diff with ``\\n`` line endings; empty where nothing but line endings differs."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", lineterm="", n=3
    )
    return "\n".join(lines)


def outcome(where: Target, text: str, diff: str) -> ToolOutcome:
    """The report of a change."""
    return text_outcome(
        text,
        display={"kind": "diff", "path": where.name, "diff": diff},
        files=(where.name,),
        trusted=True,
        verbatim=True,
    )


def preview(raw: str, ctx: ToolContext) -> tuple[Target, str]:
    """The file and its present text for an approval's diff; empty text where it can't be read."""
    path = resolve(raw, ctx.host.cwd)
    where = Target(real(path), shown(path, ctx.host.cwd))
    try:
        text = decode(read_bytes(where.path, where.name))
    except ToolError:
        return where, ""
    return where, text.text if text else ""
