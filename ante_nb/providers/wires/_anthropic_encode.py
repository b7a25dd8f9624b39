"""A request as Anthropic Messages: the body of ``POST /v1/messages``.

Fields and limits: https://platform.claude.com/docs/en/api/messages, version 2023-06-01.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ante_nb.errors import InvalidRequestError
from ante_nb.messages import Image, Opaque, Text, Thinking, ToolCall, ToolResult
from ante_nb.providers.wires._shared_body import merge_extra_body
from ante_nb.providers.wires._shared_origin import made_by
from ante_nb.providers.wires._shared_text import well_formed

if TYPE_CHECKING:
    from ante_nb.messages import Message, Part
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request, ToolSpec

RESERVED = frozenset(
    (
        "model", "max_tokens", "messages", "system", "temperature", "tools", "stream", "thinking",
        "stop_sequences", "output_config", "cache_control",
    )
)  # fmt: skip
"""Body fields that ``extra_body`` may not set."""

DEFAULT_MAX_TOKENS = 8192
"""The field is required; this is asked for where neither the user nor the catalog knows a limit."""

ADAPTIVE_MAX_TOKENS = 32_000
"""The same for models with adaptive thinking, which share it with the answer; all of them write more."""

MIN_BUDGET = 1024
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")

_EPHEMERAL = {"type": "ephemeral"}
_BAD_ID = re.compile(r"[^a-zA-Z0-9_-]")


def encode_request(
    request: Request, model: ModelSpec, provider: ProviderSpec, *, stream: bool
) -> dict[str, Any]:
    """The request body.

    Raises:
        InvalidRequestError: sampling parameters that the API refuses beside thinking, or an output limit
            too small for a thinking budget.
    """
    max_tokens = request.max_tokens or model.max_tokens or model.output_limit
    messages = _messages(request.messages, provider, model)
    thinking = _thinking(request, model, provider, max_tokens, messages)
    if max_tokens is None:
        control = model.thinking_control
        adaptive = control is not None and control.style == "anthropic_adaptive"
        max_tokens = ADAPTIVE_MAX_TOKENS if adaptive else DEFAULT_MAX_TOKENS
        max_tokens += thinking.get("thinking", {}).get("budget_tokens", 0)
    body: dict[str, Any] = {"model": model.id, "max_tokens": max_tokens}
    if stream:
        body["stream"] = True
    if request.system.strip():
        body["system"] = [{"type": "text", "text": request.system}]
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request.tool_choice, thinks=bool(thinking))
    body.update(thinking)
    _sampling(body, model, thinks=bool(thinking))
    if container := _container(request.messages, provider):
        body["container"] = container
    body["messages"] = messages
    if provider.quirks.cache_control:
        _mark_cache(body)
    cleaned: dict[str, Any] = well_formed(body)
    return merge_extra_body(cleaned, provider.extra_body, RESERVED)


# -------------------------------------------------------------------------------------------- fields


def _tool(tool: ToolSpec) -> dict[str, Any]:
    schema = {"type": "object", "properties": {}, **tool.parameters}
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


def _tool_choice(choice: str, *, thinks: bool) -> dict[str, Any]:
    if choice in ("auto", "none"):
        return {"type": choice}
    if thinks:  # with thinking on, forcing a tool is answered with 400
        return {"type": "auto"}
    if choice == "required":
        return {"type": "any"}
    return {"type": "tool", "name": choice}


def _sampling(body: dict[str, Any], model: ModelSpec, *, thinks: bool) -> None:
    if thinks:
        # The API takes these only at their defaults while the model thinks; to drop a value that the
        # person set would answer with another randomness than the status line says.
        refused = None
        if model.temperature is not None and model.temperature != 1:
            refused = f"temperature {model.temperature:g}"
        elif model.top_k is not None:
            refused = f"top_k {model.top_k}"
        elif model.top_p is not None and not 0.95 <= model.top_p <= 1:
            refused = f"top_p {model.top_p:g}"
        if refused:
            raise InvalidRequestError(
                f"{model.id} cannot think with {refused}",
                "Unset it, or turn thinking off with --thinking Disabled.",
                model=model.id,
            )
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(model, name)
        if value is not None:
            body[name] = value
    if model.stop_sequences:
        body["stop_sequences"] = list(model.stop_sequences)


def _thinking(
    request: Request,
    model: ModelSpec,
    provider: ProviderSpec,
    max_tokens: int | None,
    messages: list[dict[str, Any]],
) -> dict[str, Any]:
    """``thinking`` and ``output_config``, or nothing where the model is not to think."""
    from ante_nb.providers.thinking import wire_level

    level = request.thinking or model.thinking
    control = model.thinking_control
    if level is None or control is None:
        return {}
    value, _ = wire_level(model, level)
    if value is None:
        return {}
    if control.style == "anthropic_adaptive":
        # The newer models leave the text of their thinking out unless it is asked for.
        display = "omitted" if provider.thinking_display == "off" else "summarized"
        return {
            "thinking": {"type": "adaptive", "display": display},
            "output_config": {"effort": value},
        }
    if control.style != "anthropic_budget" or not _may_budget(messages):
        return {}
    budget = int(value)
    if max_tokens is not None:
        if max_tokens <= MIN_BUDGET:
            raise InvalidRequestError(
                f"{model.id} needs more than {MIN_BUDGET} output tokens to think, max_tokens is {max_tokens}",
                "Raise MODEL_MAX_TOKENS, or turn thinking off with --thinking Disabled.",
                model=model.id,
            )
        budget = max(MIN_BUDGET, min(budget, max_tokens - MIN_BUDGET))
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _may_budget(messages: list[dict[str, Any]]) -> bool:
    """Whether budget thinking is allowed here.

    A running tool loop must have begun with a thinking block, else the API answers 400. It has not where
    the level was raised, or the model changed, in the middle of the loop: this loop ends without thinking.
    """
    first: dict[str, Any] | None = None
    for message in reversed(messages):
        if message["role"] == "assistant":
            first = message
        elif not any(block["type"] == "tool_result" for block in message["content"]):
            break
    return first is None or first["content"][0]["type"] in ("thinking", "redacted_thinking")


# ------------------------------------------------------------------------------------------ messages


def _messages(
    messages: tuple[Message, ...], provider: ProviderSpec, model: ModelSpec
) -> list[dict[str, Any]]:
    """The conversation, neighbours of the same role merged, tool results first in their message."""
    out: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if role == "assistant":
            blocks = [b for part in message.parts if (b := _assistant_block(part, provider, model))]
        else:
            blocks = [b for part in message.parts if (b := _user_block(part))]
        if not blocks:
            continue
        if out and out[-1]["role"] == role:
            out[-1]["content"].extend(blocks)
        else:
            out.append({"role": role, "content": blocks})
    for entry in out:
        if entry["role"] == "user":  # sorted() is stable: the order within both groups stays
            entry["content"] = sorted(entry["content"], key=lambda block: block["type"] != "tool_result")
    return out


def _user_block(part: Part) -> dict[str, Any] | None:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text} if part.text.strip() else None
    if isinstance(part, Image):
        return _image(part)
    if isinstance(part, ToolResult):
        return _tool_result(part)
    return None


def _assistant_block(part: Part, provider: ProviderSpec, model: ModelSpec) -> dict[str, Any] | None:
    if isinstance(part, Text):
        if not part.text.strip():  # refused by the API, though its own answers may hold such a block
            return None
        block: dict[str, Any] = {"type": "text", "text": part.text}
        if (made := made_by(part, provider)) and made.get("citations"):
            block["citations"] = made["citations"]
        return block
    if isinstance(part, Thinking):
        made = made_by(part, provider, model)
        if made is None:
            return None
        if part.redacted:
            return made.get("block")
        if not part.signature:  # an aborted stream, or a gateway that does not sign: never sent unsigned
            return None
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    if isinstance(part, ToolCall):
        call: dict[str, Any] = {
            "type": "tool_use",
            "id": _id(part.id),
            "name": part.name,
            "input": part.arguments,
        }
        if (made := made_by(part, provider)) and made.get("caller"):
            call["caller"] = made["caller"]
        return call
    if isinstance(part, Opaque):
        made = made_by(part, provider)
        return made.get("block") if made else None
    if isinstance(part, Image):
        return {"type": "text", "text": f"[an image, {part.media_type}, was here]"}
    return None


def _tool_result(part: ToolResult) -> dict[str, Any]:
    content = [
        {"type": "text", "text": item.text} if isinstance(item, Text) else _image(item)
        for item in part.content
        if not isinstance(item, Text) or item.text.strip()
    ]
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(part.call_id)}
    if part.is_error:
        block["is_error"] = True
        # "content cannot be empty if is_error is true"
        content = content or [{"type": "text", "text": "The tool failed without a message."}]
    if content:
        block["content"] = content
    return block


def _image(part: Image) -> dict[str, Any]:
    if part.media_type not in IMAGE_TYPES:
        note = f"[an image of type {part.media_type}, which this model does not take, was left out]"
        return {"type": "text", "text": note}
    source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    return {"type": "image", "source": source}


def _id(call_id: str) -> str:
    """A tool call id that the API accepts (``^[a-zA-Z0-9_-]+$``); its own ids stay as they are."""
    return _BAD_ID.sub("_", call_id)[:64] or "_"


def _container(messages: tuple[Message, ...], provider: ProviderSpec) -> str | None:
    """The container of a server-side tool that the present loop still works in."""
    for message in reversed(messages):
        if message.role == "user":
            return None
        for part in reversed(message.parts):
            made = made_by(part, provider) if isinstance(part, Opaque) else None
            if made and isinstance(made.get("container"), str):
                return str(made["container"])
    return None


# --------------------------------------------------------------------------------------------- cache


def _mark_cache(body: dict[str, Any]) -> None:
    """Sets the cache breakpoints: tools and system, and the ends of the last two user messages.

    The API looks back 20 blocks from a breakpoint; the one before last makes sure that a step with more
    blocks than that still finds what the step before has written. The prefix order is tools, system,
    messages, so the mark on the system prompt covers the tools too.
    """
    if body.get("system"):
        body["system"][-1]["cache_control"] = dict(_EPHEMERAL)
    elif body.get("tools"):
        body["tools"][-1]["cache_control"] = dict(_EPHEMERAL)
    users = [message for message in body["messages"] if message["role"] == "user"]
    for message in users[-2:]:
        message["content"][-1]["cache_control"] = dict(_EPHEMERAL)
