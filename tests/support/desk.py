"""A turn in the test's own loop: the real runtime, tools and HTTP client, a loopback server, a host of values."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ante_nb.agent.headless import execute, own_variables
from ante_nb.agent.host import Approval, CellReport, Notebook
from ante_nb.agent.options import TurnOptions
from ante_nb.agent.runtime import Runtime
from ante_nb.agent.tools.environment import child_environment
from support.ante import check_conversation, echo, point_at, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest

    from ante_nb.agent.host import ApprovalRequest, Cell, CellEdit, PythonResult, T
    from ante_nb.agent.turn import Turn
    from support.chat_server import ChatServer


@dataclass
class DeskHost:
    """What the agent asks of its surroundings; approvals are answered in order, then denied."""

    cwd: Path
    namespace: dict[str, Any] = field(default_factory=dict)
    answers: list[Approval | Callable[[ApprovalRequest], Any]] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=lambda: child_environment(os.environ))
    notebook_path: Path | None = None
    has_python: bool = True
    saved_cells: list[Cell] = field(default_factory=list)
    edits: list[CellEdit] = field(default_factory=list)
    reports: list[CellReport] = field(default_factory=list)
    proposed: list[str] = field(default_factory=list)
    questions: list[Any] = field(default_factory=list)
    replies: list[list[str]] | None = None
    events: list[Any] = field(default_factory=list)
    asked: list[ApprovalRequest] = field(default_factory=list)
    asking: int = 0
    most_asking: int = 0

    async def run_python(
        self, code: str, on_output: Callable[[str], None], timeout: float | None = None
    ) -> PythonResult:
        result = execute(code, self.namespace, on_output)
        return await result if inspect.isawaitable(result) else result  # type: ignore[no-any-return]

    async def call(self, function: Callable[[], Any]) -> Any:
        result = function()
        return await result if inspect.isawaitable(result) else result

    async def variables(self, look: Callable[[dict[str, Any]], T]) -> T:
        return look(own_variables(self.namespace))

    has_cells = True

    async def notebook(self, ids: tuple[str, ...] = ()) -> Notebook:
        return Notebook(tuple(self.saved_cells), "live", "as they stand in the front end now")

    async def edit_cell(self, edit: CellEdit) -> CellReport:
        self.edits.append(edit)
        return self.reports.pop(0) if self.reports else CellReport("refused", "no front end")

    async def propose_cell(self, source: str) -> bool:
        self.proposed.append(source)
        return len(self.proposed) > 1

    async def approve(self, request: ApprovalRequest) -> Approval:
        self.asked.append(request)
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        try:
            await asyncio.sleep(0)
            if not self.answers:
                return Approval("deny", by="unattended")
            answer = self.answers.pop(0)
            if isinstance(answer, Approval):
                return answer
            found = answer(request)
            return await found if inspect.isawaitable(found) else found  # type: ignore[no-any-return]
        finally:
            self.asking -= 1

    async def ask_user(self, questions: Any) -> list[list[str]] | None:
        self.questions.append(questions)
        return self.replies

    def show(self, event: Any) -> None:
        self.events.append(event)

    def shown(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Desk:
    """A runtime whose default provider is ``server``; works in ``cwd``."""

    def __init__(self, server: ChatServer, home: Path, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in point_at(server, home).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(cwd)
        self.server = server
        server.handler = echo
        self.home = home / ".ante"
        self.cwd = cwd
        self.runtime = Runtime()
        self.host = DeskHost(cwd)

    async def run(
        self, prompt: str, *, cell: str | None = None, answers: Sequence[Any] = (), **options: Any
    ) -> Turn:
        """A turn to its end; cancelling this call cancels the turn, whose result is then ``last``."""
        self.host.answers = list(answers)
        self.host.events.clear()
        self.host.asked.clear()
        turn = self.last = self.runtime.new_turn(prompt)
        await self.runtime.run(turn, TurnOptions(**options), self.host, cell)  # type: ignore[arg-type]
        return turn

    async def close(self) -> None:
        """Close the connection, and see that nothing of the turns is left on the loop."""
        await self.runtime.aclose()
        await asyncio.sleep(0)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not [task for task in left if "ante_nb" in str(task.get_coro())], left

    async def cancelled(self, ready: Callable[[], bool], prompt: str, **more: Any) -> Turn:
        """Start a turn, interrupt it once ``ready``, and return it when it has ended."""
        task = asyncio.create_task(self.run(prompt, **more))
        end = time.monotonic() + 30
        while not ready():
            assert time.monotonic() < end, "the moment to interrupt never came"
            assert not task.done(), f"ended before it was interrupted: {self.last.error or self.last}"
            await asyncio.sleep(0.005)
        sent = time.monotonic()
        task.cancel()
        await asyncio.wait([task], timeout=30)
        assert task.done() and time.monotonic() - sent < 5
        return self.last

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the last model call, checked."""
        messages = list(self.server.chats[-1].body["messages"])
        check_conversation(messages)
        return messages

    def results(self) -> dict[str, str]:
        """What the model was told about each call, by call id, in the last request."""
        return {m["tool_call_id"]: words_of(m) for m in self.messages if m["role"] == "tool"}

    def said(self) -> list[str]:
        """The conversation of the last request without the system prompt, as ``role: text``."""
        return [f"{m['role']}: {words_of(m)}" for m in self.messages if m["role"] != "system"]
