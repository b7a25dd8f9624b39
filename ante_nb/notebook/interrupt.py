"""Our own SIGINT handling while a turn runs in an awaited cell.

ipykernel cancels an awaited cell by ``call_soon`` from the signal handler, which does not wake the loop
(ipython/ipykernel#881): an interrupt then takes seconds. Ours cancels the turn through its own loop and
wakes this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AGAIN = 2.0
"""Seconds within which a second interrupt gives up waiting for a clean end."""

_HANDLED = 0.25
"""Seconds that running code gets to end by a ``KeyboardInterrupt`` before it gets another."""


class InterruptGuard:
    """What an interrupt must stop now.

    Args:
        cancel: cancels the turn; thread-safe.
        wake: wakes the drain.
    """

    def __init__(self, cancel: Callable[[], None], wake: Callable[[], None]) -> None:
        self._cancel = cancel
        self._wake = wake
        self._blocking = 0
        self._task: asyncio.Task[Any] | None = None
        self._main: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last = float("-inf")
        self._raised = float("-inf")

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle SIGINT for the length of the block; the old handler is always put back.

        Off the main thread (a subshell) signals cannot be handled, and nothing is done.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        before = signal.signal(signal.SIGINT, self._on_sigint)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)

    @contextlib.contextmanager
    def blocking(self) -> Iterator[None]:
        """Within this block an interrupt raises ``KeyboardInterrupt`` (sync code, ``input()``)."""
        self._blocking += 1
        try:
            yield
        finally:
            self._blocking -= 1

    @contextlib.contextmanager
    def awaiting(self, task: asyncio.Task[Any]) -> Iterator[None]:
        """Within this block an interrupt cancels ``task`` (async code of the Python tool) and raises nothing."""
        self._task = task
        blocking, self._blocking = self._blocking, 0
        try:
            yield
        finally:
            self._task = None
            self._blocking = blocking

    def _on_sigint(self, signum: int, frame: Any) -> None:
        now = time.monotonic()
        again, self._last = now - self._last < _AGAIN, now
        self._cancel()
        loop = self._loop
        assert loop is not None
        if self._task is not None:
            loop.call_soon_threadsafe(self._task.cancel)
        loop.call_soon_threadsafe(self._wake)
        if self._blocking:
            # One that follows at once would hit whatever handles the first.
            if now - self._raised >= _HANDLED:
                self._raised = now
                raise KeyboardInterrupt
            return
        if again and self._main is not None:
            # Raising here would end the kernel's loop; cancelling ends the cell.
            loop.call_soon_threadsafe(self._main.cancel)
