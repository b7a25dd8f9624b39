"""Read: a file as the model can use it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import AliasChoices, BaseModel, Field

from ante_nb.agent.tools import changes
from ante_nb.agent.tools.base import (
    DefaultDecision,
    Footprint,
    Tool,
    ToolArguments,
    ToolOutcome,
    text_outcome,
)
from ante_nb.agent.tools.paths import real, resolve, shown
from ante_nb.agent.tools.textfile import decode, kind_of, read_bytes, stamp
from ante_nb.errors import ToolError
from ante_nb.messages import Image

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.agent.host import ToolContext
    from ante_nb.agent.tools.base import Limits


class ReadArguments(ToolArguments):
    file_path: str = Field(
        validation_alias=AliasChoices("file_path", "path"),
        description="The file, relative to the working directory or absolute.",
    )
    offset: int = Field(1, ge=0, description="The first line (of a PDF: page) to return, counted from 1.")
    limit: int | None = Field(None, gt=0, description="How many lines (of a PDF: pages) to return.")


class Read(Tool):
    """Text with line numbers, notebooks as cells, images and PDF documents."""

    name = "Read"
    description = (
        "Read a file: text with line numbers, notebooks (.ipynb) as cells, images, PDF documents. Long "
        "files come in pieces; use offset and limit for the next one."
    )
    Arguments: ClassVar[type[BaseModel]] = ReadArguments
    default: ClassVar[DefaultDecision] = "allow"
    path_argument = "file_path"

    def primary(self, arguments: BaseModel) -> str:
        return cast("ReadArguments", arguments).file_path

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        return Footprint(reads=changes.names(self.primary(arguments), ctx))

    def carries_data(self, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext) -> bool:
        from ante_nb.agent.tools.datafile import holds_data

        images = any(isinstance(part, Image) for part in outcome.content)
        return images or holds_data(resolve(self.primary(arguments), ctx.host.cwd))

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        return await asyncio.to_thread(_read, cast("ReadArguments", arguments), ctx)


def _read(args: ReadArguments, ctx: ToolContext) -> ToolOutcome:
    from ante_nb.agent.tools import documents

    path = resolve(args.file_path, ctx.host.cwd)
    name = shown(path, ctx.host.cwd)
    limits: Limits = ctx.state.limits
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    if size > limits.read_bytes:
        return _piece_of_huge(path, name, size, args, limits)
    data = read_bytes(path, name)
    kind = kind_of(data)
    if kind is not None and kind.endswith("image"):
        return documents.image(data, name, limits)
    if kind == "PDF document":
        return documents.pdf(data, name, args.offset, args.limit)
    text = decode(data)
    if text is None:
        raise ToolError(
            f"{name} is not text: {kind or 'binary data'}, {len(data)} bytes.",
            "Use Python or Bash with a program that knows the format.",
        )
    ctx.state.reads[str(real(path))] = stamp(path, data)
    if path.suffix == ".ipynb":
        cells = documents.notebook(text.text)
        if cells is not None:
            notebook = ctx.host.notebook_path
            live = notebook is not None and real(path) == real(notebook)
            note = "[This is the running notebook as last saved.]\n" if live else ""
            return text_outcome(note + _numbered(cells.splitlines(), args, limits, name), verbatim=True)
    if not text.text:
        return text_outcome(f"[{name} is empty]", verbatim=True)
    lines = text.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    form = []
    if text.encoding != "utf-8" or text.bom:
        form.append(text.encoding + (" with byte order mark" if text.bom else ""))
    if text.newline != "\n":
        form.append("CRLF line endings" if text.newline == "\r\n" else "CR line endings")
    head = f"[{name}: {', '.join(form)}]\n" if form else ""
    return text_outcome(head + _numbered(lines, args, limits, name), verbatim=True)


def _numbered(lines: list[str], args: ReadArguments, limits: Limits, name: str) -> str:
    """The lines asked for, numbered, as many as the limits of a result allow; says what follows."""
    first = max(args.offset, 1)
    if first > len(lines):
        raise ToolError(f"{name} has {len(lines)} lines; there is no line {first}.")
    wanted = lines[first - 1 : first - 1 + min(args.limit or limits.read_lines, 10 * limits.read_lines)]
    # Stop at whole lines here, or the cap on results would cut a hole into the middle.
    budget = limits.result_chars - 500
    out: list[str] = []
    for number, line in enumerate(wanted, first):
        text = _capped(line, limits)
        budget -= len(text) + 8
        if budget < 0 and out:
            break
        out.append(f"{number:>6}\t{text}")
    last = first + len(out) - 1
    if last < len(lines):
        out.append(f"[Lines {first} to {last} of {len(lines)}; continue with offset {last + 1}.]")
    return "\n".join(out)


def _capped(line: str, limits: Limits) -> str:
    if len(line) <= limits.line_chars:
        return line
    return f"{line[: limits.line_chars]} [... {len(line) - limits.line_chars} more characters in this line]"


def _piece_of_huge(path: Path, name: str, size: int, args: ReadArguments, limits: Limits) -> ToolOutcome:
    """Lines of a file that is too large to load: streamed, and not open to Edit."""
    if args.limit is None:
        raise ToolError(
            f"{name} has {size} bytes, too many to read whole.",
            "Read a part with offset and limit, or use Grep or Python.",
        )
    first = max(args.offset, 1)
    out: list[str] = []
    budget = limits.result_chars - 500
    with path.open("rb") as file:
        if b"\0" in file.read(8192):
            raise ToolError(f"{name} is not text: binary data, {size} bytes.")
        file.seek(0)
        number = 0
        # readline with a bound: a file of one endless line must not fill the memory.
        while len(out) < min(args.limit, 10 * limits.read_lines) and (raw := file.readline(1 << 20)):
            number += 1
            if number < first:
                continue
            text = _capped(raw.decode("utf-8", "replace").rstrip("\r\n"), limits)
            budget -= len(text) + 8
            if budget < 0:
                break
            out.append(f"{number:>6}\t{text}")
    if not out:
        raise ToolError(f"{name} has {number} lines; there is no line {first}.")
    out.append(f"[Lines {first} to {first + len(out) - 1} of a file of {size} bytes.]")
    return text_outcome("\n".join(out), verbatim=True)
