"""The model's questions: presenters are asked in order who can get an answer now; stdin is the last."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ante_nb.agent.questions import ask_questions
from ante_nb.notebook.approval import READY_TIMEOUT, by_input, can_ask

if TYPE_CHECKING:
    from ante_nb.agent.host import Question, QuestionPresenter
    from ante_nb.notebook.asking import CardQuestion, Desk
    from ante_nb.notebook.interrupt import InterruptGuard
    from ante_nb.notebook.state import KernelState


async def ask(
    state: KernelState,
    questions: tuple[Question, ...],
    guard: InterruptGuard | None,
    desk: Desk | None = None,
) -> list[list[str]] | None:
    """The person's answers, a list for each question; ``None`` where nobody is there or none was given.

    A card at the ``desk`` is asked after ``state.question_presenters``. Cancelled, it takes the questions
    back.
    """
    from ante_nb.log import logger

    presenters: list[QuestionPresenter] = list(state.question_presenters)
    if desk is not None:
        presenters.append(QuestionCardPresenter(desk, questions))
    for presenter in presenters:
        try:
            if await presenter.ready(READY_TIMEOUT):
                return await presenter.ask(questions)
        except Exception:
            # A presenter that is broken must not end the question; the next one is asked.
            logger.exception("the question presenter %s failed", presenter.name)
    return put_now(state, questions, guard) if can_ask(state) else None


class QuestionCardPresenter:
    """Asks by a card in the cell."""

    name = "card"

    def __init__(self, desk: Desk, questions: tuple[Question, ...]) -> None:
        self._desk = desk
        self._questions = questions
        self._card: CardQuestion | None = None

    async def ready(self, timeout: float) -> bool:
        if not self._desk.can_show:
            return False
        from ante_nb.notebook import question_view as view
        from ante_nb.notebook.asking import CardQuestion

        twins, shown = view.pending_twins(self._questions), view.traits(self._questions)
        self._card = CardQuestion(self._desk, "question", twins, self._accept, **shown)
        return await self._card.opened(timeout)

    async def ask(self, questions: tuple[Question, ...]) -> list[list[str]] | None:
        from ante_nb.notebook import question_view as view

        assert self._card is not None
        twins, words = view.answered(questions, None, "the question could not be shown any more"), ""
        try:
            answers: list[list[str]] | None = (await self._card.answered())[0]
            why = "" if answers else "you gave no answer"
            twins, words = view.answered(questions, answers, why), "Answered" if answers else "Not answered"
        except asyncio.CancelledError:
            twins, words = view.answered(questions, None, "the turn was stopped"), "The turn was stopped"
            raise
        finally:
            self._card.end(twins, words)
        return answers

    def _accept(self, content: dict[str, Any]) -> tuple[list[list[str]] | None] | None:
        """The answers in a tuple, which holds ``None`` where the person declined; ``None``: no answer yet."""
        from ante_nb.notebook.question_view import understood

        if content.get("kind") == "decline":
            return (None,)
        answers = understood(self._questions, content) if content.get("kind") == "answer" else None
        return None if answers is None else (answers,)


def put_now(
    state: KernelState, questions: tuple[Question, ...], guard: InterruptGuard | None
) -> list[list[str]] | None:
    """Ask by ``input()``, blocking this thread."""
    return by_input(lambda read, write: ask_questions(questions, read, write), guard)
