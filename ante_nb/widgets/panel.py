"""The panel and its two ways to a page: beside the notebook through our extension, or below a cell as a card.

Both show the same script, which the kernel sends, so that it is always of the kernel's own version.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from ante_nb._version import __version__
from ante_nb.widgets.card import Card, asset
from ante_nb.widgets.panel_desk import desk_of

if TYPE_CHECKING:
    from ante_nb.notebook.state import KernelState

TARGET = "ante_nb.panel"
PROTOCOL = 1
"""Of what the extension and this module say to each other; the script has none: it comes from here."""
_PARTS = ("panel_parts.js", "selector_model.js", "selector.js")


class PanelCard(Card):
    """The panel below a cell, for front ends without our extension.

    It has no state of its own: what it shows comes and goes as messages, so none of it is ever saved.
    """

    script = "panel.js"
    parts = _PARTS
    sheets = ("panel.css",)

    def __init__(self, state: KernelState) -> None:
        super().__init__(label="Ante")
        self._desk = desk_of(state, self._loop)

    def received(self, content: dict[str, Any]) -> None:
        self._desk.received(self.send, content)

    def _take(self, content: dict[str, Any]) -> None:
        # Each page that shows it says that it is ready, and wants to see everything.
        super()._take(content)
        if content.get("kind") == "ready":
            self._desk.received(self.send, content)

    def dispose(self) -> None:
        self._desk.detach(self.send)
        super().dispose()


def opened(state: KernelState, comm: Any, message: dict[str, Any]) -> None:
    """A page has opened a panel beside a notebook of this kernel; may be on the thread of a subshell."""
    data = message.get("content", {}).get("data", {})
    hello = {"kind": "hello", "v": PROTOCOL, "version": __version__}
    if data.get("v") != PROTOCOL:
        # The page says so in its own words; nothing else of it would be understood.
        comm.send(hello)
        return
    desk = desk_of(state, _main_loop(state))
    comm.on_msg(lambda message: desk.received(comm.send, message["content"]["data"]))
    comm.on_close(lambda message: desk.loop.call_soon_threadsafe(desk.detach, comm.send))
    comm.send({**hello, "script": _joined(*_PARTS, "panel.js"), "style": _joined("card.css", "panel.css")})


def _joined(*names: str) -> str:
    return "\n".join(map(asset, names))


def _main_loop(state: KernelState) -> asyncio.AbstractEventLoop:
    if threading.current_thread() is threading.main_thread():
        return asyncio.get_running_loop()
    loop: asyncio.AbstractEventLoop = state.shell.kernel.io_loop.asyncio_loop
    return loop
