"""The kernel's half of the front end's extension: one comm per request, on the kernel's loop.

Every page that shows the notebook hears a request; the one that sent the running cell is chosen by its
client id, so that two open pages never change a cell twice. The other half is
``labextension/static/remoteEntry.js``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ante_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ante_nb.notebook.state import KernelState

TARGET = "ante_nb.notebook"
PROTOCOL = 1
HELLO_TIMEOUT = 3.0
"""Seconds in which a front end with our extension says that it is there."""
REPLY_TIMEOUT = 15.0
"""Seconds for the answer to a request: a page in the background is slow."""
_SILENT_BEFORE = 0.5
"""The same for a page that did not answer in an earlier turn."""
_OTHERS = 0.3
"""Seconds that the page of the running cell gets after another page has answered."""

NO_EXTENSION = "this front end does not have ante_nb's extension (JupyterLab and Notebook 7 load it at start)"
OLD_KERNEL = "this version of ipykernel delivers no messages while a cell runs (7.4 or later does)"


class NoFrontEnd(Exception):
    """There is no front end to talk to; the text says why."""


class NoAnswer(Exception):
    """A request was sent, and its outcome is not known."""


class FrontEndLink:
    """The front end of one running prompt cell.

    Args:
        state: the kernel's state; must be used on the kernel's thread.
        wait: awaits on the kernel's loop, ended by an interrupt.
    """

    def __init__(
        self, state: KernelState, wait: Callable[[Awaitable[Any]], Awaitable[Any]] | None = None
    ) -> None:
        self._state = state
        self._wait = wait
        self._absent: str | None = None
        self._seen = False

    async def request(self, op: str, **data: Any) -> dict[str, Any]:
        """Send a request; the reply.

        Raises:
            NoFrontEnd: nobody is there; nothing was sent.
            NoAnswer: it was sent and not answered.
        """
        if self._absent is None:
            self._absent = self._impossible()
        if self._absent is not None:
            raise NoFrontEnd(self._absent)
        exchange = _Exchange(self._state)
        try:
            talk = self._talk(exchange, op, data)
            reply = await (self._wait(talk) if self._wait else talk)
        finally:
            exchange.close()
        return reply

    async def _talk(self, exchange: _Exchange, op: str, data: dict[str, Any]) -> dict[str, Any]:
        silent = bool(exchange.own) and self._state.silent_page == exchange.own
        first = _SILENT_BEFORE if silent else HELLO_TIMEOUT
        client = await exchange.hello(REPLY_TIMEOUT if self._seen else first)
        self._seen = self._seen or client is not None
        self._state.silent_page = "" if self._seen else exchange.own
        if client is None:
            # Not asked again in this turn: every further call would wait as long.
            self._absent = None if self._seen else NO_EXTENSION
            raise NoFrontEnd(NO_EXTENSION if not self._seen else "the page of this notebook does not answer")
        if exchange.version != PROTOCOL:
            self._absent = (
                "the extension in the front end is of another version of ante_nb: "
                "restart the Jupyter server and reload the page"
            )
            raise NoFrontEnd(self._absent)
        return await exchange.ask(client, op, data, REPLY_TIMEOUT)

    def _impossible(self) -> str | None:
        from ante_nb.notebook.approval import can_ask
        from ante_nb.notebook.frontend import is_plain

        # Without stdin no person sits in front of it (nbclient, papermill): no page to talk to.
        if not self._state.is_kernel or is_plain(self._state.shell) or not can_ask(self._state):
            return "no notebook page is attached to this kernel"
        from ipykernel._version import version_info

        return OLD_KERNEL if version_info < (7,) else None


async def page_answers(state: KernelState, timeout: float) -> bool:
    """Whether a page with our extension answers while the cell runs; it takes at most ``timeout`` seconds."""
    exchange = _Exchange(state)
    try:
        return await exchange.hello(timeout) is not None
    finally:
        exchange.close()


class _Exchange:
    """A comm, opened for one request."""

    def __init__(self, state: KernelState) -> None:
        from comm import create_comm

        self._loop = asyncio.get_running_loop()
        self._came: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        header = state.request.get("header", {})
        self.own: str = header.get("session", "")
        self._cell = state.cell_id
        self.version = 0
        self._closed = False
        self._comm: Any = create_comm(target_name=TARGET, data={"v": PROTOCOL, "cell": self._cell})
        self._comm.on_msg(lambda message: self._take(message["content"]["data"]))
        # A page without the extension closes the comm at once.
        self._comm.on_close(lambda message: self._take(None))

    def _take(self, data: Any) -> None:
        # On another thread where the front end uses a subshell.
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._came.put_nowait, data if isinstance(data, dict) else None)

    async def hello(self, timeout: float) -> str | None:
        """The client id of the page to talk to; ``None`` where none answers."""
        found: list[dict[str, Any]] = []
        end = self._loop.time() + timeout
        while True:
            left = end - self._loop.time()
            try:
                data = await asyncio.wait_for(self._came.get(), max(left, 0.0))
            except TimeoutError:
                break
            if data is None:
                self._closed = True
                break
            if "ready" not in data:
                continue
            found.append(data)
            if data.get("from") == self.own:
                break
            end = min(end, self._loop.time() + _OTHERS)
        if not found:
            return None
        best = max(found, key=lambda item: (item.get("from") == self.own, bool(item.get("holds"))))
        self.version = best.get("ready", 0)
        return str(best.get("from"))

    async def ask(self, client: str, op: str, data: dict[str, Any], timeout: float) -> dict[str, Any]:
        self._comm.send({**data, "op": op, "to": client, "cell": self._cell})
        end = self._loop.time() + timeout
        while True:
            try:
                answer = await asyncio.wait_for(self._came.get(), max(end - self._loop.time(), 0.0))
            except TimeoutError:
                raise NoAnswer("the front end did not answer in time") from None
            if answer is None:
                raise NoAnswer("the page was closed before it answered")
            reply = answer.get("reply")
            if answer.get("from") == client and isinstance(reply, dict):
                return reply

    def close(self) -> None:
        """Forget the comm, here and in the page."""
        try:
            self._comm.close(deleting=self._closed)
        except Exception:
            logger.exception("a comm could not be closed")
