"""A process whose default provider is the loopback server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ante import point_at
from support.chat_server import Reply, text
from support.mapped import item_of

if TYPE_CHECKING:
    from pathlib import Path

    from support.chat_server import ChatServer


@pytest.fixture
def server(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ChatServer:
    for name, value in point_at(chat_server, isolated_home).items():
        monkeypatch.setenv(name, value)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    chat_server.handler = lambda request: Reply(text(f"<{item_of(request)}>"))
    return chat_server
