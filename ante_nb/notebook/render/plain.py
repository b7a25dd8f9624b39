"""The same turn as plain text, for a terminal without rich display; streams as it comes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ante_nb import messages as m
from ante_nb.notebook.render import cards
from ante_nb.notebook.render.allowlist import visible
from ante_nb.notebook.render.words import counted
from ante_nb.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PlainRenderer"]

_RETURN = re.compile(r"\r+(?!\n)")


class PlainRenderer:
    """Writes one turn; the interface of :class:`~ante_nb.notebook.render.renderer.TurnRenderer`.

    Args:
        write: takes text to append, e.g. ``sys.stdout.write``.
        verbose: shows the whole thinking and all of a tool's live output.
    """

    def __init__(self, write: Callable[[str], None], verbose: bool = False) -> None:
        self._write_out = write
        self._verbose = verbose
        self._column = 0
        self._texts: set[int] = set()
        self._thoughts = 0
        self._cards: dict[str, cards.Card] = {}
        self._streamed: set[str] = set()
        self._closed = False

    def event(self, event: m.TurnEvent) -> None:
        """Take one event of the turn; after :meth:`close` events are ignored."""
        if self._closed:
            return
        match event:
            case m.TextDelta(index, text):
                self._thinking_over()
                self._texts.add(index)
                self._write(visible(text))
            case m.TextEnd(index, part):
                if index not in self._texts:
                    self._thinking_over()
                    self._write(visible(part.text))
                self._line()
            case m.ThinkingDelta(_, text):
                self._thoughts += len(text)
                if self._verbose:
                    self._write(visible(redact(text)))
            case m.ThinkingEnd():
                self._thinking_over()
            case m.ToolStarted(call):
                self._thinking_over()
                self._cards[call.id] = cards.Card(call, "running")
                self._paragraph(self._cards[call.id].render()[1])
            case m.ToolOutput(call_id, text):
                self._streamed.add(call_id)
                # A terminal shows a progress bar as lines here: its carriage returns could also hide lines.
                self._write(visible(redact(_RETURN.sub("\n", text))))
            case m.ToolEnded(call, result, status, seconds, display):
                self._tool_ended(call, result, status, seconds, display)
            case m.Notice(kind, text):
                if text.strip():
                    self._paragraph(cards.notice(kind, text)[1])
            case m.TurnStarted(_, status, attachments):
                self._paragraph(cards.status_line(status, attachments)[1])
            case m.Steered(text):
                self._paragraph(cards.steered(text)[1])
            case m.Compacted():
                self._paragraph(cards.compacted(event)[1])
            case m.StepStarted():
                self._texts.clear()
            case m.Retract():
                self._texts.clear()
                self._thoughts = 0
                self._paragraph("[retract] what this step has written is void; it is sent again")
            case m.TurnEnded(turn):
                self.close(turn)
            case _:
                pass

    def tick(self) -> None:
        """Nothing waits here: text is written as it comes."""

    def flush(self) -> None:
        """Nothing waits here."""

    def next_tick(self) -> float | None:
        return None

    def close(self, turn: Any = None) -> None:
        """End the text and, given a :class:`~ante_nb.agent.turn.Turn`, write the closing line."""
        if self._closed:
            return
        self._thinking_over()
        if turn is not None:
            self._paragraph(cards.closing_line(turn)[1])
        self._closed = True

    def _tool_ended(
        self,
        call: m.ToolCall,
        result: m.ToolResult,
        status: str,
        seconds: float,
        display: dict[str, Any] | None,
    ) -> None:
        card = self._cards.pop(call.id, None) or cards.Card(call)
        card.call, card.state, card.result = call, status, result
        card.seconds, card.display = seconds, display
        head, _, body = card.render()[1].partition("\n")
        # Arguments and live output are on the screen already.
        self._paragraph(head if call.id in self._streamed else f"{head}\n{body}".rstrip("\n"))
        self._streamed.discard(call.id)

    def _thinking_over(self) -> None:
        if self._thoughts:
            count, self._thoughts = self._thoughts, 0
            self._paragraph(f"[Thinking ({counted(count, 'character')})]")

    def _write(self, text: str) -> None:
        if text:
            self._column = 0 if text.endswith("\n") else 1
            self._write_out(text)

    def _line(self) -> None:
        if self._column:
            self._write("\n")

    def _paragraph(self, text: str) -> None:
        self._line()
        self._write(text.rstrip("\n") + "\n")
