"""The pieces of a turn as HTML with a plain twin: status line, thinking, tool cards, notices, closing line.

Semantic HTML that works without a script or a style sheet; every function returns ``(html, plain)`` whose
HTML has passed the allow-list and whose text has passed the redactor and ``visible``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from ante_nb.envelope import unwrap
from ante_nb.messages import Compacted, Image, ToolCall, ToolResult
from ante_nb.notebook.render.allowlist import DATA_IMAGE, IGNORE_MATH, clean, clean_foreign
from ante_nb.notebook.render.images import MAX_DATA
from ante_nb.notebook.render.rich import PLOTS
from ante_nb.notebook.render.styles import BAD, BOX, DIFF, FAINT, GOOD, IMAGE, LINE, PRE, SUMMARY, WARN
from ante_nb.notebook.render.words import (
    argument_lines,
    clip,
    closing_words,
    counted,
    headline,
    seconds_words,
)
from ante_nb.redact import redact, redact_value
from ante_nb.visible import as_terminal, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "TURN_MIME",
    "Card",
    "closing_line",
    "compacted",
    "notice",
    "rich_output",
    "status_line",
    "steered",
    "thinking",
    "turn_data",
]

TURN_MIME = "application/vnd.ante.turn+json"
_OUTPUT_LIMIT = 6_000
_NOTICE_LIMIT = 4_000
_LIVE_LIMIT = 2_000
_THINKING_LIMIT = 12_000
_DIFF_LINES = 300
_OPEN_DIFF_LINES = 40


def _safe(text: str) -> str:
    return escape(visible(text))


def _one_line(text: object, limit: int = 200) -> str:
    """A name or a value where one is expected: no line breaks (the plain twin is lines), no book."""
    line = " ".join(redact(str(text)).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _span(text: str, style: str = "", title: str = "") -> str:
    attributes = f' style="{style}"' if style else ""
    if title:
        attributes += f' title="{_safe(title)}"'
    return f"<span{attributes}>{_safe(text)}</span>"


def _pre(text: str) -> str:
    return f'<pre style="{PRE}">{_safe(text)}</pre>'


def _block(inner: str, style: str = BOX, label: str = "", role: str = "group") -> str:
    name = f' aria-label="{_safe(label)}"' if label else ""
    return clean(f'<div class="{IGNORE_MATH}" style="{style}" role="{role}"{name}>{inner}</div>\n')


def status_line(status: Mapping[str, tuple[str, str]], attachments: Sequence[str] = ()) -> tuple[str, str]:
    """Who answers, and why that one.

    Args:
        status: label -> (value, where the value came from); the source is a tooltip.
        attachments: what was attached to the prompt.
    """
    rich, plain = [], []
    for label, (value, source) in status.items():
        label, value, source = _one_line(label, 40), _one_line(value), _one_line(source)
        if not value:
            continue
        shown = value if label in ("provider", "model") else f"{label} {value}"
        rich.append(_span(shown, title=f"{label}: {value} ({source})" if source else label))
        plain.append(f"{label} {value} ({source})" if source else f"{label} {value}")
    if attachments:
        words = "attached: " + _one_line(", ".join(attachments), 2_000)
        rich.append(_span(words))
        plain.append(words)
    return _block(" · ".join(rich), LINE, "ante", "status"), visible("ante: " + " · ".join(plain))


def thinking(text: str, *, live: bool, opened: bool = False) -> tuple[str, str]:
    """The model's reasoning, folded; while it streams, its last words stand in the summary."""
    text = redact(text)
    title = f"{'Thinking …' if live else 'Thinking'} ({counted(len(text), 'character')})"
    last = " ".join(text[-300:].split())[-90:]
    tail = f" {_span('… ' + last, FAINT)}" if live and last and not opened else ""
    shown = text[-_LIVE_LIMIT:] if live else clip(text, _THINKING_LIMIT)
    html = (
        f'<details{" open" if opened else ""}><summary style="{SUMMARY}">{_span(title, FAINT)}{tail}</summary>'
        f"{_pre(shown)}</details>"
    )
    return _block(html, label="Thinking"), visible(f"[{title}]\n{shown}\n")


def notice(kind: str, text: str) -> tuple[str, str]:
    """A line of its own; ``kind`` as in :class:`ante_nb.messages.Notice`."""
    kind, text = _one_line(kind, 40), clip(redact(text), _NOTICE_LIMIT)
    style = WARN if kind in ("warning", "retry", "key", "model") else FAINT
    return _block(_span(text, style), LINE, kind, "status"), visible(f"[{kind}] {text}")


def steered(text: str) -> tuple[str, str]:
    """What the person said while the turn ran, as a small quotation."""
    text = clip(redact(text), _LIVE_LIMIT)
    lines = visible(text).strip("\n").split("\n")
    html = f'<blockquote style="{FAINT}">{"<br>".join(escape(line) for line in lines)}</blockquote>'
    # LINE: a quotation has a bar of its own.
    return _block(html, LINE, "You, while it ran"), "\n".join(f"> {line}" for line in lines)


