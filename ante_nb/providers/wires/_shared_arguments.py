"""The arguments of a tool call, from the text that a model wrote."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ante_nb.providers.wires._shared_text import well_formed

CUT = "(cut off before the arguments began)"
"""``ToolCall.invalid`` for a call that was cut before it had any argument text."""


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
    if not isinstance(value, dict):
        return {}, raw
    return well_formed(value), None
