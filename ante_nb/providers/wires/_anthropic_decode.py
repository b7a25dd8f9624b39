"""Anthropic Messages, read: the event stream, and the whole message of a call without one.

Order and meaning of the events: https://platform.claude.com/docs/en/build-with-claude/streaming. What is
unknown is passed over, as that page asks; blocks of server-side tools are kept as they came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.messages import (
    Done,
    Notice,
    Opaque,
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
    Usage,
    UsageUpdate,
    tag,
)
from ante_nb.providers.wires._shared_arguments import CUT, object_arguments, parse_arguments
from ante_nb.providers.wires._shared_stream import answer, interrupted, malformed, vendor_error
from ante_nb.providers.wires._shared_text import pair_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ante_nb.messages import Message, Part, StopReason, StreamEvent
    from ante_nb.providers.spec import ModelSpec, ProviderSpec
    from ante_nb.providers.wires.base import WireEvent

STYLE = "AnthropicMessage"

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_overflow",
}
"""Anything else counts as ``stop``."""


class _Block:
    """One content block while it arrives. ``kind``: text, thinking, tool_use; all else stays the vendor's."""

    __slots__ = ("carry", "closed", "json", "kind", "part", "pieces", "position", "signature", "start")

    def __init__(self, kind: str, position: int, start: dict[str, Any]) -> None:
        self.kind = kind
        self.position = position
        self.start = start
        self.pieces: list[str] = []
        self.carry = ""
        self.json: list[str] = []
        self.signature: list[str] = []
        self.closed = False
        self.part: Part | None = None


