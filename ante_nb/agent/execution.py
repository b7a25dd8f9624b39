"""A turn on the agent's loop, and the mailbox that carries its items to the thread that owns the display.

The turn runs on the agent's thread. Whatever touches the person's namespace or the display happens on
the owner's thread (the kernel's main thread, or the caller of ``ask``): the agent posts *events* to be
shown and *work* to be done there, and awaits the work's result.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ante_nb.agent.loop_thread import agent_loop
from ante_nb.errors import TurnError
from ante_nb.messages import TextDelta, ThinkingDelta

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ante_nb.agent.turn import Turn


class Work:
    """Something to be run on the owner's thread; the agent awaits what it returns."""

    __slots__ = ("_future", "_loop", "function", "interruptible")

    def __init__(self, function: Callable[[], Any | Awaitable[Any]], future: asyncio.Future[Any]) -> None:
        self.function = function
        self._future = future
        self._loop = future.get_loop()

    @property
    def abandoned(self) -> bool:
        """Whether the agent has stopped waiting for it."""
        return self._future.cancelled()

    def finish(self, result: Any = None, error: BaseException | None = None) -> None:
        """Hand the outcome back; called on the owner's thread."""

        def settle() -> None:
            if self._future.done():
                return
            if error is None:
                self._future.set_result(result)
            else:
                self._future.set_exception(error)

        self._loop.call_soon_threadsafe(settle)


class Mailbox:
    """Items from the agent's thread to the owner's, with at most one wake-up pending.

    While the owner has a redraw scheduled (``armed``), text does not wake it at all: it is picked up
    by that redraw.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._items: deque[Any] = deque()
        self._lock = threading.Lock()
        self._woken = False
        self._closed = False
        self.armed = False

    def put(self, item: Any) -> None:
        quiet = isinstance(item, TextDelta | ThinkingDelta)
        with self._lock:
            if self._closed:
                if isinstance(item, Work):
                    item.finish(error=asyncio.CancelledError())
                return
            self._items.append(item)
            if self._woken or (quiet and self.armed):
                return
            self._woken = True
        self._wake()

    def take(self) -> list[Any]:
        """Everything that has come, neighbouring deltas of one part joined."""
        with self._lock:
            items, self._items = self._items, deque()
            self._woken = False
        joined: list[Any] = []
        run: list[str] = []
        for item in items:
            if isinstance(item, TextDelta | ThinkingDelta):
                last = joined[-1] if joined else None
                if run and isinstance(last, type(item)) and last.index == item.index:
                    run.append(item.text)
                    continue
                _join(joined, run)
                run = [item.text]
            else:
                _join(joined, run)
                run = []
            joined.append(item)
        _join(joined, run)
        return joined

    def close(self) -> None:
        """Drop what comes from now on; work that still waits is cancelled."""
        with self._lock:
            self._closed = True
            left, self._items = self._items, deque()
        for item in left:
            if isinstance(item, Work):
                item.finish(error=asyncio.CancelledError())

    async def work(self, function: Callable[[], Any | Awaitable[Any]]) -> Any:
        """Run ``function`` on the owner's thread and return its result. Called on the agent's loop."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.put(Work(function, future))
        return await future


def _join(items: list[Any], run: list[str]) -> None:
    """Put the collected text into the delta that ends ``items``."""
    if len(run) > 1:
        items[-1] = replace(items[-1], text="".join(run))


class TurnHandle:
    """A turn that was started on the agent's loop; may be cancelled from any thread, also a signal handler.

    Args:
        turn: the result, filled while the turn runs.
        run: makes the coroutine that runs the turn to its end. It returns normally, also when cancelled.
        finished: called on the agent's loop, once, when the coroutine has returned.
    """

    def __init__(
        self, turn: Turn, run: Callable[[], Coroutine[Any, Any, Any]], finished: Callable[[], None]
    ) -> None:
        self.turn = turn
        self.error: BaseException | None = None
        self.done = threading.Event()
        self.cancelled_at: float | None = None
        self.started_at = time.monotonic()
        self.interrupt: Callable[[], None] | None = None
        """What an interrupt by the person does, where that is more than :meth:`cancel`; thread-safe."""
        self._finished = finished
        self._loop = agent_loop()
        self._task: asyncio.Task[Any] | None = None
        self._run = run
        self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._end)
        if self.cancelled_at is not None:
            self._task.cancel()

    def _end(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            self.error = task.exception()
        elif self.turn.error is None:
            # Stopped before its first line ran: nobody else could say so.
            self.turn.status = "interrupted"
            self.turn.error = TurnError("interrupted", "Nothing was sent; run the cell again.")
            self.turn.error.turn = self.turn
        self.done.set()
        self._finished()

    def cancel(self) -> None:
        """Stop the turn. Safe to call again."""
        if self.cancelled_at is None:
            self.cancelled_at = time.monotonic()
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
