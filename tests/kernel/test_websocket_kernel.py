"""The WebSocket mode in a kernel: ``%config``, the status, the page's grep, the end of the kernel."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.kernel import Kernel
from support.ws_server import KEY, ResponsesServer, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPT = "%%ante --provider openai --model gpt-5-mini --tools none\nhi"
GREP = 'grep "transport selected" ~/.ante/logs/ante.*.log.*'
"""As the providers page writes it."""


@pytest.fixture
def server() -> Iterator[ResponsesServer]:
    with ResponsesServer() as running:
        yield running


def environment(server: ResponsesServer, **more: str) -> dict[str, str]:
    return {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY, **more}


def test_chosen_in_the_notebook(server: ResponsesServer, isolated_home: Path, tmp_path: Path) -> None:
    with Kernel(cwd=tmp_path, env=environment(server)) as kernel:
        assert kernel.run("%load_ext ante_nb").status == "ok"
        assert kernel.run("%ante provider openai").status == "ok"
        status = kernel.run("%ante status").text
        assert "OpenAI Transport:" in status and "http_sse  (built-in default)" in status
        assert kernel.run('%config AnteMagics.openai_transport = "websocket_auto"').status == "ok"
        said = kernel.run(PROMPT)
        assert said.status == "ok" and "OpenAI Transport websocket_auto (%config)" in said.text, said.text
        assert "over WebSocket" in said.text
        assert "openai_transport = websocket_auto" in kernel.run("%ante save").text
        saved = json.loads((isolated_home / ".ante" / "settings.json").read_text())
        assert saved == {"provider": "openai", "openai_transport": "websocket_auto"}
        assert server.ways() == ["websocket"]
        status = kernel.run("%ante status").text
        [line] = [line for line in status.splitlines() if "OpenAI Transport:" in line]
        assert line.split() == ["OpenAI", "Transport:", "websocket_auto", "(%config)"]
        told = kernel.run('%config AnteMagics.openai_transport = "pigeon"').text
        assert told.count("pigeon") == 1 and "websocket_auto" in told
        assert kernel.run(PROMPT).status == "ok" and server.ways() == ["websocket", "http"]
        assert kernel.run('%config AnteMagics.openai_transport = "websocket_auto"').status == "ok"
        [line] = [
            line for line in kernel.run("%ante status").text.splitlines() if "OpenAI Transport:" in line
        ]
        assert "http_sse (chosen: websocket_auto)" in line
        assert server.open == 1 and server.closes == []
        kernel.manager.request_shutdown()
        wait_until(lambda: server.closes == [1000], 60)  # the kernel said goodbye


def test_chosen_by_the_environment(server: ResponsesServer, isolated_home: Path, tmp_path: Path) -> None:
    env = environment(server, ANTE_OPENAI_TRANSPORT="websocket_auto")
    with Kernel(cwd=tmp_path, env=env) as kernel:
        assert kernel.run("%load_ext ante_nb").status == "ok"
        assert kernel.run(PROMPT).status == "ok"
        server.upgrades = ["401"]
        server.kill()
        again = kernel.run(PROMPT)
        assert again.status == "ok" and "[transport]" in again.text, again.text
        assert server.ways() == ["websocket", "http"]
        found = subprocess.run(
            ["sh", "-c", GREP], capture_output=True, text=True, env={"HOME": str(isolated_home)}
        )
    lines = found.stdout.splitlines()
    assert [line.partition("transport selected: ")[2].split()[0] for line in lines] == [
        "websocket_auto",
        "http_sse",
    ]
    assert KEY not in found.stdout


def test_an_interrupt_leaves_the_next_turn_correct(server: ResponsesServer, tmp_path: Path) -> None:
    env = environment(server, ANTE_OPENAI_TRANSPORT="websocket_auto")
    with Kernel(cwd=tmp_path, env=env) as kernel:
        assert kernel.run("%load_ext ante_nb").status == "ok"
        server.pause = 0.2
        kernel.start(PROMPT)
        wait_until(lambda: bool(server.seen), 60)
        kernel.interrupt()
        assert kernel.wait().status == "error"
        wait_until(lambda: server.open == 0)
        server.pause = 0.0
        assert kernel.run("%ante reset").status == "ok"
        assert kernel.run(PROMPT).status == "ok" and server.ways() == ["websocket"] * 2
    assert server.overlaps == 0 and server.refused == []
