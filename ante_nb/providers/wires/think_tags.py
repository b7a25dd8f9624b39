"""Thinking that a server left in the text as ``<think>...</think>`` (MiniMax, local models)."""

from __future__ import annotations

from typing import Literal

_OPEN = "<think>"
_CLOSE = "</think>"


class ThinkSplitter:
    """Tells thinking in tags at the very start of an answer from the answer.

    A tag later in the text is text. ``lead`` and ``tail`` are the white space before the opening and
    after the closing tag, which belongs to neither.
    """

    def __init__(self) -> None:
        self._state: Literal["start", "inside", "after", "text"] = "start"
        self._held = ""
        self.lead = ""
        self.tail = ""

    @property
    def inside(self) -> bool:
        return self._state == "inside"

    @property
    def settled(self) -> bool:
        """Whether everything from here on is text."""
        return self._state == "text"

    @property
    def plain(self) -> bool:
        """Whether there were no tags at all, so that nothing needs to be remembered."""
        return self._state == "text" and not self._tagged

    _tagged = False

    def feed(self, words: str) -> list[tuple[Literal["text", "think"], str]]:
        """What ``words`` adds; the beginning of a possible tag is held back."""
        if self._state == "text":
            return [("text", words)]
        out: list[tuple[Literal["text", "think"], str]] = []
        held = self._held + words
        self._held = ""
        if self._state == "start":
            bare = held.lstrip()
            if len(bare) < len(_OPEN) and _OPEN.startswith(bare):
                self._held = held
                return out
            if not bare.startswith(_OPEN):
                self._state = "text"
                return [("text", held)]
            self.lead = held[: len(held) - len(bare)]
            self._state, self._tagged = "inside", True
            held = bare[len(_OPEN) :]
        if self._state == "inside":
            thought, found, rest = held.partition(_CLOSE)
            if not found:
                keep = next(
                    (
                        n
                        for n in range(min(len(_CLOSE) - 1, len(held)), 0, -1)
                        if _CLOSE.startswith(held[-n:])
                    ),
                    0,
                )
                self._held = held[len(held) - keep :]
                thought = held[: len(held) - keep]
                return [("think", thought)] if thought else out
            if thought:
                out.append(("think", thought))
            self._state = "after"
            held = rest
        if self._state == "after":
            bare = held.lstrip()
            self.tail += held[: len(held) - len(bare)]
            if bare:
                self._state = "text"
                out.append(("text", bare))
        return out

    def flush(self) -> str:
        """What was held back; it is thinking if :attr:`inside`, else text."""
        held, self._held = self._held, ""
        return held
