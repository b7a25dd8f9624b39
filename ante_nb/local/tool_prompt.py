"""Tools in words, for a model whose template knows none: the prompt and the history.

The format is that of the Hermes models (``<tools>``, ``<tool_call>``, ``<tool_response>``), which most
open models have seen. Everything here is pure and byte-stable: an equal head gives equal bytes, so the
server evaluates only what is new.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ante_nb.envelope import unwrap
from ante_nb.local.grammar import followable
from ante_nb.local.vision import images_of, with_images
from ante_nb.messages import Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.messages import Message
    from ante_nb.providers.spec import Request

OPEN, CLOSE = "<tool_call>", "</tool_call>"
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


def chat(request: Request, *, system: bool) -> list[dict[str, Any]]:
    """The conversation as roles and plain text, or text and images where there are any.

    Tool results go as the user's words, since a template without tools may refuse the role ``tool``;
    neighbours of one role become one message, since many templates insist on taking turns.

    Args:
        request: its messages already fit the model, images as well.
        system: whether the template takes a system prompt; else it opens the first user message.
    """
    out: list[dict[str, Any]] = []
    head = system_text(request)
    if head:
        out.append({"role": "system" if system else "user", "content": head})
    for message in request.messages:
        role = "assistant" if message.role == "assistant" else "user"
        text = _spoken(message) if role == "assistant" else "\n".join(_heard(message))
        content = with_images(text, images_of(message)) if role == "user" else text
        if out and out[-1]["role"] == role:
            out[-1]["content"] = _joined(out[-1]["content"], content, "\n\n" if role == "user" else "")
        else:
            out.append({"role": role, "content": content})
    return out


def _joined(first: Any, second: Any, between: str) -> Any:
    if isinstance(first, str) and isinstance(second, str):
        return first + between + second
    parts = [[{"type": "text", "text": item}] if isinstance(item, str) else item for item in (first, second)]
    return [*parts[0], *parts[1]]


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
        elif isinstance(part, ToolResult):
            words = _unwrapped(part.text) or "(no output)"
            yield f"<tool_response>\n{'Error: ' if part.is_error else ''}{words}\n</tool_response>"


def _unwrapped(text: str) -> str:
    """A result without the agent's envelope, which small models take for the form of an answer.

    The Hermes tag takes its place; what would end it, or begin another message, is made harmless.
    """
    return _BREAKING.sub(lambda found: found[0][0] + " " + found[0][1:], unwrap(text))


def _described(schema: Any) -> Any:
    """The schema of the arguments in few words: what the grammar follows, and what each field is for."""
    return _with_words(followable(schema), schema)


def _with_words(out: Any, source: Any) -> Any:
    if not isinstance(out, dict) or not isinstance(source, dict):
        return out
    out.pop("additionalProperties", None)
    words = source.get("description")
    if isinstance(words, str) and words:
        out["description"] = _first_words(words, _FIELD_WORDS)
    for name, value in out.get("properties", {}).items():
        _with_words(value, source.get("properties", {}).get(name))
    _with_words(out.get("items"), source.get("items"))
    return out


def _first_words(text: str, limit: int) -> str:
    line = " ".join(text.split())
    sentence = line.split(". ")[0]
    return sentence if len(sentence) <= limit else sentence[: limit - 1].rstrip() + "…"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
