"""The model's questions: presenters are asked in order who can get an answer now; stdin is the last."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from ante_nb.agent.questions import ask_questions
from ante_nb.notebook.approval import READY_TIMEOUT, can_ask

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
    from IPython.core.error import StdinNotImplementedError

    from ante_nb.notebook.render.allowlist import visible

    interrupted = False

    def read(prompt: str) -> str:
        nonlocal interrupted
        try:
            with guard.blocking() if guard else nullcontext():
                return input(prompt)
        except KeyboardInterrupt:
            interrupted = True
            raise

    try:
        answers = ask_questions(questions, read, lambda text: print(visible(text), flush=True))
    except StdinNotImplementedError:
        return None
    if interrupted and guard is None:
        raise KeyboardInterrupt
    return answers
