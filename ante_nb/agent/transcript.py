"""A conversation as plain text, for a reader that is to summarise it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ante_nb.agent.context import text_tokens
from ante_nb.envelope import unwrap
from ante_nb.messages import Image, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ante_nb.agent.context import Gauge
    from ante_nb.messages import Message

_SIZES = ((4_000, 12_000), (1_500, 6_000), (500, 3_000), (150, 1_500))
"""Characters of a result and of other text, smaller until it fits."""


def transcript(messages: Sequence[Message], gauge: Gauge, target: int) -> str:
    """The conversation in at most about ``target`` tokens.

    Results of tools are shortened first, then other texts; if that is not enough, what is in the middle
    goes: how it began and how it stands now matter most. Thinking is left out.
    """
    scale = max(0.5, gauge.scale)
    entries: list[str] = []
    for result, text in _SIZES:
        entries = [entry for message in messages for entry in _entries(message, result, text)]
        if sum(map(text_tokens, entries)) * scale <= target:
            return "\n\n".join(entries)
    head, tail, left = 0, len(entries), target / scale
    while head < tail:
        # Two from the end for one from the beginning.
        take_tail = (head + (len(entries) - tail)) % 3 != 0
        size = text_tokens(entries[tail - 1] if take_tail else entries[head]) + 2
        if size > left:
            break
        left -= size
        if take_tail:
            tail -= 1
        else:
            head += 1
    note = f"[... {tail - head} entries left out ...]"
    return "\n\n".join([*entries[:head], note, *entries[tail:]])


def _entries(message: Message, result_size: int, text_size: int) -> Iterable[str]:
    who = {"user": "Person", "assistant": "Agent", "tool": "Tool"}[message.role]
    for part in message.parts:
        if isinstance(part, Text) and part.text.strip():
            yield f"{who}: {_short(part.text, text_size)}"
        elif isinstance(part, Image):
            yield f"{who}: [image]"
        elif isinstance(part, ToolCall):
            arguments = part.invalid or json.dumps(part.arguments, ensure_ascii=False, default=str)
            yield f"Agent calls {part.name}: {_short(arguments, text_size // 2)}"
        elif isinstance(part, ToolResult):
            images = sum(isinstance(item, Image) for item in part.content)
            more = f" [{images} image{'s' * (images != 1)}]" if images else ""
            yield f"{'Error' if part.is_error else 'Result'}: {_short(unwrap(part.text), result_size)}{more}"


def _short(text: str, size: int) -> str:
    text = text.strip()
    if len(text) <= size:
        return text
    tail = size // 3
    return f"{text[: size - tail]}\n[... {len(text) - size:,} characters ...]\n{text[-tail:]}"
