"""Drains a running turn on the thread that owns the display and the person's namespace.

Two ways: awaited on that thread's event loop (the kernel stays responsive), or blocking where there is
no loop to await on.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

from ante_nb.agent.execution import Mailbox, TurnHandle, Work
from ante_nb.log import logger

if TYPE_CHECKING:
    import threading
    from collections.abc import Awaitable, Callable

    from ante_nb.messages import TurnEvent

CLEANUP = 1.0
"""Seconds that an interrupted turn gets to end properly."""


class View(Protocol):
    """Shows a turn; see :class:`ante_nb.notebook.render.renderer.TurnRenderer`."""

    def event(self, event: TurnEvent) -> None: ...

    def tick(self) -> None: ...

    def next_tick(self) -> float | None: ...

    def close(self, turn: Any = None) -> None: ...


class NoView:
    """Shows nothing."""

    def event(self, event: TurnEvent) -> None: ...

    def tick(self) -> None: ...

    def next_tick(self) -> float | None:
        return None

    def close(self, turn: Any = None) -> None: ...


async def drive_awaited(
    handle: TurnHandle,
    mailbox: Mailbox,
    wake: asyncio.Event,
    view: View,
    perform: Callable[[Work], Awaitable[None]],
) -> None:
    """Show the turn's events and do its work on this loop until it has ended.

    ``perform`` runs one piece of work and settles it. Returns at the latest ``CLEANUP`` seconds after
    the turn was cancelled; what comes later is dropped.
    """
    loop = asyncio.get_running_loop()
    at_work: set[asyncio.Task[None]] = set()
    try:
        while True:
            wake.clear()
            finished = handle.done.is_set()
            for item in mailbox.take():
                if isinstance(item, Work):
                    task = loop.create_task(_guarded(perform, item))
                    at_work.add(task)
                    task.add_done_callback(at_work.discard)
                else:
                    show(view, item)
            view.tick()
            if finished:
                return
            due = view.next_tick()
            delay = None if due is None else max(0.0, due - time.monotonic())
            mailbox.armed = delay is not None
            if handle.cancelled_at is not None:
                left = handle.cancelled_at + CLEANUP - time.monotonic()
                if left <= 0:
                    return
                delay = left if delay is None else min(delay, left)
            timer = loop.call_later(delay, wake.set) if delay is not None else None
            try:
                await wake.wait()
            finally:
                if timer is not None:
                    timer.cancel()
    finally:
        mailbox.close()
        if at_work:
            await asyncio.wait(at_work, timeout=CLEANUP)


async def _guarded(perform: Callable[[Work], Awaitable[None]], item: Work) -> None:
    try:
        await perform(item)
    except BaseException as error:
        item.finish(error=error if isinstance(error, Exception) else asyncio.CancelledError())
        if isinstance(error, asyncio.CancelledError):
            raise


def show(view: View, event: TurnEvent) -> None:
    """Have the view show an event; what cannot be drawn is logged."""
    try:
        view.event(event)
    except Exception:
        logger.exception("an event could not be shown")


def drive_blocking(handle: TurnHandle, mailbox: Mailbox, wake: threading.Event, view: View) -> None:
    """The same, blocking this thread. ``KeyboardInterrupt`` cancels the turn; a second one is raised."""
    while True:
        try:
            _drain(handle, mailbox, wake, view)
            return
        except KeyboardInterrupt:
            if handle.cancelled_at is not None:
                mailbox.close()
                raise
            handle.cancel()


def _drain(handle: TurnHandle, mailbox: Mailbox, wake: threading.Event, view: View) -> None:
    while True:
        wake.clear()
        finished = handle.done.is_set()
        for item in mailbox.take():
            if isinstance(item, Work):
                _perform_blocking(item, handle)
            else:
                show(view, item)
        view.tick()
        if finished:
            mailbox.close()
            return
        due = view.next_tick()
        # Never longer: a wait without a timeout cannot be interrupted on Windows.
        delay = 0.5 if due is None else min(0.5, max(0.0, due - time.monotonic()))
        mailbox.armed = due is not None
        if handle.cancelled_at is not None:
            left = handle.cancelled_at + CLEANUP - time.monotonic()
            if left <= 0:
                mailbox.close()
                return
            delay = min(delay, left)
        wake.wait(delay)


def _perform_blocking(item: Work, handle: TurnHandle) -> None:
    if item.abandoned:
        return
    try:
        result = item.function()
        if asyncio.iscoroutine(result):
            result.close()
            raise RuntimeError("this needs a running event loop: use `await ante_nb.ask_async(...)`")
    except KeyboardInterrupt:
        item.finish(error=asyncio.CancelledError())
        raise
    except BaseException as error:
        item.finish(error=error if isinstance(error, Exception) else RuntimeError(str(error)))
    else:
        if getattr(result, "interrupted", False):
            # IPython took the interrupt for the code's; it is meant for the turn as well. First, so that
            # the result does not start another step.
            handle.cancel()
        item.finish(result)
