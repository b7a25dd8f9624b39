"""Our own SIGINT handling while a turn runs in an awaited cell.

ipykernel cancels an awaited cell by ``call_soon`` from the signal handler, which does not wake the loop
(ipython/ipykernel#881): an interrupt then takes seconds. Ours cancels the turn through its own loop and
wakes this one.
"""

from __future__ import annotations

import _thread
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

_NUDGES = 20
"""How often code that goes on all the same is interrupted again."""


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
        self._section = 0
        self._watched = False
        self._nudging = False
        self.interrupted = False
        """Whether the person has interrupted the turn: nothing may begin any more."""

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
        self._section += 1
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

    def end_code(self) -> None:
        """End the code that runs now, and not the turn: its time is up. Called on any thread but the main one."""
        loop, task = self._loop, self._task
        if task is not None and loop is not None:
            loop.call_soon_threadsafe(task.cancel)
        elif self._blocking:
            section = self._section
            self._kick()
            self._nudge(section)

    def stop(self) -> None:
        """What a first interrupt does, for a button. Called on any thread while the block runs."""
        self._cancel()
        if self._blocking and threading.current_thread() is threading.main_thread():
            return  # the code that runs has itself called this; it ends when it returns
        self.end_code()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _on_sigint(self, signum: int, frame: Any) -> None:
        now = time.monotonic()
        if self._nudging:
            self._nudging = False
            if self._blocking and now - self._raised >= _HANDLED:
                self._raised = now
                raise KeyboardInterrupt
            return
        self.interrupted = True
        again, self._last = now - self._last < _AGAIN, now
        self._cancel()
        loop = self._loop
        assert loop is not None
        if self._task is not None:
            loop.call_soon_threadsafe(self._task.cancel)
        loop.call_soon_threadsafe(self._wake)
        if self._blocking:
            self._raise(now)
            return
        if again and self._main is not None:
            # Raising here would end the kernel's loop; cancelling ends the cell.
            loop.call_soon_threadsafe(self._main.cancel)

    def _raise(self, now: float) -> None:
        """End the running code by ``KeyboardInterrupt``; called in the signal handler."""
        self._watch()
        # One that follows at once would hit whatever handles the first.
        if now - self._raised >= _HANDLED:
            self._raised = now
            raise KeyboardInterrupt

    def _watch(self) -> None:
        """See to it that the code ends: an exception that is raised in a callback of the interpreter
        (a finalizer, the garbage collector) is lost without a trace."""
        if not self._watched and hasattr(signal, "pthread_kill"):
            self._watched = True
            # Not threading.Thread: it takes a lock, which the interrupted code may hold.
            _thread.start_new_thread(self._nudge, (self._section,))

    def _nudge(self, section: int) -> None:
        for _ in range(_NUDGES):
            time.sleep(_HANDLED + 0.05)
            if not self._blocking or self._section != section:
                break
            self._kick()
        self._watched = False

    def _kick(self) -> None:
        """Have the handler raise in the running code, without counting it as the person's interrupt."""
        self._nudging = True
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            _thread.interrupt_main(signal.SIGINT)
