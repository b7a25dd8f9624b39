"""Waits on the thread of a cell that cannot await, so that an interrupt always ends the wait."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from ante_nb.agent.loop_thread import agent_loop
from ante_nb.errors import TurnError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

T = TypeVar("T")

_CLEANUP = 1.0
"""Seconds that interrupted work gets to close its connections."""
_SLICE = 0.2
"""Seconds of one wait: a wait without a timeout cannot be interrupted on Windows."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within this block an interrupt raises ``KeyboardInterrupt``, also in a cell with a top-level await.

    There ipykernel's own handler only asks the kernel's loop to cancel the cell, and that loop is what
    the block keeps busy. Off the main thread signals cannot be handled, and nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on the agent's loop and return its result; blocks this thread.

    Raises:
        TurnError: the person interrupted; the work was cancelled.
        Exception: whatever ``work`` raises.
    """
    future = asyncio.run_coroutine_threadsafe(work, agent_loop())
    try:
        with interruptible():
            while not future.done():
                with contextlib.suppress(concurrent.futures.TimeoutError):
                    concurrent.futures.wait([future], _SLICE)
            return future.result()
    except KeyboardInterrupt:
        future.cancel()
        concurrent.futures.wait([future], _CLEANUP)
        raise TurnError("interrupted") from None
