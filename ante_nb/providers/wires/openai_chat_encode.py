"""A request as the body of Chat Completions. Pure, and byte-stable: an equal head encodes equally."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ante_nb.messages import Image, Text, Thinking, ToolCall, ToolResult
from ante_nb.providers.thinking import wire_level
from ante_nb.providers.wires._shared_body import merge_extra_body
from ante_nb.providers.wires._shared_origin import made_by
from ante_nb.providers.wires._shared_text import well_formed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ante_nb.messages import Message, Part
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request

THINK_TAG = "<think>"
"""The "field" of thinking that came as ``<think>...</think>`` inside the content."""
EMPTY_RESULT = "(no output)"
IMAGE_RESULT = "(see the attached image)"
IMAGE_NOTE = "Attached image(s) of the tool result:"

_RESERVED = frozenset({"model", "messages", "stream", "tools"})
# A model whose dialect is unknown gets the one most servers know; what a level means is capped at high.
_GENERIC_EFFORT = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def encode(request: Request, model: ModelSpec, provider: ProviderSpec, *, stream: bool) -> dict[str, Any]:
    """The request body."""
    quirks = provider.quirks
    body: dict[str, Any] = {"model": model.id, "messages": _messages(request, model, provider)}
    if stream:
        body["stream"] = True
        if quirks.stream_options:
            body["stream_options"] = {"include_usage": True}
    _add_tools(body, request, model, provider, stream=stream)
    limit = request.max_tokens or model.max_tokens
    if limit is not None:
        body[quirks.max_tokens_field] = limit
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(model, name)
        if value is not None:
            body[name] = value
    if model.stop_sequences:
        body["stop"] = list(model.stop_sequences)
    if quirks.prompt_cache_key and request.session_id:
        body["prompt_cache_key"] = request.session_id
    body.update(thinking_fields(request, model))
    for name in quirks.unsupported_params:
        if name not in _RESERVED:
            body.pop(name, None)
    merge_extra_body(body, provider.extra_body, _RESERVED)
    clean: dict[str, Any] = well_formed(body)
    return clean


def thinking_fields(request: Request, model: ModelSpec) -> dict[str, Any]:
    """The fields that carry the thinking level in this model's dialect; none where it is unset."""
    if request.thinking is None:
        return {}
    control = model.thinking_control
    if control is None:
        effort = _GENERIC_EFFORT.get(request.thinking)
        return {"reasoning_effort": effort} if effort else {}
    value, _ = wire_level(model, request.thinking)
    if value is None:
        return {}
    match control.style:
        case "reasoning_effort":
            return {"reasoning_effort": value}
        case "thinking_type":
            return {"thinking": value if isinstance(value, dict) else {"type": value}}
        case "thinking_type_effort":
            kind, effort = (
                (value.get("type"), value.get("effort")) if isinstance(value, dict) else (value, None)
            )
            fields: dict[str, Any] = {"thinking": {"type": kind}}
            if effort is not None:
                fields["reasoning_effort"] = effort
            return fields
        case "enable_thinking":  # Qwen 3.8 grades by effort and is switched off by the flag
            return {"enable_thinking": value} if isinstance(value, bool) else {"reasoning_effort": value}
        case "openrouter_reasoning":
            if isinstance(value, dict):
                return {"reasoning": value}
            name = (
                "enabled" if isinstance(value, bool) else "max_tokens" if isinstance(value, int) else "effort"
            )
            return {"reasoning": {name: value}}
        case "chat_template_kwargs":
            return {"chat_template_kwargs": value if isinstance(value, dict) else {"enable_thinking": value}}
    return {}


# --------------------------------------------------------------------------------------------- tools


def _add_tools(
    body: dict[str, Any], request: Request, model: ModelSpec, provider: ProviderSpec, *, stream: bool
) -> None:
    tools = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in request.tools
    ]
    choice = request.tool_choice
    if not tools and model.tools is not False:
        # LiteLLM and Anthropic routes refuse a history with tool calls unless tools are declared.
        names = dict.fromkeys(call.name for message in request.messages for call in message.tool_calls)
        empty = {"type": "object", "properties": {}}
        tools = [
            {"type": "function", "function": {"name": name, "parameters": empty}} for name in names if name
        ]
        choice = "none"
    if not tools:
        return
    body["tools"] = tools
    if choice in ("none", "required"):
        body["tool_choice"] = choice
    elif choice != "auto":  # "auto" is the default, and vLLM refuses the word unless started for it
        body["tool_choice"] = {"type": "function", "function": {"name": choice}}
    if provider.quirks.parallel_tool_calls:  # llama.cpp: one call at a time unless told
        body["parallel_tool_calls"] = True
    if provider.quirks.tool_stream and stream:  # Z.ai: else each call arrives whole
        body["tool_stream"] = True


# ------------------------------------------------------------------------------------------ messages


