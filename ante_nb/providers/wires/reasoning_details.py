"""OpenRouter's ``reasoning_details``: stream pieces put together so that they can be sent back."""

from __future__ import annotations

from typing import Any

_JOINED = ("text", "summary", "data")


def merge_details(into: list[dict[str, Any]], pieces: list[Any]) -> None:
    """Add stream pieces: neighbours of equal type and index become one item, the order stays.

    Source: openrouter.ai/docs, "Reasoning tokens" (the sequence must be passed back unmodified).
    """
    for piece in pieces:
        if not isinstance(piece, dict):
            continue
        last = into[-1] if into else None
        if last is None or last.get("type") != piece.get("type") or last.get("index") != piece.get("index"):
            into.append(dict(piece))
            continue
        for key, value in piece.items():
            if key in _JOINED and isinstance(value, str) and isinstance(last.get(key), str):
                last[key] += value
            elif value is not None:
                last[key] = value
