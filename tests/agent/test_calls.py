"""Tool calls of one step: order, parallel runs, approvals, grants, denials, failures."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from support.chat_server import Reply, text, tool, tools

from ante_nb.agent.host import Approval, ApprovalRequest
from ante_nb.messages import ToolEnded, ToolStarted

if TYPE_CHECKING:
    import pytest
    from support.desk import Desk


def step(desk: Desk, *calls: dict[str, Any]) -> None:
    desk.server.enqueue(Reply(tools(*calls)), Reply(text("done")))


async def test_two_edits_of_one_file_run_in_call_order(desk: Desk) -> None:
    (desk.cwd / "a.txt").write_text("0\n")
    desk.server.enqueue(
        Reply(tool("Read", {"file_path": "a.txt"})),
        Reply(
            tools(
                *[
                    tool(
                        "Edit",
                        {"file_path": name, "old_string": f"{n}\n", "new_string": f"{n + 1}\n"},
                        id=f"c{n}",
                    )
                    for n, name in enumerate(["a.txt", "./a.txt", str(desk.cwd / "a.txt"), "a.txt"])
                ]
            )
        ),
        Reply(text("done")),
    )
    turn = await desk.run("count", allow=("Edit",))
    assert (desk.cwd / "a.txt").read_text() == "4\n", desk.results()
    assert [call.status for call in turn.tool_calls] == ["ok"] * 5
    assert turn.files == ["a.txt"]


async def test_two_commands_that_only_read_run_at_the_same_time(desk: Desk) -> None:
    step(
        desk,
        tool("Bash", {"command": "sleep 1; echo one"}, id="c1"),
        tool("Bash", {"command": "sleep 1; echo two"}, id="c2"),
    )
    turn = await desk.run("meet")
    assert [call.status for call in turn.tool_calls] == ["ok", "ok"]
    kinds = [type(event) for event in desk.host.events if isinstance(event, ToolStarted | ToolEnded)]
    assert kinds[:2] == [ToolStarted, ToolStarted]


async def test_what_may_depend_on_an_earlier_call_waits_for_it(desk: Desk) -> None:
    step(
        desk,
        tool("Bash", {"command": "sleep 0.5; mkdir -p out; echo data > out/file.txt"}, id="c1"),
        tool("Bash", {"command": "cat out/file.txt"}, id="c2"),
        tool("Read", {"file_path": "out/file.txt"}, id="c3"),
        tool("Write", {"file_path": "new.txt", "content": "NEW"}, id="c4"),
        tool("Read", {"file_path": "new.txt"}, id="c5"),
    )
    turn = await desk.run("go", mode="yolo")
    assert [call.status for call in turn.tool_calls] == ["ok"] * 5, desk.results()
    told = desk.results()
    assert "data" in told["c2"] and "data" in told["c3"] and "NEW" in told["c5"]


async def test_python_calls_run_one_after_the_other(desk: Desk) -> None:
    code = "import asyncio\norder.append({n})\nawait asyncio.sleep({pause})\norder.append(-{n})"
    desk.host.namespace["order"] = []
    step(
        desk,
        *[
            tool("Python", {"code": code.format(n=n, pause=0.05 if n == 1 else 0)}, id=f"c{n}")
            for n in (1, 2, 3)
        ],
    )
    await desk.run("go", mode="yolo")
    assert desk.host.namespace["order"] == [1, -1, 2, -2, 3, -3]


async def test_results_stand_in_call_order_whatever_ended_first(desk: Desk) -> None:
    step(
        desk,
        tool("Bash", {"command": "sleep 0.4; echo slow"}, id="slow"),
        tool("Bash", {"command": "echo fast"}, id="fast"),
    )
    await desk.run("go", mode="yolo")
    assert list(desk.results()) == ["slow", "fast"]
    assert [event.call.id for event in desk.host.shown(ToolEnded)] == ["fast", "slow"]


async def test_approvals_are_asked_one_at_a_time_in_call_order(desk: Desk) -> None:
    async def slowly(request: ApprovalRequest) -> Approval:
        await asyncio.sleep(0.05)
        return Approval("once")

    step(desk, *[tool("Bash", {"command": f"touch f{n}"}, id=f"c{n}") for n in range(5)])
    turn = await desk.run("go", answers=[slowly] * 5)
    assert [request.call.id for request in desk.host.asked] == [f"c{n}" for n in range(5)]
    assert desk.host.most_asking == 1
    assert [call.status for call in turn.tool_calls] == ["ok"] * 5
    assert "touch f0" in desk.host.asked[0].summary and desk.host.asked[0].detail == "touch f0"


async def test_a_grant_for_the_session_covers_the_next_call_and_the_next_turn(desk: Desk) -> None:
    step(desk, *[tool("Write", {"file_path": f"f{n}", "content": "x"}, id=f"c{n}") for n in range(3)])
    turn = await desk.run("go", answers=[Approval("session")])
    assert desk.runtime.grants == [desk.host.asked[0].grant]
    assert turn.tool_calls[0].status == "ok"
    # The same call again is covered in any case, in a later turn too.
    step(desk, tool("Write", {"file_path": "f0", "content": "y"}, id="again"))
    turn = await desk.run("again")
    assert (turn.tool_calls[0].status, desk.host.asked) == ("ok", []), desk.results()
    desk.runtime.reset()
    step(desk, tool("Write", {"file_path": "f0", "content": "z"}, id="new"))
    turn = await desk.run("once more")
    assert turn.tool_calls[0].status == "denied" and len(desk.host.asked) == 1


async def test_a_grant_given_first_covers_the_calls_that_wait(desk: Desk) -> None:
    step(desk, *[tool("Bash", {"command": f"touch made {n}"}, id=f"c{n}") for n in range(3)])
    turn = await desk.run("go", answers=[Approval("session")] * 3)
    assert [call.status for call in turn.tool_calls] == ["ok"] * 3
    assert [request.grant for request in desk.host.asked] == ["Bash(touch made *)"]


async def test_always_is_written_to_the_settings(desk: Desk) -> None:
    step(desk, tool("Write", {"file_path": "f", "content": "x"}))
    turn = await desk.run("go", answers=[Approval("always")])
    assert turn.tool_calls[0].status == "ok"
    rule = desk.host.asked[0].grant
    saved = json.loads((desk.home / "settings.json").read_text())
    assert saved["permissions"]["allow"] == [rule] and saved["model"] == "test-model"
    desk.runtime.reset()
    (desk.cwd / "f").unlink()
    step(desk, tool("Write", {"file_path": "f", "content": "y"}))
    turn = await desk.run("go")
    assert turn.tool_calls[0].status == "ok" and desk.host.asked == []


async def test_a_denial_with_words_reaches_the_model(desk: Desk) -> None:
    step(desk, tool("Bash", {"command": "rm -r build"}, id="c1"))
    turn = await desk.run("go", answers=[Approval("deny", "use git clean instead")])
    assert turn.status == "completed" and turn.tool_calls[0].status == "denied"
    told = desk.results()["c1"]
    assert "denied by user" in told and "use git clean instead" in told


async def test_unattended_the_model_is_told_the_rule_that_would_allow_it(desk: Desk) -> None:
    step(desk, tool("Write", {"file_path": "f", "content": "x"}, id="c1"))
    turn = await desk.run("go")
    told = desk.results()["c1"]
    assert turn.tool_calls[0].status == "denied" and "nobody is there to ask" in told
    rule = told.partition("--allow '")[2].partition("'")[0]
    assert rule
    # The rule that it names does allow it.
    step(desk, tool("Write", {"file_path": "f", "content": "x"}, id="c2"))
    turn = await desk.run("go", allow=(rule,))
    assert turn.tool_calls[0].status == "ok"


async def test_a_policy_says_no_without_asking(desk: Desk) -> None:
    settings = json.loads((desk.home / "settings.json").read_text())
    settings["permissions"] = {"deny": ["Write(secret*)"]}
    (desk.home / "settings.json").write_text(json.dumps(settings))
    step(desk, tool("Write", {"file_path": "secret.txt", "content": "x"}, id="c1"))
    turn = await desk.run("go", answers=[Approval("once")])
    assert turn.tool_calls[0].status == "denied" and desk.host.asked == []
    assert "denied by policy" in desk.results()["c1"] and "secret" in desk.results()["c1"]


async def test_what_the_code_of_a_call_raises_is_its_result(desk: Desk) -> None:
    step(
        desk,
        tool("Python", {"code": "raise SystemExit(3)"}, id="exit"),
        tool("Python", {"code": "class E(BaseException): pass\nraise E('odd')"}, id="odd"),
        tool("Read", {"file_path": "a\0b"}, id="nul"),
        tool("Edit", {"file_path": "\ud800", "old_string": "a", "new_string": "b"}, id="half"),
        tool("Bash", {"command": "echo \0 x"}, id="bash"),
        tool("Grep", {"pattern": "("}, id="grep"),
    )
    turn = await desk.run("go", mode="yolo")
    assert turn.status == "completed", turn.error
    assert len(desk.results()) == 6 and all(desk.results().values())
    assert "SystemExit" in desk.results()["exit"] and "odd" in desk.results()["odd"]


async def test_a_tool_that_breaks_while_others_run_spoils_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ante_nb.agent.tools.glob import Glob
    from ante_nb.agent.tools.grep import Grep

    async def broken(self: Any, arguments: Any, ctx: Any) -> Any:
        raise RuntimeError("a bug")

    def no_footprint(self: Any, arguments: Any, ctx: Any) -> Any:
        raise RuntimeError("another bug")

    monkeypatch.setattr(Glob, "run", broken)
    monkeypatch.setattr(Grep, "footprint", no_footprint)
    step(
        desk,
        tool("Glob", {"pattern": "*"}, id="c1"),
        tool("Grep", {"pattern": "x"}, id="c2"),
        tool("Bash", {"command": "sleep 0.2; echo fine"}, id="c3"),
    )
    turn = await desk.run("go", mode="yolo")
    assert turn.status == "completed"
    told = desk.results()
    assert "a bug" in told["c1"] and "another bug" in told["c2"] and "fine" in told["c3"]


async def test_a_name_in_another_case_is_understood_and_a_wrong_one_answered(desk: Desk) -> None:
    (desk.cwd / "a.txt").write_text("content\n")
    step(desk, tool("read", {"file_path": "a.txt"}, id="c1"), tool("Raed", {}, id="c2"))
    await desk.run("go")
    told = desk.results()
    assert "content" in told["c1"] and "'Raed'" in told["c2"] and "Read" in told["c2"]


async def test_a_forced_tool_is_forced_once(desk: Desk) -> None:
    (desk.cwd / "a.txt").write_text("content\n")
    step(desk, tool("Read", {"file_path": "a.txt"}, id="c1"))
    await desk.run("go", tool_choice="read")
    first, second = (request.body.get("tool_choice") for request in desk.server.chats)
    assert first == {"type": "function", "function": {"name": "Read"}} and second in (None, "auto")
