"""Items that change while they are shown, published again only so often: thinking and tool cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ante_nb.messages import ToolCall, ToolResult
from ante_nb.notebook.render import cards

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.notebook.render.pace import Pace
    from ante_nb.notebook.render.screen import Item, Screen

__all__ = ["ThinkingView", "ToolCards", "View", "Views"]


class View:
    """One such item.

    Args:
        render: gives ``(html, plain)`` as it stands.
        every: least seconds between two updates.
    """

    def __init__(self, render: Callable[[], tuple[str, str]], every: float) -> None:
        self.render = render
        self.every = every
        self.item: Item | None = None
        self.due: float | None = None
        self.last = float("-inf")


class Views:
    """All live views of a turn."""

    def __init__(self, screen: Screen, pace: Pace, live: bool) -> None:
        self._screen = screen
        self._pace = pace
        self._live = live
        self._views: list[View] = []

    def add(self, view: View) -> None:
        self._views.append(view)

    def touch(self, view: View, now: float) -> None:
        """The view changed: publish it now if it is new or due, else at the next tick that may."""
        if not self._live:
            return
        if view.due is None:
            view.due = max(view.last + view.every, now)
        if view.item is None or (view.due <= now and self._pace.affordable(now) <= now):
            self.publish(view, now)

    def publish(self, view: View, now: float) -> None:
        html, plain = view.render()
        view.due, view.last = None, now
        if view.item is None:
            view.item = self._screen.add(html, plain)
        else:
            self._screen.update(view.item, html, plain)

    def finish(self, view: View, now: float) -> None:
        """Publish for the last time."""
        self.publish(view, now)
        self.drop(view)

    def drop(self, view: View) -> None:
        if view in self._views:
            self._views.remove(view)

    def tick(self, now: float) -> None:
        for view in self._views:
            if view.due is not None and view.due <= now and self._pace.affordable(now) <= now:
                self.publish(view, now)

    def flush(self, now: float) -> None:
        """Publish what waits, due or not: nothing may come by for long."""
        for view in self._views:
            if view.due is not None:
                self.publish(view, now)

    def next_tick(self, now: float) -> float | None:
        times = [view.due for view in self._views if view.due is not None]
        return max(min(times), self._pace.affordable(now)) if times else None


class ThinkingView:
    """One run of thinking: blocks that follow each other are one item."""

    def __init__(self, views: Views, opened: bool) -> None:
        self._views = views
        self._opened = opened
        self._text: list[str] = []
        self.view = View(lambda: cards.thinking("".join(self._text), live=True, opened=opened), 1.0)
        views.add(self.view)

    def feed(self, text: str, now: float) -> None:
        self._text.append(text)
        self._views.touch(self.view, now)

    def paragraph(self) -> None:
        """A block has ended; the next one, if any, is apart from it."""
        if self._text[-1:] != ["\n\n"]:
            self._text.append("\n\n")

    def fold(self, now: float) -> None:
        """The run has ended."""
        text = "".join(self._text).strip()
        self.view.render = lambda: cards.thinking(text, live=False, opened=self._opened)
        self._views.finish(self.view, now)


class ToolCards:
    """The cards of a turn's tool calls, from the first letter of their arguments to the result."""

    def __init__(self, views: Views, opened: bool) -> None:
        self._views = views
        self._opened = opened
        self._by_id: dict[str, tuple[cards.Card, View]] = {}
        self._writing: dict[int, tuple[cards.Card, View]] = {}

    def _new(self, call: ToolCall, now: float) -> tuple[cards.Card, View]:
        card = cards.Card(call)
        view = View(lambda: card.render(opened=self._opened), 0.5)
        self._views.add(view)
        self._views.touch(view, now)
        return card, view

    def begin(self, index: int, call_id: str, name: str, now: float) -> None:
        self._writing[index] = self._new(ToolCall(call_id, name), now)

    def arguments(self, index: int, text: str, now: float) -> None:
        if index in self._writing:
            card, view = self._writing[index]
            card.written += len(text)
            self._views.touch(view, now)

    def written(self, index: int, call: ToolCall, now: float) -> None:
        """The arguments are complete."""
        if index not in self._writing:
            self._writing[index] = self._new(call, now)
        card, view = self._writing[index]
        card.call = call
        self._by_id[call.id] = card, view
        self._views.touch(view, now)

    def step_done(self) -> None:
        """The calls of this step stand; the next step counts its blocks anew."""
        self._writing.clear()

    def retract(self) -> list[Item]:
        """Forget the calls of the running step; their items, to be withdrawn."""
        items = []
        for card, view in self._writing.values():
            self._by_id.pop(card.call.id, None)
            self._views.drop(view)
            if view.item is not None:
                items.append(view.item)
        self._writing.clear()
        return items

    def running(self, call: ToolCall, now: float) -> None:
        self._known(call, "running", now)

    def waiting(self, call: ToolCall, now: float) -> None:
        """The person is asked: drawn at once, for the question may hold this thread."""
        _, view = self._known(call, "waiting", now)
        self._views.publish(view, now)

    def _known(self, call: ToolCall, state: str, now: float) -> tuple[cards.Card, View]:
        known = self._by_id.get(call.id)
        # Some servers count their call ids from zero again in every step.
        if known is None or known[0].ended:
            known = self._by_id[call.id] = self._new(call, now)
        card, view = known
        card.call, card.state = call, state
        self._views.touch(view, now)
        return known

    def output(self, call_id: str, text: str, now: float) -> None:
        if call_id in self._by_id:
            card, view = self._by_id[call_id]
            card.add_output(text)
            self._views.touch(view, now)

    def ended(
        self,
        call: ToolCall,
        result: ToolResult,
        status: Literal["ok", "error", "denied", "interrupted"],
        seconds: float,
        display: dict[str, Any] | None,
        now: float,
    ) -> None:
        known = self._by_id.get(call.id)
        if known is None or known[0].ended:
            known = self._by_id[call.id] = self._new(call, now)
        card, view = known
        card.call, card.state, card.result, card.seconds, card.display = (
            call,
            status,
            result,
            seconds,
            display,
        )
        self._views.finish(view, now)

    def close(self, now: float) -> None:
        """The turn is over: what has no result never got one."""
        for card, view in [*self._by_id.values(), *self._writing.values()]:
            if not card.ended:
                card.state = "interrupted"
                self._views.finish(view, now)
