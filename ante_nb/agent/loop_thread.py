"""The agent's own event loop, in one daemon thread per process.

The kernel's loop stays free: a turn's network and tools run here, whatever the person's cell does.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_closers: list[Callable[[], Awaitable[None]]] = []


def agent_loop() -> asyncio.AbstractEventLoop:
    """The running loop of the agent's thread; started on first use."""
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            loop = asyncio.new_event_loop()
            started = threading.Event()

            def main() -> None:
                asyncio.set_event_loop(loop)
                loop.call_soon(started.set)
                loop.run_forever()

            threading.Thread(target=main, name="ante-loop", daemon=True).start()
            started.wait()
            _loop = loop
        return _loop


def on_exit(close: Callable[[], Awaitable[None]]) -> None:
    """Have ``close`` awaited on the agent's loop when the process ends (within a second for all)."""
    _closers.append(close)


def _close_all() -> None:
    loop = _loop
    if loop is None or not loop.is_running() or not _closers:
        return

    async def run() -> None:
        await asyncio.gather(*(close() for close in _closers), return_exceptions=True)

    try:
        asyncio.run_coroutine_threadsafe(run(), loop).result(timeout=1.0)
    except Exception:  # an exit handler has nobody left to tell
        pass


def _forget_after_fork() -> None:
    global _loop
    _loop = None
    _closers.clear()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
