"""The host for a notebook: the person's kernel, its display and its working directory."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.agent.deadline import Deadline, raise_in
from ante_nb.agent.headless import own_variables, tool_environment
from ante_nb.agent.host import (
    Approval,
    ApprovalRequest,
    CellEdit,
    CellReport,
    Notebook,
    PythonResult,
    Question,
    T,
)
from ante_nb.notebook.approval import approve, ask_now, can_ask
from ante_nb.notebook.asking import Asked, Desk
from ante_nb.notebook.cells.live import Cells
from ante_nb.notebook.python_run import run_python
from ante_nb.notebook.questions import ask, put_now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ante_nb.agent.execution import Mailbox
    from ante_nb.messages import TurnEvent
    from ante_nb.notebook.interrupt import InterruptGuard
    from ante_nb.notebook.state import KernelState

_PUMP = 0.1
"""Seconds between redraws while synchronous code holds the thread."""
_QUIET = 0.5
"""Seconds without a redraw after which output is drawn at once: code that prints now and then, like a line
for each epoch, may hold the thread until long after its last line."""


class NotebookHost:
    """Args:
    state: the kernel's state.
    mailbox: carries events and work to the kernel's thread.
    guard: tells the interrupt handler what to stop; ``None`` where the drain blocks.
    pump: redraws from inside of running code, on the kernel's thread; given true, all that waits.
    """

    has_python = True
    has_cells = True

    def __init__(
        self, state: KernelState, mailbox: Mailbox, guard: InterruptGuard | None, pump: Callable[[bool], None]
    ) -> None:
        self._state = state
        self._mailbox = mailbox
        self._guard = guard
        self._pump = pump
        self._owner = threading.current_thread()
        self._pumped = 0.0
        self._asking_cells = asyncio.Lock()
        self._desk = Desk(state)
        self._cells = Cells(state, self._awaited if guard is not None else None)

    @property
    def cwd(self) -> Path:
        return Path.cwd()

    @property
    def env(self) -> Mapping[str, str]:
        return tool_environment()

    @property
    def notebook_path(self) -> Path | None:
        return self._state.notebook_path

    async def _awaited(self, waiting: Awaitable[Any]) -> Any:
        """Await on the kernel's loop; an interrupt ends it."""
        assert self._guard is not None
        task = asyncio.ensure_future(waiting)
        with self._guard.awaiting(task):
            return await task

    async def run_python(
        self, code: str, on_output: Callable[[str], None], timeout: float | None = None
    ) -> PythonResult:
        guard = self._guard
        deadline = Deadline(timeout, guard.end_code if guard else lambda: raise_in(self._owner))

        def live(text: str) -> None:
            on_output(text)
            now = time.monotonic()
            # Output comes as text and line end apart; the line end alone shows nothing.
            if text.strip() and now - self._pumped >= _PUMP and threading.current_thread() is self._owner:
                quiet = now - self._pumped >= _QUIET
                self._pumped = now
                self._pump(quiet)

        async def awaited(coroutine: Awaitable[Any]) -> Any:
            task = asyncio.ensure_future(coroutine)
            with guard.awaiting(task) if guard else nullcontext():
                return await task

        async def run() -> PythonResult:
            self._state.in_tool = True
            # The card with the code, before the code may hold the thread.
            self._pump(True)
            try:
                with guard.blocking() if guard else nullcontext(), deadline.running():
                    # While the card was drawn an interrupt had nothing to raise in.
                    if guard is not None and guard.interrupted:
                        raise KeyboardInterrupt
                    result = await run_python(self._state.shell, code, live, awaited if guard else None)
                return deadline.told(result)
            except KeyboardInterrupt:
                if guard is None:
                    raise
                return deadline.told(PythonResult(interrupted=True))
            finally:
                self._state.in_tool = False

        if guard is None:
            return await self._mailbox.work(lambda: _complete(run()))  # type: ignore[no-any-return]
        return await self._mailbox.work(run)  # type: ignore[no-any-return]

    async def call(self, function: Callable[[], Any]) -> Any:
        guard = self._guard

        async def run() -> Any:
            self._state.in_tool = True
            try:
                with guard.blocking() if guard else nullcontext():
                    result = function()
                return await self._awaited(result) if inspect.isawaitable(result) else result
            except KeyboardInterrupt:
                raise asyncio.CancelledError from None
            finally:
                self._state.in_tool = False

        return await self._mailbox.work((lambda: _complete(run())) if guard is None else run)

    @property
    def namespace(self) -> dict[str, Any] | None:
        return self._state.shell.user_ns  # type: ignore[no-any-return]

    async def variables(self, look: Callable[[dict[str, Any]], T]) -> T:
        shell = self._state.shell

        def work() -> T:
            # In, Out, exit, get_ipython ... are in user_ns_hidden, which has what they were bound to.
            return look(own_variables(shell.user_ns, getattr(shell, "user_ns_hidden", {})))

        return await self._mailbox.work(work)  # type: ignore[no-any-return]

    async def notebook(self, ids: tuple[str, ...] = ()) -> Notebook:
        return await self._with_cells(lambda cells: cells.read(ids))  # type: ignore[no-any-return]

    async def edit_cell(self, edit: CellEdit) -> CellReport:
        return await self._with_cells(lambda cells: cells.edit(edit))  # type: ignore[no-any-return]

    async def propose_cell(self, source: str) -> bool:
        return await self._mailbox.work(lambda: self._cells.propose(source))  # type: ignore[no-any-return]

    async def _with_cells(self, use: Callable[[Cells], Awaitable[Any]]) -> Any:
        if self._guard is None:
            return await asyncio.to_thread(lambda: asyncio.run(_finished(use(self._cells))))
        # One at a time: an interrupt must find the request that waits.
        async with self._asking_cells:
            return await self._mailbox.work(lambda: _finished(use(self._cells)))

    async def approve(self, request: ApprovalRequest) -> Approval:
        if self._guard is None:
            return await self._mailbox.work(lambda: self._approve_blocking(request))  # type: ignore[no-any-return]
        return await self._asked(lambda: approve(self._state, request, self._guard, self._desk))  # type: ignore[no-any-return]

    async def _asked(self, dialogue: Callable[[], Awaitable[Any]]) -> Any:
        """Hold a dialogue on the kernel's loop; it is taken back when this is cancelled."""
        asked = Asked()
        try:
            return await self._mailbox.work(lambda: asked.run(dialogue()))
        except asyncio.CancelledError:
            asked.withdraw()
            raise

    def _approve_blocking(self, request: ApprovalRequest) -> Approval:
        self._pump(False)
        return (
            ask_now(self._state, request, None) if can_ask(self._state) else Approval("deny", by="unattended")
        )

    async def ask_user(self, questions: tuple[Question, ...]) -> list[list[str]] | None:
        if self._guard is None:
            return await self._mailbox.work(lambda: self._ask_blocking(questions))  # type: ignore[no-any-return]
        return await self._asked(lambda: ask(self._state, questions, self._guard, self._desk))  # type: ignore[no-any-return]

    def _ask_blocking(self, questions: tuple[Question, ...]) -> list[list[str]] | None:
        self._pump(False)
        return put_now(self._state, questions, None) if can_ask(self._state) else None

    def show(self, event: TurnEvent) -> None:
        self._mailbox.put(event)


async def _finished(waiting: Awaitable[Any]) -> Any:
    return await waiting


def _complete(coroutine: Any) -> Any:
    """Run a coroutine that never waits, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise RuntimeError("this needs a running event loop: use `await ante_nb.ask_async(...)`")
