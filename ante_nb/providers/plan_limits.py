"""How much of a subscription's usage limit is spent, as the ChatGPT backend tells beside its answers.

It does so in response headers (``x-codex-primary-used-percent`` ...), and as ``codex.rate_limits`` events
in a stream. A plan has two windows, of hours and of a week; the person is told when one is nearly full.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ante_nb.messages import Notice
from ante_nb.providers.failure_words import clock_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ante_nb.providers.wires.base import WireEvent

EVENT = "codex.rate_limits"
THRESHOLDS = (90.0, 95.0)
"""Percent from which the person is told, once each in a window."""
_WINDOWS = ("primary", "secondary")


class PlanLimits:
    """Watches the usage of one account.

    Args:
        name: who tells, for the notice.
        clock: seconds since the epoch.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.time) -> None:
        self._name = name
        self._clock = clock
        self._told: dict[str, float] = {}

    def headers(self, headers: Mapping[str, str]) -> Notice | None:
        """What to tell of an answer with these headers (names in lower case); mostly nothing."""
        # Another family of headers where the model has a limit of its own.
        family = headers.get("x-codex-active-limit", "").strip().lower() or "codex"
        for name in (family, family.replace("_", "-"), "codex"):
            if f"x-{name}-primary-used-percent" in headers or f"x-{name}-secondary-used-percent" in headers:
                break
        else:
            return None
        windows = {}
        for window in _WINDOWS:
            start = f"x-{name}-{window}-"
            windows[window] = {
                field: headers.get(start + field.replace("_", "-"))
                for field in ("used_percent", "window_minutes", "reset_at", "reset_after_seconds")
            }
        return self._words(windows)

    def event(self, event: WireEvent) -> Notice | None:
        """The same for an event of a stream; all but ``codex.rate_limits`` say nothing of it."""
        if event.name != EVENT:
            return None
        limits = event.data.get("rate_limits") if isinstance(event.data, dict) else None
        return self._words(limits) if isinstance(limits, dict) else None

    def _words(self, windows: Mapping[str, Any]) -> Notice | None:
        lines = []
        for name in _WINDOWS:
            window = windows.get(name)
            used = number(window.get("used_percent")) if isinstance(window, dict) else None
            reached = max((step for step in THRESHOLDS if used is not None and used >= step), default=0.0)
            if not reached:
                if used is not None:
                    self._told.pop(name, None)
            elif reached > self._told.get(name, 0.0):
                self._told[name] = reached
                lines.append(self._line(window, used))
        return Notice("warning", f"{self._name}: {' '.join(lines)}") if lines else None

    def _line(self, window: Any, used: float | None) -> str:
        minutes = number(window.get("window_minutes"))
        after = number(window.get("reset_after_seconds"))
        at = number(window.get("reset_at"))
        if after is None and at is not None:
            after = at - self._clock()
        when = f"; it is free again at {clock_time(after)}" if after is not None and after > 0 else ""
        return f"{used:.0f}% of the plan's {_span(minutes)}usage limit is used{when}."


def _span(minutes: float | None) -> str:
    """``5-hour``, ``weekly``: which window it is."""
    if not minutes or minutes < 0:
        return ""
    if 9000 <= minutes <= 11000:
        return "weekly "
    if minutes >= 1440:
        return f"{minutes / 1440:.0f}-day "
    return f"{minutes / 60:.0f}-hour " if minutes >= 60 else f"{minutes:.0f}-minute "


def number(value: Any) -> float | None:
    """A finite number, from JSON or a header."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if abs(found) < 1e15 else None
