"""OpenAI Responses, the outgoing half: a request as the JSON body of ``POST /responses``.

Source: the OpenAI API reference (``/v1/responses``), the ``openai`` package's parameter types, and for
the ChatGPT and xAI endpoints what ``Quirks`` says of them.

The conversation is replayed whole and nothing is stored at the vendor (``store: false``), so every item
goes back as it came: reasoning with its ciphertext, calls with the very argument text, server-side
blocks verbatim. Three rules of the vendor decide what must not go back:

- a reasoning item without ciphertext (or plain content) points at something the vendor has not kept;
- a reasoning item must be followed by an item of the same answer;
- an item that keeps its ``id`` must come with the reasoning it followed, so ids fall with the reasoning.
"""

from __future__ import annotations

import hashlib
import json
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ante_nb.errors import InvalidRequestError
from ante_nb.messages import Image, Opaque, Text, Thinking, ToolCall, ToolResult
from ante_nb.providers.wires._shared_body import merge_extra_body
from ante_nb.providers.wires._shared_origin import made_by
from ante_nb.providers.wires._shared_text import well_formed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.messages import Message
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request, ToolSpec

STYLE = "OpenAiResponse"

RESERVED = frozenset(
    [
        "model",
        "instructions",
        "input",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "temperature",
        "reasoning",
        "stream",
        "include",
        "store",
    ]
)
"""Body fields that ``extra_body`` may not set: they carry the conversation or the choices of the turn."""

MAX_ID = 64
"""Longest item id, call id and cache key that the vendor takes."""

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")

_NEUTRAL_INSTRUCTIONS = "You are a helpful assistant."
_BAD_ID = re.compile(r"[^a-zA-Z0-9_-]")


def encode_body(
    request: Request, model: ModelSpec, provider: ProviderSpec, *, stream: bool
) -> dict[str, Any]:
    """The whole request body.

    Args:
        request: the model call.
        model, provider: resolved rows; ``provider.quirks`` holds what this endpoint wants otherwise.
        stream: ask for server-sent events; an endpoint that only streams is asked to in any case.

    Raises:
        InvalidRequestError: a temperature or top_p that the vendor refuses to a model that reasons.
    """
    quirks = provider.quirks
    body: dict[str, Any] = {"model": model.id}
    items = input_items(request.messages, model, provider)
    system = request.system or (_NEUTRAL_INSTRUCTIONS if quirks.instructions_required else "")
    if system and quirks.system_in_input:
        items.insert(0, {"type": "message", "role": "system", "content": system})
    elif system:
        body["instructions"] = system
    body["input"] = items
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request.tool_choice)
        body["parallel_tool_calls"] = True
    reasoning = _reasoning(request, model, provider)
    if reasoning:
        body["reasoning"] = reasoning
    # The newest API versions send the ciphertext unasked; older models, xAI and gateways need this.
    body["include"] = ["reasoning.encrypted_content"]
    body["store"] = False
    limit = request.max_tokens or model.max_tokens
    if limit:
        body["max_output_tokens"] = limit
    _sampling(body, model, provider)
    if quirks.prompt_cache_key and request.session_id:
        body["prompt_cache_key"] = cache_key(request.session_id)
    if stream or quirks.stream_only:
        body["stream"] = True
    for name in quirks.unsupported_params:
        body.pop(name, None)
    cleaned: dict[str, Any] = well_formed(body)
    return merge_extra_body(cleaned, provider.extra_body, RESERVED)


def cache_key(session_id: str) -> str:
    """``session_id`` as a cache key; a longer one than the vendor takes is hashed."""
    if len(session_id) <= MAX_ID:
        return session_id
    return hashlib.sha256(session_id.encode()).hexdigest()


def input_items(
    messages: Iterable[Message], model: ModelSpec, provider: ProviderSpec
) -> list[dict[str, Any]]:
    """The ``input`` items of ``messages``, without the system prompt.

    A pure function of each message by itself, so the items of a conversation are a prefix of the items
    of its continuation: this is what a transport compares before it sends only what is new. (Unanswered
    calls of the vendor's own tools are the exception: they go out once their output is there too.)
    """
    messages = tuple(messages)
    answered = _answered(messages)
    items: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "assistant":
            items += _assistant(message, model, provider, answered)
        else:
            items += _incoming(message)
    cleaned: list[dict[str, Any]] = well_formed(items)
    return cleaned