def compacted(event: Compacted) -> tuple[str, str]:
    """The conversation was made shorter: the summary that stands for it, folded."""
    size = f"{event.before:,} tokens before, {event.after:,} after"
    if not event.summary:
        words = f"{counted(event.results, 'older tool result')} left out of the conversation: {size}"
        return _block(_span(words, FAINT), LINE, "compaction", "status"), visible(f"[compaction] {words}")
    title = f"The conversation so far was summarised: {size} (`%ante compact edit` to change it)"
    shown = clip(redact(event.summary), _THINKING_LIMIT)
    html = f'<details><summary style="{SUMMARY}">{_span(title, FAINT)}</summary>{_pre(shown)}</details>'
    return _block(html, label="Summary of the conversation"), visible(f"[compaction] {title}\n{shown}\n")


_MARKS = {
    "pending": ("…", FAINT),
    "waiting": ("?", WARN),
    "running": ("⏳", FAINT),
    "ok": ("✓", GOOD),
    "error": ("✗", BAD),
    "denied": ("⊘", WARN),
    "interrupted": ("■", WARN),
}
_STATES = {
    "pending": "being written",
    "waiting": "waits for your word",
    "running": "running",
    "ok": "",
    "error": "failed",
}


@dataclass(slots=True, eq=False)
class Card:
    """A tool call and what is known of it so far."""

    call: ToolCall
    state: str = "pending"
    written: int = 0
    """Characters of its arguments that have come."""
    output: list[str] = field(default_factory=list)
    size: int = 0
    result: ToolResult | None = None
    seconds: float = 0.0
    display: dict[str, Any] | None = None

    def add_output(self, text: str) -> None:
        """Live output; only what can still be shown is kept."""
        self.output.append(text)
        self.size += len(text)
        if len(self.output) > 200:
            kept = "".join(self.output)
            self.output[:] = [kept if len(kept) <= 4 * _OUTPUT_LIMIT else clip(kept, 3 * _OUTPUT_LIMIT)]

    @property
    def ended(self) -> bool:
        return self.state not in ("pending", "waiting", "running")

    def _output_text(self) -> str:
        live = as_terminal("".join(self.output))
        if not self.ended:
            return live[-_LIVE_LIMIT:]
        return live if live.strip() or self.result is None else as_terminal(unwrap(self.result.text))

    def _images(self) -> tuple[Image, ...]:
        own = (self.display or {}).get("images")
        if isinstance(own, tuple):
            return own
        return tuple(p for p in self.result.content if isinstance(p, Image)) if self.result else ()

    def render(self, *, opened: bool = False) -> tuple[str, str]:
        """``(html, plain)`` of the card as it stands."""
        mark, style = _MARKS.get(self.state, ("•", FAINT))
        name, about = _one_line(self.call.name, 80), headline(self.call)
        state = _STATES.get(self.state, self.state)
        if self.state == "pending" and self.written:
            state = f"{state}, {counted(self.written, 'character')}"
        exit_code = (self.display or {}).get("exit_code")
        notes = [
            state,
            f"exit {_one_line(exit_code, 20)}" if exit_code else "",
            seconds_words(self.seconds) if self.ended else "",
        ]
        note = " · ".join(part for part in notes if part)
        title = (
            f"{_span(mark, style)} <strong>{_safe(name)}</strong>"
            + (f" <code>{_safe(about)}</code>" if about else "")
            + (f" {_span(note, FAINT)}" if note else "")
        )
        rich, plain, unfold = self._body()
        unfold = unfold or opened or self.state in ("running", "error")
        body = (
            f'<details{" open" if unfold else ""}><summary style="{SUMMARY}">{title}</summary>{rich}</details>'
            if rich
            else title
        )
        pictures = [
            f'<img src="{source}" alt="{_safe(name)} image {number}" style="{IMAGE}">'
            for number, image in enumerate(self._images(), 1)
            if len(source := f"data:{image.media_type};base64,{image.data}") <= MAX_DATA
            and DATA_IMAGE.fullmatch(source)
        ]
        html = _block(body + "".join(pictures), label=f"Tool call {name}")
        head = " ".join(part for part in (f"[{name}]", about, f"({note})" if note else "") if part)
        lines = [head, *(f"  {line}" for line in plain.rstrip().split("\n") if plain.strip())]
        lines += [f"  [image {_one_line(image.media_type, 40)}]" for image in self._images()]
        return html, visible("\n".join(lines) + "\n")

    def _body(self) -> tuple[str, str, bool]:
        """What folds out: HTML, plain, and whether it is unfolded at first."""
        display = self.display or {}
        kind = display.get("kind")
        if self.state == "ok" and kind == "diff" and isinstance(display.get("diff"), str):
            return _diff(redact(display["diff"]))
        if self.state == "ok" and kind == "todo" and isinstance(display.get("todos"), list):
            return _todo(display["todos"])
        shown = clip(redact(self._output_text()), _OUTPUT_LIMIT)
        code = self.call.arguments.get("code") if self.call.name == "Python" else None
        if isinstance(code, str):
            from ante_nb.notebook.render.code import code_html

            arguments = clip(redact(code), _OUTPUT_LIMIT)
            rich = code_html(arguments, "python")
        else:
            main = headline(self.call)
            hidden = tuple(k for k, v in self.call.arguments.items() if v == main)
            arguments = clip(argument_lines(self.call, hidden), _OUTPUT_LIMIT)
            rich = _pre(arguments) if arguments else ""
        if shown.strip():
            rich += _pre(shown)
        plain = "\n".join(part for part in (arguments, shown.strip("\n")) if part.strip())
        return rich, plain, False


