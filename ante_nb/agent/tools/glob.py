"""Glob: find files by name."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import BaseModel, Field

from ante_nb.agent.tools.base import (
    FILES,
    DefaultDecision,
    Footprint,
    Tool,
    ToolArguments,
    ToolOutcome,
    text_outcome,
)
from ante_nb.agent.tools.paths import resolve, shown
from ante_nb.errors import ToolError

if TYPE_CHECKING:
    from ante_nb.agent.host import ToolContext

MOST = 100


class GlobArguments(ToolArguments):
    pattern: str = Field(
        min_length=1,
        description="A glob such as **/*.py or src/**/*.{ts,tsx}; without a slash it matches at any depth.",
    )
    path: str = Field(".", description="The directory to look in.")


class Glob(Tool):
    """Files whose names match, newest first; what .gitignore leaves out is left out."""

    name = "Glob"
    description = "Find files by a glob pattern, newest first (at most 100); .gitignore is respected."
    Arguments: ClassVar[type[BaseModel]] = GlobArguments
    default: ClassVar[DefaultDecision] = "allow"
    path_argument = "path"

    def primary(self, arguments: BaseModel) -> str:
        return cast("GlobArguments", arguments).pattern

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        return Footprint(reads=frozenset({FILES}))

    def paths(self, arguments: BaseModel, ctx: ToolContext) -> list[Path]:
        return [_root(cast("GlobArguments", arguments), ctx)[0]]

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        return await asyncio.to_thread(_glob, cast("GlobArguments", arguments), ctx)


def split(pattern: str) -> tuple[str, str]:
    """A pattern as the directory that it starts from and the rest: ``/etc/*.conf``, ``../a/**``."""
    if not pattern.startswith(("/", "~", "../", "./")):
        return "", pattern
    parts = pattern.split("/")
    fixed = 0
    while fixed < len(parts) - 1 and not re.search(r"[*?\[{]", parts[fixed]):
        fixed += 1
    return "/".join(parts[:fixed]) or "/", "/" + "/".join(parts[fixed:])


def _root(args: GlobArguments, ctx: ToolContext) -> tuple[Path, str]:
    base, pattern = split(args.pattern)
    root = resolve(args.path, Path(ctx.host.cwd))
    return (resolve(base, root) if base else root), pattern


def _glob(args: GlobArguments, ctx: ToolContext) -> ToolOutcome:
    from ante_nb.agent.tools.ignore import globs, walk

    root, pattern = _root(args, ctx)
    name = shown(root, ctx.host.cwd)
    if not root.is_dir():
        raise ToolError(f"{name} is not a directory.", "Give an existing directory as path.")
    try:
        matcher = globs(pattern)
    except ValueError as error:
        raise ToolError(f"{args.pattern!r} is no valid glob: {error}.") from None
    found: list[tuple[float, str]] = []
    above = len(str(root).rstrip("/")) + 1
    for entry in walk(root):
        if ctx.cancelled():
            raise ToolError("The search was interrupted.")
        if matcher.match_file(entry.path[above:]) and not ctx.state.hidden(entry.path):
            try:
                found.append((entry.stat(follow_symlinks=False).st_mtime, entry.path))
            except OSError:
                continue
    if not found:
        return text_outcome(f"No file in {name} matches {args.pattern}.", verbatim=True)
    found.sort(key=lambda item: (-item[0], item[1]))
    lines = [shown(Path(path), ctx.host.cwd) for _, path in found[:MOST]]
    if len(found) > MOST:
        lines.append(f"[{len(found) - MOST} more files match; use a narrower pattern or path.]")
    return text_outcome("\n".join(lines), verbatim=True)
