"""Whole turns with real tools, and the way back: files by every tool, variables, what is left alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import Action, Reply, text, tool, tools

from ante_nb.errors import TurnError

if TYPE_CHECKING:
    from pathlib import Path

    from support.desk import Desk

    from ante_nb.agent.turn import Turn
    from ante_nb.agent.undo.report import UndoReport


async def does(desk: Desk, *steps: Action | list[Action], **options: Any) -> Turn:
    """A turn that makes these calls, one step each."""
    replies = []
    for number, step in enumerate(steps):
        calls = step if isinstance(step, list) else [step]
        for index, call in enumerate(calls):
            call.setdefault("id", f"call_{number}_{index}")
        replies.append(Reply(tools(*calls)))
    desk.server.enqueue(*replies, Reply(text("done")))
    turn = await desk.run("work", mode="yolo", **options)
    assert turn.status == "completed", turn.error
    return turn


def bash(command: str) -> Action:
    return tool("Bash", {"command": command})


def python(code: str) -> Action:
    return tool("Python", {"code": code})


def tree(root: Path) -> dict[str, Any]:
    """Everything below ``root``: bytes and mode of files, targets of links, modes of directories."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("directory", path.stat().st_mode)
        else:
            found[name] = (path.read_bytes(), path.stat().st_mode)
    return found


def undo(desk: Desk, name: str = "") -> UndoReport:
    return desk.runtime.undo.undo(desk.cwd, desk.host.namespace, name)


def redo(desk: Desk) -> UndoReport:
    return desk.runtime.undo.redo(desk.cwd, desk.host.namespace)


@pytest.fixture
def project(desk: Desk) -> Desk:
    root = desk.cwd
    (root / "src").mkdir()
    (root / "src/main.py").write_text("print('one')\n")
    (root / "src/deep").mkdir()
    (root / "src/deep/data.bin").write_bytes(bytes(range(256)) * 20)
    (root / "notes.txt").write_text("old\r\nlines\r\n", newline="")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("notes.txt")
    (root / "empty").mkdir()
    return desk


COMMANDS = {
    "create": "mkdir -p new/dir && echo a > new/dir/a.txt && echo b > b.txt && ln -s b.txt new/link",
    "change": "echo more >> notes.txt && sed -i s/one/two/ src/main.py && printf x | dd of=src/deep/data.bin bs=1 seek=9 conv=notrunc",
    "delete": "rm -r src empty link && rm notes.txt",
    "mode": "chmod 600 run.sh && chmod 700 src",
    "move": "mv src lib && mv notes.txt old.txt",
    "kind": "rm -r src && echo file > src && rm notes.txt && mkdir notes.txt && echo in > notes.txt/in && ln -sfn run.sh link",
    "same time": "cp -p notes.txt keep && tr o 0 < keep > notes.txt && touch -r keep notes.txt && rm keep",
    "back and forth": "mv src tmp && mv tmp src && cp run.sh x && rm x",
    "names": "touch -- $'new\\nline' ' blank ' '-dash' $'\\xff\\xfe' 'a;b' \"it's\"",
}


@pytest.mark.parametrize("name", COMMANDS)
async def test_what_bash_did_is_undone_and_done_again(project: Desk, name: str) -> None:
    before = tree(project.cwd)
    await does(project, bash(COMMANDS[name]))
    after = tree(project.cwd)
    if name == "back and forth":
        assert after == before
        with pytest.raises(TurnError):
            undo(project)
        return
    assert after != before
    report = undo(project)
    assert tree(project.cwd) == before, report.lines()
    assert report.files.left == []
    report = redo(project)
    assert tree(project.cwd) == after, report.lines()
    undo(project)
    assert tree(project.cwd) == before


