"""Numbers and texts in few characters."""

from __future__ import annotations

from typing import Any

LINE_CHARS = 200


def size_words(count: int | float) -> str:
    """A number of bytes for a person: ``1.2 GB``."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def shape_words(shape: Any) -> str:
    """``3 x 4``; ``scalar`` for no dimension."""
    return " x ".join(str(length) for length in shape) or "scalar"


def line(text: str, limit: int = LINE_CHARS) -> str:
    """``text`` in one line of at most ``limit`` characters; what is missing is counted."""
    # A cut first: splitting a text of megabytes costs as much as reading it.
    head = " ".join(text[: 4 * limit].split())
    if len(head) <= limit and len(text) <= 4 * limit:
        return head
    return f"{head[:limit]}... ({len(text)} characters)"


def number(value: Any) -> str:
    """A number in at most six digits; anything else as short text."""
    return f"{value:.6g}" if isinstance(value, float) else line(str(value), 40)


def share(part: int, whole: int) -> str:
    """A share in percent."""
    return f"{100 * part / whole:.3g}%" if whole else "0%"
