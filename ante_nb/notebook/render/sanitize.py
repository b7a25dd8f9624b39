"""The one door to the screen for text that comes from a model, a tool, a file name or a provider's error.

JupyterLab runs and fetches whatever live Markdown or HTML asks for, so nothing of the kind is published as
it came. Both functions parse and then cut down to an allow-list; neither looks for bad words.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ante_nb.notebook.render.allowlist import IGNORE_MATH, clean, visible
from ante_nb.notebook.render.styles import PRE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["clean", "safe_html", "safe_text_html", "visible"]


def safe_html(markdown: str, *, base: Path | None, colour: bool = True) -> str:
    """HTML that may be published for a Markdown text.

    Links are http(s) and mailto; images are ``data:`` (png, jpeg, gif, webp) and files inside ``base``, which
    are embedded; formulas keep their TeX if every command is on the list; raw HTML shows as text.
    ``safe_html(a + b) == safe_html(a) + safe_html(b)`` wherever ``segments`` cuts.

    Args:
        markdown: any text.
        base: the working directory, or ``None`` to show no file.
        colour: whether fenced code is coloured (it costs time and bytes).
    """
    from ante_nb.notebook.render.markdown import to_html

    return clean(to_html(markdown, base=base, colour=colour))


def safe_text_html(text: str) -> str:
    """HTML that may be published for preformatted text: every character as itself, odd ones made visible."""
    return clean(f'<pre class="{IGNORE_MATH}" style="{PRE}">{escape(visible(text))}</pre>\n')