async def test_every_tool_in_one_turn(project: Desk) -> None:
    before = tree(project.cwd)
    turn = await does(
        project,
        [tool("Read", {"file_path": "src/main.py"}), tool("Read", {"file_path": "notes.txt"})],
        [
            tool("Edit", {"file_path": "src/main.py", "old_string": "one", "new_string": "two"}),
            tool("Write", {"file_path": "made/by/write.txt", "content": "hello\n"}),
        ],
        bash("rm notes.txt; echo shell > shell.txt"),
        python("import pathlib\npathlib.Path('python.txt').write_text('p')\nx = 1"),
        tool("Edit", {"file_path": "src/main.py", "old_string": "two", "new_string": "three"}),
    )
    assert sorted(turn.files) == ["made/by/write.txt", "notes.txt", "python.txt", "shell.txt", "src/main.py"]
    assert turn.changes.files_new == ("made/by/write.txt", "python.txt", "shell.txt")
    assert turn.changes.files_changed == ("src/main.py",)
    assert turn.changes.files_deleted == ("notes.txt",)
    assert turn.changes.variables_new == ("x",)
    undo(project)
    assert tree(project.cwd) == before
    assert "x" not in project.host.namespace and "pathlib" not in project.host.namespace


async def test_write_alone_needs_no_walk(project: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from ante_nb.agent.undo.scan import Scanner

    def walked(*arguments: object, **more: object) -> None:
        raise AssertionError("the directory was walked")

    monkeypatch.setattr(Scanner, "scan", walked)
    before = tree(project.cwd)
    await does(project, tool("Write", {"file_path": "sub/new.txt", "content": "x"}), bash("cat notes.txt"))
    undo(project)
    assert tree(project.cwd) == before


async def test_a_file_outside_is_covered_for_write_only(project: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    await does(project, tool("Write", {"file_path": str(outside), "content": "x"}))
    assert outside.exists()
    undo(project)
    assert not outside.exists()


async def test_the_model_is_told_once_what_changed_and_that_it_was_undone(project: Desk) -> None:
    project.host.namespace["old"] = [1]
    await does(project, bash("rm notes.txt"), python("new = 3; old.append(2); del_me = 1; del del_me"))
    await project.run("next")
    told = "\n".join(project.said())
    assert told.count("<changes>") == 1
    assert "files deleted: notes.txt" in told and "variables new: new (int)" in told
    assert "variables changed: old (list)" in told and "del_me" not in told.partition("<changes>")[2]
    undo(project)
    await project.run("and now")
    told = "\n".join(project.said())
    assert (
        told.count("<changes>") == 2 and "The person undid" in told and "files made again: notes.txt" in told
    )
    await project.run("nothing new")
    assert "\n".join(project.said()).count("<changes>") == 2


async def test_what_the_person_changed_since_is_left_and_named(project: Desk) -> None:
    project.host.namespace.update(kept=1, shared=[1])
    await does(
        project,
        bash("echo x >> notes.txt; echo y > made.txt; rm run.sh"),
        python("kept = 2; shared.append(2)"),
    )
    (project.cwd / "notes.txt").write_text("mine")
    (project.cwd / "made.txt").write_text("mine too")
    (project.cwd / "run.sh").write_text("mine as well")
    project.host.namespace["kept"] = 3
    project.host.namespace["shared"].append(4)
    report = undo(project)
    assert {name for name, _ in report.files.left} == {"notes.txt", "made.txt", "run.sh"}
    assert [(project.cwd / name).read_text() for name in ("notes.txt", "made.txt", "run.sh")] == [
        "mine", "mine too", "mine as well",
    ]  # fmt: skip
    assert project.host.namespace["kept"] == 3 and project.host.namespace["shared"] == [1, 2, 4]
    assert report.variables is not None
    assert {name for name, _ in report.variables.left} == {"kept", "shared"}


async def test_what_is_never_recorded(project: Desk) -> None:
    root = project.cwd
    (root / ".gitignore").write_text("*.log\nbuild/\n")
    for name in (".git", ".ipynb_checkpoints", ".ante", "build", "src/__pycache__"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_text("old")
    (root / "a.log").write_text("old")
    (root / "book.ipynb").write_text("old")
    project.host.notebook_path = root / "book.ipynb"
    turn = await does(
        project,
        bash(
            "for f in .git/file .ipynb_checkpoints/file .ante/file build/file src/__pycache__/file a.log book.ipynb;"
            " do echo new > $f; done; echo new > build/more; echo new > seen.txt"
        ),
    )
    assert turn.files == ["seen.txt"]
    report = undo(project)
    assert report.files.removed == ["seen.txt"] and report.files.count == 1
    assert (root / "book.ipynb").read_text() == "new\n" and (root / ".git/file").read_text() == "new\n"
    assert (root / "a.log").read_text() == "new\n" and (root / "build/more").exists()


async def test_write_to_an_ignored_file_is_named(project: Desk) -> None:
    (project.cwd / ".gitignore").write_text("*.env\n")
    await does(project, tool("Write", {"file_path": "my.env", "content": "x"}), bash("touch other"))
    report = undo(project)
    assert any("my.env" in problem for problem in report.problems)
    assert (project.cwd / "my.env").exists() and not (project.cwd / "other").exists()


async def test_a_changed_gitignore_does_not_make_old_files_new(project: Desk) -> None:
    root = project.cwd
    (root / ".gitignore").write_text("data/\n")
    (root / "data").mkdir()
    (root / "data/precious.csv").write_text("years of work")
    await does(project, bash("echo > .gitignore; echo x > seen.txt"))
    undo(project)
    assert (root / "data/precious.csv").read_text() == "years of work"
    assert (root / ".gitignore").read_text() == "data/\n" and not (root / "seen.txt").exists()
    # And over a further turn, when the rules in force are the new ones.
    redo(project)
    await does(project, bash("rm -r data"))
    undo(project)
    assert (root / "data/precious.csv").read_text() == "years of work"


async def test_turns_are_undone_from_the_last_to_the_first(project: Desk) -> None:
    states = [tree(project.cwd)]
    for number in range(3):
        await does(project, bash(f"echo {number} >> notes.txt; echo {number} > file{number}.txt"))
        states.append(tree(project.cwd))
        await does(project, bash("cat notes.txt"))
    for number in (2, 1, 0):
        undo(project)
        assert tree(project.cwd) == states[number]
    with pytest.raises(TurnError):
        undo(project)
    for number in (1, 2, 3):
        redo(project)
        assert tree(project.cwd) == states[number]
    with pytest.raises(TurnError):
        redo(project)


async def test_a_turn_by_its_id(project: Desk) -> None:
    first = await does(project, bash("echo 1 > one.txt"))
    await does(project, bash("echo 2 > two.txt"))
    undo(project, first.id)
    assert not (project.cwd / "one.txt").exists() and (project.cwd / "two.txt").exists()
    with pytest.raises(TurnError, match="already"):
        undo(project, first.id)
    with pytest.raises(TurnError, match="no turn"):
        undo(project, "turn_none")


async def test_what_is_too_large_is_named(project: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from ante_nb.agent.undo import workspace

    monkeypatch.setattr(workspace, "FILE_CAP", 1000)
    monkeypatch.setattr("ante_nb.agent.undo.restore.NAMED_CAP", 5000)
    (project.cwd / "big").write_bytes(b"x" * 2000)
    before = tree(project.cwd)
    await does(project, bash("printf y >> big; head -c 9000 /dev/zero > huge; echo s > small"))
    report = undo(project)
    left = dict(report.files.left)
    assert "not kept" in left["big"] and "too large" in left["huge"]
    assert (project.cwd / "big").stat().st_size == 2001 and (project.cwd / "huge").exists()
    (project.cwd / "huge").unlink()
    (project.cwd / "big").write_bytes(b"x" * 2000)
    assert tree(project.cwd) == before


async def test_a_link_put_above_a_file_is_not_followed(project: Desk, tmp_path: Path) -> None:
    await does(project, bash("echo x >> src/main.py; rm src/deep/data.bin"))
    elsewhere = tmp_path / "elsewhere"
    (project.cwd / "src").rename(elsewhere)
    (project.cwd / "src").symlink_to(elsewhere)
    outside = tree(elsewhere)
    report = undo(project)
    assert tree(elsewhere) == outside and len(report.files.left) == 2


async def test_an_undone_file_keeps_its_other_names(project: Desk) -> None:
    os.link(project.cwd / "notes.txt", project.cwd / "second.txt")
    await does(project, bash("echo more >> notes.txt"))
    undo(project)
    assert (project.cwd / "notes.txt").samefile(project.cwd / "second.txt")
    assert (project.cwd / "second.txt").read_bytes() == b"old\r\nlines\r\n"


async def test_an_interrupted_turn_can_be_undone(project: Desk) -> None:
    before = tree(project.cwd)
    project.server.enqueue(Reply(tool("Bash", {"command": "echo x > made; rm notes.txt; sleep 60"}, id="c1")))
    made = project.cwd / "made"
    turn = await project.cancelled(made.exists, "go", mode="yolo")
    assert turn.status == "interrupted" and "made" in turn.files
    undo(project)
    assert tree(project.cwd) == before


async def test_two_undo_logs_in_one_directory(project: Desk) -> None:
    """Another kernel's turn begins and ends in the middle of this one's."""
    from ante_nb.agent.undo.log import UndoLog
    from ante_nb.agent.undo.store import Record

    other = UndoLog()
    room, root = other.workspace(project.cwd), project.cwd
    before = tree(root)
    mine = Record("turn_long", "turn")
    log = project.runtime.undo
    log.mine[mine.id] = room.root
    log.workspace(root).begin(mine)
    (root / "first.txt").write_text("by the long turn")
    theirs = Record("turn_short", "turn")
    other.mine[theirs.id] = room.root
    room.begin(theirs)
    (root / "notes.txt").unlink()
    assert [change.path for change in room.finish(theirs, frozenset())] == ["notes.txt"]
    changes = log.workspace(root).finish(mine, frozenset())
    assert [change.path for change in changes] == ["first.txt", "notes.txt"]
    undo(project, "turn_long")
    assert tree(root) == before


async def test_a_store_that_cannot_be_used_costs_the_undo_only(project: Desk) -> None:
    from ante_nb import paths
    from ante_nb.messages import Notice

    paths.ensure(paths.home())
    paths.undo().write_text("a file where the directory should be")
    turn = await does(project, bash("echo x > made.txt"), python("x = 1"))
    assert [call.status for call in turn.tool_calls] == ["ok", "ok"]
    assert [n for n in project.host.shown(Notice) if "%ante undo" in n.text]


async def test_a_damaged_store_is_begun_anew(project: Desk) -> None:
    await does(project, bash("echo x > made.txt"))
    store = project.runtime.undo.workspace(project.cwd).store
    store.close()
    store.path.write_bytes(b"no database at all, and long enough to be looked at" * 50)
    await does(project, bash("echo y > more.txt"))
    undo(project)
    assert (project.cwd / "made.txt").exists() and not (project.cwd / "more.txt").exists()


async def test_old_records_and_their_contents_are_forgotten(
    project: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ante_nb.agent.undo import store

    monkeypatch.setattr(store, "KEPT_RECORDS", 3)
    for number in range(6):
        await does(project, bash(f"echo {number} > notes.txt"))
    kept = project.runtime.undo.workspace(project.cwd).store
    assert len(kept.records()) == 3
    with kept.transaction() as connection:
        contents = {bytes(row[0]) for row in connection.execute("SELECT data FROM contents")}
    assert b"1\n" not in contents and {b"2\n", b"3\n", b"4\n", b"5\n"} <= contents
    for _ in range(3):
        undo(project)
    assert (project.cwd / "notes.txt").read_text() == "2\n"


async def test_the_store_is_the_owners_alone(project: Desk) -> None:
    await does(project, bash("echo x > made.txt"))
    path = project.runtime.undo.workspace(project.cwd).store.path
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
