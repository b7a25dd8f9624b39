"""The notebooks that need a larger model than the one of the demo, from top to bottom against the loopback server.

``quickstart`` and ``data`` run with the real demo model (tests/local), ``providers`` against strict vendors.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient
from support.ante import ROOT, echo, point_at, words_of
from support.books import texts, turns
from support.chat_server import ChatServer
from support.front import install, own_home
from support.shipped import ANSWERS, FOLDER

if TYPE_CHECKING:
    from pathlib import Path

ELSEWHERE = {"quickstart", "data", "providers"}

# What must be seen in which notebook, in order.
SEEN: dict[str, list[str]] = {
    "python_api": [
        "The one in the middle.", "completed", "The sum over the count.", "Month(name='March', millimetres=12)",
        "rain_in {'month': 'May'} ok", "70 mm.", "UnknownProviderError",
    ],
    "permissions": ["Written.", "completed", "March was dry.", "I may not.", "['denied']", "True", "note.txt", "False", "failed"],
    "kernel": ["12 mm.", "completed 1", "We spoke of rain.", "tokens", "the shell is there, too"],
}  # fmt: skip


def ran(name: str, home: Path, server: ChatServer) -> Any:
    work = home / "work"
    shutil.copytree(FOLDER, work, ignore=shutil.ignore_patterns(".*"))
    install(home)
    server.handler = echo
    server.enqueue(*ANSWERS[name])
    book = nbformat.read(work / f"{name}.ipynb", as_version=4)
    NotebookClient(
        book, timeout=120, startup_timeout=150, resources={"metadata": {"path": str(work)}}
    ).execute(env={**os.environ, **point_at(server, home)})
    return book


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_it_runs_from_top_to_bottom(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with own_home(tmp_path_factory) as home, ChatServer() as server:
        book = ran(name, home, server)
        shown = "\n".join("\n".join(texts(cell)) for cell in book.cells if cell.cell_type == "code")
        place = 0
        for words in SEEN[name]:
            found = shown.find(words, place)
            assert found >= 0, f"{words!r} is not shown after {shown[:place][-200:]!r}:\n{shown[place:]}"
            place = found + len(words)
        assert len(server.chats) == len(ANSWERS[name])
        if name == "kernel":
            first = "\n".join(words_of(message) for message in server.chats[0].body["messages"])
            assert "rain" in first and "month" in first
            assert len([turn for cell in book.cells if cell.cell_type == "code" for turn in turns(cell)]) == 2


def test_every_notebook_runs_in_some_test() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(ANSWERS) | ELSEWHERE
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    sources += (ROOT / "scripts" / "demo.py").read_text("utf-8")
    assert all(f"{name}.ipynb" in sources for name in ELSEWHERE)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
