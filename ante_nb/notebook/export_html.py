"""A conversation as one HTML page: no script, nothing fetched, light and dark, foldable calls and thinking.

Every text passes the same sanitizer as the outputs of a notebook.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ante_nb.messages import Image, Text, Thinking, ToolCall
from ante_nb.notebook.export import origin_of, title_of
from ante_nb.notebook.render import cards
from ante_nb.notebook.render.allowlist import DATA_IMAGE, visible
from ante_nb.notebook.render.sanitize import safe_html, safe_text_html
from ante_nb.redact import redact, redact_value

if TYPE_CHECKING:
    from ante_nb.agent.session import Session
    from ante_nb.messages import ToolResult
    from ante_nb.notebook.export import Exchange

# `default-src 'none'`: whatever a text may have got past the sanitizer, the page runs and loads nothing.
_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }}
.prompt {{ border-left: 4px solid #8884; padding: 0 1rem; margin: 2.5rem 0 1rem; white-space: pre-wrap;
  overflow-wrap: anywhere; font-weight: 600; }}
pre {{ overflow-x: auto; }} img {{ max-width: 100%; }} table {{ border-collapse: collapse; }}
td, th {{ border: 1px solid #8884; padding: .2rem .6rem; }}
.about {{ opacity: .7; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="about">{about}</p>
<main>
"""


def html_of(session: Session, exchanges: list[Exchange]) -> str:
    """The conversation as one page."""
    head = _HEAD.format(title=_text(title_of(session)), about=_text(origin_of(session)))
    parts = [head]
    for exchange in exchanges:
        label = f"Prompt {exchange.number}"
        parts.append(f'<h2 class="prompt" aria-label="{label}">{_text(exchange.prompt)}</h2>\n')
        parts += [part_html(part, exchange.results.get(place)) for place, part in enumerate(exchange.parts)]
    parts.append("</main>\n</body>\n</html>\n")
    return "".join(parts)


def part_html(part: object, result: ToolResult | None) -> str:
    if isinstance(part, Text):
        return safe_html(redact(part.text), base=None)
    if isinstance(part, Thinking) and part.text.strip():
        inner = safe_text_html(redact(part.text))
        return f"<details><summary>Thinking</summary>{inner}</details>\n"
    if isinstance(part, ToolCall):
        call = ToolCall(part.id, part.name, redact_value(part.arguments))
        card = cards.Card(call, "error" if result is not None and result.is_error else "ok", result=result)
        return card.render()[0]
    if isinstance(part, Image):
        source = f"data:{part.media_type};base64,{part.data}"
        return f'<p><img src="{source}" alt="image"></p>\n' if DATA_IMAGE.fullmatch(source) else ""
    return ""


def _text(text: str) -> str:
    return escape(visible(redact(text)))
