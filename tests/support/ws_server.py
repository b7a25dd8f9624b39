"""A loopback server of OpenAI Responses over WebSocket and over HTTP/SSE, with the vendor's memory.

It knows a :class:`Dialogue` and takes only a conversation that is a part of it: the prompts, its own
answers as it gave them, and one result for each call. Over a WebSocket it keeps the conversation of the
latest response of that connection and nothing else, so a wrong ``previous_response_id`` is not found, and an
item that comes twice, a missing result or an unknown field is an error. Faults happen where a test asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

KEY = "sk-test-websocket-0123456789"

_log = logging.getLogger("loopback.websockets")
_log.setLevel(logging.CRITICAL)  # it would show the keys that tests look for

FIELDS = frozenset(
    (
        "model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text",
        "include", "store", "service_tier", "prompt_cache_key", "max_output_tokens", "temperature", "top_p",
    )
)  # fmt: skip
_REQUIRED = {"model", "input", "include", "store"}
_VOLATILE = ("status", "logprobs")

UPGRADE_FAULTS = ("reset", "hang", "eof", "401", "403", "404", "426", "429", "500", "redirect")
STREAM_FAULTS = (
    "close 1000", "close 1008", "close 1009", "close 1011", "close 1012", "eof", "reset", "binary", "garbage", "array",
    "utf8", "opcode", "foreign", "error 500", "error 400", "error 401", "error 403", "failed", "limit",
    "cancelled", "no type",
)  # fmt: skip
"""Two more: ``silence`` takes as long as the idle limit, ``forgot`` is no failure where nothing was said yet."""


class Refused(Exception):
    """The request is wrong; ``error`` is what the vendor answers."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}


@dataclass
class Fault:
    """Happens in the answer to the ``create``-th request over WebSocket, before frame ``frame``."""

    create: int
    frame: int
    kind: str


@dataclass
class Dialogue:
    """What is talked about: ``answers[k]`` are the output items of the k-th answer.

    After an answer with calls their results must follow, after another one a prompt.
    """

    answers: Sequence[Sequence[dict[str, Any]]]
    free: bool = False
    strip: bool = False
    """Whether only the words of a message must come back, as from a conversation with another model."""
    """Whether answers beyond the last begin again with the first, with ids of their own."""

    def answer(self, number: int) -> list[dict[str, Any]]:
        if not self.free:
            if number >= len(self.answers):
                raise Refused("invalid_value", "the dialogue is over")
            return [dict(item) for item in self.answers[number]]
        lap, place = divmod(number, len(self.answers))
        text = json.dumps(self.answers[place]).replace("~", str(lap))
        return list(json.loads(text))

    def plain(self, item: dict[str, Any]) -> Any:
        """An item without what the vendor does not want back."""
        kept = {name: value for name, value in item.items() if name not in _VOLATILE}
        content = kept.get("content")
        if self.strip and kept.get("type") == "message":
            return content if isinstance(content, str) else "".join(piece["text"] for piece in content)
        if isinstance(content, list):
            kept["content"] = [{k: v for k, v in piece.items() if k not in _VOLATILE} for piece in content]
        return kept

    def place(self, conversation: Sequence[dict[str, Any]]) -> int:
        """How many answers are in it; raises ``Refused`` for what is no part of the dialogue."""
        items, number, users, owed = list(conversation), 0, 0, []
        while items:
            item = items[0]
            if item.get("type") == "function_call_output":
                if item["call_id"] not in owed:
                    raise Refused("invalid_value", f"a result for {item['call_id']} that nobody waits for")
                owed.remove(item["call_id"])
                users += not owed
                items.pop(0)
            elif item.get("type") == "message" and item.get("role") == "user":
                if owed:
                    raise Refused("invalid_value", f"No tool output found for function call {owed[0]}.")
                users += 1
                items.pop(0)
            else:
                said = self.answer(number)
                given, items = items[: len(said)], items[len(said) :]
                if not users or owed or [self.plain(x) for x in given] != [self.plain(x) for x in said]:
                    raise Refused("invalid_value", f"not what was answered: {given}")
                owed = [x["call_id"] for x in said if x["type"] == "function_call"]
                number, users = number + 1, 0
        if owed or not users:
            raise Refused("invalid_value", f"No tool output found for function call {owed}.")
        return number


def reasoning(key: str, text: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}]
    return {"id": f"rs_{key}", "type": "reasoning", "summary": summary, "encrypted_content": f"gAAA{key}=="}


def call(key: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"fc_{key}", "type": "function_call", "status": "completed", "call_id": f"call_{key}",
            "name": name, "arguments": json.dumps(arguments)}  # fmt: skip


def message(key: str, text: str) -> dict[str, Any]:
    piece = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    return {
        "id": f"msg_{key}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [piece],
    }


