"""Runs recorded bytes through the SSE reader and a decoder, cut wherever a test wants."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ante_nb.messages import (
    Done,
    Text,
    TextDelta,
    TextEnd,
    TextStart,
    Thinking,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from ante_nb.providers.transports.sse import SseReader
from ante_nb.providers.wires.base import WireEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ante_nb.messages import StreamEvent
    from ante_nb.providers.wires.base import Decoder


def sse(*events: dict[str, Any] | str, named: bool = True, eol: str = "\n") -> bytes:
    """A stream body: each dict an event (its ``type`` as the event name), each string a line as it is."""
    out: list[str] = []
    for event in events:
        if isinstance(event, str):
            out.append(event + eol + eol)
            continue
        name = f"event: {event['type']}{eol}" if named and "type" in event else ""
        out.append(f"{name}data: {json.dumps(event, ensure_ascii=False)}{eol}{eol}")
    return "".join(out).encode()


def wire_events(chunks: Iterable[bytes], *, ended: bool = True) -> Iterator[WireEvent]:
    """The wire events of a body. ``ended``: the body ended properly, else the connection dropped.

    What cannot be parsed at the very end is what a cut has left over, and passed over.
    """
    reader = SseReader()
    for chunk in chunks:
        for event in reader.feed(chunk):
            yield WireEvent(event.name, json.loads(event.data))
    if ended:
        for event in reader.close():
            try:
                data = json.loads(event.data)
            except ValueError:
                continue
            yield WireEvent(event.name, data)


@dataclass
class Decoded:
    """What came out, put together twice: from the deltas, and from the parts of the end events."""

    events: list[StreamEvent] = field(default_factory=list)

    @property
    def done(self) -> Done:
        dones = [event for event in self.events if isinstance(event, Done)]
        assert len(dones) == 1, f"{len(dones)} Done events"
        assert self.events[-1] is dones[0], "Done is not the last event"
        return dones[0]

    def joined(self, kind: type[TextDelta] | type[ThinkingDelta]) -> str:
        return "".join(event.text for event in self.events if isinstance(event, kind))


def decode(decoder: Decoder, chunks: Iterable[bytes], *, ended: bool = True) -> Decoded:
    """Feeds everything and closes; checks that the events are well formed."""
    out = Decoded()
    for event in wire_events(chunks, ended=ended):
        out.events.extend(decoder.feed(event))
    out.events.extend(decoder.close())
    assert decoder.finished
    check_events(out.events)
    return out


_STARTS = {TextStart: "text", ThinkingStart: "thinking", ToolCallStart: "tool_call"}
_DELTAS = {TextDelta: "text", ThinkingDelta: "thinking", ToolCallDelta: "tool_call"}
_ENDS = {TextEnd: "text", ThinkingEnd: "thinking", ToolCallEnd: "tool_call"}


def check_events(events: Iterable[StreamEvent]) -> None:
    """Starts, deltas and ends pair up, and the deltas of a part add up to its text."""
    open_parts: dict[int, str] = {}
    pieces: dict[int, list[str]] = {}
    ended: list[Any] = []
    for event in events:
        kind = type(event)
        if kind in _STARTS:
            assert event.index not in open_parts and event.index not in pieces, "an index used twice"
            open_parts[event.index] = _STARTS[kind]
            pieces[event.index] = []
        elif kind in _DELTAS:
            assert open_parts[event.index] == _DELTAS[kind]
            text = event.arguments if isinstance(event, ToolCallDelta) else event.text
            assert text, "an empty delta"
            text.encode("utf-8")  # no half character
            pieces[event.index].append(text)
        elif kind in _ENDS:
            assert open_parts.pop(event.index) == _ENDS[kind]
            ended.append(event.part)
            if isinstance(event.part, Text | Thinking):
                assert event.part.text == "".join(pieces[event.index])
        elif kind is Done:
            assert not open_parts, "Done while a part is open"
            kept = [part for part in event.message.parts if isinstance(part, Text | Thinking | ToolCall)]
            assert kept == ended, "the message holds other parts than the end events"


def cuts(body: bytes, positions: Iterable[int]) -> list[bytes]:
    """``body`` in pieces, cut at ``positions``."""
    edges = [0, *sorted(set(positions)), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


def recorded(folder: Path) -> list[Path]:
    """The recorded streams of a folder."""
    found = sorted(folder.glob("*.sse"))
    assert found, f"no streams in {folder}"
    return found


def simple_calls(message: Any) -> list[dict[str, Any]]:
    return [{"name": call.name, "arguments": call.arguments} for call in message.tool_calls]
