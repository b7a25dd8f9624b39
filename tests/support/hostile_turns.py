"""Turns whose every field is a hostile text: what a model, a tool, a file name or an error could hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb import messages as m
from ante_nb.agent.turn import Step, StepToolCall, Turn
from ante_nb.errors import AnteError
from ante_nb.notebook.render.renderer import TurnRenderer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_DISPLAYS: tuple[Callable[[str], dict[str, Any] | None], ...] = (
    lambda text: None,
    lambda text: {
        "kind": "diff",
        "path": text,
        "diff": f"--- {text}\n+++ {text}\n-{text}\n+{text}\n@@ {text}",
    },
    lambda text: {"kind": "todo", "todos": [{"content": text, "status": text}]},
    lambda text: {"kind": "bash", "command": text, "exit_code": text},
    lambda text: {"kind": text, "path": text},
)


def play(texts: Sequence[str], publish: Callable[..., None], cwd: Path | None) -> None:
    """Show a turn made of these texts through ``publish``."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.05
        return now

    renderer = TurnRenderer(publish, clock, cwd)
    first = texts[0]
    renderer.event(m.TurnStarted("turn_x", {"provider": (first, first), first: (first, first)}, (first,)))
    turn = Turn("turn_x", "ses_x", provider=first, model=first, files=list(texts[:3]), variables=[first])
    turn.status, turn.error = "failed", AnteError(first, first)
    steered = getattr(m, "Steered", None)
    for number, text in enumerate(texts):
        if steered is not None:
            renderer.event(steered(text))
        call = m.ToolCall(f"c{number}", text if number % 2 else "Python", {"code": text, text: [text]})
        image = m.Image(text, text)
        renderer.event(m.StepStarted(f"step_{number}", number))
        renderer.event(m.Notice(text if number % 3 else "retry", text))
        renderer.event(m.ThinkingDelta(0, text))
        renderer.event(m.ThinkingEnd(0, m.Thinking(text)))
        size = max(7, len(text) // 40)
        for start in range(0, len(text), size):
            renderer.event(m.TextDelta(1, text[start : start + size]))
            renderer.tick()
        renderer.event(m.TextEnd(1, m.Text(text)))
        renderer.event(m.ToolCallStart(2, call.id, text))
        renderer.event(m.ToolCallEnd(2, call))
        renderer.event(m.ToolStarted(call))
        renderer.event(m.ToolOutput(call.id, text))
        renderer.tick()
        result = m.ToolResult(call.id, (m.Text(text), image))
        display = _DISPLAYS[number % len(_DISPLAYS)](text)
        renderer.event(m.ToolEnded(call, result, "error" if number % 7 == 6 else "ok", 0.1, display))
        turn.steps.append(Step(f"step_{number}", m.Message("assistant"), [StepToolCall(call.id, text, {})]))
    renderer.close(turn)


def ask(texts: Sequence[str], publish: Callable[..., None]) -> list[Any]:
    """Show approval and question cards made of these texts, as widgets with their twins; the cards.

    Called on a running event loop.
    """
    from ante_nb.agent.host import Approval, ApprovalRequest, Question
    from ante_nb.notebook import approval_view, question_view
    from ante_nb.widgets.approval_card import ApprovalCard
    from ante_nb.widgets.question_card import QuestionCard

    def show(card: Any, twins: tuple[str, str]) -> None:
        data, metadata = card.bundle(*twins)
        publish(data, metadata, None, False)

    cards: list[Any] = []
    first, detail = texts[0], "\n".join(texts)
    diff = "\n".join(f"+{text}" for text in texts)
    for name in ("Bash", "Python", "Write", "Cells", "WebFetch", first):
        arguments = {"command": detail, "action": "replace", first: detail}
        call = m.ToolCall("c", name, arguments)
        request = ApprovalRequest(call, first, diff if name in ("Write", "Cells") else detail, first, first)
        cards.append(ApprovalCard(lambda content: None, **approval_view.traits(request)))
        show(cards[-1], approval_view.pending_twins(request))
        for (plain, html), last in (
            approval_view.decided(request, Approval("deny", first)),
            approval_view.decided(request, Approval("session")),
            approval_view.unanswered(request, first),
        ):
            publish({"text/html": html, "text/plain": plain}, {}, None, False)
            cards[-1].message = last
    questions = tuple(
        Question(text, text, (text, f"{text} 2"), bool(number % 2)) for number, text in enumerate(texts)
    )
    cards.append(QuestionCard(lambda content: None, **question_view.traits(questions)))
    show(cards[-1], question_view.pending_twins(questions))
    plain, html = question_view.answered(questions, [[text] for text in texts])
    publish({"text/html": html, "text/plain": plain}, {}, None, False)
    return cards
