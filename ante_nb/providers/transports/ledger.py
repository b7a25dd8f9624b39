"""Keeps what goes out to a provider, byte for byte, for whoever wants to see it (``%ante sent``).

It is filled where the bytes are handed to the network, so that nothing can leave beside it. Headers are
not in it: they hold the key.
"""

from __future__ import annotations

import contextlib
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ante_nb.providers.failure_words import safe_url

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT_BYTES = 32 * 1024 * 1024
"""Bodies of one turn that are kept; of what comes after only the size is."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: when (Unix seconds), where to (without query), how many bytes, and the body itself."""

    at: float
    url: str
    size: int
    body: bytes | None
    transport: str


@dataclass(slots=True)
class Ledger:
    """The requests of one turn, in order."""

    requests: list[Sent] = field(default_factory=list)
    _kept: int = 0

    def note(self, url: str, body: bytes, transport: str) -> None:
        """Take note of a request that is about to go out."""
        keep = self._kept + len(body) <= KEPT_BYTES
        self._kept += len(body) if keep else 0
        where = safe_url(url).partition("?")[0]
        self.requests.append(Sent(time.time(), where, len(body), body if keep else None, transport))


_LEDGER: ContextVar[Ledger | None] = ContextVar("ante_nb_ledger", default=None)


@contextlib.contextmanager
def recording(ledger: Ledger) -> Iterator[None]:
    """Within this block (and the tasks started in it) requests are noted in ``ledger``."""
    token = _LEDGER.set(ledger)
    try:
        yield
    finally:
        _LEDGER.reset(token)


def note(url: str, body: bytes | None, transport: str) -> None:
    """Called by the transports."""
    ledger = _LEDGER.get()
    if ledger is not None and body is not None:
        ledger.note(url, body, transport)
