"""OpenAI Responses: one output item under way, from its first delta to the finished parts.

An answer is a list of items (a reasoning, a message, a call), each streamed as deltas and then sent once
more whole. The whole item is what counts; the deltas are what a person has seen, so whatever the item
has beyond them is sent after them as one more delta.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.messages import (
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
)
from ante_nb.providers.wires._responses_encode import canonical
from ante_nb.providers.wires._shared_arguments import CUT, parse_arguments
from ante_nb.providers.wires._shared_text import pair_up, well_formed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.messages import Part, ProviderMetadata, StreamEvent

    Tag = Callable[..., ProviderMetadata]
    """Makes the metadata of a part from what the wire wants to keep."""

PARAGRAPH = "\n\n"
"""Between two parts of a reasoning summary."""


class Item:
    """An output item of a kind that is not streamed, or that nobody here knows: kept whole.

    ``parts`` is ``None`` until the item has ended. ``raw`` is the item as the vendor sent it last.
    """

    kind = ""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.parts: tuple[Part, ...] | None = None

    def start(self, indexes: Indexes) -> list[StreamEvent]:
        """What the item adds when it is announced."""
        return []

    def delta(self, key: Any, text: str, indexes: Indexes) -> tuple[StreamEvent, ...]:
        """What a piece of the streamed field ``key`` adds."""
        return ()

    def whole(self, key: Any, text: str, indexes: Indexes) -> tuple[StreamEvent, ...]:
        """What the finished text of the field ``key`` adds to the pieces that came."""
        return ()

    def end(self, final: dict[str, Any] | None, cut: bool, indexes: Indexes, tag: Tag) -> list[StreamEvent]:
        """Ends the item and sets ``parts``.

        Args:
            final: the whole item, where the vendor sent it.
            cut: the answer ended before the item did.
        """
        if final is not None:
            self.raw = final
            self.parts = (Opaque(_text(final, "type"), tag(block=final)),)
        else:
            self.parts = ()
        return []

    def unfinished(self) -> tuple[Part, ...]:
        """What a person has seen of the item, for an answer that broke."""
        return ()


class Indexes:
    """Gives every streamed part of an answer its number."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        self._next += 1
        return self._next - 1


class MessageItem(Item):
    """Text (and refusals) of the model; one ``Text`` part for each part of its content."""

    kind = "message"

    def __init__(self, raw: dict[str, Any]) -> None:
        super().__init__(raw)
        self.refused: set[Any] = set()
        """Keys of the content that is a refusal."""
        self._index: dict[Any, int] = {}
        self._pieces: dict[Any, list[str]] = {}
        self._carry = ""

    def delta(self, key: Any, text: str, indexes: Indexes) -> tuple[StreamEvent, ...]:
        if self._carry or not text.isascii():
            text, self._carry = pair_up(self._carry, text)
            if not text:
                return ()
        pieces = self._pieces.get(key)
        if pieces is not None:
            pieces.append(text)
            return (TextDelta(self._index[key], text),)
        index = self._index[key] = indexes.take()
        self._pieces[key] = [text]
        return (TextStart(index), TextDelta(index, text))

    def whole(self, key: Any, text: str, indexes: Indexes) -> tuple[StreamEvent, ...]:
        self._carry = ""  # the whole text has both halves
        rest = _rest(self._pieces.get(key, ()), well_formed(text))
        return self.delta(key, rest, indexes) if rest else ()

    def end(self, final: dict[str, Any] | None, cut: bool, indexes: Indexes, tag: Tag) -> list[StreamEvent]:
        self.raw = final if final is not None else self.raw
        content = final.get("content") if final is not None else None
        pieces = dict(enumerate(content)) if isinstance(content, list) else {}
        item = _without(self.raw, "type", "role", "status", "content")
        events: list[StreamEvent] = []
        parts: list[Part] = []
        for key in sorted({*pieces, *self._pieces}):
            piece = pieces.get(key)
            piece = piece if isinstance(piece, dict) else {}
            text = well_formed(_text(piece, "refusal") or _text(piece, "text"))
            events += self.whole(key, text, indexes)
            text = text or "".join(self._pieces.get(key, ()))
            if not text:
                continue
            kept = _without(piece, "text", "refusal", "logprobs")
            if "type" not in kept:
                kept = (
                    {"type": "refusal"} if key in self.refused else {"type": "output_text", "annotations": []}
                )
            if kept["type"] == "refusal":
                self.refused.add(key)
            part = Text(text, tag(item=item, content=kept))
            parts.append(part)
            events.append(TextEnd(self._index[key], part))
        self.parts = tuple(parts)
        return events

    def unfinished(self) -> tuple[Part, ...]:
        return tuple(Text("".join(self._pieces[key])) for key in sorted(self._pieces))


