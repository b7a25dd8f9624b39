"""A tool loop over keep-alive HTTP/SSE and over WebSocket: bytes sent, seconds, and how they grow.

50 steps, each with 4 KB of tool result, to the loopback server of the tests over TLS, behind a link of
10 Mbit/s upwards with 0, 30 and 100 ms of round trip. Server and link are a process of their own. The link
delays the encrypted bytes; what it counts is what a network would have carried.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from common import Row, median

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUND_TRIPS = (0, 30, 100)
UPLINK = 10_000_000 / 8
"""Bytes per second."""
STEPS = 50
RESULT = 4096


# ------------------------------------------------------------------------- the other process: server, links


@dataclass
class Link:
    """A TCP proxy: each way takes half of the round trip, upwards at most ``UPLINK``."""

    round_trip: float
    target: int
    port: int = 0
    sent: int = 0
    busy: float = 0.0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        for source, sink, up in ((reader, up_writer, True), (up_reader, writer, False)):
            task = asyncio.create_task(self._carry(source, sink, up))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, up: bool) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        deliver = asyncio.create_task(self._deliver(queue, sink))
        free = 0.0
        try:
            while data := await source.read(16384):
                now = time.monotonic()
                if up:
                    self.sent += len(data)
                    self.busy += len(data) / UPLINK
                    free = max(now, free) + len(data) / UPLINK
                queue.put_nowait((max(now, free) + self.round_trip / 2, data))
        except ConnectionError:
            pass
        queue.put_nowait((0.0, b""))
        await deliver

    @staticmethod
    async def _deliver(queue: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        while True:
            when, data = await queue.get()
            if not data:
                sink.close()
                return
            if (wait := when - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            sink.write(data)


async def serve(folder: Path) -> None:
    """Print the ports, then a line of counters for every line that comes in."""
    from support.ws_server import Dialogue, ResponsesServer, call

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    dialogue = Dialogue([[call("~", "run_cell", {"code": "step ~"})]], free=True)
    with ResponsesServer(dialogue, tls=context) as server:
        links = [Link(trip / 1000, server.port) for trip in ROUND_TRIPS]
        for link in links:
            await link.start()
        print(json.dumps([link.port for link in links]), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            facts = {"links": [[link.sent, link.busy] for link in links], "ways": server.ways()}
            facts["refused"] = len(server.refused)
            server.seen.clear()
            print(json.dumps(facts), flush=True)


# --------------------------------------------------------------------------------------------- the client


@dataclass
class Run:
    """A loop: for each step the seconds, the bytes sent, and the seconds that the uplink was busy."""

    seconds: list[float]
    sent: list[int]
    uplink: list[float]


class Counters:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._into: IO[str] = process.stdin  # type: ignore[assignment]
        self._from: IO[str] = process.stdout  # type: ignore[assignment]
        self.ports: list[int] = json.loads(self._from.readline())

    def read(self) -> dict[str, Any]:
        self._into.write("\n")
        self._into.flush()
        found: dict[str, Any] = json.loads(self._from.readline())
        return found


async def loop(counters: Counters, place: int, transport: str, steps: int) -> Run:
    """``steps`` model calls of one session over ``transport`` on the link ``place``."""
    from support.ws_server import KEY
    from support.ws_talk import TOOLS

    from ante_nb.messages import Done, Message, Text, ToolResult
    from ante_nb.providers.catalog.load import load_catalog
    from ante_nb.providers.provider import Provider
    from ante_nb.providers.spec import Choice, Request, Secret

    catalog = load_catalog()
    url = f"https://127.0.0.1:{counters.ports[place]}/v1"
    model = catalog.model_for("openai", "gpt-5.4")
    choice = Choice(catalog.provider("openai"), model, url, Secret(KEY), transport=transport)  # type: ignore[arg-type]
    provider = Provider(choice)
    chance = random.Random(7)
    messages = [Message.user("Go on until it is done.")]
    run = Run([], [], [])
    sent, busy = counters.read()["links"][place]
    for number in range(steps):
        started = time.perf_counter()
        request = Request(
            tuple(messages),
            "You are a notebook agent.",
            TOOLS,
            session_id="ses_bench",
            step_id=f"step_{number}",
        )
        done = [event async for event in provider.stream(request) if isinstance(event, Done)][-1]
        run.seconds.append(time.perf_counter() - started)
        facts = counters.read()
        now, now_busy = facts["links"][place]
        way = "websocket" if transport == "websocket_auto" else "http"
        assert facts["ways"] == [way] and not facts["refused"], facts
        run.sent.append(now - sent)
        run.uplink.append(now_busy - busy)
        sent, busy = now, now_busy
        [call] = done.message.tool_calls
        # What compression can make of it is what it makes of text that carries 6 bits in each character.
        text = base64.b64encode(chance.randbytes(RESULT * 3 // 4)).decode()
        messages += [done.message, Message("tool", (ToolResult(call.id, (Text(text),)),))]
    await provider.aclose()
    return run


def compare(trip: int, http: Sequence[Run], socket: Sequence[Run], steps: int) -> list[Row]:
    """The rows of one round trip time."""

    def total(runs: Sequence[Run], what: str) -> float:
        return median([sum(getattr(run, what)) for run in runs])

    def late(runs: Sequence[Run], what: str) -> float:
        return median([median(getattr(run, what)[-5:]) for run in runs])

    def growth(runs: Sequence[Run]) -> float:
        """Bytes of the last steps in relation to those of the first: 1 is linear in all, else more."""
        return median([median(run.sent[-5:]) / median(run.sent[2:7]) for run in runs])

    name, beside = f"{steps} steps, {trip} ms:", "keep-alive HTTP/SSE"
    n = len(http)
    return [
        Row(f"{name} whole loop", total(socket, "seconds"), "s", beside, total(http, "seconds"), ratio_limit=1.0, n=n),
        Row(f"{name} last step", late(socket, "seconds"), "s", beside, late(http, "seconds"), ratio_limit=1.0, n=n),
        Row(f"{name} bytes sent", total(socket, "sent"), "B", beside, total(http, "sent"), n=n),
        Row(f"{name} bytes, last steps to first", growth(socket), "x", beside, growth(http), limit=1.2, n=n),
        Row(f"{name} upload of the last step", 1000 * late(socket, "uplink"), "ms", beside,
            1000 * late(http, "uplink"), ratio_limit=0.1, n=n),
    ]  # fmt: skip


def measure(quick: bool) -> list[Row]:
    """The rows of the table; none, with a line that says why, where there is no openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        print("skipped: it needs the openssl program to make a certificate")
        return []
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make = [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]
        make += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
        subprocess.run(make, cwd=folder, check=True, capture_output=True)
        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = str(folder / "cert.pem")
        command = [sys.executable, __file__, "--serve", str(folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            counters = Counters(process)
            for place, trip in enumerate(ROUND_TRIPS):
                runs: dict[str, list[Run]] = {"http_sse": [], "websocket_auto": []}
                for _ in range(1 if quick else 3):
                    for transport, found in runs.items():
                        found.append(asyncio.run(loop(counters, place, transport, STEPS)))
                rows += compare(trip, runs["http_sse"], runs["websocket_auto"], STEPS)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)
            if before is None:
                del os.environ["SSL_CERT_FILE"]
            else:
                os.environ["SSL_CERT_FILE"] = before
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(Path(sys.argv[2])))
    else:
        from common import table

        print(table(measure("--quick" in sys.argv)))
