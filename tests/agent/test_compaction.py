"""The conversation is made shorter near the limit and on overflow; what is sent otherwise stays the same bytes."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import check_conversation, words_of
from support.chat_server import Reply, finish, status, text, tool, wait_for
from support.small_model import describe_model

from ante_nb.agent.compaction import (
    LEFT_OUT,
    room,
    summary_message,
    summary_text,
    without_old_results,
)
from ante_nb.agent.context import Gauge
from ante_nb.agent.session import settled
from ante_nb.agent.sessions import load_session
from ante_nb.agent.transcript import transcript
from ante_nb.errors import AnteError, ConfigError, ProviderError
from ante_nb.messages import Compacted, Message, Notice, Retract, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from support.chat_server import ChatServer
    from support.desk import Desk

OVERFLOW = {
    "error": {
        "message": "This model's maximum context length is 8192 tokens.",
        "code": "context_length_exceeded",
    }
}
SUMMARY = "Requests: read the files. State: half done."


def is_summary_request(body: dict[str, Any]) -> bool:
    return "<transcript>" in words_of(body["messages"][-1])


def sent(desk: Desk) -> list[dict[str, Any]]:
    return [chat.body for chat in desk.server.chats]


def big_reads(desk: Desk, count: int, size: int = 8_000) -> list[Reply]:
    for number in range(count):
        (desk.cwd / f"f{number}.txt").write_text(f"file {number}: " + "some words\n" * (size // 11))
    return [Reply(tool("Read", {"file_path": f"f{n}.txt"}, id=f"call_{n}")) for n in range(count)]


async def test_old_results_go_first_and_only_once(desk: Desk) -> None:
    describe_model(desk, context_limit=24_000)
    desk.server.enqueue(*big_reads(desk, 12), Reply(text("all read")))
    turn = await desk.run("read them all")
    assert turn.status == "completed", turn.error
    events = desk.host.shown(Compacted)
    assert events and all(event.results and not event.summary for event in events) and len(events) <= 3
    assert all(event.after < event.before <= 24_000 for event in events)
    assert not any(is_summary_request(body) for body in sent(desk))
    results = desk.results()
    assert results["call_0"] == LEFT_OUT and "file 11" in results["call_11"]
    # Between two changes each request begins with the bytes of the one before it.
    broken = 0
    for before, after in zip(sent(desk), sent(desk)[1:], strict=False):
        head = json.dumps(before["messages"])[:-1]
        broken += not json.dumps(after["messages"]).startswith(head)
    assert broken == len(events)


async def test_what_was_left_out_stays_out_in_later_turns_and_after_a_resume(desk: Desk) -> None:
    describe_model(desk, context_limit=24_000)
    desk.server.enqueue(*big_reads(desk, 10), Reply(text("all read")))
    await desk.run("read them all", cell="one")
    last = sent(desk)[-1]["messages"]
    await desk.run("go on", cell="two")
    assert sent(desk)[-1]["messages"][: len(last)] == last
    session = desk.runtime.session
    again = load_session(session.id, session.home)
    assert again.conversation(again.head) == session.conversation(session.head)
    from ante_nb.notebook.export import exchanges_of

    answers = [[part.text for part in e.parts if isinstance(part, Text)] for e in exchanges_of(again)]
    assert [texts[-1] for texts in answers] == ["all read", "echo: go on"] and len(answers[1]) == 1
    # The cell above starts from where it did: nothing is left out there.
    desk.server.enqueue(Reply(text("anew")))
    await desk.run("read them all, anew", cell="one")
    assert not [m for m in desk.messages if m["role"] == "tool"]


async def test_a_long_conversation_becomes_a_summary_that_is_shown(desk: Desk) -> None:
    describe_model(desk, context_limit=10_000)
    for number in range(4):
        desk.server.enqueue(Reply(text(f"answer {number} " + "words and more words " * 400)))
        await desk.run(f"question {number}")
    before = desk.runtime.context().used
    desk.server.enqueue(Reply(text(SUMMARY)), Reply(text("going on")))
    turn = await desk.run("and now?")
    assert (turn.status, turn.text) == ("completed", "going on"), turn.error
    [event] = desk.host.shown(Compacted)
    assert event.summary == SUMMARY and event.after < event.before
    said = desk.said()
    assert SUMMARY in "".join(said) and "question 1" not in "".join(said) and "and now?" in said[-1]
    assert "<environment>" in "".join(said), "the surroundings are kept"
    asked = words_of(sent(desk)[-2]["messages"][-1])
    assert "question 1" in asked and "answer 3" in asked and not sent(desk)[-2].get("tools")
    report = desk.runtime.context()
    assert report.used < before and next(row.tokens for row in report.rows if row.name == "summary") > 0
    assert desk.runtime.summary() == SUMMARY
    assert turn.usage is not None and turn.usage.input > turn.steps[0].usage.input  # the summary is counted


async def test_in_the_middle_of_a_long_turn_the_prompt_and_the_last_steps_stay(desk: Desk) -> None:
    describe_model(desk, context_limit=5_500)
    replies = [
        Reply(
            text(f"step {n} " + "because of this and that " * 60),
            tool("Glob", {"pattern": f"*{n}"}, id=f"c{n}"),
        )
        for n in range(12)
    ]

    def answer(request: Any) -> Reply:
        if is_summary_request(request.body):
            return Reply(text(SUMMARY))
        return replies.pop(0) if replies else Reply(text("done"))

    desk.server.handler = answer
    turn = await desk.run("do all of it")
    assert turn.status == "completed" and len(turn.steps) == 13, turn.error
    assert 1 <= len([e for e in desk.host.shown(Compacted) if e.summary]) <= 3
    said = "\n".join(desk.said())
    assert "do all of it" in said and "step 11" in said and "step 0" not in said
    check_conversation(desk.messages)
    session = desk.runtime.session
    assert session.conversation(session.head)[-1].text == "done"
    again = load_session(session.id, session.home)
    assert again.conversation(again.head) == session.conversation(session.head)


@pytest.mark.parametrize("code", [400, 413])
async def test_an_overflow_is_compacted_and_sent_again_once(desk: Desk, code: int) -> None:
    desk.server.enqueue(*big_reads(desk, 5), Reply(text("read")))
    await desk.run("read them")
    body = OVERFLOW if code == 400 else {"error": {"message": "Request Entity Too Large"}}
    desk.server.enqueue(Reply(status(code, body)), Reply(text(SUMMARY)), Reply(text("it fits")))
    turn = await desk.run("and now?")
    assert (turn.status, turn.text, len(turn.steps)) == ("completed", "it fits", 1), turn.error
    assert len(desk.host.shown(Compacted)) == 1
    check_conversation(desk.messages)


async def test_a_second_overflow_is_the_persons(desk: Desk) -> None:
    desk.server.enqueue(*big_reads(desk, 5), Reply(text("read")))
    await desk.run("read them")
    head = desk.runtime.session.head
    desk.server.handler = lambda request: (
        Reply(text(SUMMARY)) if is_summary_request(request.body) else Reply(status(400, OVERFLOW))
    )
    turn = await desk.run("and now?")
    assert turn.status == "failed" and isinstance(turn.error, ProviderError)
    assert len(desk.host.shown(Compacted)) == 1 and desk.runtime.session.head == head


async def test_an_answer_that_the_full_context_cut_is_withdrawn(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ante_nb.messages import Done, TextDelta, Usage

    class Full:
        transport = "http_sse"
        calls = 0

        async def stream(self, request: Any) -> AsyncGenerator[Any, None]:
            self.calls += 1
            if self.calls == 2:
                yield TextDelta(0, "cut o")
                yield Done(Message("assistant", (Text("cut o"),)), "context_overflow", Usage(90, 9))
            else:
                yield Done(Message("assistant", (Text("whole"),)), "stop", Usage(10, 1))

        async def complete(self, request: Any) -> Done:
            return Done(Message("assistant", (Text(SUMMARY),)), "stop", Usage(50, 5))

        async def aclose(self) -> None: ...

    vendor = Full()
    monkeypatch.setattr("ante_nb.agent.connection.connect", lambda runtime, choice, settings: vendor)
    await desk.run("one")
    turn = await desk.run("two")
    assert (turn.status, turn.text, len(turn.steps)) == ("completed", "whole", 1), turn.error
    assert len(desk.host.shown(Retract)) == 1 and turn.usage == Usage(150, 15)
    texts = [message.text for message in turn.messages]
    assert "cut o" not in texts and texts[-1] == "whole"


async def test_nothing_happens_where_the_person_does_not_want_it(desk: Desk) -> None:
    describe_model(desk, context_limit=6_000, settings={"auto_compact": False})
    desk.server.enqueue(*big_reads(desk, 5), Reply(text("read")))
    turn = await desk.run("read them")
    assert turn.status == "completed" and not desk.host.shown(Compacted)
    assert desk.runtime.context().compacts_at is None
    desk.server.enqueue(Reply(status(400, OVERFLOW)))
    turn = await desk.run("and now?")
    assert turn.status == "failed" and not desk.host.shown(Compacted)


async def test_a_summary_that_fails_costs_nothing_but_a_notice(desk: Desk) -> None:
    describe_model(desk, context_limit=8_000)
    desk.server.enqueue(Reply(text("long " * 5_000)))
    await desk.run("first")
    desk.server.handler = lambda request: (
        Reply(status(401, {"error": {"message": "no"}}))
        if is_summary_request(request.body)
        else Reply(text("ok"))
    )
    turn = await desk.run("second")
    assert (turn.status, turn.text) == ("completed", "ok")
    assert any("could not be summarised" in event.text for event in desk.host.shown(Notice))
    assert desk.runtime.summary() is None


async def test_an_interrupt_while_the_summary_is_written_changes_nothing(desk: Desk) -> None:
    describe_model(desk, context_limit=8_000)
    desk.server.enqueue(Reply(text("long " * 5_000)))
    await desk.run("first")
    before = desk.runtime.session.conversation(desk.runtime.session.head)
    desk.server.handler = lambda request: Reply(wait_for("never"), text(SUMMARY))
    turn = await desk.cancelled(lambda: len(desk.server.chats) == 2, "second")
    assert turn.status == "interrupted" and desk.runtime.summary() is None
    after = desk.runtime.session.conversation(desk.runtime.session.head)
    assert after[: len(before)] == before


# ------------------------------------------------------------------------------------------- by hand


async def test_compact_by_hand_with_instructions(desk: Desk) -> None:
    desk.server.enqueue(Reply(text("the answer is 42 " * 50)))
    await desk.run("what is it?", cell="one")
    desk.server.enqueue(Reply(text(SUMMARY)))
    done = await desk.runtime.compact("keep the number", cell="two")
    assert done.summary == SUMMARY and done.after < done.before
    assert "keep the number" in words_of(sent(desk)[-1]["messages"][-1])
    desk.server.enqueue(Reply(text("as before")))
    await desk.run("go on", cell="three")
    said = "".join(desk.said())
    assert SUMMARY in said and "what is it?" not in said and "<environment>" in said
    session = desk.runtime.session
    again = load_session(session.id, session.home)
    assert again.conversation(again.head) == session.conversation(session.head)
    assert again.usage == session.usage and again.by_cell == session.by_cell
    # Run All: the same cells lead to the same tree.
    nodes = set(session.nodes)
    desk.server.enqueue(Reply(text("the answer is 42 " * 50)), Reply(text(SUMMARY)), Reply(text("as before")))
    await desk.run("what is it?", cell="one")
    await desk.runtime.compact("keep the number", cell="two")
    await desk.run("go on", cell="three")
    assert set(session.nodes) == nodes


async def test_the_summary_can_be_edited(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="no summary"):
        desk.runtime.edit_summary("mine")
    with pytest.raises(ConfigError, match="nothing to compact"):
        await desk.runtime.compact()
    await desk.run("first")
    desk.server.enqueue(Reply(text(SUMMARY)))
    await desk.runtime.compact()
    with pytest.raises(ConfigError, match="summary already"):
        await desk.runtime.compact()
    desk.runtime.edit_summary("What I say it was: ü </summary> {x}")
    assert desk.runtime.summary() == "What I say it was: ü </summary> {x}"
    await desk.run("go on")
    assert "What I say it was: ü" in "".join(desk.said()) and SUMMARY not in "".join(desk.said())
    session = desk.runtime.session
    again = load_session(session.id, session.home)
    assert again.conversation(again.head) == session.conversation(session.head)
    with pytest.raises(ConfigError, match="empty"):
        desk.runtime.edit_summary("  ")


async def test_a_model_without_words_is_an_error_and_nothing_changes(desk: Desk) -> None:
    await desk.run("first")
    head = desk.runtime.session.head
    desk.server.handler = lambda request: Reply(finish("stop"))
    with pytest.raises(AnteError):
        await desk.runtime.compact()
    assert desk.runtime.session.head == head


async def test_by_hand_it_is_replayed_like_a_turn(
    desk: Desk, chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ante_nb.agent.runtime import Runtime

    monkeypatch.setenv("ANTE_REPLAY", "auto")
    await desk.run("first", cell="one")
    desk.server.enqueue(Reply(text(SUMMARY)))
    await desk.runtime.compact(cell="two")
    asked = len(chat_server.chats)
    await desk.runtime.aclose()
    monkeypatch.setenv("ANTE_REPLAY", "only")
    desk.runtime = Runtime()
    await desk.run("first", cell="one")
    assert (await desk.runtime.compact(cell="two")).summary == SUMMARY
    assert len(chat_server.chats) == asked


# ---------------------------------------------------------------------------------- the pieces of it


def conversation(random_: random.Random, turns: int) -> list[Message]:
    messages: list[Message] = []
    for turn in range(turns):
        messages.append(Message.user(f"prompt {turn} " + "word " * random_.randrange(200)))
        for step in range(random_.randrange(4)):
            calls = tuple(
                ToolCall(f"c{turn}.{step}.{n}", "Read", {"n": n}) for n in range(random_.randrange(1, 4))
            )
            messages.append(Message("assistant", (Text("thus"), *calls)))
            results = tuple(ToolResult(c.id, (Text("line\n" * random_.randrange(2_000)),)) for c in calls)
            messages.append(Message("tool", results))
        messages.append(Message("assistant", (Text("answer " * random_.randrange(300)),)))
    return messages


@pytest.mark.parametrize("seed", range(20))
def test_leaving_out_keeps_every_call_answered_and_never_makes_it_longer(seed: int) -> None:
    random_ = random.Random(seed)
    messages = conversation(random_, 8)
    gauge = Gauge(None, "", ())
    target = int(gauge.used(messages) * random_.random())
    shorter, count = without_old_results(messages, gauge, target)
    assert settled(shorter, finished=True) == tuple(shorter) and len(shorter) == len(messages)
    assert gauge.used(shorter) <= gauge.used(messages)
    assert count == sum(p.text == LEFT_OUT for m in shorter for p in m.tool_results)
    assert without_old_results(shorter, gauge, gauge.used(shorter)) == (shorter, 0)
    recent = [m for m in messages if m.tool_results][-3:]
    assert [m for m in shorter if m.tool_results][-3:] == recent


@pytest.mark.parametrize("seed", range(10))
def test_a_transcript_fits_and_keeps_both_ends(seed: int) -> None:
    messages = conversation(random.Random(seed), 30)
    gauge = Gauge(None, "", ())
    whole = gauge.used(messages)
    for target in (whole, whole // 3, 2_000):
        words = transcript(messages, gauge, target)
        assert len(words) / 3.7 <= target * 1.1 and "prompt 0" in words
        assert "prompt 29" in words


def test_a_summary_is_found_again() -> None:
    assert summary_text(summary_message("one\n\ntwo")) == "one\n\ntwo"
    assert summary_text(Message.user("a prompt")) is None
    assert summary_text(Message("assistant", (Text("<summary>no</summary>"),))) is None


def test_room_for_the_answer_is_kept() -> None:
    assert [room(limit) for limit in (8_000, 100_000, 1_000_000)] == [6_400, 80_000, 980_000]
