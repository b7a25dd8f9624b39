"""Whole turns over the WebSocket mode: settings, what is shown, fallback, interrupts, the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.desk import DeskHost
from support.ws_server import KEY, Dialogue, Fault, ResponsesServer, call, message, wait_until

from ante_nb.agent.options import TurnOptions
from ante_nb.agent.runtime import Runtime
from ante_nb.messages import Notice, Retract, TextDelta, TurnStarted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ante_nb.agent.turn import Turn

CODE = "count = globals().get('count', 0) + 1\nprint('run', count)"
DIALOGUE = Dialogue(
    [[message("a~", "I count."), call("~", "Python", {"code": CODE})], [message("b~", "Counted.")]], free=True
)


class Bench:
    def __init__(self, server: ResponsesServer, cwd: Path) -> None:
        self.server, self.runtime, self.host = server, Runtime(), DeskHost(cwd)
        self.more: list[Runtime] = []

    async def run(self, prompt: str, runtime: Runtime | None = None, **options: Any) -> Turn:
        runtime = runtime or self.runtime
        self.host.events.clear()
        turn = runtime.new_turn(prompt)
        values = {"provider": "openai", "model": "gpt-5.4", "mode": "yolo", **options}
        await runtime.run(turn, TurnOptions(**values), self.host)
        return turn

    @property
    def status(self) -> tuple[str, str]:
        [started] = self.host.shown(TurnStarted)
        return started.status["OpenAI Transport"]


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.chdir(tmp_path)
    with ResponsesServer(DIALOGUE) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("ANTE_OPENAI_TRANSPORT", "websocket_auto")
        bench = Bench(server, tmp_path)
        yield bench
        for runtime in (bench.runtime, *bench.more):
            await runtime.aclose()


async def test_turns_go_over_one_socket_which_is_closed_at_the_end(bench: Bench) -> None:
    for number in (1, 2):
        turn = await bench.run("count")
        assert turn.status == "completed", turn.error
        assert (turn.transport, turn.text) == ("websocket_auto", "I count.\n\nCounted.")
        assert turn.tool_calls[0].result is not None and f"run {number}" in turn.tool_calls[0].result.text
        assert bench.status == ("websocket_auto", "environment ANTE_OPENAI_TRANSPORT")
    assert [(seen.way, seen.connection, seen.continued) for seen in bench.server.seen] == [
        ("websocket", 1, number > 0) for number in range(4)
    ]
    await bench.run("and now deeper", thinking="high")  # another level: the same socket, everything again
    assert (bench.server.seen[4].connection, bench.server.seen[4].continued) == (1, False)
    await bench.runtime.aclose()
    await asyncio.to_thread(wait_until, lambda: bench.server.closes == [1000])


async def test_the_default_is_http(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTE_OPENAI_TRANSPORT")
    turn = await bench.run("count")
    assert (turn.transport, bench.server.ways()) == ("http_sse", ["http"] * 2)
    assert bench.status == ("http_sse", "built-in default")


@pytest.mark.parametrize("layer", ["environment", "choice", "config"])
async def test_an_unknown_value_is_told_and_counts_as_http(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    monkeypatch.delenv("ANTE_OPENAI_TRANSPORT")
    if layer == "environment":
        monkeypatch.setenv("ANTE_OPENAI_TRANSPORT", "carrier_pigeon")
    else:
        target = bench.runtime.choices if layer == "choice" else bench.runtime.config
        target.openai_transport = "carrier_pigeon"
    turn = await bench.run("count")
    assert (turn.status, turn.transport) == ("completed", "http_sse")
    [notice] = [notice for notice in bench.host.shown(Notice) if "carrier_pigeon" in notice.text]
    assert "websocket_auto" in notice.text
    await bench.run("again")
    assert not [notice for notice in bench.host.shown(Notice) if "carrier_pigeon" in notice.text]


async def test_the_last_act_wins_over_the_environment(bench: Bench) -> None:
    bench.runtime.choices.openai_transport = "http_sse"
    assert (await bench.run("count")).transport == "http_sse"
    assert bench.status == ("http_sse", "%config")
    bench.runtime.choices.openai_transport = None
    bench.runtime.config.openai_transport = "http_sse"  # ranks below the environment
    assert (await bench.run("count")).transport == "websocket_auto"


@pytest.mark.parametrize(("create", "frame"), [(1, 0), (1, 6), (2, 0), (2, 4)])
async def test_a_broken_socket_costs_no_answer_and_no_second_run(
    bench: Bench, create: int, frame: int
) -> None:
    bench.server.faults = [Fault(create, frame, "reset")]
    turn = await bench.run("count")
    assert (turn.status, turn.error) == ("completed", None)
    assert (turn.transport, turn.text) == ("http_sse", "I count.\n\nCounted.")
    assert bench.host.namespace["count"] == 1
    assert [notice.kind for notice in bench.host.shown(Notice)] == ["transport"]
    assert len(bench.host.shown(Retract)) == (frame > 3)
    assert bench.server.refused == []
    turn = await bench.run("again")
    assert bench.status[0] == "http_sse (chosen: websocket_auto)" and turn.status == "completed"
    assert bench.host.namespace["count"] == 2


async def test_an_interrupt_in_mid_stream(bench: Bench) -> None:
    bench.server.pause = 0.05
    task = asyncio.create_task(bench.run("count"))
    while not bench.host.shown(TextDelta):
        assert not task.done()
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert bench.runtime.last_turn is not None and bench.runtime.last_turn.status == "interrupted"
    await asyncio.to_thread(wait_until, lambda: bench.server.open == 0)
    bench.server.pause = 0.0
    bench.server.seen.clear()
    bench.runtime.reset()
    turn = await bench.run("count again")
    assert (turn.status, turn.transport, bench.host.namespace["count"]) == ("completed", "websocket_auto", 1)
    assert bench.server.refused == []


async def test_an_interrupted_turn_is_gone_on_from_in_its_session(bench: Bench) -> None:
    assert (await bench.run("count")).status == "completed"
    bench.server.pause = 0.05
    task = asyncio.create_task(bench.run("count once more"))
    while len(bench.server.seen) < 3:
        assert not task.done()
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task], timeout=30)
    bench.server.pause = 0.0
    turn = await bench.run("and now")
    assert (turn.status, turn.transport) == ("completed", "websocket_auto")
    third = bench.server.seen[3]
    assert (third.way, third.connection, third.continued) == ("websocket", 2, False)


async def test_two_sessions_in_one_process_share_no_socket(bench: Bench) -> None:
    other = Runtime()
    bench.more.append(other)
    await bench.run("count")
    await bench.run("count", other)
    await bench.run("count")
    assert [seen.connection for seen in bench.server.seen] == [1, 1, 2, 2, 1, 1]
    assert len({seen.body["prompt_cache_key"] for seen in bench.server.seen}) == 2
    bench.runtime.reset()
    await bench.run("count")
    assert bench.server.seen[-1].connection == 3


def _status_words(bench: Bench) -> str:
    choice = bench.runtime.choose(TurnOptions(provider="openai", model="gpt-5.4"))
    return bench.runtime.transport_words(choice)


async def test_the_status_counts_a_step_that_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0123456789abcdef")
    turn = await bench.run("count")  # refused at the upgrade, and then over HTTP
    assert (turn.status, turn.transport) == ("failed", "http_sse")
    assert _status_words(bench) == "http_sse (chosen: websocket_auto)"


async def test_the_status_counts_a_step_that_was_interrupted(bench: Bench) -> None:
    bench.server.upgrades = ["hang"]
    task = asyncio.create_task(bench.run("count"))
    await asyncio.to_thread(wait_until, lambda: not bench.server.upgrades)
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert bench.runtime.last_turn is not None
    assert bench.runtime.last_turn.transport == ""  # no connection, so nothing was used
    bench.server.faults, bench.server.pause = [Fault(2, 0, "reset")], 0.05
    bench.runtime.reset()
    task = asyncio.create_task(bench.run("count"))
    while "http" not in bench.server.ways():
        assert not task.done()
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert (bench.server.ways(), bench.runtime.last_turn.status) == (
        ["websocket"] * 2 + ["http"],
        "interrupted",
    )
    assert _status_words(bench) == "http_sse (chosen: websocket_auto)"
