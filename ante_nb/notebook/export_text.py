"""A conversation as Markdown: prompts quoted, answers as they were written, tool calls as code blocks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ante_nb.messages import Image, Text, Thinking, ToolCall
from ante_nb.notebook.export import origin_of, result_text, title_of
from ante_nb.notebook.render.allowlist import visible
from ante_nb.notebook.render.words import argument_lines, headline
from ante_nb.redact import redact

if TYPE_CHECKING:
    from ante_nb.agent.session import Session
    from ante_nb.messages import ToolResult
    from ante_nb.notebook.export import Exchange


def markdown_of(session: Session, exchanges: list[Exchange]) -> str:
    """The conversation as one Markdown text."""
    lines = [f"# {_flat(title_of(session))}", "", _flat(origin_of(session)), ""]
    for exchange in exchanges:
        lines += [
            f"## {exchange.number}",
            "",
            *(f"> {line}" for line in visible(exchange.prompt).split("\n")),
            "",
        ]
        for place, part in enumerate(exchange.parts):
            if isinstance(part, Text):
                lines += [visible(redact(part.text)), ""]
            elif isinstance(part, Thinking) and part.text.strip():
                lines += ["*Thinking*", "", fenced(redact(part.text), "text"), ""]
            elif isinstance(part, ToolCall):
                lines += [call_markdown(part, exchange.results.get(place)), ""]
            elif isinstance(part, Image):
                lines += [f"*(an image, {part.media_type})*", ""]
    return "\n".join(lines).rstrip() + "\n"


def call_markdown(call: ToolCall, result: ToolResult | None) -> str:
    """A tool call and its result."""
    about = redact(headline(call))
    # A backtick in it would end the code span.
    words = [f"**{_flat(call.name)}**" + (f" `{visible(about).replace('`', chr(39))}`" if about else "")]
    code = call.arguments.get("code") if call.name == "Python" else None
    if isinstance(code, str):
        words += ["", fenced(redact(code), "python")]
    else:
        main = headline(call)
        rest = argument_lines(call, tuple(k for k, v in call.arguments.items() if v == main))
        if rest.strip():
            words += ["", fenced(redact(rest), "text")]
    if result is not None:
        text = result_text(result)
        images = sum(isinstance(part, Image) for part in result.content)
        if text.strip():
            words += ["", fenced(text, "text")]
        if images:
            words += ["", f"*({images} image{'s' * (images != 1)})*"]
    return "\n".join(words)


def fenced(text: str, language: str) -> str:
    """A code block that nothing in ``text`` can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{visible(text).rstrip()}\n{fence}"


def _flat(text: str) -> str:
    """A text that stays one line of plain words."""
    return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", " ".join(visible(text).split()))
