"""The model's questions and the person's answers, as text and HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from ante_nb.notebook.render.allowlist import IGNORE_MATH, clean, visible
from ante_nb.notebook.render.styles import BOX, FAINT, GOOD, LINE, WARN
from ante_nb.notebook.render.words import clip
from ante_nb.redact import redact

if TYPE_CHECKING:
    from ante_nb.agent.host import Question
    from ante_nb.notebook.asking import Twins

_MOST_WORDS = 4_000
_SHOWN_WORDS = 1_000


def traits(questions: tuple[Question, ...]) -> dict[str, Any]:
    """What the card shows; every text in it is visible, none of it is HTML."""
    rows = [
        {
            "header": visible(question.header),
            "question": visible(question.question),
            "options": [visible(option) for option in question.options],
            "multiple": question.multiple,
            "free": question.custom or not question.options,
        }
        for question in questions
    ]
    return {"label": "A question for you" if len(rows) == 1 else "Questions for you", "questions": rows}


def understood(questions: tuple[Question, ...], content: dict[str, Any]) -> list[list[str]] | None:
    """The answers in the card's message: chosen options in their order, then the person's own words.

    ``None`` where the message holds no list of answers, one for each question.
    """
    given = content.get("answers")
    if not isinstance(given, list) or len(given) != len(questions):
        return None
    answers = []
    for question, row in zip(questions, given, strict=True):
        if not isinstance(row, dict):
            return None
        picked = row.get("chosen")
        chosen = {n for n in picked if isinstance(n, int)} if isinstance(picked, list) else set()
        answer = [option for number, option in enumerate(question.options) if number in chosen]
        answer = answer if question.multiple else answer[:1]
        words = row.get("words")
        if (question.custom or not question.options) and isinstance(words, str) and words.strip():
            own = words.strip()[:_MOST_WORDS]
            answer = [*answer, own] if question.multiple else [own]
        answers.append(answer)
    return answers


def pending_twins(questions: tuple[Question, ...]) -> Twins:
    """What stands for the card while it waits."""
    text, rows = [], []
    for question in questions:
        head = f"{question.header}: " if question.header else ""
        text.append(f"[question] {head}{question.question}")
        text += [f"  {number}. {option}" for number, option in enumerate(question.options, 1)]
        options = "".join(f"<li>{_safe(option)}</li>" for option in question.options)
        rows.append(f"<p><strong>{_safe(head)}</strong>{_safe(question.question)}</p>")
        rows.append(f"<ol>{options}</ol>" if options else "")
    mark = f'<span style="{WARN}">?</span> <span style="{FAINT}">waits for an answer</span>'
    return visible("\n".join([*text, "(waits for an answer)", ""])), _box(mark + "".join(rows), BOX)


def answered(questions: tuple[Question, ...], answers: list[list[str]] | None, why: str = "") -> Twins:
    """What is left of the card; ``why`` tells why there are no answers."""
    text, rows = [], []
    for number, question in enumerate(questions):
        answer = answers[number] if answers is not None else []
        words = redact(clip(", ".join(answer), _SHOWN_WORDS)) or why or "not answered"
        style, mark = (GOOD, "✓") if answer else (WARN, "■")
        text.append(f"[question] {question.question}\n  -> {words}")
        rows.append(
            f'<div><span style="{style}">{mark}</span> <span>{_safe(question.question)}</span> '
            f"<strong>{_safe(words)}</strong></div>"
        )
    return visible("\n".join(text)), _box("".join(rows), LINE)


def _box(inner: str, style: str) -> str:
    return clean(
        f'<div class="{IGNORE_MATH}" style="{style}" role="group" aria-label="Question">{inner}</div>\n'
    )


def _safe(text: str) -> str:
    return escape(visible(text))
