"""Interrupts of ante-kernel and of ``%%ante`` at random moments: each ends the turn, and the next cell runs.

Where a turn is (streaming, a tool running, an approval pending, backing off) and when in it are drawn at
random. Five rounds for each kernel; two hundred under ``make prove``, which also writes the latencies.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support.ante import check_conversation, prove, rounds, seeded, spread
from support.chat_server import Reply, status, text, thinking, tool
from support.front import KERNELS, start

if TYPE_CHECKING:
    from pathlib import Path

    from support.chat_server import ChatServer
    from support.front import Front

ROUNDS = rounds(5, 200)
SITUATIONS = ("streaming", "thinking", "bash", "python", "approval", "backing off", "waiting")


def begin(front: Front, situation: str) -> None:
    """Start a turn that gets into that situation and stays there; the interrupt may come before it does."""
    server = front.server
    server.reset()
    flags, stdin = "", None
    if situation == "streaming":
        server.enqueue(Reply(text("on and on " * 5000, size=10, delay=0.01)))
    elif situation == "thinking":
        server.enqueue(Reply(thinking("hm, " * 5000, size=8, delay=0.01)))
    elif situation == "bash":
        flags = "--allow Bash"
        server.enqueue(Reply(tool("Bash", {"command": "sleep 300"}, id="call_b")))
    elif situation == "python":
        flags = "--allow Python"
        server.enqueue(Reply(tool("Python", {"code": "while True:\n    pass"}, id="call_p")))
    elif situation == "approval":
        stdin = []
        server.enqueue(Reply(tool("Bash", {"command": "touch never"}, id="call_a")))
    elif situation == "backing off":
        busy = status(503, {"error": {"message": "busy"}}, {"retry-after": "60"})
        server.enqueue(*[Reply(busy)] * 8)
    else:
        server.enqueue(Reply({"wait": 300}))
    front.start("go on", flags, stdin=stdin)
    server.wait_for_requests(1)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", KERNELS)
def test_a_turn_ends_wherever_it_is(
    name: str, chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    random = seeded(f"random interrupts of {name}")
    latencies, met = [], set()
    with start(name, chat_server, isolated_home, tmp_path) as front:
        for number in range(ROUNDS):
            situation = random.choice(SITUATIONS)
            begin(front, situation)
            time.sleep(random.uniform(0, 0.6))
            sent = front.kernel.interrupt()
            outcome = front.kernel.wait(timeout=30)
            latencies.append((outcome.ended - sent) * 1000)
            where = f"round {number}, {situation}"
            assert outcome.status == "error", f"{where}: {outcome.text}"
            assert "interrupt" in outcome.error.lower() and len(outcome.error.splitlines()) == 1, where
            front.server.reset()
            assert "echo: next" in front.prompt("next").text, where
            check_conversation(front.server.chats[-1].body["messages"])
            assert front.kernel.run(front.python("print(6 * 7)")).stdout == "42\n", where
            met.add(situation)
            if number % 20 == 19:  # a new session, so that the history does not grow without end
                front.kernel.run("%ante reset")
        assert not (tmp_path / "never").exists()
    numbers = spread(latencies)
    print(f"{name}: {numbers}")
    prove(f"interrupt_random_{name}", rounds=ROUNDS, usable=ROUNDS, situations=sorted(met), **numbers)


def test_an_interrupt_while_the_card_is_drawn_keeps_the_code_from_starting(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    """Between the card and the code there is nothing to raise in; the code must not begin then."""
    patch = (
        "import os, signal\nfrom ante_nb.notebook.host import NotebookHost\n_init = NotebookHost.__init__\n"
        "def init(self, *args):\n    _init(self, *args)\n    pump = self._pump\n"
        "    def kicked(now):\n        pump(now)\n        if now:\n            os.kill(os.getpid(), signal.SIGINT)\n"
        "    self._pump = kicked\nNotebookHost.__init__ = init"
    )
    with start("python3", chat_server, isolated_home, tmp_path) as front:
        assert front.kernel.run(patch).status == "ok"
        chat_server.enqueue(Reply(tool("Python", {"code": "ran = True\nwhile True:\n    pass"}, id="call_p")))
        outcome = front.prompt("compute", "--allow Python", timeout=30)
        assert outcome.status == "error" and "interrupt" in outcome.error.lower()
        assert "ran" not in front.kernel.value("sorted(get_ipython().user_ns)")
        front.kernel.run("NotebookHost.__init__ = _init")
        assert "echo: next" in front.prompt("next").text
        check_conversation(chat_server.chats[-1].body["messages"])