class AnthropicDecoder:
    """Decodes one stream; see :class:`~ante_nb.providers.wires.base.Decoder`.

    ``index`` of the events it returns is the position of the content block in the answer, those of
    server-side tools counted.
    """

    def __init__(self, model: ModelSpec, provider: ProviderSpec) -> None:
        self._model = model
        self._provider = provider
        self._blocks: list[_Block] = []
        self._open: dict[int, _Block] = {}  # by the index on the wire
        self._last = 0  # a delta without index belongs to the block begun last
        self._held: _Block | None = None  # a call without arguments: complete, or cut before its first one
        self._stop: str | None = None
        self._detail = ""
        self._container: str | None = None
        self._usage: dict[str, int] = {}
        self._finished = False

    @property
    def finished(self) -> bool:
        return self._finished

    @property
    def ended(self) -> bool:
        """Whether the terminal marker was seen."""
        return self._finished or self._stop is not None

    # ------------------------------------------------------------------------------------------ input

    def feed(self, event: WireEvent) -> Sequence[StreamEvent]:
        """The stream events of one wire event. Raises the typed error of an ``error`` event."""
        data = event.data
        if self._finished:
            return ()
        if not isinstance(data, dict):
            if data is None or event.name in ("ping", "[DONE]"):  # the sentinel comes from some gateways
                return ()
            raise malformed("an event that is no JSON object", self._provider, self.partial())
        kind = data.get("type")
        if not isinstance(kind, str):
            kind = event.name
        if kind == "content_block_delta":
            delta = data.get("delta")
            # What nearly every event is: more text of an open block.
            if type(delta) is dict and delta.get("type") == "text_delta" and type(data.get("index")) is int:
                block = self._open.get(data["index"])
                text = delta.get("text")
                if (
                    block
                    and block.kind == "text"
                    and type(text) is str
                    and text.isascii()
                    and not block.carry
                ):
                    if not text:
                        return ()
                    block.pieces.append(text)
                    return (TextDelta(block.position, text),)
            return self._delta(data)
        if kind == "content_block_start":
            block = data.get("content_block")
            return self._start(self._index(data), block) if isinstance(block, dict) else ()
        if kind == "content_block_stop":
            block = self._open.pop(self._index(data), None)
            return self._close(block) if block else ()
        if kind == "message_delta":
            return self._message_delta(data)
        if kind == "message_stop":
            return self._finish()
        if kind == "message_start":
            return self._message_start(data.get("message"))
        if kind == "error" or isinstance(data.get("error"), dict):
            raise vendor_error(data, self._provider, self.partial())
        return ()

    def close(self) -> Sequence[StreamEvent]:
        """The end of the input. Some gateways send no ``message_stop``: a stop reason ends it as well."""
        if self._finished:
            return ()
        if self._stop is not None:
            return self._finish()
        raise interrupted(self.partial(), self._provider)

    def partial(self) -> Message:
        """What has arrived so far: text and thinking. No call of an unfinished answer was ever run."""
        parts: list[Part] = []
        for block in self._blocks:
            part = block.part if block.closed else self._unfinished(block)
            if isinstance(part, Thinking) or (isinstance(part, Text) and part.text):
                parts.append(part)
        return answer(STYLE, parts, self._model, self._provider)

    # ----------------------------------------------------------------------------------------- events

    def _message_start(self, message: Any) -> list[StreamEvent]:
        if not isinstance(message, dict):
            return []
        events = self._update_usage(message.get("usage"))
        content = message.get("content")
        if isinstance(content, list) and not self._blocks:  # a continued call may begin with its blocks
            for block in content:
                if isinstance(block, dict):
                    events += self._whole(block)
        return events

    def _message_delta(self, data: dict[str, Any]) -> list[StreamEvent]:
        delta = data.get("delta")
        if isinstance(delta, dict):
            self._ending(delta)
        return self._update_usage(data.get("usage"))

    def _ending(self, fields: dict[str, Any]) -> None:
        stop = fields.get("stop_reason")
        if isinstance(stop, str) and stop:
            self._stop = stop
        details = fields.get("stop_details")
        if isinstance(details, dict) and isinstance(details.get("explanation"), str):
            self._detail = details["explanation"]
        container = fields.get("container")
        if isinstance(container, dict) and isinstance(container.get("id"), str):
            self._container = container["id"]

    def _start(self, index: int, start: dict[str, Any]) -> list[StreamEvent]:
        events = self._release()
        if index in self._open:  # never closed: some gateways leave the stop event out
            events += self._close(self._open.pop(index))
        kind = start.get("type")
        block = _Block(kind if isinstance(kind, str) else "unknown", len(self._blocks), start)
        self._blocks.append(block)
        self._open[index] = block
        self._last = index
        if block.kind == "text":
            events.append(TextStart(block.position))
            events += self._add_text(block, start.get("text"))
        elif block.kind == "thinking":
            events.append(ThinkingStart(block.position))
            events += self._add_text(block, start.get("thinking"))
            if isinstance(start.get("signature"), str):
                block.signature.append(start["signature"])
        elif block.kind == "tool_use":
            events.append(ToolCallStart(block.position, _text(start.get("id")), _text(start.get("name"))))
        return events

    def _delta(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        delta = data.get("delta")
        if not isinstance(delta, dict):
            return ()
        kind = delta.get("type")
        block = self._open.get(self._index(data))
        if block is None:
            implied = _IMPLIED.get(kind) if isinstance(kind, str) else None
            if implied is None:
                return ()
            # Text without a block of its own: better shown than lost.
            return [*self._start(self._index(data), {"type": implied}), *self._delta(data)]
        if kind == "text_delta" and block.kind == "text":
            return self._add_text(block, delta.get("text"))
        if kind == "input_json_delta":
            piece = delta.get("partial_json")
            if not isinstance(piece, str) or not piece:
                return ()
            block.json.append(piece)
            return (ToolCallDelta(block.position, piece),) if block.kind == "tool_use" else ()
        if kind == "thinking_delta" and block.kind == "thinking":
            return self._add_text(block, delta.get("thinking"))
        if kind == "signature_delta":
            if isinstance(delta.get("signature"), str):
                block.signature.append(delta["signature"])
        elif kind == "citations_delta":
            if isinstance(delta.get("citation"), dict):
                if not isinstance(block.start.get("citations"), list):
                    block.start["citations"] = []
                block.start["citations"].append(delta["citation"])
        elif block.kind not in _OURS:
            for key, value in delta.items():  # such as compaction_delta: text that grows a field
                if key != "type" and isinstance(value, str):
                    block.start[key] = _text(block.start.get(key)) + value
        return ()

    def _add_text(self, block: _Block, text: Any) -> Sequence[StreamEvent]:
        if not isinstance(text, str):
            return ()
        if block.carry or not text.isascii():
            text, block.carry = pair_up(block.carry, text)
        if not text:
            return ()
        block.pieces.append(text)
        if block.kind == "text":
            return (TextDelta(block.position, text),)
        return (ThinkingDelta(block.position, text),)

    def _whole(self, block: dict[str, Any]) -> list[StreamEvent]:
        """The events of a block that came in one piece."""
        index = -1 - len(self._blocks)  # out of the way of what the stream numbers
        events = self._start(index, dict(block))
        started = self._open.pop(index)
        if started.kind == "tool_use" and isinstance(block.get("input"), dict) and block["input"]:
            events.append(ToolCallDelta(started.position, object_arguments(block["input"])[2]))
        return [*events, *self._close(started)]

    # ------------------------------------------------------------------------------------------ blocks

    def _close(self, block: _Block) -> list[StreamEvent]:
        if block.kind == "tool_use" and not block.json and not block.start.get("input"):
            self._held = block
            return []
        return self._end(block, self._finished_part(block))

    def _release(self) -> list[StreamEvent]:
        """Ends the held call: something followed it, so its arguments were empty and not cut off."""
        held, self._held = self._held, None
        return self._end(held, self._finished_part(held)) if held else []

    def _end(self, block: _Block, part: Part | None) -> list[StreamEvent]:
        block.closed = True
        block.part = part
        if isinstance(part, Text):
            return [TextEnd(block.position, part)]
        if isinstance(part, ToolCall):
            return [ToolCallEnd(block.position, part)]
        if isinstance(part, Thinking):
            start: list[StreamEvent] = [ThinkingStart(block.position)] if part.redacted else []
            return [*start, ThinkingEnd(block.position, part)]
        return []

    def _finished_part(self, block: _Block) -> Part | None:
        start = block.start
        if block.kind == "tool_use":
            return self._call(block)
        if block.kind in ("text", "thinking"):
            return self._unfinished(block)
        if block.kind == "redacted_thinking":
            return Thinking(redacted=True, provider_metadata=self._tag(block=start))
        if block.json:
            arguments, invalid = parse_arguments("".join(block.json))
            if invalid is not None:  # cut by the token limit; half a call cannot be sent back
                return None
            start["input"] = arguments
        return Opaque(block.kind, provider_metadata=self._tag(block=start))

    def _unfinished(self, block: _Block) -> Part | None:
        """A text or thinking block as far as it has come."""
        if block.kind == "text":
            citations = block.start.get("citations")
            made = self._tag(citations=citations) if citations else None
            return Text("".join(block.pieces), provider_metadata=made)
        if block.kind == "thinking":
            signature = "".join(block.signature) or None
            return Thinking("".join(block.pieces), signature, provider_metadata=self._tag())
        return None

    def _call(self, block: _Block, *, cut: bool = False) -> ToolCall:
        start = block.start
        caller = {"caller": start["caller"]} if start.get("caller") else {}
        arguments: dict[str, Any] = {}
        invalid: str | None = None
        if block.json:
            arguments, invalid = parse_arguments("".join(block.json))
        elif cut:
            invalid = CUT
        elif start.get("input") is not None:  # gateways may put the whole input into the start event
            arguments, invalid, _ = object_arguments(start["input"])
        name = _text(start.get("name"))
        # An id is needed to answer the call; a gateway that sends none gets one made of the position.
        call_id = _text(start.get("id")) or f"toolu_{block.position}"
        return ToolCall(call_id, name, arguments, invalid, self._tag(**caller))

    # --------------------------------------------------------------------------------------------- end

    def _finish(self) -> list[StreamEvent]:
        self._finished = True
        cut = self._stop in _CUTTING
        events: list[StreamEvent] = []
        if self._held is not None:
            held, self._held = self._held, None
            events += self._end(held, self._call(held, cut=cut))
        for block in self._blocks:
            if not block.closed:  # the stop event of a block was left out
                part = self._call(block, cut=cut) if block.kind == "tool_use" else self._finished_part(block)
                events += self._end(block, part)
        message = answer(STYLE, self._parts(), self._model, self._provider)
        reason = STOP_REASONS.get(self._stop or "", "stop")
        if reason in ("stop", "tool_calls"):  # gateways mix these two up
            reason = "tool_calls" if message.tool_calls else "stop"
        if self._detail:
            events.append(Notice("warning", self._detail))
        events.append(Done(message, reason, self._totals()))
        return events

    def _parts(self) -> list[Part]:
        parts = [block.part for block in self._blocks if block.part is not None]
        if self._container:
            for position in range(len(parts) - 1, -1, -1):
                part = parts[position]
                if isinstance(part, Opaque):
                    metadata = {**(part.provider_metadata or {}), "container": self._container}
                    parts[position] = Opaque(part.kind, metadata)
                    break
        return parts

    # ------------------------------------------------------------------------------------------- small

    def _index(self, data: dict[str, Any]) -> int:
        index = data.get("index")
        return index if isinstance(index, int) else self._last

    def _tag(self, **payload: Any) -> dict[str, Any]:
        return tag(self._provider.id, self._model.id, **payload)

    def _update_usage(self, usage: Any) -> list[StreamEvent]:
        """Later numbers replace earlier ones (they are cumulative); a missing or null one keeps its value."""
        if not isinstance(usage, dict):
            return []
        details = usage.get("output_tokens_details")
        found = {**usage, **details} if isinstance(details, dict) else usage
        for name in _COUNTERS:
            value = found.get(name)
            if isinstance(value, int) and value >= 0:
                self._usage[name] = value
        totals = self._totals()
        return [UsageUpdate(totals)] if totals else []

    def _totals(self) -> Usage | None:
        if not self._usage:
            return None
        fresh, written, read, output, thought = (self._usage.get(name, 0) for name in _COUNTERS)
        return Usage(fresh + written + read, output, cache_read=read, cache_write=written, reasoning=thought)


_COUNTERS = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "thinking_tokens",
)
_CUTTING = frozenset(("max_tokens", "model_context_window_exceeded", "refusal"))
"""Stop reasons that may fall inside a block."""
_OURS = frozenset(("text", "thinking", "redacted_thinking", "tool_use"))
_IMPLIED = {"text_delta": "text", "thinking_delta": "thinking"}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
