"""Python, TodoWrite, and the choice among tools."""

from __future__ import annotations

import pytest
from support.tools import Bench, bench

from ante_nb.agent.host import PythonResult
from ante_nb.agent.tools import builtin_tools, select
from ante_nb.errors import ConfigError, ToolError
from ante_nb.messages import Image

__all__ = ["bench"]


async def test_python_reports_all_there_is(bench: Bench) -> None:
    image = Image("AAAA", "image/png")
    bench.host.python = PythonResult(
        stdout="printed\n",
        stderr="warned\n",
        value="42",
        displays=("<Table>",),
        images=(image,),
        variables=("x",),
    )
    outcome = await bench.run("Python", code="x = 42; x")
    assert outcome.content[0].text == (
        "printed\n\nstderr:\nwarned\n\ndisplay:\n<Table>\n\nvalue:\n42\n\n[1 image]"
    )
    assert outcome.content[1] == image
    assert outcome.variables == ("x",)
    assert outcome.display == {"kind": "python", "code": "x = 42; x", "images": (image,), "rich": ()}
    assert not outcome.is_error
    assert bench.live == ["live"]


async def test_python_errors_and_silence(bench: Bench) -> None:
    bench.host.python = PythonResult(error="Traceback ...\nValueError: no")
    outcome = await bench.run("Python", code="f()")
    assert outcome.is_error
    assert outcome.content[0].text == "error:\nTraceback ...\nValueError: no"
    bench.host.python = PythonResult(interrupted=True)
    assert "interrupted" in await bench.text("Python", code="f()")
    bench.host.python = PythonResult()
    assert await bench.text("Python", code="pass") == "(no output)"
    bench.host.has_python = False
    with pytest.raises(ToolError, match="no Python namespace"):
        await bench.run("Python", code="1")
    assert "Python" not in builtin_tools(bench.host)  # type: ignore[arg-type]


async def test_todo_list(bench: Bench) -> None:
    todos = [
        {"content": "Read", "status": "completed"},
        {"content": "Write", "activeForm": "Writing", "status": "in_progress"},
        {"content": "Test"},
    ]
    outcome = await bench.run("TodoWrite", todos=todos)
    assert outcome.content[0].text.splitlines() == [
        "The task list has 3 tasks, 1 completed.",
        "[x] Read",
        "[>] Write",
        "[ ] Test",
    ]
    assert bench.state.todos == outcome.display["todos"]
    assert bench.state.todos[1]["active_form"] == "Writing"
    await bench.run("TodoWrite", todos="[]")
    assert bench.state.todos == []
    with pytest.raises(ToolError, match="status"):
        await bench.run("TodoWrite", todos=[{"content": "x", "status": "later"}])


def test_select(bench: Bench) -> None:
    tools = bench.tools
    assert list(select(tools, None)) == list(select(tools, "all")) == list(tools)
    assert select(tools, "none") == {}
    assert list(select(tools, "grep, READ")) == ["Read", "Grep"]
    assert list(select(tools, "g*")) == ["Glob", "Grep"]
    assert list(select(tools, "Read,mcp__*")) == ["Read"]
    with pytest.raises(ConfigError, match="Did you mean Read"):
        select(tools, "Reed")
    with pytest.raises(ConfigError, match="Known tools"):
        select(tools, "zzzzzz")
    with pytest.raises(ConfigError, match="empty"):
        select(tools, " , ")
