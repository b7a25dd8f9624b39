"""A turn inside a cell: started on the agent's loop, drained here.

``run_awaited`` is the way of a ``%%ante`` cell: the cell awaits, the kernel's loop stays free.
``run_blocking`` is for where nothing can be awaited (a terminal without a loop, ``run_cell_magic``,
``ask()``).
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from ante_nb.errors import AnteError, BusyError, TurnError
from ante_nb.log import logger
from ante_nb.messages import Notice, Steered, TurnEnded, TurnStarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.agent.execution import Mailbox, TurnHandle
    from ante_nb.agent.options import TurnOptions
    from ante_nb.agent.turn import Turn
    from ante_nb.notebook.host import NotebookHost
    from ante_nb.notebook.interrupt import InterruptGuard
    from ante_nb.notebook.state import KernelState


async def run_awaited(
    state: KernelState, prompt: str, options: TurnOptions, *, verbose: bool = False, cell: str | None = None
) -> Turn:
    """Run a turn while the cell awaits it; returns the turn, however it ended.

    Raises:
        BusyError: another turn runs, or this is code of a turn's own tool.
    """
    from ante_nb.agent.drive import drive_awaited
    from ante_nb.agent.execution import Mailbox, Work
    from ante_nb.notebook.interrupt import InterruptGuard

    _check_free(state)
    loop = asyncio.get_running_loop()
    wake = asyncio.Event()

    def wake_up() -> None:
        try:
            loop.call_soon_threadsafe(wake.set)
        except RuntimeError:  # the kernel's loop has ended; nobody is left to wake
            pass

    mailbox = Mailbox(wake_up)
    view = _view(state, verbose)
    guard = InterruptGuard(lambda: handle.cancel(), wake.set)
    handle = _start(state, mailbox, guard, _pump(mailbox, view), prompt, options, cell, wake_up)
    handle.interrupt = guard.stop

    async def perform(item: Work) -> None:
        if item.abandoned:
            return
        result = item.function()
        item.finish(await result if asyncio.iscoroutine(result) else result)

    try:
        with guard.installed():
            try:
                await drive_awaited(handle, mailbox, wake, view, perform)
            except asyncio.CancelledError:
                # The second interrupt, or somebody cancelled the cell: no more waiting.
                handle.cancel()
                task = asyncio.current_task()
                if task is not None:
                    task.uncancel()
    finally:
        state.runtime.running = None
        state.runtime.changed()
    return _finish(state, handle, view)


def run_blocking(
    state: KernelState, prompt: str, options: TurnOptions, *, verbose: bool = False, cell: str | None = None
) -> Turn:
    """The same, blocking this thread until the turn has ended."""
    from ante_nb.agent.drive import drive_blocking
    from ante_nb.agent.execution import Mailbox

    _check_free(state)
    wake = threading.Event()
    mailbox = Mailbox(wake.set)
    view = _view(state, verbose)
    handle = _start(state, mailbox, None, _pump(mailbox, view), prompt, options, cell, wake.set)
    try:
        drive_blocking(handle, mailbox, wake, view)
    except KeyboardInterrupt:
        pass
    finally:
        state.runtime.running = None
        state.runtime.changed()
    return _finish(state, handle, view)


def _check_free(state: KernelState) -> None:
    if state.in_tool:
        raise BusyError(
            "a prompt inside a tool call is refused",
            "The agent cannot start itself; write the prompt in a cell.",
        )
    if state.runtime.running is not None:
        raise BusyError(
            "another turn is still running in this kernel", "Wait for it to end, or interrupt it."
        )


def _start(
    state: KernelState,
    mailbox: Mailbox,
    guard: InterruptGuard | None,
    pump: Callable[[bool], None],
    prompt: str,
    options: TurnOptions,
    cell: str | None,
    finished: Callable[[], None],
) -> TurnHandle:
    from ante_nb.agent.execution import TurnHandle
    from ante_nb.notebook.earlier import identify, tell_of_earlier
    from ante_nb.notebook.host import NotebookHost

    runtime = state.runtime
    identify(state)
    turn = runtime.new_turn(prompt)
    host = NotebookHost(state, mailbox, guard, pump)
    offer = tell_of_earlier(state)

    async def run() -> None:
        if offer is not None:
            await _offered(offer, host)
        await runtime.run(turn, options, host, cell)

    handle = TurnHandle(turn, run, finished)
    runtime.running = handle
    runtime.changed()
    return handle


async def _offered(offer: Callable[[], str], host: NotebookHost) -> None:
    """Say that the notebook has an earlier session. It is looked for aside: homes may be slow."""
    try:
        line = await asyncio.to_thread(offer)
    except Exception:
        logger.exception("an earlier session could not be looked for")
        return
    if line:
        host.show(Notice("session", line))


def _pump(mailbox: Mailbox, view: _Quiet) -> Callable[[bool], None]:
    """Shows what has come while synchronous code holds the thread. Work keeps its place in the queue.

    Called with true it shows everything now: the code may hold the thread for long from here on.
    """

    def pump(now: bool) -> None:
        from ante_nb.agent.drive import show
        from ante_nb.agent.execution import Work

        for item in mailbox.take():
            if isinstance(item, Work):
                mailbox.put(item)
            else:
                show(view, item)
        view.flush() if now else view.tick()

    return pump


def _finish(state: KernelState, handle: TurnHandle, view: _Quiet) -> Turn:
    turn = handle.turn
    if not handle.done.is_set() and turn.error is None:
        turn.status = "interrupted"
        turn.error = TurnError("interrupted", "A tool did not stop in time and ends in the background.")
    elif handle.error is not None and turn.error is None:
        turn.status = "failed"
        turn.error = AnteError(
            f"the turn ended unexpectedly: {type(handle.error).__name__}: {handle.error}",
            "The trace is in the log (`%ante doctor` says where).",
        )
    if turn.error is not None:
        turn.error.turn = turn
    if turn.preview is None:
        state.runtime.last_turn = turn
    # A turn that was refused before it began has nothing to show but its error.
    view.close(turn if view.started else None)
    outputs, state.outputs = state.outputs, None
    if outputs is not None:
        # Not execution_count: newer IPython has counted on already.
        outputs.end(len(state.shell.user_ns.get("In", ())) - 1)
    return turn


class _Quiet:
    """Keeps ``TurnEnded`` from the view: the turn is closed once, at the end of the drain.

    ``changed`` is called, on the thread that owns the display, when what was queued has entered the turn.
    """

    def __init__(self, view: Any, changed: Callable[[], None]) -> None:
        self._view = view
        self._changed = changed
        self.started = False

    def event(self, event: Any) -> None:
        self.started = self.started or isinstance(event, TurnStarted)
        if not isinstance(event, TurnEnded):
            self._view.event(event)
        if isinstance(event, Steered):
            self._changed()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)


def _view(state: KernelState, verbose: bool) -> _Quiet:
    """How the turn is shown in the present front end."""
    from ante_nb.notebook.frontend import is_plain

    shell = state.shell
    if is_plain(shell):
        import sys

        from ante_nb.notebook.render.plain import PlainRenderer

        return _Quiet(PlainRenderer(_flushed(sys.stdout), verbose), state.runtime.changed)
    from pathlib import Path

    from ante_nb.notebook.live_outputs import LiveOutputs
    from ante_nb.notebook.render.renderer import TurnRenderer

    # Held now: while a tool runs, the shell's publisher is another one.
    page = str(state.request.get("header", {}).get("session", ""))
    publisher = state.outputs = LiveOutputs(shell.display_pub, state.cell_id, page)

    def publish(data: dict[str, Any], metadata: dict[str, Any], display_id: str | None, update: bool) -> None:
        transient = {"display_id": display_id} if display_id else {}
        publisher.publish(data, metadata, transient=transient, update=update)

    return _Quiet(TurnRenderer(publish, time.monotonic, Path.cwd(), verbose), state.runtime.changed)


def _flushed(stream: Any) -> Callable[[str], None]:
    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return write
