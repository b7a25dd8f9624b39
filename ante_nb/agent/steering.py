"""Messages for a turn that runs already: they wait here until its next step begins.

The person's thread puts messages in and may take the last one back; the agent's thread takes them all
before it calls the model. A turn ends only once nothing waits: what was put in before that moment is
part of the turn, what comes later is refused.
"""

from __future__ import annotations

import threading


class Steering:
    """The queue of one runtime. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._open = False

    def begin(self) -> None:
        """A turn runs from now on; what an earlier one did not come to is forgotten."""
        with self._lock:
            self._waiting.clear()
            self._open = True

    def put(self, text: str) -> bool:
        """Queue a message for the next step; ``False`` where no turn takes any."""
        with self._lock:
            if not self._open or not text.strip():
                return False
            self._waiting.append(text)
            return True

    def take(self) -> tuple[str, ...]:
        """All that waits, in order; it is the turn's own from now on."""
        with self._lock:
            taken, self._waiting = tuple(self._waiting), []
            return taken

    def take_back(self) -> str | None:
        """The last message that waits, no longer queued; ``None`` where none does."""
        with self._lock:
            return self._waiting.pop() if self._waiting else None

    def end_if_idle(self) -> bool:
        """End the turn's intake unless something waits; whether it has ended."""
        with self._lock:
            if self._waiting:
                return False
            self._open = False
            return True

    def end(self) -> tuple[str, ...]:
        """The turn is over, however it ended. What still waits is returned, and may be taken back."""
        with self._lock:
            self._open = False
            return tuple(self._waiting)

    @property
    def waiting(self) -> tuple[str, ...]:
        """What has been queued and has not reached the model."""
        with self._lock:
            return tuple(self._waiting)
