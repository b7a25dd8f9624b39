"""Tools of a real MCP server, called by a turn."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.chat_server import Reply, tool
from support.kernel import Kernel

from ante_nb.agent.host import Approval
from ante_nb.agent.mcp import servers as servers_module
from ante_nb.agent.mcp.tool import tool_name
from ante_nb.agent.tools.schema import portable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.chat_server import ChatServer
    from support.desk import Desk

SERVER = str(Path(__file__).parents[2] / "support" / "mcp_server.py")


def configure(home: Path, **servers: dict[str, Any]) -> None:
    folder = home / ".ante"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "settings.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**known, "mcp_servers": servers}))


def kitchen(*arguments: str, **more: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": [SERVER, *arguments], **more}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the SDK alone takes seconds to import, here and in the server."""
    monkeypatch.setattr(servers_module, "WAIT", 60.0)


@pytest.fixture
async def cook(desk: Desk, isolated_home: Path) -> AsyncIterator[Desk]:
    configure(isolated_home, kitchen=kitchen())
    yield desk
    await desk.runtime.mcp_servers().aclose()


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if SERVER in child.cmdline()]


async def call(desk: Desk, name: str, arguments: dict[str, Any], **more: Any) -> Any:
    desk.server.enqueue(Reply(tool(f"mcp__kitchen__{name}", arguments)), Reply("done"))
    turn = await desk.run("cook", **more)
    assert turn.status == "completed", turn.error
    return turn.tool_calls[0].result


async def test_a_call(cook: Desk) -> None:
    result = await call(cook, "add", {"a": 2, "b": 3}, answers=[Approval("once")])
    assert not result.is_error and "sum 5" in result.content[0].text
    (asked,) = cook.host.asked
    assert asked.call.name == "mcp__kitchen__add" and '"a": 2' in asked.summary
    sent = {tool["function"]["name"]: tool["function"] for tool in cook.server.chats[0].body["tools"]}
    assert {"mcp__kitchen__add", "mcp__kitchen__cook", "Read"} <= set(sent)
    assert sent["mcp__kitchen__add"]["description"] == "Add two numbers."
    assert "$ref" not in json.dumps(sent["mcp__kitchen__cook"])
    again = await call(cook, "add", {"a": 1}, mode="auto")
    assert "sum 2" in again.content[0].text and cook.host.asked == []
    assert len(children()) == 1, "the server stays between turns"


async def test_what_it_calls_destructive_is_asked_about_in_auto(cook: Desk) -> None:
    result = await call(cook, "throw_away", {"name": "salt"}, mode="auto")
    assert result.is_error and len(cook.host.asked) == 1


async def test_rules(cook: Desk) -> None:
    assert not (await call(cook, "add", {"a": 2}, allow=("mcp__kitchen__*",))).is_error
    assert cook.host.asked == []


async def test_data_policy(cook: Desk) -> None:
    result = await call(cook, "add", {"a": 2}, mode="auto", data_policy="schema")
    assert "sum 3" not in str(result)


async def test_pictures_errors_and_wrong_arguments(cook: Desk) -> None:
    picture = await call(cook, "picture", {}, mode="auto")
    assert any(type(part).__name__ == "Image" for part in picture.content)
    failed = await call(cook, "fail", {}, mode="auto")
    assert failed.is_error and "the oven is cold" in str(failed)
    wrong = await call(cook, "add", {"a": "many"}, mode="auto")
    assert wrong.is_error and "many" in str(wrong)
    missing = await call(cook, "cook", {"step": {}}, mode="auto")
    assert missing.is_error and "what" in str(missing)


