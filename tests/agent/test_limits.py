"""Limits of a turn and of a session: when they stop it, what is kept, what they refuse to start."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

import pytest
from support.ante import check_conversation
from support.chat_server import Reply, text, tool, usage, wait_for
from support.small_model import PRICE, describe_model

from ante_nb.agent.host import Approval
from ante_nb.agent.limits import parse_limit, words
from ante_nb.agent.sessions import load_session
from ante_nb.errors import ConfigError, LimitError

if TYPE_CHECKING:
    from typing import Any

    from support.desk import Desk


def step(number: int, tokens: int = 1_000) -> Reply:
    counted = usage(prompt_tokens=tokens, completion_tokens=100, total_tokens=tokens + 100)
    return Reply(tool("Glob", {"pattern": f"*{number}"}, id=f"c{number}"), counted)


async def test_tokens_end_the_turn_before_the_step_that_would_pass_them(desk: Desk) -> None:
    desk.server.enqueue(*[step(number) for number in range(9)])
    turn = await desk.run("on and on", max_tokens=5_000)
    assert turn.status == "max_steps" and isinstance(turn.error, LimitError)
    assert "5,000 tokens" in str(turn.error) and "--max-tokens" in str(turn.error)
    assert turn.usage is not None and 2_000 < turn.usage.input + turn.usage.output <= 5_000
    desk.server.reset()
    turn = await desk.run("go on")
    assert turn.status == "completed" and "c0" in desk.results()
    check_conversation(desk.messages)


async def test_a_prompt_that_is_longer_than_its_limit_is_not_sent(desk: Desk) -> None:
    turn = await desk.run("word " * 4_000, max_tokens=1_000, tools="none")
    assert turn.status == "max_steps" and isinstance(turn.error, LimitError) and not desk.server.chats


async def test_dollars_end_the_turn(desk: Desk) -> None:
    describe_model(desk, price=PRICE)
    desk.server.enqueue(*[step(number, 100_000) for number in range(9)])
    turn = await desk.run("on and on", max_cost=0.25)
    assert turn.status == "max_steps" and "$0.25" in str(turn.error) and "--max-cost" in str(turn.error)
    assert turn.cost is not None and 0.1 <= turn.cost <= 0.25


async def test_a_limit_in_dollars_needs_a_price(desk: Desk) -> None:
    turn = await desk.run("hello", max_cost=0.25)
    assert turn.status == "failed" and isinstance(turn.error, ConfigError) and not desk.server.chats
    assert "price" in str(turn.error) and "cell flag" in str(turn.error)


async def test_seconds_end_a_turn_in_the_middle_of_an_answer(desk: Desk) -> None:
    desk.server.enqueue(Reply(text("some words"), wait_for("never")))
    began = time.monotonic()
    turn = await desk.run("talk", tools="none", max_seconds=0.7)
    assert time.monotonic() - began < 10
    assert turn.status == "max_steps" and isinstance(turn.error, LimitError) and "0.7 s" in str(turn.error)
    assert turn.text == "some words"
    await desk.run("go on", tools="none")
    assert any("some words" in line for line in desk.said())


async def test_seconds_end_a_tool_and_say_so(desk: Desk) -> None:
    desk.server.enqueue(Reply(tool("Bash", {"command": "sleep 60"}, id="c1")))
    turn = await desk.run("wait", mode="yolo", max_seconds=1.0)
    assert turn.status == "max_steps" and turn.tool_calls[0].status == "interrupted"
    await desk.run("go on")
    assert "time was over" in desk.results()["c1"] and "by the user" not in desk.results()["c1"]


async def test_the_person_may_think_as_long_as_they_like(desk: Desk) -> None:
    async def slowly(request: Any) -> Approval:
        await asyncio.sleep(2.5)
        return Approval("once")

    desk.server.enqueue(Reply(tool("Bash", {"command": "touch made"}, id="c1")), Reply(text("done")))
    turn = await desk.run("make it", answers=[slowly], max_seconds=2.0)
    assert (turn.status, turn.text) == ("completed", "done"), turn.error
    assert (desk.cwd / "made").exists()


async def test_an_interrupt_is_still_an_interrupt(desk: Desk) -> None:
    desk.server.enqueue(Reply(text("some words"), wait_for("never")))
    turn = await desk.cancelled(lambda: bool(desk.server.chats), "talk", max_seconds=60)
    assert turn.status == "interrupted"


async def test_a_session_has_its_own_limits(desk: Desk) -> None:
    runtime = desk.runtime
    runtime.set_limit("session.tokens", 3_000)
    runtime.set_limit("session.steps", 3)
    for _ in range(2):
        desk.server.enqueue(
            Reply(text("hi"), usage(prompt_tokens=1_000, completion_tokens=100, total_tokens=1_100))
        )
        assert (await desk.run("hello", tools="none", append=True)).status == "completed"
    asked = len(desk.server.chats)
    turn = await desk.run("hello", tools="none", append=True)
    assert turn.status == "max_steps" and "session" in str(turn.error) and len(desk.server.chats) == asked
    runtime.set_limit("session.tokens", math.inf)
    assert (await desk.run("hello", tools="none", append=True)).status == "completed"
    turn = await desk.run("hello", tools="none", append=True)
    assert turn.status == "max_steps" and "3 steps" in str(turn.error)
    again = load_session(runtime.session.id, runtime.session.home)
    assert again.steps == runtime.session.steps == 3 and again.seconds > 0
    runtime.set_limit("session.steps", None)
    runtime.set_limit("session.seconds", 0.000001)
    turn = await desk.run("hello", tools="none", append=True)
    assert turn.status == "max_steps" and isinstance(turn.error, LimitError)
    runtime.reset()
    runtime.set_limit("session.seconds", 600)
    assert (await desk.run("hello", tools="none")).status == "completed"


async def test_settings_and_their_precedence(desk: Desk) -> None:
    describe_model(desk, settings={"limits": {"turn": {"steps": 2, "tokens": 900_000}}})
    desk.server.enqueue(*[step(number) for number in range(9)])
    turn = await desk.run("on and on")
    assert (turn.status, len(turn.steps)) == ("max_steps", 2)
    turn = await desk.run("on and on", max_steps=3)
    assert (turn.status, len(turn.steps)) == ("max_steps", 3)
    desk.runtime.set_limit("steps", 1)
    turn = await desk.run("on and on")
    assert (turn.status, len(turn.steps)) == ("max_steps", 1)


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("tokens", "200k", 200_000), ("tokens", "1.5m", 1_500_000), ("cost", "$0.50", 0.5), ("cost", "off", math.inf),
        ("session.cost", "5", 5.0), ("seconds", "90", 90.0), ("steps", "7", 7.0), ("steps", "-", None),
        ("turn.tokens", "1_000", 1_000.0),
    ],
)  # fmt: skip
def test_limits_as_people_write_them(key: str, given: str, value: float | None) -> None:
    assert parse_limit(key, given) == value


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("tokens", "many"),
        ("tokens", "0"),
        ("tokens", "1.5"),
        ("cost", "-1"),
        ("cost", "nan"),
        ("wishes", "3"),
    ],
)
def test_what_is_no_limit_is_refused(key: str, given: str) -> None:
    with pytest.raises(ConfigError):
        parse_limit(key, given)


def test_amounts_as_people_read_them() -> None:
    said = [
        words(*pair) for pair in (("cost", 0.05), ("cost", 2), ("tokens", 1), ("seconds", 90.2), ("steps", 7))
    ]
    assert said == ["$0.0500", "$2.00", "1 token", "90 s", "7 steps"]
