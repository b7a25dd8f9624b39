"""Splits what a model says into text and ``<think>`` blocks while it says it, and follows a call's JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ante_nb.messages import (
    Text,
    TextDelta,
    TextEnd,
    TextStart,
    Thinking,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ante_nb.messages import Part, StreamEvent

_OPEN, _CLOSE = "<think>", "</think>"
_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*"arguments"\s*:\s*')


class Spoken:
    """Feed pieces, get events. ``parts`` are the finished ones, ``index`` the number of the next.

    Args:
        thinking: whether the prompt has opened a ``<think>`` block already (some templates do).
    """

    def __init__(self, *, thinking: bool = False) -> None:
        self.thinking = thinking
        self.parts: list[Part] = []
        self.index = 0
        self._text = ""
        self._held = ""
        self._open = False

    def feed(self, piece: str) -> Iterator[StreamEvent]:
        """The events that ``piece`` adds; a possible beginning of a tag is held back."""
        self._held += piece
        while True:
            tag = _CLOSE if self.thinking else _OPEN
            at = self._held.find(tag)
            if at >= 0 and (self.thinking or not self._text.strip() + self._held[:at].strip()):
                # Models think before they speak; a tag further on is what they speak about.
                yield from self._say(self._held[:at])
                self._held = self._held[at + len(tag) :]
                yield from self._end()
                self.thinking = not self.thinking
                continue
            keep = _overlap(self._held, tag)
            ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
            yield from self._say(ready)
            return

    def close(self) -> Iterator[StreamEvent]:
        """What was held back, and the end of the open part."""
        held, self._held = self._held, ""
        yield from self._say(held)
        yield from self._end()

    def partial(self) -> tuple[Part, ...]:
        """The finished parts and what there is of the open one."""
        if not self._text:
            return tuple(self.parts)
        return (*self.parts, Thinking(self._text) if self.thinking else Text(self._text))

    def _say(self, text: str) -> Iterator[StreamEvent]:
        if not text:
            return
        if not self._open:
            if not (self._text + text).strip():
                self._text += text  # blanks alone open no part; they are told with the first word
                return
            self._open = True
            yield ThinkingStart(self.index) if self.thinking else TextStart(self.index)
            text, self._text = self._text + text, ""
        self._text += text
        yield ThinkingDelta(self.index, text) if self.thinking else TextDelta(self.index, text)

    def _end(self) -> Iterator[StreamEvent]:
        if self._open:
            part = Thinking(self._text.strip("\n")) if self.thinking else Text(self._text)
            self.parts.append(part)
            yield ThinkingEnd(self.index, part) if isinstance(part, Thinking) else TextEnd(self.index, part)
            self.index += 1
        self._open, self._text = False, ""


def _overlap(text: str, tag: str) -> int:
    """Length of the longest end of ``text`` that begins ``tag``."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)


class CallText:
    """The text ``{"name": N, "arguments": {...}}`` as it grows."""

    def __init__(self) -> None:
        self.raw = ""
        self.name: str | None = None
        self._start = 0
        self._at = 0
        self._depth = 0
        self._quoted = self._escaped = self._over = False

    def feed(self, piece: str) -> str:
        """The further argument text that ``piece`` holds; ``name`` is set once it is known."""
        self.raw += piece
        if self.name is None:
            head = _HEAD.match(self.raw)
            # A number or word could still grow; only an object can be the arguments.
            if head is None or not self.raw[head.end() :].startswith("{"):
                return ""
            self.name, self._at = head[1], head.end()
        begin = self._at
        while self._at < len(self.raw) and not self._over:
            char = self.raw[self._at]
            self._at += 1
            if self._escaped:
                self._escaped = False
            elif self._quoted:
                self._escaped, self._quoted = char == "\\", char != '"'
            elif char == '"':
                self._quoted = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                self._over = self._depth == 0
        return self.raw[begin : self._at]
