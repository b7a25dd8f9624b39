"""Code with colour: a few kinds of tokens as inline styles."""

from __future__ import annotations

import functools
from html import escape
from typing import TYPE_CHECKING

from ante_nb.notebook.render.allowlist import CODE_LANGUAGES, visible
from ante_nb.notebook.render.styles import TOKEN, code_style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Tokens = Callable[[str], Iterable[tuple[tuple[str, ...], str]]]

__all__ = ["code_html", "coloured"]

MAX_COLOURED = 20_000
"""Characters; longer code stays plain (time to lex, size of the notebook)."""

_MAX_GROWTH = 1.9
"""Markup added per character of code; denser code loses its numbers and names, then all colour.

A span costs 37 bytes. The bound keeps a finished answer near four times its Markdown on the wire, twin
included; the byte account of the updates gets what is left.
"""


_CHOICES = tuple(
    frozenset(kinds)
    for kinds in (
        TOKEN,
        ("keyword", "string", "comment", "name"),
        ("keyword", "string", "comment"),
        ("string", "comment", "name"),
        ("comment", "name"),
        ("comment",),
    )
)


@functools.lru_cache(maxsize=32)
def _lexer(name: str) -> Tokens | None:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        tokens: Tokens = get_lexer_by_name(name, stripnl=False, ensurenl=False).get_tokens  # type: ignore[no-untyped-call]
    except ClassNotFound:
        return None
    return tokens


@functools.lru_cache(maxsize=512)
def _kind(token: tuple[str, ...]) -> str | None:
    match token[:1]:
        case ("Keyword",):
            return "keyword"
        case ("Comment",):
            return "comment"
        case ("Literal",):
            return "number" if token[1:2] == ("Number",) else "string"
        case ("Name",) if token[1:2] in (("Function",), ("Class",), ("Decorator",), ("Tag",)):
            return "name"
    return "keyword" if token[:2] == ("Operator", "Word") else None


def _pieces(code: str, tokens: Tokens) -> list[tuple[str | None, str]]:
    pieces: list[tuple[str | None, str]] = []
    for token, text in tokens(code):
        kind = _kind(token)
        if pieces and (pieces[-1][0] == kind or text.isspace()):
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + text)
        else:
            pieces.append((kind, text))
    return pieces


def coloured(code: str, language: str) -> list[tuple[str, str]]:
    """``code`` cut into pieces, each with its kind (``keyword``, ``string``, ``comment``, ``number``, ``name``
    or nothing), for a view that has a style sheet; together they are ``visible(code)``."""
    lexer = _lexer(language) if len(code) <= MAX_COLOURED else None
    pieces = _pieces(code, lexer) if lexer is not None else []
    if "".join(text for _, text in pieces) != code:
        return [("", visible(code))]
    return [(kind or "", visible(text)) for kind, text in pieces]


def _spans(pieces: list[tuple[str | None, str]], kinds: frozenset[str]) -> str:
    return "".join(
        f'<span style="{TOKEN[kind]}">{escape(visible(text))}</span>'
        if kind in kinds and kind is not None
        else escape(visible(text))
        for kind, text in pieces
    )


def code_html(code: str, label: str = "", *, colour: bool = True) -> str:
    """A ``<pre><code>`` block.

    Args:
        code: the code, any text.
        label: the fence's info string; only its first word is looked at, and only if it is listed in
            :data:`~ante_nb.notebook.render.allowlist.CODE_LANGUAGES`.
        colour: whether to colour it.

    Returns:
        HTML that still has to pass :func:`~ante_nb.notebook.render.allowlist.clean`.
    """
    words = label.split(None, 1)
    language = CODE_LANGUAGES.get(words[0].lower()) if words else None
    opening = f'<pre><code class="language-{language}">' if language else "<pre><code>"
    body = escape(visible(code))
    lexer = _lexer(language) if language and colour and len(code) <= MAX_COLOURED else None
    if lexer is not None:
        pieces = _pieces(code, lexer)
        limit = len(body) + 400 + _MAX_GROWTH * len(code)
        if "".join(text for _, text in pieces) == code:
            for kinds in _CHOICES:
                used = {kind for kind, _ in pieces if kind in kinds and kind is not None}
                coloured = _spans(pieces, kinds)
                style = code_style(used)
                if used and len(coloured) + len(style) <= limit:
                    body = coloured
                    opening = opening.replace("<pre>", f'<pre style="{style}">')
                    break
    return f"{opening}{body}</code></pre>\n"
