"""``@sales.csv``, ``@src/``, ``@df``, ``@cell:3`` in a prompt attach context.

A file or directory if it exists relative to the working directory, else a variable of the person's
namespace, else plain text. The prompt itself is sent as typed; what is attached follows as further parts.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.messages import Text

if TYPE_CHECKING:
    from ante_nb.agent.host import Host
    from ante_nb.messages import Part

_MENTION = re.compile(r"(?<![\w@/.`])@([\w~./][^\s`'\"<>|*?]*)")
# Code is quoted, not meant: fenced blocks, `inline code`, and a decorator above what it decorates.
_CODE = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^[ \t]*(?P=fence)|\Z)"
    r"|(?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`)"
    r"|^[ \t]*@[\w.]+(?:\([^\n]*\))?[ \t]*(?=\r?\n[ \t]*(?:@|def\b|class\b|async\s+def\b))",
    re.DOTALL | re.MULTILINE,
)
_TAIL = ".,;:!)]}'\""

FILE_CHARS = 60_000
"""Characters of a file that are attached; the rest is left to the Read tool."""
TREE_ENTRIES = 300


async def attach(prompt: str, host: Host) -> tuple[list[Part], list[str]]:
    """The parts that the mentions of ``prompt`` add, and the names for the status line."""
    parts: list[Part] = []
    names: list[str] = []
    prose = _CODE.sub("``", prompt)
    for found in dict.fromkeys(match[1] for match in _MENTION.finditer(prose)):
        for word in _readings(found):
            if word in names:
                break
            part = await _one(word, host)
            if part is not None:
                parts.append(part)
                names.append(word)
                break
    return parts, names


def _readings(found: str) -> list[str]:
    """What a mention may mean: as it stands, then without the punctuation that ends a sentence."""
    bare = found.rstrip(_TAIL)
    return [found] if bare == found or not bare else [found, bare]


async def _one(word: str, host: Host) -> Part | None:
    from ante_nb.agent.permissions.credentials import is_kept

    cell = re.fullmatch(r"cell:(\d+)", word)
    if cell:
        for entry in await host.cells():
            if entry.number == int(cell[1]):
                body = entry.source + (f"\n--- outputs ---\n{entry.outputs}" if entry.outputs else "")
                return Text(f'<attachment cell="{entry.number}">\n{body}\n</attachment>')
        return None
    try:
        path = host.cwd / Path(word).expanduser()
        if await asyncio.to_thread(is_kept, path):
            return None  # keys and sign-ins go to no model
        if await asyncio.to_thread(path.is_file):
            return await asyncio.to_thread(_file, word, path)
        if await asyncio.to_thread(path.is_dir):
            return await asyncio.to_thread(_tree, word, path)
    except (OSError, RuntimeError):  # not to be read, or the home of nobody
        return None
    if word.isidentifier():
        variable = await host.describe(word)
        if variable is not None:
            return Text(
                f'<attachment variable="{variable.name}" type="{variable.type}">\n{variable.summary}\n</attachment>'
            )
    return None


def _file(word: str, path: Path) -> Part:
    from ante_nb.agent.results import cap

    with path.open("rb") as file:
        data = file.read(4 * FILE_CHARS + 1)
    size = path.stat().st_size
    if b"\0" in data[:8192]:
        return Text(
            f'<attachment file="{word}" bytes="{size}">\n(not a text file; use a tool to look at it)\n</attachment>'
        )
    text = cap(data.decode("utf-8", "replace"), FILE_CHARS)
    return Text(f'<attachment file="{word}" bytes="{size}">\n{text}\n</attachment>')


def _tree(word: str, path: Path) -> Part:
    lines: list[str] = []
    for root, directories, files in path.walk() if hasattr(path, "walk") else _walk(path):
        directories[:] = sorted(
            name for name in directories if not name.startswith(".") and name != "__pycache__"
        )
        below = root.relative_to(path)
        lines.extend((below / name).as_posix() for name in sorted(files) if not name.startswith("."))
        if len(lines) > TREE_ENTRIES:
            lines = [*lines[:TREE_ENTRIES], "... (more files)"]
            break
    return Text(f'<attachment directory="{word}">\n' + "\n".join(lines) + "\n</attachment>")


def _walk(path: Path):  # type: ignore[no-untyped-def]
    # Path.walk is there from Python 3.12 on.
    import os

    for root, directories, files in os.walk(path):
        yield Path(root), directories, files
