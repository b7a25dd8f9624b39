"""Python: code in the person's own namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import BaseModel, Field

from ante_nb.agent.tools.base import FILES, DefaultDecision, Footprint, Tool, ToolArguments, ToolOutcome
from ante_nb.errors import ToolError
from ante_nb.messages import Text

if TYPE_CHECKING:
    from ante_nb.agent.host import PythonResult, ToolContext


class PythonArguments(ToolArguments):
    code: str = Field(description="Python (IPython) code; the value of its last expression is returned.")


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
        result = await ctx.host.run_python(code, ctx.emit)
        return ToolOutcome(
            (Text(_report(result)), *result.images),
            is_error=bool(result.error) or result.interrupted,
            display={"kind": "python", "code": code},
            variables=result.variables,
        )


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
