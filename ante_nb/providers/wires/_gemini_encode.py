"""A request as Gemini generateContent.

Fields: https://ai.google.dev/api/generate-content; thought signatures:
https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ante_nb.messages import Image, Opaque, Text, Thinking, ToolCall, ToolResult
from ante_nb.providers.wires._gemini_schema import gemini_schema
from ante_nb.providers.wires._shared_body import merge_extra_body
from ante_nb.providers.wires._shared_origin import made_by
from ante_nb.providers.wires._shared_text import well_formed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ante_nb.messages import Message, Part
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request, ToolSpec

RESERVED = frozenset(("contents", "systemInstruction", "generationConfig", "tools", "toolConfig"))
"""Body fields that ``extra_body`` may not set."""

NO_SIGNATURE = "skip_thought_signature_validator"
"""What Google lets stand in for a thought signature on a call that no Gemini model made."""

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")

_STYLES = ("gemini_level", "gemini_budget")
_NUMBER = re.compile(r"gemini-(\d+)")


def generation(model_id: str) -> int:
    """The generation of a Gemini model; 3 for ids without a number (``gemini-flash-latest``)."""
    found = _NUMBER.search(model_id)
    return int(found[1]) if found else 3


def encode_request(request: Request, model: ModelSpec, provider: ProviderSpec) -> dict[str, Any]:
    """The request body; whether it streams is a matter of the URL."""
    body: dict[str, Any] = {}
    if request.system.strip():
        body["systemInstruction"] = {"parts": [{"text": request.system}]}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
        body["toolConfig"] = {"functionCallingConfig": _calling(request.tool_choice)}
    if config := _generation_config(request, model, provider):
        body["generationConfig"] = config
    body["contents"] = _Contents(model, provider).of(request.messages)
    cleaned: dict[str, Any] = well_formed(body)
    return merge_extra_body(cleaned, provider.extra_body, RESERVED)


# -------------------------------------------------------------------------------------------- fields


def _declaration(tool: ToolSpec) -> dict[str, Any]:
    schema = {"type": "object", "properties": {}, **tool.parameters}
    return {
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": gemini_schema(schema),
    }


def _calling(choice: str) -> dict[str, Any]:
    modes = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
    if choice in modes:
        return {"mode": modes[choice]}
    return {"mode": "ANY", "allowedFunctionNames": [choice]}


def _generation_config(request: Request, model: ModelSpec, provider: ProviderSpec) -> dict[str, Any]:
    config: dict[str, Any] = {}
    max_tokens = request.max_tokens or model.max_tokens
    for name, value in (
        ("maxOutputTokens", max_tokens),
        ("temperature", model.temperature),
        ("topP", model.top_p),
        ("topK", model.top_k),
        ("stopSequences", list(model.stop_sequences) or None),
        ("thinkingConfig", _thinking(request, model, provider) or None),
    ):
        if value is not None:
            config[name] = value
    return config


def _thinking(request: Request, model: ModelSpec, provider: ProviderSpec) -> dict[str, Any]:
    from ante_nb.providers.thinking import wire_level

    level = request.thinking or model.thinking
    control = model.thinking_control
    summaries = provider.thinking_display != "off"
    config: dict[str, Any] = {}
    if level is not None and control is not None:
        value, _ = wire_level(model, level)
        if value is not None and control.style == "gemini_level":
            config["thinkingLevel"] = value
        elif value is not None and control.style == "gemini_budget":
            config["thinkingBudget"] = int(value)
            summaries = summaries and value != 0  # refused beside a budget of none
    # Without a level the model thinks as it likes; its summaries still have to be asked for, but only of
    # a model that thinks: older ones refuse the field.
    thinks = (control is not None and control.style in _STYLES) or "gemini-3" in model.id
    if config or (thinks and provider.thinking_display in ("concise", "detailed")):
        config["includeThoughts"] = summaries
    return config


# ------------------------------------------------------------------------------------------ contents


class _Contents:
    """The conversation as ``contents``.

    A step's calls stand in one ``model`` content and all their results, in the same order, in the
    ``user`` content right after it; Google refuses anything else.
    """

    def __init__(self, model: ModelSpec, provider: ProviderSpec) -> None:
        self._model = model
        self._provider = provider
        self._modern = generation(model.id) >= 3
        self._out: list[dict[str, Any]] = []
        self._calls: dict[str, tuple[int, str, str | None]] = {}
        """Of the last step, by our call id: position, name, and the id to be sent, if any."""

    def of(self, messages: tuple[Message, ...]) -> list[dict[str, Any]]:
        waiting: list[ToolResult] = []
        for message in messages:
            if message.role == "tool":
                waiting += message.tool_results
                continue
            self._results(waiting)
            waiting = []
            if message.role == "user":
                # Results may also stand in a user message; they come first.
                self._results(list(message.tool_results))
                self._add("user", [p for part in message.parts for p in self._user_parts(part)])
            else:
                self._assistant(message)
        self._results(waiting)
        return self._out

    def _add(self, role: str, parts: list[dict[str, Any]]) -> None:
        if parts:
            self._out.append({"role": role, "parts": parts})

    def _user_parts(self, part: Part) -> Iterator[dict[str, Any]]:
        if isinstance(part, Text) and part.text:
            yield {"text": part.text}
        elif isinstance(part, Image):
            yield _image(part)

    # ---------------------------------------------------------------------------------------- model

    def _assistant(self, message: Message) -> None:
        parts: list[dict[str, Any]] = []
        calls: dict[str, tuple[int, str, str | None]] = {}
        for part in message.parts:
            if isinstance(part, ToolCall):
                parts.append(self._call(part, first=not calls))
                sent = parts[-1]["functionCall"].get("id")
                calls[part.id] = (len(calls), part.name, sent)
            else:
                parts.extend(self._model_parts(part))
        if self._out and self._out[-1]["role"] == "model" and not self._calls:
            self._out[-1]["parts"].extend(parts)
        else:
            self._add("model", parts)
        self._calls = calls

    def _call(self, part: ToolCall, *, first: bool) -> dict[str, Any]:
        function: dict[str, Any] = {"name": part.name, "args": part.arguments}
        entry: dict[str, Any] = {"functionCall": function}
        if (made := made_by(part, self._provider)) and made.get("call_id"):
            function["id"] = made["call_id"]
        made = made_by(part, self._provider, self._model)
        signature = made.get("signature") if made else None
        if signature is None and first and self._modern:
            # Gemini 3 refuses a step whose first call has no signature.
            signature = NO_SIGNATURE
        if signature is not None:
            entry["thoughtSignature"] = signature
        return entry

    def _model_parts(self, part: Part) -> Iterator[dict[str, Any]]:
        made = made_by(part, self._provider, self._model) or {}
        if isinstance(part, Text):
            for text, signature in _segments(part.text, made.get("segments")):
                yield {"text": text, **({"thoughtSignature": signature} if signature else {})}
        elif isinstance(part, Thinking):
            # Summaries need not go back; a signed one does, as it came.
            for text, signature in _segments(part.text, made.get("segments")):
                if signature:
                    yield {"text": text, "thought": True, "thoughtSignature": signature}
        elif isinstance(part, Image):
            signature = made.get("signature")
            yield {**_image(part), **({"thoughtSignature": signature} if signature else {})}
        elif isinstance(part, Opaque):
            block = (made_by(part, self._provider) or {}).get("block")
            if block and not made:  # another model signed it
                block = {key: value for key, value in block.items() if key != "thoughtSignature"}
            if block and block != {"text": ""}:
                yield block

    # -------------------------------------------------------------------------------------- results

    def _results(self, results: list[ToolResult]) -> None:
        if not results:
            return
        last = len(self._calls)
        results = sorted(results, key=lambda item: self._calls.get(item.call_id, (last, "", None))[0])
        parts: list[dict[str, Any]] = []
        images: list[dict[str, Any]] = []
        for result in results:
            _, name, call_id = self._calls.get(result.call_id, (last, "unknown", None))
            shown = [_image(item) for item in result.content if isinstance(item, Image)]
            notes = "".join(image["text"] for image in shown if "text" in image)
            blobs = [image for image in shown if "inlineData" in image]
            text = result.text + notes
            if not text and blobs:
                text = "(see the image)"
            response: dict[str, Any] = {"name": name, "response": {"output": text}}
            if result.is_error:
                response["response"] = {"error": text}
            if call_id:
                response["id"] = call_id
            if blobs and self._modern:
                response["parts"] = blobs
            else:
                images += blobs
            parts.append({"functionResponse": response})
        self._add("user", parts)
        if images:  # before Gemini 3 a function response holds no images
            self._add("user", [{"text": "Images of the tool results above:"}, *images])


def _image(part: Image) -> dict[str, Any]:
    if part.media_type not in IMAGE_TYPES:
        return {"text": f"[an image of type {part.media_type}, which this model does not take, was left out]"}
    return {"inlineData": {"mimeType": part.media_type, "data": part.data}}


def _segments(text: str, segments: Any) -> list[tuple[str, str | None]]:
    """``text`` in the pieces that its signatures belong to.

    Google wants a signed part back as it came: not moved, and not merged with its neighbours. ``segments``
    lists length and signature of each; where they do not add up, the text goes out unsigned.
    """
    if not isinstance(segments, list):
        return [(text, None)] if text else []
    out: list[tuple[str, str | None]] = []
    at = 0
    for length, signature in segments:
        out.append((text[at : at + length], signature))
        at += length
    if at != len(text):
        return [(text, None)] if text else []
    return out