def _diff(diff: str) -> tuple[str, str, bool]:
    lines = diff.rstrip("\n").split("\n")
    more = len(lines) - _DIFF_LINES
    shown = lines[:_DIFF_LINES] + ([f"[… {counted(more, 'more line')} …]"] if more > 0 else [])
    rich = "\n".join(
        _span(line, DIFF[line[0]])
        if line[:1] in DIFF and not line.startswith(("+++", "---"))
        else _safe(line)
        for line in shown
    )
    return f'<pre style="{PRE}">{rich}</pre>', "\n".join(shown), len(lines) <= _OPEN_DIFF_LINES


_BOXES = {"completed": "☑", "in_progress": "◐"}


def _todo(todos: list[Any]) -> tuple[str, str, bool]:
    rows = []
    for todo in todos[:100]:
        if isinstance(todo, dict):
            status = str(todo.get("status", "pending"))
            words = _one_line(status.replace("_", " "), 20)
            rows.append((f"{_BOXES.get(status, '☐')} {_one_line(todo.get('content', ''), 500)}", words))
    rich = "".join(f"<li>{_safe(text)} {_span(f'({words})', FAINT)}</li>" for text, words in rows)
    return f"<ul>{rich}</ul>", "\n".join(f"{text} ({words})" for text, words in rows), True


def rich_output(rich: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """HTML, plain twin and further MIME data of what Python displayed (:mod:`ante_nb.notebook.render.rich`)."""
    plain = clip(redact(str(rich.get("text/plain", ""))), _OUTPUT_LIMIT)
    plots = {kind: redact_value(data) for kind, data in rich.items() if kind in PLOTS}
    html = rich.get("text/html")
    inner = clean_foreign(redact(html)) if isinstance(html, str) else _pre(plain)
    return _block(inner, label="Output of Python"), visible(plain), plots


def closing_line(turn: Any) -> tuple[str, str]:
    """Tokens, cost, time, and what changed, of a :class:`~ante_nb.agent.turn.Turn`.

    An error is not in it: it is raised, and stands below as the cell's own error.
    """
    words = [_one_line(word, 1_000) for word in closing_words(turn)]
    style = GOOD if turn.status == "completed" else BAD if turn.status == "failed" else WARN
    rich = _span(words[0], style) + "".join(f" · {_span(word)}" for word in words[1:])
    plain = "ante: " + " · ".join(words)
    return _block(rich, LINE, "end of turn", "status"), visible(plain)


def turn_data(turn: Any) -> dict[str, Any]:
    """The JSON of :data:`TURN_MIME`: what a notebook must hold to find its session again."""
    error = turn.error
    data: dict[str, Any] = {
        "v": 1,
        "turn_id": turn.id,
        "session_id": turn.session_id,
        "provider": turn.provider,
        "model": turn.model,
        "thinking_level": turn.thinking_level,
        "transport": turn.transport,
        "status": turn.status,
        "stop_reason": turn.stop_reason,
        "usage": turn.usage.to_dict() if turn.usage else None,
        "cost": turn.cost,
        "cost_note": turn.cost_note,
        "seconds": round(turn.seconds, 3),
        "steps": len(turn.steps),
        "tool_calls": [
            {"name": call.name, "status": call.status, "seconds": round(call.seconds, 3)}
            for call in turn.tool_calls
        ],
        "files": list(turn.files),
        "variables": list(turn.variables),
        "error": {"kind": error.kind, "message": str(error)} if error is not None else None,
    }
    cleaned: dict[str, Any] = _sendable(redact_value(data))
    return cleaned


def _sendable(value: Any) -> Any:
    """Half a surrogate pair in a file's name would keep the message from being sent."""
    if isinstance(value, str):
        return visible(clip(value, _NOTICE_LIMIT))
    if isinstance(value, dict):
        return {key: _sendable(item) for key, item in value.items()}
    return [_sendable(item) for item in value] if isinstance(value, list) else value
