"""The stream of Chat Completions as events, in every dialect that vendors speak it."""

from __future__ import annotations

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
    UsageUpdate,
    tag,
)
from ante_nb.providers.failures import Target, classify
from ante_nb.providers.wires._shared_stream import answer, interrupted
from ante_nb.providers.wires._shared_text import pair_up
from ante_nb.providers.wires.openai_chat_calls import CallCollector
from ante_nb.providers.wires.openai_chat_encode import THINK_TAG
from ante_nb.providers.wires.openai_chat_usage import choice_usage, read_usage
from ante_nb.providers.wires.reasoning_details import merge_details
from ante_nb.providers.wires.think_tags import ThinkSplitter

if TYPE_CHECKING:
    from ante_nb.errors import ProviderError
    from ante_nb.messages import Message, Part, StopReason, StreamEvent, Usage
    from ante_nb.providers.spec import ModelSpec, ProviderSpec
    from ante_nb.providers.wires.base import WireEvent

_STOPS: dict[str, StopReason] = {
    "stop": "stop",
    "end": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",  # Z.ai
    "refusal": "refusal",
    "model_context_window_exceeded": "context_overflow",  # Z.ai
}
# DeepSeek, Z.ai, OpenRouter, vLLM: the answer did not end, the server gave up.
_FAILED = frozenset({"insufficient_system_resource", "network_error", "error", "abort", "aborted"})
STYLE = "OpenAiCompatible"
_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")


