"""The arguments of a tool call, from the text that a model wrote."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ante_nb.providers.wires._shared_text import well_formed

CUT = "(cut off before the arguments began)"
"""``ToolCall.invalid`` for a call that was cut before it had any argument text."""


NOT_JSON = "(not JSON, or nested too deeply)"
"""``ToolCall.invalid`` where the arguments have no text of their own to show."""

MAX_DEPTH = 100
"""Levels of nesting; deeper arguments could not be encoded again everywhere."""


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse_arguments(raw: str) -> tuple[dict[str, Any], str | None]:
    """The arguments in ``raw``, and ``raw`` itself where it is not a JSON object.

    Args:
        raw: the whole argument text; nothing but white space means no arguments.

    Returns:
        ``(arguments, invalid)`` as :class:`~ante_nb.messages.ToolCall` has them: either the object and
        ``None``, or an empty object and the raw text. Line breaks inside strings are let pass, since
        models write them; ``NaN`` and ``Infinity`` are not JSON and would not survive a round trip.
    """
    if not raw.strip():
        return {}, None
    try:
        value = json.loads(raw, strict=False, parse_constant=_no_constant)
        if isinstance(value, str):  # some gateways encode the object twice
            value = json.loads(value, strict=False, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return {}, raw
    if not isinstance(value, dict) or _deeper_than(value, MAX_DEPTH):
        return {}, raw
    return well_formed(value), None


def object_arguments(value: Any) -> tuple[dict[str, Any], str | None, str]:
    """Arguments that came as a JSON value and not as text.

    Returns:
        ``(arguments, invalid, text)``: as :func:`parse_arguments`, and the JSON text of them.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):  # NaN, which Python's own parser lets in, or too deep
        return {}, NOT_JSON, NOT_JSON
    if isinstance(value, str):
        return (*parse_arguments(value), value)
    if not isinstance(value, dict) or _deeper_than(value, MAX_DEPTH):
        return {}, text, text
    return well_formed(value), None, text


def _deeper_than(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if depth == 0:
        return True
    items = value.values() if isinstance(value, dict) else value
    return any(_deeper_than(item, depth - 1) for item in items)
