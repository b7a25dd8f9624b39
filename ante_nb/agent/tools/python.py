"""Python: code in the person's own namespace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import BaseModel, Field

from ante_nb.agent.tools.base import FILES, DefaultDecision, Footprint, Tool, ToolArguments, ToolOutcome
from ante_nb.errors import ToolError
from ante_nb.messages import Text

if TYPE_CHECKING:
    from ante_nb.agent.host import PythonResult, ToolContext


LEAST_MS = 1_000
MOST_MS = 3_600_000


class PythonArguments(ToolArguments):
    code: str = Field(description="Python (IPython) code; the value of its last expression is returned.")
    timeout: int | None = Field(
        None,
        gt=0,
        le=MOST_MS,
        description="Milliseconds until it is ended; without it, it may take its time.",
    )


class Python(Tool):
    """Runs code where the person's variables are; the work itself is the host's."""

    name = "Python"
    description = (
        "Run Python in the notebook's kernel, in the person's namespace: their variables are there, and "
        "what you bind stays there. Prefer it to Bash for data, plots and computation. Returns output, "
        "the value of the last expression, figures, or the traceback."
    )
    Arguments: ClassVar[type[BaseModel]] = PythonArguments
    default: ClassVar[DefaultDecision] = "ask"

    def primary(self, arguments: BaseModel) -> str:
        return cast("PythonArguments", arguments).code

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        return Footprint(writes=frozenset({"kernel", FILES}))

    def summary(self, arguments: BaseModel) -> str:
        lines = self.primary(arguments).strip().splitlines() or [""]
        more = f" (+{len(lines) - 1} lines)" if len(lines) > 1 else ""
        return f"{self.name}: {lines[0][:160]}{more}"

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        code = cast("PythonArguments", arguments).code
        if not ctx.host.has_python:
            raise ToolError("There is no Python namespace here.", "Run a script with Bash instead.")
        limit = cast("PythonArguments", arguments).timeout
        policies = ctx.state.policies
        policies.derive(_NAME.findall(code))
        # Small models fill in every argument that there is, and mean seconds.
        seconds = max(limit, LEAST_MS) / 1000 if limit else None
        result = await ctx.host.run_python(code, ctx.emit, seconds)
        policies.derive((), result.variables)
        return ToolOutcome(
            (Text(_report(result)), *result.images),
            is_error=bool(result.error) or result.interrupted,
            # The person sees the figures whatever the model may see of them.
            display={"kind": "python", "code": code, "images": result.images, "rich": result.rich},
            variables=result.variables,
            described={policy: _outline(result, policy) for policy in ("schema", "stats")},
        )

    def carries_data(self, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext) -> bool:
        return True

    def without_data(self, arguments: BaseModel, outcome: ToolOutcome, policy: str) -> str:
        return outcome.described.get(policy, "")


def _report(result: PythonResult) -> str:
    """The result as the model reads it; only what there is gets a heading."""
    sections = [
        ("", result.stdout),
        ("stderr:\n", result.stderr),
        *(("display:\n", display) for display in result.displays),
        ("value:\n", result.value or ""),
        ("error:\n", result.error or ""),
    ]
    parts = [f"{head}{text.rstrip()}" for head, text in sections if text.strip()]
    if result.images:
        count = len(result.images)
        parts.append(f"[{count} image{'s' * (count != 1)}]")
    if result.interrupted:
        parts.append("[interrupted by the person]")
    return "\n\n".join(parts) or "(no output)"


def _outline(result: PythonResult, policy: str) -> str:
    """The result without values: how much was printed, what the value is, which error and where."""
    from ante_nb.agent.data_gate import count_words

    printed = count_words(result.stdout + result.stderr)
    described = result.described.get(policy, "")
    displays = len(result.displays)
    parts = [
        f"printed: {printed}" if printed else "",
        f"displayed: {displays} object{'s' * (displays != 1)}" if displays else "",
        f"value: {described}" if described else "",
        f"{len(result.images)} image{'s' * (len(result.images) != 1)}" if result.images else "",
        f"error: {_error_words(result)}" if result.error else "",
        "[interrupted by the person]" if result.interrupted else "",
    ]
    return "\n".join(part for part in parts if part) or "(no output)"


_NAME = re.compile(r"[^\W\d]\w*")
_CODE_LINE = re.compile(r"(?:^-+> ?(\d+) |<ante>\", line (\d+)|Cell In\[\d+\], line (\d+))", re.MULTILINE)


def _error_words(result: PythonResult) -> str:
    """The class of the error and the line of the code; its message may quote values."""
    lines = (
        number for found in _CODE_LINE.finditer(result.error or "") for number in found.groups() if number
    )
    place = next(lines, "")
    return f"{result.error_class or 'an error'}{f' at line {place}' if place else ''}"
