"""A local server is killed at random moments, and many kernels use one: the kernels never notice much.

A few rounds and three kernels; a hundred and eight under ``make prove``, which also writes the numbers to
``benchmarks/proofs/``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import prove, rounds, seeded, spread
from support.kernel import Kernel
from support.local_kernels import demo_model, memory_of, servers, until, use_model, who_maps

from ante_nb.local import stop_all
from ante_nb.local.control import running_servers
from ante_nb.local.state import Leases, all_states

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.model]

PROMPT = "%%ante --tools none -o turn\nWhat is the capital of France? Answer in one sentence."
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGSEGV": signal.SIGSEGV}
READABLE = ("was killed while it loaded", "crashed while it loaded", "could not load")
"""What a turn may say whose server died before it had loaded its model: that is not tried twice."""


@pytest.fixture
def model() -> Path:
    return demo_model()


@pytest.fixture
def base(isolated_home: Path, model: Path) -> Iterator[Path]:
    yield use_model(isolated_home, model)
    asyncio.run(stop_all(isolated_home / ".ante"))


def ready(kernel: Kernel) -> None:
    loaded = kernel.run("%load_ext ante_nb\nprecious = list(range(7))")
    assert loaded.status == "ok", loaded.text


def test_killed_at_random_moments(base: Path, tmp_path: Path) -> None:
    """Each turn completes, or ends in one readable line; the kernel keeps its variables each time."""
    random = seeded("local crashes")
    count: Counter[str] = Counter()
    times: list[float] = []
    with Kernel(cwd=tmp_path) as kernel:
        ready(kernel)
        lengths = {kind: max(0.5, kernel.run(PROMPT, timeout=180).seconds) for kind in ("cold", "warm")}
        for number in range(rounds(4, 100)):
            name = random.choice(sorted(SIGNALS))
            kind = "cold" if number % 4 == 1 else "warm"
            if kind == "cold":
                asyncio.run(stop_all(base))
            else:
                started = kernel.run("%ante reset\n%ante local start", timeout=150)
                assert started.status == "ok", started.text
            killed: list[str] = []
            delay = random.uniform(0, lengths[kind])
            killer = threading.Thread(target=kill, args=(base, delay, SIGNALS[name], killed))
            killer.start()
            outcome = kernel.run(PROMPT, timeout=150)
            killer.join()
            assert kernel.alive and outcome.done
            what = killed[0] if killed else "nothing to kill"
            count[f"{name} while {what}: {outcome.status}"] += 1
            times.append(outcome.seconds * 1000)
            check = kernel.run("print(turn.status, precious == list(range(7)), type(turn.error).__name__)")
            assert check.status == "ok", check.text
            status, kept, error = check.stdout.split()
            assert kept == "True"
            if outcome.status == "ok":
                assert (status, error) == ("completed", "NoneType") and "Paris" in outcome.text, outcome.text
            else:
                lines = outcome.error.strip().splitlines()
                assert status == "failed" and what == "loading", (outcome.error, what)
                assert len(lines) == 1 and any(words in lines[0] for words in READABLE), lines
        # And afterwards everything is as it should be.
        last = kernel.run(PROMPT, timeout=150)
        assert last.status == "ok" and "Paris" in last.text, last.text
        assert len(servers(base)) == 1
    if len(times) > 20:  # a few rounds may miss it by chance
        assert any(name.endswith("answering: ok") for name in count), count
    prove(
        "local_crashes",
        rounds=len(times),
        kernels_lost=0,
        variables_lost=0,
        outcomes=dict(count),
        turn=spread(times),
    )


def kill(base: Path, delay: float, number: signal.Signals, killed: list[str]) -> None:
    """After ``delay`` seconds kill whatever server there is, at the latest when one appears."""
    time.sleep(delay)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for file, state in all_states(base):
            busy = Leases(file).sweep(remove=False).busy
            try:
                os.kill(state["pid"], number)
            except ProcessLookupError:
                continue
            loads = state["status"] == "starting"
            killed.append("loading" if loads else "answering" if busy else "waiting")
            return
        time.sleep(0.01)


def own_file(model: Path, target: Path) -> Path:
    """The model under a name that no other test's server has open."""
    try:
        os.link(model, target)
    except OSError:
        shutil.copyfile(model, target)
    return target


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which process maps a file")
def test_many_kernels_one_server(isolated_home: Path, model: Path, tmp_path: Path) -> None:
    """All at once on one model: one server, the model in memory once, every turn ends, and so does it."""
    number = rounds(3, 8)
    model = own_file(model, tmp_path / "own.gguf")
    base = use_model(isolated_home, model, sleep_idle=5, exit_idle=600)
    seen: set[int] = set()
    mapped: set[frozenset[int]] = set()
    with ExitStack() as stack:
        kernels = [stack.enter_context(Kernel(cwd=tmp_path)) for _ in range(number)]
        for kernel in kernels:
            ready(kernel)
        own = {kernel.pid for kernel in kernels}
        before = sum(memory_of(pid)["rss"] for pid in own)
        watching = threading.Event()

        def watch() -> None:
            while not watching.wait(0.1):
                seen.update(state["pid"] for state in servers(base))
                mapped.add(frozenset(who_maps(model)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            began = time.monotonic()
            for kernel in kernels:
                kernel.start(PROMPT)
            outcomes = [kernel.wait(170) for kernel in kernels]
            seconds = time.monotonic() - began
            peak = memory_of(next(iter(seen)))["peak"]
            grown = sum(memory_of(pid)["rss"] for pid in own) - before
        finally:
            watching.set()
            watcher.join()
        assert [outcome.status for outcome in outcomes] == ["ok"] * number, [o.text for o in outcomes]
        assert all("Paris" in outcome.text for outcome in outcomes)
        assert len(seen) == 1, "one server for all"
        assert max(map(len, mapped)) == 1 and set().union(*mapped) == seen, "no other process has the model"
        (state,) = servers(base)
        (row,) = running_servers(base)
        assert row.kernels == number and row.pid == state["pid"]
    # The last kernel has gone, and nobody told the server.
    until(lambda: not servers(base), 60)
    prove(
        "local_kernels",
        kernels=number,
        servers=len(seen),
        processes_that_map_the_model=max(map(len, mapped)),
        model_megabytes=round(model.stat().st_size / 1e6),
        server_peak_megabytes=round(peak / 1e6),
        kernels_grew_megabytes_each=round(grown / number / 1e6, 1),
        seconds_until_the_last_turn_ended=round(seconds, 1),
        turn=spread([outcome.seconds * 1000 for outcome in outcomes]),
    )


def test_an_interrupted_start(base: Path, tmp_path: Path) -> None:
    """Kernel > Interrupt while the model loads: the cell ends, the start goes on and serves the next turn."""
    with Kernel(cwd=tmp_path) as kernel:
        ready(kernel)
        outcome = kernel.start(PROMPT)
        (state,) = until(lambda: servers(base))
        kernel.interrupt()
        kernel.wait(60)
        assert outcome.done and kernel.alive
        again = kernel.run(PROMPT, timeout=120)
        assert again.status == "ok" and "Paris" in again.text, again.text
        assert [now["pid"] for now in servers(base)] == [state["pid"]]
        assert kernel.run("precious").text == str(list(range(7)))


def shown(outcome: Any) -> str:
    return "\n".join(str(message.content) for message in outcome.messages)


def test_the_start_is_seen_in_the_cell(base: Path, tmp_path: Path) -> None:
    with Kernel(cwd=tmp_path) as kernel:
        ready(kernel)
        outcome = kernel.run(PROMPT, timeout=120)
        assert outcome.status == "ok"
        assert "starting llama.cpp" in shown(outcome) and "tokens of context" in shown(outcome)
        assert "starting llama.cpp" not in outcome.text, "what is over is not left in the notebook"
