"""A notebook with prompts, recorded once: run again it sends nothing, says the same, and is checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient
from support.ante import point_at
from support.chat_server import ChatServer, Reply, text, tool

if TYPE_CHECKING:
    from pathlib import Path

# What a kernel under `only` must not do, noted before it is refused; the package's code is Python.
GUARD = """
import os, socket
def _forbidden(*args, **more):
    with open(os.environ["SOCKET_LOG"], "a") as file:
        file.write(repr(args) + "\\n")
    raise OSError("no sockets in this test")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = _forbidden
socket.create_connection = socket.getaddrinfo = _forbidden
"""

CELLS = (
    "%load_ext ante_nb",
    "numbers = [3, 1, 2]\nprint(sorted(numbers))",
    "%%ante --tools none -o first\nWhat is a list?",
    "%%ante -o second\nRead words.txt.",
    "%%ante --allow Python -o third\nSort @numbers with Python.",
    "import json\njson.dump([t.text for t in (first, second, third)], open('said.json', 'w'))",
    "numbers",
)


def handler(request: Any) -> Reply:
    messages = request.body["messages"]
    if messages[-1]["role"] == "tool":
        return Reply(text("It is done.\n\n- one\n- two"))
    words = str(messages[-1]["content"])
    if "words.txt" in words:
        return Reply(tool("Read", {"file_path": "words.txt"}, id="c1"))
    if "Sort" in words:
        return Reply(tool("Python", {"code": "print(sorted(numbers))"}, id="c2"))
    return Reply(text("A sequence."))


def run(path: Path, env: dict[str, str]) -> Any:
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute(env={**os.environ, **env})
    return book


@pytest.fixture
def recorded(tmp_path: Path, isolated_home: Path) -> Path:
    """The notebook, run and saved while its answers were recorded."""
    (tmp_path / "words.txt").write_text("some words\n")
    path = tmp_path / "book.ipynb"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbformat.write(book, path)
    with ChatServer() as server:
        server.handler = handler
        env = {**point_at(server, isolated_home), "ANTE_REPLAY": "auto"}
        nbformat.write(run(path, env), path)
        assert len(server.chats) == 5
    # Nothing is left of who was asked.
    (isolated_home / ".ante" / "settings.json").unlink()
    return path


def check(path: Path, *more: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ante_nb.notebook.check_run", str(path), *more],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    return done.returncode, done.stdout


def test_twice_with_sockets_forbidden(recorded: Path, isolated_home: Path, tmp_path: Path) -> None:
    said = (tmp_path / "said.json").read_bytes()
    assert json.loads(said)[0] == "A sequence."
    startup = isolated_home / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "00-guard.py").write_text(GUARD)
    log = tmp_path / "sockets.txt"
    for _ in range(2):
        (tmp_path / "said.json").unlink()
        run(recorded, {"ANTE_REPLAY": "only", "SOCKET_LOG": str(log)})
        assert (tmp_path / "said.json").read_bytes() == said
    assert not log.exists(), log.read_text()


def test_check_finds_nothing_then_the_first_difference(recorded: Path, tmp_path: Path) -> None:
    before = recorded.read_bytes()
    assert check(recorded) == (0, "no difference\n")
    assert recorded.read_bytes() == before
    # A tool gives something else than when it was recorded.
    (tmp_path / "words.txt").write_text("other words\n")
    code, told = check(recorded)
    assert code == 1 and told.startswith("cell 4 (Read words.txt.)") and "Read gives another result" in told
    assert told.count("\n") == 1
    (tmp_path / "words.txt").write_text("some words\n")
    # A cell was changed and not run again, a prompt was changed and not recorded.
    book = nbformat.read(recorded, as_version=4)
    book.cells[1].source = book.cells[1].source.replace("3, 1", "5, 1")
    book.cells[2].source += " Briefly."
    nbformat.write(book, recorded)
    code, told = check(recorded, "--all")
    assert code == 1 and "cell 2 " in told and "what it prints differs" in told
    assert "cell 3 " in told and "no answer to this prompt is recorded" in told


def test_a_notebook_of_ante_kernel_is_checked_alike(recorded: Path) -> None:
    """Its prompts have no magic above them; who is asked, and the seconds, are no difference there either."""
    from ante_nb.kernel import convert
    from ante_nb.kernel.kernelspec import install

    install(user=True)
    twin = recorded.with_name("twin.ipynb")
    made = convert.convert(convert.read(recorded.read_text()), "ante")
    for cell in made["cells"]:
        cell["source"] = "".join(cell["source"]).replace("%%ante --tools none -o first\n", "")
    made["cells"][5]["source"] = "%%python\nprint(1)"  # `first` is bound no more
    made["cells"][5]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1\n"}]
    twin.write_text(convert.write(made))
    assert check(twin, "--all") == (0, "no difference\n")
    shown = [out for out in made["cells"][2]["outputs"] if "A sequence." in str(out)]
    assert len(shown) == 1
    shown[0]["data"]["text/plain"] = "Another thing."
    twin.write_text(convert.write(made))
    code, told = check(twin)
    assert code == 1 and told.startswith("cell 3 (What is a list?): the saved answer is another one")
