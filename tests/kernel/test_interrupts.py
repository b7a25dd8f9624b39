"""Kernel > Interrupt at every point of a turn: it stops, and everything stays usable.

Three rounds each; fifty under ``make prove``, which also writes the latencies to benchmarks/proofs/.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from support.ante import check_conversation, prove, rounds, seeded, spread, words_of
from support.chat_server import Reply, text, tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.ante import Ante

ROUNDS = rounds(3, 50)
ENDLESS = "and on and on " * 6000  # at 50 pieces a second this lasts minutes


def gone(pid: int, within: float = 20) -> bool:
    """Whether the process ends in that time (a zombie counts as ended)."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
        time.sleep(0.05)
    return False


def wait_for_file(ante: Ante, name: str) -> str:
    path = ante.cwd / name
    ante.kernel.wait_for(lambda _: path.exists() and path.read_text() != "")
    assert path.exists(), f"the tool never ran: {ante.kernel.cells[-1].text[-1500:]}"
    return path.read_text().strip()


def streaming(ante: Ante) -> Callable[[], None]:
    ante.server.enqueue(Reply(text("Beginning. " + ENDLESS, size=14, delay=0.02)))
    ante.start("talk")
    ante.kernel.wait_text("Beginning.")

    def check() -> None:
        assert ante.turn("text").startswith("Beginning. and")

    return check


def bash(ante: Ante) -> Callable[[], None]:
    (ante.cwd / "pids").unlink(missing_ok=True)
    command = "sleep 300 & echo $$ $! > pids.new; mv pids.new pids; wait"
    ante.server.enqueue(Reply(text("I run it."), tool("Bash", {"command": command}, id="call_b")))
    ante.start("run it", "--allow Bash")
    pids = wait_for_file(ante, "pids")

    def check() -> None:
        assert all(gone(int(pid)) for pid in pids.split()), "the command outlived the interrupt"
        assert ante.turn("tool_calls[0].status") == "interrupted"

    return check


def _python(ante: Ante, code: str) -> Callable[[], None]:
    (ante.cwd / "started").unlink(missing_ok=True)
    ante.server.enqueue(
        Reply(tool("Python", {"code": f"open('started', 'w').write('yes')\n{code}"}, id="call_p"))
    )
    ante.start("compute", "--allow Python")
    wait_for_file(ante, "started")

    def check() -> None:
        assert ante.turn("tool_calls[0].status") == "interrupted"

    return check


def python_sync(ante: Ante) -> Callable[[], None]:
    return _python(ante, "import time\ntime.sleep(300)")


def python_loop(ante: Ante) -> Callable[[], None]:
    return _python(ante, "while True:\n    pass")


def python_async(ante: Ante) -> Callable[[], None]:
    return _python(ante, "import asyncio\nawait asyncio.sleep(300)")


def approval(ante: Ante) -> Callable[[], None]:
    ante.server.enqueue(Reply(tool("Bash", {"command": "touch never"}, id="call_a")))
    ante.start("touch it", "--mode strict", stdin=[])
    ante.kernel.wait_for_input()

    def check() -> None:
        assert not (ante.cwd / "never").exists()

    return check


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("situation", [streaming, bash, python_sync, python_loop, python_async, approval])
def test_an_interrupt_stops_the_turn_and_leaves_everything_usable(
    ante: Ante, situation: Callable[[Ante], Callable[[], None]]
) -> None:
    random = seeded(situation.__name__)
    handler = "repr(__import__('signal').getsignal(__import__('signal').SIGINT))"
    before = ante.kernel.value(handler)
    latencies = []
    for _ in range(ROUNDS):
        check = situation(ante)
        time.sleep(random.uniform(0, 0.2))
        sent = ante.kernel.interrupt()
        outcome = ante.kernel.wait(timeout=30)
        latencies.append((outcome.ended - sent) * 1000)
        assert outcome.status == "error", outcome.text
        assert len(outcome.error.splitlines()) == 1 and "interrupt" in outcome.error.lower(), outcome.error
        assert ante.turn("status") == "interrupted"
        check()
        ante.check_usable()
        # The interrupted exchange is part of the history that was just sent, and it is valid.
        assert sum(message["role"] == "user" for message in ante.last_messages) >= 2
        for message in ante.last_messages:
            if message["role"] == "tool" and situation is not approval:
                assert "interrupted" in words_of(message).lower()
    assert ante.kernel.value(handler) == before
    prove(f"interrupt_{situation.__name__}", rounds=ROUNDS, usable=ROUNDS, **spread(latencies))


