"""Text that every vendor accepts."""

from __future__ import annotations

from typing import Any


def well_formed(value: Any) -> Any:
    """``value`` with every lone surrogate in its strings replaced by U+FFFD.

    Half a surrogate pair (a cut emoji, ``os.fsdecode`` of a strange file name) has no UTF-8 form; the
    vendors answer it with 400. Lists and dicts are copied only where something changed; what is nested
    too deeply to walk comes back as it is.
    """
    try:
        return _clean(value)
    except RecursionError:
        return value


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        if value.isascii():
            return value
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value
    if isinstance(value, dict):
        new = {_clean(key): _clean(item) for key, item in value.items()}
        changed = any(a is not b for a, b in zip(new, value, strict=False)) or any(
            new_item is not item for new_item, item in zip(new.values(), value.values(), strict=False)
        )
        return new if changed else value
    if isinstance(value, list):
        items = [_clean(item) for item in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value


def pair_up(carry: str, text: str) -> tuple[str, str]:
    """One streamed piece of text, put right where a piece ends inside a surrogate pair.

    Some gateways cut an emoji between its two JSON escapes. The first half is held back until the second
    one is there, so that no consumer is handed half a character.

    Args:
        carry: what the call before held back, at first nothing.
        text: the new piece.

    Returns:
        ``(text, carry)``: what can be passed on, and what is held back now.
    """
    if text.isascii() and not carry:
        return text, ""
    text = carry + text
    carry = ""
    if text and "\ud800" <= text[-1] <= "\udbff":
        text, carry = text[:-1], text[-1]
    return _clean(text), carry
