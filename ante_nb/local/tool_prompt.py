"""Tools in words, for a model whose template knows none: the prompt, the history, the grammar's schema.

The format is that of the Hermes models (``<tools>``, ``<tool_call>``, ``<tool_response>``), which most
open models have seen. Everything here is pure and byte-stable: an equal head gives equal bytes, so the
server evaluates only what is new.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ante_nb.envelope import unwrap
from ante_nb.messages import Image, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.messages import Message
    from ante_nb.providers.spec import Request, ToolSpec

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_KEPT = frozenset(
    {"type", "properties", "required", "enum", "const", "items", "anyOf", "minItems", "maxItems"}
)
# Hermes tags, and the marks that chat templates put between messages (ChatML, Llama, Gemma, Mistral).
_BREAKING = re.compile(r"</?tool_(?:call|response)|<\|\w+\|?>|</?s>|<(?:start|end)_of_turn>|\[/?INST\]")
_TOOL_WORDS, _FIELD_WORDS = 200, 90


def system_text(request: Request) -> str:
    """The system prompt with the tools listed, kept short: a CPU reads some hundred tokens a second."""
    if not request.tools:
        return request.system
    tools = "\n".join(
        _json(
            {
                "name": tool.name,
                "description": _first_words(tool.description, _TOOL_WORDS),
                "parameters": _described(tool.parameters),
            }
        )
        for tool in request.tools
    )
    return (
        (f"{request.system}\n\n" if request.system else "")
        + f'You can call tools:\n<tools>\n{tools}\n</tools>\nTo call one, write:\n{OPEN}\n{{"name": ..., "arguments": {{...}}}}\n{CLOSE}'
    )


def chat(request: Request, *, system: bool) -> list[dict[str, str]]:
    """The conversation as roles and plain text.

    Tool results go as the user's words, since a template without tools may refuse the role ``tool``;
    neighbours of one role become one message, since many templates insist on taking turns.

    Args:
        request: its messages already fit the model.
        system: whether the template takes a system prompt; else it opens the first user message.
    """
    out: list[dict[str, str]] = []
    head = system_text(request)
    if head and system:
        out.append({"role": "system", "content": head})
    elif head:
        out.append({"role": "user", "content": head})
    for message in request.messages:
        role = "assistant" if message.role == "assistant" else "user"
        text = _spoken(message) if role == "assistant" else "\n".join(_heard(message))
        if out and out[-1]["role"] == role:
            out[-1]["content"] += ("\n\n" if role == "user" else "") + text
        else:
            out.append({"role": role, "content": text})
    return out


def call_text(call: ToolCall) -> str:
    """A call as the model wrote it (kept, so that the next prompt repeats it to the byte) or would have."""
    raw = (call.provider_metadata or {}).get("raw")
    if not isinstance(raw, str):
        raw = call.invalid or _json({"name": call.name, "arguments": call.arguments})
    return f"{OPEN}\n{raw}\n{CLOSE}"


def _spoken(message: Message) -> str:
    out = ""
    for part in message.parts:
        if isinstance(part, Text):
            out += part.text
        elif isinstance(part, ToolCall):
            out += ("\n" if out.endswith(CLOSE) else "") + call_text(part)
    return out


def _heard(message: Message) -> Iterable[str]:
    for part in message.parts:
        if isinstance(part, Text):
            yield part.text
        elif isinstance(part, Image):
            yield "(an image, which this model cannot see)"
        elif isinstance(part, ToolResult):
            words = _unwrapped(part.text) or "(no output)"
            yield f"<tool_response>\n{'Error: ' if part.is_error else ''}{words}\n</tool_response>"


def _unwrapped(text: str) -> str:
    """A result without the agent's envelope, which small models take for the form of an answer.

    The Hermes tag takes its place; what would end it, or begin another message, is made harmless.
    """
    return _BREAKING.sub(lambda found: found[0][0] + " " + found[0][1:], unwrap(text))


def call_schema(tools: Iterable[ToolSpec], *, strict: bool = True) -> dict[str, Any]:
    """The JSON schema of one call of any of ``tools``, as the server's grammar needs it.

    Annotations and text patterns go: no engine needs them, and one it cannot compile is either an
    error or, worse, silently no grammar at all (llguidance). With ``strict`` false the arguments may be
    any object, for a server that refuses the whole.
    """
    rows = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool.name},
                "arguments": _bare(tool.parameters) if strict else {"type": "object"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    # llguidance: no free white space, in which a small model can lose itself until the token limit.
    guidance = {"whitespace_flexible": False, "key_separator": ": ", "item_separator": ", ", "lenient": True}
    return {"x-guidance": guidance, **(rows[0] if len(rows) == 1 else {"anyOf": rows})}


def _bare(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    source = {**schema, "anyOf": schema["oneOf"]} if "oneOf" in schema and "anyOf" not in schema else schema
    for key, value in source.items():
        if key not in _KEPT:
            continue
        if key == "properties" and isinstance(value, dict):
            out[key] = {name: _bare(item) for name, item in value.items()}
        elif key == "anyOf" and isinstance(value, list):
            out[key] = [_bare(item) for item in value]
        else:
            out[key] = _bare(value)
    if out.get("type") == "object" and out.get("properties"):
        extra = schema.get("additionalProperties")
        out["additionalProperties"] = _bare(extra) if isinstance(extra, dict) else False
    return out


def _described(schema: Any) -> Any:
    out = _bare(schema)
    if isinstance(out, dict):
        out.pop("additionalProperties", None)
        words = schema.get("description")
        if isinstance(words, str) and words:
            out["description"] = _first_words(words, _FIELD_WORDS)
        if isinstance(out.get("properties"), dict):
            source = schema["properties"]
            out["properties"] = {name: _described(source[name]) for name in out["properties"]}
        if isinstance(out.get("items"), dict):
            out["items"] = _described(schema["items"])
    return out


def _first_words(text: str, limit: int) -> str:
    line = " ".join(text.split())
    sentence = line.split(". ")[0]
    return sentence if len(sentence) <= limit else sentence[: limit - 1].rstrip() + "…"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
