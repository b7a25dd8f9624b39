"""How a turn ends: step limit, output limit, pause, refusal, an empty answer, an error; and what it counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import check_conversation, words_of
from support.chat_server import Reply, finish, text, thinking, tool, usage

from ante_nb.errors import ContentFilterError, TurnError
from ante_nb.messages import Done, Message, Notice, Opaque, Text, TextDelta, TurnEnded, Usage, UsageUpdate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from support.desk import Desk


def reads(desk: Desk, count: int) -> list[Reply]:
    (desk.cwd / "a.txt").write_text("content\n")
    return [Reply(tool("Read", {"file_path": "a.txt"}, id=f"call_{n}")) for n in range(count)]


async def test_the_step_limit_ends_the_turn_and_a_further_prompt_goes_on(desk: Desk) -> None:
    desk.server.enqueue(*reads(desk, 5))
    turn = await desk.run("read for ever", max_steps=3)
    assert (turn.status, len(turn.steps)) == ("max_steps", 3)
    assert isinstance(turn.error, TurnError) and "--max-steps" in str(turn.error)
    assert [call.status for call in turn.tool_calls] == ["ok"] * 3
    desk.server.reset()
    turn = await desk.run("go on")
    assert turn.status == "completed" and sorted(desk.results()) == ["call_0", "call_1", "call_2"]


async def test_a_cut_answer_is_continued_three_times(desk: Desk) -> None:
    desk.server.enqueue(*[Reply(text(f"part {n} "), finish("length")) for n in range(6)])
    turn = await desk.run("long", tools="none")
    assert turn.status == "completed" and turn.stop_reason == "length"
    assert turn.text == "\n\n".join(f"part {n} " for n in range(4))
    assert len(desk.server.chats) == 4 and "cut off" in desk.said()[-1]


async def test_an_answer_that_was_cut_once_ends_by_itself(desk: Desk) -> None:
    desk.server.enqueue(Reply(text("first half,"), finish("length")), Reply(text("second half")))
    turn = await desk.run("long", tools="none")
    assert (turn.status, turn.stop_reason) == ("completed", "stop")


async def test_who_set_a_limit_gets_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_MAX_TOKENS", "64")
    desk.server.enqueue(Reply(text("cut"), finish("length")))
    turn = await desk.run("long", tools="none")
    assert (turn.status, turn.stop_reason, len(desk.server.chats)) == ("completed", "length", 1)


async def test_a_call_that_was_cut_is_not_run(desk: Desk) -> None:
    desk.server.enqueue(
        Reply(tool("Write", '{"file_path": "x", "content": "ha', id="call_1"), finish("length")),
        Reply(text("sorry")),
    )
    turn = await desk.run("write", mode="yolo")
    assert turn.status == "completed" and not (desk.cwd / "x").exists()
    assert "not a complete JSON object" in desk.results()["call_1"]


@pytest.mark.parametrize(("reason", "words"), [("content_filter", "filter"), ("refusal", "declined")])
@pytest.mark.parametrize("answer", ["I will not.", ""])
async def test_a_refusal_fails_with_one_clear_line(desk: Desk, reason: str, words: str, answer: str) -> None:
    desk.server.enqueue(Reply(*([text(answer)] if answer else []), finish(reason)))
    turn = await desk.run("something dark", tools="none")
    assert turn.status == "failed" and isinstance(turn.error, ContentFilterError)
    assert words in str(turn.error) and "test-model" in str(turn.error) and "\n" not in str(turn.error)
    assert turn.text == answer and turn.error.partial is not None and turn.error.partial.text == answer
    await desk.run("something bright", tools="none")
    assert desk.said() == ["user: something bright"]


async def test_an_empty_answer_is_said_and_does_not_stand_in_the_history(desk: Desk) -> None:
    desk.server.enqueue(*[Reply(finish("stop"))] * 3)
    turn = await desk.run("hello?", tools="none")
    assert (turn.status, turn.text) == ("completed", "")
    assert any("answered nothing" in notice.text for notice in desk.host.shown(Notice))
    await desk.run("still there?", tools="none")
    assert not [m for m in desk.messages if m["role"] == "assistant"]


async def test_thinking_alone_is_an_empty_answer_too(desk: Desk) -> None:
    desk.server.enqueue(*[Reply(thinking("hm"), finish("stop"))] * 3)
    turn = await desk.run("hello?", tools="none")
    assert turn.status == "completed" and turn.thinking == "hm"
    assert any("answered nothing" in notice.text for notice in desk.host.shown(Notice))
    await desk.run("still there?", tools="none")
    check_conversation(desk.messages)


class Billing:
    """A vendor that says what it has read before it writes (Anthropic's ``message_start``)."""

    transport = "http_sse"

    async def stream(self, request: Any) -> AsyncGenerator[Any, None]:
        yield UsageUpdate(Usage(70, 1))
        yield TextDelta(0, "Some words")
        yield UsageUpdate(Usage(70, 3))
        await asyncio.sleep(300)

    async def aclose(self) -> None: ...


async def test_what_an_interrupted_step_had_used_is_counted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ante_nb.agent.connection.connect", lambda runtime, choice, settings: Billing())
    turn = await desk.cancelled(lambda: len(desk.host.shown(UsageUpdate)) == 2, "talk", tools="none")
    assert (turn.status, turn.text) == ("interrupted", "Some words")
    assert turn.usage == Usage(70, 3) == turn.steps[0].usage == desk.runtime.session.usage


class Pausing:
    """A vendor whose own tools need more than one request (Anthropic's ``pause_turn``)."""

    transport = "http_sse"

    def __init__(self) -> None:
        self.requests: list[Any] = []

    async def stream(self, request: Any) -> AsyncGenerator[Any, None]:
        self.requests.append(request)
        if len(self.requests) < 3:
            block = Opaque("server_tool_use", {"provider": "p", "model": "m", "block": {"n": 1}})
            yield Done(Message("assistant", (block,)), "pause", Usage(10, 1))
        else:
            yield Done(Message("assistant", (Text("found"),)), "stop", Usage(20, 2))

    async def aclose(self) -> None: ...


async def test_a_pause_sends_the_conversation_again_as_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = Pausing()
    monkeypatch.setattr("ante_nb.agent.connection.connect", lambda runtime, choice, settings: vendor)
    turn = await desk.run("search", tools="none")
    assert (turn.status, turn.text, len(turn.steps)) == ("completed", "found", 3)
    assert [message.role for message in vendor.requests[-1].messages] == ["user", "assistant", "assistant"]
    assert turn.usage == Usage(40, 4)
    assert len({request.step_id for request in vendor.requests}) == 3


async def test_usage_is_the_sum_of_the_steps(desk: Desk) -> None:
    numbers = usage(
        prompt_tokens=100,
        completion_tokens=20,
        prompt_tokens_details={"cached_tokens": 60},
        completion_tokens_details={"reasoning_tokens": 5},
    )
    first, *_ = reads(desk, 1)
    desk.server.enqueue(Reply(numbers, *first.actions), Reply(numbers, text("done")))
    turn = await desk.run("read")
    assert turn.usage == Usage(200, 40, 120, 0, 10)
    assert desk.runtime.session.usage == turn.usage
    assert turn.cost is None and turn.cost_note == "unknown"
    assert desk.runtime.session.cost_known is False


async def test_the_end_is_shown_once_and_the_turn_has_everything(desk: Desk) -> None:
    turn = await desk.run("hello", tools="none")
    assert [event.turn for event in desk.host.shown(TurnEnded)] == [turn]
    assert (turn.provider, turn.model, turn.transport) == ("openai-compatible", "test-model", "http_sse")
    assert [m.role for m in turn.messages] == ["user", "assistant"] and turn.seconds > 0
    assert turn.session_id == desk.runtime.session.id and repr(turn).startswith(f"<Turn {turn.id} completed")


async def test_a_bad_flag_is_refused_before_anything_is_sent(desk: Desk) -> None:
    for options, words in [
        ({"provider": "nope"}, "nope"),
        ({"allow": ("Bash(",)}, "--allow"),
        ({"tool_choice": "Hammer"}, "Hammer"),
        ({"mode": "anarchy"}, "anarchy"),
    ]:
        turn = await desk.run("hello", **options)
        assert turn.status == "failed" and words in str(turn.error), turn.error
        assert [event.turn for event in desk.host.shown(TurnEnded)] == [turn]
    assert desk.server.chats == []
    await desk.run("hello", tools="none")
    assert desk.said() == ["user: hello"]


async def test_the_surroundings_are_told_once_and_the_head_stays_the_same_bytes(desk: Desk) -> None:
    for prompt in ("one", "two", "three"):
        await desk.run(prompt)
    heads = {words_of(request.body["messages"][0]) for request in desk.server.chats}
    assert len(heads) == 1
    whole = "\n".join(desk.said())
    assert whole.count("<environment>") == 1 and str(desk.cwd) in whole
    bodies = [request.body["messages"] for request in desk.server.chats]
    assert bodies[2][: len(bodies[1])] == bodies[1] and bodies[1][: len(bodies[0])] == bodies[0]
