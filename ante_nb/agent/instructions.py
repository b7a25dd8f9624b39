"""Standing instructions of the person and the project: ``AGENTS.md``.

The person's own, ``<ANTE_HOME>/AGENTS.md``, comes first, then the project's: the nearest directory, from
the working directory up, that has ``AGENTS.md`` or ``CLAUDE.md``. They are told in the first message of a
conversation, and again where they were changed since. Format: https://agents.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ante_nb import paths
from ante_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("AGENTS.md", "CLAUDE.md")
MARK = "<instructions>"


@dataclass(frozen=True, slots=True)
class Instructions:
    """What is told, and the files it comes from."""

    text: str
    files: tuple[Path, ...]


def find(cwd: Path, *, limit: int = 32_768) -> Instructions | None:
    """The instructions that hold in ``cwd``; ``None`` where there are none.

    Args:
        cwd: the working directory.
        limit: characters of a file that are told at most.
    """
    own = paths.home() / NAMES[0]
    found: list[tuple[str, Path, str]] = []
    text = _read(own, limit)
    if text:
        found.append(("of the person, for all projects", own, text))
    for directory in _upward(cwd):
        project = next(((path, text) for path in _in(directory) if (text := _read(path, limit))), None)
        if project is not None:
            if project[0] != own:
                found.append(("of this project", *project))
            break
    if not found:
        return None
    parts = [f"{path.name} {whose} ({paths.display(path)}):\n\n{text}" for whose, path, text in found]
    body = "\n\n".join(parts)
    return Instructions(f"{MARK}\n{body}\n</instructions>", tuple(path for _, path, _ in found))


def _in(directory: Path) -> Iterator[Path]:
    return (directory / name for name in NAMES)


def _upward(cwd: Path) -> list[Path]:
    """``cwd`` and what is around it, up to the repository's root. Without a repository ``cwd`` alone: on a
    shared machine a file further up, as in ``/tmp``, may be anybody's."""
    here = cwd.resolve()
    above = [here, *here.parents]
    for number, path in enumerate(above):
        if (path / ".git").exists():
            return above[: number + 1]
    return [here]


def _read(path: Path, limit: int) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            text = file.read(limit + 1)
    except OSError as error:
        logger.warning("%s could not be read: %s", path, error.strerror or error)
        return ""
    if len(text) > limit:
        text = f"{text[:limit]}\n[cut after {limit:,} characters]"
    return text.strip()
