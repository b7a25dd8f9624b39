"""Edit: replace an exact piece of a file."""

from __future__ import annotations

import asyncio
import difflib
import re
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import AliasChoices, BaseModel, Field

from ante_nb.agent.tools import changes
from ante_nb.agent.tools.base import DefaultDecision, Footprint, Tool, ToolArguments, ToolOutcome
from ante_nb.agent.tools.datafile import holds_data
from ante_nb.describe.policy import allows
from ante_nb.errors import ToolError

if TYPE_CHECKING:
    from ante_nb.agent.host import ToolContext
    from ante_nb.agent.tools.textfile import TextFile

_NEWLINE = re.compile(r"\r\n|\r|\n")


class EditArguments(ToolArguments):
    file_path: str = Field(
        validation_alias=AliasChoices("file_path", "path"),
        description="The file, relative to the working directory or absolute.",
    )
    old_string: str = Field(
        description="The exact text to replace, without line numbers; it must occur once. "
        "Empty creates a new file with new_string."
    )
    new_string: str = Field(description="The text to put in its place.")
    replace_all: bool = Field(False, description="Replace every occurrence.")


class Edit(Tool):
    """Exact replacement; line endings, encoding and mode stay as they are."""

    name = "Edit"
    description = (
        "Replace an exact piece of text in a file that has been read. Copy old_string from what Read "
        "showed, indentation included, line numbers left out, with enough lines around it to be unique."
    )
    Arguments: ClassVar[type[BaseModel]] = EditArguments
    default: ClassVar[DefaultDecision] = "ask"
    path_argument = "file_path"
    writes = True

    def primary(self, arguments: BaseModel) -> str:
        return cast("EditArguments", arguments).file_path

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        return Footprint(writes=changes.names(self.primary(arguments), ctx))

    def detail(self, arguments: BaseModel, ctx: ToolContext) -> str:
        args = cast("EditArguments", arguments)
        where, before = changes.preview(args.file_path, ctx)
        try:
            after = replaced(before, args, where.name)
        except ToolError:
            # It will fail when it runs; show what is asked for all the same.
            return changes.unified(args.old_string, args.new_string, where.name)
        return changes.unified(before, after, where.name)

    def shows_data(self, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext) -> bool:
        where = changes.target(self.primary(arguments), ctx)
        return holds_data(where.path) and _may_quote(where, ctx)

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        return await asyncio.to_thread(_edit, cast("EditArguments", arguments), ctx)


def _edit(args: EditArguments, ctx: ToolContext) -> ToolOutcome:
    where = changes.target(args.file_path, ctx)
    if not args.old_string and (not where.path.exists() or not where.path.stat().st_size):
        if where.path.is_dir():
            raise ToolError(f"{where.name} is a directory.")
        changes.store(where, args.new_string.encode("utf-8", "surrogatepass"), ctx.state)
        diff = changes.unified("", args.new_string, where.name)
        return changes.outcome(where, f"Created {where.name}.", diff)
    old: TextFile = changes.load(where, ctx.state)
    quote = _may_quote(where, ctx)
    after = replaced(old.text, args, where.name, quote)
    try:
        data = old.encode(after)
    except UnicodeEncodeError as error:
        letter = error.object[error.start : error.start + 1]
        raise ToolError(
            f"{where.name} is {old.encoding}, which has no {letter!r}.",
            "Use a character of that encoding, or Write the whole file (it becomes UTF-8).",
        ) from None
    changes.store(where, data, ctx.state)
    diff = changes.unified(old.text, after, where.name)
    told = (
        f":\n{diff}"
        if quote
        else f". The data policy is {ctx.state.policies.closest}: no lines of it are shown."
    )
    return changes.outcome(where, f"Edited {where.name}{told}", diff)


def _may_quote(where: changes.Target, ctx: ToolContext) -> bool:
    """Whether the data policy lets the model see lines of the file that it has not written itself."""
    return allows(ctx.state.policies.closest, "sample") or not holds_data(where.path)


def replaced(text: str, args: EditArguments, name: str, quote: bool = True) -> str:
    """``text`` with the replacement made, every other byte as it was.

    The model writes ``\\n``; it matches whatever line ending stands there.

    Raises:
        ToolError: ``old_string`` is absent, not unique or equal to ``new_string``.
    """
    if not args.old_string:
        raise ToolError(f"{name} exists and is not empty.", "Give the text to replace as old_string.")
    if args.old_string == args.new_string:
        raise ToolError("old_string and new_string are the same; there is nothing to change.")
    pieces = [re.escape(piece) for piece in _NEWLINE.split(args.old_string)]
    pattern = re.compile(r"(?:\r\n|\r|\n)".join(pieces))
    found = list(pattern.finditer(text))
    if not found:
        raise ToolError(f"old_string is not in {name}.", _near(text, args.old_string) if quote else None)
    if len(found) > 1 and not args.replace_all:
        lines = ", ".join(str(_line(text, match.start())) for match in found[:5])
        more = ", ..." if len(found) > 5 else ""
        raise ToolError(
            f"old_string occurs {len(found)} times in {name} (lines {lines}{more}).",
            "Add lines around it until it is unique, or set replace_all.",
        )
    from ante_nb.agent.tools.textfile import newline_of

    ending = newline_of(text)

    def put(match: re.Match[str]) -> str:
        there = _NEWLINE.search(match.group())
        return _NEWLINE.sub(lambda _: there.group() if there else ending, args.new_string)

    return pattern.sub(put, text)


def _line(text: str, position: int) -> int:
    return len(_NEWLINE.findall(text, 0, position)) + 1


def _near(text: str, wanted: str) -> str:
    """What to try next: why it may not match, and the likeliest place."""
    lines = _NEWLINE.split(text)
    asked = _NEWLINE.split(wanted.strip("\r\n"))
    if all(re.match(r"\s*\d+\t", line) for line in asked):
        return "Leave out the line numbers that Read puts before each line."
    bare = [line.strip() for line in asked]
    for start in range(len(lines) - len(asked) + 1):
        if [line.strip() for line in lines[start : start + len(asked)]] == bare:
            return f"It differs only in white space from line {start + 1}: {lines[start]!r}."
    # The longest line asked for says most about the place; the search is bounded for huge files.
    key = max(bare, key=len)
    candidates = [line.strip() for line in lines[:20_000]]
    close = difflib.get_close_matches(key[:300], [line[:300] for line in candidates if line], n=1, cutoff=0.6)
    if not close:
        return "Read the file again and copy the text exactly."
    number = next(i for i, line in enumerate(candidates) if line[:300] == close[0]) + 1
    return f"The nearest line is {number}: {lines[number - 1]!r}."
