"""Token counts of Chat Completions on our scale, from every vendor's fields."""

from __future__ import annotations

from typing import Any

from ante_nb.messages import Usage


def _count(value: Any) -> int:
    return (
        int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15
        else 0
    )


def _first(*values: Any) -> int:
    return next((count for value in values if (count := _count(value))), 0)


def read_usage(usage: Any) -> Usage | None:
    """The ``usage`` object as :class:`~ante_nb.messages.Usage`; ``None`` where there is none.

    ``prompt_tokens`` includes cached ones everywhere. ``completion_tokens`` includes reasoning, but not
    at xAI, whose total shows it.
    """
    if not isinstance(usage, dict):
        return None
    prompt = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    prompt = prompt if isinstance(prompt, dict) else {}
    completion = completion if isinstance(completion, dict) else {}
    read = _first(
        prompt.get("cached_tokens"), usage.get("cached_tokens"), usage.get("prompt_cache_hit_tokens")
    )
    write = _first(prompt.get("cache_write_tokens"), prompt.get("cache_creation_tokens"))
    reasoning = _first(completion.get("reasoning_tokens"), usage.get("reasoning_tokens"))
    given = _count(usage.get("prompt_tokens"))
    # DeepSeek: hit and miss are the whole prompt, should the sum be missing.
    given = given or _count(usage.get("prompt_cache_hit_tokens")) + _count(
        usage.get("prompt_cache_miss_tokens")
    )
    output = _count(usage.get("completion_tokens"))
    total = _count(usage.get("total_tokens"))
    if reasoning and (reasoning > output or total == given + output + reasoning):
        output += reasoning
    return Usage(
        input=max(given, read), output=output, cache_read=read, cache_write=write, reasoning=reasoning
    )


def choice_usage(usage: Any, before: dict[str, Any] | None) -> dict[str, Any] | None:
    """Kimi puts the counts into the choice; a count at the top level wins."""
    return before if before else usage if isinstance(usage, dict) else None
