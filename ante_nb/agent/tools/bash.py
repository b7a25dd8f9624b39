"""Bash: a command in a fresh shell."""

from __future__ import annotations

import shutil
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
from ante_nb.errors import ToolError

if TYPE_CHECKING:
    from ante_nb.agent.host import ToolContext

DEFAULT_MS = 120_000
MOST_MS = 600_000
KEPT_BYTES = 1 << 20


class BashArguments(ToolArguments):
    command: str = Field(min_length=1, description="The command, as typed into bash.")
    description: str = Field("", description="What it does, in five to ten words.")
    timeout: int = Field(DEFAULT_MS, gt=0, description=f"Milliseconds until it is ended; at most {MOST_MS}.")
    run_in_background: bool = Field(
        False, description="Start it and return at once; its output goes to a file that you can read."
    )


class Bash(Tool):
    """A fresh, non-interactive shell for each call: directory and variables are not kept."""

    name = "Bash"
    description = (
        "Run a command in a fresh non-interactive bash in the working directory; cd and variables do not "
        "last until the next call, and nothing can be typed in. Returns output and exit code. Processes "
        "left in the background are ended with the command unless run_in_background is set. Use Read, "
        "Glob, Grep, Edit and Write rather than cat, find, grep and sed."
    )
    Arguments: ClassVar[type[BaseModel]] = BashArguments
    default: ClassVar[DefaultDecision] = "ask"

    def primary(self, arguments: BaseModel) -> str:
        return cast("BashArguments", arguments).command

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        from ante_nb.agent.permissions import classify

        # What a command does is not known, unless it is known only to read.
        files = frozenset({FILES})
        return (
            Footprint(reads=files) if classify(self.primary(arguments)) == "safe" else Footprint(writes=files)
        )

    def carries_data(self, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext) -> bool:
        # What a command prints is not known; of one that was put in the background nothing is printed yet.
        return not outcome.trusted

    def without_data(self, arguments: BaseModel, outcome: ToolOutcome, policy: str) -> str:
        code = (outcome.display or {}).get("exit_code")
        return f"{super().without_data(arguments, outcome, policy)}\n[exit code {code}]"

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        args = cast("BashArguments", arguments)
        if "\0" in args.command:
            raise ToolError("The command holds a NUL byte.")
        shell = shutil.which("bash", path=ctx.host.env.get("PATH")) or shutil.which("sh") or "/bin/sh"
        cwd = Path(ctx.host.cwd)
        env = dict(ctx.host.env)
        env["ANTE_SESSION"] = ctx.state.session_id
        if args.run_in_background:
            return _background(args, shell, cwd, env, ctx)
        return await _foreground(args, shell, cwd, env, ctx)


async def _foreground(
    args: BashArguments, shell: str, cwd: Path, env: dict[str, str], ctx: ToolContext
) -> ToolOutcome:
    from ante_nb.agent.tools import process

    kept = process.HeadTail(KEPT_BYTES)
    live = process.Throttle(ctx.emit)

    def take(data: bytes) -> None:
        kept.add(data)
        live.add(data)

    limit = min(args.timeout, MOST_MS) / 1000
    try:
        ended = await process.run([shell, "-c", args.command], cwd=cwd, env=env, on_data=take, timeout=limit)
    finally:
        live.flush()
    lines = [kept.text().rstrip("\n")]
    if ended.leftover:
        lines.append("[Processes left in the background were ended; use run_in_background to keep them.]")
    if ended.timed_out:
        lines.append(f"[Timed out after {limit:g} s; the command and its children were ended.]")
    lines.append(f"[exit code {ended.exit_code}]")
    return text_outcome(
        "\n".join(line for line in lines if line),
        is_error=ended.exit_code != 0 or ended.timed_out,
        display={
            "kind": "bash",
            "command": args.command,
            "exit_code": ended.exit_code,
            "timed_out": ended.timed_out,
        },
    )


def _background(
    args: BashArguments, shell: str, cwd: Path, env: dict[str, str], ctx: ToolContext
) -> ToolOutcome:
    from ante_nb.agent.tools.jobs import start

    job = start(args.command, shell=shell, cwd=cwd, env=env, home=ctx.state.home)
    if job.directory not in ctx.state.roots:
        ctx.state.roots.append(job.directory)
    return text_outcome(
        f"Started in the background, process group {job.pid}. Output: {job.directory}/output. When it "
        f"has ended, {job.directory}/exit_code exists. To end it: kill -- -{job.pid}",
        display={
            "kind": "bash",
            "command": args.command,
            "exit_code": None,
            "timed_out": False,
            "job": str(job.directory),
        },
        trusted=True,
    )
