"""The model's questions over a line-wise prompt: numbered options, or the person's own words."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from ante_nb.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.agent.host import Question

_TRIES = 3
"""How often a question without free answers is put before it counts as not answered."""


def ask_questions(
    questions: tuple[Question, ...], read: Callable[[str], str], write: Callable[[str], None]
) -> list[list[str]] | None:
    """Ask one after the other; ``None`` where the person ends it (end of input, an interrupt).

    Args:
        questions: what to ask.
        read: shows a prompt and gives the line that was typed.
        write: shows a text.
    """
    answers: list[list[str]] = []
    try:
        for question in questions:
            answers.append(_one(question, read, write))
    except (EOFError, KeyboardInterrupt):
        return None
    return answers


def _one(question: Question, read: Callable[[str], str], write: Callable[[str], None]) -> list[str]:
    head = f"{question.header}: " if question.header else ""
    write(visible(f"\n{head}{question.question}"))
    for number, option in enumerate(question.options, 1):
        write(visible(f"  {number}. {option}"))
    free = question.custom or not question.options
    wanted = "numbers, separated by commas" if question.multiple else "number"
    prompt = {
        (True, True): f"Your answer ({wanted}, or your own words): ",
        (True, False): f"Your answer ({wanted}): ",
    }.get((bool(question.options), free), "Your answer: ")
    for _ in range(_TRIES):
        found = _understood(read(prompt).strip(), question, free)
        if found is not None:
            return found
        write(f"Please give the {wanted} of what is offered, or nothing to skip the question.")
    return []


def _understood(line: str, question: Question, free: bool) -> list[str] | None:
    """The answer in a line; ``None`` where it is none."""
    if not line:
        return []
    words = re.split(r"[,\s]+", line.strip(" ,.")) if question.multiple else [line.rstrip(".")]
    if question.options and all(re.fullmatch(r"\d{1,3}", word) for word in words):
        numbers = [int(word) for word in words]
        if all(1 <= number <= len(question.options) for number in numbers):
            return [question.options[number - 1] for number in dict.fromkeys(numbers)]
        if not free:
            return None
    same = [option for option in question.options if option.lower() == line.lower()]
    return same[:1] or ([line] if free else None)


def answers_on_terminal(questions: tuple[Question, ...]) -> list[list[str]] | None:
    """Ask by ``input()`` if a terminal is attached; else nobody is there."""
    if not (sys.stdin and sys.stdin.isatty()):
        return None
    return ask_questions(questions, input, print)
