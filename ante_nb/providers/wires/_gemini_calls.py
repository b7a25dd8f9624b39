"""Function calls whose arguments Vertex streams in pieces (``partialArgs``).

Only sent where ``streamFunctionCallArguments`` is on:
https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling.
"""

from __future__ import annotations

import re
from typing import Any

from ante_nb.providers.wires._shared_arguments import CUT, MAX_DEPTH, NOT_JSON, object_arguments

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]""")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class GrowingCall:
    """One function call while it arrives, whole or in pieces.

    Args:
        name: of the function.
        own_id: what the call is known by here.
        index: position of the call in the answer.
        call_id: the vendor's id, if it gave one.
        signature: its thought signature, if it has one.
    """

    __slots__ = ("arguments", "broken", "call_id", "index", "name", "open_path", "own_id", "signature")

    def __init__(
        self, name: str, own_id: str, index: int, *, call_id: str | None, signature: str | None
    ) -> None:
        self.name = name
        self.own_id = own_id
        self.call_id = call_id
        self.signature = signature
        self.index = index
        self.arguments: dict[str, Any] = {}
        self.broken: str | None = None
        """What came instead of arguments, where that was no object."""
        self.open_path: str | None = None
        """The argument whose text goes on in the next piece."""

    def add(self, function: dict[str, Any]) -> None:
        """Takes in the ``args`` and ``partialArgs`` of one ``functionCall``."""
        whole = function.get("args")
        if isinstance(whole, dict):
            self.arguments.update(whole)
        elif whole is not None:
            arguments, self.broken, _ = object_arguments(whole)
            self.arguments.update(arguments)
        pieces = function.get("partialArgs")
        for piece in pieces if isinstance(pieces, list) else ():
            if not isinstance(piece, dict) or not self._piece(piece):
                self.broken = object_arguments(piece)[2] or NOT_JSON

    def finished(self, *, cut: bool) -> tuple[dict[str, Any], str | None, str]:
        """``(arguments, invalid, text)``, see ``object_arguments``; ``cut``: the answer ended inside the call."""
        arguments, invalid, text = object_arguments(self.arguments)
        if self.broken is not None:
            return {}, self.broken, self.broken
        if cut or self.open_path is not None:
            return {}, text or CUT, text
        return arguments, invalid, text

    def _piece(self, piece: dict[str, Any]) -> bool:
        """Sets one argument; whether that was possible."""
        path = piece.get("jsonPath")
        steps = _steps(path) if isinstance(path, str) else None
        if not steps or not isinstance(path, str):
            return False
        kind = next((name for name in _VALUES if name in piece), None)
        value = None if kind in (None, "nullValue") else piece[kind]
        goes_on = self.open_path == path and isinstance(value, str)
        self.open_path = path if piece.get("willContinue") and kind == "stringValue" else None
        if kind is None:
            return True
        return _set(self.arguments, steps, value, append=goes_on)


def _steps(path: str) -> list[str | int] | None:
    """``$.a.b[0]['c']`` as keys and positions; ``None`` if it is no such path."""
    if not path.startswith("$"):
        return None
    steps: list[str | int] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            return None
        name, number, single, double = match.groups()
        steps.append(int(number[:9]) if number is not None else name or single or double or "")
        at = match.end()
    return steps if len(steps) < MAX_DEPTH else None


def _set(root: dict[str, Any], steps: list[str | int], value: Any, *, append: bool) -> bool:
    """Puts ``value`` at ``steps``, making what is missing on the way. A list grows only at its end."""
    holder: Any = root
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(step, int):
            if not isinstance(holder, list) or step > len(holder):
                return False
            if step == len(holder):
                holder.append(None)
        elif not isinstance(holder, dict):
            return False
        else:
            holder.setdefault(step, None)
        if following is None:
            old = holder[step]
            holder[step] = old + value if append and isinstance(old, str) else value
            return True
        if holder[step] is None:
            holder[step] = [] if isinstance(following, int) else {}
        holder = holder[step]
    return False
