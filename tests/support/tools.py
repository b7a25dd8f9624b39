"""A bench for tools: a working directory, a host of plain values, real files and processes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ante_nb.agent.headless import own_variables
from ante_nb.agent.host import ToolContext
from ante_nb.agent.tools import builtin_tools
from ante_nb.agent.tools.base import Footprint, ToolState
from ante_nb.agent.tools.environment import child_environment
from ante_nb.messages import Text, ToolCall

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.agent.host import PythonResult
    from ante_nb.agent.tools.base import Tool, ToolOutcome


@dataclass
class BenchHost:
    """What tools ask of a host; ``python`` is what running code gives."""

    cwd: Path
    env: dict[str, str] = field(default_factory=lambda: child_environment(os.environ))
    notebook_path: Path | None = None
    has_python: bool = True
    has_cells: bool = False
    python: PythonResult | None = None
    space: dict[str, Any] = field(default_factory=dict)

    async def variables(self, look: Any) -> Any:
        return look(own_variables(self.space))

    async def run_python(self, code: str, on_output: Any, timeout: float | None = None) -> Any:
        on_output("live")
        return self.python


class Bench:
    def __init__(self, cwd: Path, home: Path) -> None:
        self.cwd = cwd
        self.host = BenchHost(cwd)
        self.state = ToolState(session_id="ses_test", home=home)
        self.tools: dict[str, Tool] = builtin_tools(self.host)  # type: ignore[arg-type]
        self.live: list[str] = []

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def context(self, name: str, arguments: dict[str, Any]) -> ToolContext:
        call = ToolCall("call_1", name, arguments)
        return ToolContext(self.host, call, self.state, emit=self.live.append)  # type: ignore[arg-type]

    async def run(self, name: str, **arguments: Any) -> ToolOutcome:
        tool = self.tools[name]
        return await tool.run(tool.parse(arguments), self.context(name, arguments))

    async def text(self, name: str, **arguments: Any) -> str:
        outcome = await self.run(name, **arguments)
        return "".join(part.text for part in outcome.content if isinstance(part, Text))

    def detail(self, name: str, **arguments: Any) -> str:
        tool = self.tools[name]
        return tool.detail(tool.parse(arguments), self.context(name, arguments))

    def footprint(self, name: str, **arguments: Any) -> Footprint:
        tool = self.tools[name]
        return tool.footprint(tool.parse(arguments), self.context(name, arguments))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    cwd = tmp_path / "work"
    cwd.mkdir()
    return Bench(cwd, tmp_path / "home")
