"""Gemini generateContent, read: the stream of partial answers, each a ``GenerateContentResponse``.

Fields: https://ai.google.dev/api/generate-content. The stream has no end event: the answer is complete
when a ``finishReason`` was seen, and since late parts and usage may follow it, ``Done`` waits for the end
of the input.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ante_nb.errors import (
    ContentFilterError,
    InvalidRequestError,
    MalformedResponseError,
    PermissionDeniedError,
)
from ante_nb.messages import (
    Done,
    Image,
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
from ante_nb.providers.wires._gemini_calls import GrowingCall
from ante_nb.providers.wires._shared_stream import answer, interrupted, malformed, vendor_error
from ante_nb.providers.wires._shared_text import pair_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ante_nb.messages import Message, Part, StopReason, StreamEvent
    from ante_nb.providers.spec import ModelSpec, ProviderSpec
    from ante_nb.providers.wires.base import WireEvent

STYLE = "Gemini"

STOP_REASONS: dict[str, StopReason] = {
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR",
            "ESCALATION", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
        ),
        "content_filter",
    ),
}  # fmt: skip
"""Anything else counts as ``stop``, or as ``tool_calls`` where there are any: STOP stands for both."""

_AGAIN = {
    "MALFORMED_FUNCTION_CALL": "a tool call that cannot be read",
    "MALFORMED_RESPONSE": "an answer that cannot be read",
    "UNEXPECTED_TOOL_CALL": "a call of a tool that it was not offered",
}
"""Finish reasons of an answer that is of no use; the same request mostly succeeds the next time."""

_COUNTERS = ("promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount")


class _Block:
    """Text or thinking while it arrives. ``segments``: length and signature of each signed or plain run."""

    __slots__ = ("carry", "index", "pieces", "segments", "signed", "thought")

    def __init__(self, index: int, *, thought: bool) -> None:
        self.index = index
        self.thought = thought
        self.pieces: list[str] = []
        self.carry = ""
        self.segments: list[list[Any]] = []
        self.signed = False


class GeminiDecoder:
    """Decodes one answer; see :class:`~ante_nb.providers.wires.base.Decoder`.

    ``index`` of the events it returns is the position of the part in the finished message.
    """

    def __init__(self, model: ModelSpec, provider: ProviderSpec) -> None:
        self._model = model
        self._provider = provider
        self._parts: list[Part] = []
        self._block: _Block | None = None
        self._call: GrowingCall | None = None
        self._reason: str | None = None
        self._detail = ""
        self._usage: dict[str, int] = {}
        self._counted: Any = None
        """The last ``usageMetadata``: most partial answers repeat it."""
        self._response_id: str | None = None
        self._finished = False

    @property
    def finished(self) -> bool:
        return self._finished

    @property
    def ended(self) -> bool:
        """Whether the terminal marker was seen."""
        return self._reason is not None

    # ------------------------------------------------------------------------------------------ input

    def feed(self, event: WireEvent) -> Sequence[StreamEvent]:
        """The stream events of one partial answer.

        Raises:
            ProviderError: the typed error of an ``error`` object.
            ContentFilterError: the prompt was blocked.
            MalformedResponseError: the model's own answer was cut out by the service; worth another try.
        """
        data = event.data
        if isinstance(data, list) and len(data) == 1:  # errors come wrapped like this
            data = data[0]
        if self._finished or data is None:
            return ()
        if not isinstance(data, dict):
            raise malformed("an event that is no JSON object", self._provider, self.partial())
        if data.get("error"):
            raise vendor_error(data, self._provider, self.partial())
        if isinstance(data.get("responseId"), str):
            self._response_id = data["responseId"]
        events: list[StreamEvent] = []
        candidates = data.get("candidates")
        candidate = candidates[0] if isinstance(candidates, list) and candidates else None
        if isinstance(candidate, dict):
            content = candidate.get("content")
            parts = content.get("parts") if isinstance(content, dict) else None
            for part in parts if isinstance(parts, list) else ():
                if isinstance(part, dict):
                    if len(part) == 1 and (text := part.get("text")) and isinstance(text, str):
                        self._text(text, None, False, events)  # what nearly every part is
                    else:
                        self._part(part, events)
        usage = data.get("usageMetadata")
        if usage != self._counted:
            self._counted = usage
            self._count(usage, events)
        if isinstance(candidate, dict):
            if candidate.get("finishReason"):
                self._ending(candidate)
        else:
            self._blocked(data.get("promptFeedback"))
        return events

    def close(self) -> Sequence[StreamEvent]:
        """The end of the input: ``Done`` if a finish reason was seen."""
        if self._finished:
            return ()
        if self._reason is None:
            raise interrupted(self.partial(), self._provider)
        self._finished = True
        events: list[StreamEvent] = []
        reason = STOP_REASONS.get(self._reason, "stop")
        self._end_block(events)
        self._end_call(events, cut=reason != "stop")
        message = answer(STYLE, self._parts, self._model, self._provider)
        if reason == "stop" and message.tool_calls:
            reason = "tool_calls"
        if reason == "content_filter":
            why = self._detail or f"the filter's reason is {self._reason}"
            events.append(Notice("warning", f"{self._provider.display_name} stopped the answer: {why}"))
        events.append(Done(message, reason, self._totals()))
        return events

    def partial(self) -> Message:
        """What has arrived so far: text and thinking. No call of an unfinished answer was ever run."""
        parts = [part for part in self._parts if isinstance(part, Text | Thinking)]
        if self._block is not None:
            parts.append(self._block_part(self._block))
        return answer(STYLE, parts, self._model, self._provider)

    # ------------------------------------------------------------------------------------------ parts

    def _part(self, part: dict[str, Any], events: list[StreamEvent]) -> None:
        signature = part.get("thoughtSignature")
        if not isinstance(signature, str) or not signature:
            signature = None
        text = part.get("text")
        function = part.get("functionCall")
        blob = part.get("inlineData")
        if isinstance(function, dict):
            self._end_block(events)
            self._function(function, signature, events)
        elif isinstance(text, str):
            if text:
                self._text(text, signature, bool(part.get("thought")), events)
            elif signature:  # often the last part: a signature of its own, to be sent back as it is
                self._keep(part, "text", events)
        elif isinstance(blob, dict) and _is_image(blob):
            self._settle(events)
            signed = {"signature": signature} if signature else {}
            self._parts.append(Image(blob["data"], blob["mimeType"], self._tag(**signed)))
        else:
            kind = next((key for key in part if key not in ("thought", "thoughtSignature")), None)
            if kind or signature:
                self._keep(part, kind or "text", events)

    def _keep(self, part: dict[str, Any], kind: str, events: list[StreamEvent]) -> None:
        """A part that only Google understands (code it ran, a bare signature ...)."""
        self._settle(events)
        self._parts.append(Opaque(kind, self._tag(block=part)))

    def _text(self, text: str, signature: str | None, thought: bool, events: list[StreamEvent]) -> None:
        block = self._block
        if block is None or block.thought is not thought:
            self._settle(events)
            block = self._block = _Block(len(self._parts), thought=thought)
            events.append(ThinkingStart(block.index) if thought else TextStart(block.index))
        if block.carry or not text.isascii():
            text, block.carry = pair_up(block.carry, text)
        if signature is not None:
            block.signed = True
            block.segments.append([len(text), signature])
        elif block.segments and block.segments[-1][1] is None:
            block.segments[-1][0] += len(text)
        else:
            block.segments.append([len(text), None])
        if text:
            block.pieces.append(text)
            events.append(ThinkingDelta(block.index, text) if thought else TextDelta(block.index, text))

    def _settle(self, events: list[StreamEvent]) -> None:
        """Ends what is open: another part begins."""
        self._end_block(events)
        self._end_call(events, cut=False)

    def _end_block(self, events: list[StreamEvent]) -> None:
        block, self._block = self._block, None
        if block is None:
            return
        part = self._block_part(block)
        self._parts.append(part)
        if isinstance(part, Thinking):
            events.append(ThinkingEnd(block.index, part))
        else:
            events.append(TextEnd(block.index, part))

    def _block_part(self, block: _Block) -> Text | Thinking:
        text = "".join(block.pieces)
        metadata = self._tag(segments=block.segments) if block.signed else None
        if not block.thought:
            return Text(text, metadata)
        signatures = [signature for _, signature in block.segments if signature]
        return Thinking(
            text, signatures[-1] if signatures else None, provider_metadata=metadata or self._tag()
        )

    # ------------------------------------------------------------------------------------------ calls

    def _function(self, function: dict[str, Any], signature: str | None, events: list[StreamEvent]) -> None:
        name = function.get("name")
        if isinstance(name, str) and name:
            self._end_call(events, cut=False)
            given = function.get("id")
            call_id = given if isinstance(given, str) and given else None
            index = len(self._parts)
            # AI Studio may give no id. One of ours is never sent back: Google matches by name and order.
            own_id = call_id or f"call_{self._response_id or uuid.uuid4().hex}_{index}"
            self._call = GrowingCall(name, own_id, index, call_id=call_id, signature=signature)
            events.append(ToolCallStart(index, own_id, name))
        call = self._call
        if call is None:
            return
        call.add(function)
        if not function.get("willContinue"):
            self._end_call(events, cut=False)

    def _end_call(self, events: list[StreamEvent], *, cut: bool) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        arguments, invalid, text = call.finished(cut=cut)
        extra = {"call_id": call.call_id, "signature": call.signature}
        metadata = self._tag(**{key: value for key, value in extra.items() if value is not None})
        part = ToolCall(call.own_id, call.name, arguments, invalid, metadata)
        self._parts.append(part)
        events.append(ToolCallDelta(call.index, text))
        events.append(ToolCallEnd(call.index, part))

    # -------------------------------------------------------------------------------------------- end

    def _ending(self, candidate: dict[str, Any]) -> None:
        reason = candidate.get("finishReason")
        if not isinstance(reason, str) or not reason:
            return
        self._reason = reason
        said = candidate.get("finishMessage")
        self._detail = said if isinstance(said, str) else ""
        name = self._provider.display_name
        facts: dict[str, Any] = {
            "provider": self._provider.id,
            "model": self._model.id,
            "code": reason,
            "partial": self.partial(),
        }
        if reason in _AGAIN:
            raise MalformedResponseError(
                f"{self._model.id} wrote {_AGAIN[reason]}",
                "Run the cell again, or choose another model.",
                retryable=True,
                **facts,
            )
        if reason == "MISSING_THOUGHT_SIGNATURE":
            raise InvalidRequestError(
                f"{name} misses a thought signature in the conversation",
                "Start a new session with `%ante reset`.",
                retryable=False,
                **facts,
            )
        if reason == "PUP_LIMITED_DISABLED":
            raise PermissionDeniedError(
                f"{name} has limited this account for violations of its use policy",
                "Choose another provider with `--provider`.",
                retryable=False,
                **facts,
            )

    def _blocked(self, feedback: Any) -> None:
        reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
        if not isinstance(reason, str) or not reason:
            return
        said = feedback.get("blockReasonMessage")
        raise ContentFilterError(
            f"{self._provider.display_name} blocked the prompt: {said if isinstance(said, str) else reason}",
            "Rephrase the prompt or choose another model.",
            provider=self._provider.id,
            model=self._model.id,
            code=reason,
            partial=self.partial(),
            retryable=False,
        )

    # ------------------------------------------------------------------------------------------ usage

    def _count(self, usage: Any, events: list[StreamEvent]) -> None:
        """Later numbers replace earlier ones: they are cumulative. A missing one keeps its value."""
        if not isinstance(usage, dict):
            return
        before = dict(self._usage)
        for name in _COUNTERS:
            value = usage.get(name)
            if isinstance(value, int) and value >= 0:
                self._usage[name] = value
        if self._usage != before and (totals := self._totals()):
            events.append(UsageUpdate(totals))

    def _totals(self) -> Usage | None:
        """Google counts thoughts beside the answer; on our scale the output includes them."""
        if not self._usage:
            return None
        prompt, cached, answered, thought = (self._usage.get(name, 0) for name in _COUNTERS)
        return Usage(prompt, answered + thought, cache_read=cached, reasoning=thought)

    def _tag(self, **payload: Any) -> dict[str, Any]:
        return tag(self._provider.id, self._model.id, **payload)


def _is_image(blob: dict[str, Any]) -> bool:
    kind = blob.get("mimeType")
    return isinstance(kind, str) and kind.startswith("image/") and isinstance(blob.get("data"), str)
