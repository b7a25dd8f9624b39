"""Tool calls put together from the deltas of Chat Completions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ante_nb.messages import ToolCall, ToolCallDelta, ToolCallEnd, ToolCallStart, tag
from ante_nb.providers.wires._shared_arguments import CUT, parse_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ante_nb.messages import StreamEvent


@dataclass(slots=True)
class _Call:
    index: int
    """Of the part, in events."""
    given_id: str
    id: str
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    started: bool = False

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


class CallCollector:
    """Merges call deltas.

    They belong together by ``index``. Vendors differ: no index at all (then a new id, or a name after
    complete arguments, begins a call), index 0 for every parallel call (then a new id does), id and name
    repeated in each delta, no id ever, arguments as an object.

    Args:
        take_index: gives the next free part index.
    """

    def __init__(self, take_index: Callable[[], int]) -> None:
        self._take_index = take_index
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, delta: dict[str, Any], out: list[StreamEvent]) -> None:
        """Take in one item of ``delta.tool_calls``."""
        function = delta.get("function")
        function = function if isinstance(function, dict) else {}
        ident = delta.get("id")
        ident = ident if isinstance(ident, str) else "" if ident is None else str(ident)
        name = function.get("name")
        name = name if isinstance(name, str) else ""
        call = self._find(delta.get("index"), ident, name)
        if name and not call.name:
            call.name = name
        if not call.started and call.name:
            call.started = True
            out.append(ToolCallStart(call.index, call.id, call.name))
            if call.pieces:
                out.append(ToolCallDelta(call.index, call.arguments))
        arguments = function.get("arguments")
        if isinstance(arguments, dict | list):
            arguments = "" if call.pieces else json.dumps(arguments, ensure_ascii=False)
        if arguments and isinstance(arguments, str):
            call.pieces.append(arguments)
            if call.started:
                out.append(ToolCallDelta(call.index, arguments))

    def _find(self, index: Any, ident: str, name: str) -> _Call:
        if isinstance(index, int) and not isinstance(index, bool):
            call = self._by_index.get(index)
            if call is None or (ident and call.given_id and ident != call.given_id):
                call = self._by_index[index] = self._new(ident)
            elif ident and not call.given_id:
                call.given_id = ident
                if not call.started:
                    call.id = self._unique(ident)
            return call
        if ident:
            known = next((call for call in self._calls if call.given_id == ident), None)
            return known or self._new(ident)
        last = self._calls[-1] if self._calls else None
        if last is None or (name and last.name and _complete(last.arguments)):
            return self._new("")
        return last

    def _new(self, ident: str) -> _Call:
        call = _Call(self._take_index(), ident, self._unique(ident))
        self._calls.append(call)
        return call

    def _unique(self, ident: str) -> str:
        if not ident:
            return f"call_{uuid4().hex}"
        taken = {call.id for call in self._calls}
        unique, number = ident, 2
        while unique in taken:  # results are matched to calls by id
            unique, number = f"{ident}_{number}", number + 1
        return unique

    def finish(
        self, out: list[StreamEvent], *, truncated: bool, provider: str, model: str
    ) -> Iterator[tuple[int, ToolCall]]:
        """End every call and yield it with its part index.

        Args:
            out: takes the end events.
            truncated: the answer was cut by its length limit: a call without complete arguments, and
                the last one if it has none at all, is marked invalid.
            provider, model: who wrote them.
        """
        for call in self._calls:
            raw = call.arguments
            arguments, invalid = parse_arguments(raw)
            if truncated and not raw.strip():
                invalid = CUT
            elif not call.name:
                invalid = raw or CUT
            metadata = None
            if invalid is None and raw.strip() and raw != json.dumps(arguments, ensure_ascii=False):
                metadata = tag(provider, model, arguments=raw)
            part = ToolCall(call.id, call.name, arguments if invalid is None else {}, invalid, metadata)
            if not call.started:
                out.append(ToolCallStart(call.index, call.id, call.name))
            out.append(ToolCallEnd(call.index, part))
            yield call.index, part


def _complete(raw: str) -> bool:
    return bool(raw.strip()) and parse_arguments(raw)[1] is None
