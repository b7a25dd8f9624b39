"""``%ante record``, ``%ante check`` and ``ante_nb.map`` in a real kernel."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from support.ante import ROOT, Ante, echo, point_at
from support.chat_server import ChatServer, Reply, text, wait
from support.front import own_home
from support.kernel import Kernel
from support.mapped import item_of

if TYPE_CHECKING:
    from collections.abc import Iterator

CELLS = ("%load_ext ante_nb", "%%ante --tools none\nWhat is a list?", "print(6 * 7)")


@pytest.fixture(scope="module")
def ante(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ante]:
    with own_home(tmp_path_factory) as home, ChatServer() as server:
        cwd = tmp_path_factory.mktemp("work")
        env = {**point_at(server, home), "PYTHONPATH": os.pathsep.join(
            filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)])
        )}  # fmt: skip
        with Kernel(cwd=cwd, env=env) as kernel:
            assert kernel.run("%load_ext ante_nb").status == "ok"
            yield Ante(kernel, server, cwd)


def ended(pid: int) -> bool:
    """Whether the process is gone (or waits for its parent alone)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def children(pid: int) -> set[int]:
    """All processes that descend from ``pid``."""
    found: set[int] = set()
    for folder in Path(f"/proc/{pid}/task").glob("*"):
        try:
            for child in (folder / "children").read_text().split():
                found |= {int(child)} | children(int(child))
        except OSError:
            continue
    return found


def saved(ante: Ante, name: str, *cells: str) -> None:
    """A notebook as if these cells had been run and saved here."""
    book = nbformat.v4.new_notebook()
    for number, source in enumerate(cells, 1):
        shown = ante.kernel.run(source) if "time.sleep" not in source else None
        outputs = [nbformat.from_dict(o) for o in shown.outputs] if shown is not None else []
        book.cells.append(nbformat.v4.new_code_cell(source, outputs=outputs, execution_count=number))
    nbformat.write(book, ante.cwd / name)


def test_record_on_then_check_finds_nothing_then_what_was_changed(ante: Ante) -> None:
    assert "not recorded" in ante.kernel.run("%ante record").text
    on = ante.kernel.run("%ante record on").text
    assert ".ante/recordings" in on and "0 turns" in on, on
    wrong = ante.kernel.run("%ante record perhaps")
    assert wrong.status == "error" and "on or off" in wrong.text
    saved(ante, "book.ipynb", *CELLS)
    assert "1 turn there" in ante.kernel.run("%ante record").text
    sent = len(ante.server.chats)
    same = ante.kernel.run("%ante check book.ipynb", timeout=150)
    assert same.status == "ok" and "no difference: every cell gives what is saved" in same.text, same.text
    assert len(ante.server.chats) == sent
    path = ante.cwd / "book.ipynb"
    path.write_text(path.read_text().replace("print(6 * 7)", "print(6 * 8)"))
    other = ante.kernel.run("%ante check book.ipynb", timeout=150)
    assert other.status == "error" and "cell 3 (print(6 * 8))" in other.text, other.text
    assert "'42'" in other.text and "'48'" in other.text
    assert "not recorded" in ante.kernel.run("%ante record off").text


def test_an_interrupted_check_leaves_no_process_and_a_usable_kernel(ante: Ante) -> None:
    saved(ante, "long.ipynb", "import time\nopen('begun', 'w').close()\ntime.sleep(600)")
    ante.kernel.start("%ante check long.ipynb")
    ante.kernel.wait_for(lambda _: (ante.cwd / "begun").exists(), timeout=120)
    below = children(ante.kernel.pid)
    assert len(below) >= 2  # the check, and its kernel
    ante.kernel.interrupt()
    outcome = ante.kernel.wait(60)
    assert outcome.status == "error", outcome.text
    end = time.monotonic() + 60
    while not all(ended(pid) for pid in below) and time.monotonic() < end:
        time.sleep(0.2)
    assert all(ended(pid) for pid in below)
    ante.check_usable()


def test_map_shows_one_bar_and_stops_at_an_interrupt(ante: Ante) -> None:
    failing: list[str] = ["3"]

    def handler(request: Any) -> Reply:
        item = item_of(request)
        if item in failing:
            return Reply(wait(60), text("late"))
        return Reply(text(f"<{item}>"))

    ante.server.handler = handler
    done = ante.kernel.run('import ante_nb\nr = ante_nb.map("Go.", range(3), tools="none")\nr.texts')
    assert done.status == "ok", done.text
    bars = [html for html in done.mime("text/html") if "<progress" in html]
    assert len(bars) == 1 and 'max="3" value="3"' in bars[0], bars
    assert "3 of 3 items" in done.text and "['<0>', '<1>', '<2>']" in done.text
    ante.kernel.start('r = ante_nb.map("Go.", range(5), tools="none")')
    ante.kernel.wait_text("4 of 5 items")
    ante.kernel.interrupt()
    stopped = ante.kernel.wait(60)
    assert stopped.status == "error" and "4 of 5 items were answered" in stopped.text, stopped.text
    failing.clear()
    again = ante.kernel.run("ante_nb.mapping.last.resume().texts")
    assert again.status == "ok" and "'<3>'" in again.text, again.text
    ante.server.handler = echo
    ante.check_usable()
