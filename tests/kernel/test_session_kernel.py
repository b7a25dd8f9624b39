"""Sessions over kernel restarts in a notebook: the offer, what is lost, going on, two kernels, copies, export."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nbformat
import pytest
from support.ante import Ante, check_conversation, point_at, words_of
from support.chat_server import Reply, text, tool
from support.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.chat_server import ChatServer


class Notebook:
    """A notebook file, and the kernels that run it one after the other or at the same time."""

    def __init__(self, server: ChatServer, home: Path, folder: Path) -> None:
        self.server, self.home, self.folder = server, home, folder
        self.path = folder / "talk.ipynb"

    def kernel(self, path: Path | None = None) -> Kernel:
        env = {**point_at(self.server, self.home), "JPY_SESSION_NAME": str(path or self.path)}
        return Kernel(cwd=self.folder, env=env)

    def load(self, kernel: Kernel) -> Ante:
        assert kernel.run("%load_ext ante_nb", cell="load").status == "ok"
        return Ante(kernel, self.server, self.folder)

    def save(self, ante: Ante, *ids: str) -> None:
        cells = [nbformat.v4.new_code_cell("", id=name) for name in ids]
        outputs = [output for cell in ante.kernel.cells for output in cell.outputs]
        cells[-1].outputs = [
            nbformat.from_dict({"metadata": {}, **output})
            for output in outputs
            if output["output_type"] == "display_data"
        ]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), self.path)


@pytest.fixture
def notebook(chat_server: ChatServer, isolated_home: Path, tmp_path: Path) -> Iterator[Notebook]:
    yield Notebook(chat_server, isolated_home, tmp_path)


def typed(ante: Ante) -> list[str]:
    messages = ante.last_messages
    check_conversation(messages)
    return [words_of(m).rpartition("\n\n")[2] for m in messages if m["role"] == "user"]


def test_a_restarted_kernel_offers_to_go_on_and_says_what_it_lost(notebook: Notebook) -> None:
    with notebook.kernel() as kernel:
        ante = notebook.load(kernel)
        kernel.run("df = [1, 2]\ndef clean(): pass", cell="data")
        first = ante.prompt("one", cell="p1")
        assert "before its kernel was started" not in first.text
        notebook.server.enqueue(Reply(tool("Python", {"code": "fit = sum(df)"})), Reply(text("fitted")))
        ante.prompt("two", "--mode yolo", cell="p2")
        kernel.run("df = [3]", cell="again")
        session = ante.turn("session_id")
        notebook.save(ante, "load", "data", "p1", "p2", "again")
        # Killed, not shut down.
    with notebook.kernel() as kernel:
        ante = notebook.load(kernel)
        kernel.run("def clean(): pass", cell="data")
        out = ante.prompt("new", cell="p3")
        assert out.status == "ok" and "`%ante resume` goes on" in out.text and "2 turns" in out.text
        assert "fit (cell 4); df (cell 5)" in out.text and "clean" not in out.text
        assert typed(ante) == ["new"], "nothing is mixed silently"
        assert "before its kernel" not in ante.prompt("newer", cell="p4").text, "offered once"

        resumed = kernel.run("%ante resume")
        assert session in resumed.text and "df (cell 5)" in resumed.text
        after = ante.prompt("three", cell="p5")
        assert after.status == "ok" and ante.turn("session_id") == session
        assert typed(ante) == ["one", "two", "three"]
        told = next(words_of(m) for m in reversed(ante.last_messages) if m["role"] == "user")
        assert "kernel was restarted" in told and "fit" in told
        # A cell of before the restart starts from its old turn's parent.
        ante.prompt("two, changed", cell="p2")
        assert typed(ante) == ["one", "two, changed"]


def test_two_kernels_and_a_copy_go_on_in_sessions_of_their_own(notebook: Notebook) -> None:
    with notebook.kernel() as kernel, notebook.kernel() as second:
        ante = notebook.load(kernel)
        ante.prompt("one", cell="p1")
        session = ante.turn("session_id")
        notebook.save(ante, "load", "p1")
        other = notebook.load(second)
        out = second.run("%ante resume")
        assert "another kernel is using it" in out.text
        other.prompt("two here", cell="p2")
        assert typed(other) == ["one", "two here"] and other.turn("session_id") != session
        ante.prompt("two there", cell="p2")
        assert typed(ante) == ["one", "two there"] and ante.turn("session_id") == session
        listed = second.run("%ante sessions").text
        assert "2 sessions of this notebook" in listed and "in use by another kernel" in listed
    copy = notebook.folder / "copy.ipynb"
    copy.write_bytes(notebook.path.read_bytes())
    with notebook.kernel(copy) as kernel:
        ante = notebook.load(kernel)
        out = kernel.run("%ante resume")
        assert "talk.ipynb, which is still there" in out.text, out.text
        ante.prompt("three", cell="p3")
        assert typed(ante) == ["one", "two there", "three"]
        assert ante.turn("session_id") != session


def test_a_call_goes_on_with_a_session_of_before_the_restart(notebook: Notebook) -> None:
    with notebook.kernel() as kernel:
        ante = notebook.load(kernel)
        kernel.run("df = [1, 2]", cell="data")
        ante.prompt("one", cell="p1")
        session = ante.turn("session_id")
    with notebook.kernel() as kernel, notebook.kernel() as second:
        ante = notebook.load(kernel)
        assert kernel.run("import ante_nb\nante_nb.ask('aside', session='new')").status == "ok"
        assert "`%ante resume` goes on" in ante.prompt("present", cell="p2").text, "the call took no offer"
        present = ante.turn("session_id")
        call = f"import ante_nb\nturn = ante_nb.ask('two', session={session!r})"
        out = kernel.run(call)
        assert out.status == "ok" and ante.turn("session_id", "turn") == session, out.text
        assert typed(ante) == ["one", "two"]
        told = next(words_of(m) for m in reversed(ante.last_messages) if m["role"] == "user")
        assert "kernel was restarted" in told and "df" in told
        out = kernel.run(f"turn = await ante_nb.ask_async('three', session={session!r})")
        assert typed(ante) == ["one", "two", "three"], out.text
        ante.prompt("still present", cell="p3")
        assert typed(ante) == ["present", "still present"] and ante.turn("session_id") == present
        # The other one was given back; the present one is held.
        other = notebook.load(second)
        assert second.run(call).status == "ok" and other.turn("session_id", "turn") == session
        out = second.run(call.replace(session, present))
        assert "another kernel is using it" in out.text
        assert other.turn("session_id", "turn") not in (present, session)
        assert second.run("ante_nb.ask('x', session='ses_nope')").error.count("no session") == 1


def test_a_new_notebook_with_the_name_of_a_renamed_one_has_no_earlier_session(notebook: Notebook) -> None:
    with notebook.kernel() as kernel:
        ante = notebook.load(kernel)
        ante.prompt("of the first", cell="p1")
        session = ante.turn("session_id")
        notebook.save(ante, "load", "p1")
    renamed = notebook.path.rename(notebook.folder / "analysis.ipynb")
    cells = [nbformat.v4.new_code_cell("", id="other")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook.path)
    with notebook.kernel() as kernel:
        ante = notebook.load(kernel)
        assert "before its kernel was started" not in ante.prompt("mine", cell="other").text
        assert "no earlier session" in kernel.run("%ante resume").error
        # Named expressly, it is a copy: the session is the other notebook's.
        out = kernel.run(f"%ante resume {session}")
        assert "belongs to another notebook" in out.text, out.text
        ante.prompt("mine too", cell="q2")
        assert typed(ante) == ["of the first", "mine too"] and ante.turn("session_id") != session
    with notebook.kernel(renamed) as kernel:
        ante = notebook.load(kernel)
        assert "%ante resume" in ante.prompt("aside", cell="p2").text
        assert session in kernel.run("%ante resume").text
        ante.prompt("more", cell="p3")
        assert typed(ante) == ["of the first", "more"] and ante.turn("session_id") == session
    # Not saved since: the cell that the notebook began with is known.
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", id="load")]), renamed)
    with notebook.kernel(renamed) as kernel:
        assert "2 turns" in notebook.load(kernel).prompt("again", cell="p9").text


def test_rewind_branches_rename_and_export(notebook: Notebook) -> None:
    with notebook.kernel() as kernel:
        ante = notebook.load(kernel)
        key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
        notebook.server.enqueue(
            Reply(text("I look. <script>alert(1)</script>"), tool("Bash", {"command": f"echo {key} '```'"})),
            Reply(text("**Done** with `it`.")),
        )
        ante.prompt("one <b>bold</b>", "--mode yolo", cell="p1")
        ante.prompt("two", cell="p2")
        assert "'two'" in kernel.run("%ante rewind").text
        ante.prompt("three", cell="p3")
        assert len(typed(ante)) == 2
        listed = kernel.run("%ante branches").text
        assert "1 in common" in listed and "* 2" in listed
        assert "'two'" in kernel.run("%ante branches 1").text
        ante.prompt("four", cell="p4")
        assert typed(ante)[1:] == ["two", "four"]
        kernel.run("%ante rename My talk")
        for name in ("t.md", "t.html", "t.ipynb"):
            out = kernel.run(f"%ante export {name}")
            assert out.status == "ok" and "3 turns" in out.text, out.text
            assert "there already" in kernel.run(f"%ante export {name}").error
            assert kernel.run(f"%ante export {name} --force").status == "ok"
            content = (notebook.folder / name).read_text()
            assert key not in content and "My talk" in content and "three" not in content
        assert kernel.run("%ante export talk.ipynb --force").status == "error", "not the running notebook"
        assert kernel.run("%ante export t.pdf").status == "error"
    page = (notebook.folder / "t.html").read_text()
    assert "<script" not in page and "&lt;script" in page and "<strong>Done</strong>" in page
    assert "one &lt;b&gt;bold" in page
    markdown = (notebook.folder / "t.md").read_text()
    assert "**Done** with `it`." in markdown and "> one <b>bold</b>" in markdown
    book = nbformat.read(notebook.folder / "t.ipynb", as_version=4)
    nbformat.validate(book)
    assert [cell.source for cell in book.cells[1:]] == [
        "%load_ext ante_nb",
        "%%ante\none <b>bold</b>",
        "%%ante\ntwo",
        "%%ante\nfour",
    ]
    assert all("text/plain" in output.data for cell in book.cells[2:] for output in cell.outputs)
    assert "script" not in json.dumps([o.data.get("text/html", "") for o in book.cells[2].outputs]).replace(
        "&lt;script", "").replace("&lt;/script", "")  # fmt: skip
