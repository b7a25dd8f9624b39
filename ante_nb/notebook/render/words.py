"""Small pieces of text that the rich and the plain rendering share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ante_nb.redact import redact

if TYPE_CHECKING:
    from ante_nb.messages import ToolCall

__all__ = ["argument_lines", "clip", "closing_words", "counted", "headline", "seconds_words"]

_MAIN = ("command", "file_path", "path", "pattern", "query", "url", "description", "prompt", "code", "name")


def clip(text: str, limit: int) -> str:
    """``text``, or its head and tail with a note of how much lies between."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters not shown …]\n{text[-half:]}"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def seconds_words(seconds: float) -> str:
    if seconds >= 90:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{seconds:.1f} s"


def headline(call: ToolCall, limit: int = 120) -> str:
    """What a call is about in one line: its main argument."""
    if call.name == "TodoWrite":
        return ""
    for name in _MAIN:
        value = call.arguments.get(name)
        if isinstance(value, str) and value.strip():
            line = " ".join(value.split())
            break
    else:
        names = call.arguments.get("names")
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            line = " ".join(" ".join(names).split())
        else:
            line = call.invalid or (json.dumps(call.arguments, ensure_ascii=False) if call.arguments else "")
            line = " ".join(line.split())
    line = redact(line)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def argument_lines(call: ToolCall, without: tuple[str, ...] = ()) -> str:
    """The arguments one per line, long ones as blocks; the raw text where they are no JSON object."""
    if call.invalid is not None:
        return f"(not a JSON object) {redact(call.invalid)}"
    lines = []
    for name, value in call.arguments.items():
        if name in without:
            continue
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        lines.append(f"{name}:\n{shown}" if "\n" in shown else f"{name}: {shown}")
    return redact("\n".join(lines))


def _cost(turn: Any) -> str:
    if turn.cost is None:
        return turn.cost_note if turn.cost_note and turn.cost_note != "unknown" else "cost unknown"
    if turn.cost == 0:
        return "no cost"
    return f"${turn.cost:.4f}" if turn.cost < 1 else f"${turn.cost:.2f}"


_STATUS = {
    "completed": "done",
    "failed": "failed",
    "interrupted": "interrupted",
    "max_steps": "stopped at the step limit",
}


def closing_words(turn: Any) -> list[str]:
    """The closing line of a :class:`~ante_nb.agent.turn.Turn`, piece by piece."""
    words = [_STATUS.get(turn.status, turn.status)]
    if turn.error is not None and turn.error.kind == "limit":
        words = ["stopped at a limit"]
    usage = turn.usage
    if usage is None:
        words.append("tokens unknown")
    else:
        cached = [f"{usage.cache_read:,} cached"] if usage.cache_read else []
        cached += [f"{usage.cache_write:,} written to cache"] if usage.cache_write else []
        words.append(f"{usage.input:,} tokens in" + (f" ({', '.join(cached)})" if cached else ""))
        reasoning = f" ({usage.reasoning:,} reasoning)" if usage.reasoning else ""
        words.append(f"{usage.output:,} out{reasoning}")
    words += [_cost(turn), seconds_words(turn.seconds), counted(len(turn.steps), "step")]
    if turn.transport == "websocket_auto":
        words.append("over WebSocket")
    return words + change_words(turn)


def change_words(turn: Any) -> list[str]:
    """What a turn changed; by kind where that is known."""
    kinds = turn.changes
    files = [*kinds.files_new, *kinds.files_changed, *kinds.files_deleted]
    words = [
        f"{word}: {_few(list(names))}"
        for word, names in (
            ("files new", kinds.files_new),
            ("files changed", [*kinds.files_changed, *(name for name in turn.files if name not in files)]),
            ("files deleted", kinds.files_deleted),
        )
        if names
    ]
    bound = [*kinds.variables_new, *kinds.variables_changed, *kinds.variables_gone]
    words += [
        f"{word}: {_few(list(names))}"
        for word, names in (
            ("variables new", kinds.variables_new),
            ("variables changed", kinds.variables_changed),
            ("variables gone", kinds.variables_gone),
            ("variables", [name for name in turn.variables if name not in bound]),
        )
        if names
    ]
    return words


def _few(names: list[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
