"""What a running server's model can do, asked of the server; a template is never rendered in a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ante_nb.local.http_probe import get_json, post_json
from ante_nb.local.thinking import THINK, Marks, marks_of

_PROBE = "ante_probe_tool"
_STOPS = ("<|im_end|>", "<|im_start|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<start_of_turn>", "</s>")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``tools``: whether ``tools`` of a chat request reach the model and its calls are parsed.

    ``completion``: whether the server has llama.cpp's own endpoints, so that calls can be had in two
    phases where ``tools`` is false. ``context`` is what one request may fill, in tokens. ``stops`` are
    the turn markers of the model's template, ``thinking`` the marks of its thoughts. ``parses``: whether
    the server takes thinking out of chat answers itself.
    """

    tools: bool = True
    completion: bool = False
    system: bool = True
    vision: bool | None = None
    context: int | None = None
    stops: tuple[str, ...] = ()
    thinking: tuple[Marks, ...] = (THINK,)
    parses: bool = True


def ask(url: str, key: str | None) -> Capabilities:
    """Asks the server at ``url`` (without ``/v1``); blocks.

    A server that is no llama.cpp is believed to do what Chat Completions says.
    """
    status, props = get_json(url, "/props", key, timeout=30)
    if status != 200 or not isinstance(props, dict):
        return Capabilities()
    template = props.get("chat_template")
    template = template if isinstance(template, str) else ""
    caps = props.get("chat_template_caps")
    if isinstance(caps, dict) and ("supports_tools" in caps or "supports_tool_calls" in caps):
        tools = bool(caps.get("supports_tools", True)) and bool(caps.get("supports_tool_calls", True))
    else:
        tools = _renders_tools(url, key)
    settings: Any = props.get("default_generation_settings")
    context = settings.get("n_ctx") if isinstance(settings, dict) else None
    modalities = props.get("modalities")
    return Capabilities(
        tools=tools,
        completion=True,
        system=caps.get("supports_system_role", True) is not False if isinstance(caps, dict) else True,
        vision=bool(modalities.get("vision")) if isinstance(modalities, dict) else None,
        context=context if isinstance(context, int) and context > 0 else None,
        stops=_stops(template),
        thinking=marks_of(template),
        parses="build_info" in props,  # llama-server's own; other engines parse nothing
    )


def _stops(template: str) -> tuple[str, ...]:
    # In Harmony, <|end|> closes a thought and not the turn.
    return tuple(
        mark for mark in _STOPS if mark in template and (mark != "<|end|>" or "<|channel|>" not in template)
    )


def _renders_tools(url: str, key: str | None) -> bool:
    """For servers older than ``chat_template_caps``: whether a tool shows up in the rendered prompt."""
    tool = {
        "type": "function",
        "function": {"name": _PROBE, "description": "", "parameters": {"type": "object"}},
    }
    body = {"messages": [{"role": "user", "content": "a"}], "tools": [tool]}
    status, answer = post_json(url, "/apply-template", key, body)
    return status == 200 and isinstance(answer, dict) and _PROBE in str(answer.get("prompt", ""))
