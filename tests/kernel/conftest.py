"""A kernel with ``%load_ext ante_nb`` whose provider is the loopback server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.ante import Ante
    from support.chat_server import ChatServer


@pytest.fixture
def ante(chat_server: ChatServer, isolated_home: Path, tmp_path: Path) -> Iterator[Ante]:
    from support.ante import Ante, point_at
    from support.kernel import Kernel

    with Kernel(cwd=tmp_path, env=point_at(chat_server, isolated_home)) as kernel:
        loaded = kernel.run("%load_ext ante_nb")
        assert (loaded.status, loaded.outputs) == ("ok", []), loaded.text
        yield Ante(kernel, chat_server, tmp_path)
