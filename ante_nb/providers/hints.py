"""When a vendor says to come back: every form in which it does, as seconds from now.

Precedence: ``retry-after-ms``, ``retry-after`` (seconds or an HTTP date, RFC 9110 10.2.3), Gemini's
``retryDelay``, body fields, reset headers of an exhausted limit, and last the words of the message.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_GO = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_WORDS = re.compile(
    r"try again in\s*(\d+(?:\.\d+)?)\s*(milliseconds|ms|seconds?|minutes?|hours?|s|m|h)?", re.IGNORECASE
)


def go_duration(text: str) -> float | None:
    """Seconds of a Go duration such as ``6m0s``, ``1.2s`` or ``850ms``."""
    text = text.strip()
    parts = _GO.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _GO_UNITS[unit] for number, unit in parts)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _seconds(value: Any) -> float | None:
    number = _number(value)
    if number is None and isinstance(value, str):
        number = go_duration(value)
    return None if number is None else max(0.0, number)


def _moment(value: Any, now: float) -> float | None:
    """Seconds until a point in time: unix seconds or milliseconds, RFC 3339, or an HTTP date."""
    number = _number(value)
    if number is not None:
        return max(0.0, (number / 1000 if number > 1e11 else number) - now)
    if not isinstance(value, str):
        return None
    try:
        when = datetime.fromisoformat(value.strip())
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError):
            return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, when.timestamp() - now)


def retry_after(headers: Mapping[str, str], body: Any, message: str, *, now: float) -> float | None:
    """Seconds that the vendor asks to wait, or ``None`` if it does not say.

    Args:
        headers: of the answer, names in lower case.
        body: the parsed body, if it was JSON.
        message: the error's words.
        now: seconds since the epoch.
    """
    if (number := _number(headers.get("retry-after-ms"))) is not None:
        return max(0.0, number / 1000)
    if (value := headers.get("retry-after")) is not None:
        found = _seconds(value)
        if found is None:
            found = _moment(value, now)
        if found is not None:
            return found
    inner = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(inner, dict):
        found = _from_body(inner, now)
        if found is not None:
            return found
    found = _from_resets(headers, now)
    if found is None:
        found = _from_plan(headers, now)
    if found is None and isinstance(inner, dict):
        metadata = inner.get("metadata")  # OpenRouter repeats the headers of the limit here
        nested = metadata.get("headers") if isinstance(metadata, dict) else None
        if isinstance(nested, dict):
            found = _from_resets({str(name).lower(): str(value) for name, value in nested.items()}, now)
    if found is None and (words := _WORDS.search(message)):
        unit = (words[2] or "s").lower()
        factor = 1e-3 if unit in ("ms", "milliseconds") else {"m": 60.0, "h": 3600.0}.get(unit[0], 1.0)
        found = float(words[1]) * factor
    return found


def _from_body(inner: dict[str, Any], now: float) -> float | None:
    details = inner.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and "retryDelay" in detail:
            return _seconds(detail["retryDelay"])
    for name in ("retry_after", "resets_in_seconds"):
        if (found := _seconds(inner.get(name))) is not None:
            return found
    return _moment(inner.get("resets_at"), now)


def _from_plan(headers: Mapping[str, str], now: float) -> float | None:
    """The latest reset among the full windows of a ChatGPT plan (``x-codex-primary-used-percent`` ...)."""
    waits: list[float] = []
    for name, value in headers.items():
        if name.startswith("x-") and name.endswith("-used-percent") and (_number(value) or 0) >= 100:
            start = name.removesuffix("used-percent")
            wait = _seconds(headers.get(start + "reset-after-seconds"))
            if wait is None:
                wait = _moment(headers.get(start + "reset-at"), now)
            if wait is not None:
                waits.append(wait)
    return max(waits, default=None)


def _from_resets(headers: Mapping[str, str], now: float) -> float | None:
    """The latest reset among the limits that the headers show as exhausted."""
    waits: list[float] = []
    for name, value in headers.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        left = headers.get(name.replace("reset", "remaining"))
        if _number(left) != 0:
            continue
        wait = go_duration(value)
        if wait is None:
            wait = _moment(value, now)
        if wait is not None:
            waits.append(wait)
    plain = headers.get("x-ratelimit-reset")
    if not waits and plain and "x-ratelimit-remaining" not in headers:
        wait = _moment(plain, now)
        if wait is not None:
            waits.append(wait)
    return max(waits, default=None)
