"""The record of a session: after ``kill -9``, without a home to write to, and free of secrets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import point_at, rounds, seeded
from support.chat_server import Reply, status, text, tool

from ante_nb.agent.journal import Journal
from ante_nb.messages import Message, Notice

if TYPE_CHECKING:
    from pathlib import Path

    from support.chat_server import ChatServer, Recorded
    from support.desk import Desk

LOOP = """
import ante_nb, sys
for number in range(1000):
    turn = ante_nb.ask(f"prompt {number} " + "x" * 3000, mode="yolo", namespace={})
    print(number, flush=True)
"""


def lines(path: Path) -> tuple[list[dict[str, Any]], bytes]:
    """The records of a journal, and what follows the last line end."""
    *whole, torn = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in whole], torn


def steps(request: Recorded) -> Reply:
    """Two tool calls, then an answer in small pieces."""
    last = request.body["messages"][-1]
    if last["role"] == "user":
        return Reply(text("I look. " * 20, size=10), tool("Bash", {"command": "echo one"}))
    return Reply(text("It is one. " * 50, size=10, delay=0.0005))


@pytest.mark.timeout(600)
def test_killed_at_any_moment_the_record_can_be_read(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    rng = seeded("kill -9")
    chat_server.handler = steps
    environment = {**os.environ, **point_at(chat_server, isolated_home)}
    sessions = isolated_home / ".ante" / "sessions"
    for number in range(rounds(10, 100)):
        with subprocess.Popen(
            [sys.executable, "-c", LOOP], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            # The first turn has ended once something is printed; then at a random moment.
            assert process.stdout.readline().strip() == "0"
            time.sleep(rng.uniform(0, 0.4))
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
        done = 1 + len(rest)
        found = max(sessions.iterdir(), key=lambda path: path.stat().st_mtime)
        assert len(list(sessions.iterdir())) == number + 1
        records, torn = lines(found / "events.jsonl")
        assert records[0]["type"] == "session" and records[0]["v"] == 1
        if torn:
            with pytest.raises(ValueError):
                json.loads(torn)
        ended = [record for record in records if record["type"] == "turn_ended"]
        # A turn that the program saw the end of is in the record as ended.
        assert len(ended) in (done, done + 1), (done, len(ended))
        by_turn: dict[str, list[dict[str, Any]]] = {}
        for record in records[1:]:
            by_turn.setdefault(record["turn"], []).append(record)
        for turn, (first, *rest_of) in by_turn.items():
            assert first["type"] == "turn_started" and first["prompt"].startswith("prompt"), turn
            messages = [Message.from_dict(item["message"]) for item in rest_of if item["type"] == "message"]
            roles = [message.role for message in messages]
            # At most the running step is missing; what is there is in order.
            assert roles == ["assistant", "tool", "assistant"][: len(roles)]
            if rest_of and rest_of[-1]["type"] == "turn_ended":
                assert len(roles) == 3
        meta = json.loads((found / "meta.json").read_text())
        assert meta["id"] == found.name and meta["turns"] in range(done - 1, done + 2)
        assert not any(
            path.suffix not in (".json", ".jsonl", ".tmp") for path in found.iterdir() if path.name != "lock"
        )


def test_a_torn_line_is_closed_before_the_next(tmp_path: Path) -> None:
    journal = Journal("ses_x", tmp_path)
    journal.append("message", turn="turn_1", message={"role": "user"})
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b'{"time": "2026-01-01T00:0')
    again = Journal("ses_x", tmp_path)
    again.append("turn_ended", turn="turn_2")
    again.append("turn_ended", turn="turn_3")
    again.close()
    raw = journal.path.read_bytes().split(b"\n")
    assert len(raw) == 6 and raw[-1] == b""
    assert [json.loads(line)["type"] for n, line in enumerate(raw[:-1]) if n != 2] == [
        "session",
        "message",
        "turn_ended",
        "turn_ended",
    ]


def test_what_is_written_is_for_the_owner_only_and_nothing_before_the_first_record(tmp_path: Path) -> None:
    journal = Journal("ses_x", tmp_path / "home")
    assert not (tmp_path / "home").exists()
    journal.append("message", turn="t", words="half a pair: \ud800, a break: \u2028")
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert journal.directory.stat().st_mode & 0o777 == 0o700
    journal.close()
    assert len(journal.path.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("home", ["file", "missing below a file", "/proc/1/none", "/dev/null"])
async def test_a_home_that_cannot_be_written_costs_no_turn(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    (tmp_path / "file").write_text("")
    places = {"file": str(tmp_path / "file"), "missing below a file": str(tmp_path / "file" / "x" / "y")}
    monkeypatch.setenv("ANTE_HOME", places.get(home, home))
    turn = await desk.run("hello", provider="openai-compatible", model="test-model", tools="none")
    assert (turn.status, turn.text) == ("completed", "echo: hello"), turn.error
    told = [notice.text for notice in desk.host.shown(Notice) if "not recorded" in notice.text]
    assert len(told) == 1, "the person is told, once"
    turn = await desk.run("again", model="test-model", provider="openai-compatible")
    assert turn.status == "completed", turn.error
    assert not any("not recorded" in notice.text for notice in desk.host.shown(Notice))


SECRETS = {
    "server key": "loopback-key-0123456789",
    "openai": "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789",
    "anthropic": "sk-ant-api03-ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123",
    "github": "ghp_abcdefghijklmnopqrstuvwxyz012345",
    "bearer": "abcdef0123456789abcdef0123456789",
}
PLANT = """
import json, sys
import ante_nb
secrets = json.loads(sys.argv[1])
words = "key " + secrets["server key"] + " and " + secrets["openai"] + " and Authorization: Bearer " + secrets["bearer"]
names = {}
turn = ante_nb.ask(words, mode="yolo", namespace=names)
shown = [repr(turn), repr(turn.steps[0].tool_calls[0].result.text)]
for prompt in ("fail", "fail with " + secrets["github"]):
    try:
        ante_nb.ask(prompt)
    except ante_nb.AnteError as error:
        shown += [str(error), repr(error), repr(error.turn), *error._render_traceback_()]
