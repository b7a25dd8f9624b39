"""Splits what a model says into text and thinking while it says it, and follows a call's JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ante_nb.local.thinking import THINK, Marks
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
    from collections.abc import Generator, Iterable, Iterator

    from ante_nb.messages import Part, StreamEvent

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*"arguments"\s*:\s*')


class Spoken:
    """Feed pieces, get events. ``parts`` are the finished ones, ``index`` the number of the next.

    Models think before they speak: marks further on are what they speak about.

    Args:
        opened: the marks of a thought that the prompt has opened already (some templates do).
        marks: those by which this model thinks.

    Attributes:
        thinking: whether a thought is open.
    """

    def __init__(self, *, opened: Marks | None = None, marks: Iterable[Marks] = (THINK,)) -> None:
        self.parts: list[Part] = []
        self.index = 0
        self._marks = tuple(marks)
        self._inside = opened
        self._headings: tuple[str, ...] = ()
        self._text = ""
        self._held = ""
        self._open = False

    @property
    def thinking(self) -> bool:
        return self._inside is not None

    def feed(self, piece: str) -> Iterator[StreamEvent]:
        """The events that ``piece`` adds; a possible beginning of a mark is held back."""
        self._held += piece
        again = True
        while again and self._held:
            if self._inside is not None:
                again = yield from self._think(self._inside)
            elif self._open:
                yield from self._say_held(len(self._held))
            else:
                again = yield from self._begin()

    def _think(self, marks: Marks) -> Generator[StreamEvent, None, bool]:
        at = self._held.find(marks.close)
        yield from self._say_held(at if at >= 0 else len(self._held) - _overlap(self._held, marks.close))
        if at < 0:
            return False
        self._held = self._held[len(marks.close) :]
        yield from self._end()
        self._inside, self._headings = None, marks.headings
        return True

    def _begin(self) -> Generator[StreamEvent, None, bool]:
        """Nothing of the answer is there yet: it, a thought, or a heading may come."""
        bare = self._held.lstrip()
        found = next((marks for marks in self._marks if bare.startswith(marks.open)), None)
        if found is not None:
            self._held, self._inside = bare[len(found.open) :], found
            return True
        heading = next((words for words in self._headings if bare.startswith(words)), None)
        if heading is not None:
            self._held = bare[len(heading) :]
            return True
        begun = any(words.startswith(bare) for words in (*(m.open for m in self._marks), *self._headings))
        if not begun:  # blanks alone begin anything
            yield from self._say_held(len(self._held))
        return False

    def _say_held(self, size: int) -> Iterator[StreamEvent]:
        ready, self._held = self._held[:size], self._held[size:]
        yield from self._say(ready)

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
