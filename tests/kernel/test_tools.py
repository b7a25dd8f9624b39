"""Tools from a cell: in the kernel's namespace, asked for, refused, failing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ante import check_conversation, words_of
from support.chat_server import Reply, text, tool, tools

if TYPE_CHECKING:
    from support.ante import Ante

HISTORY = (
    "(_, __, ___, list(In), {k: v for k, v in Out.items()}, get_ipython().execution_count, "
    "getattr(__import__('sys'), 'last_value', None))"
)


def result_of(ante: Ante, call_id: str = "call_1") -> str:
    """What the model was told about that call in the last request."""
    found = [words_of(m) for m in ante.last_messages if m["role"] == "tool" and m["tool_call_id"] == call_id]
    assert len(found) == 1, found
    return found[0]


def test_python_runs_in_the_persons_namespace(ante: Ante) -> None:
    ante.kernel.run("rain = [61, 48, 12]")
    ante.server.enqueue(
        Reply(tool("Python", {"code": "total = sum(rain)\nprint('sum', total)\ntotal * 2"}, id="call_1")),
        Reply(text("121.")),
    )
    outcome = ante.prompt("add it up", "--allow Python")
    assert outcome.status == "ok", outcome.text
    assert ante.kernel.value("total") == 121
    told = result_of(ante)
    assert "sum 121" in told and "242" in told
    assert ante.kernel.value("'total' in _ante.variables")
    assert "sum 121" in outcome.text


def test_python_with_top_level_await_and_an_error(ante: Ante) -> None:
    ante.server.enqueue(
        Reply(
            tool("Python", {"code": "import asyncio\nawait asyncio.sleep(0.01)\nprint('slept')"}, id="call_1")
        ),
        Reply(tool("Python", {"code": "1 / 0"}, id="call_2")),
        Reply(text("noted")),
    )
    outcome = ante.prompt("try", "--allow Python")
    assert outcome.status == "ok", outcome.text
    assert "slept" in result_of(ante, "call_1")
    assert "ZeroDivisionError" in result_of(ante, "call_2")
    assert ante.kernel.value("[c.status for c in _ante.tool_calls]") == ["ok", "error"]
    check_conversation(ante.last_messages)


def test_python_leaves_in_out_and_the_count_alone(ante: Ante) -> None:
    ante.kernel.run("'one'")
    ante.kernel.run("'two'")
    ante.kernel.run(f"before = {HISTORY}")
    ante.server.enqueue(
        Reply(tool("Python", {"code": "'from the tool'"}, id="call_1")),
        Reply(tool("Python", {"code": "await __import__('asyncio').sleep(0)\n'again'"}, id="call_2")),
        Reply(tool("Python", {"code": "raise ValueError('tool')"}, id="call_3")),
        Reply(text("done")),
    )
    prompt = ante.prompt("try", "--allow Python")
    assert prompt.status == "ok", prompt.text
    after = ante.kernel.run(f"after = {HISTORY}")
    assert (prompt.execution_count, after.execution_count) == (5, 6)
    ante.kernel.run("same = [a == b for a, b in zip(before, after)]")
    # In grew by the two cells that the person ran, the count by two; nothing else changed.
    assert ante.kernel.value("[before[i] == after[i] for i in (0, 1, 2, 4, 6)]") == [True] * 5
    assert ante.kernel.value("after[:3]") == ("two", "one", "")
    assert (
        ante.kernel.value("after[3][: len(before[3])] == before[3] and len(after[3]) - len(before[3])") == 2
    )
    assert ante.kernel.value("after[5] - before[5]") == 2
    assert (
        ante.kernel.value("any('tool' in source and '%%ante' not in source for source in after[3])") is False
    )


def test_calls_in_the_kernel_run_in_call_order(ante: Ante) -> None:
    calls = [
        tool("Python", {"code": f"order = globals().get('order', []) + [{n}]"}, id=f"call_{n}")
        for n in range(6)
    ]
    ante.server.enqueue(Reply(tools(*calls)), Reply(text("ok")))
    assert ante.prompt("go", "--allow Python").status == "ok"
    assert ante.kernel.value("order") == [0, 1, 2, 3, 4, 5]
    check_conversation(ante.last_messages)


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_unattended_means_deny(ante: Ante, mode: str) -> None:
    """No stdin, as in nbclient: the call is refused, the model is told, the turn ends well."""
    ante.server.enqueue(
        Reply(tool("Bash", {"command": "rm -rf precious"}, id="call_1")), Reply(text("I may not."))
    )
    (ante.cwd / "precious").mkdir()
    outcome = ante.prompt("clean up", f"--mode {mode}")
    assert outcome.status == "ok", outcome.text
    assert (ante.cwd / "precious").is_dir()
    assert ante.turn("tool_calls[0].status") == "denied" and ante.turn("text") == "I may not."
    check_conversation(ante.last_messages)
    assert "denied" in result_of(ante).lower() or "not allowed" in result_of(ante).lower()


def test_a_person_says_no_then_yes(ante: Ante) -> None:
    def ask(answer: str) -> str:
        ante.server.enqueue(
            Reply(tool("Bash", {"command": "touch made"}, id="call_1")), Reply(text("so be it"))
        )
        outcome = ante.prompt("touch it", "--mode strict", stdin=[answer])
        assert outcome.status == "ok", outcome.text
        assert len(outcome.prompts) == 1
        assert "touch made" in outcome.text + outcome.prompts[0]
        check_conversation(ante.last_messages)
        return str(ante.turn("tool_calls[-1].status"))

    assert ask("n") == "denied" and not (ante.cwd / "made").exists()
    assert ask("y") == "ok" and (ante.cwd / "made").exists()


def test_garbage_at_the_question_is_no_consent(ante: Ante) -> None:
    ante.server.enqueue(Reply(tool("Bash", {"command": "touch made"}, id="call_1")), Reply(text("ok")))
    outcome = ante.prompt("touch it", "--mode strict", stdin=["maybe", "", "what?", "n", "n", "n"])
    assert outcome.status == "ok", outcome.text
    assert not (ante.cwd / "made").exists()
    assert ante.turn("tool_calls[0].status") == "denied"


def test_allow_covers_its_glob_and_no_more(ante: Ante) -> None:
    ante.server.enqueue(
        Reply(tool("Bash", {"command": "touch good"}, id="call_1")),
        Reply(tool("Bash", {"command": "touch good; touch bad"}, id="call_2")),
        Reply(text("ok")),
    )
    ante.prompt("go", "--mode strict --allow 'Bash(touch good)'")
    assert (ante.cwd / "good").exists() and not (ante.cwd / "bad").exists()
    assert ante.kernel.value("[c.status for c in _ante.tool_calls]") == ["ok", "denied"]


def test_failed_unknown_and_malformed_calls_are_answered(ante: Ante) -> None:
    ante.server.enqueue(
        Reply(
            tools(
                tool("Read", {"file_path": "no such file"}, id="call_1"),
                tool("NoSuchTool", {}, id="call_2"),
                tool("Read", {"wrong": 1}, id="call_3"),
            )
        ),
        Reply(tool("Read", '{"file_path": "x', id="call_4")),
        Reply(text("sorry")),
    )
    outcome = ante.prompt("go")
    assert outcome.status == "ok", outcome.text
    assert ante.turn("text") == "sorry"
    assert "no such file" in result_of(ante, "call_1").lower()
    assert "NoSuchTool" in result_of(ante, "call_2")
    assert "file_path" in result_of(ante, "call_3")
    assert result_of(ante, "call_4")
    assert ante.kernel.value("[c.status for c in _ante.tool_calls]") == ["error"] * 4
    check_conversation(ante.last_messages)


def test_an_edit_shows_its_diff_and_is_listed(ante: Ante) -> None:
    (ante.cwd / "a.py").write_text("x = 1\ny = 2\n")
    ante.server.enqueue(
        Reply(tool("Read", {"file_path": "a.py"}, id="call_1")),
        Reply(
            tool("Edit", {"file_path": "a.py", "old_string": "x = 1", "new_string": "x = 10"}, id="call_2")
        ),
        Reply(text("changed")),
    )
    outcome = ante.prompt("change x", "--allow Edit")
    assert outcome.status == "ok", outcome.text
    assert (ante.cwd / "a.py").read_text() == "x = 10\ny = 2\n"
    assert "-x = 1" in outcome.text and "+x = 10" in outcome.text
    assert ante.kernel.value("[str(f).endswith('a.py') for f in _ante.files]") == [True]


def test_children_see_no_key(ante: Ante) -> None:
    ante.server.enqueue(Reply(tool("Bash", {"command": "env; echo end"}, id="call_1")), Reply(text("ok")))
    ante.prompt("env", "--allow Bash")
    assert "end" in result_of(ante)
    assert "loopback-key" not in result_of(ante) and "API_KEY" not in result_of(ante)


def test_tools_none_sends_no_tools_and_a_list_only_those(ante: Ante) -> None:
    ante.prompt("hello", "--tools none")
    assert not ante.server.chats[-1].body.get("tools")
    ante.prompt("hello", "--tools Read,Grep")
    assert sorted(t["function"]["name"] for t in ante.server.chats[-1].body["tools"]) == ["Grep", "Read"]
    ante.prompt("hello", "--tools Read --tool-choice Read")
    assert ante.server.chats[-1].body["tool_choice"] == {"type": "function", "function": {"name": "Read"}}


def test_max_steps_ends_the_turn_with_a_valid_history(ante: Ante) -> None:
    (ante.cwd / "a.txt").write_text("a\n")
    ante.server.enqueue(*[Reply(tool("Read", {"file_path": "a.txt"}, id=f"call_{n}")) for n in range(9)])
    outcome = ante.prompt("for ever", "--max-steps 3")
    assert outcome.status == "error" and len(outcome.error.splitlines()) == 1
    assert ante.turn("status") == "max_steps" and ante.kernel.value("len(_ante.steps)") == 3
    ante.server.reset()
    ante.check_usable()


def test_a_prompt_cell_inside_a_tool_call_is_refused(ante: Ante) -> None:
    code = "get_ipython().run_cell_magic('ante', '', 'again')"
    ante.server.enqueue(Reply(tool("Python", {"code": code}, id="call_1")), Reply(text("no")))
    outcome = ante.prompt("nest", "--allow Python")
    assert outcome.status == "ok", outcome.text
    assert len(ante.server.chats) == 2
    ante.check_usable()
