"""How often a display may be updated, given how fast its text comes and what an update costs.

Measured in JupyterLab: an update makes the browser render the whole output again, and its bytes travel
whole. So the interval grows with the text that is updated, and a byte account bounds the sum.
"""

from __future__ import annotations

import math

__all__ = ["ENVELOPE", "Pace"]

ENVELOPE = 700
"""Bytes of a Jupyter message around its data: header, parent header, signature, display id."""

_SLOW = 1_000.0
"""A producer below this many characters per second is updated at most four times a second."""
_LIMIT = 25_800.0
"""Bytes per second on the wire that a producer below 5 KB/s may cost, all in."""
_RATIO = 5.2
"""The same for a faster one, per character: an answer of 80 KB costs 420 KB."""
_FINAL = 3.6
"""What a character is expected to cost when its segment is finished (twin, HTML, colour), till it is known."""
_BURST = 6_000.0
_MEMORY = 2.0
"""Seconds over which the producer's rate is averaged."""


class Pace:
    """Rate of one producer and the byte account of its updates; time is passed in, in seconds."""

    def __init__(self) -> None:
        self.rate = 0.0
        """Characters per second, averaged over about two seconds."""
        self._since: float | None = None
        self._balance = _BURST
        self._at = -math.inf
        self._age = 0.0
        self._early = 0
        self._characters = 2_000
        self._bytes = _FINAL * 2_000

    def arrived(self, characters: int, now: float) -> None:
        """So many characters came since the last call."""
        if self._since is None:
            self._since = now
            return
        elapsed = now - self._since
        if elapsed <= 0.0:
            self._early += characters
            return
        self._age += elapsed
        # At first the plain mean: an average that starts at zero would take every producer for a slow one.
        weight = max(1.0 - math.exp(-elapsed / _MEMORY), elapsed / self._age)
        self.rate += ((characters + self._early) / elapsed - self.rate) * weight
        self._early = 0
        self._since = now

    def finished(self, characters: int, size: int) -> None:
        """Text was published for good, ``size`` bytes of data for so many characters."""
        self._characters += characters
        self._bytes += size + ENVELOPE

    @property
    def allowance(self) -> float:
        """Bytes per second that updates may cost: the limit less what finished text costs."""
        limit = max(_LIMIT, _RATIO * self.rate)
        final = self._bytes / self._characters
        return max(limit - final * self.rate, 0.45 * self.rate, 2_250.0)

    def spent(self, size: int, now: float) -> None:
        """An update of ``size`` bytes of data was published."""
        self._settle(now)
        self._balance -= size + ENVELOPE

    def _settle(self, now: float) -> None:
        if now > self._at:
            if self._at > -math.inf:
                self._balance = min(_BURST, self._balance + (now - self._at) * self.allowance)
            self._at = now

    def affordable(self, now: float) -> float:
        """The earliest time at which the account allows an update."""
        self._settle(now)
        return now if self._balance >= 0.0 else now - self._balance / self.allowance

    def interval(self, length: int) -> float:
        """Seconds between two updates of a display that holds ``length`` characters."""
        seconds = min(0.06 + length / 50_000, 0.4)
        return max(seconds, 0.25) if self.rate < _SLOW else seconds