# ------------------------------------------------------------------------------------ user and tools


def _incoming(message: Message) -> list[dict[str, Any]]:
    """Items of a user or tool message: results first, they answer the message before."""
    items: list[dict[str, Any]] = []
    content: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, ToolResult):
            items.append(
                {"type": "function_call_output", "call_id": _call_id(part.call_id), "output": _output(part)}
            )
        elif isinstance(part, Text | Image):
            content += _content(part)
    if content:
        items.append({"type": "message", "role": "user", "content": content})
    return items


def _output(result: ToolResult) -> str | list[dict[str, Any]]:
    """What a tool result carries: a string, or content parts where it has images."""
    if not any(isinstance(part, Image) for part in result.content):
        return result.text
    return [item for part in result.content for item in _content(part)]


def _content(part: Text | Image) -> list[dict[str, Any]]:
    if isinstance(part, Image):
        if part.media_type not in IMAGE_TYPES:
            note = f"[an image of type {part.media_type}, which this model does not take, was left out]"
            return [{"type": "input_text", "text": note}]
        url = f"data:{part.media_type};base64,{part.data}"
        return [{"type": "input_image", "detail": "auto", "image_url": url}]
    return [{"type": "input_text", "text": part.text}] if part.text else []


# ----------------------------------------------------------------------------------------- assistant


def _assistant(
    message: Message, model: ModelSpec, provider: ProviderSpec, answered: frozenset[str]
) -> list[dict[str, Any]]:
    """Items of an assistant message, in order, by the rules at the top of this module."""
    same_wire = message.wire in (None, STYLE)
    items: list[dict[str, Any]] = []
    needs: list[tuple[str, ...]] = []

    def add(item: dict[str, Any], meta: dict[str, Any]) -> None:
        items.append(item)
        needs.append(tuple(meta.get("needs", ())))

    for part in message.parts:
        # Ciphertext and ids are bound to the organisation and the model; others get the plain content.
        meta = (made_by(part, provider, model) if same_wire else None) or {}
        kept = deepcopy(meta.get("item", {}))
        if isinstance(part, Text):
            if not part.text:
                continue
            piece = {**meta.get("content", {"type": "output_text", "annotations": []})}
            piece["refusal" if piece.get("type") == "refusal" else "text"] = part.text
            if items and kept.get("id") and items[-1].get("id") == kept["id"]:
                items[-1]["content"].append(piece)
            else:
                fixed = {"type": "message", "role": "assistant", "status": "completed", "content": [piece]}
                add({**kept, **fixed}, meta)
        elif isinstance(part, ToolCall):
            fixed = {"type": "function_call", "call_id": _call_id(part.id), "name": part.name}
            add({**kept, **fixed, "arguments": _arguments(part, meta)}, meta)
        elif isinstance(part, Thinking):
            if kept and (part.signature or kept.get("content")):
                if part.signature:
                    kept["encrypted_content"] = part.signature
                add(kept, meta)
        elif isinstance(part, Opaque):
            block = meta.get("block")
            if isinstance(block, dict) and not _pending(block, answered):
                add(deepcopy(block), meta)
        elif isinstance(part, Image):
            note = f"[an image, {part.media_type}, was here]"
            add({"type": "message", "role": "assistant", "content": [{"text": note}]}, {})
    while items and items[-1]["type"] == "reasoning":
        items.pop()
    replayed = {item.get("id") for item in items if item["type"] == "reasoning"}
    return [
        item if _id_holds(item, need, replayed) else _without_id(item)
        for item, need in zip(items, needs, strict=False)
    ]


def _id_holds(item: dict[str, Any], needs: tuple[str, ...], replayed: set[Any]) -> bool:
    if item["type"] not in ("message", "function_call"):
        return True
    # Gateways hand out ids that are longer than the vendor itself accepts back.
    identity = item.get("id")
    return isinstance(identity, str) and 0 < len(identity) <= MAX_ID and replayed.issuperset(needs)


def _without_id(item: dict[str, Any]) -> dict[str, Any]:
    """The item as the vendor takes it from someone who has no id for it."""
    if item["type"] == "function_call":
        return {name: value for name, value in item.items() if name != "id"}
    text = "".join(piece.get("text") or piece.get("refusal") or "" for piece in item["content"])
    plain = {"type": "message", "role": "assistant", "content": text}
    return {**plain, "phase": item["phase"]} if item.get("phase") else plain


