"""Interrupts at every point of a turn: it ends soon, nothing is left running, the conversation is valid."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import Reply, status, text, tool, tools, wait_for

from ante_nb.agent.execution import TurnHandle
from ante_nb.agent.host import Approval, ApprovalRequest
from ante_nb.agent.options import TurnOptions
from ante_nb.messages import TextDelta, ToolStarted, TurnEnded

if TYPE_CHECKING:
    from support.desk import Desk


def children() -> set[int]:
    """Child processes of this one that still run."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == os.getpid() and state != "Z":
                found.add(int(name))
    return found


async def check_after(desk: Desk) -> None:
    """The next turn is answered, and its history is valid."""
    turn = await desk.run("still there?")
    assert (turn.status, turn.text) == ("completed", "echo: still there?")
    assert desk.messages


async def test_during_the_stream(desk: Desk) -> None:
    desk.server.enqueue(Reply(text("Beginning. "), wait_for("never")))
    turn = await desk.cancelled(lambda: bool(desk.host.shown(TextDelta)), "talk")
    assert (turn.status, turn.text) == ("interrupted", "Beginning. ")
    assert "interrupted" in str(turn.error) and len(desk.host.shown(TurnEnded)) == 1
    await check_after(desk)


async def test_before_the_first_byte(desk: Desk) -> None:
    desk.server.enqueue(Reply(wait_for("never")))
    turn = await desk.cancelled(lambda: len(desk.server.chats) == 1, "talk")
    assert (turn.status, turn.text, turn.steps) == ("interrupted", "", [])
    await check_after(desk)


async def test_while_it_waits_to_try_again(desk: Desk) -> None:
    desk.server.enqueue(Reply(status(503, {"error": {"message": "busy"}}, {"retry-after": "30"})))
    turn = await desk.cancelled(lambda: bool(desk.server.chats and desk.server.chats[0].ended), "talk")
    assert turn.status == "interrupted"
    await check_after(desk)


