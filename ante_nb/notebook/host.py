"""The host for a notebook: the person's kernel, its display and its working directory."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.agent.headless import own_variables, tool_environment
from ante_nb.agent.host import Approval, ApprovalRequest, Cell, PythonResult, Question, T
from ante_nb.notebook.approval import approve, ask_now, can_ask
from ante_nb.notebook.python_run import run_python

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ante_nb.agent.execution import Mailbox
    from ante_nb.messages import TurnEvent
    from ante_nb.notebook.interrupt import InterruptGuard
    from ante_nb.notebook.state import KernelState

_PUMP = 0.1
"""Seconds between redraws while synchronous code holds the thread."""


class NotebookHost:
    """Args:
    state: the kernel's state.
    mailbox: carries events and work to the kernel's thread.
    guard: tells the interrupt handler what to stop; ``None`` where the drain blocks.
    pump: redraws from inside of running code, on the kernel's thread.
    """

    has_python = True

    def __init__(
        self, state: KernelState, mailbox: Mailbox, guard: InterruptGuard | None, pump: Callable[[], None]
    ) -> None:
        self._state = state
        self._mailbox = mailbox
        self._guard = guard
        self._pump = pump
        self._owner = threading.current_thread()
        self._pumped = 0.0

    @property
    def cwd(self) -> Path:
        return Path.cwd()

    @property
    def env(self) -> Mapping[str, str]:
        return tool_environment()

    @property
    def notebook_path(self) -> Path | None:
        return self._state.notebook_path

    async def run_python(self, code: str, on_output: Callable[[str], None]) -> PythonResult:
        guard = self._guard

        def live(text: str) -> None:
            on_output(text)
            now = time.monotonic()
            if now - self._pumped >= _PUMP and threading.current_thread() is self._owner:
                self._pumped = now
                self._pump()

        async def awaited(coroutine: Awaitable[Any]) -> Any:
            task = asyncio.ensure_future(coroutine)
            with guard.awaiting(task) if guard else nullcontext():
                return await task

        async def run() -> PythonResult:
            self._state.in_tool = True
            try:
                with guard.blocking() if guard else nullcontext():
                    return await run_python(self._state.shell, code, live, awaited if guard else None)
            finally:
                self._state.in_tool = False

        if guard is None:
            return await self._mailbox.work(lambda: _complete(run()))  # type: ignore[no-any-return]
        return await self._mailbox.work(run)  # type: ignore[no-any-return]

    async def variables(self, look: Callable[[dict[str, Any]], T]) -> T:
        shell = self._state.shell

        def work() -> T:
            # In, Out, exit, get_ipython ... are in user_ns_hidden, which has what they were bound to.
            return look(own_variables(shell.user_ns, getattr(shell, "user_ns_hidden", {})))

        return await self._mailbox.work(work)  # type: ignore[no-any-return]

    async def cells(self) -> list[Cell]:
        """The notebook's cells as of its last save; empty where the front end names no notebook."""
        path = self.notebook_path
        return await asyncio.to_thread(_saved_cells, path) if path else []

    async def approve(self, request: ApprovalRequest) -> Approval:
        if self._guard is None:
            return await self._mailbox.work(lambda: self._approve_blocking(request))  # type: ignore[no-any-return]
        return await self._mailbox.work(lambda: approve(self._state, request, self._guard))  # type: ignore[no-any-return]

    def _approve_blocking(self, request: ApprovalRequest) -> Approval:
        self._pump()
        return (
            ask_now(self._state, request, None) if can_ask(self._state) else Approval("deny", by="unattended")
        )

    async def ask_user(self, questions: tuple[Question, ...]) -> list[list[str]] | None:
        return None

    def show(self, event: TurnEvent) -> None:
        self._mailbox.put(event)


def _complete(coroutine: Any) -> Any:
    """Run a coroutine that never waits, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise RuntimeError("this needs a running event loop: use `await ante_nb.ask_async(...)`")


def _saved_cells(path: Path) -> list[Cell]:
    import json

    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    found = []
    for number, cell in enumerate(notebook.get("cells", ()), 1):
        outputs = []
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            text = output.get("text") or data.get("text/plain") or output.get("traceback") or ""
            outputs.append("".join(text) if isinstance(text, list) else str(text))
        found.append(
            Cell(
                number,
                cell.get("cell_type", "raw"),
                "".join(cell.get("source", "")),
                "\n".join(outputs)[:20_000],
                cell.get("id"),
            )
        )
    return found
