"""Grep: search file contents, by ripgrep where it is on PATH, else by a child process of our own."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import AliasChoices, BaseModel, Field

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
from ante_nb.messages import Text

if TYPE_CHECKING:
    from ante_nb.agent.host import ToolContext

_KEPT_BYTES = 4 << 20
_SECONDS = 60.0
_CHILD = "import sys; sys.path += sys.argv[1:]; from ante_nb.agent.tools.searcher import main; main()"
_LINE = re.compile(r"(\d+)([:-])", re.ASCII)
_HIT = re.compile(r"(.+?)[:-]\d+[:-]", re.ASCII)
"""A line of the report: the file it is from, and its number."""


class GrepArguments(ToolArguments):
    pattern: str = Field(min_length=1, description="A regular expression.")
    path: str = Field(".", description="The file or directory to search.")
    glob: str | None = Field(None, description="Only files that match, such as *.py or src/**/*.{ts,tsx}.")
    type: str | None = Field(None, description="Only files of a type: py, js, ts, rust, go, md, json ...")
    output_mode: Literal["files_with_matches", "content", "count"] = Field(
        "files_with_matches", description="File names, matching lines, or matches per file."
    )
    after: int = Field(
        0,
        ge=0,
        le=1000,
        validation_alias=AliasChoices("after", "-A", "A"),
        description="Lines after a match.",
    )
    before: int = Field(
        0,
        ge=0,
        le=1000,
        validation_alias=AliasChoices("before", "-B", "B"),
        description="Lines before a match.",
    )
    context: int = Field(
        0,
        ge=0,
        le=1000,
        validation_alias=AliasChoices("context", "-C", "C"),
        description="Lines around a match.",
    )
    ignore_case: bool = Field(
        False, validation_alias=AliasChoices("ignore_case", "-i", "i"), description="Ignore case."
    )
    multiline: bool = Field(False, description="Let the pattern span lines; . then matches line ends too.")


class Grep(Tool):
    """Searches what .gitignore does not leave out, hidden files included."""

    name = "Grep"
    description = (
        "Search file contents by a regular expression; .gitignore is respected. Returns file names by "
        "default, or lines with path and number (output_mode content), or counts."
    )
    Arguments: ClassVar[type[BaseModel]] = GrepArguments
    default: ClassVar[DefaultDecision] = "allow"
    path_argument = "path"

    def primary(self, arguments: BaseModel) -> str:
        return cast("GrepArguments", arguments).pattern

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        return Footprint(reads=frozenset({FILES}))

    def carries_data(self, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext) -> bool:
        from ante_nb.agent.tools.datafile import holds_data

        if cast("GrepArguments", arguments).output_mode != "content":
            return False
        lines = "\n".join(part.text for part in outcome.content if isinstance(part, Text)).splitlines()
        names = {found[1] for line in lines if (found := _HIT.match(line))}
        return any(holds_data(resolve(name, Path(ctx.host.cwd))) for name in names)

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        args = cast("GrepArguments", arguments)
        cwd = Path(ctx.host.cwd)
        root = resolve(args.path, cwd)
        name = shown(root, cwd)
        if not root.exists():
            raise ToolError(f"{name} does not exist.", "Give an existing file or directory as path.")
        rg = shutil.which("rg", path=ctx.host.env.get("PATH"))
        code, output, complaint = await _search(args, root, rg, ctx)
        if code not in (0, 1) and not output:
            raise ToolError(
                f"The search failed: {complaint or 'no message'}.", "Check the regular expression."
            )
        return text_outcome(_report(args, output, root, ctx), verbatim=True)


async def _search(args: GrepArguments, root: Path, rg: str | None, ctx: ToolContext) -> tuple[int, str, str]:
    """Exit code (1: nothing found), output with ``path NUL rest`` lines, and the error text.

    Both engines are child processes. For the fallback that is a must: a regular expression can take
    Python's engine minutes, it holds the interpreter lock meanwhile, and the kernel with it.
    """
    from ante_nb.agent.tools import process

    request: bytes | None = None
    if rg is not None:
        argv = [rg, *_flags(args), "--", args.pattern, str(root)]
    else:
        # Isolated, and with our own module path but for the working directory: a json.py may lie there.
        argv = [sys.executable, "-I", "-c", _CHILD, *_module_path(Path(ctx.host.cwd))]
        request = json.dumps({**args.model_dump(), "root": str(root)}).encode()
    kept = bytearray()
    with tempfile.TemporaryFile() as errors:
        ended = await process.run(
            argv,
            cwd=Path(ctx.host.cwd),
            env=ctx.host.env,
            on_data=lambda data: kept.extend(data[: max(0, _KEPT_BYTES - len(kept))]),
            timeout=_SECONDS,
            stdin=request,
            stderr=errors.fileno(),
        )
        errors.seek(0)
        complaint = " ".join(errors.read(2000).decode("utf-8", "replace").split())
    if ended.timed_out:
        raise ToolError(f"The search took longer than {_SECONDS:g} s.", "Narrow it by path, glob or type.")
    return ended.exit_code, kept.decode("utf-8", "replace"), complaint


def _module_path(cwd: Path) -> list[str]:
    package = str(Path(__file__).resolve().parents[3])
    return [package, *(entry for entry in sys.path if Path(entry).is_absolute() and Path(entry) != cwd)]


def _flags(args: GrepArguments) -> list[str]:
    """ripgrep's flags, with everything off that would read configuration from elsewhere."""
    flags = [
        "--no-config",
        "--color=never",
        "--no-messages",
        "--no-heading",
        "--with-filename",
        "--null",
        "--hidden",
        "--no-require-git",
        "--no-ignore-global",
        "--no-ignore-dot",
        "--sort=path",
        "--max-columns=2000",
        "--max-columns-preview",
    ]
    from ante_nb.agent.tools.ignore import NEVER

    flags += [f"--glob=!**/{name}/**" for name in sorted(NEVER)]
    # --glob would bring ignored files back, a type does not; it looks at names only, so what it can't
    # say is left to the report.
    if args.glob and "/" not in args.glob and not args.glob.startswith("!") and not args.type:
        flags += [f"--type-add=wanted:{args.glob}", "--type=wanted"]
    if args.type:
        flags.append(f"--type={args.type}")
    if args.ignore_case:
        flags.append("--ignore-case")
    if args.multiline:
        flags += ["--multiline", "--multiline-dotall"]
    if args.output_mode == "files_with_matches":
        flags.append("--files-with-matches")
    elif args.output_mode == "count":
        flags.append("--count")
    else:
        flags += ["--line-number", f"-A{args.after or args.context}", f"-B{args.before or args.context}"]
    return flags