async def test_no_secret_of_the_kernel_reaches_it(cook: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_VENDOR_API_KEY", "abcdefghijklmnopqrstuvwxyz")
    result = await call(cook, "environment", {}, mode="auto")
    assert "PATH=" in str(result) and "SOME_VENDOR_API_KEY" not in str(result)


async def test_a_server_that_ends_in_mid_call_is_started_again(cook: Desk) -> None:
    ended = await call(cook, "end", {}, mode="auto")
    assert ended.is_error
    assert "sum 2" in str(await call(cook, "add", {"a": 1}, mode="auto"))


async def test_an_interrupt_stops_the_wait(cook: Desk) -> None:
    cook.server.enqueue(Reply(tool("mcp__kitchen__wait", {"seconds": 60})), Reply("done"))
    task = asyncio.create_task(cook.run("cook", mode="auto"))
    async with asyncio.timeout(60):
        while not cook.server.chats:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    task.cancel()
    turn = await task
    assert turn.status == "interrupted"


async def test_what_does_not_start_costs_a_notice_and_no_turn(desk: Desk, isolated_home: Path) -> None:
    configure(isolated_home, gone={"command": "no-such-program"}, broken=kitchen("broken"), kitchen=kitchen())
    turn = await desk.run("one")
    assert turn.status == "completed"
    told = [event.text for event in desk.host.events if type(event).__name__ == "Notice"]
    assert any("gone does not run: there is no program 'no-such-program'" in line for line in told)
    assert any("the kitchen is closed" in line for line in told)
    assert "sk-proj-abc" not in str(told)
    names = [tool["function"]["name"] for tool in desk.server.chats[0].body["tools"]]
    assert "mcp__kitchen__add" in names and not any("broken" in name for name in names)
    await desk.runtime.mcp_servers().aclose()
    assert children() == []


async def test_a_slow_one_comes_with_the_next_turn(
    desk: Desk, isolated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(isolated_home, kitchen=kitchen("slow", "4"))
    monkeypatch.setattr(servers_module, "WAIT", 0.5)
    await desk.run("one")
    assert "mcp__" not in str(desk.server.chats[-1].body["tools"])
    monkeypatch.setattr(servers_module, "WAIT", 60.0)
    await desk.run("two")
    assert "mcp__kitchen__add" in str(desk.server.chats[-1].body["tools"])
    configure(isolated_home)
    await desk.run("three")
    assert "mcp__" not in str(desk.server.chats[-1].body["tools"])
    assert children() == []


async def test_only_the_enabled_tools(desk: Desk, isolated_home: Path) -> None:
    configure(isolated_home, kitchen=kitchen(enabled_tools=["add"]))
    await desk.run("one")
    assert str(desk.server.chats[-1].body["tools"]).count("mcp__") == 1
    await desk.runtime.mcp_servers().aclose()


def test_names_that_every_vendor_takes() -> None:
    assert tool_name("git hub", "list/issues") == "mcp__git_hub__list_issues"
    long = tool_name("s" * 40, "t" * 60)
    assert len(long) == 64 and long != tool_name("s" * 40, "t" * 61)


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
        "properties": {"node": {"$ref": "#/$defs/Node"}},
    }
    out = portable(schema)
    assert "$ref" not in json.dumps(out) and out["type"] == "object"


def test_in_a_kernel(chat_server: ChatServer, isolated_home: Path, tmp_path: Path) -> None:
    from support.ante import point_at

    env = point_at(chat_server, isolated_home)
    configure(isolated_home, kitchen=kitchen())
    chat_server.enqueue(Reply(tool("mcp__kitchen__add", {"a": 20, "b": 22})), Reply("It is 42."))
    with Kernel(cwd=tmp_path, env=env) as kernel:
        kernel.run("%load_ext ante_nb")
        listed = kernel.run("%ante mcp")
        assert "kitchen" in listed.text and "throw_away" in listed.text
        outcome = kernel.run("%%ante --allow mcp__kitchen__add -o t\nadd")
        assert outcome.status == "ok", outcome.text
        assert "sum 42" in kernel.run("print(t.tool_calls[0].result)").text
        assert "stopped" in kernel.run("%ante mcp stop").text
        assert kernel.run("%ante mcp nothing").status == "error"
        kernel.run("%ante mcp restart kitchen")
        pid = kernel.pid
        running = [c for c in psutil.Process(pid).children(recursive=True) if SERVER in c.cmdline()]
        assert len(running) == 1
    _, alive = psutil.wait_procs(running, timeout=20)
    assert not alive
