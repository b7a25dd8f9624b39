"""``%ante undo``, ``%ante changes``, ``%ante redo`` in a real kernel; a kernel that is killed in mid-turn."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import Ante, check_conversation, point_at, prove, rounds, seeded, words_of
from support.chat_server import ChatServer, Reply, text, tool

if TYPE_CHECKING:
    from pathlib import Path

MAKE = "import pandas as pd, numpy as np\ndf = pd.DataFrame({'a': [1, 2, 3]})\narr = np.arange(5)\nitems = ['x']\nn = 1"
CHANGE = (
    "df['b'] = df['a'] * 2\narr[0] = 99\nitems.append('y')\nn = 2\nextra = 'new'\n"
    "open('made.txt', 'w').write('made')\nimport os\nos.remove('old.txt')"
)


def call(ante: Ante, *calls: tuple[str, dict[str, Any]]) -> str:
    """A turn that makes these calls; what the cell shows."""
    replies = [Reply(tool(name, arguments, id=f"c{n}")) for n, (name, arguments) in enumerate(calls)]
    ante.server.enqueue(*replies, Reply(text("done")))
    outcome = ante.prompt("go", "--allow Python --allow Bash")
    assert outcome.status == "ok", outcome.text
    return outcome.text


def test_undo_redo_and_changes(ante: Ante) -> None:
    (ante.cwd / "old.txt").write_text("old")
    nothing = ante.kernel.run("%ante changes")
    assert nothing.status == "ok" and "no turn" in nothing.stdout
    refused = ante.kernel.run("%ante undo")
    assert refused.status == "error" and "nothing to undo" in refused.text
    assert ante.kernel.run(MAKE).status == "ok"
    identity = ante.kernel.value("[id(df), id(arr), id(items)]")
    shown = call(ante, ("Python", {"code": CHANGE}))
    for words in ("files new: made.txt", "files deleted: old.txt", "variables new: extra"):
        assert words in shown, shown
    assert set(ante.turn("variables")) == {"df", "arr", "items", "n", "extra"}
    assert ante.turn("changes.files_deleted") == ("old.txt",)
    told = ante.kernel.run("%ante changes").stdout
    assert (
        "'go'" in told and "variables changed: arr (ndarray), df (DataFrame), items (list), n (int)" in told
    )

    done = ante.kernel.run("%ante undo")
    assert done.status == "ok" and "files made again: old.txt" in done.stdout, done.text
    state = "[list(df.columns), arr.tolist(), items, n, 'extra' in globals()]"
    assert ante.kernel.value(state) == [["a"], [0, 1, 2, 3, 4], ["x"], 1, False]
    assert ante.kernel.value("[id(df), id(arr), id(items)]") == identity
    assert (ante.cwd / "old.txt").read_text() == "old" and not (ante.cwd / "made.txt").exists()
    assert ante.kernel.run("%ante undo").status == "error"

    assert ante.prompt("what now?").status == "ok"
    last = words_of(ante.last_messages[-1])
    assert "The person undid" in last and "variables put back" in last
    check_conversation(ante.last_messages)

    again = ante.kernel.run("%ante redo")
    assert again.status == "ok", again.text
    assert ante.kernel.value(state) == [["a", "b"], [99, 1, 2, 3, 4], ["x", "y"], 2, True]
    assert not (ante.cwd / "old.txt").exists() and (ante.cwd / "made.txt").read_text() == "made"
    listed = ante.kernel.run("%ante changes all").stdout
    assert listed.count("turn_") == 1 and "variables" in listed
    assert ante.kernel.run("%ante undo").status == "ok"
    ante.check_usable()


def test_undo_is_refused_inside_a_tool_call(ante: Ante) -> None:
    call(ante, ("Bash", {"command": "echo x > made.txt"}))
    call(ante, ("Python", {"code": "get_ipython().run_line_magic('ante', 'undo')"}))
    assert (ante.cwd / "made.txt").exists()
    results = [words_of(m) for m in ante.last_messages if m["role"] == "tool"]
    assert "refused" in results[-1]


def test_the_running_notebook_is_left_alone(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    from support.kernel import Kernel

    book = tmp_path / "book.ipynb"
    book.write_text("{}")
    env = {**point_at(chat_server, isolated_home), "JPY_SESSION_NAME": str(book)}
    with Kernel(cwd=tmp_path, env=env) as kernel:
        assert kernel.run("%load_ext ante_nb").status == "ok"
        ante = Ante(kernel, chat_server, tmp_path)
        call(ante, ("Bash", {"command": "echo '{\"a\": 1}' > book.ipynb; echo x > made.txt"}))
        assert ante.turn("files") == ["made.txt"]
        assert kernel.run("%ante undo").status == "ok"
        assert book.read_text() == '{"a": 1}\n' and not (tmp_path / "made.txt").exists()


@pytest.mark.timeout(3600)
def test_killed_in_mid_turn_the_next_kernel_undoes_it(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    from support.kernel import Kernel

    rng = seeded("undo after kill -9")
    work = tmp_path / "work"
    work.mkdir()
    before = {f"file{n}.txt": f"content {n}\n" * 50 for n in range(40)}
    for name, content in before.items():
        (work / name).write_text(content)
    command = (
        "echo started > started; for n in $(seq 0 39); do case $((n % 3)) in 0) rm file$n.txt;;"
        " 1) echo more >> file$n.txt;; *) echo x > new$n.txt;; esac; sleep 0.01; done; sleep 60"
    )
    done = rounds(2, 30)
    for number in range(done):
        with Kernel(cwd=work, env=point_at(chat_server, isolated_home)) as kernel:
            assert kernel.run("%load_ext ante_nb").status == "ok"
            chat_server.reset()
            chat_server.enqueue(Reply(tool("Bash", {"command": command}, id="c1")))
            kernel.start("%%ante --allow Bash\ngo")
            end = time.monotonic() + 60
            while not (work / "started").exists():
                assert time.monotonic() < end, "the command did not start"
                kernel.wait_for(lambda outcome: True, 1)
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.5))
            os.kill(kernel.pid, signal.SIGKILL)
            _end_children(work)
        with Kernel(cwd=work, env=point_at(chat_server, isolated_home)) as kernel:
            assert kernel.run("%load_ext ante_nb").status == "ok"
            told = kernel.run("%ante changes")
            assert told.status == "ok" and "another kernel" in told.stdout, told.text
            undone = kernel.run("%ante undo")
            assert undone.status == "ok", undone.text
            after = {path.name: path.read_text() for path in work.iterdir()}
            assert after == before, (number, undone.text)
    prove("undo_after_kill", rounds=done, files=len(before), wrong=0)


def _end_children(work: Path) -> None:
    """End what a killed kernel left running in ``work``, so that it changes no more files."""
    import psutil

    for process in psutil.process_iter():
        try:
            if process.name() in ("bash", "sleep", "seq") and process.cwd() == str(work):
                process.kill()
        except psutil.Error:
            continue
    time.sleep(0.1)