class ChatDecoder:
    """Decodes one answer; see :class:`ante_nb.providers.wires.base.Decoder`."""

    def __init__(self, model: ModelSpec, provider: ProviderSpec) -> None:
        self._model = model
        self._provider = provider
        self._parts: list[Part | None] = []
        """By event index; a tool call's place stays ``None`` until the end."""
        self._open: str | None = None
        """``text`` or ``thinking``: what the last part is, while it grows."""
        self._pieces: list[str] = []
        self._carry = ""
        self._field = ""
        self._details: list[dict[str, Any]] = []
        self._splitter: ThinkSplitter | None = ThinkSplitter()
        self._calls = CallCollector(self._take_index)
        self._stop: str | None = None
        self._refused = False
        self._usage: dict[str, Any] | None = None
        self._done = False

    @property
    def finished(self) -> bool:
        return self._done

    @property
    def ended(self) -> bool:
        """Whether the terminal marker (a finish reason) was seen: what may still come is usage."""
        return self._stop is not None

    def partial(self) -> Message:
        """Text and thinking as far as they have come; calls that were never finished are left out."""
        parts: list[Part] = [part for part in self._parts if part is not None]
        if self._open == "text" and self._pieces:
            parts.append(Text("".join(self._pieces)))
        elif self._open == "thinking" and self._pieces:
            parts.append(Thinking("".join(self._pieces)))
        return self._message(tuple(parts))

    def feed(self, event: WireEvent) -> list[StreamEvent]:
        data = event.data
        if self._done:
            return []
        if data is None:
            return self._end() if event.name == "[DONE]" and self._stop is not None else []
        if not isinstance(data, dict):
            if event.name == "error":
                raise self._error({"error": {"message": str(data)}})
            return []
        if data.get("error") or event.name == "error":
            raise self._error(data)
        out: list[StreamEvent] = []
        if data.get("usage"):
            self._usage = data["usage"]
        elif (groq := data.get("x_groq")) and isinstance(groq, dict) and groq.get("usage"):
            self._usage = groq["usage"]
        choices = data.get("choices")
        if not choices or not isinstance(choices, list) or not isinstance(choices[0], dict):
            return out
        choice = choices[0]
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._delta(delta, out)
        if choice.get("usage"):  # Kimi
            self._usage = choice_usage(choice["usage"], self._usage)
        reason = choice.get("finish_reason")
        if reason:
            if choice.get("error"):  # OpenRouter
                raise self._error({"error": choice["error"]})
            self._finish(str(reason))
        return out

    def close(self) -> list[StreamEvent]:
        if self._done:
            return []
        if self._stop is None:
            raise interrupted(self.partial(), self._provider)
        return self._end()

    # --------------------------------------------------------------------------------------- deltas

    def _delta(self, delta: dict[str, Any], out: list[StreamEvent]) -> None:
        if len(delta) == 1 and self._splitter is None and isinstance(words := delta.get("content"), str):
            if words:  # what nearly every chunk is
                self._text(words, out)
            return
        details = delta.get("reasoning_details")
        for name in _REASONING_FIELDS:
            # Some vendors send the same words in two of the fields: the first that is there counts.
            words = delta.get(name)
            if words and isinstance(words, str):
                self._think(words, name, out)
                break
        else:
            if details and isinstance(details, list):
                words = "".join(_detail_words(item) for item in details if isinstance(item, dict))
                if words:
                    self._think(words, "reasoning_details", out)
        if details and isinstance(details, list):
            merge_details(self._details, details)
        content = delta.get("content")
        if content:
            self._content(content, out)
        refusal = delta.get("refusal")
        if refusal and isinstance(refusal, str):
            self._refused = True
            self._text(refusal, out)
        calls = delta.get("tool_calls")
        if calls and isinstance(calls, list):
            self._before_calls(out)
            for call in calls:
                if isinstance(call, dict):
                    self._calls.add(call, out)
        elif isinstance(call := delta.get("function_call"), dict):  # the form before tools
            self._before_calls(out)
            self._calls.add({"index": 0, "function": call}, out)

    def _content(self, content: Any, out: list[StreamEvent]) -> None:
        if isinstance(content, str):
            self._visible(content, out)
        elif isinstance(content, list):  # Mistral: typed parts
            for item in content:
                if not isinstance(item, dict):
                    continue
                if isinstance(item.get("text"), str):
                    self._visible(item["text"], out)
                elif isinstance(item.get("thinking"), list):
                    for inner in item["thinking"]:
                        if isinstance(inner, dict) and inner.get("text"):
                            self._think(str(inner["text"]), "thinking", out)

    def _visible(self, words: str, out: list[StreamEvent]) -> None:
        """Content, after thinking in tags at its very start has been told apart."""
        if self._splitter is None:
            self._text(words, out)
            return
        for kind, piece in self._splitter.feed(words):
            if kind == "text":
                self._text(piece, out)
            else:
                self._think(piece, THINK_TAG, out)
        if self._splitter.settled:
            self._splitter = None if self._splitter.plain else self._splitter

    def _text(self, words: str, out: list[StreamEvent]) -> None:
        if self._open != "text":
            self._close_part(out)
            self._open = "text"
            self._index = self._take_index()
            out.append(TextStart(self._index))
        if self._carry or not words.isascii():
            words, self._carry = pair_up(self._carry, words)
        if words:
            self._pieces.append(words)
            out.append(TextDelta(self._index, words))

    def _think(self, words: str, name: str, out: list[StreamEvent]) -> None:
        if name != THINK_TAG and self._splitter is not None and not self._splitter.inside:
            held = self._splitter.flush()
            self._splitter = None  # reasoning has a field of its own here: tags in the text are text
            if held:
                self._text(held, out)
        if self._open != "thinking":
            self._close_part(out)
            self._open = "thinking"
            self._field = name
            self._index = self._take_index()
            out.append(ThinkingStart(self._index))
        if self._carry or not words.isascii():
            words, self._carry = pair_up(self._carry, words)
        if words:
            self._pieces.append(words)
            out.append(ThinkingDelta(self._index, words))

    def _before_calls(self, out: list[StreamEvent]) -> None:
        self._flush_splitter(out)
        self._close_part(out)

    def _flush_splitter(self, out: list[StreamEvent]) -> None:
        if self._splitter is None:
            return
        held, inside = self._splitter.flush(), self._splitter.inside
        if held and inside:
            self._think(held, THINK_TAG, out)
        elif held.strip():
            self._text(held, out)
        if not inside:
            self._splitter = None

    def _take_index(self) -> int:
        self._parts.append(None)
        return len(self._parts) - 1

    def _close_part(self, out: list[StreamEvent]) -> None:
        if self._carry:  # half a character, and its other half never came
            self._carry = ""
            self._pieces.append("\ufffd")
            kind = TextDelta if self._open == "text" else ThinkingDelta
            out.append(kind(self._index, "\ufffd"))
        if self._open == "text":
            text = Text("".join(self._pieces))
            self._parts[self._index] = text
            out.append(TextEnd(self._index, text))
        elif self._open == "thinking":
            thought = self._thought("".join(self._pieces))
            self._parts[self._index] = thought
            out.append(ThinkingEnd(self._index, thought))
        self._open = None
        self._pieces = []

    def _thought(self, words: str) -> Thinking:
        payload: dict[str, Any] = {"field": self._field}
        signature = None
        if self._field == THINK_TAG and self._splitter is not None:
            payload.update(lead=self._splitter.lead, tail=self._splitter.tail)
        if self._details:
            payload["reasoning_details"] = self._details
            signature = next(
                (item["signature"] for item in reversed(self._details) if item.get("signature")), None
            )
            self._details = []
        return Thinking(
            words,
            signature=signature,
            redacted=not words,
            provider_metadata=tag(self._provider.id, self._model.id, **payload),
        )

    # ------------------------------------------------------------------------------------------ end

    def _finish(self, reason: str) -> None:
        if reason.lower() in _FAILED:
            raise self._error(
                {"error": {"code": reason.lower(), "message": f"the answer ended with {reason!r}"}}
            )
        if self._stop is None:
            self._stop = reason

    def _end(self) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        self._flush_splitter(out)
        self._close_part(out)
        if self._details:  # encrypted reasoning that came without words, or after them
            self._field = "reasoning_details"
            index = self._take_index()
            thought = self._thought("")
            self._parts[index] = thought
            out += [ThinkingStart(index), ThinkingEnd(index, thought)]
        stop = _STOPS.get((self._stop or "").lower(), "stop")
        for index, call in self._calls.finish(
            out, truncated=stop == "length", provider=self._provider.id, model=self._model.id
        ):
            self._parts[index] = call
        if self._calls and stop == "stop":
            stop = "tool_calls"  # llama.cpp and proxies say "stop" all the same
        elif not self._calls and stop == "tool_calls":
            stop = "stop"
        if self._refused and stop == "stop":
            stop = "refusal"
        usage: Usage | None = read_usage(self._usage)
        if usage is not None:
            out.append(UsageUpdate(usage))
        message = self._message(tuple(part for part in self._parts if part is not None))
        out.append(Done(message, stop, usage))
        self._done = True
        return out

    def _message(self, parts: tuple[Part, ...]) -> Message:
        return answer(STYLE, parts, self._model, self._provider)

    def _error(self, body: dict[str, Any]) -> ProviderError:
        target = Target(self._provider, self._model.id, self._provider.base_url)
        problem = classify(target, None, {}, body)
        problem.partial = self.partial()
        return problem


def _detail_words(item: dict[str, Any]) -> str:
    words = item.get("text") or item.get("summary") or ""
    return words if isinstance(words, str) else ""
