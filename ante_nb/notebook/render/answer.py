"""The answer on the screen: segments of Markdown, each a display whose blocks are rendered once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ante_nb.notebook.render import cards
from ante_nb.notebook.render.allowlist import visible
from ante_nb.notebook.render.sanitize import safe_html

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ante_nb.notebook.render.pace import Pace
    from ante_nb.notebook.render.screen import Item, Screen
    from ante_nb.notebook.render.segments import Operation

__all__ = ["ANSWER_START", "AnswerView"]

ANSWER_START = '<div role="log"'
"""How the HTML of every piece of an answer, and of nothing else, begins."""
_LIVE_TEXT = 24_000
_SHOWN_TAIL = 6_000


@dataclass(slots=True)
class _Display:
    """What the closed blocks of a segment render to: finished, and as a draft without colour and files."""

    item: Item | None = None
    raw: list[str] = field(default_factory=list)
    final: list[str] = field(default_factory=list)
    draft: list[str] = field(default_factory=list)
    size: int = 0

    def close(self, markdown: str, cwd: Path | None) -> None:
        final = safe_html(markdown, base=cwd)
        heavy = len(final) > 2 * len(markdown) + 400 and any(c in markdown for c in ("```", "~~~", "!["))
        self.raw.append(markdown)
        self.final.append(final)
        self.draft.append(safe_html(markdown, base=None, colour=False) if heavy else final)
        self.size += len(markdown)

    def drafted(self, markdown: str) -> str:
        """The display as it stands, ``markdown`` being its last, open block.

        Of a very long one only the end is shown: to send all of it at each update would cost its square.
        """
        closed: list[str] = self.draft
        note = ""
        if self.size + len(markdown) > _LIVE_TEXT:
            room = _SHOWN_TAIL - len(markdown)
            shown = 0
            for raw in reversed(self.raw):
                room -= len(raw)
                if room < 0:
                    break
                shown += 1
            kept = len(self.raw) - shown
            above = sum(map(len, self.raw[:kept])) + max(0, len(markdown) - _SHOWN_TAIL)
            closed, markdown = closed[kept:], _end_of(markdown)
            note = cards.notice("answer", f"{above:,} characters above are shown when this part is complete")[
                0
            ]
        tail = safe_html(markdown, base=None, colour=False) if markdown.strip() else ""
        return "".join((note, *closed, tail))


def _log(html: str, *, busy: bool = False) -> str:
    """A piece of the answer as a log that a screen reader speaks when it is finished, not at each update."""
    state = ' aria-busy="true"' if busy else ""
    return f'{ANSWER_START} aria-live="polite"{state}>{html}</div>\n'


def _end_of(markdown: str) -> str:
    """The last lines of one block; of a fence with its opening line, so that it stays code."""
    if len(markdown) <= _SHOWN_TAIL:
        return markdown
    stripped = markdown.lstrip()
    opening = stripped.split("\n", 1)[0] + "\n" if stripped.startswith(("```", "~~~")) else ""
    return opening + markdown[-_SHOWN_TAIL:].partition("\n")[2]


class AnswerView:
    """Carries out the operations of :class:`~ante_nb.notebook.render.segments.Segments`."""

    def __init__(self, screen: Screen, cwd: Path | None, pace: Pace) -> None:
        self._screen = screen
        self._pace = pace
        self._cwd = cwd
        self._displays: dict[str, _Display] = {}
        self._count = 0

    def new_id(self) -> str:
        self._count += 1
        return f"segment-{self._count}"

    def apply(self, operations: Iterable[Operation]) -> list[Item]:
        """Publish; returns the items that are new on the screen."""
        new = []
        for operation in operations:
            display = self._displays.setdefault(operation.id, _Display())
            if operation.closed:
                display.close(operation.closed, self._cwd)
            finished = operation.kind == "finish"
            if finished:
                del self._displays[operation.id]
                html, plain = _log("".join(display.final)), visible("".join(display.raw))
                self._pace.finished(display.size, len(html.encode()) + len(plain.encode()))
            else:
                html, plain = _log(display.drafted(operation.open), busy=True), None
            if display.item is None:
                display.item = self._screen.add(html, plain, text=True, charge=not finished)
                new.append(display.item)
            else:
                self._screen.update(display.item, html, plain, charge=not finished)
        return new

    def forget(self) -> None:
        """What was shown of the running texts is withdrawn by others; start anew."""
        self._displays.clear()
