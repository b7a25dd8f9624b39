"""The card of ``%ante login``: link, code, paste field, live state, Cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traitlets import Bool, Float, Unicode

from ante_nb.widgets.card import Card

if TYPE_CHECKING:
    from collections.abc import Callable


class SignInCard(Card):
    """Args:
    label: the heading.
    on_paste: called with what the person pasted; it is in no trait, so it is never saved.
    on_cancel: called when the person cancels.

    Link and user code are traits while they are needed; :meth:`clear` empties them.
    """

    script = "sign_in_card.js"

    state = Unicode("starting").tag(sync=True)
    """``starting``, then the states of the flow."""
    message = Unicode("").tag(sync=True)
    problem = Bool(False).tag(sync=True)
    """Whether ``message`` says that something pasted could not be used."""
    way = Unicode("").tag(sync=True)
    link = Unicode("").tag(sync=True)
    user_code = Unicode("").tag(sync=True)
    accepts_paste = Bool(False).tag(sync=True)
    seconds_left = Float(0.0).tag(sync=True)
    """From the moment of sending: the browser's clock may be wrong, its stopwatch is not."""

    def __init__(
        self, label: str, on_paste: Callable[[str], object], on_cancel: Callable[[], None], **state: Any
    ) -> None:
        self._on_paste = on_paste
        self._on_cancel = on_cancel
        super().__init__(label=label, **state)

    def received(self, content: dict[str, Any]) -> None:
        text = content.get("text")
        if content.get("kind") == "paste" and isinstance(text, str):
            self._on_paste(text)
        elif content.get("kind") == "cancel":
            self._on_cancel()

    def clear(self, state: str, message: str) -> None:
        """Show how it ended, and forget link and code."""
        with self.hold_sync():
            self.link = self.user_code = self.way = ""
            self.accepts_paste = self.problem = False
            self.seconds_left = 0.0
            self.state, self.message = state, message