try:
    ante_nb.ask(words, model=secrets["openai"])
except ante_nb.AnteError as error:
    shown += [str(error), *error._render_traceback_()]
print("\\n".join(shown))
"""


def test_no_secret_is_in_any_file_or_line(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    every = " ".join(SECRETS.values())
    (tmp_path / "env.txt").write_text("\n".join(SECRETS.values()) + "\n")
    chat_server.enqueue(
        Reply(
            text(f"I saw {SECRETS['openai']}"),
            tool("Bash", {"command": f"cat env.txt; echo Bearer {SECRETS['bearer']} {SECRETS['anthropic']}"}),
        ),
        Reply(tool("Python", {"code": f"raise ValueError({every!r})"})),
        Reply(text("Done. " + every.replace(SECRETS["bearer"], ""))),
        Reply(status(400, {"error": {"message": f"bad header Bearer {SECRETS['bearer']}: {every}"}})),
        Reply(status(401, {"error": {"message": f"wrong key {SECRETS['server key']}"}})),
        Reply(
            status(404, {"error": {"message": f"no model {SECRETS['openai']}", "code": "model_not_found"}})
        ),
    )
    environment = {**os.environ, **point_at(chat_server, isolated_home), "ANTE_LOG": "DEBUG"}
    run = subprocess.run(
        [sys.executable, "-c", PLANT, json.dumps(SECRETS)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("ante:") == 3 and "redacted" in run.stdout
    home = isolated_home / ".ante"
    places = {"printed": run.stdout + run.stderr}
    for path in home.rglob("*"):
        # The undo store holds files of the person's own, byte for byte, like the one with the keys here.
        if path.is_file() and path.name != "undo.sqlite":
            places[str(path.relative_to(home))] = path.read_bytes().decode("utf-8", "replace")
    assert any(name.startswith("sessions/") for name in places) and any("logs/" in name for name in places)
    assert "wrong key" in "".join(places.values())
    for name, content in places.items():
        for kind, secret in SECRETS.items():
            # A bare word of letters and digits cannot be told from any other; behind "Bearer" it can.
            needle = f"Bearer {secret}" if kind == "bearer" else secret
            assert needle not in content, f"the {kind} is in {name}"
