"""One notebook in nbclient, papermill, ``jupyter console``, JupyterLab and Notebook 7: the same transcript.

The transcript is what the model was sent and answered, and what a person reads, in both kernels.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import point_at, words_of
from support.books import read, steady, texts, write
from support.chat_server import ChatServer, Reply, text, thinking, tool
from support.front import KERNELS, install, own_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPTS = ("How much is twice x?", "And what did I ask?")
ANSWERS = (
    "It is **42**, twice `x`.",
    "You asked for twice x.\n\n- one *point*\n- another point",
)
# What a person must see of it, in this order.
SEEN = (
    "test-model", "I compute it.", "Python", "printed 42", "It is", "42", "twice", "2 steps",
    "test-model", "You asked for twice x.", "one", "another point", "1 step", "last words: You asked",
)  # fmt: skip


def cells(kernel: str) -> list[str]:
    first, second = PROMPTS
    if kernel == "ante":
        return [
            "%%python\nx = 21",
            f"%%ante --allow Python\n{first}",
            second,
            "%%python\nprint('last words:', _ante.text[:9])",
        ]
    return [
        "%load_ext ante_nb\nx = 21",
        f"%%ante --allow Python\n{first}",
        f"%%ante\n{second}",
        "print('last words:', _ante.text[:9])",
    ]


def script(server: ChatServer) -> None:
    server.reset()
    server.enqueue(
        Reply(thinking("Python can tell."), text("I compute it.", pieces=3),
              tool("Python", {"code": "print('printed', x * 2)"}, id="call_p")),
        Reply(text(ANSWERS[0], pieces=5, delay=0.01)),
        Reply(text(ANSWERS[1], pieces=9, delay=0.01)),
    )  # fmt: skip


def conversation(server: ChatServer) -> list[str]:
    """What the last request held of the conversation, without clock, directory and nonces."""
    assert len(server.chats) == 3, [request.path for request in server.requests]
    rows = []
    for message in server.chats[-1].body["messages"][1:]:
        words = re.sub(r"<environment>.*?</environment>", "", words_of(message), flags=re.DOTALL)
        calls = [(call["id"], call["function"]) for call in message.get("tool_calls") or ()]
        rows.append(
            f"{message['role']}: {re.sub(r'[0-9a-f]{12,}', 'NONCE', words).strip()} {json.dumps(calls)}"
        )
    return rows


def in_order(shown: str) -> None:
    """All of ``SEEN`` stands in ``shown``, in that order."""
    place = 0
    for words in SEEN:
        found = shown.find(words, place)
        assert found >= 0, f"{words!r} is not shown after {shown[max(0, place - 80) : place]!r}:\n{shown}"
        place = found + len(words)


class Stage:
    """The notebook of one kernel, and what the first front end made of it."""

    def __init__(self, kernel: str, home: Path, server: ChatServer) -> None:
        self.kernel, self.home, self.server = kernel, home, server
        self.env = point_at(server, home)
        self.rows: list[str] | None = None
        self.outputs: list[list[str]] | None = None

    def check(self, saved: Any | None = None, shown: str | None = None) -> None:
        """The same as in every front end before: the conversation, and the saved outputs as text."""
        rows = conversation(self.server)
        self.rows = self.rows or rows
        assert rows == self.rows
        if saved is not None:
            outputs = [[steady(part) for part in texts(cell)] for cell in saved["cells"]]
            self.outputs = self.outputs or outputs
            assert outputs == self.outputs
            in_order("\n".join("\n".join(texts(cell)) for cell in saved["cells"]))
        if shown is not None:
            in_order(shown)


@pytest.fixture(scope="module", params=KERNELS)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with own_home(tmp_path_factory) as home, ChatServer() as server:
        yield Stage(request.param, home, server)


@contextlib.contextmanager
def at_home(stage: Stage) -> Iterator[Path]:
    """The stage's home and provider for this process, and a directory to work in."""
    from support.front import HOME

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**{k: str(stage.home / v) for k, v in HOME.items()}, **stage.env}.items():
            patch.setenv(name, value)
        install(stage.home)
        work = stage.home / "work"
        work.mkdir(exist_ok=True)
        script(stage.server)
        yield work


def test_nbclient(stage: Stage) -> None:
    import nbformat
    from nbclient import NotebookClient

    with at_home(stage) as work:
        path = write(work / "client.ipynb", cells(stage.kernel), stage.kernel)
        found = nbformat.read(path, as_version=4)
        NotebookClient(
            found, timeout=120, startup_timeout=150, resources={"metadata": {"path": str(work)}}
        ).execute()
        nbformat.write(found, path)
        stage.check(read(path))


def test_papermill(stage: Stage) -> None:
    papermill = pytest.importorskip("papermill", reason="needs papermill (the dev extra)")
    with at_home(stage) as work:
        path = write(work / "mill.ipynb", cells(stage.kernel), stage.kernel)
        papermill.execute_notebook(str(path), str(path), cwd=str(work), progress_bar=False)
        stage.check(read(path))


def test_console(stage: Stage) -> None:
    from support.terminal import Terminal

    with at_home(stage) as work, Terminal.console(stage.kernel, work, stage.env) as terminal:
        typed = [cell.split("\n") if "%load_ext" in cell else [cell] for cell in cells(stage.kernel)]
        shown = "\n".join(terminal.run(part) for cell in typed for part in cell)
        stage.check(shown=shown)


@pytest.mark.lab
@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_browser(stage: Stage, app: str, tmp_path: Path) -> None:
    from support.lab import Lab, chromium

    chromium()
    script(stage.server)
    home = tmp_path / app
    home.mkdir()
    point_at(stage.server, home)
    env = {**stage.env, "ANTE_HOME": str(home / ".ante")}
    with Lab(home, env, app=app) as lab:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JUPYTER_DATA_DIR", str(home / "data"))
            install(home)
        path = write(lab.work / "book.ipynb", cells(stage.kernel), stage.kernel)
        lab.open("book")
        for number in range(4):
            lab.run(number)
        lab.page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true })")
        shown = "\n".join(lab.cell(n).locator(".jp-OutputArea").first.inner_text() for n in range(4))
        saved = lab.save(path)
        if os.environ.get("ANTE_SCREENSHOTS"):
            lab.screenshot(tmp_path.parent / f"{stage.kernel}-{app}.png")
    stage.check(saved, shown)
