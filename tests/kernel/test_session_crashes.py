"""A kernel killed at every kind of point of its session's record; the session is gone on with, and compared
with what the server had answered."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import Ante, check_conversation, point_at, prove, rounds, seeded
from support.chat_server import Reply, text, tool, tools
from support.kernel import Kernel
from support.session_kill import arm

from ante_nb.agent.sessions import list_sessions

if TYPE_CHECKING:
    from pathlib import Path

    from support.chat_server import ChatServer, Recorded

# Cell, prompt and answers; the second cell runs twice, and so begins a branch.
SCRIPT = (
    ("a", "read the notes", ("one", "two", "three")),
    ("b", "go on", ("four",)),
    ("c", "both files", ("five", "six")),
    ("b", "go on, otherwise", ("seven", "eight")),
)
STEPS = [(turn, word) for turn, (_, _, words) in enumerate(SCRIPT) for word in words]


def answered(steps: int) -> list[str]:
    """What stands in the conversation once that many steps are answered."""
    path: list[tuple[int, list[str]]] = []
    for turn, word in STEPS[:steps]:
        if not path or path[-1][0] != turn:
            if turn == 3:  # the second cell again: it goes on from where it did
                path = [entry for entry in path if entry[0] == 0]
            path.append((turn, []))
        path[-1][1].append(word)
    return [word for _, words in path for word in words]


class Script:
    """Answers step by step."""

    def __init__(self, server: ChatServer) -> None:
        self.step = 0
        self.server = server
        server.handler = self.answer

    def answer(self, request: Recorded) -> Reply:
        if self.step >= len(STEPS):
            return Reply(text("resumed"))
        turn, word = STEPS[self.step]
        self.step += 1
        last = word == SCRIPT[turn][2][-1]
        said = text(word, pieces=2)
        if last:
            return Reply(said)
        if turn == 2:
            names = ("a.txt", "b.txt")
            return Reply(said, tools(*(tool("Read", {"file_path": n}, id=f"{word}-{n}") for n in names)))
        return Reply(said, tool("Read", {"file_path": "a.txt"}, id=word))


def play(ante: Ante) -> bool:
    """The script from the top; False where the kernel died."""
    try:
        for cell, prompt, _ in SCRIPT:
            outcome = ante.prompt(prompt, cell=cell)
            if outcome.status != "ok":
                raise AssertionError(outcome.text)
    except RuntimeError:
        return False
    return True


def settled_chats(server: ChatServer) -> list[Recorded]:
    """The requests once the server is done with all of them."""
    end = time.monotonic() + 20
    while any(chat.ended is None and not chat.disconnected for chat in server.chats):
        assert time.monotonic() < end
        time.sleep(0.01)
    return server.chats


@pytest.mark.timeout(3600)
def test_killed_at_any_point_a_session_loses_at_most_the_running_step(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    rng = seeded("session crashes")
    (tmp_path / "a.txt").write_text("alpha\n")
    (tmp_path / "b.txt").write_text("beta\n")
    env = point_at(chat_server, isolated_home)
    home = isolated_home / ".ante"

    script = Script(chat_server)
    with Kernel(cwd=tmp_path, env=env) as kernel:
        ante = Ante(kernel, chat_server, tmp_path)
        script = Script(chat_server)
        kernel.run("%load_ext ante_nb")
        kernel.run(arm(0))
        assert play(ante) and script.step == len(STEPS)
        points = kernel.value("_deadly.seen")
    assert points > 60
    known = {info.id for info in list_sessions(home)}

    lost: dict[int, int] = {}
    runs = rounds(6, 300)
    with Kernel(cwd=tmp_path, env=env) as later:
        later.run("%load_ext ante_nb")
        resumer = Ante(later, chat_server, tmp_path)
        for number in range(runs):
            chat_server.reset()
            script = Script(chat_server)
            # The points of a kind are near each other; spread over the whole of the record.
            point = 1 + int((number + rng.random()) * points / runs)
            with Kernel(cwd=tmp_path, env=env) as kernel:
                ante = Ante(kernel, chat_server, tmp_path)
                script = Script(chat_server)
                kernel.run("%load_ext ante_nb")
                kernel.run(arm(point, rng.random()))
                died = not play(ante)
            where = f"run {number}, point {point} of {points}"
            chats = settled_chats(chat_server)
            acknowledged = sum(not chat.disconnected for chat in chats)
            fresh = [info for info in list_sessions(home) if info.id not in known]
            known |= {info.id for info in fresh}
            begun = len(chats)
            if not fresh or not _has_turn(home, fresh[0].id):
                assert died and acknowledged <= 1, where
                continue
            script.step = len(STEPS)
            outcome = later.run(f"%ante resume {fresh[0].id}")
            assert outcome.status == "ok", f"{where}: {outcome.text}"
            assert "cannot be read" not in outcome.text, f"{where}: {outcome.text}"
            outcome = resumer.prompt("and now?", cell=f"new-{number}")
            assert outcome.status == "ok", f"{where}: {outcome.text}"
            messages = resumer.last_messages
            check_conversation(messages)
            said = [_words(m) for m in messages if m["role"] == "assistant"]
            fits = [steps for steps in range(max(0, acknowledged - 1), begun + 1) if said == answered(steps)]
            assert fits, f"{where}: {acknowledged} of {begun} acknowledged, resumed with {said}"
            asked = [prompt for _, prompt, _ in SCRIPT] + ["and now?"]
            typed = [_words(m) for m in messages if m["role"] == "user"]
            assert all(any(line.endswith(prompt) for prompt in asked) for line in typed), where
            gap = max(0, acknowledged - fits[-1])
            lost[gap] = lost.get(gap, 0) + 1
            later.run("%ante reset")
    print(f"steps lost: {lost}")
    assert not [gap for gap in lost if gap > 1]
    prove(
        "session_crashes", runs=runs, points=points, steps_lost={str(k): v for k, v in sorted(lost.items())}
    )


def _words(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(item.get("text", "") for item in content)


def _has_turn(home: Path, name: str) -> bool:
    lines = (home / "sessions" / name / "events.jsonl").read_bytes().split(b"\n")
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if record["type"] == "message":
            return True
    return False
