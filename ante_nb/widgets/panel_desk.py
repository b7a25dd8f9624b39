"""What all panels and selectors of a kernel share: who looks on, what is under way, what a click does.

It lives on the kernel's loop. A view is a way to send messages; each gets everything anew when something
has changed, and keeps nothing. What was typed (a key, a pasted address) passes through one message and is
in no state that is sent.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ante_nb.errors import AnteError, ConfigError
from ante_nb.log import logger
from ante_nb.widgets import panel_state
from ante_nb.widgets.selector_actions import Actions
from ante_nb.widgets.selector_state import selector_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.notebook.state import KernelState

    Send = Callable[[dict[str, Any]], None]

_COALESCE = 0.05
"""Seconds in which further changes join the one that is about to be shown."""
_BEAT = 1.0
"""Seconds between two looks at a running turn."""
_MOST_VIEWS = 16
"""A page that was closed says nothing: the oldest view is forgotten first."""


def desk_of(state: KernelState, loop: asyncio.AbstractEventLoop) -> Desk:
    """The desk of a kernel; made on first use."""
    if state.desk is None:
        state.desk = Desk(state, loop)
    desk: Desk = state.desk
    return desk


class Desk:
    """See the module. Everything but :meth:`received` and :meth:`changed` is called on ``loop``."""

    def __init__(self, state: KernelState, loop: asyncio.AbstractEventLoop) -> None:
        self.state = state
        self.loop = loop
        self._views: list[Send] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pending = False
        self._again = False
        self._beating = False
        self._actions = Actions(state, loop, self.changed)
        state.runtime.on_change.append(self.changed)

    # ------------------------------------------------------------------------------------------- views

    def attach(self, send: Send) -> None:
        """A view is there: show it everything, now and whenever something changes."""
        if send not in self._views:
            self._views.append(send)
            del self._views[:-_MOST_VIEWS]
        self.changed()

    def detach(self, send: Send) -> None:
        if send in self._views:
            self._views.remove(send)

    def changed(self) -> None:
        """Something may look different now; called on any thread."""
        with suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self._schedule)

    def _schedule(self) -> None:
        if self._pending:
            self._again = True
        elif self._views:
            self._pending = True
            self._spawn(self._show())

    async def _show(self) -> None:
        try:
            while True:
                self._again = False
                self._beat_while_running()
                await asyncio.sleep(_COALESCE)
                try:
                    found = await asyncio.to_thread(self._whole)
                except Exception:
                    logger.exception("the panel's state could not be made")
                    found = {"problem": "the state cannot be shown; the log says why (`%ante doctor`)"}
                found = _safe(found) | self._actions.under_way()
                self._tell({"kind": "state", "state": found | _safe(panel_state.turn_state(self.state))})
                if not self._again:
                    return
        finally:
            self._pending = False

    def _whole(self) -> dict[str, Any]:
        return selector_state(self.state, self._actions.live) | panel_state.session_state(self.state)

    def _beat_while_running(self) -> None:
        if self.state.runtime.running is not None and not self._beating:
            self._beating = True
            self._spawn(self._beat())

    async def _beat(self) -> None:
        try:
            while self.state.runtime.running is not None and self._views:
                await asyncio.sleep(_BEAT)
                try:
                    context = await asyncio.to_thread(panel_state.context_state, self.state)
                except Exception:
                    logger.exception("the panel's context could not be made")
                    context = {}
                if self.state.runtime.running is None:
                    return  # how it ended is shown by the change that this was
                self._tell({"kind": "state", "state": _safe(context | panel_state.turn_state(self.state))})
        finally:
            self._beating = False

    def _tell(self, message: dict[str, Any]) -> None:
        for send in list(self._views):
            try:
                send(message)
            except Exception:
                logger.exception("a panel could not be told")
                self.detach(send)

    # ------------------------------------------------------------------------------------------ clicks

    def received(self, send: Send, content: Any) -> None:
        """A message of a view; called on any thread."""
        if isinstance(content, dict):
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._take, send, content)

    def _take(self, send: Send, content: dict[str, Any]) -> None:
        if content.get("kind") == "ready":
            self.attach(send)
        else:
            self._spawn(self._act(send, content))

    async def _act(self, send: Send, content: dict[str, Any]) -> None:
        """Do it, and tell the view that asked how it went."""
        ok, words = True, ""
        try:
            words = await self._actions.run(content) or ""
        except AnteError as error:
            ok, words = False, str(error)
        except asyncio.CancelledError:
            ok, words = False, "cancelled"
        except Exception as error:
            # Without the text: it may hold what was typed.
            logger.error("a click could not be carried out: %s", type(error).__name__)
            ok, words = False, f"that went wrong ({type(error).__name__}); the log may say more"
        data, self._actions.taken_back = self._actions.taken_back, ""
        answer = {"kind": "answer", "n": content.get("n"), "ok": ok, "text": _safe(words), "data": data}
        with suppress(Exception):
            send(answer)
        self.changed()

    def _spawn(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _safe(value: Any) -> Any:
    """``value`` without credentials and without characters that would change what a person reads."""
    from ante_nb.notebook.render.allowlist import visible
    from ante_nb.redact import redact

    if isinstance(value, str):
        return visible(redact(value))
    if isinstance(value, dict):
        return {key: _safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(item) for item in value]
    return value


def text_of(content: dict[str, Any], name: str) -> str:
    """A text of a message.

    Raises:
        ConfigError: it is not there, which only another version of the page could do.
    """
    value = content.get(name)
    if not isinstance(value, str):
        raise ConfigError("the page sent something that is not understood", "Reload the page.")
    return value
