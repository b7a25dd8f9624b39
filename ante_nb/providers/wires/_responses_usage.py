"""OpenAI Responses: token counts on our scale.

Input tokens hold the cached and the written ones, output tokens the reasoning, here as there (OpenAI,
xAI and DeepSeek alike, by their totals).
"""

from __future__ import annotations

from typing import Any

from ante_nb.messages import Usage


def read_usage(usage: Any) -> Usage | None:
    """Tokens on our scale. ``None`` where the server counted nothing."""
    if not isinstance(usage, dict):
        return None
    read = usage.get("input_tokens_details")
    wrote = usage.get("output_tokens_details")
    given, made = (value if isinstance(value, dict) else {} for value in (read, wrote))
    return Usage(
        input=_count(usage.get("input_tokens")),
        output=_count(usage.get("output_tokens")),
        cache_read=_count(given.get("cached_tokens")),
        cache_write=_count(given.get("cache_write_tokens")),
        reasoning=_count(made.get("reasoning_tokens")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
