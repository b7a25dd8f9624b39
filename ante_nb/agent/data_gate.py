"""The data policy at the door: results that may carry the person's values are reduced before a model sees them.

Under ``schema`` and ``stats`` a result of Python, of a shell command, of cells or of a data file becomes
its shape: types, counts, the class of an error. The person may let a result through, once or for the
session; a rule ``Data(Python)`` among the allow rules does so without a question, one among the deny
rules keeps it in without one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ante_nb.agent.host import ApprovalRequest
from ante_nb.describe.policy import allows
from ante_nb.messages import Image, Text
from ante_nb.redact import redact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import BaseModel

    from ante_nb.agent.host import Approval, ToolContext
    from ante_nb.agent.permissions import Permissions
    from ante_nb.agent.tools.base import Tool, ToolOutcome
    from ante_nb.agent.turn import StepToolCall

RULE = "Data"
"""What rules about the data policy are called, as if it were a tool; its argument is a tool's name."""


class DataGate:
    """One turn's gate.

    Args:
        permissions: asked for rules on :data:`RULE`.
        ask: asks the person; the one question at a time is the caller's affair.
        apply: takes note of a grant.
    """

    def __init__(
        self,
        permissions: Permissions,
        ask: Callable[[ApprovalRequest], Awaitable[Approval]],
        apply: Callable[[Approval, ApprovalRequest], None],
    ) -> None:
        self._permissions = permissions
        self._ask = ask
        self._apply = apply
        self._kept: set[str] = set()
        """Tools whose results the person has kept in during this turn: not asked again."""

    async def through(
        self,
        tool: Tool,
        arguments: BaseModel,
        outcome: ToolOutcome,
        ctx: ToolContext,
        record: StepToolCall,
    ) -> ToolOutcome:
        """``outcome``, or what may be told of it; ``record`` takes note which it was."""
        if not tool.carries_data(arguments, outcome, ctx):
            record.data = "sent" if tool.shows_data(arguments, outcome, ctx) else ""
            return outcome
        policy = ctx.state.policies.closest
        if allows(policy, "sample") or await self._let_through(tool, arguments, outcome, ctx, policy):
            record.data = "sent"
            return outcome
        record.data = "withheld"
        told = tool.without_data(arguments, outcome, policy)
        note = f"[Data policy {policy}: values are withheld. The Variables tool tells types and shapes.]"
        text = "\n".join(part for part in (told, note) if part)
        return replace(outcome, content=(Text(text),), trusted=False, verbatim=True)

    async def _let_through(
        self, tool: Tool, arguments: BaseModel, outcome: ToolOutcome, ctx: ToolContext, policy: str
    ) -> bool:
        action = self._permissions.rule_for(RULE, tool.name)
        # Mode yolo runs everything without a question, but what may leave the machine is not its affair.
        if action is not None or self._permissions.mode == "yolo" or tool.name in self._kept:
            return action == "allow"
        text = "\n".join(part.text for part in outcome.content if isinstance(part, Text))
        images = sum(isinstance(part, Image) for part in outcome.content)
        more = f"\n[{images} image{'s' * (images != 1)}]" if images else ""
        request = ApprovalRequest(
            call=ctx.call,
            summary=f"Send this result of {tool.name} to the model? ({len(text)} characters)",
            detail=redact(text) + more,
            reason=f"the data policy is {policy}",
            grant=f"{RULE}({tool.name})",
        )
        answer = await self._ask(request)
        if answer.answer == "deny":
            self._kept.add(tool.name)
            return False
        self._apply(answer, request)
        return True


def count_words(text: str) -> str:
    """A text as the model may know it: how much there was."""
    if not text.strip():
        return ""
    lines = text.count("\n") + (not text.endswith("\n"))
    return f"{lines} line{'s' * (lines != 1)}, {len(text)} characters"
