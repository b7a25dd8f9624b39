"""Sessions read back: after a restart, after a kill, on a full disk; forked, rewound, listed, locked."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_server import Reply, status, text, tool, tools, wait_for

from ante_nb.agent import journal as journal_module
from ante_nb.agent.runtime import Runtime
from ante_nb.agent.session import Node, Session, node_id
from ante_nb.agent.sessions import find_session, list_sessions, load_session
from ante_nb.agent.sessions.listing import held
from ante_nb.agent.sessions.tree import branches, turns_of
from ante_nb.errors import BusyError, ConfigError
from ante_nb.messages import Image, Message, Notice, Text, Thinking, TurnEnded

if TYPE_CHECKING:
    from pathlib import Path

    from support.desk import Desk


async def cells(desk: Desk, *pairs: tuple[str, str]) -> None:
    for cell, prompt in pairs:
        turn = await desk.run(prompt, cell=cell, tools="none")
        assert turn.status == "completed", turn.error


def users(desk: Desk) -> list[str]:
    return [line.removeprefix("user: ") for line in desk.said() if line.startswith("user: ")]


def same(one: Session, other: Session) -> None:
    """Two sessions that a next turn cannot tell apart."""
    assert one.id == other.id and one.head == other.head and one.secret == other.secret
    assert one.by_cell == other.by_cell and list(one.nodes) == list(other.nodes)
    for key, node in one.nodes.items():
        assert node == other.nodes[key]
    assert one.usage == other.usage and one.turns == other.turns
    assert (one.cost, one.cost_known) == (other.cost, other.cost_known)
    assert (one.title, one.first_prompt) == (other.title, other.first_prompt)


async def test_what_was_recorded_comes_back_the_same(desk: Desk) -> None:
    (desk.cwd / "a.txt").write_text("content of a\n")
    desk.server.enqueue(
        Reply(tools(tool("Read", {"file_path": "a.txt"}, id="c1"), tool("Glob", {"pattern": "*"}, id="c2"))),
        Reply(text("read")),
    )
    await desk.run("read it", cell="a")
    await cells(desk, ("b", "two \ud83d \u2028 \x00 end"), ("c", "three"), ("b", "two, changed"))
    desk.server.enqueue(Reply(status(400, {"error": {"message": "no"}})))
    assert (await desk.run("poison", cell="d", tools="none")).status == "failed"
    desk.server.enqueue(Reply(text("half an ans"), wait_for("never")))
    await desk.cancelled(
        lambda: any(getattr(e, "text", "") == "half an ans" for e in desk.host.events), "stop", cell="e"
    )
    desk.runtime.session.rename("my talk")
    same(load_session(desk.runtime.session.id), desk.runtime.session)
    assert "half an ans" in [m.text for m in load_session(desk.runtime.session.id).conversation(
        desk.runtime.session.head)]  # fmt: skip


async def test_a_session_goes_on_in_another_process_where_it_was(desk: Desk) -> None:
    await cells(desk, ("a", "one"), ("b", "two"))
    old = desk.runtime.session
    sent = desk.messages
    old.journal.close()
    desk.runtime = Runtime()
    found = desk.runtime.resume(old.id)
    assert (found.forked, found.notes) == ("", ()) and desk.runtime.session.id == old.id
    await cells(desk, ("c", "three"))
    assert desk.messages[: len(sent)] == sent, "the same bytes, so that a prompt cache holds"
    assert users(desk) == ["one", "two", "three"]
    # A cell that ran before the restart starts from its old turn's parent.
    await cells(desk, ("b", "two, changed"))
    assert users(desk) == ["one", "two, changed"]
    same(load_session(old.id), desk.runtime.session)


async def test_run_all_after_a_restart_is_the_same_tree(desk: Desk) -> None:
    notebook = (("a", "one"), ("b", "two"), ("c", "three"))
    await cells(desk, *notebook)
    old = desk.runtime.session
    old.journal.close()
    desk.runtime = Runtime()
    desk.runtime.resume(old.id)
    await cells(desk, *notebook)
    session = desk.runtime.session
    assert (set(session.nodes), session.head) == (set(old.nodes), old.head)
    assert {node.runs for node in session.nodes.values()} == {2}
    assert {node.runs for node in load_session(old.id).nodes.values()} == {2}


async def test_without_cell_ids_a_resumed_session_goes_on_at_its_end(desk: Desk) -> None:
    for prompt in ("one", "two"):
        await desk.run(prompt, tools="none")
    name = desk.runtime.session.id
    desk.runtime.session.journal.close()
    desk.runtime = Runtime()
    desk.runtime.resume(name)
    await desk.run("three", tools="none")
    assert users(desk) == ["one", "two", "three"]


# ----------------------------------------------------------------------------------- kills and damage


def turn_lines(name: str, number: int, answers: int, end: bool) -> list[dict[str, Any]]:
    node = node_id(None, name, (), "p", "m", None)
    start = {
        "time": "t", "type": "turn_started", "turn": f"turn_{number}", "node": node, "parent": None,
        "cell": name, "prompt": name, "messages": [Message.user(name).to_dict()],
    }  # fmt: skip
    said = [
        {"time": "t", "type": "message", "turn": f"turn_{number}",
         "message": Message("assistant", (Text(f"answer {n}"),)).to_dict()}
        for n in range(answers)
    ]  # fmt: skip
    ended = [{"time": "t", "type": "turn_ended", "turn": f"turn_{number}", "node": node, "status": "completed",
              "kept": None}]  # fmt: skip
    return [start, *said, *(ended if end else [])]


def write(home: Path, records: list[dict[str, Any]], tail: bytes = b"", name: str = "") -> str:
    name = name or Session().id
    folder = home / "sessions" / name
    folder.mkdir(parents=True, exist_ok=True)
    head = {"time": "t", "type": "session", "v": 1, "id": name}
    data = b"".join(json.dumps(record).encode() + b"\n" for record in [head, *records])
    (folder / "events.jsonl").write_bytes(data + tail)
    return name


def test_a_killed_turn_is_there_with_what_it_had_finished(tmp_path: Path) -> None:
    records = [*turn_lines("a", 1, 1, True), *turn_lines("b", 2, 2, False)]
    session = load_session(write(tmp_path, records, b'{"time":"2026-'), tmp_path)
    assert [node.prompt for node in session.nodes.values()] == ["a", "b"]
    assert session.cut_off == "b" and session.damage == []
    assert [m.text for m in session.nodes[session.head or ""].messages] == ["b", "answer 0", "answer 1"]
    # However early the line was cut, and closed by the process after: that is no damage.
    for size in range(1, 12):
        cut = b'{"time":"2026-'[:size] + b"\n"
        assert load_session(write(tmp_path, records, cut), tmp_path).damage == []
    # Its steps count for the session's limits, though no end of it was written down.
    for record in records[-2:]:
        record["step"] = "step_x"
    name = write(tmp_path, records)
    (tmp_path / "sessions" / name / "meta.json").write_text('{"v": 1, "steps": 4}')
    assert load_session(name, tmp_path).steps == 6
    # A turn without any answer left nothing to build on.
    records = [*turn_lines("a", 1, 1, True), *turn_lines("b", 2, 0, False)]
    session = load_session(write(tmp_path, records), tmp_path)
    assert [node.prompt for node in session.nodes.values()] == ["a"] and session.cut_off == "b"
    # Gone on with later, the cut is no news any more.
    records += turn_lines("c", 3, 1, True)
    assert load_session(write(tmp_path, records), tmp_path).cut_off == ""


def test_a_call_whose_result_was_lost_is_answered(tmp_path: Path) -> None:
    from ante_nb.messages import ToolCall

    records = turn_lines("a", 1, 0, False)
    call = Message("assistant", (Text("I look."), ToolCall("c1", "Read", {"file_path": "x"})))
    records.append({"time": "t", "type": "message", "turn": "turn_1", "message": call.to_dict()})
    session = load_session(write(tmp_path, records), tmp_path)
    last = session.conversation(session.head)[-1]
    assert last.role == "tool" and last.tool_results[0].is_error and "nterrupted" in last.tool_results[0].text


@given(cut=st.integers(0, 10_000), flip=st.one_of(st.none(), st.integers(0, 10_000)))
def test_cut_anywhere_the_record_is_read_as_far_as_it_goes(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int | None
) -> None:
    home = tmp_path_factory.getbasetemp() / "cut"
    records = [line for number in range(4) for line in turn_lines(f"p{number}", number, 2, number != 3)]
    name = write(home, records, name="ses_" + "0" * 26)
    path = home / "sessions" / name / "events.jsonl"
    raw = bytearray(path.read_bytes())
    size = cut % (len(raw) + 1)
    if flip is not None and size:
        raw[flip % size] ^= 0x55
    path.write_bytes(bytes(raw[:size]))
    try:
        session = load_session(name, home)
    except ConfigError as error:
        assert "later version" in str(error)  # the flipped byte is the version's
        return
    if flip is None:
        whole = bytes(raw[:size]).count(b"\n")
        done = sum(record["type"] == "turn_ended" for record in records[: max(0, whole - 1)])
        assert sum(len(node.messages) == 3 for node in session.nodes.values()) >= done
        assert session.damage == []
    for node in session.nodes.values():
        assert node.messages and node.messages[0].role == "user"
        assert node.parent is None or node.parent in session.nodes
    session.conversation(session.head)


def test_a_damaged_line_is_left_out_and_said(tmp_path: Path) -> None:
    records = [*turn_lines("a", 1, 1, True), *turn_lines("b", 2, 1, True)]
    name = write(tmp_path, records)
    path = tmp_path / "sessions" / name / "events.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[4] = b"\xff\xfe" + b"garbage" * 3
    path.write_bytes(b"\n".join(lines))
    session = load_session(name, tmp_path)
    assert [node.prompt for node in session.nodes.values()] == ["a"]
    assert "1 line" in session.damage[0]


def test_a_later_version_is_refused_politely_and_not_touched(tmp_path: Path) -> None:
    name = write(tmp_path, turn_lines("a", 1, 1, True))
    folder = tmp_path / "sessions" / name
    path = folder / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"v": 1', b'"v": 2'))
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"later version.*Update"):
        load_session(name, tmp_path)
    (folder / "meta.json").write_text(json.dumps({"v": 7, "id": name, "turns": 3}))
    [info] = list_sessions(tmp_path)
    assert "later version" in info.problem and info.id == name
    assert path.read_bytes() == before
    # Events that a later release adds to this version are passed over.
    name = write(tmp_path, [*turn_lines("a", 1, 1, True), {"time": "t", "type": "hologram", "x": 1}])
    assert load_session(name, tmp_path).damage == []


@pytest.mark.parametrize("name", ["", "x", "../../etc", "ses_../../x", "ses_" + "0" * 26])
def test_what_is_no_session_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="session"):
        load_session(name, tmp_path)
    with pytest.raises(ConfigError, match="session"):
        find_session(name, tmp_path)


def test_meta_may_be_missing_or_torn(tmp_path: Path) -> None:
    name = write(tmp_path, turn_lines("a", 1, 1, True))
    for content in (None, "", "{", "[]", '{"v": 1, "secret": "zz", "cost": "x", "turns": "many"}'):
        if content is not None:
            (tmp_path / "sessions" / name / "meta.json").write_text(content)
        assert load_session(name, tmp_path).turns == 1
        [info] = list_sessions(tmp_path)
        assert info.id == name and not info.problem


async def test_signed_thinking_that_was_redacted_is_not_sent_again(desk: Desk) -> None:
    session = Session(home=desk.home)
    node = Node("n1", None, "a", "p", "turn_1")
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    image = "iVBORw0KGgo" + "AKIAABCDEFGHIJKLMNOP+/" * 20
    node.messages = (
        Message("user", (Text("p"), Image(image, "image/png"))),
        Message("assistant", (Thinking(f"the key is {key}", "c2lnbmVk"), Text(f"I saw {key}"))),
    )
    session.place(node)
    session.journal.append("turn_ended", turn="x")
    again = load_session(session.id, desk.home)
    user, assistant = again.conversation(again.head)
    assert [part.type for part in assistant.parts] == ["text"] and key not in assistant.text
    assert user.parts[1] == Image(image, "image/png"), "no hole in an image"


# ------------------------------------------------------------------------------------- fork and rewind


async def test_rewind_takes_turns_back_and_keeps_them_as_a_branch(desk: Desk) -> None:
    await cells(desk, ("a", "one"), ("b", "two"), ("c", "three"))
    session = desk.runtime.session
    taken = desk.runtime.rewind("2")
    assert [node.prompt for node in taken] == ["two", "three"]
    same(load_session(session.id), session)
    # The cell that ran last and is run now goes on from here, not from what was taken back.
    await cells(desk, ("c", "three, changed"))
    assert users(desk) == ["one", "three, changed"]
    found = branches(session)
    assert [[node.prompt for node in branch.turns] for branch in found] == [
        ["one", "two", "three"],
        ["one", "three, changed"],
    ]
    assert [(branch.shared, branch.present) for branch in found] == [(1, False), (2, True)]
    desk.runtime.switch_branch("1")
    await cells(desk, ("d", "four"))
    assert users(desk) == ["one", "two", "three", "four"]
    same(load_session(session.id), session)
    # By a turn's id, and to the very beginning.
    desk.runtime.rewind(turns_of(session)[0].turn_id)
    await cells(desk, ("e", "fresh"))
    assert users(desk) == ["fresh"]
    same(load_session(session.id), session)
    for words in ("0", "9", "turn_x"):
        with pytest.raises(ConfigError):
            desk.runtime.rewind(words)
    with pytest.raises(ConfigError):
        desk.runtime.switch_branch("99")


async def test_a_fork_leaves_the_old_session_as_it_is(desk: Desk) -> None:
    await cells(desk, ("a", "one"), ("b", "two"))
    old = desk.runtime.session
    before = old.journal.path.read_bytes()
    new = desk.runtime.fork()
    assert new.id != old.id and not (desk.home / "sessions" / new.id).exists(), "nothing before a turn"
    await cells(desk, ("c", "three"))
    assert users(desk) == ["one", "two", "three"]
    assert old.journal.path.read_bytes() == before
    again = load_session(new.id)
    same(again, new)
    assert again.forked_from == old.id and again.usage == new.usage != old.usage
    # Without the last turn.
    desk.runtime.fork("2")
    await cells(desk, ("b", "two, otherwise"))
    assert users(desk) == ["one", "two, otherwise"]
    assert len(desk.runtime.session.nodes) == 2
    # The old one can be gone back to.
    desk.runtime.resume(old.id)
    await cells(desk, ("b", "two"))
    assert users(desk) == ["one", "two"]


async def test_a_fork_that_dies_while_it_is_written_is_no_session(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cells(desk, ("a", "one"))
    new = desk.runtime.fork()

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "fsync", full)
        new.journal.append("head", node=new.head)
    assert new.journal.problem and not new.journal.path.exists()
    await cells(desk, ("b", "two"))
    assert users(desk) == ["one", "two"] and new.journal.problem is None
    same(load_session(new.id), new)


async def test_nothing_moves_while_a_turn_runs(desk: Desk) -> None:
    await cells(desk, ("a", "one"))
    desk.runtime.running = object()
    for move in (
        lambda: desk.runtime.rewind(),
        lambda: desk.runtime.fork(),
        lambda: desk.runtime.resume(desk.runtime.session.id),
        lambda: desk.runtime.switch_branch("1"),
        lambda: desk.runtime.reset(),
    ):
        with pytest.raises(BusyError):
            move()


async def test_a_summary_stands_for_what_is_before_it(desk: Desk) -> None:
    await cells(desk, ("a", "one"), ("b", "two"))
    session = desk.runtime.session
    words = (Message.user("what was said so far"), Message("assistant", (Text("noted"),)))
    session.compact(Node("sum1", session.head, "", "", "", words))
    await cells(desk, ("c", "three"))
    assert users(desk) == ["what was said so far", "three"]
    same(load_session(session.id), session)
    assert [node.prompt for node in turns_of(session)] == ["one", "two", "three"]
    desk.runtime.rewind("2")
    await cells(desk, ("d", "four"))
    assert users(desk) == ["one", "four"]


# ------------------------------------------------------------------------------------ disks and locks


async def test_a_full_disk_is_said_and_caught_up_with(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await cells(desk, ("a", "one"))
    session = desk.runtime.session
    real = os.write
    room = 700

    def tight(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = real(descriptor, data[:room])
        room -= done
        return done

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "write", tight)
        await cells(desk, ("b", "two"))
        told = [notice.text for notice in desk.host.shown(Notice) if "not recorded" in notice.text]
        assert len(told) == 1 and "No space left" in told[0]
        assert [type(event) for event in desk.host.events].index(Notice) < len(desk.host.events) - 1
        assert isinstance(desk.host.events[-1], TurnEnded)
        # What is on the disk can be read, and ends with a whole line.
        assert session.journal.path.read_bytes().endswith(b"\n")
        assert [node.prompt for node in load_session(session.id).nodes.values()][:1] == ["one"]
        await cells(desk, ("c", "three"))
        assert not any("not recorded" in notice.text for notice in desk.host.shown(Notice))
    await cells(desk, ("d", "four"))
    assert any("recorded again" in notice.text for notice in desk.host.shown(Notice))
    assert users(desk) == ["one", "two", "three", "four"]
    same(load_session(session.id), session)
    lines = session.journal.path.read_bytes().splitlines()
    assert all(json.loads(line) for line in lines)


async def test_a_record_that_was_deleted_is_written_anew(desk: Desk) -> None:
    import shutil

    await cells(desk, ("a", "one"))
    session = desk.runtime.session
    shutil.rmtree(session.journal.directory)
    await cells(desk, ("b", "two"))
    assert [node.prompt for node in load_session(session.id).nodes.values()] == ["one", "two"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only directories, too")
async def test_a_session_is_resumed_from_a_home_that_cannot_be_written(desk: Desk) -> None:
    await _read_only(desk)


async def _read_only(desk: Desk) -> None:
    await cells(desk, ("a", "one"))
    name = desk.runtime.session.id
    desk.runtime.session.journal.close()
    folder = desk.home / "sessions" / name
    for path in folder.iterdir():
        path.chmod(0o400)
    folder.chmod(0o500)
    try:
        desk.runtime = Runtime()
        desk.runtime.resume(name)
        await cells(desk, ("b", "two"))
        assert users(desk) == ["one", "two"]
        assert any("not recorded" in notice.text for notice in desk.host.shown(Notice))
    finally:
        folder.chmod(0o700)


async def test_what_could_not_be_written_is_kept_when_the_session_is_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cells(desk, ("a", "one"))
    runtime, old = desk.runtime, desk.runtime.session

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "write", full)
        await cells(desk, ("b", "two"))
        old.rename("my talk")
        copy = runtime.fork()
        await cells(desk, ("c", "three"))
        assert held(old.journal.directory), "no other kernel goes on with half of it"
        assert runtime.resume("my talk").session is old
        await cells(desk, ("d", "four"))
        assert users(desk) == ["one", "two", "four"]
        runtime.reset()
        assert set(runtime.unwritten) == {old.id, copy.id}
    # There is room again: with the next turn, whatever session it is of.
    await cells(desk, ("e", "else"))
    assert runtime.unwritten == {} and not held(old.journal.directory)
    for left, words in ((old, ["one", "two", "four"]), (copy, ["one", "two", "three"])):
        again = load_session(left.id)
        same(again, left)
        assert [node.prompt for node in turns_of(again)] == words
    assert runtime.resume(old.id).session.title == "my talk"


async def test_a_session_is_resumed_where_every_write_fails(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a read-only file system, also for root."""
    await cells(desk, ("a", "one"))
    name = desk.runtime.session.id
    desk.runtime.session.journal.close()
    real = os.open

    def read_only(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and "sessions" in str(path):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", read_only)
    desk.runtime = Runtime()
    assert desk.runtime.resume(name).forked == ""
    await cells(desk, ("b", "two"))
    assert users(desk) == ["one", "two"]
    assert any("Read-only" in notice.text for notice in desk.host.shown(Notice))


HOLD = """
import sys
from ante_nb.agent.sessions import load_session
session = load_session(sys.argv[1])
print(session.journal.lock(), flush=True)
sys.stdin.read()
"""


async def test_the_second_process_on_a_session_goes_on_in_a_copy(desk: Desk) -> None:
    await cells(desk, ("a", "one"), ("b", "two"))
    old = desk.runtime.session
    assert held(old.journal.directory) and old.journal.locked
    old.journal.close()
    assert not held(old.journal.directory)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, old.id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline().strip() == "True"
        [info] = list_sessions()
        assert info.in_use()
        desk.runtime = Runtime()
        found = desk.runtime.resume(old.id)
        assert "another kernel" in found.forked and found.session.forked_from == old.id
        await cells(desk, ("c", "three"))
        assert users(desk) == ["one", "two", "three"]
        other.kill()
    # A killed process holds nothing.
    desk.runtime = Runtime()
    assert desk.runtime.resume(old.id).forked == ""


async def test_what_the_one_before_wrote_last_is_not_missed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cells(desk, ("a", "one"))
    old = desk.runtime.session
    real = journal_module.Journal.lock

    def lock(journal: journal_module.Journal) -> bool:
        """The other process writes its last turn after the record was read, and leaves."""
        if old.title != "renamed":
            old.rename("renamed")
            old.journal.close()
        return real(journal)

    desk.runtime = Runtime()
    with monkeypatch.context() as patch:
        patch.setattr(journal_module.Journal, "lock", lock)
        found = desk.runtime.resume(old.id)
    assert found.forked == "" and found.session.title == "renamed" and found.session.journal.locked


def test_looking_at_a_session_does_not_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_PATIENCE", 5.0)  # the watcher may have to wait for a processor
    session = Session(home=tmp_path)
    session.journal.append("head", node=None)
    session.journal.close()
    watcher = (
        "import pathlib, sys\nfrom ante_nb.agent.sessions.listing import held\n"
        "print(1, flush=True)\nwhile sys.stdin.readable():\n    held(pathlib.Path(sys.argv[1]))\n"
    )
    args = [sys.executable, "-c", watcher, str(session.journal.directory)]
    with subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline()
            for _ in range(200):
                assert session.journal.lock()
                session.journal.close()
        finally:
            process.kill()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
async def test_a_forked_child_writes_nothing_into_its_parents_record(desk: Desk) -> None:
    await cells(desk, ("a", "one"))
    journal = desk.runtime.session.journal
    before = journal.path.read_bytes()
    code = (
        "import os, sys\n"
        "from ante_nb.agent.session import Session\n"
        "s = Session()\ns.journal.append('head', node=None)\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    s.journal.append('renamed', title='child')\n    s.write_meta()\n    s.journal.close()\n    os._exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "print(s.journal.path.read_text().count('child'), s.journal.locked, s.journal.directory)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split()[:2] == ["0", "True"], done.stderr
    assert journal.path.read_bytes() == before


# -------------------------------------------------------------------------------------------- the list


async def test_sessions_are_listed_by_notebook_kernel_and_directory(desk: Desk) -> None:
    places = [
        ("one", {"notebook": str(desk.cwd / "a.ipynb"), "kernel": "k1", "cwd": str(desk.cwd)}),
        ("two", {"notebook": str(desk.cwd / "b.ipynb"), "kernel": "k2", "cwd": str(desk.cwd)}),
        ("three", {"cwd": "/elsewhere"}),
    ]
    for prompt, meta in places:
        desk.runtime.reset()
        desk.runtime.session.meta = dict(meta)
        await cells(desk, ("c", prompt))
    every = list_sessions()
    assert [info.first_prompt for info in every] == ["three", "two", "one"]
    assert [i.first_prompt for i in list_sessions(cwd=desk.cwd)] == ["two", "one"]
    assert [i.first_prompt for i in list_sessions(notebook=desk.cwd / "a.ipynb")] == ["one"]
    assert [i.first_prompt for i in list_sessions(notebook=desk.cwd / "renamed.ipynb", kernel="k2")] == [
        "two"
    ]
    assert [i.first_prompt for i in list_sessions(limit=1)] == ["three"]
    desk.runtime.session.rename("The third")
    assert find_session("the third").id == every[0].id
    assert find_session(every[1].id[-8:].lower()).id == every[1].id
    twin = desk.home / "sessions" / f"ses_{'9' * 18}{every[1].id[-8:]}"
    twin.mkdir()
    (twin / "meta.json").write_text(json.dumps({"v": 1, "turns": 1}))
    with pytest.raises(ConfigError, match="could be 2"):
        find_session(every[1].id[-8:])


async def test_a_copied_notebook_forks_and_a_renamed_one_keeps_its_session(desk: Desk) -> None:
    first, copy = desk.cwd / "first.ipynb", desk.cwd / "copy.ipynb"
    desk.runtime.session.meta["notebook"] = str(first)
    await cells(desk, ("a", "one"))
    name = desk.runtime.session.id
    desk.runtime.session.journal.close()
    first.write_text(json.dumps({"cells": [{"outputs": [{"data": {"x": {"session_id": name}}}]}]}))
    copy.write_bytes(first.read_bytes())

    desk.runtime = Runtime()
    found = desk.runtime.resume(name, notebook=copy)
    assert "first.ipynb" in found.forked and desk.runtime.session.id != name
    assert [path.name for path in (desk.home / "sessions").iterdir()] == [name], "forks on its first write"

    desk.runtime = Runtime()
    assert desk.runtime.resume(name, notebook=first).forked == ""
    desk.runtime.session.journal.close()

    first.rename(desk.cwd / "renamed.ipynb")
    desk.runtime = Runtime()
    assert desk.runtime.resume(name, notebook=desk.cwd / "renamed.ipynb").forked == ""
    desk.runtime.session.journal.close()

    # Another notebook of the old name knows nothing of the session.
    first.write_text(json.dumps({"cells": []}))
    desk.runtime = Runtime()
    assert desk.runtime.resume(name, notebook=desk.cwd / "renamed.ipynb").forked == ""
