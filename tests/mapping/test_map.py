"""``ante_nb.map``: one prompt over many items, at once, over any executor."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import Reply, status, text, tool, wait
from support.mapped import item_of

import ante_nb
from ante_nb import ConfigError, TurnError

if TYPE_CHECKING:
    from pathlib import Path

    from support.chat_server import ChatServer


@dataclass
class Sum:
    total: int


def test_every_item_is_a_turn_of_its_own_in_order(server: ChatServer) -> None:
    server.handler = lambda request: Reply(
        wait(0.05 * (len(item_of(request)) % 3)), text(f"<{item_of(request)}>")
    )
    words = [f"item {'x' * n} {{not formatted}} @nothing" for n in range(12)]
    result = ante_nb.map("Say {it} back.", words, tools="none", progress=False)
    assert result.texts == [f"<{word}>" for word in words]
    assert len(result) == 12 and result[3].text == result.texts[3] and not result.failed
    assert len({turn.session_id for turn in result}) == 12
    asked = server.chats
    assert len(asked) == 12 and not any(request.body.get("stream") for request in asked)
    assert all("Say {it} back." in str(request.body["messages"][-1]) for request in asked)
    assert result.usage.input == sum(turn.usage.input for turn in result if turn.usage)
    assert repr(result) == "<MapResult: 12 of 12 answered>"


def test_items_run_at_once_and_no_more_than_was_said(server: ChatServer) -> None:
    server.handler = lambda request: Reply(wait(0.5), text("ok"))
    started = time.monotonic()
    ante_nb.map("Go.", range(16), tools="none", concurrency=4, progress=False)
    # One after the other it would be 8 seconds, all at once half of one.
    assert 1.9 < time.monotonic() - started < 7


def test_an_item_is_data_and_attaches_nothing(server: ChatServer, tmp_path: Path) -> None:
    (tmp_path / "work" / "secret.txt").write_text("the secret words")
    (tmp_path / "work" / "plan.txt").write_text("the plan")
    ante_nb.map("Use @plan.txt", ["see @secret.txt"], tools="none", progress=False)
    sent = str(server.chats[-1].body)
    assert "the plan" in sent and "the secret words" not in sent and "see @secret.txt" in sent
    ante_nb.map(lambda item: f"About {item}", ["@secret.txt"], tools="none", progress=False)
    sent = str(server.chats[-1].body)
    assert "the secret words" not in sent and "About @secret.txt" in sent


def test_items_that_are_no_text_are_json(server: ChatServer) -> None:
    result = ante_nb.map("Go.", [{"a": 1}, Sum(3), 4, None], tools="none", progress=False)
    assert result.texts == ['<{"a": 1}>', '<{"total": 3}>', "<4>", "<null>"]


def test_a_failed_item_is_reported_and_runs_again_alone(server: ChatServer) -> None:
    def handler(request: Any) -> Reply:
        bad = item_of(request) in ("2", "5")
        return (
            Reply(status(400, {"error": {"message": "not today"}})) if bad else Reply(text(item_of(request)))
        )

    server.handler = handler
    result = ante_nb.map("Go.", range(8), tools="none", progress=False)
    assert [(failed.index, failed.item) for failed in result.failed] == [(2, 2), (5, 5)]
    assert (
        "not today" in str(result.failed[0].error)
        and "6 of 8" in repr(result)
        and "not today" in repr(result)
    )
    assert result.texts[2] is None and result.texts[3] == "3"
    server.handler = lambda request: Reply(text(f"again {item_of(request)}"))
    sent = len(server.chats)
    assert result.resume() is result
    assert result.texts == ["0", "1", "again 2", "3", "4", "again 5", "6", "7"] and not result.failed
    assert len(server.chats) == sent + 2


def test_values_by_a_schema(server: ChatServer) -> None:
    server.handler = lambda request: Reply(tool("Answer", {"total": int(item_of(request)) * 2}))
    result = ante_nb.map("Double it.", [1, 2, 3], schema=Sum, tools="none", progress=False)
    assert result.values == [Sum(2), Sum(4), Sum(6)]


def test_nobody_is_asked_for_an_approval(server: ChatServer, tmp_path: Path) -> None:
    def handler(request: Any) -> Reply:
        answered = any(m["role"] == "tool" for m in request.body["messages"])
        return Reply(text("done")) if answered else Reply(tool("Bash", {"command": "echo x > made.txt"}))

    server.handler = handler
    result = ante_nb.map("Go.", ["a"], progress=False)
    assert result[0].tool_calls[0].status == "denied" and not (tmp_path / "work" / "made.txt").exists()
    result = ante_nb.map("Go.", ["a"], allow=["Bash"], progress=False)
    assert result[0].tool_calls[0].status == "ok" and (tmp_path / "work" / "made.txt").exists()


def test_a_rate_limit_is_shared(server: ChatServer) -> None:
    lock = threading.Lock()
    limited: list[float] = []
    begun: list[float] = []

    def handler(request: Any) -> Reply:
        with lock:
            begun.append(time.monotonic())
            if not limited:
                limited.append(time.monotonic())
                return Reply(status(429, {"error": {"message": "slow down"}}, {"retry-after": "2"}))
        return Reply(wait(0.1), text("ok"))

    server.handler = handler
    result = ante_nb.map("Go.", range(12), tools="none", concurrency=3, progress=False)
    assert not result.failed
    # What was under way goes on; nothing begins until the vendor's pause is over.
    early = [at for at in begun if limited[0] + 0.3 < at < limited[0] + 1.7]
    assert not early, [round(at - limited[0], 2) for at in begun]


def test_an_interrupt_keeps_what_was_answered(server: ChatServer) -> None:
    import _thread

    def handler(request: Any) -> Reply:
        if item_of(request) in ("0", "1"):
            return Reply(text(item_of(request)))
        return Reply(wait(60), text("late"))

    server.handler = handler
    timer = threading.Timer(1.5, _thread.interrupt_main)
    timer.start()
    started = time.monotonic()
    with pytest.raises(TurnError) as caught:
        ante_nb.map("Go.", range(8), tools="none", concurrency=4, progress=False)
    assert time.monotonic() - started < 20
    result = caught.value.result  # type: ignore[attr-defined]
    assert result.texts[:2] == ["0", "1"] and len(result.failed) == 6
    assert "2 of 8" in str(caught.value)
    server.handler = lambda request: Reply(text(item_of(request)))
    assert result.resume().texts == [str(n) for n in range(8)]


def test_what_was_answered_before_is_replayed(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTE_REPLAY", "auto")
    first = ante_nb.map("Go.", ["a", "b"], tools="none", progress=False)
    sent = len(server.chats)
    again = ante_nb.map("Go.", ["a", "b", "c"], tools="none", progress=False)
    assert again.texts[:2] == first.texts and [turn.replayed for turn in again] == [1, 1, 0]
    assert len(server.chats) == sent + 1
    monkeypatch.setenv("ANTE_REPLAY", "only")
    only = ante_nb.map("Go.", ["a", "b", "c", "d"], tools="none", progress=False)
    assert only.texts[:3] == again.texts and [failed.index for failed in only.failed] == [3]
    assert len(server.chats) == sent + 1


def test_processes(server: ChatServer) -> None:
    context = get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        result = ante_nb.map("Go.", range(6), tools="none", executor=pool, progress=False, schema=None)
    assert result.texts == [f"<{n}>" for n in range(6)], result


def test_a_worker_that_dies_fails_its_items_alone(server: ChatServer) -> None:
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(os.getpid).result()
        with pytest.raises(Exception, match="terminated abruptly"):
            pool.submit(os._exit, 3).result()
        result = None
        try:
            result = ante_nb.map("Go.", range(2), tools="none", executor=pool, progress=False)
        except Exception as error:
            assert "broken" in str(error).lower() or "terminated" in str(error)
    if result is not None:
        assert len(result.failed) == 2 and "worker failed" in str(result.failed[0].error)
        assert result.resume(executor=None).failed


def test_what_cannot_be_used_is_refused_at_once(server: ChatServer) -> None:
    with pytest.raises(ConfigError, match="the prompt is"):
        ante_nb.map(3, ["a"])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="concurrency"):
        ante_nb.map("Go.", ["a"], concurrency=0)
    with pytest.raises(ConfigError, match="is empty"):
        ante_nb.map(lambda item: "", ["a"])
    with pytest.raises(ConfigError):
        ante_nb.map("Go.", ["a"], provider="no-such")
    assert list(ante_nb.map("Go.", [], progress=False)) == [] and not server.chats


def test_an_executor_that_takes_nothing_more_is_reported_for_each_item(server: ChatServer) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(os._exit, 1).exception()  # the worker dies, and the pool with it
        result = ante_nb.map("Go.", range(3), tools="none", executor=pool, progress=False)
    assert [failed.index for failed in result.failed] == [0, 1, 2]
    assert all("BrokenProcessPool" in str(failed.error) for failed in result.failed)
    with ThreadPoolExecutor(1) as pool_of_threads:
        assert result.resume(executor=pool_of_threads).texts == ["<0>", "<1>", "<2>"]
    assert len(server.chats) == 3
    result = ante_nb.map("Go.", range(2), tools="none", executor=pool_of_threads, progress=False)
    assert "after shutdown" in str(result.failed[0].error) and len(result.failed) == 2