def test_an_interrupt_while_nothing_has_arrived_yet(ante: Ante) -> None:
    from support.chat_server import wait_for

    ante.server.enqueue(Reply(wait_for("never")))
    ante.start("hello?")
    ante.server.wait_for_requests(1)
    ante.kernel.interrupt()
    outcome = ante.kernel.wait(timeout=30)
    assert outcome.status == "error" and ante.turn("status") == "interrupted"
    ante.check_usable()


def test_an_interrupt_during_the_wait_for_a_retry(ante: Ante) -> None:
    from support.chat_server import status

    ante.server.enqueue(*[Reply(status(503, {"error": {"message": "busy"}}, {"retry-after": "30"}))] * 8)
    ante.start("hello?")
    ante.server.wait_for_requests(1)
    time.sleep(0.3)
    ante.kernel.interrupt()
    outcome = ante.kernel.wait(timeout=30)
    assert outcome.status == "error" and ante.turn("status") == "interrupted"
    ante.server.reset()
    ante.check_usable()


def test_two_interrupts_in_a_row(ante: Ante) -> None:
    for _ in range(ROUNDS):
        check = python_loop(ante)
        ante.kernel.interrupt()
        ante.kernel.interrupt()
        assert ante.kernel.wait(timeout=30).status == "error"
        assert check is not None
        ante.check_usable()


def test_an_interrupted_read_only_history_is_valid(ante: Ante) -> None:
    """Of two parallel calls one had ended: both have their result in the next request."""
    (ante.cwd / "a.txt").write_text("content of a\n")
    from support.chat_server import tools

    ante.server.enqueue(
        Reply(
            tools(
                tool("Read", {"file_path": "a.txt"}, id="call_r"),
                tool("Bash", {"command": "echo yes > started; sleep 300"}, id="call_s"),
            )
        )
    )
    ante.start("both", "--allow Bash")
    wait_for_file(ante, "started")
    ante.kernel.interrupt()
    ante.kernel.wait(timeout=30)
    ante.check_usable()
    check_conversation(ante.last_messages)
    results = {m["tool_call_id"]: words_of(m) for m in ante.last_messages if m["role"] == "tool"}
    assert "content of a" in results["call_r"] and "interrupted" in results["call_s"].lower()


@pytest.mark.parametrize("tail", ["import time\ntime.sleep(300)", "while True:\n    pass"])
def test_an_interrupt_in_a_blocking_ask_ends_the_turn_too(ante: Ante, tail: str) -> None:
    """``ask()`` blocks the kernel's thread; an interrupt ends the turn there as well, not the tool alone."""
    code = f"open('started', 'w').write('yes')\n{tail}"
    ante.server.enqueue(Reply(tool("Python", {"code": code}, id="call_p")))
    ante.kernel.start("import ante_nb\nante_nb.ask('compute', allow=['Python'])")
    wait_for_file(ante, "started")
    ante.kernel.interrupt()
    outcome = ante.kernel.wait(timeout=30)
    assert outcome.status == "error" and "interrupted" in outcome.error
    assert len(ante.server.chats) == 1
    ante.check_usable()
    assert any("interrupted" in words_of(m).lower() for m in ante.last_messages if m["role"] == "tool")


def test_an_interrupt_in_a_blocking_ask_while_it_streams(ante: Ante) -> None:
    ante.server.enqueue(Reply(text("Beginning. " + ENDLESS, size=14, delay=0.02)))
    ante.kernel.start("import ante_nb\nante_nb.ask('talk')")
    ante.kernel.wait_text("Beginning.")
    ante.kernel.interrupt()
    outcome = ante.kernel.wait(timeout=30)
    assert outcome.status == "error" and "interrupted" in outcome.error
    ante.check_usable()
