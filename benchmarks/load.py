"""What ``%load_ext ante_nb`` costs in time and memory, beside an empty kernel and beside the peer.

Aims: at most 0.15 s and 8 MB over the empty kernel; at most 45 MB after the first turn. The peer,
``jupyter_ai_magic_commands``, is measured where ``make bench-peers`` has installed it.
"""

from __future__ import annotations

import psutil
from common import ROOT, Row, kernel, median, p95, prompt, server

PEER = ROOT / "build" / "peers" / "bin" / "python"
TIMED = (
    "import time as _t\n_b = _t.perf_counter()\nget_ipython().run_line_magic('load_ext', {name!r})\n"
    "_seconds = _t.perf_counter() - _b"
)


def megabytes(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def loaded(name: str, *, python: str | None = None, runs: int = 5) -> tuple[list[float], list[float]]:
    """Seconds and megabytes that loading the extension takes, in fresh kernels."""
    seconds, memory = [], []
    for _ in range(runs):
        with kernel(**({"python": python} if python else {})) as running:
            running.run("1 + 1")
            before = megabytes(running.pid)
            outcome = running.run(TIMED.format(name=name), timeout=300)
            if outcome.status != "ok":
                raise RuntimeError(outcome.text)
            seconds.append(float(running.value("_seconds")))
            memory.append(megabytes(running.pid) - before)
    return seconds, memory


def after_first_turn(runs: int = 3) -> list[float]:
    """Megabytes over the empty kernel after one turn."""
    grown = []
    with server() as control:
        for _ in range(runs):
            with kernel(control) as running:
                running.run("1 + 1")
                before = megabytes(running.pid)
                running.run("%load_ext ante_nb")
                prompt(running, "hello")
                grown.append(megabytes(running.pid) - before)
    return grown


def measure(quick: bool = False) -> list[Row]:
    runs = 3 if quick else 7
    seconds, memory = loaded("ante_nb", runs=runs)
    other_seconds, other_memory, beside = None, None, ""
    if PEER.exists():
        beside = "jupyter_ai_magic_commands"
        peer_seconds, peer_memory = loaded(beside, python=str(PEER), runs=2 if quick else 3)
        other_seconds, other_memory = median(peer_seconds), median(peer_memory)
    turn = after_first_turn(runs=2 if quick else 5)
    return [
        Row("load_ext, time", median(seconds), "s", beside, other_seconds, 0.15, p95=p95(seconds), n=runs),
        Row("load_ext, memory", median(memory), "MB", beside, other_memory, 8, p95=p95(memory), n=runs),
        Row("memory after the first turn", median(turn), "MB", limit=45, p95=p95(turn), n=len(turn)),
    ]
