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
_LIMIT = 28_000.0
"""Bytes per second on the wire that a producer below 5 KB/s may cost, all in."""
_FINAL = 3.6
"""Bytes that a character costs when its segment is finished: the twin, the HTML, its code colour."""
_BURST = 8_000.0
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

    def arrived(self, characters: int, now: float) -> None:
        """So many characters came since the last call."""
        if self._since is None:
            self._since = now
            return
        elapsed = now - self._since
        if elapsed <= 0.0:
            return
        weight = 1.0 - math.exp(-elapsed / _MEMORY)
        self.rate += (characters / elapsed - self.rate) * weight
        self._since = now

    @property
    def allowance(self) -> float:
        """Bytes per second that updates may cost; what finished text costs is left out of it."""
        return max(_LIMIT - _FINAL * self.rate, 10_000.0, 2.0 * self.rate)

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
