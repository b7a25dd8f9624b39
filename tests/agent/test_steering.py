"""What the person says while a turn runs: when it enters, what it is part of, what becomes of the rest."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from support.ante import check_conversation
from support.chat_server import Reply, text, tool, wait_for

from ante_nb.agent.steering import Steering
from ante_nb.messages import Notice, Steered, StepStarted, TurnEnded

if TYPE_CHECKING:
    from support.desk import Desk


async def until(ready: object) -> None:
    async with asyncio.timeout(30):
        while not ready():  # type: ignore[operator]
            await asyncio.sleep(0.005)


async def test_it_enters_before_the_next_step_and_stays_in_the_session(desk: Desk) -> None:
    (desk.cwd / "a.txt").write_text("content\n")
    desk.server.enqueue(
        Reply(wait_for("go"), tool("Read", {"file_path": "a.txt"}, id="c1")), Reply(text("as you say"))
    )
    changes: list[int] = []
    desk.runtime.on_change.append(lambda: changes.append(1))
    task = asyncio.create_task(desk.run("read it"))
    await until(lambda: desk.server.chats)
    assert desk.runtime.steer("in French, please") and desk.runtime.steer("and short")
    assert desk.runtime.queued == ("in French, please", "and short") and len(changes) == 2
    desk.server.release("go")
    turn = await task
    assert (turn.status, turn.text, desk.runtime.queued) == ("completed", "as you say", ())
    roles = [message["role"] for message in desk.messages if message["role"] != "system"]
    assert roles[-3:] == ["assistant", "tool", "user"]  # the wire joins neighbours
    said = desk.said()[-1]
    assert said.startswith("user: in French, please") and said.endswith("and short")
    shown = [event for event in desk.host.events if isinstance(event, Steered | StepStarted)]
    assert [type(event).__name__ for event in shown] == ["StepStarted", "Steered", "Steered", "StepStarted"]
    await desk.run("next")
    assert said in desk.said()
    check_conversation(desk.messages)


async def test_after_the_last_step_the_turn_goes_on(desk: Desk) -> None:
    desk.server.enqueue(Reply(wait_for("go"), text("done")), Reply(text("done again")))
    task = asyncio.create_task(desk.run("do it", tools="none"))
    await until(lambda: desk.server.chats)
    assert desk.runtime.steer("once more")
    desk.server.release("go")
    turn = await task
    assert (turn.status, turn.text, len(turn.steps)) == ("completed", "done\n\ndone again", 2)
    assert not desk.runtime.steer("too late")


async def test_it_can_be_taken_back(desk: Desk) -> None:
    desk.server.enqueue(Reply(wait_for("go"), text("done")))
    task = asyncio.create_task(desk.run("do it", tools="none"))
    await until(lambda: desk.server.chats)
    desk.runtime.steer("first")
    desk.runtime.steer("second")
    assert (desk.runtime.unqueue(), desk.runtime.queued) == ("second", ("first",))
    assert (desk.runtime.unqueue(), desk.runtime.unqueue()) == ("first", None)
    desk.server.release("go")
    turn = await task
    assert len(turn.steps) == 1 and not desk.host.shown(Steered)


async def test_without_a_turn_nothing_is_queued(desk: Desk) -> None:
    assert not desk.runtime.steer("hello?") and desk.runtime.queued == ()
    await desk.run("a prompt", tools="none")
    assert not desk.runtime.steer("hello?") and desk.runtime.unqueue() is None
    refused = await desk.run("a prompt", model="x", provider="anthropic", tools="none")
    assert refused.status == "failed" and not desk.runtime.steer("hello?")


async def test_what_an_interrupt_cut_off_is_told_and_can_be_taken_back(desk: Desk) -> None:
    desk.server.enqueue(Reply(text("some words"), wait_for("never")))
    task = asyncio.create_task(desk.run("talk", tools="none"))
    await until(lambda: desk.server.chats)
    assert desk.runtime.steer("  ") is False
    desk.runtime.steer("shorter")
    task.cancel()
    await asyncio.wait([task])
    assert desk.last.status == "interrupted"
    notices = [event.text for event in desk.host.shown(Notice) if event.kind == "steering"]
    assert len(notices) == 1 and notices[0].endswith("shorter")
    assert isinstance(desk.host.events[-1], TurnEnded)
    assert (desk.runtime.queued, desk.runtime.unqueue()) == (("shorter",), "shorter")
    await desk.run("next", tools="none")
    assert not any("shorter" in line for line in desk.said())


async def test_a_mention_attaches_as_in_a_prompt(desk: Desk) -> None:
    desk.host.namespace["rate"] = 0.19
    desk.server.enqueue(Reply(wait_for("go"), text("done")))
    task = asyncio.create_task(desk.run("do it", tools="none"))
    await until(lambda: desk.server.chats)
    desk.runtime.steer("use @rate")
    desk.server.release("go")
    turn = await task
    assert "0.19" in desk.said()[-1] and any("0.19" in item for item in turn.attached)


async def test_a_turn_with_a_schema_goes_on_too(desk: Desk) -> None:
    desk.server.enqueue(
        Reply(wait_for("go"), tool("Answer", {"value": 1}, id="c1")),
        Reply(tool("Answer", {"value": 2}, id="c2")),
    )
    task = asyncio.create_task(desk.run("how many", schema=int, tools="none"))
    await until(lambda: desk.server.chats)
    desk.runtime.steer("count again")
    desk.server.release("go")
    turn = await task
    assert (turn.status, turn.value, len(turn.steps)) == ("completed", 2, 2)


async def test_at_the_step_limit_it_is_told(desk: Desk) -> None:
    desk.server.enqueue(Reply(wait_for("go"), text("done")))
    task = asyncio.create_task(desk.run("do it", tools="none", max_steps=1))
    await until(lambda: desk.server.chats)
    desk.runtime.steer("one more")
    desk.server.release("go")
    turn = await task
    assert turn.status == "max_steps"
    assert any("one more" in event.text for event in desk.host.shown(Notice))


def test_every_message_is_either_taken_or_refused_whatever_the_threads_do() -> None:
    for _ in range(200):
        steering = Steering()
        steering.begin()
        accepted: list[str] = []
        taken: list[str] = []

        def say(who: int, steering: Steering = steering, accepted: list[str] = accepted) -> None:
            accepted.extend(name for name in (f"{who}.{n}" for n in range(20)) if steering.put(name))

        threads = [threading.Thread(target=say, args=(who,)) for who in range(3)]
        for thread in threads:
            thread.start()
        while True:
            taken.extend(steering.take())
            if taken and steering.end_if_idle():
                break
        for thread in threads:
            thread.join()
        assert sorted(taken) == sorted(accepted) and steering.waiting == ()


@pytest.mark.parametrize(
    "words", ["<img src=x onerror=alert(1)>", "a\n\nb `c` $x$", "</blockquote><script>1</script>"]
)
def test_it_is_drawn_as_a_quotation_and_nothing_else(words: str) -> None:
    from support.stage import Stage

    stage = Stage()
    stage.events(Steered(words))
    [shown] = stage.shown()
    assert "<script" not in shown["text/html"] and "<img" not in shown["text/html"]
    assert shown["text/html"].count("<blockquote") == 1
    assert shown["text/plain"].splitlines() == [f"> {line}" for line in words.split("\n")]
