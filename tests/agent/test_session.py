"""The session tree: what a cell that runs again, a changed cell, a failed cell leave in the next request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from support.chat_server import Reply, drop, status, text, thinking, tool, wait_for

from ante_nb.agent.session import Node, Session, node_id, settled
from ante_nb.agent.turn import Turn
from ante_nb.messages import Message, Text, TextDelta, Thinking, ThinkingDelta, ToolCall

if TYPE_CHECKING:
    from support.desk import Desk


def users(desk: Desk) -> list[str]:
    """What the person is on record with in the last request."""
    return [line.removeprefix("user: ") for line in desk.said() if line.startswith("user: ")]


async def cells(desk: Desk, *pairs: tuple[str, str]) -> None:
    for cell, prompt in pairs:
        turn = await desk.run(prompt, cell=cell, tools="none")
        assert turn.status == "completed", turn.error


async def test_a_cell_that_runs_again_starts_from_its_old_parent(desk: Desk) -> None:
    await cells(desk, ("a", "one"), ("b", "two"), ("c", "three"))
    assert users(desk) == ["one", "two", "three"]
    await cells(desk, ("b", "two, changed"))
    assert users(desk) == ["one", "two, changed"]
    session = desk.runtime.session
    # The old branch is kept.
    assert sorted(node.prompt for node in session.nodes.values()) == ["one", "three", "two", "two, changed"]
    assert [m.text for m in session.conversation(session.by_cell["c"]) if m.role == "user"] == [
        "one",
        "two",
        "three",
    ]


async def test_a_cell_below_goes_on_from_what_the_cell_above_says_now(desk: Desk) -> None:
    await cells(desk, ("a", "one"), ("b", "two"), ("a", "one, changed"), ("b", "two"))
    assert users(desk) == ["one, changed", "two"]


async def test_run_all_twice_is_the_same_tree(desk: Desk) -> None:
    notebook = (("a", "one"), ("b", "two"), ("c", "three"))
    await cells(desk, *notebook)
    session = desk.runtime.session
    first = (set(session.nodes), session.head)
    sent = [request.body["messages"] for request in desk.server.chats]
    await cells(desk, *notebook)
    assert (set(session.nodes), session.head) == first
    assert [request.body["messages"] for request in desk.server.chats[3:]] == sent
    assert {node.runs for node in session.nodes.values()} == {2}


async def test_append_goes_on_from_the_last_turn(desk: Desk) -> None:
    await cells(desk, ("a", "one"), ("b", "two"))
    await desk.run("again", cell="a", append=True, tools="none")
    assert users(desk) == ["one", "two", "again"]
    # The cell above and the cell below each go on from what does not hold their own answer.
    await cells(desk, ("b", "two"))
    assert users(desk) == ["one", "two"]
    await cells(desk, ("a", "fresh"))
    assert "fresh" not in users(desk)[:-1] and "again" not in users(desk)


async def test_a_cell_that_appended_to_itself_runs_again_from_there(desk: Desk) -> None:
    await cells(desk, ("a", "one"))
    await desk.run("more", cell="a", append=True, tools="none")
    await cells(desk, ("a", "more, changed"))
    assert "more" not in users(desk)


async def test_without_a_cell_id_every_prompt_goes_on(desk: Desk) -> None:
    for prompt in ("one", "two", "one"):
        await desk.run(prompt, tools="none")
    assert users(desk) == ["one", "two", "one"]
    assert len(desk.runtime.session.nodes) == 3


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.booleans()), max_size=25))
def test_no_order_of_cells_loops_or_shows_a_cell_its_own_answer(order: list[tuple[str, str, bool]]) -> None:
    session = Session()
    for cell, prompt, append in order:
        parent, key = session.parent_for(cell, append=append)
        above = []
        at = parent
        while at is not None:
            above.append(session.nodes[at].cell)
            at = session.nodes[at].parent
            assert len(above) <= len(order)
        if not append and cell in session.by_cell:
            assert len(above) < len(order)
            started = session.nodes[session.by_cell[cell]].parent
            old = []
            while started is not None:
                old.append(session.nodes[started].cell)
                started = session.nodes[started].parent
            if cell not in old:
                assert cell not in above
        node = Node(node_id(parent, prompt, (), "p", "m", None), parent, key, prompt, "turn_x")
        node.messages = (Message.user(prompt), Message("assistant", (Text("ok"),)))
        session.keep(node, Turn("turn_x", session.id))
        assert session.head == node.id
        assert session.conversation(session.head)[-2:] == list(node.messages)


async def test_a_failed_turn_leaves_the_history_as_it_was(desk: Desk) -> None:
    await cells(desk, ("a", "one"))
    desk.server.enqueue(Reply(status(400, {"error": {"message": "the prompt is not to my taste"}})))
    failed = await desk.run("poison", cell="b", tools="none")
    assert failed.status == "failed" and failed.error is not None and failed.error.turn is failed
    assert "taste" in str(failed.error)
    await cells(desk, ("c", "three"))
    assert users(desk) == ["one", "three"]


async def test_a_turn_that_fails_in_its_second_step_keeps_what_was_done(desk: Desk) -> None:
    (desk.cwd / "a.txt").write_text("content of a\n")
    desk.server.enqueue(
        Reply(tool("Read", {"file_path": "a.txt"}, id="call_1")),
        Reply(status(400, {"error": {"message": "no"}})),
    )
    assert (await desk.run("read it", cell="a")).status == "failed"
    await desk.run("go on", cell="b")
    assert "content of a" in desk.results()["call_1"]


async def test_a_stream_that_breaks_for_good_fails_with_its_partial_answer(desk: Desk) -> None:
    desk.server.enqueue(Reply(text("half of"), status_of_error()))
    turn = await desk.run("talk", tools="none")
    assert turn.status == "failed"
    assert turn.error is not None and turn.error.partial is not None  # type: ignore[attr-defined]
    assert turn.error.partial.text == "half of"  # type: ignore[attr-defined]
    await cells(desk, ("b", "next"))
    assert users(desk) == ["next"]


def status_of_error() -> dict[str, object]:
    from support.chat_server import error

    return error(message="invalid request", code=400, type="invalid_request_error")


async def test_a_broken_stream_is_sent_again_and_is_no_error(desk: Desk) -> None:
    desk.server.enqueue(Reply(text("half of"), drop("close")), Reply(text("the whole")))
    turn = await desk.run("talk", tools="none")
    assert (turn.status, turn.text) == ("completed", "the whole")


async def test_an_interrupted_answer_keeps_its_text_only(desk: Desk) -> None:
    desk.server.enqueue(
        Reply(thinking("hm hm"), text("Half an ans"), tool("Read", {"file_path": "x"}), wait_for("never"))
    )
    turn = await desk.cancelled(
        lambda: "Half an ans" in "".join(e.text for e in desk.host.shown(TextDelta)), "talk", cell="a"
    )
    assert turn.status == "interrupted" and turn.text == "Half an ans" and turn.tool_calls == []
    await desk.run("go on", cell="b")
    kept = [m for m in desk.messages if m["role"] == "assistant"]
    assert [m["content"] for m in kept] == ["Half an ans"]
    assert all(not m.get("tool_calls") and not m.get("reasoning_content") for m in kept)


async def test_an_answer_interrupted_while_thinking_leaves_the_prompt(desk: Desk) -> None:
    desk.server.enqueue(Reply(thinking("hm hm"), wait_for("never")))
    turn = await desk.cancelled(lambda: bool(desk.host.shown(ThinkingDelta)), "think", cell="a", tools="none")
    assert turn.status == "interrupted" and turn.text == ""
    await desk.run("go on", cell="b", tools="none")
    assert not any(line.startswith("assistant") for line in desk.said())
    assert "think" in users(desk)[0] and "go on" in users(desk)[-1]


def test_calls_are_closed_by_place_where_a_server_repeats_its_ids() -> None:
    from ante_nb.messages import ToolResult

    call = Message("assistant", (ToolCall("0", "Read"),))
    answer = Message("tool", (ToolResult("0", (Text("a"),)),))
    out = settled([Message.user("x"), call, answer, call], finished=True)
    assert [m.role for m in out] == ["user", "assistant", "tool", "assistant", "tool"]
    assert out[-1].tool_results[0].is_error


def test_signed_thinking_of_an_interrupted_answer_is_kept_with_its_text() -> None:
    partial = Message(
        "assistant", (Thinking("a", "signed"), Thinking("b"), Text("words"), ToolCall("1", "Read"))
    )
    out = settled([Message.user("x"), partial], finished=False)
    assert out[-1].parts == (Thinking("a", "signed"), Text("words"))
    bare = Message("assistant", (Thinking("a", "signed"), Text("")))
    assert settled([Message.user("x"), bare], finished=False) == (Message.user("x"),)
