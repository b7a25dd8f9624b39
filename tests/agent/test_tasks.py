"""The task list comes back with its session, follows its branches, and outlives a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.ante import words_of
from support.chat_server import Reply, text, tool
from support.small_model import describe_model

from ante_nb.agent.runtime import Runtime
from ante_nb.agent.sessions import load_session
from ante_nb.agent.tasks import tasks_at, tasks_in, tasks_words, with_tasks
from ante_nb.messages import Compacted, Message, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from support.desk import Desk


def todo(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"todos": [{"content": words, "status": status} for words, status in pairs]}


async def plan(desk: Desk, prompt: str, cell: str, *pairs: tuple[str, str]) -> None:
    desk.server.enqueue(Reply(tool("TodoWrite", todo(*pairs), id=f"call_{cell}")), Reply(text("planned")))
    turn = await desk.run(prompt, cell=cell)
    assert turn.status == "completed", turn.error


def tasks(desk: Desk) -> list[str]:
    return [task["content"] for task in desk.runtime.session.tool_state.todos]


async def test_it_survives_a_resume_and_follows_branches_and_copies(desk: Desk) -> None:
    await plan(desk, "plan", "a", ("load", "completed"), ("clean", "in_progress"), ("plot", "pending"))
    await desk.run("go on", cell="b", tools="none")
    await plan(desk, "plan anew", "c", ("write", "pending"))
    old = desk.runtime.session
    old.journal.close()
    desk.runtime = Runtime()
    found = desk.runtime.resume(old.id)
    assert tasks_words(tasks_at(found.session, found.session.head)) == (
        "its task list: 0 of 1 done, next: write"
    )
    await desk.run("further", cell="d", tools="none")
    assert tasks(desk) == ["write"]
    # Before the turn that wrote the second list, the first one holds; before that there is none.
    desk.runtime.rewind("2")
    await desk.run("other", cell="e", tools="none")
    assert tasks(desk) == ["load", "clean", "plot"]
    assert desk.runtime.session.tool_state.todos[1] == {
        "content": "clean",
        "active_form": "clean",
        "status": "in_progress",
    }
    desk.runtime.fork()
    await desk.run("in the copy", cell="f", tools="none")
    assert tasks(desk) == ["load", "clean", "plot"]
    await desk.run("plan, changed", cell="a", tools="none")
    assert tasks(desk) == []


async def test_a_summary_by_hand_ends_with_it(desk: Desk) -> None:
    await plan(desk, "plan", "a", ("clean", "in_progress"), ("plot", "pending"))
    desk.server.enqueue(Reply(text("Requests: much.")))
    done = await desk.runtime.compact()
    assert done.summary == "Requests: much.\n\nThe task list (TodoWrite):\n[>] clean\n[ ] plot"
    await desk.run("go on")
    assert "[>] clean" in "".join(desk.said()) and tasks(desk) == ["clean", "plot"]
    session = desk.runtime.session
    again = load_session(session.id)
    assert tasks_at(again, again.head) == session.tool_state.todos


async def test_a_summary_in_the_middle_of_a_turn_keeps_it_too(desk: Desk) -> None:
    describe_model(desk, context_limit=5_500)
    replies = [Reply(tool("TodoWrite", todo(("count", "in_progress"), ("tell", "pending")), id="t"))]
    replies += [
        Reply(text(f"step {n} " + "because of this " * 90), tool("Glob", {"pattern": f"*{n}"}, id=f"c{n}"))
        for n in range(10)
    ]

    def answer(request: Any) -> Reply:
        if "<transcript>" in words_of(request.body["messages"][-1]):
            return Reply(text("Requests: count."))
        return replies.pop(0) if replies else Reply(text("done"))

    desk.server.handler = answer
    turn = await desk.run("count all of it", cell="a")
    assert turn.status == "completed" and any(e.summary for e in desk.host.shown(Compacted)), turn.error
    session = desk.runtime.session
    assert not any(
        call.name == "TodoWrite" for m in session.conversation(session.head) for call in m.tool_calls
    )
    assert "[>] count\n[ ] tell" in "".join(desk.said())
    again = load_session(session.id)
    assert [task["content"] for task in tasks_at(again, again.head)] == ["count", "tell"]


def test_only_what_was_carried_out_counts() -> None:
    def said(number: int, arguments: Any, *, is_error: bool = False) -> tuple[Message, Message]:
        call = ToolCall(f"c{number}", "TodoWrite", arguments)
        result = ToolResult(call.id, (Text("x"),), is_error=is_error)
        return Message("assistant", (call,)), Message("tool", (result,))

    first = said(1, todo(("one", "pending")))
    found = tasks_in([*first, *said(2, todo(("two", "pending")), is_error=True)])
    assert found is not None and found[0]["content"] == "one"
    damaged = tasks_in([*first, *said(3, {"todos": [{"content": "x", "status": "later"}]})])
    assert damaged == found and tasks_in([*first, *said(4, {"todos": "[]"})]) == []
    assert tasks_in([Message.user("hello")]) is None
    done = [{"content": "a", "active_form": "a", "status": "completed"}]
    assert with_tasks("Summary.", done) == with_tasks("Summary.", []) == "Summary." and not tasks_words(done)
