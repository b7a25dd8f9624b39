"""OpenAI Responses, the incoming half: the event stream, and the whole answer of a call without one.

Source: the OpenAI API reference (streaming events of ``/v1/responses``); ChatGPT, xAI and gateways that
copy the format differ in what they leave out, and every such difference is named where it is met.

The terminal marker is ``response.completed``, ``response.incomplete`` or ``response.failed``. ``Done`` is
held back until the body ends (or ``[DONE]``): a body can hold another response after the first, and one
that breaks off in there is no answer. A channel that does not end, like a WebSocket, is closed for the
decoder as soon as :attr:`ResponsesDecoder.ended` is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.messages import Done, StopReason, Text, Thinking, ToolCall, UsageUpdate, tag
from ante_nb.providers.wires._responses_encode import STYLE
from ante_nb.providers.wires._responses_items import Indexes, Item, MessageItem, ReasoningItem, new_item
from ante_nb.providers.wires._responses_usage import read_usage
from ante_nb.providers.wires._shared_stream import answer, interrupted, malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ante_nb.errors import ProviderError
    from ante_nb.messages import Message, Part, ProviderMetadata, StreamEvent, Usage
    from ante_nb.providers.spec import ModelSpec, ProviderSpec
    from ante_nb.providers.wires.base import WireEvent

INCOMPLETE_REASONS: dict[str, StopReason] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "content_filter",
    "steered": "stop",
}
"""``incomplete_details.reason``; anything else counts as ``length``: the answer is not whole."""


class ResponsesDecoder:
    """Decodes one streamed answer; see :class:`~ante_nb.providers.wires.base.Decoder`."""

    def __init__(self, model: ModelSpec, provider: ProviderSpec) -> None:
        self._model = model
        self._provider = provider
        self._indexes = Indexes()
        self._items: dict[int, Item] = {}  # by output_index
        self._earlier: list[Part] = []  # parts of a response before this one in the same body
        self._response: dict[str, Any] = {}
        self._status = ""  # of the terminal marker; empty until it was seen
        self._usage: Usage | None = None
        self._finished = False
        self._handlers: dict[str, Callable[[dict[str, Any]], Sequence[StreamEvent]]] = {
            "response.created": self._announced,
            "response.queued": self._announced,
            "response.in_progress": self._announced,
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.output_text.delta": self._text_delta,
            "response.output_text.done": self._text_done,
            "response.refusal.delta": self._refusal_delta,
            "response.refusal.done": self._refusal_done,
            "response.reasoning_summary_text.delta": self._summary_delta,
            "response.reasoning_summary_text.done": self._summary_done,
            "response.reasoning_text.delta": self._reasoning_delta,
            "response.reasoning_text.done": self._reasoning_done,
            "response.function_call_arguments.delta": self._arguments_delta,
            "response.function_call_arguments.done": self._arguments_done,
            "response.completed": self._terminal,
            "response.done": self._terminal,  # the ChatGPT backend's older name
            "response.incomplete": self._terminal,
            "response.failed": self._terminal,
            "response.cancelled": self._terminal,
            "error": self._error,
        }

    # ------------------------------------------------------------------------------------ the outside

    @property
    def finished(self) -> bool:
        return self._finished

    @property
    def ended(self) -> bool:
        """Whether the answer is complete and ``Done`` waits for the end of the input (``close``)."""
        return bool(self._status) and not self._finished

    @property
    def response_id(self) -> str | None:
        """The vendor's id of the response, for ``previous_response_id``."""
        value = self._response.get("id")
        return value if isinstance(value, str) and value else None

    @property
    def continuable(self) -> bool:
        """Whether a later request may name this response as the one that it goes on from.

        Only a completed response can be; an incomplete or broken one is sent again in full.
        """
        return self._status == "completed" and self.response_id is not None

    @property
    def output_items(self) -> list[dict[str, Any]]:
        """The output items as the vendor sent them whole, in order, of a response that has ended.

        Empty ones too: the vendor remembers them, and a conversation without them is another one.
        """
        return [self._items[key].raw for key in sorted(self._items)] if self._status else []

    def feed(self, event: WireEvent) -> Sequence[StreamEvent]:
        """The stream events of one wire event. Raises the typed error of a vendor's error event."""
        data = event.data
        if self._finished:
            return ()
        if not isinstance(data, dict):
            if data is None or event.name == "[DONE]":  # the sentinel comes from xAI and OpenRouter
                return self._finish() if self._status and event.name == "[DONE]" else ()
            raise malformed("an event that is no JSON object", self._provider, self.partial())
        kind = data.get("type") or event.name
        kind = kind if isinstance(kind, str) else ""
        handler = self._handlers.get(kind)
        if self._status and handler not in (self._announced, self._item_added):
            return ()  # nothing after the marker belongs to this response
        if handler is not None:
            return handler(data)
        if kind not in _PASSED_OVER and data.get("error") and not kind.startswith("response."):
            return self._error(data)  # gateways: an error body as an event without a type
        return ()

    def close(self) -> Sequence[StreamEvent]:
        """The end of the input: ``Done``, or ``StreamInterruptedError`` without a terminal marker."""
        if self._finished:
            return ()
        if self._status:
            return self._finish()
        raise interrupted(self.partial(), self._provider)

    def partial(self) -> Message:
        """What has arrived so far: text and thinking. No call of an unfinished answer was ever run."""
        parts: list[Part] = list(self._earlier)
        for key in sorted(self._items):
            item = self._items[key]
            parts += item.unfinished() if item.parts is None else item.parts
        kept = [part for part in parts if isinstance(part, Text | Thinking)]
        return answer(STYLE, kept, self._model, self._provider)

    # ----------------------------------------------------------------------------------------- events

    def _announced(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        response = data.get("response")
        response = response if isinstance(response, dict) else {}
        if self._status:
            self._next_response()
        self._response = response or self._response
        return ()

    def _next_response(self) -> None:
        """A further response begins in the same body: what came before it is part of the answer."""
        self._earlier = self._parts()
        self._items = {}
        self._status = ""

    def _item_added(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        raw = data.get("item")
        if not isinstance(raw, dict):
            return ()
        if self._status:
            self._next_response()
        key = data.get("output_index")
        key = key if isinstance(key, int) and key >= 0 else len(self._items)
        known = self._items.get(key)
        if known is not None and known.kind == _kind(raw):
            if known.parts is None:
                known.raw = raw  # announced after its first delta
                return known.start(self._indexes)
            return ()
        return self._new(raw, key).start(self._indexes)

    def _item_done(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        raw = data.get("item")
        if not isinstance(raw, dict):
            return ()
        item = self._find(data, _kind(raw), raw)
        return self._end(item, raw) if item.parts is None else ()

    def _text_delta(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        place, text = data.get("output_index"), data.get("delta")
        item = self._items.get(place) if type(place) is int else None
        if item is not None and item.kind == "message" and item.parts is None and type(text) is str and text:
            # What nearly every event is.
            return item.delta(_key(data.get("content_index")), text, self._indexes)
        return self._piece(data, "message", "delta", data.get("content_index"))

    def _text_done(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        return self._whole(data, "message", "text", data.get("content_index"))

    def _refusal_delta(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        self._mark_refusal(data)
        return self._piece(data, "message", "delta", data.get("content_index"))

    def _refusal_done(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        self._mark_refusal(data)
        return self._whole(data, "message", "refusal", data.get("content_index"))

    def _mark_refusal(self, data: dict[str, Any]) -> None:
        item = self._find(data, "message")
        if isinstance(item, MessageItem):
            item.refused.add(_key(data.get("content_index")))

    # A summary's sections and the plain text are numbered apart from each other.

    def _summary_delta(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        return self._piece(data, "reasoning", "delta", data.get("summary_index"))

    def _summary_done(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        return self._whole(data, "reasoning", "text", data.get("summary_index"))

    def _reasoning_delta(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        return self._piece(data, "reasoning", "delta", -1 - _key(data.get("content_index")))

    def _reasoning_done(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        return self._whole(data, "reasoning", "text", -1 - _key(data.get("content_index")))

    def _arguments_delta(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        return self._piece(data, "function_call", "delta", 0)

    def _arguments_done(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        item = self._find(data, "function_call")
        name = data.get("name")
        events: Sequence[StreamEvent] = ()
        if isinstance(name, str) and name and not item.raw.get("name") and item.parts is None:
            item.raw["name"] = name
            events = item.start(self._indexes)
        return [*events, *self._whole(data, "function_call", "arguments", 0)]

    def _piece(self, data: dict[str, Any], kind: str, field: str, key: Any) -> Sequence[StreamEvent]:
        text = data.get(field)
        if not isinstance(text, str) or not text:
            return ()
        item = self._find(data, kind)
        return item.delta(_key(key), text, self._indexes) if item.parts is None else ()

    def _whole(self, data: dict[str, Any], kind: str, field: str, key: Any) -> Sequence[StreamEvent]:
        text = data.get(field)
        if not isinstance(text, str) or not text:
            return ()
        item = self._find(data, kind)
        return item.whole(_key(key), text, self._indexes) if item.parts is None else ()

    # ------------------------------------------------------------------------------------------ items

    def _find(self, data: dict[str, Any], kind: str, raw: dict[str, Any] | None = None) -> Item:
        """The item that an event is about, made where nothing announced it.

        By ``output_index`` and never by id alone: GitHub's gateway gives every event another id.
        """
        key = data.get("output_index")
        if isinstance(key, int) and key >= 0:
            item = self._items.get(key)
            if item is not None and item.kind == kind:
                return item
        else:
            identity = data.get("item_id") or (raw or {}).get("id")
            same = [item for item in self._items.values() if item.kind == kind]
            named = [item for item in same if identity and item.raw.get("id") == identity]
            still_open = [item for item in same if item.parts is None]
            if named or still_open:
                return (named or still_open)[-1]
            key = None
        if key is None or key in self._items:
            key = max(self._items, default=-1) + 1
        return self._new(raw or {"type": kind, "id": data.get("item_id")}, key)

    def _new(self, raw: dict[str, Any], key: int) -> Item:
        if key in self._items:  # two items under one number: neither is lost
            key = max(self._items) + 1
        fallback = f"call_{self.response_id or self._model.id}_{len(self._earlier)}_{key}"
        item = self._items[key] = new_item(raw, fallback)
        return item

    def _end(self, item: Item, final: dict[str, Any] | None, cut: bool = False) -> list[StreamEvent]:
        needs: list[str] = []
        for key in sorted(self._items):
            before = self._items[key]
            if before is item:
                break
            if isinstance(before, ReasoningItem) and isinstance(before.raw.get("id"), str):
                needs.append(before.raw["id"])

        def metadata(**payload: Any) -> ProviderMetadata:
            if needs and "block" not in payload and not isinstance(item, ReasoningItem):
                payload["needs"] = needs
            if self.response_id:
                payload["response"] = self.response_id
            return tag(self._provider.id, self._model.id, **payload)

        return item.end(final, cut, self._indexes, metadata)

    # -------------------------------------------------------------------------------------------- end

    def _terminal(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        response = data.get("response")
        response = response if isinstance(response, dict) else {}
        self._response = {**self._response, **response}
        status = response.get("status")
        if status not in _TERMINAL_STATUS:
            status = str(data.get("type")).removeprefix("response.")
        if status in ("failed", "cancelled"):
            raise self._failure(response, status)
        events = self._reconcile(response.get("output"), cut=status == "incomplete")
        self._usage = read_usage(response.get("usage"))
        if self._usage is not None:
            events.append(UsageUpdate(self._usage))
        self._status = "incomplete" if status == "incomplete" else "completed"
        return events

    def _reconcile(self, output: Any, *, cut: bool) -> list[StreamEvent]:
        """Ends what is still open, with the final list of items where the vendor sent one.

        The list is matched by id, then by the order among items of a kind, since ids rotate at some
        gateways; it is empty on the ChatGPT backend. Items that were never streamed are added.
        """
        final = [raw for raw in output if isinstance(raw, dict)] if isinstance(output, list) else []
        left = [self._items[key] for key in sorted(self._items)]
        matched: dict[int, Item] = {}
        for by_id in (True, False):
            for place, raw in enumerate(final):
                if place in matched:
                    continue
                for item in left:
                    same_id = item.raw.get("id") is not None and item.raw.get("id") == raw.get("id")
                    if item.kind == _kind(raw) and (same_id or not by_id):
                        matched[place] = item
                        left.remove(item)
                        break
        events: list[StreamEvent] = []
        for place, raw in enumerate(final):
            item = matched.get(place) or self._new(raw, max(self._items, default=-1) + 1)
            if item.parts is None:
                events += self._end(item, raw, cut)
        for item in left:
            if item.parts is None:
                events += self._end(item, None, cut)
        return events

    def _finish(self) -> list[StreamEvent]:
        self._finished = True
        message = answer(STYLE, self._parts(), self._model, self._provider)
        return [Done(message, self._stop_reason(message), self._usage)]

    def _parts(self) -> list[Part]:
        own = [part for key in sorted(self._items) for part in self._items[key].parts or ()]
        return [*self._earlier, *own]

    def _stop_reason(self, message: Message) -> StopReason:
        if self._status == "incomplete":
            details = self._response.get("incomplete_details")
            reason = details.get("reason") if isinstance(details, dict) else None
            return INCOMPLETE_REASONS.get(reason, "length") if isinstance(reason, str) else "length"
        if any(isinstance(part, ToolCall) for part in message.parts):
            return "tool_calls"
        refused = any(isinstance(item, MessageItem) and item.refused for item in self._items.values())
        return "refusal" if refused else "stop"

    # ------------------------------------------------------------------------------------------ errors

    def _error(self, data: dict[str, Any]) -> Sequence[StreamEvent]:
        raise self._failure(data, "error")

    def _failure(self, data: dict[str, Any], status: str) -> ProviderError:
        from ante_nb.providers.wires._responses_errors import failure

        return failure(data, status, self._model, self._provider, self.partial())


def decode_body(body: Any, model: ModelSpec, provider: ProviderSpec) -> list[StreamEvent]:
    """The events of an answer that came whole.

    Raises:
        ProviderError: the typed error of a failed response or an error body.
        MalformedResponseError: the body is no finished response.
    """
    decoder = ResponsesDecoder(model, provider)
    if isinstance(body, dict):
        if body.get("error") and body.get("status") != "completed":
            decoder._error(body)
        if isinstance(body.get("output"), list) and body.get("status") in (*_TERMINAL_STATUS, None):
            status = body.get("status") or "completed"
            return [*decoder._terminal({"type": f"response.{status}", "response": body}), *decoder.close()]
    raise malformed("something that is no finished response", provider, decoder.partial())


_TERMINAL_STATUS = ("completed", "incomplete", "failed", "cancelled")
_PASSED_OVER = frozenset(("codex.rate_limits",))


def _kind(raw: dict[str, Any]) -> str:
    """The kind of item under which ``raw`` is known here."""
    return new_item(raw, "").kind


def _key(value: Any) -> int:
    return value if isinstance(value, int) else 0
