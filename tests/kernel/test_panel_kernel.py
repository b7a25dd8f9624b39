"""The panel over the kernel's own protocol: what a page opens, sends and sees."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client import BlockingKernelClient
from support.ante import point_at
from support.chat_server import Reply, text, wait_for
from support.kernel import Kernel
from support.local_kernels import demo_model, use_model

from ante_nb.local import stop_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.chat_server import ChatServer

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"


class Page:
    """The extension's side of one panel, on a channel of its own."""

    def __init__(self, kernel: Kernel, v: int = 1) -> None:
        # A session of its own: two clients of one would take each other's messages.
        self.client = BlockingKernelClient(connection_file=kernel.manager.connection_file)
        self.client.load_connection_file()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.id = uuid.uuid4().hex
        self.said: list[dict[str, Any]] = []
        self.closed = False
        self.seen = ""
        data = {"v": v, "version": "0"}
        self._send("comm_open", comm_id=self.id, target_name="ante_nb.panel", data=data)

    def _send(self, kind: str, **content: Any) -> None:
        self.client.shell_channel.send(self.client.session.msg(kind, content))

    def send(self, **message: Any) -> None:
        self._send("comm_msg", comm_id=self.id, data=message)

    def until(self, ready: Callable[[], Any], timeout: float = 60.0) -> Any:
        end = time.monotonic() + timeout
        while not (found := ready()):
            assert time.monotonic() < end, f"nothing came; the last: {self.said[-1:]}"
            try:
                message = self.client.get_iopub_msg(timeout=0.5)
            except Exception:
                continue
            self.seen += json.dumps(message["content"], default=str)
            if message["content"].get("comm_id") == self.id:
                self.closed = self.closed or message["msg_type"] == "comm_close"
                self.said.append(message["content"]["data"])
        return found

    def answer(self, n: int) -> dict[str, Any]:
        find = lambda: [m for m in self.said if m.get("kind") == "answer" and m["n"] == n]  # noqa: E731
        found: dict[str, Any] = self.until(find)[0]
        return found

    @property
    def state(self) -> dict[str, Any]:
        whole: dict[str, Any] = {}
        for message in self.said:
            whole |= message["state"] if message.get("kind") == "state" else {}
        return whole


@pytest.fixture
def kernel(chat_server: ChatServer, isolated_home: Path, tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(cwd=tmp_path, env=point_at(chat_server, isolated_home)) as running:
        yield running


def test_clicks_choose_store_and_stop(kernel: Kernel, chat_server: ChatServer, isolated_home: Path) -> None:
    unloaded = Page(kernel)
    unloaded.until(lambda: unloaded.closed)
    unloaded.client.stop_channels()
    assert kernel.run("%load_ext ante_nb").status == "ok"
    old = Page(kernel, v=99)
    assert "script" not in old.until(lambda: old.said)[0]
    old.client.stop_channels()

    page = Page(kernel)
    hello = page.until(lambda: page.said)[0]
    assert hello["kind"] == "hello" and "export { mount }" in hello["script"]
    page.send(kind="ready")
    page.until(lambda: page.state.get("model"))
    assert page.state["model"]["value"] == "test-model" and page.state["running"] is None

    page.send(kind="choose", n=1, what="thinking", value="Deep")
    assert page.answer(1)["ok"]
    page.until(lambda: page.state["thinking"]["value"] == "high")
    for n, message in enumerate(
        [
            {"kind": "choose", "what": "provider", "value": "no-such"},
            {"kind": "choose", "what": "grants", "value": "Bash"},
            {"kind": "choose", "what": "thinking", "value": ["high"]},
            {"kind": "__init__"},
            {"kind": ["choose"]},
            {"kind": "key", "provider": "local", "key": KEY},
            {"kind": "steer", "text": 3},
        ],
        10,
    ):
        page.send(n=n, **message)
        refused = page.answer(n)
        assert not refused["ok"] and refused["text"], message
    assert page.state["provider"]["value"] == "openai-compatible"

    page.send(kind="key", n=2, provider="openrouter", key=KEY)
    assert "is stored" in page.answer(2)["text"]
    rows = lambda: {row["id"]: row["state"] for row in page.state["providers"]}  # noqa: E731
    page.until(lambda: rows()["openrouter"] == "stored")
    # Nothing that any page or the notebook is sent has it.
    assert KEY not in page.seen

    chat_server.enqueue(Reply(text("It begins"), wait_for("never")))
    kernel.start("%%ante\ngo on")
    page.until(lambda: page.state["running"] and chat_server.chats)
    # What was meant for an earlier turn, and came late, does not touch this one.
    page.send(kind="stop", n=30, turn="turn_earlier")
    assert page.answer(30)["text"] == "that turn has ended"
    page.send(kind="steer", n=31, turn="turn_earlier", text="for the other one")
    assert not page.answer(31)["ok"]
    assert page.state["running"] and page.state["queued"] == []
    page.send(kind="stop", n=3, turn=page.state["running"]["id"])
    assert page.answer(3)["ok"]
    page.until(lambda: page.state["running"] is None)
    outcome = kernel.wait()
    assert outcome.status == "error" and "interrupted" in outcome.error
    # The kernel goes on, and so does the session.
    chat_server.enqueue(Reply(text("Here.")))
    assert "Here." in kernel.run("%%ante\nand now?").text
    page.until(lambda: page.state["session"]["turns"] == 2 and page.state["usage"]["output"] >= 10)
    page.client.stop_channels()


def test_without_a_person_it_is_text(kernel: Kernel) -> None:
    assert kernel.run("%load_ext ante_nb").status == "ok"
    outcome = kernel.run("%ante panel")
    assert outcome.status == "ok"
    assert "There is no panel here" in outcome.text and "test-model" in outcome.text
    assert "widget" not in json.dumps(outcome.outputs)
    wrong = kernel.run("%ante panel sideways")
    assert wrong.status == "error" and "--inline" in wrong.error


@pytest.mark.model
def test_a_local_model_is_loaded_and_unloaded(isolated_home: Path, tmp_path: Path) -> None:
    base = use_model(isolated_home, demo_model())
    try:
        with Kernel(cwd=tmp_path) as kernel:
            assert kernel.run("%load_ext ante_nb").status == "ok"
            page = Page(kernel)
            page.until(lambda: page.said)
            page.send(kind="ready")
            page.until(lambda: page.state.get("models"))
            assert page.state["local"] and page.state["models"][0]["loaded"] == ""
            page.send(kind="local_start", n=1, model=page.state["model"]["value"])
            assert "is loaded" in page.answer(1)["text"]
            # It was said meanwhile what went on.
            busy = [m["state"].get("busy") for m in page.said if m.get("kind") == "state"]
            assert any(busy)
            page.until(lambda: "loaded" in [row["loaded"] for row in page.state["models"]])
            page.send(kind="local_stop", n=2)
            assert "stopped" in page.answer(2)["text"]
            page.until(lambda: not any(row["loaded"] for row in page.state["models"]))
            page.client.stop_channels()
    finally:
        asyncio.run(stop_all(base))
