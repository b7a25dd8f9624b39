"""A question to the person as a card in the running cell: shown, waited for, and turned into plain text.

The card goes out with a text and an HTML twin, and when it has been answered nothing but those two is left,
so a saved notebook needs no widget to be read.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from ante_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ante_nb.notebook.state import KernelState

Twins = tuple[str, str]
"""The same as plain text and as HTML, both safe to publish."""

OUTPUTS = 8
"""Outputs that the questions of one turn may use, beside the turn's own; later ones share the last."""
_LOADING = 15.0
"""Seconds that a page gets which is known to answer: the first card loads the widgets' code."""
_MISSED = 0.5
"""Seconds that a page gets whose last card did not report: a page with widgets takes a tenth of that."""


class Desk:
    """Where the questions of one turn are put.

    Args:
        state: the kernel's state.

    Made when the turn starts: while a tool runs, the shell's publisher is another one.
    """

    def __init__(self, state: KernelState) -> None:
        self.state = state
        self.publisher: Any = state.outputs or getattr(state.shell, "display_pub", None)
        self._slots: list[Slot] = []

    def slot(self) -> Slot:
        """A place below everything shown so far, as long as there is room for a further output."""
        if self._slots and (self._slots[-1].void or len(self._slots) >= OUTPUTS):
            return self._slots[-1]
        self._slots.append(Slot(self.publisher))
        return self._slots[-1]

    @property
    def can_show(self) -> bool:
        """Whether there may be a page with a person in front of it that shows widgets."""
        from ante_nb.notebook.approval import can_ask
        from ante_nb.notebook.frontend import is_plain

        # Where nobody can type (nbclient, papermill) nobody clicks, and nbclient would save the card's state.
        if not self.state.is_kernel or is_plain(self.state.shell) or not can_ask(self.state):
            return False
        from ipykernel._version import version_info

        # Before 7 a message to the kernel waits until the cell has ended.
        return version_info >= (7,)


class Slot:
    """One output, and what stands in it for good."""

    def __init__(self, publisher: Any) -> None:
        self._publisher = publisher
        self._id = uuid.uuid4().hex
        self._sent = False
        self._lasting: list[Twins] = []

    @property
    def void(self) -> bool:
        return not self._lasting

    def show(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Show a card in place of what stands here."""
        self._publisher.publish(data, metadata, transient={"display_id": self._id}, update=self._sent)
        self._sent = True

    def settle(self, twins: Twins | None) -> None:
        """Take the card away; ``twins`` stay for good."""
        if twins is not None:
            self._lasting.append(twins)
        text = "\n".join(plain for plain, _ in self._lasting)
        self.show({"text/plain": text, "text/html": "".join(html for _, html in self._lasting)}, {})


class CardQuestion:
    """One card, from its making to its end.

    Args:
        desk: where it is put.
        name: the card's name in ``KernelState.cards``.
        twins: what stands for the card where it cannot be shown.
        accept: turns what the card sent into an answer; ``None`` where it is none.
        traits: what the card shows.
    """

    def __init__(
        self, desk: Desk, name: str, twins: Twins, accept: Callable[[dict[str, Any]], Any], **traits: Any
    ) -> None:
        self._desk = desk
        self._name = name
        self._twins = twins
        self._accept = accept
        self._traits = traits
        self._card: Any = None
        self._slot: Slot | None = None
        self._answer: asyncio.Future[Any] | None = None

    async def opened(self, timeout: float) -> bool:
        """Show the card; whether a front end has shown it and can answer. If not, nothing is left of it."""
        state = self._desk.state
        make = state.cards.get(self._name)
        if make is None or not self._desk.can_show:
            return False
        page = str(state.request.get("header", {}).get("session", ""))
        if page and state.missed_cards == page:
            timeout = min(timeout, _MISSED)
        self._answer = asyncio.get_running_loop().create_future()
        try:
            self._card = make(self._take, **self._traits)
        except Exception:
            logger.exception("a card could not be made")
            return False
        self._slot = self._desk.slot()
        try:
            text, html = self._twins
            self._slot.show(*self._card.bundle(text, html))
            came = await self._came(timeout)
        except BaseException:
            self.end(None)
            raise
        state.missed_cards = "" if came else page
        if not came:
            self.end(None)
        return came

    async def _came(self, timeout: float) -> bool:
        from ante_nb.notebook.cells.link import page_answers

        answers = asyncio.ensure_future(page_answers(self._desk.state, timeout))
        try:
            if await self._card.wait_ready(timeout):
                return True
            return await answers and await self._card.wait_ready(_LOADING)
        finally:
            answers.cancel()

    async def answered(self) -> Any:
        """What the person answered."""
        assert self._answer is not None
        return await self._answer

    def end(self, twins: Twins | None, words: str = "") -> None:
        """Leave ``twins``, or nothing; ``words`` is what the card says last."""
        if self._card is None or self._slot is None:
            return
        card, self._card = self._card, None
        try:
            card.conclude(words)
        finally:
            self._slot.settle(twins)
            card.dispose()

    def _take(self, content: dict[str, Any]) -> None:
        if self._answer is None or self._answer.done():
            return  # another view of the card was quicker
        found = self._accept(content)
        if found is not None:
            self._answer.set_result(found)


class Asked:
    """A dialogue on the kernel's loop that ends when the agent stops waiting for its answer."""

    def __init__(self) -> None:
        self._task: asyncio.Future[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._withdrawn = False

    async def run(self, dialogue: Awaitable[Any]) -> Any:
        """Hold the dialogue; cancelled by :meth:`withdraw`."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(dialogue)
        if self._withdrawn:
            self._task.cancel()
        return await self._task

    def withdraw(self) -> None:
        """Nobody waits for the answer any more. Called on any thread."""
        self._withdrawn = True
        if self._loop is not None and self._task is not None:
            try:
                self._loop.call_soon_threadsafe(self._task.cancel)
            except RuntimeError:  # the kernel's loop has ended
                pass
