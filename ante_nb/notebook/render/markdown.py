"""Markdown to HTML: CommonMark without raw HTML, GitHub's tables, task lists, strikethrough, and math.

Blocks are independent of each other (no reference definitions, no footnotes), so a text that is cut
between top-level blocks renders to the pieces of the whole: that is what the segments rely on.
"""

from __future__ import annotations

import functools
import re
from html import escape
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from ante_nb.notebook.render.allowlist import IGNORE_MATH, PROCESS_MATH, visible
from ante_nb.notebook.render.code import code_html
from ante_nb.notebook.render.images import image_source
from ante_nb.notebook.render.math_rules import add_math
from ante_nb.notebook.render.styles import ALIGN, IMAGE
from ante_nb.notebook.render.tex import is_safe_tex

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from markdown_it.rules_core import StateCore
    from markdown_it.utils import EnvType, OptionsDict

__all__ = ["block_starts", "to_html"]

_LINK = re.compile(r"(?:https?://|mailto:)[^\s<>\"'`]+", re.IGNORECASE)
_BARE_URL = re.compile(r"\bhttps?://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}*_~]")
_MAX_NESTING = 40


def _text(text: str) -> str:
    return escape(visible(text))


def _math(token: Token) -> str:
    if not is_safe_tex(token.content):
        return f"<code>{_text(token.markup)}</code>"
    dollars = "$$" if token.info == "display" or token.type == "math_block" else "$"
    if token.markup == token.content and token.type == "math_block":
        dollars = ""  # a bare environment, which MathJax finds by itself
    return f'<span class="{PROCESS_MATH}">{dollars}{_text(token.content)}{dollars}</span>'


class _Renderer(RendererHTML):
    """Only what is named here or comes from markdown-it's own token names gets out."""

    def text(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _text(tokens[idx].content)

    def code_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"<code>{_text(tokens[idx].content)}</code>"

    def refused_target(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        path = tokens[idx].content
        return f" <code>{_text(path)}</code>" if path else ""

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return code_html(tokens[idx].content, colour=False)

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return code_html(tokens[idx].content, tokens[idx].info, colour=bool(env.get("colour")))

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        alt = self.renderInlineAsText(token.children or [], options, env)
        url = str(token.attrs.get("src", ""))
        source = image_source(url, env.get("base"))
        if source is None:
            shown = url if len(url) <= 200 else f"{url[:200]}…"
            return f"{_text(alt)} <code>{_text(shown)}</code>" if alt else f"<code>{_text(shown)}</code>"
        return f'<img src="{source}" alt="{_text(alt)}" style="{IMAGE}">'

    def math_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _math(tokens[idx])

    def math_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"<p>{_math(tokens[idx])}</p>\n"

    def html_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _text(tokens[idx].content)

    def html_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _text(tokens[idx].content)


def _guard_dollars(state: StateCore) -> None:
    """Text that MathJax could take for math is marked as none of its business; formulas opt in again."""
    lines: list[str] | None = None
    for token in state.tokens:
        if token.level == 0 and token.nesting == 1 and token.map:
            if lines is None:
                lines = state.src.split("\n")
            source = "\n".join(lines[token.map[0] : token.map[1]])
            # An entity can hide a dollar or a backslash.
            if any(c in source for c in "$\\&"):
                token.attrJoin("class", IGNORE_MATH)


def _align_cells(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("th_open", "td_open"):
            style = str(token.attrs.pop("style", "")).replace(" ", "").rstrip(";")
            if style in ALIGN.values():
                token.attrs["style"] = style


def _tick_boxes(state: StateCore) -> None:
    for item, paragraph, token in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if item.type != "list_item_open" or paragraph.type != "paragraph_open" or not token.children:
            continue
        first = token.children[0]
        if first.type == "text" and first.content[:4] in ("[ ] ", "[x] ", "[X] "):
            first.content = ("☐ " if first.content[1] == " " else "☑ ") + first.content[4:]


def _bare_links(state: StateCore) -> None:
    """Bare http(s) addresses become links, as on GitHub."""
    for token in state.tokens:
        if token.type != "inline" or "://" not in token.content or not token.children:
            continue
        children: list[Token] = []
        depth = 0
        for child in token.children:
            depth += child.nesting if child.type in ("link_open", "link_close") else 0
            if child.type != "text" or depth or "://" not in child.content:
                children.append(child)
                continue
            at = 0
            for match in _BARE_URL.finditer(child.content):
                children.append(Token("text", "", 0, content=child.content[at : match.start()]))
                href = state.md.normalizeLink(match[0])
                children.append(Token("link_open", "a", 1, attrs={"href": href}))
                children.append(Token("text", "", 0, content=match[0]))
                children.append(Token("link_close", "a", -1))
                at = match.end()
            children.append(Token("text", "", 0, content=child.content[at:]))
        token.children = children


def _harden_links(state: StateCore) -> None:
    """http(s) and mailto open a new page; any other link is its text, and a path also shows as code."""
    for token in state.tokens:
        targets: list[str] = []
        for child in token.children or ():
            if child.type == "link_open":
                href = str(child.attrs.get("href", ""))
                allowed = bool(_LINK.fullmatch(href))
                targets.append("" if allowed else href or "#")
                if allowed:
                    child.attrs = {"href": href, "target": "_blank"}
                else:
                    child.type, child.tag, child.nesting = "text", "", 0
            elif child.type == "link_close" and targets and (href := targets.pop()):
                child.type, child.tag, child.nesting = "refused_target", "", 0
                child.content = "" if ":" in href or len(href) > 200 else href


@functools.cache
def _parser() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING}, renderer_cls=_Renderer)
    md.enable(["table", "strikethrough"])
    md.disable(["reference", "html_block", "html_inline"])
    add_math(md)
    # Everything parses as a link or image; _harden_links and image() decide what becomes of it.
    md.validateLink = lambda url: True  # type: ignore[method-assign]
    for rule in (_tick_boxes, _bare_links, _harden_links, _align_cells, _guard_dollars):
        md.core.ruler.push(rule.__name__, rule)
    return md


def to_html(markdown: str, *, base: Path | None, colour: bool) -> str:
    """HTML of a Markdown text, to be passed through ``allowlist.clean``.

    Args:
        markdown: any text.
        base: the directory whose images may be embedded, or ``None`` for none.
        colour: whether fenced code is coloured.
    """
    env: dict[str, Any] = {"base": base, "colour": colour}
    return str(_parser().render(markdown, env))


def block_starts(markdown: str) -> list[int]:
    """The line numbers at which the top-level blocks begin, by the parser that renders them.

    Lines are counted at ``\\n``, ``\\r\\n`` and ``\\r``.
    """
    md = _parser()
    tokens: list[Token] = []
    source = re.sub(r"\r\n?", "\n", markdown).replace("\0", "�")
    md.block.parse(source, md, {}, tokens)
    return [token.map[0] for token in tokens if token.level == 0 and token.nesting >= 0 and token.map]
