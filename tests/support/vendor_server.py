"""A real HTTP server on 127.0.0.1 that speaks all four wires, as strict as the vendors are.

One server stands in for every vendor of :mod:`support.vendors`; each has its own base URL::

    with VendorServer() as server:
        server.script(Answer("Hello", thinking="hm", calls=(("Read", {"path": "a"}),)))
        ...                     # talk to server.base("anthropic"), e.g. http://127.0.0.1:40123/anthropic/v1
        assert not server.refusals

A reply is written in no vendor's terms and answered in the words of whichever is asked, streamed or
whole (:mod:`support.vendor_answers`). A request that the vendor would refuse gets its 400 instead
(:mod:`support.vendor_checks`), the reply stays queued, and ``refusals`` notes it: a client may recover
from a refusal, a test should know.

``python -m support.vendor_server --port-file F --words N --lenient``: a process of its own that answers
everything with N deltas, for benchmarks.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import itertools
import json
import random
import re
import socket
import struct
import sys
import threading
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from support import vendor_answers, vendor_checks
from support.chat_server import ChatServer, Recorded, _respond
from support.vendor_answers import Answer, Ledger
from support.vendor_checks import RefusedError
from support.vendors import VENDORS

if TYPE_CHECKING:
    from support.vendors import Vendor

_IN_STREAM: dict[str, dict[str, Any]] = {
    "AnthropicMessage": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    "OpenAiResponse": {"type": "error", "code": "server_error", "message": "The server had an error."},
    "OpenAiCompatible": {"error": {"code": 502, "message": "Provider returned error"}, "choices": []},
    "Gemini": {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}},
}
"""An error as each wire sends it after the stream has begun with 200."""


@dataclass(frozen=True)
class VendorReply:
    """What one request is answered with.

    ``status`` other than 200: an HTTP error (or redirect) with ``headers`` and ``body``. Of a stream:
    ``chunks``: ``each`` event an HTTP chunk, ``odd`` cuts anywhere, ``one`` all at once; ``delay``
    seconds between chunks; ``events``: how many are sent before ``then`` happens: ``close`` (EOF within
    the body), ``reset``, ``end`` (the body ends properly), ``error`` (the vendor's error event).
    """

    answer: Answer = field(default_factory=Answer)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    gzip: bool = False
    chunks: str = "each"
    delay: float = 0.0
    events: int | None = None
    then: str = "close"


class VendorServer(ChatServer):
    """The server, in a thread with an event loop of its own. Use it as a context manager.

    Args:
        strict: whether requests are checked.
        default: answers a request when nothing is queued.
    """

    def __init__(self, *, port: int = 0, strict: bool = True, default: Answer | None = None) -> None:
        super().__init__(port=port)
        self.strict = strict
        self.default = default or Answer("Hello from loopback.")
        self.ledger = Ledger()
        self.refusals: list[str] = []
        self.scripted: list[VendorReply] = []
        self._rendered: dict[tuple[str, str], list[bytes]] = {}

    def base(self, vendor: str) -> str:
        """The vendor's base URL on this server."""
        return f"{self.origin}/{vendor}{VENDORS[vendor].path}"

    def script(self, *replies: VendorReply | Answer) -> None:
        """Queue replies; each answers one model call, in order."""
        self.scripted += [VendorReply(item) if isinstance(item, Answer) else item for item in replies]

    @property
    def calls(self) -> list[Recorded]:
        """The recorded model calls."""
        return [request for request in self.requests if request.method == "POST"]

    async def _answer(
        self, record: Recorded, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        target = urlsplit(record.path).path  # as a proxy it is asked for a whole URL
        name, _, rest = target.removeprefix("/").partition("/")
        vendor = VENDORS.get(name)
        if vendor is None:
            await _respond(writer, 404, b'{"error": {"message": "no such host"}}')
            return True
        try:
            await self._serve(vendor, record, f"/{unquote(rest)}", writer)
        except RefusedError as problem:
            self.refusals.append(f"{vendor.id}: {problem.message}")
            record.status = problem.status
            body = json.dumps(vendor_checks.error_body(vendor, problem)).encode()
            await _respond(writer, problem.status, body)
        return not writer.transport.is_closing()

    async def _serve(self, vendor: Vendor, record: Recorded, path: str, writer: asyncio.StreamWriter) -> None:
        if self.strict:
            vendor_checks.check_key(vendor, record.headers)
        if record.method == "GET":
            vendor_checks.need(path == vendor.list_path, f"no route {path}", status=404)
            await _respond(writer, 200, json.dumps(_model_list(vendor)).encode())
            return
        model, streamed = _called(vendor, path, record)
        if self.strict:
            body, headers = record.body, record.headers
            vendor_checks.check(vendor, headers, body, model, self.ledger, stream=streamed)
        reply = self.scripted.pop(0) if self.scripted else VendorReply(self.default)
        if reply.status != 200:
            record.status = reply.status
            await _refuse(writer, reply)
        elif streamed:
            await self._stream(vendor, model, record, reply, writer)
        else:
            await self._whole(vendor, model, record, reply, writer)

    # ------------------------------------------------------------------------------------- answers

    async def _whole(
        self,
        vendor: Vendor,
        model: str,
        record: Recorded,
        reply: VendorReply,
        writer: asyncio.StreamWriter,
    ) -> None:
        value = vendor_answers.whole(reply.answer, vendor, model, self.ledger, record.body)
        data = json.dumps(value).encode()
        headers = dict(reply.headers)
        if reply.gzip:
            data, headers["content-encoding"] = gzip.compress(data), "gzip"
        if reply.events is not None and reply.then != "error":  # less than was promised
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
            writer.write(f"content-length: {len(data)}\r\n\r\n".encode() + data[: len(data) // 2])
            await writer.drain()
            _break(writer, reply.then)
            return
        if reply.events is not None:
            data = json.dumps(_IN_STREAM[vendor.style]).encode()
        await _respond(writer, 200, data, headers=headers)

    async def _stream(
        self,
        vendor: Vendor,
        model: str,
        record: Recorded,
        reply: VendorReply,
        writer: asyncio.StreamWriter,
    ) -> None:
        events = self._events(vendor, model, record, reply)
        chunks = _cut(events, reply.chunks)
        zipped = zlib.compressobj(wbits=31) if reply.gzip else None
        kind = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        headers = {**kind, **({"content-encoding": "gzip"} if zipped else {}), **reply.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode())
        for chunk in chunks:
            data = zipped.compress(chunk) + zipped.flush(zlib.Z_SYNC_FLUSH) if zipped else chunk
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()
            if reply.delay:
                await asyncio.sleep(reply.delay)
        if reply.events is not None and reply.then in ("close", "reset"):
            await asyncio.sleep(0.02 if reply.then == "reset" else 0)  # a reset may overtake the bytes
            _break(writer, reply.then)
            return
        if zipped and (rest := zipped.flush()):
            writer.write(b"%x\r\n%s\r\n" % (len(rest), rest))
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def _events(self, vendor: Vendor, model: str, record: Recorded, reply: VendorReply) -> list[bytes]:
        if not self.strict:  # a benchmark: the same bytes each time, made once
            found = self._rendered.get((vendor.id, model))
            if found is None:
                found = vendor_answers.stream(reply.answer, vendor, model, self.ledger, record.body)
                self._rendered[vendor.id, model] = found
            return found
        events = vendor_answers.stream(reply.answer, vendor, model, self.ledger, record.body)
        if reply.events is None or (reply.then == "error" and reply.events >= len(events)):
            return events
        events = events[: reply.events]
        if reply.then == "error":
            error = _IN_STREAM[vendor.style]
            name = "event: error\n" if vendor.style in ("AnthropicMessage", "OpenAiResponse") else ""
            events.append(f"{name}data: {json.dumps(error)}\n\n".encode())
        return events


def _called(vendor: Vendor, path: str, record: Recorded) -> tuple[str, bool]:
    """The model that is called, and whether it is asked to stream."""
    vendor_checks.need(isinstance(record.body, dict), "the body is no JSON object")
    pattern = re.escape(vendor.endpoint).replace(r"\{model\}", "([^:]+)").replace(r"\{method\}", "(.+)")
    found = re.fullmatch(pattern, path)
    vendor_checks.need(found, f"no route {path}, it is {vendor.endpoint}", status=404)
    assert found is not None
    if vendor.style != "Gemini":
        model = record.body.get("model")
        vendor_checks.need(isinstance(model, str) and model, "model: Field required")
        return str(model), bool(record.body.get("stream"))
    query = urlsplit(record.path).query
    streamed = found[2] == "streamGenerateContent"
    known = (streamed and query == "alt=sse") or (found[2] == "generateContent" and not query)
    vendor_checks.need(known, f"no method {found[2]}?{query}", status=404)
    return found[1], streamed


def _model_list(vendor: Vendor) -> dict[str, Any]:
    names = vendor.models or ("loopback-model",)
    if vendor.style == "Gemini":
        methods = {"inputTokenLimit": 1048576, "supportedGenerationMethods": ["generateContent"]}
        return {"models": [{"name": f"models/{name}", "displayName": name, **methods} for name in names]}
    if vendor.style == "AnthropicMessage":
        rows = [{"type": "model", "id": name, "display_name": name.title()} for name in names]
        return {"data": rows, "has_more": False, "first_id": names[0], "last_id": names[-1]}
    return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}


async def _refuse(writer: asyncio.StreamWriter, reply: VendorReply) -> None:
    page = isinstance(reply.body, str)
    data = b"" if reply.body is None else (reply.body if page else json.dumps(reply.body)).encode()
    kind = "text/html" if page else "application/json"
    headers = dict(reply.headers)
    if reply.gzip:
        data, headers["content-encoding"] = gzip.compress(data), "gzip"
    await _respond(writer, reply.status, data, content_type=kind, headers=headers)


def _cut(events: list[bytes], how: str) -> list[bytes]:
    if how == "each":
        return events
    data = b"".join(events)
    if how == "one":
        return [data]
    chance = random.Random(len(data))  # the same cuts for the same answer
    edges = sorted({0, len(data), *(chance.randrange(len(data)) for _ in range(len(data) // 9))})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def _break(writer: asyncio.StreamWriter, how: str) -> None:
    if how == "end":  # a length that is never reached can only end by closing
        how = "close"
    if how == "reset":
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return
    writer.close()


def main() -> None:
    """Serve until the end of stdin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--words", type=int, default=2000, help="text deltas of each answer")
    parser.add_argument("--lenient", action="store_true", help="take every request")
    args = parser.parse_args()
    words = "".join(f"word{number % 10:<4}" for number in range(args.words))
    default = Answer(words, pieces=args.words)
    with VendorServer(strict=not args.lenient, default=default) as server:
        draft = args.port_file.with_suffix(".draft")
        draft.write_text(str(server.port))
        draft.replace(args.port_file)
        over = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.buffer.read(), over.set()), daemon=True).start()
        over.wait()


if __name__ == "__main__":
    main()
