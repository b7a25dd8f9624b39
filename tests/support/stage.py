"""A front end for renderer tests: a clock that is moved by hand, and all that was published."""

from __future__ import annotations

import json
from typing import Any

from ante_nb import messages as m
from ante_nb.notebook.render.renderer import TurnRenderer


class Stage:
    """Takes what a renderer publishes; ``shown()`` is what a notebook then holds, in order."""

    def __init__(self, **options: Any) -> None:
        self.now = 100.0
        self.outputs: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[float, int, str, bool]] = []
        """Per message: time, bytes on the wire, display id, whether it was an update."""
        options.setdefault("cwd", None)
        self.renderer = TurnRenderer(self._publish, lambda: self.now, **options)

    def _publish(
        self, data: dict[str, Any], metadata: dict[str, Any], display_id: str | None, update: bool
    ) -> None:
        assert display_id is not None
        assert update == (display_id in self.outputs), "first display, then update"
        self.outputs[display_id] = data
        size = len(json.dumps({"data": data, "metadata": metadata}, ensure_ascii=False).encode()) + 700
        self.log.append((self.now, size, display_id, update))

    def shown(self) -> list[dict[str, Any]]:
        return list(self.outputs.values())

    def html(self) -> str:
        return "".join(data["text/html"] for data in self.shown())

    def plain(self) -> str:
        return "\n".join(data.get("text/plain", "") for data in self.shown())

    def events(self, *events: m.TurnEvent) -> None:
        for event in events:
            self.renderer.event(event)

    def wait(self, seconds: float) -> None:
        """Let time pass, with the ticks that the renderer asks for."""
        end = self.now + seconds
        while (due := self.renderer.next_tick()) is not None and due <= end:
            before = (self.now, len(self.log), due)
            self.now = max(self.now, due)
            self.renderer.tick()
            if (self.now, len(self.log), self.renderer.next_tick()) == before:
                raise AssertionError(f"next_tick() stays at {due} and tick() does nothing")
        self.now = end

    def stream(self, text: str, rate: float, size: int = 4) -> float:
        """One text part at ``rate`` characters a second, in pieces of ``size``; the seconds it took."""
        began = self.now
        self.events(m.TextStart(0))
        for number, start in enumerate(range(0, len(text), size)):
            self.wait(max(0.0, began + number * size / rate - self.now))
            self.events(m.TextDelta(0, text[start : start + size]))
        self.events(m.TextEnd(0, m.Text(text)))
        return self.now - began

    @property
    def bytes(self) -> int:
        return sum(size for _, size, _, _ in self.log)

    def busiest(self, window: float) -> float:
        """The most bytes per second over any ``window`` seconds."""
        best = 0.0
        start = 0
        total = 0
        for time, size, _, _ in self.log:
            total += size
            while self.log[start][0] < time - window:
                total -= self.log[start][1]
                start += 1
            best = max(best, total / window)
        return best
