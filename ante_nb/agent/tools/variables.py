"""Variables: what is in the person's namespace, as far as the data policy allows."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import BaseModel, Field

from ante_nb.agent.tools.base import (
    DefaultDecision,
    Footprint,
    Tool,
    ToolArguments,
    ToolOutcome,
    text_outcome,
)
from ante_nb.describe import Policies, describe
from ante_nb.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ante_nb.agent.host import ToolContext

LISTED = 200
"""Variables in a list."""
DESCRIBED = 20
"""Variables described in one call."""


class VariablesArguments(ToolArguments):
    names: list[str] = Field(
        default_factory=list,
        description="Names or globs (`df`, `model_*`) to describe: columns, types, ranges, samples. "
        "Empty lists all variables with type, shape and size.",
    )


class Variables(Tool):
    """Lists and describes; evaluates nothing."""

    name = "Variables"
    description = (
        "List the variables of the notebook's kernel with type, shape and memory, or describe some: columns "
        "and dtypes, null shares, ranges, sample rows, keys, fields, signatures, as far as the person's data "
        "policy allows. Cheap on data of any size. Use it before writing code against data that you have "
        "not seen."
    )
    Arguments: ClassVar[type[BaseModel]] = VariablesArguments
    default: ClassVar[DefaultDecision] = "allow"

    def footprint(self, arguments: BaseModel, ctx: ToolContext) -> Footprint:
        return Footprint(reads=frozenset({"kernel"}))

    def primary(self, arguments: BaseModel) -> str:
        return " ".join(cast("VariablesArguments", arguments).names)

    def shows_data(self, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext) -> bool:
        return bool(cast("VariablesArguments", arguments).names)

    async def run(self, arguments: BaseModel, ctx: ToolContext) -> ToolOutcome:
        names = cast("VariablesArguments", arguments).names
        if not ctx.host.has_python:
            raise ToolError("There is no Python namespace here.")
        policies: Policies = ctx.state.policies
        text = await ctx.host.variables(
            lambda space: _described(space, names, policies) if names else listing(space, policies)
        )
        return text_outcome(text, verbatim=True)


def listing(space: Mapping[str, Any], policies: Policies) -> str:
    """All variables, a line each: name, type, shape, size."""
    if not space:
        return "(no variables)"
    lines = [
        f"{name}: {describe(value, policies.of(name), brief=True).head()}"
        for name, value in _first(space, LISTED)
    ]
    if len(space) > LISTED:
        lines.append(f"... {len(space) - LISTED} more; name or glob them")
    return "\n".join(lines)


def _first(space: Mapping[str, Any], count: int) -> list[tuple[str, Any]]:
    return list(space.items())[:count]


def _described(space: Mapping[str, Any], names: list[str], policies: Policies) -> str:
    chosen: dict[str, Any] = {}
    missing: list[str] = []
    for word in names:
        found = [name for name in space if name == word] or fnmatch.filter(space, word)
        chosen.update((name, space[name]) for name in found)
        if not found:
            missing.append(word)
    if not chosen:
        raise ToolError(f"There is no variable {', '.join(missing)}.", _near(missing, space))
    blocks = []
    for name, value in _first(chosen, DESCRIBED):
        policy = policies.of(name)
        closed = "" if policy in ("sample", "full") else f"  [data policy: {policy}]"
        told = describe(value, policy)
        blocks.append("\n".join(filter(None, (f"{name}: {told.head()}{closed}", told.text))))
    if len(chosen) > DESCRIBED:
        blocks.append(f"... {len(chosen) - DESCRIBED} more match; name fewer")
    if missing:
        blocks.append(f"There is no variable {', '.join(missing)}.")
    return "\n\n".join(blocks)


def _near(missing: list[str], space: Mapping[str, Any]) -> str:
    import difflib

    near = [name for word in missing for name in difflib.get_close_matches(word, space, n=3)]
    return (
        f"Did you mean {', '.join(dict.fromkeys(near))}?"
        if near
        else "Call Variables without names for the list."
    )
