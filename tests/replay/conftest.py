"""A desk to run turns at, for the tests of the agent's core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.chat_server import ChatServer
    from support.desk import Desk


@pytest.fixture
async def desk(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    from support.desk import Desk

    work = tmp_path / "work"
    work.mkdir()
    desk = Desk(chat_server, isolated_home, work, monkeypatch)
    yield desk
    await desk.close()
