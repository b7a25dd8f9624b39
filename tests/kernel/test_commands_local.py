"""``%ante local`` in a real kernel."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

import pytest
from support.chat_server import Reply, text
from support.hub_server import HubServer
from support.kernel import Kernel
from support.local_kernels import demo_model, servers, until, use_model

from ante_nb.local import stop_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.chat_server import ChatServer


@pytest.fixture
def base(isolated_home: Path) -> Iterator[Path]:
    """ANTE_HOME with the demo model as the one to use, in a provider that was not chosen."""
    base = use_model(isolated_home, demo_model())
    settings = json.loads((base / "settings.json").read_text())
    (base / "settings.json").write_text(json.dumps({"local": settings["local"]}))
    yield base
    asyncio.run(stop_all(base))


@pytest.fixture
def kernel(isolated_home: Path, tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(cwd=tmp_path) as running:
        assert running.run("%load_ext ante_nb").status == "ok"
        yield running


def said(kernel: Kernel, line: str, timeout: float = 90) -> str:
    outcome = kernel.run(line, timeout)
    assert outcome.status == "ok", outcome.text
    return outcome.text


def refused(kernel: Kernel, line: str) -> str:
    """The one line that a command which cannot be done shows."""
    outcome = kernel.run(line, 60)
    assert outcome.status == "error", outcome.text
    (only,) = outcome.error.strip().splitlines()
    return only


@pytest.mark.model
def test_a_model_from_list_to_stop(base: Path, kernel: Kernel) -> None:
    listed = said(kernel, "%ante local")
    for words in ("xllamacpp", "llama-cpp-python", "SmolLM2-135M", "Q4_1", "none runs", "it is no agent"):
        assert words in listed
    used = said(kernel, "%ante local use smollm2 --context 1024")
    assert "local / SmolLM2-135M" in used and "1024 tokens of context" in used
    assert json.loads((base / "offline-config.json").read_text())["last_model"]
    outcome = kernel.run("%ante local start", 120)
    assert outcome.status == "ok", outcome.text
    whole = " ".join(str(message.content) for message in outcome.messages)
    assert "starting llama.cpp" in whole and "tokens of context" in whole
    assert len([out for out in outcome.outputs if out["output_type"] == "display_data"]) == 1, (
        "one line changes"
    )
    (state,) = servers(base)
    assert f"process {state['pid']}" in outcome.text
    assert "runs already" in said(kernel, "%ante local start")
    listed = said(kernel, "%ante local")
    assert f"waits, process {state['pid']}" in listed
    answer = said(
        kernel, "%%ante --tools none -o turn\nWhat is the capital of France? Answer in one sentence."
    )
    assert "Paris" in answer and len(servers(base)) == 1
    log = said(kernel, "%ante local log smol")
    assert str(base / "run" / "local") in log
    assert "no local server runs" in refused(kernel, "%ante local stop other")
    assert "stopped SmolLM2-135M" in said(kernel, "%ante local stop")
    assert servers(base) == []
    assert "no server that this package started" in said(kernel, "%ante local stop")
    for cell in kernel.cells:
        for message in cell.messages:
            assert state["key"] not in json.dumps(message.content)


@pytest.mark.model
def test_an_interrupted_start_of_a_server(base: Path, kernel: Kernel) -> None:
    outcome = kernel.start("%ante local start")
    until(lambda: servers(base))
    kernel.interrupt()
    kernel.wait(60)
    assert outcome.done and kernel.alive
    if outcome.status == "error":  # else it was ready before the interrupt came
        assert "interrupted" in outcome.error and len(outcome.error.strip().splitlines()) == 1
    assert "SmolLM2" in said(kernel, "%ante local start", 120) and len(servers(base)) == 1


@pytest.mark.model
def test_from_an_address_to_an_answer(isolated_home: Path, tmp_path: Path) -> None:
    """Nothing is there but an address: download, use, prompt, and away with it."""
    base = use_model(isolated_home, demo_model())
    chosen = json.loads((base / "settings.json").read_text())["local"]
    del chosen["model"]
    (base / "settings.json").write_text(json.dumps({"local": chosen}))
    try:
        with HubServer() as hub, Kernel(cwd=tmp_path) as kernel:
            hub.files = {"Wanted.gguf": demo_model().read_bytes()}
            assert kernel.run("%load_ext ante_nb").status == "ok"
            outcome = kernel.run(f"%ante local get {hub.url}/files/Wanted.gguf", 120)
            assert outcome.status == "ok", outcome.text
            displays = [out for out in outcome.outputs if out["output_type"] == "display_data"]
            assert len(displays) == 1, "one line of progress that changes"
            assert "Wanted: 98 MB" in outcome.text and "`%ante local use Wanted` chooses it" in outcome.text
            assert "local / Wanted" in said(kernel, "%ante local use wanted")
            answer = "%%ante --tools none\nWhat is the capital of France? Answer in one sentence."
            assert "Paris" in said(kernel, answer, 120)
            assert "Wanted" in refused(kernel, "%ante local rm wanted"), "a server has it open"
            assert "stopped Wanted" in said(kernel, "%ante local stop")
            assert "deleted Wanted: 1 file, 98 MB" in said(kernel, "%ante local rm wanted")
            assert not list(base.rglob("*.gguf"))
            assert "SmolLM2" in said(kernel, "%ante status"), "what is gone is not meant any more"
            assert "there is no http" in refused(kernel, f"%ante local get {hub.url}/files/None.gguf")
    finally:
        asyncio.run(stop_all(base))


def test_a_server_of_the_person(chat_server: ChatServer, isolated_home: Path, kernel: Kernel) -> None:
    port = chat_server.url.rsplit(":", 1)[1].removesuffix("/v1")
    chat_server.enqueue(Reply(text("from elsewhere")))
    words = said(kernel, f"%ante local attach {port}")
    assert f"http://127.0.0.1:{port}" in words and "never stopped" in words
    assert "from elsewhere" in said(kernel, "%%ante --tools none -o turn\nhello")
    assert said(kernel, "print(turn.provider, turn.status)").split() == ["local", "completed"]
    listed = said(kernel, "%ante local")
    assert f"in use instead: http://127.0.0.1:{port} (%ante local attach)" in listed
    assert "detach" in said(kernel, "%ante local stop")
    assert f"left http://127.0.0.1:{port}" in said(kernel, "%ante local detach")
    assert "no server was attached" in said(kernel, "%ante local detach")
    assert not (isolated_home / ".ante" / "run").exists()


def test_the_port_of_the_environment(chat_server: ChatServer, isolated_home: Path, tmp_path: Path) -> None:
    port = chat_server.url.rsplit(":", 1)[1].removesuffix("/v1")
    chat_server.enqueue(Reply(text("by the variable")))
    with Kernel(cwd=tmp_path, env={**os.environ, "ANTE_LOCAL_PROVIDER_PORT": port}) as kernel:
        assert kernel.run("%load_ext ante_nb").status == "ok"
        assert "by the variable" in said(kernel, "%%ante --provider local --tools none\nhello")


def test_what_is_refused(isolated_home: Path, kernel: Kernel) -> None:
    """One line each, with what to do."""
    for line, words in {
        "%ante local wat": "Known: use, start",
        "%ante local --wat": "Known: --scan",
        "%ante local use": "needs a model",
        "%ante local use a b": "'b' is too much",
        "%ante local use a --context many": "'many' is not a number",
        "%ante local use no-such-model": "no local model is called",
        "%ante local stop --hard": "Known: --force, --all",
        "%ante local attach 1": "nobody answers at http://127.0.0.1:1",
        "%ante local attach smollm2": "is no address of a server",
        "%ante local attach ftp://x": "is no address of a server",
        "%ante local get": "needs REPOSITORY",
        "%ante local rm": "needs a model",
        "%ante local log": "no local server has run",
        "%ante local use 'open": "quotation",
    }.items():
        assert words in refused(kernel, line), line
    assert kernel.run("%ante status").status == "ok"
