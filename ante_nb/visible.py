"""Text of a model, a tool, a file name or an error as it may reach a screen: what hides or moves is shown.

A terminal obeys escape sequences and carriage returns, a browser obeys bidi marks; both draw invisible
characters as nothing. Everything that is printed or published goes through :func:`visible`.
"""

from __future__ import annotations

import re

__all__ = ["as_terminal", "visible"]

# C0 but tab and newlines, DEL, C1, bidi marks and overrides, line separators, invisible format characters,
# fillers that look like blanks, tags, the second set of variation selectors (they smuggle text), lone
# surrogates. ZWJ, ZWNJ and the first variation selectors stay: emoji and several scripts need them.
# A carriage return that ends no line: a terminal would write over what stands there.
_ODD = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e"
    "\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]|\r(?!\n)"
)
_MARKS = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
# Combining marks pile up over the lines above and below; no script stacks more than a few.
_PILE = re.compile(f"({_MARKS}{{8}})({_MARKS}+)")

# ECMA-48: CSI, then OSC, DCS, SOS, PM and APC with their text, then other escapes. A sequence that does not
# end is left for `visible`.
_SEQUENCE = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]{0,8192}(?:\x07|\x1b\\\\|\x9c)"
    "|\x1b[ -/]*[0-Z\\\\^-~]"
)
_BACKSPACE = re.compile("[^\n\x08]\x08")


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if 0xD800 <= code <= 0xDFFF:
        return "�"
    return f"[U+{code:04X}]"


def visible(text: str) -> str:
    """``text`` with control, bidi and invisible characters made visible; line breaks stay as they are.

    Also what a ``text/plain`` twin goes through: a console would obey an escape sequence. Applying it twice
    changes nothing.
    """
    return _PILE.sub(lambda match: f"{match[1]}[+{len(match[2])} marks]", _ODD.sub(_shown, text))


def as_terminal(text: str) -> str:
    """What a terminal would show of a program's output: no escape sequences, lines as last written.

    Progress bars write a line again and again after a carriage return; only its last state is left. Still to
    be passed through :func:`visible`.
    """
    if "\x1b" in text or any(c in text for c in "\x9b\x9d\x90\x98\x9e\x9f"):
        text = _SEQUENCE.sub("", text)
    if "\x08" in text:
        for _ in range(200):
            shorter = _BACKSPACE.sub("", text)
            if shorter == text:
                break
            text = shorter
    if "\r" in text:
        text = "\n".join(_last_state(line) for line in text.replace("\r\n", "\n").split("\n"))
    return text


def _last_state(line: str) -> str:
    if "\r" not in line:
        return line
    states = [state for state in line.split("\r") if state]
    return states[-1] if states else ""
