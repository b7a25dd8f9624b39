"""``%ante sent``: what went out, byte for byte, and how much of it was data."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from support.chat_server import Reply, text, tool

from ante_nb.errors import ConfigError
from ante_nb.notebook.sent import sent
from ante_nb.providers.transports import ledger

if TYPE_CHECKING:
    from support.desk import Desk


def told(desk: Desk, rest: str, capsys: pytest.CaptureFixture[str]) -> str:
    sent(SimpleNamespace(runtime=desk.runtime), rest)  # type: ignore[arg-type]
    return capsys.readouterr().out


async def test_every_byte_that_the_server_got(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing was sent" in told(desk, "", capsys)
    desk.host.namespace["people"] = ["Ann", "Bob"]
    desk.server.enqueue(Reply(tool("Python", {"code": "print('a')\nprint('b')"}, id="c1")), Reply(text("ok")))
    turn = await desk.run("look at @people", mode="yolo")
    desk.runtime.last_turn = turn
    got = [chat.body for chat in desk.server.chats]
    assert [json.loads(item.body or b"") for item in turn.sent] == got and len(got) == 2
    assert all(item.url.endswith("/chat/completions") for item in turn.sent)
    summary = told(desk, "", capsys)
    assert "2 requests" in summary and f"{sum(item.size for item in turn.sent):,} bytes" in summary
    assert "Python" in summary and "2 rows, 3 characters" in summary
    assert 'attached variable="people"' in summary
    full = told(desk, "--full 2", capsys)
    assert "request 2 to" in full and json.loads(full.partition("\n")[2]) == got[1]
    with pytest.raises(ConfigError, match="no request 3"):
        told(desk, "--full 3", capsys)
    with pytest.raises(ConfigError, match="not known"):
        told(desk, "--everything", capsys)


async def test_what_was_withheld_is_said(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.server.enqueue(Reply(tool("Python", {"code": "1"}, id="c1")), Reply(text("ok")))
    desk.runtime.last_turn = await desk.run("go", data_policy="schema", mode="yolo")
    summary = told(desk, "", capsys)
    assert "withheld by the data policy: 1 result (Python)" in summary and "your data in it" not in summary


def test_bodies_past_the_limit_keep_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "KEPT_BYTES", 10)
    book = ledger.Ledger()
    with ledger.recording(book):
        ledger.note("https://user:pass@host/v1?key=s3cret", b"12345678", "http_sse")
        ledger.note("https://host/v1", b"12345678", "http_sse")
    ledger.note("https://host/v1", b"outside", "http_sse")
    assert [(item.size, item.body is None) for item in book.requests] == [(8, False), (8, True)]
    assert "s3cret" not in book.requests[0].url and "pass" not in book.requests[0].url
