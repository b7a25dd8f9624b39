"""Whatever happens in a turn, the next request is a conversation that every vendor takes.

Random scripts of steps (text, thinking, calls of every outcome, refusals, broken streams, interrupts at
random moments) against the loopback server; after each turn the next request is checked.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from support.ante import check_conversation, rounds, seeded
from support.chat_server import Reply, error, finish, status, text, thinking, tool, tools, wait

from ante_nb.agent.host import Approval

if TYPE_CHECKING:
    import random

    from support.desk import Desk


ROUNDS = rounds(40, 1500)


def a_call(rng: random.Random, number: int, *, same_ids: bool) -> dict[str, Any]:
    ident = f"call_{number}" if same_ids else f"call_{rng.randrange(1 << 30)}_{number}"
    return rng.choice(
        [
            tool("Read", {"file_path": "a.txt"}, id=ident),
            tool("Read", {"file_path": "missing"}, id=ident),
            tool("Read", {"wrong": True}, id=ident),
            tool("Read", '{"file_path": "a', id=ident),
            tool("NoSuchTool", {"x": 1}, id=ident),
            tool("Write", {"file_path": f"w{number}", "content": "x"}, id=ident),
            tool("Python", {"code": "1 / 0"}, id=ident),
            tool("Python", {"code": "import asyncio\nawait asyncio.sleep(0.05)"}, id=ident),
            tool("Bash", {"command": "sleep 0.05; echo hi"}, id=ident),
            tool("Bash", {"command": "kill -9 $$"}, id=ident),
            tool("TodoWrite", {"todos": "none"}, id=ident),
        ]
    )


def a_reply(rng: random.Random) -> Reply:
    kind = rng.random()
    actions: list[Any] = []
    if rng.random() < 0.4:
        actions.append(thinking("hm"))
    if rng.random() < 0.6:
        actions.append(text("Some words. "))
    if rng.random() < 0.5:
        actions.append(wait(rng.choice([0.0, 0.02])))
    if kind < 0.65:
        same = rng.random() < 0.5
        count = rng.choice([1, 1, 2, 4])
        actions.append(tools(*[a_call(rng, n, same_ids=same) for n in range(count)]))
        if rng.random() < 0.1:
            actions.append(finish("length"))
    elif kind < 0.72:
        return Reply(status(400, {"error": {"message": "no"}}))
    elif kind < 0.79:
        actions.append(error(message="broken", code=400, type="invalid_request_error"))
    elif kind < 0.86:
        actions.append(finish("content_filter"))
    elif kind < 0.9:
        actions.append(finish("length"))
    elif not actions:
        actions.append(text("End."))
    return Reply(*actions)


def an_answer(rng: random.Random) -> Any:
    def broken(request: Any) -> Approval:
        raise RuntimeError("the card broke")

    return rng.choice(
        [Approval("once"), Approval("session"), Approval("deny", "no!"), Approval("deny"), broken]
    )


async def test_the_next_request_is_valid_whatever_happened(desk: Desk) -> None:
    rng = seeded("conversation")
    (desk.cwd / "a.txt").write_text("content\n")
    seen: dict[str, int] = {}
    for number in range(ROUNDS):
        if rng.random() < 0.1:
            desk.runtime.reset()
        desk.server.reset()
        desk.server.enqueue(*[a_reply(rng) for _ in range(rng.randrange(1, 5))])
        running: asyncio.Task[Any] = asyncio.create_task(  # noqa: RUF006  (waited for below)
            desk.run(
                f"prompt {number}",
                cell=rng.choice([None, "a", "b", "c"]),
                append=rng.random() < 0.3,
                mode=rng.choice(["strict", "auto", "yolo"]),
                max_steps=rng.choice([1, 2, 8]),
                answers=[an_answer(rng) for _ in range(rng.randrange(6))],
            )
        )
        if rng.random() < 0.4:
            await asyncio.sleep(rng.uniform(0, 0.12))
            running.cancel()
        done, _ = await asyncio.wait([running], timeout=30)
        assert done, f"round {number} hangs"
        turn = desk.last
        seen[turn.status] = seen.get(turn.status, 0) + 1
        assert "something went wrong inside" not in str(turn.error), turn.error
        for request in desk.server.chats:
            check_conversation(request.body["messages"])
        assert all(call.result is not None for call in turn.tool_calls), (number, turn)
        answered = [call.status for call in turn.tool_calls]
        assert all(word in ("ok", "error", "denied", "interrupted") for word in answered)
        desk.server.reset()
        follow = await desk.run("and now?", append=True, tools="none" if rng.random() < 0.3 else None)
        assert (follow.status, follow.text) == ("completed", "echo: and now?"), (number, follow.error)
        assert desk.messages
    print(seen)
    assert {"completed", "failed", "interrupted"} <= set(seen) or ROUNDS < 30
