"""What a step leaves behind in the turn's result: what it used, why it may have been the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ante_nb.agent.pricing import cost_of
from ante_nb.agent.turn import REPLAYED
from ante_nb.errors import AnteError, ConfigError, ContentFilterError
from ante_nb.messages import Notice

if TYPE_CHECKING:
    from ante_nb.agent.host import Host
    from ante_nb.agent.steering import Steering
    from ante_nb.agent.turn import Step, Turn
    from ante_nb.messages import Message, Usage
    from ante_nb.providers.spec import ModelSpec


def count(turn: Turn, model: ModelSpec, usage: Usage | None) -> None:
    """Add what a model call has used to the turn, in tokens and dollars."""
    if usage is None:
        turn.cost, turn.cost_note = None, "unknown"
        return
    turn.usage = usage if turn.usage is None else turn.usage + usage
    if model.plan_priced:
        turn.cost_note = "plan"
        return
    cost = 0.0 if turn.transport == REPLAYED else cost_of(model, usage)
    if cost is None or turn.cost_note == "unknown":
        turn.cost, turn.cost_note = None, "unknown"
    else:
        turn.cost = (turn.cost or 0.0) + cost


def refusal(turn: Turn, step: Step) -> AnteError | None:
    """The error that a step ends the turn with, though its call was complete; ``None`` where there is none."""
    who = f"{turn.provider}/{turn.model}"
    if step.stop_reason in ("content_filter", "refusal"):
        word = (
            "declined to answer"
            if step.stop_reason == "refusal"
            else "answer was stopped by the vendor's filter"
        )
        return ContentFilterError(
            f"{who}: {word}",
            "Rephrase the prompt, or ask another model with --model.",
            provider=turn.provider,
            model=turn.model,
            partial=step.message,
        )
    if step.stop_reason == "context_overflow":
        return ConfigError(
            f"{who}: the conversation is longer than the model's context",
            "Start afresh with `%ante reset`, or choose a model with a longer context.",
        )
    return None


def tell_unsaid(steering: Steering, host: Host) -> None:
    """Say what was queued for a turn and did not reach the model, for the turn had ended."""
    unsaid = steering.end()
    if unsaid:
        host.show(Notice("steering", "the turn ended before the model was told: " + " · ".join(unsaid)))


def without_loose_end(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """What a failed turn leaves to build on: nothing, unless a step of it was completed.

    A prompt that the vendor refused must not be in the next request as well.
    """
    return messages if any(message.role == "assistant" for message in messages) else ()
