"""Markdown rules for math: ``$..$``, ``$$..$$``, ``\\(..\\)``, ``\\[..\\]`` and bare environments.

A formula never holds a blank line, so a text cut at blank lines is never cut inside one. The ``$`` rules
are pandoc's (no space inside the dollars, no digit after the closing one), so prices stay prices.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ante_nb.notebook.render.tex import ENVIRONMENTS, MAX_TEX

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

__all__ = ["add_math"]

_INLINE = re.compile(
    r"""
      \$\$ (?P<display> (?: [^\\$] | \\. )+? ) \$\$
    | \$ (?! [\s$] ) (?P<inline> (?: [^\\$] | \\. )*? (?: [^\\$\s] | \\[^\s] ) ) \$ (?! [\d$] )
    | \\\( (?P<parens> .+? ) \\\)
    | \\\[ (?P<brackets> .+? ) \\\]
    """,
    re.VERBOSE | re.DOTALL,
)
_ENVIRONMENT = re.compile(r"\\begin\{([a-zA-Z]+\*?)\}")


def _looks_like_math(text: str) -> bool:
    """``\\(`` and ``\\[`` are also Markdown's escapes; a formula is short or has a mark of TeX."""
    return len(text.strip()) <= 3 or bool(re.search(r"[\\^_=+<>/|*-]", text))


def _inline(state: StateInline, silent: bool) -> bool:
    here = state.src[state.pos]
    if here not in "$\\" or (here == "\\" and state.src[state.pos + 1 : state.pos + 2] not in ("(", "[")):
        return False
    if here == "$" and state.pos and (state.src[state.pos - 1].isalnum() or state.src[state.pos - 1] == "$"):
        return False
    match = _INLINE.match(state.src, state.pos, min(state.posMax, state.pos + MAX_TEX))
    if match is None:
        return False
    kind = match.lastgroup or ""
    if kind in ("parens", "brackets") and not _looks_like_math(match[kind]):
        return False
    if not silent:
        token = state.push("math_inline", "span", 0)
        token.content = match[kind]
        token.info = "display" if kind in ("display", "brackets") else ""
        token.markup = match[0]
    state.pos = match.end()
    return True


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].rstrip()


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if state.is_code_block(start):
        return False
    first = _line(state, start)
    environment = _ENVIRONMENT.match(first)
    if first.startswith("$$"):
        opening, closing = "$$", "$$"
    elif first.startswith("\\["):
        opening, closing = "\\[", "\\]"
    elif environment and environment[1] in ENVIRONMENTS:
        opening, closing = "", f"\\end{{{environment[1]}}}"
    else:
        return False
    lines: list[str] = []
    for number in range(start, end):
        if state.sCount[number] < state.blkIndent or state.isEmpty(number):
            return False
        text = _line(state, number)[len(opening) if number == start else 0 :]
        if closing in text:
            if not text.endswith(closing) or text.index(closing) != len(text) - len(closing):
                return False
            lines.append(text if not opening else text[: -len(closing)])
            break
        lines.append(text)
    else:
        return False
    if silent:
        return True
    token = state.push("math_block", "div", 0)
    token.content = "\n".join(lines).strip()
    token.markup = f"{opening}{token.content}{closing}" if opening else token.content
    token.map = [start, start + len(lines)]
    token.block = True
    state.line = start + len(lines)
    return True


def add_math(md: MarkdownIt) -> None:
    """Add the rules to a parser; tokens are ``math_inline`` (``info`` may be ``display``) and ``math_block``."""
    md.inline.ruler.before("escape", "math_inline", _inline)
    md.block.ruler.before(
        "fence", "math_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
