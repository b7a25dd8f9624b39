"""What approval and question cards share: one message with the answer, kept nowhere, and a last word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traitlets import Unicode

from ante_nb.widgets.card import Card

if TYPE_CHECKING:
    from collections.abc import Callable


class AskingCard(Card):
    """Args:
    on_message: called with every message of the card but ``ready``, on the loop it was made on.
    """

    parts = ("asking.js",)
    sheets = ("asking.css",)

    state = Unicode("waiting").tag(sync=True)
    """``waiting``, then ``done``."""
    message = Unicode("").tag(sync=True)

    def __init__(self, on_message: Callable[[dict[str, Any]], None], **state: Any) -> None:
        self._on_message_of_person = on_message
        super().__init__(**state)

    def received(self, content: dict[str, Any]) -> None:
        self._on_message_of_person(content)

    def conclude(self, words: str) -> None:
        """Say how it ended; no answer is taken any more."""
        with self.hold_sync():
            self.state, self.message = "done", words