class ReasoningItem(Item):
    """Reasoning: a summary in parts, or (open models) the text itself; one ``Thinking`` part."""

    kind = "reasoning"

    def __init__(self, raw: dict[str, Any]) -> None:
        super().__init__(raw)
        self._index = -1
        self._sections: dict[Any, list[str]] = {}
        self._last: Any = None
        self._carry = ""

    def start(self, indexes: Indexes) -> list[StreamEvent]:
        if self._index >= 0:
            return []
        self._index = indexes.take()
        return [ThinkingStart(self._index)]

    def delta(self, key: Any, text: str, indexes: Indexes) -> tuple[StreamEvent, ...]:
        if self._index < 0:
            return (*self.start(indexes), *self.delta(key, text, indexes))
        if self._carry or not text.isascii():
            text, self._carry = pair_up(self._carry, text)
            if not text:
                return ()
        pieces = self._sections.get(key)
        if pieces is None:
            pieces = self._sections[key] = []
        pieces.append(text)
        # Sections come one after the other, with or without an event that announces the next.
        if key != self._last:
            first = self._last is None
            self._last = key
            if not first:
                return (ThinkingDelta(self._index, PARAGRAPH), ThinkingDelta(self._index, text))
        return (ThinkingDelta(self._index, text),)

    def whole(self, key: Any, text: str, indexes: Indexes) -> tuple[StreamEvent, ...]:
        self._carry = ""
        rest = _rest(self._sections.get(key, ()), well_formed(text))
        return self.delta(key, rest, indexes) if rest else ()

    def end(self, final: dict[str, Any] | None, cut: bool, indexes: Indexes, tag: Tag) -> list[StreamEvent]:
        self.raw = final if final is not None else self.raw
        events: list[StreamEvent] = [*self.start(indexes)]
        whole = {
            (field, number): well_formed(text)
            for field in ("summary", "content")
            for number, text in enumerate(_texts((final or {}).get(field)))
            if text
        }
        summary = [text for (field, _), text in whole.items() if field == "summary"]
        if [text for (field, _), text in whole.items() if field == "content"] == summary:
            # Gateways that have no summary of their own send the same text in both fields.
            whole = {key: text for key, text in whole.items() if key[0] == "summary"}
        streamed = self._seen()
        text = PARAGRAPH.join(whole.values()) or streamed
        if text.startswith(streamed) and (rest := text[len(streamed) :]):
            events.append(ThinkingDelta(self._index, rest))
        signature = _text(self.raw, "encrypted_content") if final is not None else ""
        item = _without(self.raw, "status", "encrypted_content")
        item.setdefault("summary", [])  # required where it goes back
        part = Thinking(text, signature or None, bool(signature and not text), tag(item=item))
        self.parts = (part,)
        events.append(ThinkingEnd(self._index, part))
        return events

    def _seen(self) -> str:
        return PARAGRAPH.join("".join(pieces) for pieces in self._sections.values())

    def unfinished(self) -> tuple[Part, ...]:
        seen = self._seen()
        return (Thinking(seen),) if seen else ()


class CallItem(Item):
    """A call of one of the client's functions; one ``ToolCall`` part."""

    kind = "function_call"

    def __init__(self, raw: dict[str, Any], fallback_id: str) -> None:
        super().__init__(raw)
        self._fallback_id = fallback_id
        self._index = -1
        self._pieces: list[str] = []

    def start(self, indexes: Indexes) -> list[StreamEvent]:
        call_id, name = _text(self.raw, "call_id"), _text(self.raw, "name")
        if self._index >= 0 or not (call_id and name):
            return []
        self._index = indexes.take()
        events: list[StreamEvent] = [ToolCallStart(self._index, call_id, name)]
        if self._pieces:
            events.append(ToolCallDelta(self._index, "".join(self._pieces)))
        return events

    def delta(self, key: Any, text: str, indexes: Indexes) -> tuple[StreamEvent, ...]:
        self._pieces.append(text)
        return (ToolCallDelta(self._index, text),) if self._index >= 0 else ()

    def whole(self, key: Any, text: str, indexes: Indexes) -> tuple[StreamEvent, ...]:
        rest = _rest(self._pieces, text)
        return self.delta(key, rest, indexes) if rest else ()

    def end(self, final: dict[str, Any] | None, cut: bool, indexes: Indexes, tag: Tag) -> list[StreamEvent]:
        known = final if final is not None else {}
        # The announcement names the call where the whole item does not (or never came).
        self.raw = {**self.raw, **{name: value for name, value in known.items() if value is not None}}
        raw = self.raw.get("arguments")
        if isinstance(raw, dict):  # some gateways send the object instead of its text
            raw = canonical(raw)
        arguments = raw if isinstance(raw, str) and raw.strip() else "".join(self._pieces)
        self.raw["call_id"] = _text(self.raw, "call_id") or _text(self.raw, "id") or self._fallback_id
        self.raw["name"] = name = _text(self.raw, "name") or "unknown"
        events = self.start(indexes)
        events += self.whole(None, arguments, indexes)
        parsed: dict[str, Any] = {}
        invalid: str | None = arguments or CUT
        if not (_text(known, "status") in ("incomplete", "in_progress") or (cut and final is None)):
            parsed, invalid = parse_arguments(arguments)
        item = _without(self.raw, "type", "status", "call_id", "name", "arguments")
        kept: dict[str, Any] = {"item": item}
        if invalid is None and arguments != canonical(parsed):
            kept["arguments"] = arguments
        part = ToolCall(self.raw["call_id"], name, parsed, invalid, tag(**kept))
        self.parts = (part,)
        events.append(ToolCallEnd(self._index, part))
        return events


def new_item(raw: dict[str, Any], fallback_id: str) -> Item:
    """The item of the kind that ``raw["type"]`` names.

    Args:
        raw: the item as announced.
        fallback_id: call id for a call that comes without one.
    """
    kind = raw.get("type")
    if kind == "message" and raw.get("role", "assistant") in ("assistant", None):
        return MessageItem(raw)
    if kind == "reasoning":
        return ReasoningItem(raw)
    if kind == "function_call":
        return CallItem(raw, fallback_id)
    item = Item(raw)
    item.kind = kind if isinstance(kind, str) else ""
    return item


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    """The ``text`` of each entry of a list of parts."""
    return (
        [_text(entry, "text") for entry in value if isinstance(entry, dict)]
        if isinstance(value, list)
        else []
    )


def _rest(pieces: Any, text: str) -> str:
    """What ``text`` has beyond the pieces; nothing where they disagree (the whole item decides then)."""
    seen = "".join(pieces)
    return text[len(seen) :] if text.startswith(seen) else ""


def _without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}
