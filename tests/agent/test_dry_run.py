"""A dry run shows what would go out, byte for byte, and leaves everything as it was."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from support.chat_server import Reply, text
from support.small_model import PRICE, describe_model

if TYPE_CHECKING:
    from support.desk import Desk

    from ante_nb.agent.dry_run import Preview


async def preview(desk: Desk, prompt: str, **options: object) -> Preview:
    turn = await desk.run(prompt, dry_run=True, **options)
    assert turn.error is None and turn.preview is not None, turn.error
    return turn.preview


async def test_it_is_what_is_then_sent(desk: Desk) -> None:
    (desk.cwd / "a.csv").write_text("x,y\n1,2\n")
    await desk.run("first")
    asked = len(desk.server.chats)
    shown = await preview(desk, "what is in @a.csv?")
    assert len(desk.server.chats) == asked
    await desk.run("what is in @a.csv?")
    assert shown.body == desk.server.chats[-1].body
    assert shown.attachments == ("a.csv",) and "Read" in shown.tools
    assert shown.url.startswith("http://127.0.0.1:") and shown.url.endswith("/chat/completions")


async def test_nothing_changes(desk: Desk) -> None:
    await desk.run("first")
    session, runtime = desk.runtime.session, desk.runtime
    record = (session.journal.directory / "events.jsonl").read_bytes()
    before = (
        copy.deepcopy(session.nodes), dict(session.by_cell), session.head, session.prompts, session.turns,
        set(runtime.reported), runtime.last_turn, runtime.gauge,
    )  # fmt: skip
    for _ in range(3):
        await preview(desk, "second", thinking="high")
    after = (
        session.nodes, session.by_cell, session.head, session.prompts, session.turns, runtime.reported,
        runtime.last_turn, runtime.gauge,
    )  # fmt: skip
    assert before == after and (session.journal.directory / "events.jsonl").read_bytes() == record
    assert not desk.host.events and not desk.runtime.steer("hello?")


async def test_a_session_without_a_turn_writes_no_file(desk: Desk) -> None:
    await preview(desk, "hello")
    assert not (desk.home / "sessions").exists()


async def test_the_price_range(desk: Desk) -> None:
    assert "unknown" in (await preview(desk, "hello")).cost_note
    describe_model(desk, price=PRICE, output_limit=10_000)
    shown = await preview(desk, "hello", tools="none")
    assert shown.cost is not None and shown.answer_limit == 10_000
    low, high = shown.cost
    assert 0 < low < 0.01 and 0.1 <= high < 0.11
    desk.server.enqueue(Reply(text("long " * 3_000)))
    turn = await desk.run("hello", tools="none")
    assert turn.cost is not None
    shown = await preview(desk, "and then?", tools="none")
    assert shown.cost is not None and shown.cost[0] < shown.cost[1]


async def test_it_says_what_would_stand_in_the_way(desk: Desk) -> None:
    describe_model(desk, context_limit=8_000)
    shown = await preview(desk, "word " * 9_000, tools="none", max_tokens=500)
    assert any("500 tokens" in note for note in shown.notices)
    assert any("compacted first" in note for note in shown.notices)
    refused = await desk.run("hello", dry_run=True, provider="nobody")
    assert refused.status == "failed" and refused.preview is None


async def test_no_key_is_in_it(desk: Desk) -> None:
    shown = await preview(desk, "hello")
    assert "loopback-key" not in repr(shown)
