"""Rules that cannot be read: what forbids stops the turn, what permits is skipped and told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import Reply, text, tool

from ante_nb.agent.permissions import check_rules
from ante_nb.agent.permissions.check import TOOLS
from ante_nb.agent.tools import builtin_tools
from ante_nb.settings import load_settings

if TYPE_CHECKING:
    from support.desk import Desk

    from ante_nb.agent.turn import Turn

WHERE = "~/.ante/settings.json: `permissions"


def configure(desk: Desk, **values: Any) -> None:
    path = desk.home / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def why(turn: Turn) -> str:
    assert turn.status == "failed" and turn.error is not None, turn
    return str(turn.error)


BROKEN = [
    ({"deny": ["Bash(touch *"]}, f"{WHERE}.deny`: 'Bash(touch *' is no permission rule"),
    ({"deny": ["Read(**/.env)", "Bash()"]}, f"{WHERE}.deny`: 'Bash()' is no permission rule"),
    ({"ask": ["Edit)"]}, f"{WHERE}.ask`: 'Edit)' is no permission rule"),
    ({"deny": [3]}, f"{WHERE}.deny`: 3 is no permission rule"),
    ({"deny": "Bash"}, f"{WHERE}.deny` must be a list of rules"),
    ({"ask": None}, f"{WHERE}.ask` must be a list of rules"),
    (["Bash"], f"{WHERE}` must be an object with allow, ask and deny"),
]


@pytest.mark.parametrize("mode", ["strict", "auto"])
@pytest.mark.parametrize(("rules", "words"), BROKEN, ids=range(len(BROKEN)))
async def test_what_forbids_and_cannot_be_read_stops_the_turn(
    desk: Desk, rules: Any, words: str, mode: str
) -> None:
    configure(desk, permissions=rules)
    told = why(await desk.run("go", mode=mode))
    assert told.startswith(words) and "`Tool(glob)`" in told and "\n" not in told
    assert desk.server.chats == [], "nothing was sent"
    configure(desk, permissions={"deny": ["Bash(touch *)"]})
    assert (await desk.run("go", mode=mode)).status == "completed"


async def test_what_permits_and_cannot_be_read_is_skipped_and_told(desk: Desk) -> None:
    configure(desk, permissions={"allow": ["Bash(touch *", "Write"]})
    desk.server.handler = None
    desk.server.enqueue(
        Reply(tool("Bash", {"command": "touch a"}, id="a"), tool("Write", {"file_path": "b", "content": ""}, id="b")),
        Reply(text("done")),
    )  # fmt: skip
    turn = await desk.run("go")
    assert [call.status for call in turn.tool_calls] == ["denied", "ok"]
    (line,) = check_rules(load_settings()).notices
    assert line.startswith(f"{WHERE}.allow`: 'Bash(touch *' is no permission rule") and "skipped" in line
    assert line in repr(desk.host.events)


UNKNOWN = [
    ({"deny": ["Bsah"]}, "(did you mean Bash?)"),
    ({"ask": ["edti(src/*)"]}, "(did you mean Edit?)"),
    ({"allow": ["Teleport"]}, "(known: Read, Write,"),
    ({"deny": ["X*"]}, "(known: "),
    ({"deny": ["bash", "Re*", "*", "mcp__files__read", "mcp__*", "mc*", "Python(x)", "TodoWrite"]}, None),
]


@pytest.mark.parametrize(("rules", "words"), UNKNOWN, ids=range(len(UNKNOWN)))
async def test_a_rule_about_no_tool(desk: Desk, rules: dict[str, list[str]], words: str | None) -> None:
    configure(desk, permissions=rules)
    assert (await desk.run("go")).status == "completed"
    report = check_rules(load_settings())
    assert report.broken == ()
    if words is None:
        assert report.notices == ()
        return
    ((effect, (rule,)),) = rules.items()
    (line,) = report.notices
    assert line.startswith(f"{WHERE}.{effect}`: the rule {rule!r}") and line.endswith(")") and words in line
    assert line in "".join(str(vars_of(event)) for event in desk.host.events).replace("\\'", "'")


def vars_of(event: Any) -> list[Any]:
    return [getattr(event, name) for name in getattr(event, "__slots__", ()) or vars(event)]


def test_the_known_tools_are_the_tools(desk: Desk) -> None:
    assert set(TOOLS) == set(builtin_tools(desk.host))


@pytest.mark.parametrize("mode", ["auto", "yolo"])
async def test_a_file_that_cannot_be_read_leaves_strict(desk: Desk, mode: str) -> None:
    (desk.home / "settings.json").write_text('{"permissions": {"deny": ["Bash"]},,}')
    choice = {"provider": "openai-compatible", "model": "test-model"}
    told = why(await desk.run("go", mode=mode, **choice))
    assert told.startswith(f"mode {mode} is refused") and "line 1, column " in told
    assert "remove it to start afresh" in told and "--mode strict" in told and "\n" not in told
    assert desk.server.chats == []
    assert (await desk.run("go", **choice)).status == "completed"


async def test_a_wrong_tool_in_the_file(desk: Desk) -> None:
    configure(desk, tools=["Reed"])
    told = why(await desk.run("go"))
    assert told.startswith("~/.ante/settings.json: `tools`: There is no tool 'Reed'. Did you mean Read?")
    assert (await desk.run("go", tools="Read")).status == "completed"
