"""The model's questions: presenters are asked in order who can get an answer now; stdin is the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ante_nb.agent.questions import ask_questions
from ante_nb.notebook.approval import READY_TIMEOUT, by_input, can_ask

if TYPE_CHECKING:
    from ante_nb.agent.host import Question
    from ante_nb.notebook.interrupt import InterruptGuard
    from ante_nb.notebook.state import KernelState


async def ask(
    state: KernelState, questions: tuple[Question, ...], guard: InterruptGuard | None
) -> list[list[str]] | None:
    """The person's answers, a list for each question; ``None`` where nobody is there or none was given."""
    from ante_nb.log import logger

    for presenter in list(state.question_presenters):
        try:
            if await presenter.ready(READY_TIMEOUT):
                return await presenter.ask(questions)
        except Exception:
            # A presenter that is broken must not end the question; the next one is asked.
            logger.exception("the question presenter %s failed", presenter.name)
    return put_now(state, questions, guard) if can_ask(state) else None


def put_now(
    state: KernelState, questions: tuple[Question, ...], guard: InterruptGuard | None
) -> list[list[str]] | None:
    """Ask by ``input()``, blocking this thread."""
    return by_input(lambda read, write: ask_questions(questions, read, write), guard)
