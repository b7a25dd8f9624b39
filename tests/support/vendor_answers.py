"""A scripted answer in each vendor's own words: as a stream of events and as one JSON object.

The script (:class:`Answer`) is in no vendor's terms. The forms follow the vendors' API references and
their SDKs' types; :class:`Ledger` hands out what a vendor signs, so that a server can tell later
whether it came back unchanged, and to whom it belongs.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.vendors import Vendor


@dataclass(frozen=True)
class Tokens:
    """What an answer costs: ``prompt`` includes ``cached`` and ``written``; ``thought`` is beside ``answer``."""

    prompt: int = 900
    cached: int = 500
    written: int = 100
    answer: int = 40
    thought: int = 25


@dataclass(frozen=True)
class Answer:
    """One model call: thinking first, then text, then calls in parallel.

    ``pieces``: deltas for each of them. ``signed``: whether the vendor proves that it wrote the thinking.
    """

    text: str = ""
    thinking: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    pieces: int = 3
    signed: bool = True
    tokens: Tokens = Tokens()


@dataclass
class Issued:
    """What a vendor has said in one answer, as it wants to see it again."""

    vendor: str
    model: str
    thinking: str = ""
    proofs: list[str] = field(default_factory=list)
    """Signatures, ciphertexts, thought signatures."""
    calls: list[str] = field(default_factory=list)
    """Call ids, as the client knows them."""
    items: list[str] = field(default_factory=list)
    """Ids of the vendor's own that mean nothing to another one."""


class Ledger:
    """Everything that the vendors of a server have signed."""

    def __init__(self) -> None:
        self.answers: list[Issued] = []
        self._proofs: dict[str, tuple[str, str, str]] = {}
        self._numbers = 0

    def begin(self, vendor: str, model: str) -> Issued:
        self.answers.append(Issued(vendor, model))
        return self.answers[-1]

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def sign(self, issued: Issued, content: str) -> str:
        """A proof that ``issued.vendor`` wrote ``content``."""
        words = (
            f"{issued.vendor}|{issued.model}|{self.number()}|{hashlib.sha256(content.encode()).hexdigest()}"
        )
        proof = base64.b64encode(words.encode()).decode()
        self._proofs[proof] = (issued.vendor, issued.model, content)
        issued.proofs.append(proof)
        return proof

    def holds(self, proof: Any, vendor: str, model: str, content: str) -> bool:
        return isinstance(proof, str) and self._proofs.get(proof) == (vendor, model, content)

    def answer_with_call(self, vendor: str, model: str, call_id: Any) -> Issued | None:
        """The answer in which this vendor's model made the call."""
        for issued in self.answers:
            if (issued.vendor, issued.model) == (vendor, model) and call_id in issued.calls:
                return issued
        return None