async def test_while_the_turn_is_made_ready(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    started = threading.Event()
    choose = type(desk.runtime).choose

    def slowly(*arguments: Any) -> Any:
        started.set()
        time.sleep(0.5)
        return choose(*arguments)

    monkeypatch.setattr(type(desk.runtime), "choose", slowly)
    turn = await desk.cancelled(started.is_set, "talk")
    assert turn.status == "interrupted" and turn.error is not None and turn.error.turn is turn
    assert [event.turn for event in desk.host.shown(TurnEnded)] == [turn]
    assert desk.server.chats == []
    monkeypatch.undo()


@pytest.mark.parametrize(
    "command", ["sleep 300", "sleep 300 & sleep 300; wait", "trap '' INT TERM; sleep 300"]
)
async def test_during_a_command(desk: Desk, command: str) -> None:
    before = children()
    (desk.cwd / "a.txt").write_text("content\n")
    desk.server.enqueue(
        Reply(
            text("I try."),
            tools(
                tool("Read", {"file_path": "a.txt"}, id="read"),
                tool("Bash", {"command": f"touch started; {command}"}, id="bash"),
            ),
        )
    )
    turn = await desk.cancelled(lambda: (desk.cwd / "started").exists(), "run", mode="yolo")
    assert turn.status == "interrupted"
    assert [call.status for call in turn.tool_calls] == ["ok", "interrupted"]
    end = time.monotonic() + 20
    while children() - before and time.monotonic() < end:
        await asyncio.sleep(0.05)
    assert children() - before == set()
    await check_after(desk)
    assert "content" in desk.results()["read"] and "nterrupted" in desk.results()["bash"]


async def test_during_a_tool_in_a_worker_thread(desk: Desk) -> None:
    """Grep over many files runs in a thread or a process; it is told to stop and the turn does not wait."""
    for number in range(300):
        (desk.cwd / f"f{number}.txt").write_text("a" * 20_000 + "\n")
    desk.server.enqueue(Reply(tool("Grep", {"pattern": "(a|aa)+$b", "path": "."}, id="c1")))
    turn = await desk.cancelled(lambda: bool(desk.host.shown(ToolStarted)), "search")
    assert turn.status == "interrupted"
    assert [call.status for call in turn.tool_calls] in (["interrupted"], ["ok"])
    await check_after(desk)


async def test_during_python_that_awaits(desk: Desk) -> None:
    code = "import asyncio\nstarted = True\nawait asyncio.sleep(300)"
    desk.server.enqueue(Reply(tool("Python", {"code": code}, id="c1")))
    turn = await desk.cancelled(lambda: "started" in desk.host.namespace, "wait", mode="yolo")
    assert [call.status for call in turn.tool_calls] == ["interrupted"]
    await check_after(desk)


async def test_during_an_approval_with_more_calls_waiting(desk: Desk) -> None:
    async def never(request: ApprovalRequest) -> Approval:
        await asyncio.sleep(300)
        return Approval("once")

    desk.server.enqueue(
        Reply(tools(*[tool("Bash", {"command": f"touch f{n}"}, id=f"c{n}") for n in range(3)]))
    )
    turn = await desk.cancelled(lambda: bool(desk.host.asked), "touch", answers=[never])
    assert [call.status for call in turn.tool_calls] == ["interrupted"] * 3
    assert len(desk.host.asked) == 1 and not list(desk.cwd.iterdir())
    await check_after(desk)
    assert sorted(desk.results()) == ["c0", "c1", "c2"]


async def test_between_two_steps_everything_that_was_done_is_kept(desk: Desk) -> None:
    (desk.cwd / "a.txt").write_text("content\n")
    desk.server.enqueue(Reply(tool("Read", {"file_path": "a.txt"}, id="c1")), Reply(wait_for("never")))
    turn = await desk.cancelled(lambda: len(desk.server.chats) == 2, "read")
    assert [call.status for call in turn.tool_calls] == ["ok"]
    await check_after(desk)
    assert "content" in desk.results()["c1"]


async def test_cancelled_twice(desk: Desk) -> None:
    desk.server.enqueue(
        Reply(tool("Bash", {"command": "touch started; trap '' TERM INT; sleep 300"}, id="c1"))
    )
    task = asyncio.create_task(desk.run("run", mode="yolo"))
    while not (desk.cwd / "started").exists():
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task], timeout=10)
    assert task.done() and desk.last.status == "interrupted"
    assert [call.status for call in desk.last.tool_calls] == ["interrupted"]
    await check_after(desk)


def test_a_handle_that_is_cancelled_before_its_turn_starts(desk: Desk) -> None:
    """On the agent's real loop: whatever comes first, the turn says that it was interrupted."""
    runtime, host = desk.runtime, desk.host
    for _ in range(30):
        turn = runtime.new_turn("hello")
        ended = threading.Event()
        handle = TurnHandle(
            turn, lambda turn=turn: runtime.run(turn, TurnOptions(tools="none"), host), ended.set
        )  # type: ignore[misc]
        handle.cancel()
        handle.cancel()
        assert ended.wait(10) and handle.done.is_set()
        assert turn.status == "interrupted" and turn.error is not None and turn.error.turn is turn
    _close_on_agent_loop(desk)
    assert desk.server.chats == []


def test_a_handle_that_is_cancelled_at_any_time_ends(desk: Desk) -> None:
    from support.ante import seeded

    random = seeded("cancel at any time")
    runtime, host = desk.runtime, desk.host
    for _ in range(20):
        turn = runtime.new_turn("hello")
        ended = threading.Event()
        handle = TurnHandle(
            turn, lambda turn=turn: runtime.run(turn, TurnOptions(tools="none"), host), ended.set
        )  # type: ignore[misc]
        time.sleep(random.uniform(0, 0.03))
        handle.cancel()
        assert ended.wait(10) and handle.error is None
        assert turn.status in ("interrupted", "completed")
        assert (turn.status == "completed") == (turn.error is None)
    _close_on_agent_loop(desk)


def _close_on_agent_loop(desk: Desk) -> None:
    from ante_nb.agent.loop_thread import agent_loop

    loop = agent_loop()
    asyncio.run_coroutine_threadsafe(desk.runtime.aclose(), loop).result(10)

    async def tasks() -> list[Any]:
        await asyncio.sleep(0.05)
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run_coroutine_threadsafe(tasks(), loop).result(10) == []
