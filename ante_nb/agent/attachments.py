"""``@sales.csv``, ``@plot.png``, ``@src/``, ``@df``, ``@cell:3`` in a prompt attach context.

A file or directory if it exists relative to the working directory, else a variable of the person's
namespace, else plain text; a cell by its number or id. The prompt itself is sent as typed; what is
attached follows as further parts, images (files, plots in a cell's outputs, what was pasted into a
Markdown cell) as images.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.agent.tools.datafile import holds_data
from ante_nb.describe import allows, describe
from ante_nb.errors import ConfigError
from ante_nb.messages import Text

if TYPE_CHECKING:
    from ante_nb.agent.host import Cell, Host
    from ante_nb.describe import Policies
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
IMAGES = 6
"""Images of one cell that are attached."""


async def attach(
    prompt: str, host: Host, policies: Policies, variables: tuple[str, ...] = ()
) -> tuple[list[Part], list[str]]:
    """The parts that the mentions of ``prompt`` add, and the names for the status line.

    Raises:
        ConfigError: one of ``variables`` (named beside the prompt) does not exist.
    """
    parts: list[Part] = []
    names: list[str] = []
    for name in dict.fromkeys(variables):
        variable = await _variable(name, host, policies)
        if variable is None:
            raise ConfigError(
                f"-v: there is no variable {name}", "Run the cell that makes it, or leave it out."
            )
        parts.append(variable)
        names.append(name)
    prose = _CODE.sub("``", prompt)
    for found in dict.fromkeys(match[1] for match in _MENTION.finditer(prose)):
        for word in _readings(found):
            if word in names:
                break
            found_parts = await _one(word, host, policies)
            if found_parts:
                parts.extend(found_parts)
                names.append(word)
                break
    return parts, names


def _readings(found: str) -> list[str]:
    """What a mention may mean: as it stands, then without the punctuation that ends a sentence."""
    bare = found.rstrip(_TAIL)
    return [found] if bare == found or not bare else [found, bare]


async def _one(word: str, host: Host, policies: Policies) -> list[Part]:
    from ante_nb.agent.permissions.credentials import is_kept

    if word.startswith("cell:"):
        return await _cell(word.removeprefix("cell:"), host, policies)
    try:
        path = host.cwd / Path(word).expanduser()
        if await asyncio.to_thread(is_kept, path):
            return []  # keys and sign-ins go to no model
        if await asyncio.to_thread(path.is_file):
            if not allows(policies.closest, "sample") and (holds_data(path) or _is_image(path)):
                size = (await asyncio.to_thread(path.stat)).st_size
                return [
                    Text(
                        f'<attachment file="{word}" bytes="{size}">\n(withheld by the data policy {policies.closest})'
                        "\n</attachment>"
                    )
                ]
            return await asyncio.to_thread(_file, word, path)
        if await asyncio.to_thread(path.is_dir):
            return [await asyncio.to_thread(_tree, word, path)]
    except (OSError, RuntimeError):  # not to be read, or the home of nobody
        return []
    if word.isidentifier():
        variable = await _variable(word, host, policies)
        return [variable] if variable is not None else []
    return []


async def _cell(word: str, host: Host, policies: Policies) -> list[Part]:
    """A cell with what it shows, images included; outputs only as far as the policy lets them."""
    from ante_nb.agent.cellnames import pick

    if not host.has_cells or not word:
        return []
    named = pick((await host.notebook()).cells, word)
    if len(named) != 1:
        return []
    cell = named[0]
    if cell.id is not None:
        cell = next((c for c in (await host.notebook((cell.id,))).cells if c.id == cell.id), cell)
    body = cell.source + (f"\n({cell.note})" if cell.note else "")
    images: list[Part] = []
    if allows(policies.closest, "sample"):
        if cell.outputs:
            body += f"\n--- outputs ---\n{cell.outputs}"
        images = await asyncio.to_thread(_cell_images, cell)
    elif cell.outputs or cell.images:
        withheld = f"withheld by the data policy {policies.closest}"
        body += f"\n--- outputs {withheld} ---" + (f"\n{cell.shapes}" if cell.shapes else "")
    name = f'cell="{cell.number}"' + (f' id="{cell.id}"' if cell.id else "")
    return [Text(f"<attachment {name}>\n{body}\n</attachment>"), *images]


def _cell_images(cell: Cell) -> list[Part]:
    from ante_nb.agent.images import decoded
    from ante_nb.agent.tools.base import Limits

    found = (decoded(media_type, data, Limits()) for media_type, data in cell.images[:IMAGES])
    return [image for image in found if image is not None]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in (".png", ".jpg", ".jpeg", ".gif", ".webp")


async def _variable(name: str, host: Host, policies: Policies) -> Part | None:
    policy = policies.of(name)
    found = await host.variables(lambda space: describe(space[name], policy) if name in space else None)
    if found is None:
        return None
    return Text(f'<attachment variable="{name}" policy="{policy}">\n{found}\n</attachment>')


def _file(word: str, path: Path) -> list[Part]:
    from ante_nb.agent.images import MAX_BYTES, image_of
    from ante_nb.agent.results import cap
    from ante_nb.agent.tools.base import Limits

    if _is_image(path) and path.stat().st_size <= MAX_BYTES:
        image = image_of(path.read_bytes(), word, Limits())
        if image is not None:
            return [Text(f'<attachment file="{word}" kind="{image.media_type}">\n</attachment>'), image]
    with path.open("rb") as file:
        data = file.read(4 * FILE_CHARS + 1)
    size = path.stat().st_size
    if b"\0" in data[:8192]:
        return [
            Text(
                f'<attachment file="{word}" bytes="{size}">\n(not a text file; use a tool to look at it)\n</attachment>'
            )
        ]
    text = cap(data.decode("utf-8", "replace"), FILE_CHARS)
    return [Text(f'<attachment file="{word}" bytes="{size}">\n{text}\n</attachment>')]


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