def cut(words: str, pieces: int) -> list[str]:
    """``words`` in about that many pieces."""
    size = max(1, -(-len(words) // max(pieces, 1)))
    return [words[at : at + size] for at in range(0, len(words), size)]


def dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def stream(
    answer: Answer, vendor: Vendor, model: str, ledger: Ledger, request: dict[str, Any]
) -> list[bytes]:
    """The events of the answer, each with its blank line."""
    return _WIRES[vendor.style](answer, vendor, model, ledger, request).stream()


def whole(
    answer: Answer, vendor: Vendor, model: str, ledger: Ledger, request: dict[str, Any]
) -> dict[str, Any]:
    """The answer as one object."""
    return _WIRES[vendor.style](answer, vendor, model, ledger, request).whole()


class _Wire:
    def __init__(
        self, answer: Answer, vendor: Vendor, model: str, ledger: Ledger, request: dict[str, Any]
    ) -> None:
        self.answer, self.vendor, self.model = answer, vendor, model
        self.ledger, self.request = ledger, request
        self.issued = ledger.begin(vendor.id, model)
        self.issued.thinking = answer.thinking
        self.id = f"{vendor.id}-{ledger.number()}"
        self.tokens = answer.tokens

    def call_id(self) -> str:
        made = self.vendor.call_id(self.ledger.number())
        self.issued.calls.append(made)
        return made

    def cut(self, words: str) -> list[str]:
        return cut(words, self.answer.pieces)

    def stream(self) -> list[bytes]:
        raise NotImplementedError

    def whole(self) -> dict[str, Any]:
        raise NotImplementedError


def _named(events: list[dict[str, Any]]) -> list[bytes]:
    return [f"event: {event['type']}\ndata: {dump(event)}\n\n".encode() for event in events]


class _Anthropic(_Wire):
    """https://platform.claude.com/docs/en/build-with-claude/streaming."""

    def blocks(self) -> list[dict[str, Any]]:
        answer, blocks = self.answer, []
        if answer.thinking:
            signature = self.ledger.sign(self.issued, answer.thinking) if answer.signed else ""
            blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": signature})
        if answer.text:
            blocks.append({"type": "text", "text": answer.text})
        for name, arguments in answer.calls:
            blocks.append({"type": "tool_use", "id": self.call_id(), "name": name, "input": arguments})
        return blocks

    def usage(self, output: int) -> dict[str, Any]:
        tokens = self.tokens
        return {
            "input_tokens": tokens.prompt - tokens.cached - tokens.written,
            "cache_read_input_tokens": tokens.cached,
            "cache_creation_input_tokens": tokens.written,
            "output_tokens": output,
            "output_tokens_details": {"thinking_tokens": tokens.thought if output > 1 else 0},
        }

    def ending(self) -> dict[str, Any]:
        return {"stop_reason": "tool_use" if self.answer.calls else "end_turn", "stop_sequence": None}

    def frame(self) -> dict[str, Any]:
        return {"id": f"msg_{self.id}", "type": "message", "role": "assistant", "model": self.model}

    def whole(self) -> dict[str, Any]:
        usage = self.usage(self.tokens.answer + self.tokens.thought)
        return {**self.frame(), "content": self.blocks(), **self.ending(), "usage": usage}

    def stream(self) -> list[bytes]:
        start = {**self.frame(), "content": [], "stop_reason": None, "usage": self.usage(1)}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
        for index, block in enumerate(self.blocks()):
            events += self.block(index, block)
        usage = self.usage(self.tokens.answer + self.tokens.thought)
        events.append({"type": "message_delta", "delta": self.ending(), "usage": usage})
        events.append({"type": "message_stop"})
        return _named(events)

    def block(self, index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
        kind = block["type"]
        if kind == "tool_use":
            empty: dict[str, Any] = {**block, "input": {}}
            words = dump(block["input"]) if block["input"] else ""
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *self.cut(words)]]
        elif kind == "thinking":
            empty = {"type": kind, "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in self.cut(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        else:
            empty = {"type": kind, "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in self.cut(block["text"])]
        return [
            {"type": "content_block_start", "index": index, "content_block": empty},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index},
        ]


class _Responses(_Wire):
    """https://platform.openai.com/docs/api-reference/responses-streaming."""

    def items(self) -> list[dict[str, Any]]:
        answer, items = self.answer, []
        if answer.thinking:
            ident = self.item_id("rs")
            item = {
                "id": ident,
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": answer.thinking}],
            }
            if answer.signed:
                item["encrypted_content"] = self.ledger.sign(self.issued, ident)
            items.append(item)
        if answer.text:
            content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": answer.text}]
            fixed = {"type": "message", "status": "completed", "role": "assistant"}
            items.append({"id": self.item_id("msg"), **fixed, "content": content})
        for name, arguments in answer.calls:
            fixed = {"type": "function_call", "status": "completed", "name": name}
            item = {"id": self.item_id("fc"), **fixed, "call_id": self.call_id()}
            items.append({**item, "arguments": dump(arguments)})
        return items

    def item_id(self, prefix: str) -> str:
        made = f"{prefix}_{self.vendor.id.replace('-', '')}{self.ledger.number():04d}"
        self.issued.items.append(made)
        return made

    def response(self, status: str, items: list[dict[str, Any]], *, counted: bool) -> dict[str, Any]:
        tokens = self.tokens
        usage = {
            "input_tokens": tokens.prompt,
            "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.written},
            "output_tokens": tokens.answer + tokens.thought,
            "output_tokens_details": {"reasoning_tokens": tokens.thought},
            "total_tokens": tokens.prompt + tokens.answer + tokens.thought,
        }
        frame = {"id": f"resp_{self.id}", "object": "response", "created_at": 1795000000, "model": self.model}
        fixed = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None}
        fixed |= {"incomplete_details": None, "instructions": None, "metadata": {}, "store": False}
        return {**frame, **fixed, "status": status, "output": items, "usage": usage if counted else None}

    def whole(self) -> dict[str, Any]:
        return self.response("completed", self.items(), counted=True)

    def stream(self) -> list[bytes]:
        begun = self.response("in_progress", [], counted=False)
        events: list[dict[str, Any]] = [
            {"type": f"response.{name}", "response": begun} for name in ("created", "in_progress")
        ]
        items = self.items()
        for index, item in enumerate(items):
            events += self.item(index, item)
        ended = self.response("completed", items, counted=True)
        events.append({"type": "response.completed", "response": ended})
        for number, event in enumerate(events):
            event["sequence_number"] = number
        out = _named(events)
        return [*out, b"data: [DONE]\n\n"] if self.vendor.id == "xai" else out

    def item(self, index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
        place = {"item_id": item["id"], "output_index": index}
        if item["type"] == "reasoning":
            empty: dict[str, Any] = {**item, "summary": []}
            field_, name, words = "summary_index", "response.reasoning_summary_text", self.answer.thinking
            part: dict[str, Any] = {"type": "summary_text", "text": ""}
            around = "response.reasoning_summary_part"
        elif item["type"] == "message":
            empty = {**item, "status": "in_progress", "content": []}
            field_, name, words = "content_index", "response.output_text", self.answer.text
            part = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
            around = "response.content_part"
        else:
            empty = {**item, "status": "in_progress", "arguments": ""}
            field_, name, words = "", "response.function_call_arguments", item["arguments"]
            around = ""
        inner = {**place, **({field_: 0} if field_ else {})}
        key = "text" if field_ else "arguments"
        events = [{"type": "response.output_item.added", "output_index": index, "item": empty}]
        if around:
            events.append({"type": f"{around}.added", **inner, "part": part})
        logprobs = {"logprobs": []} if name == "response.output_text" else {}
        for piece in self.cut(words):
            events.append({"type": f"{name}.delta", **inner, "delta": piece, **logprobs, "obfuscation": "x9"})
        named = {"name": item["name"]} if not field_ else {}
        events.append({"type": f"{name}.done", **inner, key: words, **logprobs, **named})
        if around:
            events.append({"type": f"{around}.done", **inner, "part": {**part, "text": words}})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
        return events


class _Chat(_Wire):
    """https://platform.openai.com/docs/api-reference/chat-streaming, and each vendor's reasoning fields."""

    def frame(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.id}", "object": kind, "created": 1795000000, "model": self.model}

    def usage(self) -> dict[str, Any]:
        tokens = self.tokens
        made = tokens.answer + tokens.thought
        usage: dict[str, Any] = {
            "prompt_tokens": tokens.prompt,
            "completion_tokens": made,
            "total_tokens": tokens.prompt + made,
            "prompt_tokens_details": {"cached_tokens": tokens.cached},
            "completion_tokens_details": {"reasoning_tokens": tokens.thought},
        }
        if self.vendor.id == "openrouter":
            usage["prompt_tokens_details"]["cache_write_tokens"] = tokens.written
        if self.vendor.id == "deepseek":
            del usage["prompt_tokens_details"]
            usage["prompt_cache_hit_tokens"] = tokens.cached
            usage["prompt_cache_miss_tokens"] = tokens.prompt - tokens.cached
        return usage

    def thoughts(self) -> list[dict[str, Any]]:
        """The fields of the thinking, piece by piece."""
        pieces = self.cut(self.answer.thinking)
        if self.vendor.id != "openrouter":
            return [{"reasoning_content": piece} for piece in pieces]
        detail = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
        out: list[dict[str, Any]] = [
            {"reasoning": piece, "reasoning_details": [{**detail, "text": piece}]} for piece in pieces
        ]
        if self.answer.signed and pieces:
            signature = self.ledger.sign(self.issued, self.answer.thinking)
            out.append({"reasoning_details": [{**detail, "signature": signature}]})
        return out

    def calls(self) -> list[dict[str, Any]]:
        return [
            {
                "id": self.call_id(),
                "type": "function",
                "function": {"name": name, "arguments": dump(arguments)},
            }
            for name, arguments in self.answer.calls
        ]

    def reason(self) -> str:
        return "tool_calls" if self.answer.calls else "stop"

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.answer.text or None}
        thoughts = self.thoughts()
        for name in ("reasoning_content", "reasoning"):
            if words := "".join(thought.get(name, "") for thought in thoughts):
                message[name] = words
        if self.vendor.id == "openrouter" and thoughts:
            detail = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
            detail["text"] = self.answer.thinking
            if self.issued.proofs:
                detail["signature"] = self.issued.proofs[-1]
            message["reasoning_details"] = [detail]
        if calls := self.calls():
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": self.reason()}
        return {**self.frame("chat.completion"), "choices": [choice], "usage": self.usage()}

    def stream(self) -> list[bytes]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *self.thoughts()]
        deltas += [{"content": piece} for piece in self.cut(self.answer.text)]
        calls = self.calls()
        for index, call in enumerate(calls):
            function = {"name": call["function"]["name"], "arguments": ""}
            deltas.append({"tool_calls": [{**call, "index": index, "function": function}]})
        pieces = [self.cut(call["function"]["arguments"]) for call in calls]
        for step in range(max(map(len, pieces), default=0)):  # interleaved, as parallel calls come
            for index, words in enumerate(pieces):
                if step < len(words):
                    function = {"arguments": words[step]}
                    deltas.append({"tool_calls": [{"index": index, "function": function}]})
        frame = self.frame("chat.completion.chunk")
        chunks = [
            {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
        ]
        last = {**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": self.reason()}]}
        chunks.append(last)
        if (self.request.get("stream_options") or {}).get("include_usage"):
            if self.vendor.id in ("deepseek", "zai"):
                last["usage"] = self.usage()
            else:
                chunks.append({**frame, "choices": [], "usage": self.usage()})
        out = [f"data: {dump(chunk)}\n\n".encode() for chunk in chunks]
        if self.vendor.id in ("deepseek", "openrouter"):
            out.insert(0, b": keep-alive\n\n")
        return [*out, b"data: [DONE]\n\n"]


class _Gemini(_Wire):
    """https://ai.google.dev/api/generate-content; signatures as on its thought-signatures page."""

    def parts(self) -> list[list[dict[str, Any]]]:
        """The parts, chunk by chunk."""
        answer = self.answer
        chunks: list[list[dict[str, Any]]] = [
            [{"text": piece, "thought": True}] for piece in self.cut(answer.thinking)
        ]
        chunks += [[{"text": piece}] for piece in self.cut(answer.text)]
        calls: list[dict[str, Any]] = []
        for name, arguments in answer.calls:
            function: dict[str, Any] = {"name": name, "args": arguments}
            if self.vendor.sends_call_ids:
                function["id"] = self.call_id()
                self.issued.items.append(function["id"])
            part: dict[str, Any] = {"functionCall": function}
            if not calls and answer.signed:  # of parallel calls only the first one is signed
                part["thoughtSignature"] = self.ledger.sign(self.issued, f"{name}{dump(arguments)}")
            calls.append(part)
        if calls:
            chunks.append(calls)
        elif answer.text and answer.signed:
            chunks.append([{"text": "", "thoughtSignature": self.ledger.sign(self.issued, "")}])
        return chunks

    def response(self, parts: list[dict[str, Any]], *, last: bool) -> dict[str, Any]:
        tokens = self.tokens
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        usage = {"promptTokenCount": tokens.prompt, "cachedContentTokenCount": tokens.cached}
        if last:
            candidate["finishReason"] = "STOP"
            usage |= {"candidatesTokenCount": tokens.answer, "thoughtsTokenCount": tokens.thought}
        usage["totalTokenCount"] = sum(usage.values()) - tokens.cached
        frame = {"modelVersion": self.model, "responseId": self.id}
        return {"candidates": [candidate], "usageMetadata": usage, **frame}

    def whole(self) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        for part in (part for chunk in self.parts() for part in chunk):
            plain = set(part) <= {"text", "thought"}
            if parts and plain and set(parts[-1]) == set(part):
                parts[-1] = {**parts[-1], "text": parts[-1]["text"] + part["text"]}
            else:
                parts.append(part)
        return self.response(parts, last=True)

    def stream(self) -> list[bytes]:
        chunks = self.parts() or [[{"text": ""}]]
        last = len(chunks) - 1
        return [
            f"data: {dump(self.response(parts, last=at == last))}\r\n\r\n".encode()
            for at, parts in enumerate(chunks)
        ]


_WIRES: dict[str, type[_Wire]] = {
    "AnthropicMessage": _Anthropic,
    "OpenAiResponse": _Responses,
    "OpenAiCompatible": _Chat,
    "Gemini": _Gemini,
}
