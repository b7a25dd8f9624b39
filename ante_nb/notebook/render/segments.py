"""A growing Markdown text as a sequence of displays: finished ones stay, only the last is updated.

Publishing the whole text again and again costs 4 MB for an answer of 80 KB and keeps JupyterLab busy for
seconds after its end. Here a display is finished as soon as it holds enough whole blocks, and updates go
to the short tail. Nothing is cut inside a block (fence, formula, list, table ...): where a block begins is
asked of the parser that renders it, so the pieces render to the whole.

Pure: no clock, no display, no HTML.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.notebook.render.pace import Pace

__all__ = ["Operation", "Segments", "cut_point", "minimum_size"]

_LINE_END = re.compile(r"\r\n|\n|\r")
_BLANK_LINE = re.compile(r"(?:\r\n|\n|\r)[ \t]*(?:\r\n|\n|\r)")


@dataclass(frozen=True, slots=True)
class Operation:
    """What to do with display ``id``.

    ``publish`` shows it for the first time, ``update`` shows it again, ``finish`` shows it for the last
    time (for the first as well if it was never published). Its Markdown is all ``closed`` pieces since
    ``publish``, in order, and after them ``open``, the part that may still change (empty on ``finish``).
    """

    kind: Literal["publish", "update", "finish"]
    id: str
    closed: str
    open: str = ""


def cut_point(text: str) -> int:
    """The offset of the last block of ``text`` that begins after a blank line and on a whole line, else 0.

    Everything before it is settled: no text that follows can change how it renders.
    """
    if not _BLANK_LINE.search(text):
        return 0
    from ante_nb.notebook.render.markdown import block_starts

    ends = [match.end() for match in _LINE_END.finditer(text)]
    if text.endswith("\r"):
        ends.pop()  # the first half of a \r\n, perhaps
    for line in reversed(block_starts(text)):
        # A line that is still being written may turn out to continue the list before it ("1" -> "1. b").
        if 2 <= line < len(ends) and not text[ends[line - 2] : ends[line - 1]].strip(" \t\r\n"):
            return ends[line - 1]
    return 0


def minimum_size(outputs: int) -> int:
    """Characters that a display must hold to be finished, when ``outputs`` are already used in this turn.

    JupyterLab hides what comes after the 50th output of a cell.
    """
    if outputs < 16:
        return 2_000
    return 6_000 if outputs < 30 else 1 << 30


class Segments:
    """The displays of one text.

    Args:
        new_id: gives the id of a new display.
        minimum: gives the size at which a display is finished (:func:`minimum_size` of the outputs used).
        pace: rate and byte account; whoever publishes reports to ``pace.spent``.
        live: False publishes finished displays only (a front end that cannot update).
    """

    def __init__(
        self, new_id: Callable[[], str], minimum: Callable[[], int], pace: Pace, *, live: bool = True
    ) -> None:
        self._new_id = new_id
        self._minimum = minimum
        self._pace = pace
        self._live = live
        self._id: str | None = None
        self._closed: list[str] = []
        self._closed_size = 0
        self._fresh = 0  # how many of the closed pieces no operation has carried yet, from the end
        self._open = ""
        self._new: list[str] = []
        self._due = float("-inf")
        self._changed = False

    def feed(self, text: str, now: float) -> list[Operation]:
        """Take more text; the operations that are due (most calls: none)."""
        self._new.append(text)
        self._changed = True
        if now < self._due:
            return []
        return self.tick(now)

    def next_tick(self) -> float | None:
        """When :meth:`tick` should be called if nothing more is fed before; ``None`` if nothing waits."""
        return self._due if self._changed else None

    def tick(self, now: float) -> list[Operation]:
        """The operations that are due at ``now``."""
        if not self._changed or now < self._due:
            return []
        affordable = self._pace.affordable(now)
        if affordable > now:
            self._due = affordable
            return []
        self._take(now)
        if self._id is None and not self._open.strip():
            return []
        operations: list[Operation] = []
        cut = cut_point(self._open)
        if cut:
            self._close(cut)
            if self._closed_size >= self._minimum():
                operations.append(self._finish())
        if self._live and (self._open.strip() or self._fresh):
            operations.append(self._show())
        self._changed = False
        self._due = now + self._pace.interval(self._closed_size + len(self._open))
        return operations

    def end(self, now: float) -> list[Operation]:
        """The text is complete: finish what is left. The object can be fed no more."""
        self._take(now)
        self._changed = False
        if self._open:
            self._close(len(self._open))
        if self._id is None and not "".join(self._closed).strip():
            return []
        return [self._finish()] if self._closed else []

    def _take(self, now: float) -> None:
        text = "".join(self._new)
        self._new.clear()
        self._open += text
        self._pace.arrived(len(text), now)

    def _close(self, cut: int) -> None:
        self._closed.append(self._open[:cut])
        self._closed_size += cut
        self._fresh += 1
        self._open = self._open[cut:]

    def _carry(self) -> str:
        fresh = "".join(self._closed[len(self._closed) - self._fresh :])
        self._fresh = 0
        return fresh

    def _show(self) -> Operation:
        if self._id is None:
            self._id = self._new_id()
            return Operation("publish", self._id, self._carry(), self._open)
        return Operation("update", self._id, self._carry(), self._open)

    def _finish(self) -> Operation:
        operation = Operation("finish", self._id or self._new_id(), self._carry())
        self._id = None
        self._closed.clear()
        self._closed_size = 0
        return operation
