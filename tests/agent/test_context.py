"""The budget of the context: categories, the vendor's own count, the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.chat_server import Reply, text, tool, usage

from ante_nb.agent.context import CATEGORIES, Gauge, text_tokens
from ante_nb.messages import Image, Message, Text, Thinking, ToolCall, ToolResult, Usage

if TYPE_CHECKING:
    from support.desk import Desk

    from ante_nb.agent.context import ContextReport


def rows(report: ContextReport) -> dict[str, int]:
    return {row.name: row.tokens for row in report.rows}


async def test_a_session_without_a_turn_shows_prompt_and_tools(desk: Desk) -> None:
    report = desk.runtime.context()
    found = rows(report)
    assert list(found)[: len(CATEGORIES)] == list(CATEGORIES)
    assert found["system"] > 200 and found["tools"] > 1_000 and found["your prompts"] == 0
    assert report.estimated and report.used == found["system"] + found["tools"]


async def test_the_categories_of_a_turn(desk: Desk) -> None:
    (desk.cwd / "a.txt").write_text("word word word word\n" * 250)
    desk.host.namespace["df"] = "value " * 100
    desk.server.enqueue(Reply(tool("Read", {"file_path": "a.txt"}, id="c1")), Reply(text("answer " * 300)))
    await desk.run("What is in it? @df")
    found = rows(desk.runtime.context())
    assert found["tool results"] > found["answers"] > 100 and found["tool results"] > 500
    assert found["attachments"] > 0 < found["your prompts"] < 20 and found["tool calls"] < 40


async def test_the_vendors_count_scales_the_estimate(desk: Desk) -> None:
    desk.server.enqueue(Reply(text("one")))
    await desk.run("x" * 4_000, tools="none")
    before = desk.runtime.context()
    assert isinstance(desk.runtime.gauge, Gauge)
    desk.runtime.session.nodes.clear()
    desk.runtime.session.by_cell.clear()
    desk.runtime.session.head = None
    desk.server.enqueue(
        Reply(text("two"), usage(prompt_tokens=2_000, completion_tokens=5, total_tokens=2_005))
    )
    turn = await desk.run("x" * 4_000, tools="none")
    assert turn.usage == Usage(2_000, 5)
    after = desk.runtime.context()
    assert not after.estimated and abs(after.used - 2_005) < 30 and before.used != after.used


async def test_the_limit_and_what_is_free(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    desk.runtime.choices.provider, desk.runtime.choices.model = "openai", "gpt-5.4"
    report = desk.runtime.context()
    assert report.limit and (report.provider, report.model) == ("openai", "gpt-5.4")
    assert report.rows[-1].name == "free" and report.rows[-1].tokens == report.limit - report.used
    monkeypatch.delenv("OPENAI_API_KEY")
    report = desk.runtime.context()
    assert report.limit is None and report.rows[-1].name != "free", "without a key: no limit, no error"


def gauge() -> Gauge:
    return Gauge(None, "", ())


def test_every_kind_of_part_has_its_category() -> None:
    made = {"provider": "", "model": "", "encrypted": "x" * 400}
    messages = [
        Message.user("<environment>\nhere\n</environment>"),
        Message.user("a prompt", Text("<attachment a.csv>\n1,2\n</attachment>"), Image("AAAA", "image/png")),
        Message(
            "assistant",
            (
                Thinking("thought " * 50),
                Thinking("", redacted=True, provider_metadata=made),
                Text("said"),
                ToolCall("c", "Read", {"file_path": "x"}),
            ),
        ),
        Message("tool", (ToolResult("c", (Text("found " * 100), Image("AAAA", "image/png"))),)),
        Message.user("<summary>\nbefore\n</summary>"),
    ]
    found = rows(gauge().report(messages))
    assert found["attachments"] > 1_200 and found["tool results"] > 1_300
    assert found["thinking"] > 150 and found["summary"] > 0 and found["answers"] > 0 < found["tool calls"]
    assert found["your prompts"] < 10


def test_another_models_thinking_does_not_count() -> None:
    foreign = Thinking("long " * 500, "sig", provider_metadata={"provider": "p", "model": "m"})
    assert rows(gauge().report([Message("assistant", (foreign, Text("a")))]))["thinking"] <= 4


def test_a_count_that_cannot_be_is_not_believed() -> None:
    meter = gauge()
    messages = [Message.user("word " * 2_000)]
    plain = meter.used(messages)
    for wrong in (None, Usage(0, 1), Usage(7, 1), Usage(1_000_000, 1)):
        meter.measured(messages, wrong)
        assert meter.estimated and meter.used(messages) == plain
    meter.measured(messages, Usage(plain * 2, 1))
    assert not meter.estimated and meter.used(messages) == plain * 2


@pytest.mark.parametrize(
    ("words", "tokens"), [("The quick brown fox jumps over the lazy dog.", 10), ("数据分析" * 10, 35)]
)
def test_the_estimate_is_within_a_factor_of_two(words: str, tokens: int) -> None:
    assert tokens / 2 <= text_tokens(words) <= tokens * 2


def test_what_is_counted_does_not_depend_on_what_was_counted_before() -> None:
    import random

    random_ = random.Random(5)
    pool = [Message.user(f"{n} " + "word " * random_.randrange(300)) for n in range(40)]
    meter = gauge()
    for _ in range(300):
        some = random_.sample(pool, random_.randrange(len(pool)))
        assert abs(meter.used(some) - gauge().used(some)) <= 1
        some += random_.sample(pool, 3)
        assert abs(meter.used(some) - gauge().used(some)) <= 1
