"""What streaming an answer into a cell costs: delay, CPU per delta, bytes on iopub.

Aims: first output within 50 ms of the first delta; at most 60 us of CPU per delta at full rate and
1.3 times bare httpx2 (asyncio) at 100 a second; for an 80 KB answer at most 500 KB on iopub at 5 KB/s, and never
over 30 KB/s at a slower rate.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import psutil
from common import Control, Kernel, Row, kernel, median, p95, prompt, server
from support.chat_server import Reply, text, wait

PARAGRAPH = (
    "The rain in March fell short of every other month, by *a wide margin*, see `sales.csv`.\n"
    "Nothing in the table explains it; the **sensor** was moved on the third.\n\n"
)

# Read the same answer with nothing in between, and print CPU microseconds per event. Two floors: the
# asyncio client, which is what a kernel with a free event loop can use, and the blocking client, whose
# wake-ups cost less than half as much at a slow rate but which would block that loop.
_BODY = """
import asyncio, httpx2, json, sys, time
body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
count, rest = 0, b""
def take(data):
    global count, rest
    *lines, rest = (rest + data).split(b"\\n")
    for line in lines:
        if line.startswith(b"data: {"):
            json.loads(line[6:])
            count += 1
"""
FLOORS = {
    "asyncio": _BODY
    + """
async def main():
    async with httpx2.AsyncClient(timeout=None) as client:
        await client.get(sys.argv[1] + "/models")
        before = time.process_time()
        async with client.stream("POST", sys.argv[1] + "/chat/completions", json=body) as answer:
            async for data in answer.aiter_bytes():
                take(data)
        print(json.dumps([(time.process_time() - before) * 1e6 / count, count]))
asyncio.run(main())
""",
    "blocking": _BODY
    + """
with httpx2.Client(timeout=None) as client:
    client.get(sys.argv[1] + "/models")
    before = time.process_time()
    with client.stream("POST", sys.argv[1] + "/chat/completions", json=body) as answer:
        for data in answer.iter_bytes():
            take(data)
    print(json.dumps([(time.process_time() - before) * 1e6 / count, count]))
""",
}


def answer(size: int) -> str:
    """Markdown of about that many bytes."""
    return (PARAGRAPH * (size // len(PARAGRAPH) + 1))[:size]


def cpu(running: Kernel) -> float:
    times = psutil.Process(running.pid).cpu_times()
    return float(times.user + times.system)


def first_output(control: Control, running: Kernel, turns: int) -> list[float]:
    """Milliseconds from the server's first delta to the first output with text on iopub."""
    delays = []
    for number in range(turns):
        mark = f"Mark{number}."
        control.reset()
        control.enqueue(Reply(wait(0.3), text(f"{mark} and more words, " + "word " * 40, size=8, delay=0.01)))
        outcome = prompt(running, "talk")
        offset = time.time() - time.monotonic()
        shown = outcome.first(lambda message, mark=mark: mark in str(message.content.get("data")))
        sent = control.requests[-1].first_delta
        if shown is None or sent is None:
            raise RuntimeError("the answer was not shown")
        delays.append((shown.at + offset - sent) * 1000)
    return delays


def cpu_per_delta(control: Control, running: Kernel, reply: Reply, deltas: int) -> float:
    """CPU microseconds of the whole kernel process per delta of one turn."""
    control.reset()
    control.enqueue(reply)
    before = cpu(running)
    prompt(running, "talk")
    return (cpu(running) - before) * 1e6 / deltas


def bare(control: Control, reply: Reply, floor: str, deltas: int) -> float:
    """CPU microseconds per delta of a bare httpx2 client. Raises ``RuntimeError`` where it missed some."""
    control.reset()
    control.enqueue(reply)
    command = [sys.executable, "-c", FLOORS[floor], control.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    microseconds, count = json.loads(done.stdout)
    if count < deltas:
        raise RuntimeError(f"{count} of {deltas} deltas read")
    return float(microseconds)


def on_iopub(control: Control, running: Kernel, size: int, rate: float) -> tuple[float, float]:
    """Kilobytes on iopub for one answer, and the most in any five seconds, per second."""
    control.reset()
    control.enqueue(Reply(text(answer(size), size=12, rate=rate)))
    outcome = prompt(running, "talk", timeout=size / rate * 2 + 60)
    sizes = [(message.at, message.size) for message in outcome.messages if message.kind != "status"]
    worst = max(sum(b for at, b in sizes if start <= at < start + 5) for start, _ in sizes) / 5
    return sum(b for _, b in sizes) / 1000, worst / 1000


def measure(quick: bool = False) -> list[Row]:
    rows = []
    with server() as control, kernel(control, load="ante_nb") as running:
        prompt(running, "hello")  # imports and connection
        turns = 10 if quick else 30
        delays = first_output(control, running, turns)
        rows.append(
            Row("first output after first delta", median(delays), "ms", limit=50, p95=p95(delays), n=turns)
        )

        for label, deltas, rounds, options, limits in (
            ("full rate", 20_000, 2 if quick else 5, {}, (60.0, None)),
            ("100/s", 300 if quick else 1000, 2 if quick else 3, {"rate": 400}, (None, 1.3)),
        ):
            reply = Reply(text(answer(deltas * 4), size=4, **options))
            ours: list[float] = []
            floors: dict[str, list[float]] = {floor: [] for floor in FLOORS}
            for _ in range(rounds):  # in turns, so that a busy moment of the machine hits all alike
                ours.append(cpu_per_delta(control, running, reply, deltas))
                for floor, values in floors.items():
                    values.append(bare(control, reply, floor, deltas))
            for floor, values in floors.items():
                row = Row(
                    f"CPU per delta, {label}", median(ours), "us", f"bare httpx2, {floor}", median(values)
                )
                row.p95, row.n = p95(ours), rounds
                if floor == "asyncio":
                    row.limit, row.ratio_limit = limits
                rows.append(row)

        for rate, size in ((8000, 80_000), (5000, 80_000), (300, 6_000 if quick else 80_000)):
            total, worst = on_iopub(control, running, size, rate)
            name = f"on iopub, {size // 1000} KB at {rate / 1000:g} KB/s"
            rows.append(Row(name, total, "KB", "the answer", size / 1000, 500 if rate == 5000 else None))
            rows.append(
                Row(
                    f"{name}, worst 5 s",
                    worst,
                    "KB/s",
                    "the answer",
                    rate / 1000,
                    30 if rate <= 5000 else None,
                )
            )
    return rows
