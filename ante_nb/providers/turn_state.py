"""A token by which a vendor brings all requests of one turn to the same server.

The ChatGPT backend gives it in a response header (or with the upgrade to a WebSocket) and wants it back
in the later requests of that turn, and of that turn only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TURNS = 16
"""Turns whose token is kept: those of sub-agents run side by side."""


class TurnState:
    """The tokens of the latest turns.

    Args:
        header: the name of the header; empty where the vendor has none.
    """

    def __init__(self, header: str) -> None:
        self._header = header.lower()
        self._tokens: dict[str, str] = {}

    def read(self, turn_id: str, headers: Mapping[str, str]) -> None:
        """Keep the token of an answer's headers (names in lower case); a turn's first one holds."""
        token = headers.get(self._header) if self._header else None
        if token and turn_id and turn_id not in self._tokens:
            self._tokens[turn_id] = token
            for old in list(self._tokens)[:-MAX_TURNS]:
                del self._tokens[old]

    def headers(self, turn_id: str) -> dict[str, str]:
        """What a request over HTTP carries."""
        token = self._tokens.get(turn_id)
        return {self._header: token} if token else {}

    def body(self, turn_id: str) -> dict[str, Any]:
        """What a request over an open WebSocket carries, which can send no header any more."""
        token = self._tokens.get(turn_id)
        return {"client_metadata": {self._header: token}} if token else {}