def _report(args: GrepArguments, output: str, root: Path, ctx: ToolContext) -> str:
    """The output as the model reads it, files that a rule hides left out."""
    from ante_nb.agent.tools.ignore import globs

    names: dict[str, str | None] = {}
    negative = (args.glob or "").startswith("!")
    glob = globs((args.glob or "").removeprefix("!")) if args.glob else None

    def name_of(path: str) -> str | None:
        if path not in names:
            relative = os.path.relpath(path, root)
            other = glob is not None and relative != "." and glob.match_file(relative) is negative
            names[path] = None if other or ctx.state.hidden(path) else shown(Path(path), ctx.host.cwd)
        return names[path]

    if args.output_mode == "files_with_matches":
        found = [name for path in output.split("\0") if path and (name := name_of(path))]
        lines = found
    else:
        lines = []
        for line in output.split("\n"):
            path, nul, rest = line.partition("\0")
            if not nul:
                if line == "--" and lines and lines[-1] != "--":
                    lines.append(line)
                continue
            name = name_of(path)
            if name is None:
                continue
            match = _LINE.match(rest)
            separator = match.group(2) if match else ":"
            lines.append(f"{name}{separator}{rest}")
        while lines and lines[-1] == "--":
            lines.pop()
    if not lines:
        return f"Nothing in {shown(root, ctx.host.cwd)} matches {args.pattern!r}."
    most = 250 if args.output_mode != "content" else 1000
    if len(lines) > most:
        lines[most:] = [
            f"[{len(lines) - most} more lines; narrow the search by pattern, path, glob or type.]"
        ]
    return "\n".join(lines)
