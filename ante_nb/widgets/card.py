"""What every card has: a front end that reports when it is there, and messages that never become state.

A card is an anywidget. Its synced traits hold what is shown and are saved with a notebook where a front
end saves widget state; what a person types or clicks comes as a custom message and is kept nowhere.
"""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import Any, ClassVar

import anywidget
from traitlets import Unicode

_HERE = Path(__file__).parent


@functools.cache
def asset(name: str) -> str:
    """A script or style sheet of this directory, read once."""
    return (_HERE / name).read_text(encoding="utf-8")


class Card(anywidget.AnyWidget):
    """A card, made and used on a running event loop; ``script`` names its JavaScript.

    The script's ``render`` ends in ``model.send({kind: "ready", ...})``. A front end that has sent it can
    also send clicks while the cell runs; where none comes (no widgets, an ipykernel that holds back
    messages while a cell runs, nobody there), the caller must ask in another way.
    """

    script: ClassVar[str]
    parts: ClassVar[tuple[str, ...]] = ()
    """Scripts whose functions ``script`` uses; they are put before it."""
    sheets: ClassVar[tuple[str, ...]] = ()
    """Style sheets beside the one of all cards."""
    label = Unicode("").tag(sync=True)
    """What a screen reader calls the card."""

    def __init__(self, **state: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()
        self.ready: dict[str, Any] | None = None
        """What the front end said of itself when it was ready; ``None`` before."""
        # Text, not paths: no file is watched.
        kind = type(self)
        self._esm = "\n".join(map(asset, (*kind.parts, kind.script)))
        self._css = "\n".join(map(asset, ("card.css", *kind.sheets)))
        super().__init__(**state)
        self.on_msg(self._on_message)

    async def wait_ready(self, timeout: float) -> bool:
        """Whether a front end has reported within ``timeout`` seconds."""
        try:
            await asyncio.wait_for(self._came.wait(), timeout)
        except TimeoutError:
            return False
        return True

    def received(self, content: dict[str, Any]) -> None:
        """A message other than ``ready``, on the loop the card was made on."""

    def dispose(self) -> None:
        """Take the card and its layout out of the front end's memory."""
        layout = self.layout
        self.close()
        if layout is not None:
            layout.close()

    def bundle(self, text: str, html: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """MIME data and metadata of the card, with twins for where it cannot be shown."""
        data, metadata = self._repr_mimebundle_() or ({}, {})
        return {**data, "text/plain": text, "text/html": html}, metadata

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        # A front end may deliver on the thread of a subshell.
        if isinstance(content, dict):
            try:
                self._loop.call_soon_threadsafe(self._take, content)
            except RuntimeError:  # the loop has ended; nobody is left to be told
                pass

    def _take(self, content: dict[str, Any]) -> None:
        if content.get("kind") == "ready":
            self.ready = content
            self._came.set()
        else:
            self.received(content)
