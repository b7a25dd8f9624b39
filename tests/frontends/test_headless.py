"""Without a person: nbclient, ``jupyter execute`` and papermill, with both kinds of notebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import ROOT, echo, point_at, words_of
from support.books import read, texts, turns, write
from support.chat_server import ChatServer, Reply, status, tool
from support.front import KERNELS, install, own_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("papermill", reason="needs papermill (the dev extra)")


class Headless:
    """Runs notebooks with programs of their own, as a shell script or a scheduler does."""

    def __init__(self, server: ChatServer, home: Path, kernel: str) -> None:
        self.server, self.home, self.kernel = server, home, kernel
        self.cwd = home / "work"
        self.cwd.mkdir()
        self.env = {**os.environ, **point_at(server, home)}
        # The entry points of the tree under test, also where another one is installed.
        declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
        info = home / "entry" / "ante_nb-0.dist-info"
        info.mkdir(parents=True)
        groups = [
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in rows.items())
            for group, rows in declared.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(groups))
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ante_nb\nVersion: 0\n")
        path = [str(info.parent), self.env.get("PYTHONPATH"), str(ROOT)]
        self.env["PYTHONPATH"] = os.pathsep.join(filter(None, path))

    def prompt(self, words: str, flags: str = "") -> str:
        return words if self.kernel == "ante" and not flags else f"%%ante {flags}\n{words}"

    def python(self, code: str) -> str:
        return f"%%python\n{code}" if self.kernel == "ante" else code

    def book(self, name: str, *cells: str) -> Path:
        start = [] if self.kernel == "ante" else ["%load_ext ante_nb"]
        return write(self.cwd / f"{name}.ipynb", [*start, *cells], self.kernel)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.cwd,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=150,
        )


@pytest.fixture(scope="module", params=KERNELS)
def headless(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Headless]:
    with own_home(tmp_path_factory) as home, ChatServer() as server:
        install(home)
        yield Headless(server, home, request.param)


@pytest.fixture(autouse=True)
def fresh(headless: Headless) -> None:
    headless.server.reset()
    headless.server.handler = echo


QUESTION = {
    "question": "Which one?",
    "header": "One",
    "options": [{"label": "A", "description": "a"}, {"label": "B", "description": "b"}],
    "multiSelect": False,
}


def test_jupyter_execute_runs_it_and_asks_nobody(headless: Headless) -> None:
    """Nobody is there: what must be asked is denied and told to the model, a question is not answered, and the
    notebook goes on; what the cell allows is run, and with ``--keep-going`` a failed turn ends no run."""
    path = headless.book(
        "plain",
        headless.prompt("please touch it"),
        headless.prompt("touch that one", "--allow 'Bash(touch allowed)'"),
        headless.prompt("ask me"),
        headless.prompt("fail", "--keep-going -o result"),
        headless.python("print(result.status, type(result.error).__name__)"),
    )
    headless.server.enqueue(
        Reply(tool("Bash", {"command": "touch denied"}, id="call_d")), Reply("As you wish."),
        Reply(tool("Bash", {"command": "touch allowed"}, id="call_a")), Reply("Touched."),
        Reply(tool("AskUser", {"questions": [QUESTION]}, id="call_q")), Reply("Then A."),
        Reply(status(401, {"error": {"message": "no such key"}})),
    )  # fmt: skip
    done = headless.run("jupyter", "execute", "--inplace", path.name)
    assert done.returncode == 0, done.stderr
    assert not (headless.cwd / "denied").exists() and (headless.cwd / "allowed").exists()
    *_, denied, allowed, asked, failed, after = read(path)["cells"]
    assert "As you wish." in "".join(texts(denied)) and "denied" in "".join(texts(denied))
    assert "Touched." in "".join(texts(allowed))
    assert "Then A." in "".join(texts(asked))
    assert "no such key" in "".join(texts(failed))
    assert texts(after)[0].startswith("failed ")
    assert [len(turns(cell)) for cell in (denied, allowed, asked, failed)] == [1, 1, 1, 1]
    chats = headless.server.chats
    assert "denied" in words_of(chats[1].body["messages"][-1]).lower()
    assert words_of(chats[5].body["messages"][-1])


@pytest.mark.parametrize("program", ["execute", "papermill"])
def test_a_failed_turn_ends_the_run(headless: Headless, program: str) -> None:
    path = headless.book(f"fails-{program}", headless.prompt("hello"), headless.python("open('later', 'w')"))
    headless.server.enqueue(Reply(status(401, {"error": {"message": "no such key"}})))
    words = {
        "execute": ("jupyter", "execute", "--inplace", path.name),
        "papermill": ("papermill", "--no-progress-bar", path.name, path.name),
    }[program]
    done = headless.run(*words)
    assert done.returncode != 0
    assert "no such key" in done.stderr + done.stdout
    assert not (headless.cwd / "later").exists()


def test_papermill_injects_parameters(headless: Headless) -> None:
    """As Python, in either kernel; a second run replaces them; ``--help-notebook`` knows them."""
    path = headless.book(
        "with-parameters",
        headless.python("rows = 1  # how many\nname = 'nobody'"),
        headless.prompt("work with @name and @rows", "-o turn"),
        headless.python("print(rows * 2, name, nothing, deep, odd)"),
    )
    cells = len(read(path)["cells"])
    _tag(path, cells - 3)
    given = {
        "rows": 21,
        "name": "An 'odd' {x} name",
        "nothing": None,
        "deep": {"a": [1, 2.5, True]},
        "odd": "%ls ?",
    }
    (headless.cwd / "given.json").write_text(json.dumps(given))
    out = "parameters-out.ipynb"
    for source in (path.name, out):
        done = headless.run("papermill", "--no-progress-bar", source, out, "-f", "given.json")
        assert done.returncode == 0, done.stderr
        ran = read(headless.cwd / out)["cells"]
        assert len(ran) == cells + 1
        [injected] = [cell for cell in ran if "injected-parameters" in cell["metadata"].get("tags", ())]
        assert injected["source"].startswith("%%python\n") == (headless.kernel == "ante")
        expected = f"42 {given['name']} None {given['deep']} {given['odd']}\n"
        assert texts(ran[-1]) == [expected]
    assert "An 'odd'" in words_of(headless.server.chats[-1].body["messages"][-1])
    shown = headless.run("papermill", "--help-notebook", path.name)
    assert "rows" in shown.stdout and "how many" in shown.stdout, shown.stdout + shown.stderr


def _tag(path: Path, number: int) -> None:
    document: dict[str, Any] = json.loads(path.read_text())
    document["cells"][number]["metadata"]["tags"] = ["parameters"]
    path.write_text(json.dumps(document))
