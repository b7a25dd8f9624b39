"""Approvals: presenters are asked in order who can get an answer now; with none, the call is denied."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from ante_nb.agent.headless import ask_by_input
from ante_nb.agent.host import Approval, ApprovalRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.agent.host import ApprovalPresenter
    from ante_nb.notebook.asking import CardQuestion, Desk
    from ante_nb.notebook.interrupt import InterruptGuard
    from ante_nb.notebook.state import KernelState

T = TypeVar("T")

_MOST_WORDS = 4_000

READY_TIMEOUT = 1.5
"""Seconds in which a presenter must know that its front end answers."""


async def approve(
    state: KernelState, request: ApprovalRequest, guard: InterruptGuard | None, desk: Desk | None = None
) -> Approval:
    """The person's answer, by the first presenter that is ready; denied where there is nobody.

    A card at the ``desk`` is asked after ``state.presenters``, stdin is the last. Cancelled, it takes the
    question back.
    """
    from ante_nb.log import logger

    presenters: list[ApprovalPresenter] = list(state.presenters)
    if desk is not None:
        presenters.append(CardPresenter(desk, request))
    presenters.append(StdinPresenter(state, guard))
    for presenter in presenters:
        try:
            if await presenter.ready(READY_TIMEOUT):
                return await presenter.ask(request)
        except Exception:
            # A presenter that is broken must not decide; the next one is asked.
            logger.exception("the approval presenter %s failed", presenter.name)
    return Approval("deny", by="unattended")


class CardPresenter:
    """Asks one request by a card in the cell."""

    name = "card"

    def __init__(self, desk: Desk, request: ApprovalRequest) -> None:
        self._desk = desk
        self._request = request
        self._question: CardQuestion | None = None

    async def ready(self, timeout: float) -> bool:
        if not self._desk.can_show:
            return False
        from ante_nb.notebook import approval_view as view
        from ante_nb.notebook.asking import CardQuestion

        request = self._request
        self._question = CardQuestion(
            self._desk, "approval", view.pending_twins(request), self._accept, **view.traits(request)
        )
        try:
            return await self._question.opened(timeout)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._question.end(None)
            raise

    async def ask(self, request: ApprovalRequest) -> Approval:
        from ante_nb.notebook import approval_view as view

        assert self._question is not None
        twins, words = view.unanswered(request, "the question could not be shown any more")
        try:
            answer: Approval = await self._question.answered()
            twins, words = view.decided(request, answer)
        except asyncio.CancelledError:
            twins, words = view.unanswered(request, "the turn was stopped")
            raise
        finally:
            self._question.end(twins, words)
        return answer

    def _accept(self, content: dict[str, Any]) -> Approval | None:
        answer, said = content.get("answer"), content.get("feedback")
        if answer == "deny":
            return Approval("deny", said.strip()[:_MOST_WORDS] if isinstance(said, str) else "")
        if answer in ("session", "always") and not self._request.grant:
            return None
        return Approval(answer) if answer in ("once", "session", "always") else None


class StdinPresenter:
    """Asks by ``input()``: works in every front end that has a person in front of it."""

    name = "stdin"

    def __init__(self, state: KernelState, guard: InterruptGuard | None) -> None:
        self._state = state
        self._guard = guard

    async def ready(self, timeout: float) -> bool:
        return can_ask(self._state)

    async def ask(self, request: ApprovalRequest) -> Approval:
        return ask_now(self._state, request, self._guard)


def can_ask(state: KernelState) -> bool:
    """Whether the front end of the running cell answers ``input()``."""
    kernel: Any = getattr(state.shell, "kernel", None)
    if kernel is None:
        import sys

        return bool(sys.stdin and sys.stdin.isatty())
    # Private, but there is no other way to know before asking; asking without it raises.
    return bool(getattr(kernel, "_allow_stdin", False))


def ask_now(state: KernelState, request: ApprovalRequest, guard: InterruptGuard | None) -> Approval:
    """Ask by ``input()``, blocking this thread."""
    return by_input(lambda read, write: ask_by_input(request, read, write), guard) or Approval(
        "deny", by="unattended"
    )


def by_input(
    dialogue: Callable[[Callable[[str], str], Callable[[str], None]], T], guard: InterruptGuard | None
) -> T | None:
    """Hold a dialogue by ``input()``, blocking this thread; ``None`` where the front end has no prompt.

    An interrupt is the dialogue's to answer; without a ``guard`` it is raised once that has ended.
    """
    from contextlib import nullcontext

    from IPython.core.error import StdinNotImplementedError

    from ante_nb.notebook.render.allowlist import visible

    def write(text: str) -> None:
        print(visible(text), flush=True)

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
        answer = dialogue(read, write)
    except StdinNotImplementedError:
        return None
    if interrupted and guard is None:
        raise KeyboardInterrupt
    return answer