def frames(items: Sequence[dict[str, Any]], response_id: str, model: str) -> list[dict[str, Any]]:
    """The events of an answer."""
    count = itertools.count()
    base = {"id": response_id, "object": "response", "model": model, "error": None}

    def event(kind: str, **more: Any) -> dict[str, Any]:
        return {"type": kind, "sequence_number": next(count), **more}

    out = [event("response.created", response={**base, "status": "in_progress", "output": []})]
    out.append(event("response.in_progress", response={**base, "status": "in_progress", "output": []}))
    for index, item in enumerate(items):
        where = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            start = {**item, "status": "in_progress", "content": []}
            out.append(event("response.output_item.added", output_index=index, item=start))
            text = item["content"][0]["text"]
            half = len(text) // 2
            for piece in (text[:half], text[half:]):
                out.append(event("response.output_text.delta", **where, content_index=0, delta=piece))
            out.append(event("response.output_text.done", **where, content_index=0, text=text))
        elif item["type"] == "function_call":
            start = {**item, "status": "in_progress", "arguments": ""}
            out.append(event("response.output_item.added", output_index=index, item=start))
            out.append(event("response.function_call_arguments.delta", **where, delta=item["arguments"]))
        else:
            start = {**item, "summary": [], "encrypted_content": ""}
            out.append(event("response.output_item.added", output_index=index, item=start))
            text = item["summary"][0]["text"]
            out.append(event("response.reasoning_summary_text.delta", **where, summary_index=0, delta=text))
        out.append(event("response.output_item.done", output_index=index, item=item))
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 110,
    }
    last = {**base, "status": "completed", "output": list(items), "usage": usage}
    out.append(event("response.completed", response=last))
    return out


@dataclass
class Seen:
    """A request that was taken: how it came, its own items, and the conversation that it makes."""

    way: str
    connection: int
    continued: bool
    items: list[dict[str, Any]]
    conversation: list[dict[str, Any]]
    body: dict[str, Any]

    @property
    def results(self) -> dict[str, str]:
        """The results in the conversation, by call id."""
        return {
            x["call_id"]: x["output"] for x in self.conversation if x.get("type") == "function_call_output"
        }