def _call_id(call_id: str) -> str:
    """A call id that the vendor accepts; its own stay as they are."""
    return _BAD_ID.sub("_", call_id)[:MAX_ID] or "_"


def _arguments(call: ToolCall, meta: dict[str, Any]) -> str:
    """The argument text: the model's own where it still says the same (the vendor's cache is by token)."""
    if call.invalid is not None:
        # Gateways parse the field, so the text that is no JSON object travels inside one.
        return json.dumps({"invalid_arguments": call.invalid}, ensure_ascii=False)
    raw = meta.get("arguments")
    if isinstance(raw, str):
        try:
            if json.loads(raw) == call.arguments:
                return raw
        except (ValueError, RecursionError):
            pass
    return canonical(call.arguments)


def canonical(arguments: dict[str, Any]) -> str:
    """Arguments as the text that OpenAI's models write them in: no spaces, characters as they are."""
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


def _answered(messages: tuple[Message, ...]) -> frozenset[str]:
    """Call ids of the vendor's own tools whose output is in the conversation."""
    found = set()
    for message in messages:
        for part in message.parts:
            if isinstance(part, Opaque) and part.kind.endswith("_output"):
                block = (part.provider_metadata or {}).get("block")
                if isinstance(block, dict) and isinstance(block.get("call_id"), str):
                    found.add(block["call_id"])
    return frozenset(found)


def _pending(block: dict[str, Any], answered: frozenset[str]) -> bool:
    """Whether the block asks the client for something that nobody answered.

    Such a call (of a shell, a patch, an approval that we never offer) would make the vendor refuse the
    whole request: "No tool output found". Calls that the server itself runs carry no ``call_id``.
    """
    kind = block.get("type")
    if kind == "mcp_approval_request":
        return True
    call_id = block.get("call_id")
    return isinstance(kind, str) and kind.endswith("_call") and bool(call_id) and call_id not in answered


# -------------------------------------------------------------------------------------------- options


def _tool(tool: ToolSpec) -> dict[str, Any]:
    # strict is true by default here, and then the vendor rewrites a schema that is not made for it.
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": {"type": "object", "properties": {}, **tool.parameters},
        "strict": False,
    }


def _tool_choice(choice: str) -> str | dict[str, str]:
    return choice if choice in ("auto", "none", "required") else {"type": "function", "name": choice}


def _reasoning(request: Request, model: ModelSpec, provider: ProviderSpec) -> dict[str, str]:
    """``reasoning``: the effort of the level, and a summary for the person who will see the thinking.

    Without a level nothing is sent: OpenAI refuses summaries to organisations that are not verified,
    some Grok models refuse the whole field, and a plain call must work for everybody.
    """
    from ante_nb.providers.thinking import wire_level

    level = request.thinking or model.thinking
    control = model.thinking_control
    if level is None or control is None or control.style != "responses_effort":
        return {}
    effort, _used = wire_level(model, level)
    if not isinstance(effort, str):
        return {}
    if effort == "none" or provider.thinking_display == "off":
        return {"effort": effort}
    return {"effort": effort, "summary": provider.thinking_display or "auto"}


def _sampling(body: dict[str, Any], model: ModelSpec, provider: ProviderSpec) -> None:
    """Temperature and top_p, which OpenAI takes only from a model that does not reason.

    To drop what the person set would answer with another randomness than the status line says.
    """
    wanted = {name: value for name in ("temperature", "top_p") if (value := getattr(model, name)) is not None}
    control = model.thinking_control
    if wanted and control is not None and control.levels and not provider.quirks.reasoning_sampling:
        has_none = "none" in control.levels.values()
        # Without an effort the model's default applies, which is not to reason where it can do so.
        effort = body.get("reasoning", {}).get("effort", "none" if has_none else "default")
        refused = next((name for name in wanted if name not in provider.quirks.unsupported_params), None)
        if effort != "none" and refused is not None:
            raise InvalidRequestError(
                f"{model.id} takes no {refused} while it reasons",
                f"Unset {refused}" + (", or use --thinking Disabled." if has_none else "."),
                provider=provider.id,
                model=model.id,
            )
    body.update(wanted)
