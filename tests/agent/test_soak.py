"""A long session in one process: its memory, its time for a turn and its record do not get out of hand.

The model has a context like a real one, so that the conversation is compacted on the way; the time that the
model takes is not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import point_at, prove, rounds, words_of
from support.chat_server import Reply, text, tool

from ante_nb.agent.sessions import list_sessions, load_session

if TYPE_CHECKING:
    from pathlib import Path

    from support.chat_server import ChatServer, Recorded

LOOP = """
import json, sys, time
import psutil
import ante_nb
process, turns, memory, names = psutil.Process(), [], [], {}
for number in range(int(sys.argv[1])):
    began = time.time()
    turn = ante_nb.ask(f"prompt {number}: what is the weather like?", mode="yolo", namespace=names)
    turns.append((began, time.time(), turn.status))
    memory.append(process.memory_info().rss)
print(json.dumps({"turns": turns, "memory": memory}))
"""


def weather(request: Recorded) -> Reply:
    """Every second prompt takes a tool call first."""
    last = request.body["messages"][-1]
    number = sum(map(ord, words_of(last)))
    if last["role"] == "user" and number % 2 and request.body.get("tools"):
        return Reply(tool("Glob", {"pattern": "*.txt"}))
    return Reply(text("It is mild today, with some clouds and a little wind from the west. " * 3))


@pytest.mark.timeout(3600)
def test_a_long_session_stays_flat(chat_server: ChatServer, isolated_home: Path, tmp_path: Path) -> None:
    count = rounds(60, 1000)
    env = {**os.environ, **point_at(chat_server, isolated_home)}
    catalog = {"models": {"test-model": {"context_limit": 24_000}}}
    (isolated_home / ".ante" / "catalog.json").write_text(json.dumps(catalog))
    (tmp_path / "a.txt").write_text("alpha\n")
    chat_server.handler = weather
    run = subprocess.run(
        [sys.executable, "-c", LOOP, str(count)],
        env=env, cwd=tmp_path, capture_output=True, text=True, timeout=3000,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    found: dict[str, Any] = json.loads(run.stdout)
    assert {status for _, _, status in found["turns"]} == {"completed"}

    def own(began: float, ended: float) -> float:
        model = sum(
            (chat.ended or ended) - chat.time for chat in chat_server.chats if began <= chat.time <= ended
        )
        return ended - began - model

    seconds = [own(began, ended) for began, ended, _ in found["turns"]]
    tenth = max(1, count // 10)
    # The very first turns import, connect and fill caches.
    first, last = seconds[tenth : 2 * tenth], seconds[-tenth:]
    ratio = _middle(last) / _middle(first)
    growth = (found["memory"][-1] - found["memory"][tenth]) / 1e6

    [info] = list_sessions(isolated_home / ".ante")
    sizes = (info.directory / "events.jsonl").stat().st_size
    session = load_session(info.id, isolated_home / ".ante")
    assert session.turns == count and session.damage == []
    starts = _starts(info.directory / "events.jsonl")
    middle = len(starts) // 2
    halves = ((sizes - starts[middle]) / (len(starts) - middle)) / (starts[middle] / middle)
    print(f"{count} turns: time x{ratio:.2f}, memory +{growth:.1f} MB, {sizes / count:.0f} bytes a turn")
    assert growth < 50
    assert 0.5 < halves < 2, "every turn adds about the same to the record"
    if count >= 1000:
        assert ratio <= 1.2
    prove(
        "session_soak",
        turns=count,
        time_last_to_first=round(ratio, 2),
        memory_growth_mb=round(growth, 1),
        journal_bytes_a_turn=round(sizes / count),
        requests=len(chat_server.chats),
    )


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _starts(path: Path) -> list[int]:
    """Where the records of the turns begin in the file."""
    starts, at = [], 0
    for line in path.read_bytes().splitlines(keepends=True):
        if b'"type":"turn_started"' in line[:60]:
            starts.append(at)
        at += len(line)
    return starts
