"""Eight processes that renew one sign-in at once, at a server that ends it when a token comes twice."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import ROOT, prove, rounds, seeded, spread
from support.oauth_server import OAuthServer
from support.signed_in import Person
from support.ws_server import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROCESSES = 8
OLD = 1_000_000.0
WAIT = 120.0


class Worker:
    """A process of :mod:`support.renewing`; its answers are read in a thread."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, "-m", "support.renewing", str(home)]
        self.process = subprocess.Popen(
            command, cwd=ROOT / "tests", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    def say(self, *words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def answer(self, number: int) -> dict[str, str]:
        """The ``number``-th answer; the first line only says that the process is there."""
        wait_until(lambda: len(self.lines) > number or self.process.poll() is not None, WAIT)
        assert len(self.lines) > number, f"it died: {self.process.poll()}"
        found: dict[str, str] = json.loads(self.lines[number])
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.wait(30)
        self._thread.join(30)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def workers(home: Path, count: int = PROCESSES) -> Iterator[list[Worker]]:
    made = [Worker(home) for _ in range(count)]
    try:
        for worker in made:
            wait_until(lambda worker=worker: bool(worker.lines), WAIT)  # type: ignore[misc]
        yield made
    finally:
        for worker in made:
            worker.end()


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with OAuthServer() as server:
        yield Person(server, tmp_path / "home")


@pytest.mark.timeout(1800)
def test_eight_processes_at_once_end_with_one_valid_token(person: Person) -> None:
    campaign = seeded("renewal race")
    times: list[float] = []
    number = rounds(10, 100)
    with workers(person.home) as all_of_them:
        for turn in range(1, number + 1):
            preset = campaign.choice(("openai", "openai", "anthropic"))
            refused = campaign.random() < 0.3
            old = person.sign_in(preset, age=0.0 if refused else OLD)
            family = person.server.ledger.families[-1]
            person.server.delay = campaign.choice((0.0, 0.0, 0.05, 0.2))
            began = time.perf_counter()
            for worker in all_of_them:
                if refused:
                    worker.say("refused", preset, old.access_token.value)
                else:
                    worker.say("fresh", preset)
            answers = [worker.answer(turn) for worker in all_of_them]
            times.append((time.perf_counter() - began) * 1000)
            stored = person.stored(preset)
            assert answers == [{"token": stored.access_token.value}] * PROCESSES
            assert stored.access_token != old.access_token
            assert person.server.valid(stored.access_token.value)
            assert (family.refreshes, family.dead, person.server.refusals) == (1, None, [])
            assert stored.refresh_token is not None and stored.refresh_token.value == family.current
    prove("oauth_refresh_race", processes=PROCESSES, rounds=number, one_valid_token=number, **spread(times))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("preset", ["antix", "openai"])
def test_one_that_is_killed_in_the_middle_stops_nobody(person: Person, preset: str, when: str) -> None:
    """``kill -9`` while the server works: before it has rotated the token, or after."""
    person.sign_in(preset, age=OLD)
    person.server.fail("token", status=0, after=when == "after", delay=1.0)
    with workers(person.home, 4) as (victim, *others):
        victim.say("fresh", preset)
        wait_until(lambda: len(person.server.requests("token")) == 1, WAIT)
        for worker in others:
            worker.say("fresh", preset)
        if when == "after":
            wait_until(lambda: person.server.ledger.families[-1].refreshes == 1, WAIT)
        victim.process.kill()
        answers: list[dict[str, Any]] = [worker.answer(1) for worker in others]
    if preset == "openai" and when == "after":
        # The token is spent and nobody has the answer; this vendor knows no grace.
        assert all("%ante login openai" in answer["error"] for answer in answers), answers
        assert person.stored(preset).problem == "refresh_token_reused"
        assert len(person.server.requests("token")) == 2  # one of the others, not all of them
        return
    [token] = {answer["token"] for answer in answers}
    assert person.server.valid(token) and person.stored(preset).access_token.value == token
    assert person.server.refusals == []
