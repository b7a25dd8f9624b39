"""What a prompt would send, without sending it: the request itself, its tokens, and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ante_nb.agent.context import Gauge, compacts_at
from ante_nb.agent.planning import plan_turn
from ante_nb.agent.pricing import cost_of
from ante_nb.errors import AnteError
from ante_nb.messages import Usage
from ante_nb.providers.spec import Request

if TYPE_CHECKING:
    from ante_nb.agent.context import ContextReport
    from ante_nb.agent.host import Host
    from ante_nb.agent.limits import Limits
    from ante_nb.agent.options import TurnOptions
    from ante_nb.agent.plan import Plan
    from ante_nb.agent.runtime import Runtime
    from ante_nb.agent.turn import Turn
    from ante_nb.providers.spec import Choice

USUAL_ANSWER = 16_000
"""Tokens of a long answer, where the model's output limit is not known."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be sent.

    ``body`` is the request in the provider's own form (without any credential, which travels in a
    header); ``cost`` the first step's least and most in US dollars, ``None`` with ``cost_note`` saying why.
    """

    status: dict[str, tuple[str, str]]
    url: str
    tools: tuple[str, ...]
    attachments: tuple[str, ...]
    messages: int
    report: ContextReport
    answer_limit: int | None
    limits: Limits
    max_steps: int
    cost: tuple[float, float] | None
    cost_note: str = ""
    notices: tuple[str, ...] = ()
    body: dict[str, Any] = field(default_factory=dict)


async def preview(
    runtime: Runtime, turn: Turn, options: TurnOptions, host: Host, cell: str | None
) -> Preview:
    """The preview of a turn; session, connection and choices stay as they are.

    Raises:
        AnteError: the turn could not be made ready, or its limits would refuse it.
    """
    session, tools = runtime.session, runtime.session.tool_state
    before = (session.prompts, set(runtime.reported), tools.limits, tools.policies)
    try:
        plan = await plan_turn(runtime, turn, options, host, cell)
    finally:
        session.prompts, runtime.reported, tools.limits, tools.policies = before
    gauge = Gauge(plan.choice, plan.system, [tool.spec() for tool in plan.tools.values()])
    if runtime.gauge is not None:
        gauge.inherit(runtime.gauge)
    messages = [*plan.history, *plan.opening]
    report = gauge.report(messages, compacts_at(runtime, gauge))
    notices = list(plan.notices)
    try:
        plan.budget.before_step(messages, gauge)
    except AnteError as error:
        notices.append(f"it would not be sent: {error}")
    if report.compacts_at is not None and report.used > report.compacts_at:
        notices.append("the conversation would be compacted first")
    url, body = _encoded(plan, session.id)
    cost, note = _cost(plan.choice, report.used, _cached(runtime, plan))
    return Preview(
        plan.status,
        url,
        tuple(plan.tools),
        plan.attachments,
        len(messages),
        report,
        _answer_limit(plan.choice),
        plan.budget.limits,
        plan.max_steps,
        cost,
        note,
        tuple(notices),
        body,
    )


def _encoded(plan: Plan, session_id: str) -> tuple[str, dict[str, Any]]:
    from ante_nb.providers import handover
    from ante_nb.providers.failure_words import safe_url
    from ante_nb.providers.wires import wire_for

    choice = plan.choice
    provider, model = choice.provider, choice.model
    wire = wire_for(provider.wire_style)
    messages = handover.adapt([*plan.history, *plan.opening], provider, model, provider.wire_style)
    request = Request(
        messages=messages,
        system=plan.system,
        tools=tuple(tool.spec() for tool in plan.tools.values()),
        tool_choice=plan.tool_choice,
        thinking=choice.thinking,
        session_id=session_id,
    )
    body = wire.encode(request, model, provider, stream=True)
    url = safe_url(wire.url(choice.base_url, model, stream=True)) if choice.base_url else ""
    return url, body


def _cached(runtime: Runtime, plan: Plan) -> int:
    """Tokens that the provider has read in the session's last step and may still have in its cache."""
    last = runtime.last_turn
    if last is None or not last.steps or last.session_id != runtime.session.id or not plan.history:
        return 0
    usage = last.steps[-1].usage
    same = (last.provider, last.model) == (plan.choice.provider.id, plan.choice.model.id)
    return usage.input if usage is not None and same else 0


def _answer_limit(choice: Choice) -> int | None:
    return choice.model.max_tokens or choice.model.output_limit


def _cost(choice: Choice, tokens: int, cached: int) -> tuple[tuple[float, float] | None, str]:
    """The first step's price range: all from the cache that can be and a word of answer; nothing from it
    and the longest answer."""
    if choice.provider.id == "local":
        return None, "nothing: it runs on this machine"
    if choice.model.plan_priced:
        return None, "plan: it counts against the plan, not by tokens"
    longest = _answer_limit(choice) or USUAL_ANSWER
    low = cost_of(choice.model, Usage(input=tokens, cache_read=min(cached, tokens), output=1))
    high = max(
        cost_of(choice.model, Usage(input=tokens, output=longest)) or 0.0,
        cost_of(choice.model, Usage(input=tokens, cache_write=tokens, output=longest)) or 0.0,
    )
    if low is None:
        return None, "unknown: the catalog has no price for this model"
    return (low, high), ""
