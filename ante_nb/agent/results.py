"""From what a tool gave to what the model reads: cleaned, capped, and marked as foreign.

The order matters: cleaning first, so that the cap counts what is left; the envelope last, so that
nothing can be cut out of it.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from ante_nb.envelope import envelope
from ante_nb.messages import Image, Text, ToolResult

if TYPE_CHECKING:
    from ante_nb.agent.tools.base import ToolOutcome, ToolState
    from ante_nb.messages import ToolCall

# ECMA-48: CSI, OSC and the other string sequences (ended by BEL or ST), two-character escapes; and the
# 8-bit CSI. A string sequence that never ends is cut at the end of its line.
_ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# 200 is longer than any hash or key that could matter; a data URI is known by its head.
_BASE64 = re.compile(r"(?:data:([\w.+-]+/[\w.+-]+);base64,)?([A-Za-z0-9+/_-]{200,}={0,2})")
_BASE64_LINES = re.compile(r"(?:^[A-Za-z0-9+/]{60,76}\r?\n){5,}(?:[A-Za-z0-9+/]{1,76}={0,2}$)?", re.MULTILINE)
_DOCUMENT = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!doctype\s+html|<html[\s>])", re.I | re.S
)
_BLOCK = re.compile(
    r"</?(?:p|div|br|hr|li|ul|ol|tr|table|h[1-6]|section|article|header|footer|nav|pre|blockquote|title|dd|dt)\b",
    re.I,
)
_CELL = re.compile(r"</t[dh]\s*>", re.I)
_SAME_LINES = 3


def clean(text: str) -> str:
    """Terminal output as a person would have seen it in the end.

    Takes out escape sequences and control characters, plays back carriage returns (progress bars) and
    backspaces, folds runs of equal lines, names base64 runs by their length, and turns an HTML document
    into its text. Text that has none of these comes back unchanged but for line endings.
    """
    text = text.replace("\r\n", "\n")
    if "\x1b" in text or "\x9b" in text:
        text = _ANSI.sub("", text)
    if "\r" in text or "\b" in text:
        text = "\n".join(_played(line) for line in text.split("\n"))
    text = _CONTROL.sub("", text)
    if _DOCUMENT.match(text[:4096]):
        text = _html_text(text)
    text = _BASE64_LINES.sub(lambda found: _named_base64(len(found.group()), None) + "\n", text)
    text = _BASE64.sub(_base64, text)
    return _folded(text)


def _played(line: str) -> str:
    """A line after its carriage returns and backspaces, as a terminal leaves it."""
    if "\r" not in line and "\b" not in line:
        return line
    shown: list[str] = []
    for piece in line.split("\r"):
        column = 0
        for char in piece:
            if char == "\b":
                column = max(0, column - 1)
            else:
                shown[column : column + 1] = [char]
                column += 1
    return "".join(shown).rstrip() if "\r" in line else "".join(shown)


def _html_text(text: str) -> str:
    import nh3

    spaced = _BLOCK.sub(lambda found: "\n" + found.group(), _CELL.sub("\t", text))
    bare = html.unescape(nh3.clean(spaced, tags=set(), clean_content_tags={"script", "style", "svg", "head"}))
    lines = (re.sub(r"[ \xa0]+", " ", line).strip() for line in bare.split("\n"))
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return f"[HTML reduced to its text; {len(text)} characters before]\n{body}"


def _named_base64(length: int, kind: str | None) -> str:
    return f"[base64{f' {kind}' if kind else ''}, {length} characters trimmed]"


def _base64(found: re.Match[str]) -> str:
    kind, body = found.groups()
    # A long path, a rule of dashes or a plain word is no base64: that mixes cases and digits.
    mixed = (
        any(c.isdigit() for c in body) and any(c.isupper() for c in body) and any(c.islower() for c in body)
    )
    if kind is None and (not mixed or len(set(body)) < 20):
        return found.group()
    return _named_base64(len(found.group()), kind)


def _folded(text: str) -> str:
    """Runs of more than three equal lines as one line and a count."""
    lines = text.split("\n")
    if len(lines) <= _SAME_LINES:
        return text
    out: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        end = index + 1
        while end < len(lines) and lines[end] == line:
            end += 1
        run = end - index
        if run > _SAME_LINES and line.strip():
            out += [line, f"[... the line above repeated {run - 1} more times ...]"]
        elif run > _SAME_LINES:
            out += ["", ""]
        else:
            out += lines[index:end]
        index = end
    return "\n".join(out)


def cap(text: str, limit: int) -> str:
    """At most about ``limit`` characters: head and tail, and a note of how much is missing between.

    The cut falls on line ends where one is near. The note itself is not counted.
    """
    if len(text) <= limit:
        return text
    # The head explains what it is, the tail has the error and the sum: both count the same.
    head_end = max(limit // 2, 0)
    tail_start = len(text) - max(limit - limit // 2, 0)
    near = limit // 8
    line_end = text.rfind("\n", head_end - near, head_end)
    if line_end >= 0:
        head_end = line_end + 1
    line_start = text.find("\n", tail_start, tail_start + near)
    if line_start >= 0:
        tail_start = line_start + 1
    note = f"[... {tail_start - head_end} characters trimmed ...]"
    head = text[:head_end]
    return f"{head}{'' if head.endswith(chr(10)) or not head else chr(10)}{note}\n{text[tail_start:]}"


def finish(outcome: ToolOutcome, call: ToolCall, state: ToolState) -> ToolResult:
    """The result of ``call`` as it is put into the conversation: cleaned, capped, enveloped.

    Several texts are joined by a line break so that one cap holds for all; images follow.
    """
    text = "\n".join(part.text for part in outcome.content if isinstance(part, Text))
    images = tuple(part for part in outcome.content if isinstance(part, Image))
    text = _sound(text)
    if not outcome.verbatim:
        text = clean(text)
    text = cap(text, state.limits.result_chars)
    if not text.strip():
        text = "" if images else "(no output)"
    elif not outcome.trusted:
        text = envelope(text, state.session_secret, call.id)
    content: tuple[Text | Image, ...] = (Text(text), *images) if text else images
    return ToolResult(call.id, content, outcome.is_error)


def _sound(text: str) -> str:
    """Lone surrogates (from undecodable file names) replaced: no vendor's JSON takes them."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