def _messages(request: Request, model: ModelSpec, provider: ProviderSpec) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    if request.system:
        out.append({"role": "system", "content": request.system})
    messages: Sequence[Message] = request.messages
    loop_start = max(
        (at for at, message in enumerate(messages) if message.role == "user" and not message.tool_results),
        default=-1,
    )
    for at, message in enumerate(messages):
        if message.role == "assistant":
            _add_assistant(out, message, provider, in_loop=at > loop_start)
        else:
            _add_results(out, message.tool_results)
            _add_user(out, [part for part in message.parts if not isinstance(part, ToolResult)])
    # The marks that Anthropic's models need for a cached prefix; OpenRouter passes them on.
    if provider.quirks.cache_control and model.id.startswith("anthropic/"):
        _mark_cache(out)
    return out


def _add_user(out: list[dict[str, Any]], parts: Iterable[Part]) -> None:
    content = _content(parts)
    if not content:
        return
    if out and out[-1]["role"] == "user":  # strict chat templates want the roles to alternate
        out[-1] = {"role": "user", "content": _join(out[-1]["content"], content)}
    else:
        out.append({"role": "user", "content": content})


def _content(parts: Iterable[Part]) -> str | list[dict[str, Any]]:
    """Plain text as a string, which every server takes; with images a list of parts."""
    items: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text) and part.text:
            items.append({"type": "text", "text": part.text})
        elif isinstance(part, Image):
            items.append(
                {"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{part.data}"}}
            )
    if all(item["type"] == "text" for item in items):
        return "\n\n".join(item["text"] for item in items)
    return items


def _join(first: Any, second: Any) -> Any:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    as_list = [
        [{"type": "text", "text": item}] if isinstance(item, str) else item for item in (first, second)
    ]
    return [*as_list[0], *as_list[1]]


def _add_results(out: list[dict[str, Any]], results: tuple[ToolResult, ...]) -> None:
    images: list[Part] = []
    for result in results:
        pictures = [part for part in result.content if isinstance(part, Image)]
        images += pictures
        text = result.text or (IMAGE_RESULT if pictures else EMPTY_RESULT)
        out.append({"role": "tool", "tool_call_id": result.call_id, "content": text})
    if images:  # a tool message holds text only, so they follow in a message of their own
        _add_user(out, [Text(IMAGE_NOTE), *images])


def _add_assistant(
    out: list[dict[str, Any]], message: Message, provider: ProviderSpec, *, in_loop: bool
) -> None:
    quirks = provider.quirks
    text = message.text
    calls = [_call(call) for call in message.tool_calls]
    replay = quirks.reasoning_replay == "always" or (quirks.reasoning_replay == "tool_loop" and in_loop)
    thoughts = [part for part in message.parts if isinstance(part, Thinking)] if replay else []
    reasoning, text = _reasoning(thoughts, text, provider)
    if not text and not calls:
        return
    content: str | None = text
    if not text:
        content = None if quirks.empty_content == "null" else ""
    entry: dict[str, Any] = {"role": "assistant", "content": content, **reasoning}
    if calls:
        entry["tool_calls"] = calls
    last = out[-1] if out else None
    if last is not None and last["role"] == "assistant" and "tool_calls" not in last and not reasoning:
        last["content"] = (last["content"] or "") + text
        if calls:
            last["tool_calls"] = calls
            last["content"] = last["content"] or content
        return
    out.append(entry)


def _reasoning(thoughts: list[Thinking], text: str, provider: ProviderSpec) -> tuple[dict[str, Any], str]:
    """The fields that replay reasoning, and the text (with the thinking in front where it came so)."""
    quirks = provider.quirks
    fields: dict[str, Any] = {}
    details: list[Any] = []
    plain: dict[str, str] = {}
    for thought in thoughts:
        made = made_by(thought, provider) or {}
        name = made.get("field") or quirks.reasoning_field
        if made.get("reasoning_details"):
            details += made["reasoning_details"]
        elif name == THINK_TAG:
            lead, tail = made.get("lead", ""), made.get("tail", "")
            text = f"{lead}{THINK_TAG}{thought.text}</think>{tail}{text}"
        elif thought.text:
            plain[name] = plain.get(name, "") + thought.text
    if details:
        fields["reasoning_details"] = details
    else:
        fields.update(plain)
    if quirks.reasoning_required and not fields:  # DeepSeek refuses the request without the field
        fields[quirks.reasoning_field] = ""
    return fields, text


def _call(call: ToolCall) -> dict[str, Any]:
    raw = (call.provider_metadata or {}).get("arguments")
    arguments = "{}" if call.invalid is not None else json.dumps(call.arguments, ensure_ascii=False)
    if isinstance(raw, str) and raw != arguments:
        # The very characters that the model wrote keep its prompt cache; if they still say the same.
        try:
            same = json.loads(raw) == call.arguments
        except ValueError:
            same = False
        arguments = raw if same else arguments
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _mark_cache(out: list[dict[str, Any]]) -> None:
    """Cache marks on the system prompt, the last user message and the last tool result."""
    for role in ("system", "user", "tool"):
        entry = next((entry for entry in reversed(out) if entry["role"] == role and entry["content"]), None)
        if entry is None:
            continue
        content = entry["content"]
        parts: list[dict[str, Any]] = (
            [{"type": "text", "text": content}]
            if isinstance(content, str)
            else [dict(part) for part in content]
        )
        for part in reversed(parts):
            if part["type"] == "text":
                part["cache_control"] = {"type": "ephemeral"}
                break
        entry["content"] = parts
