"""Write: a whole file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import AliasChoices, BaseModel, Field

from ante_nb.agent.tools import changes
from ante_nb.agent.tools.base import DefaultDecision, Footprint, Tool, ToolArguments, ToolOutcome

if TYPE_CHECKING:
    from ante_nb.agent.host import ToolContext


class WriteArguments(ToolArguments):
    file_path: str = Field(
        validation_alias=AliasChoices("file_path", "path"),
        description="The file, relative to the working directory or absolute.",
    )
    content: str = Field(description="The whole new content.")


class Write(Tool):
    """Create or replace a file, atomically; a replaced file keeps encoding, line endings and mode."""

    name = "Write"
    description = (
        "Write a whole file, creating its directories. An existing file must have been read before. "
        "Prefer Edit for a change to a part of a file. The running notebook can't be written."
    )
    Arguments: ClassVar[type[BaseModel]] = WriteArguments
    default: ClassVar[DefaultDecision] = "ask"
    path_argument = "file_path"
    writes = True

    def primary(self, arguments: BaseModel) -> str:
        return cast("WriteArguments", arguments).file_path

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        return Footprint(writes=changes.names(self.primary(arguments), ctx))

    def detail(self, arguments: BaseModel, ctx: ToolContext) -> str:
        args = cast("WriteArguments", arguments)
        where, before = changes.preview(args.file_path, ctx)
        return changes.unified(before, args.content, where.name)

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        return await asyncio.to_thread(_write, cast("WriteArguments", arguments), ctx)


def _write(args: WriteArguments, ctx: ToolContext) -> ToolOutcome:
    where = changes.target(args.file_path, ctx)
    lines = len(args.content.splitlines())
    size = f"{lines} line{'s' * (lines != 1)}"
    if not where.path.exists():
        changes.store(where, args.content.encode("utf-8", "surrogatepass"), ctx.state)
        return changes.outcome(
            where, f"Created {where.name} ({size}).", changes.unified("", args.content, where.name)
        )
    old = changes.load(where, ctx.state)
    content = args.content
    if old.newline != "\n" and "\r" not in content:
        content = content.replace("\n", old.newline)
    note = ""
    try:
        data = old.encode(content)
    except UnicodeEncodeError:
        data = content.encode("utf-8")
        note = f" It is now UTF-8: the text does not fit its old encoding, {old.encoding}."
    changes.store(where, data, ctx.state)
    return changes.outcome(
        where, f"Wrote {where.name} ({size}).{note}", changes.unified(old.text, content, where.name)
    )
