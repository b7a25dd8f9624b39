"""One turn, shown in a notebook cell: turn events in, display messages out.

Everything that is published has passed the sanitizer, and has a ``text/plain`` twin as soon as it will not
change any more. No IPython here: the caller hands in ``publish`` and the clock, and calls :meth:`tick`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb import messages as m
from ante_nb.notebook.render import cards
from ante_nb.notebook.render.answer import AnswerView
from ante_nb.notebook.render.error_card import error_card
from ante_nb.notebook.render.pace import Pace
from ante_nb.notebook.render.screen import Item, Publish, Screen
from ante_nb.notebook.render.segments import Operation, Segments, minimum_size
from ante_nb.notebook.render.views import ThinkingView, ToolCards, Views

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["TurnRenderer"]


class _Step:
    """The running model call: what it has drawn, so that it can be withdrawn."""

    def __init__(self, step_id: str = "") -> None:
        self.id = step_id
        self.items: list[Item] = []
        self.texts: dict[int, Segments] = {}
        self.seen: set[int] = set()
        self.thinking: ThinkingView | None = None


class TurnRenderer:
    """Shows one turn.

    Args:
        publish: ``publish(data, metadata, display_id, update)``, called on the caller's thread only.
        clock: seconds that only grow, e.g. ``time.monotonic``.
        cwd: the directory whose images the answer may show; ``None`` shows none.
        verbose: thinking and tool cards are unfolded.
        live: False publishes only what is finished (a front end that cannot update a display).
    """

    def __init__(
        self,
        publish: Publish,
        clock: Callable[[], float],
        cwd: Path | None,
        verbose: bool = False,
        *,
        live: bool = True,
    ) -> None:
        self._clock = clock
        self._verbose = verbose
        self._live = live
        self._pace = Pace()
        self._screen = Screen(publish, lambda size: self._pace.spent(size, clock()))
        self._answer = AnswerView(self._screen, cwd, self._pace)
        self._views = Views(self._screen, self._pace, live)
        self._tools = ToolCards(self._views, verbose)
        self._step = _Step()
        self._notices: dict[str, Item] = {}
        self._closed = False

    # ------------------------------------------------------------------------------------ the interface

    def event(self, event: m.TurnEvent) -> None:
        """Take one event of the turn; after :meth:`close` events are ignored."""
        if self._closed:
            return
        match event:
            case m.TextDelta(index, text):
                self._text(index, text)
            case m.ThinkingDelta(index, text):
                self._think(index, text)
            case m.ToolOutput(call_id, text):
                self._tools.output(call_id, text, self._clock())
            case m.TextEnd(index, part):
                self._text_end(index, part)
            case m.ThinkingEnd(index, part):
                if index not in self._step.seen and part.text:
                    self._think(index, part.text)
                if self._step.thinking is not None:
                    self._step.thinking.paragraph()
            case m.ToolCallStart(index, call_id, name):
                self._make_room()
                self._tools.begin(index, call_id, name, self._clock())
            case m.ToolCallDelta(index, arguments):
                self._tools.arguments(index, arguments, self._clock())
            case m.ToolCallEnd(index, call):
                self._make_room()
                self._tools.written(index, call, self._clock())
            case m.ApprovalAsked(call):
                self._tools.waiting(call, self._clock())
            case m.ToolStarted(call):
                self._tools.running(call, self._clock())
            case m.ToolEnded(call, result, status, seconds, display):
                self._tools.ended(call, result, status, seconds, display, self._clock())
                for rich in (display or {}).get("rich", ()):
                    html, plain, data = cards.rich_output(rich)
                    self._screen.add(html, plain, data=data or None)
            case m.Notice(kind, text):
                self._notice(kind, text)
            case m.TurnStarted(_, status, attachments):
                self._screen.add(*cards.status_line(status, attachments))
            case m.Steered(text):
                self._screen.add(*cards.steered(text))
            case m.Compacted():
                self._screen.add(*cards.compacted(event))
            case m.StepStarted(step_id, _):
                self._end_step(step_id)
            case m.Retract(step_id):
                self._retract(step_id)
            case m.Done() | m.StepEnded():
                self._end_step(self._step.id)
            case m.TurnEnded(turn):
                self.close(turn)
            case _:
                pass

    def tick(self) -> None:
        """Publish what is due now."""
        if self._closed:
            return
        now = self._clock()
        for segments in self._step.texts.values():
            self._draw(segments.tick(now))
        self._views.tick(now)

    def flush(self) -> None:
        """Publish the cards that wait for their next update."""
        if not self._closed:
            self._views.flush(self._clock())

    def next_tick(self) -> float | None:
        """When :meth:`tick` has something to do, on the renderer's clock; ``None`` if nothing waits."""
        times = [due for s in self._step.texts.values() if (due := s.next_tick()) is not None]
        if (due := self._views.next_tick(self._clock())) is not None:
            times.append(due)
        return min(times, default=None)

    def close(self, turn: Any = None) -> None:
        """Finish every display and, given a :class:`~ante_nb.agent.turn.Turn`, draw the closing line."""
        if self._closed:
            return
        self._tools.close(self._clock())
        self._end_step("")
        self._progress_over()
        self._closed = True
        if turn is not None:
            if (stopped := error_card(turn)) is not None:
                self._screen.add(*stopped)
            html, plain = cards.closing_line(turn)
            self._screen.add(html, plain, data={cards.TURN_MIME: cards.turn_data(turn)})

    # -------------------------------------------------------------------------------- answer and thinking

    def _text(self, index: int, text: str) -> None:
        step = self._step
        segments = step.texts.get(index)
        if segments is None:
            if index in step.seen:
                return
            self._make_room()
            step.seen.add(index)
            segments = step.texts[index] = Segments(
                self._answer.new_id, lambda: minimum_size(self._screen.outputs), self._pace, live=self._live
            )
        operations = segments.feed(text, self._clock())
        if operations:
            self._draw(operations)

    def _text_end(self, index: int, part: m.Text) -> None:
        if index not in self._step.seen and part.text:
            self._text(index, part.text)
        segments = self._step.texts.pop(index, None)
        if segments is not None:
            self._draw(segments.end(self._clock()))

    def _draw(self, operations: list[Operation]) -> None:
        self._step.items += self._answer.apply(operations)

    def _think(self, index: int, text: str) -> None:
        step = self._step
        step.seen.add(index)
        if step.thinking is None:
            if not text.strip():
                return
            self._make_room()
            step.thinking = ThinkingView(self._views, self._verbose)
        step.thinking.feed(text, self._clock())

    def _fold_thinking(self) -> None:
        view, self._step.thinking = self._step.thinking, None
        if view is not None:
            view.fold(self._clock())
            if view.view.item is not None:
                self._step.items.append(view.view.item)

    def _make_room(self) -> None:
        """Something else begins: thinking before it is folded, the engine's progress is over."""
        self._fold_thinking()
        self._progress_over()

    def _end_step(self, next_id: str) -> None:
        for segments in list(self._step.texts.values()):
            self._draw(segments.end(self._clock()))
        self._fold_thinking()
        self._tools.step_done()
        self._step = _Step(next_id)

    def _retract(self, step_id: str) -> None:
        step = self._step
        if step.id and step_id != step.id:
            return
        items = step.items + self._tools.retract()
        if step.thinking is not None:
            self._views.drop(step.thinking.view)
            if step.thinking.view.item is not None:
                items.append(step.thinking.view.item)
        self._answer.forget()
        for item in items:
            self._screen.withdraw(item)
        self._step = _Step(step.id)

    # ------------------------------------------------------------------------------------------- notices

    def _notice(self, kind: str, text: str) -> None:
        item = self._notices.get(kind)
        if not text.strip():
            if item is not None:
                self._screen.withdraw(self._notices.pop(kind))
        elif item is not None:
            self._screen.update(item, *cards.notice(kind, text))
        else:
            self._notices[kind] = self._screen.add(*cards.notice(kind, text))

    def _progress_over(self) -> None:
        """The answer has begun: what the local engine was busy with is of no interest any more."""
        item = self._notices.pop("local", None)
        if item is not None:
            self._screen.withdraw(item)