@dataclass
class ResponsesServer:
    """Serves on ``url`` in a thread of its own while its context is open.

    Attributes:
        dialogue: what it answers.
        upgrades: what happens to the next upgrades, one after another (:data:`UPGRADE_FAULTS`, ``ok``).
        faults: what happens in answers.
        scripts: recorded frames that replace the next answers over WebSocket.
        seen: the requests that were taken; ``refused``: the errors that were answered for wrong ones.
        overlaps: requests that came while another one of the same connection was answered.
        upgrade_headers: of every upgrade.
    """

    dialogue: Dialogue = field(default_factory=lambda: Dialogue([[message("hi", "Hello there.")]], free=True))
    tls: ssl.SSLContext | None = None
    pause: float = 0.0
    """Seconds between two frames."""
    upgrades: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    scripts: list[list[dict[str, Any]]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    upgrade_headers: list[dict[str, str]] = field(default_factory=list)
    closes: list[int | None] = field(default_factory=list)
    """Close codes that clients sent; ``None``: gone without a word."""
    overlaps: int = 0
    creates: int = 0
    open: int = 0
    forget: bool = False
    """Once: forget the latest response before the next request is read."""
    streamed: bool = True
    """Whether the last request over HTTP asked for a stream."""
    extra: list[dict[str, Any]] = field(default_factory=list)
    """Frames sent once after the end of the next answer."""

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)
        self._connections = itertools.count(1)
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self.port = 0

    def __enter__(self) -> ResponsesServer:
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._main(),), daemon=True
        )
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1"

    def authorized(self, headers: dict[str, str]) -> bool:
        return headers.get("authorization") == f"Bearer {KEY}"

    def more_headers(self, headers: dict[str, str]) -> dict[str, str]:
        """What a good answer to a request with ``headers`` has beside; over WebSocket: to the upgrade."""
        return {}

    def instead(self, path: str, headers: dict[str, str]) -> tuple[int, str, bytes] | None:
        """Status, content type and body of another answer than the dialogue's, upgrades included."""
        return None

    def frames_before(self) -> list[dict[str, Any]]:
        """Frames and events that come before an answer."""
        return []

    def ways(self) -> list[str]:
        return [request.way for request in self.seen]

    def kill(self) -> None:
        """Reset every open connection."""
        done = threading.Event()

        def run() -> None:
            for writer in self._writers:
                _reset(writer)
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(30)

    async def _main(self) -> None:
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=self.tls, limit=1 << 26)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in (tasks := asyncio.all_tasks() - {asyncio.current_task()}):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"upgrade: websocket" in head.lower():
                    await self._websocket(head, reader, writer)
                    return
                await self._http(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    # ------------------------------------------------------------------------------------------- HTTP

    async def _http(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        if (other := self.instead(lines[0].split(" ")[1], headers)) is not None:
            writer.write(_plain_answer(*other, self.more_headers(headers)))
            await writer.drain()
            return
        body = json.loads(data)
        try:
            if not self.authorized(headers):
                raise Refused("invalid_api_key", "Incorrect API key provided", 401)
            streamed = self.streamed = body.pop("stream", False)
            if "previous_response_id" in body:
                raise Refused("previous_response_not_found", "nothing is stored")
            events = self._taken("http", 0, body, body.get("input"), [])
        except Refused as problem:
            data = json.dumps({"error": problem.error}).encode()
            writer.write(f"HTTP/1.1 {problem.status} No\r\ncontent-type: application/json\r\n".encode())
            writer.write(f"content-length: {len(data)}\r\n\r\n".encode() + data)
            await writer.drain()
            return
        if not streamed:
            data = json.dumps(events[-1]["response"]).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
            writer.write(f"content-length: {len(data)}\r\n\r\n".encode() + data)
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n")
        for name, value in self.more_headers(headers).items():
            writer.write(f"{name}: {value}\r\n".encode())
        writer.write(b"\r\n")
        for event in [*self.frames_before(), *events]:
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            if self.pause:
                await writer.drain()
                await asyncio.sleep(self.pause)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def _taken(
        self, way: str, connection: int, body: dict[str, Any], items: Any, before: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """The events of the answer to a request, which must be in order."""
        unknown = set(body) - FIELDS
        if unknown:
            raise self._no(Refused("unknown_parameter", f"Unknown parameter: '{sorted(unknown)[0]}'."))
        if missing := _REQUIRED - set(body):
            raise self._no(Refused("missing_required_parameter", f"Missing: '{sorted(missing)[0]}'."))
        if not isinstance(items, list) or not items:
            raise self._no(Refused("invalid_value", "input must be a list of items"))
        conversation = [*before, *items]
        try:
            number = self.dialogue.place(conversation)
            answer = self.dialogue.answer(number)
        except Refused as problem:
            raise self._no(problem) from None
        self.seen.append(Seen(way, connection, bool(before), items, conversation, body))
        return frames(answer, f"resp_{next(self._ids)}", body["model"])

    def _no(self, problem: Refused) -> Refused:
        self.refused.append(problem)
        return problem

    # -------------------------------------------------------------------------------------- WebSocket

    async def _websocket(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        fault = self.upgrades.pop(0) if self.upgrades else "ok"
        if fault == "hang":
            await self._stop.wait()
        if fault in ("reset", "eof"):
            _reset(writer) if fault == "reset" else writer.close()
            return
        deflate = [ServerPerMessageDeflateFactory()]
        protocol = ServerProtocol(extensions=deflate, max_size=None, logger=_log)
        protocol.receive_data(head)
        [request] = protocol.events_received()
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        self.upgrade_headers.append(headers)
        if fault == "ok" and (other := self.instead(request.path, headers)) is not None:
            writer.write(_plain_answer(*other, {}))
            await writer.drain()
            return
        if fault == "ok" and not self.authorized(headers):
            fault = "401"
        if fault == "redirect":
            writer.write(
                b"HTTP/1.1 307 Away\r\nlocation: ws://127.0.0.1:9/v1/responses\r\ncontent-length: 0\r\n\r\n"
            )
            await writer.drain()
            return
        if fault != "ok":
            protocol.send_response(protocol.reject(int(fault), "no"))
            writer.writelines(protocol.data_to_send())
            await writer.drain()
            return
        response = protocol.accept(request)
        for name, value in self.more_headers(headers).items():
            response.headers[name] = value
        protocol.send_response(response)
        writer.writelines(protocol.data_to_send())
        connection = _Connection(self, next(self._connections), protocol, writer)
        self.open += 1
        try:
            await connection.serve(reader)
        finally:
            self.open -= 1
            self.closes.append(protocol.close_rcvd.code if protocol.close_rcvd else None)


@dataclass
class _Connection:
    server: ResponsesServer
    number: int
    protocol: ServerProtocol
    writer: asyncio.StreamWriter
    latest: tuple[str, list[dict[str, Any]]] | None = None
    busy: bool = False

    async def serve(self, reader: asyncio.StreamReader) -> None:
        tasks: set[asyncio.Task[None]] = set()
        parts: list[bytes] = []
        try:
            while True:
                data = await reader.read(1 << 16)
                self.protocol.receive_data(data) if data else self.protocol.receive_eof()
                for event in self.protocol.events_received():
                    assert isinstance(event, Frame)
                    if event.opcode in (Opcode.TEXT, Opcode.CONT):
                        parts.append(bytes(event.data))
                        if event.fin:
                            tasks.add(asyncio.create_task(self.create(json.loads(b"".join(parts)))))
                            parts.clear()
                self.flush()
                if not data or self.protocol.close_expected():
                    return
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self.writer.write(data)

    def say(self, event: Any) -> None:
        self.protocol.send_text(json.dumps(event).encode())
        self.flush()

    async def create(self, frame: dict[str, Any]) -> None:
        server = self.server
        server.creates += 1
        number = server.creates
        server.overlaps += self.busy
        self.busy = True
        if server.forget:
            server.forget, self.latest = False, None
        try:
            if server.scripts:
                self.busy = False
                for event in server.scripts.pop(0):
                    self.say(event) if "event" not in event else await self.fail(
                        "close " + str(event["code"])
                    )
                return
            events = self.begin(frame)
            for event in server.frames_before():
                self.say(event)
            for place, event in enumerate([*events, None]):
                for fault in server.faults:
                    if (fault.create, fault.frame) == (number, place):
                        server.faults.remove(fault)
                        await self.fail(fault.kind)
                        return
                if event is None:
                    continue
                if server.pause:
                    await asyncio.sleep(server.pause)
                if event is events[-1]:  # whoever reads it may ask at once
                    said = event["response"]
                    self.latest, self.busy = (said["id"], [*self.conversation, *said["output"]]), False
                self.say(event)
            while server.extra:
                self.say(server.extra.pop(0))
        except Refused as problem:
            self.latest = None
            self.say({"type": "error", "status": problem.status, "error": problem.error})
            self.busy = False

    def begin(self, frame: dict[str, Any]) -> list[dict[str, Any]]:
        server = self.server
        frame = dict(frame)
        if frame.pop("type", None) != "response.create":
            raise server._no(Refused("invalid_value", "no such event"))
        previous = frame.pop("previous_response_id", None)
        before: list[dict[str, Any]] = []
        if previous is not None:
            if self.latest is None or self.latest[0] != previous:
                raise Refused(
                    "previous_response_not_found", f"Previous response with id '{previous}' not found."
                )
            before = self.latest[1]
        events = server._taken("websocket", self.number, frame, frame.get("input"), before)
        self.conversation = server.seen[-1].conversation
        return events

    async def fail(self, kind: str) -> None:
        name, _, number = kind.partition(" ")
        if name == "close":
            if number == "1006":
                self.writer.close()
                return
            self.protocol.send_close(int(number), "")
            self.flush()
        elif name == "eof":
            self.writer.close()
        elif name == "reset":
            await asyncio.sleep(0.005)  # a reset may overtake the bytes before it
            _reset(self.writer)
        elif name == "silence":
            await self.server._stop.wait()
        elif name == "binary":
            self.protocol.send_binary(b'{"type": "response.completed"}')
            self.flush()
        elif name == "garbage":
            self.protocol.send_text(b"this is no JSON")
            self.flush()
        elif name == "array":
            self.say([1, 2])
        elif name == "utf8":
            self.writer.write(b"\x81\x02\xff\xfe")
        elif name == "opcode":
            self.writer.write(b"\x8b\x00")
        elif name == "foreign":
            events = frames([message("x", "Somebody else's words.")], "resp_foreign", "m")
            for event in events if number else events[:2] + events[-1:]:
                self.say(event)
        elif name == "forgot":
            self.latest, self.busy = None, False
            error = {"type": "invalid_request_error", "code": "previous_response_not_found", "message": "?"}
            self.say({"type": "error", "status": 400, "error": error})
        elif name == "cancelled":
            self.say({"type": "response.cancelled", "response": {"status": "cancelled", "output": []}})
        elif name == "no":
            self.say({"type": ["response.completed"], "response": {}})
        elif name == "failed":
            error = {"code": "server_error", "message": "The server had an error."}
            self.say(
                {"type": "response.failed", "response": {"status": "failed", "error": error, "output": []}}
            )
        elif name == "limit":
            words = "Responses websocket connection limit reached (60 minutes)."
            error = {
                "type": "invalid_request_error",
                "code": "websocket_connection_limit_reached",
                "message": words,
            }
            self.say({"type": "error", "status": 400, "error": error})
            self.protocol.send_close(1000, "")
            self.flush()
        else:
            kinds = {"400": "invalid_request_error", "429": "rate_limit_error", "529": "overloaded_error"}
            error = {
                "type": kinds.get(number, "server_error"),
                "code": None,
                "message": "Something went wrong.",
            }
            self.say({"type": "error", "status": int(number), "error": error})


def _plain_answer(status: int, kind: str, body: bytes, headers: dict[str, str]) -> bytes:
    head = f"HTTP/1.1 {status} So\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
    return (head + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode() + body


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def wait_until(check: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait in a thread until ``check`` holds."""
    over = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if check():
            return
        over.wait(0.01)
    raise AssertionError("it did not happen")
