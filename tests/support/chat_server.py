"""A real HTTP server on 127.0.0.1 that speaks Chat Completions and does what a test tells it to.

In the test's own process::

    with ChatServer() as server:
        server.enqueue(Reply(thinking("hm"), text("Hello", pieces=5, delay=0.01)))
        ...                                   # talk to server.url, e.g. "http://127.0.0.1:40123/v1"
        server.requests[0].body["messages"]

As a process of its own (``python -m support.chat_server --port-file F``), driven by :class:`Control`
or through the prompt: with no reply queued, a line ``SCRIPT: <json>`` in the last user message holds a
list of steps, each a list of actions; the number of assistant messages after that user message
chooses the step. Without a script the answer is ``echo: <last user text>``.

An action is a JSON value, made by the functions below or written out:

=========================================================  ==========================================
``"words"`` or ``{"text": "words", "pieces": 3}``          text deltas; also ``size`` (characters a
                                                           piece), ``delay`` (seconds between pieces),
                                                           ``rate`` (characters a second)
``{"thinking": "hm"}``                                     the same as ``reasoning_content``
``{"tool": "Read", "args": {}, "id": "c1", "pieces": 2}``  a tool call; ``args`` may be raw text
``{"tools": [{"tool": ...}, ...], "delay": 0.01}``         parallel calls, their pieces interleaved
``{"wait": 0.5}`` · ``{"wait_for": "name"}``               pause · until ``server.release("name")``
``{"status": 429, "headers": {}, "body": {}}``             an HTTP error (must come first)
``{"error": {"message": ...}}``                            an error chunk inside the 200
``{"usage": {...}}`` · ``{"finish": "length"}``            own usage numbers · own finish reason
``{"chunk": {...}}`` · ``{"comment": "ping"}``             a whole chunk as given · an SSE comment
``{"raw": "bytes as text"}`` · ``{"raw_b64": "..."}``      bytes as they are, one HTTP chunk
``{"drop": "close"}`` · ``{"drop": "reset"}``              the connection breaks
``{"end": true}``                                          the body ends properly, nothing more is sent
=========================================================  ==========================================

What is left out is added: role chunk, finish reason, usage (unless ``stream_options`` is absent) and
``[DONE]``. Every delta is an HTTP chunk of its own, flushed. The same actions answer requests without
``stream``, as one object.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import gzip
import json
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
import urllib.request
import zlib
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Action = dict[str, Any]


def text(words: str, **options: Any) -> Action:
    """Text deltas. Options: ``pieces``, ``size``, ``delay``, ``rate``."""
    return {"text": words, **options}


def thinking(words: str, **options: Any) -> Action:
    """Reasoning deltas (``reasoning_content``; another field by ``field=``). Options as ``text``."""
    return {"thinking": words, **options}


def tool(name: str, args: dict[str, Any] | str | None = None, **options: Any) -> Action:
    """A tool call. Options: ``id``, ``pieces``, ``size``, ``delay``."""
    return {"tool": name, "args": {} if args is None else args, **options}


def tools(*calls: Action, **options: Any) -> Action:
    """Parallel tool calls with their argument pieces interleaved."""
    return {"tools": list(calls), **options}


def wait(seconds: float) -> Action:
    return {"wait": seconds}


def wait_for(name: str) -> Action:
    return {"wait_for": name}


def status(code: int, body: Any = None, headers: dict[str, str] | None = None) -> Action:
    """An HTTP answer of that status; ``body`` is sent as JSON unless it is a string."""
    return {"status": code, "body": body, "headers": headers or {}}


def error(**fields: Any) -> Action:
    return {"error": fields}


def usage(**fields: Any) -> Action:
    return {"usage": fields}


def finish(reason: str | None) -> Action:
    return {"finish": reason}


def chunk(**fields: Any) -> Action:
    return {"chunk": fields}


def comment(words: str) -> Action:
    return {"comment": words}


def raw(data: bytes | str) -> Action:
    if isinstance(data, str):
        return {"raw": data}
    return {"raw_b64": base64.b64encode(data).decode()}


def drop(how: str = "close") -> Action:
    """The connection breaks here: ``close`` (EOF inside the body) or ``reset`` (RST)."""
    return {"drop": how}


def end() -> Action:
    """The body ends properly here, without finish reason or ``[DONE]``."""
    return {"end": True}


@dataclass
class Reply:
    """What one request is answered with: actions in order (see the module), and how it is packed."""

    actions: list[Action | str] = field(default_factory=list)
    gzip: bool = False
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __init__(
        self,
        *actions: Action | str,
        gzip: bool = False,
        content_type: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.actions = list(actions)
        self.gzip = gzip
        self.content_type = content_type
        self.headers = headers or {}


@dataclass
class Recorded:
    """A request as it came in. ``time`` etc. are ``time.time()``, comparable between processes."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    time: float
    first_delta: float | None = None
    last_delta: float | None = None
    ended: float | None = None
    disconnected: bool = False
    status: int = 200


class _Stop(Exception):
    """The reply is over: the connection was dropped, or the body ended early."""


class ChatServer:
    """The server, in a thread with an event loop of its own. Use it as a context manager."""

    def __init__(self, *, port: int = 0, models: tuple[str, ...] = ("test-model",)) -> None:
        self.port = port
        self.models = models
        self.requests: list[Recorded] = []
        self.connections = 0
        self.handler: Callable[[Recorded], Reply | None] | None = None
        """Asked for a reply when none is queued (tests in the same process)."""
        self._queue: deque[Reply] = deque()
        self._arrived = threading.Condition()
        self._released: set[str] = set()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    # ------------------------------------------------------------------------------ for the test

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL, ending in ``/v1``."""
        return f"{self.origin}/v1"

    def enqueue(self, *replies: Reply) -> None:
        """Queue replies; each answers one chat request, in order."""
        self._queue.extend(replies)

    def release(self, name: str) -> None:
        """Lets every ``wait_for`` of that name go on, now and later."""
        self._released.add(name)

    def reset(self) -> None:
        """Forget queued replies, released names and recorded requests."""
        self._queue.clear()
        self._released.clear()
        self.requests.clear()

    @property
    def chats(self) -> list[Recorded]:
        """The recorded requests to ``/chat/completions``."""
        return [
            request
            for request in self.requests
            if request.path.partition("?")[0].endswith("/chat/completions")
        ]

    def wait_for_requests(self, count: int, timeout: float = 30.0) -> None:
        """Block until ``count`` requests have come in."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{len(self.requests)} of {count} requests after {timeout} s")

    def start(self) -> ChatServer:
        self._thread = threading.Thread(target=self._run, name="chat-server", daemon=True)
        self._thread.start()
        self._ready.wait(30)
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        loop, closing = self._loop, self._closing
        if loop is not None and closing is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(closing.set)
        if self._thread is not None:
            self._thread.join(30)

    def __enter__(self) -> ChatServer:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # ------------------------------------------------------------------------------ the server

    def _run(self) -> None:
        try:
            asyncio.run(self.serve())
        except BaseException as problem:
            self._failure = problem
        finally:
            self._ready.set()

    async def serve(self) -> None:
        """Serve until :meth:`stop`."""
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            task = asyncio.ensure_future(self._connection(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", self.port, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._closing.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, _Stop, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort() if writer.transport.is_closing() else writer.close()
            with contextlib.suppress(Exception):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return False
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (x.partition(":") for x in lines[1:] if x)
        }
        data = await reader.readexactly(int(headers.get("content-length") or 0))
        path = target.partition("?")[0]
        if path.startswith("/_control"):
            body = json.loads(data) if data else {}
            await _respond(writer, 200, json.dumps(self._control(path, body)).encode())
            return True
        try:
            body = json.loads(data) if data else None
        except ValueError:
            body = data.decode("utf-8", "replace")
        record = Recorded(method, target, headers, body, time.time())
        with self._arrived:
            self.requests.append(record)
            self._arrived.notify_all()
        try:
            return await self._answer(record, path, reader, writer)
        except (ConnectionError, _Disconnected):
            record.disconnected = True
            return False
        finally:
            record.ended = time.time()

    async def _answer(
        self, record: Recorded, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if path.endswith("/models") and record.method == "GET":
            listing = {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}
            await _respond(writer, 200, json.dumps(listing).encode())
            return True
        if not path.endswith("/chat/completions") or record.method != "POST":
            record.status = 404
            await _respond(
                writer, 404, json.dumps({"error": {"message": f"no route {path}", "code": 404}}).encode()
            )
            return True
        if not isinstance(record.body, dict):
            record.status = 400
            await _respond(writer, 400, json.dumps({"error": {"message": "the body is not JSON"}}).encode())
            return True
        reply = self._reply_for(record)
        talk = _Conversation(self, record, reply, reader, writer)
        await talk.run()
        return "close" not in record.headers.get("connection", "").lower()

    def _reply_for(self, record: Recorded) -> Reply:
        if self._queue:
            return self._queue.popleft()
        if self.handler is not None and (reply := self.handler(record)) is not None:
            return reply
        return scripted(record.body.get("messages") or [])

    def _control(self, path: str, body: Any) -> Any:
        what = path.removeprefix("/_control").strip("/")
        if what == "enqueue":
            for item in body if isinstance(body, list) else [body]:
                options = {key: item[key] for key in ("gzip", "content_type", "headers") if key in item}
                self.enqueue(Reply(*item.get("actions", ()), **options))
            return {"queued": len(self._queue)}
        if what == "requests":
            return [asdict(request) for request in list(self.requests)]
        if what == "release":
            self.release(body["name"])
            return {}
        if what == "reset":
            self.reset()
            return {}
        return {"queued": len(self._queue), "requests": len(self.requests), "connections": self.connections}


class _Disconnected(Exception):
    """The client went away."""


_IMAGE_NOTE = re.compile(r"\s*\[?Attached image")


def _words(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or () if isinstance(part, dict))


def scripted(messages: list[dict[str, Any]]) -> Reply:
    """The reply that the prompt itself asks for, else an echo."""
    place = -1
    for index, message in enumerate(messages):
        # Images of a tool result travel in a user message of their own: that is no prompt.
        if message.get("role") == "user" and not (
            index
            and messages[index - 1].get("role") == "tool"
            and _IMAGE_NOTE.match(_words(message.get("content")))
        ):
            place = index
    words = _words(messages[place].get("content")) if place >= 0 else ""
    found = re.search(r"^\s*SCRIPT:(.*)$", words, re.MULTILINE)
    if not found:
        return Reply({"text": f"echo: {words}", "size": 8})
    try:
        steps = json.loads(found[1])
        if not isinstance(steps, list):
            raise ValueError("a list of steps is needed")
    except ValueError as problem:
        return Reply(status(400, {"error": {"message": f"bad SCRIPT line: {problem}"}}))
    if steps and not isinstance(steps[0], list):
        steps = [steps]
    step = sum(message.get("role") == "assistant" for message in messages[place + 1 :])
    if step >= len(steps):
        return Reply("done")
    actions = steps[step]
    options: dict[str, Any] = {}
    if actions and isinstance(actions[0], dict) and "options" in actions[0]:
        options, actions = actions[0]["options"], actions[1:]
    return Reply(*actions, **options)


def _cut(words: str, action: Action, default_size: int | None = None) -> list[str]:
    """``words`` in the pieces that the action asks for."""
    size = action.get("size") or default_size
    if action.get("pieces"):
        size = -(-len(words) // int(action["pieces"])) or 1
    if not size:
        return [words]
    return [words[at : at + size] for at in range(0, len(words), size)] or [""]


class _Conversation:
    """One reply on its way out."""

    def __init__(
        self,
        server: ChatServer,
        record: Recorded,
        reply: Reply,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.server, self.record, self.reply = server, record, reply
        self.reader, self.writer = reader, writer
        self.streaming = bool(record.body.get("stream"))
        self.model = record.body.get("model") or "test-model"
        self.id = f"chatcmpl-{len(server.requests)}"
        self.begun = False
        self.calls = 0
        self.finish: str | None = None
        self.finished = False
        self.usage: dict[str, Any] | None = None
        self.collected: dict[str, Any] = {"text": "", "thinking": "", "calls": [], "raw": None, "error": None}
        self.zip = zlib.compressobj(wbits=31) if reply.gzip and self.streaming else None

    async def run(self) -> None:
        try:
            for action in self.reply.actions:
                await self._act({"text": action} if isinstance(action, str) else action)
        except _Stop:
            return
        if self.streaming:
            await self._close_stream()
        else:
            await self._whole()

    # ------------------------------------------------------------------------------ actions

    async def _act(self, action: Action) -> None:
        if "text" in action:
            await self._deltas(action["text"], action, "content")
        elif "thinking" in action:
            await self._deltas(action["thinking"], action, action.get("field", "reasoning_content"))
        elif "tool" in action:
            await self._tools([action], action)
        elif "tools" in action:
            await self._tools(action["tools"], action)
        elif "wait" in action:
            await self._pause(float(action["wait"]))
        elif "wait_for" in action:
            while action["wait_for"] not in self.server._released:
                await self._pause(0.01)
        elif "status" in action:
            await self._status(action)
        elif "error" in action:
            self.collected["error"] = action["error"]
            self.finished = True
            if self.streaming:
                await self._send({"error": action["error"], "choices": []})
        elif "usage" in action:
            self.usage = action["usage"]
        elif "finish" in action:
            self.finish = action["finish"]
            if self.streaming:
                await self._finish()
        elif "chunk" in action:
            await self._send({**self._frame(), **action["chunk"]})
        elif "comment" in action:
            await self._write(f": {action['comment']}\n\n".encode())
        elif "raw" in action or "raw_b64" in action:
            data = action["raw"].encode() if "raw" in action else base64.b64decode(action["raw_b64"])
            if self.streaming:
                await self._write(data)
            else:
                self.collected["raw"] = (self.collected["raw"] or b"") + data
        elif "drop" in action:
            await self._drop(action["drop"])
        elif "end" in action:
            await self._end_body()
            raise _Stop
        else:
            raise ValueError(f"unknown action {action!r}")

    async def _deltas(self, words: str, action: Action, name: str) -> None:
        if not self.streaming:
            self.collected["text" if name == "content" else "thinking"] += words
            return
        pieces = _cut(words, action)
        due = time.monotonic()
        for number, piece in enumerate(pieces):
            if number:
                due += len(piece) / action["rate"] if action.get("rate") else action.get("delay") or 0.0
                await self._pause(due - time.monotonic())
            await self._delta({name: piece})

    async def _tools(self, calls: list[Action], action: Action) -> None:
        rows = []
        for call in calls:
            number = self.calls
            self.calls += 1
            args = call.get("args", {})
            words = args if isinstance(args, str) else json.dumps(args)
            ident = call.get("id") or f"call_{len(self.server.requests)}_{number}"
            rows.append((number, ident, call["tool"], words, _cut(words, call)))
        if not self.streaming:
            for _, ident, name, words, _ in rows:
                function = {"name": name, "arguments": words}
                self.collected["calls"].append({"id": ident, "type": "function", "function": function})
            return
        delay = action.get("delay") or 0.0
        for number, ident, name, _, _ in rows:
            function = {"name": name, "arguments": ""}
            await self._delta(
                {"tool_calls": [{"index": number, "id": ident, "type": "function", "function": function}]}
            )
        for turn in range(max(len(row[4]) for row in rows)):
            for number, _, _, _, pieces in rows:
                if turn < len(pieces):
                    await self._pause(delay)
                    function = {"arguments": pieces[turn]}
                    await self._delta({"tool_calls": [{"index": number, "function": function}]})

    async def _status(self, action: Action) -> None:
        body = action.get("body")
        kind = "text/html" if isinstance(body, str) else "application/json"
        data = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        headers = dict(action.get("headers") or {})
        self.record.status = action["status"]
        await _respond(
            self.writer, action["status"], data, content_type=self.reply.content_type or kind, headers=headers
        )
        raise _Stop

    async def _drop(self, how: str) -> None:
        if self.streaming and not self.begun:
            await self._begin()
        if how == "reset":
            connection = self.writer.get_extra_info("socket")
            if connection is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        else:
            self.writer.close()
        raise ConnectionResetError("dropped on request")

    async def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.05))
            if self.reader.at_eof() or self.writer.transport.is_closing():
                raise _Disconnected

    # ------------------------------------------------------------------------------ bytes

    def _frame(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self.model,
        }

    async def _delta(self, delta: dict[str, Any]) -> None:
        if not self.begun:
            await self._begin()
            role = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
            await self._send({**self._frame(), "choices": [role]})
        self.record.last_delta = time.time()
        if self.record.first_delta is None:
            self.record.first_delta = self.record.last_delta
        await self._send({**self._frame(), "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    async def _finish(self) -> None:
        self.finished = True
        await self._send(
            {**self._frame(), "choices": [{"index": 0, "delta": {}, "finish_reason": self.finish}]}
        )

    async def _close_stream(self) -> None:
        if not self.begun:
            await self._begin()
        if not self.finished:
            self.finish = "tool_calls" if self.calls else "stop"
            await self._finish()
        options = self.record.body.get("stream_options") or {}
        if options.get("include_usage") and self.collected["error"] is None:
            await self._send({**self._frame(), "choices": [], "usage": self._usage()})
        await self._write(b"data: [DONE]\n\n")
        await self._end_body()

    async def _whole(self) -> None:
        if self.collected["raw"] is not None:
            data = self.collected["raw"]
        elif self.collected["error"] is not None:
            data = json.dumps({"error": self.collected["error"]}).encode()
        else:
            message: dict[str, Any] = {"role": "assistant", "content": self.collected["text"] or None}
            if self.collected["thinking"]:
                message["reasoning_content"] = self.collected["thinking"]
            if self.collected["calls"]:
                message["tool_calls"] = self.collected["calls"]
            reason = self.finish or ("tool_calls" if self.collected["calls"] else "stop")
            data = json.dumps(
                {
                    **self._frame(),
                    "object": "chat.completion",
                    "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                    "usage": self._usage(),
                }
            ).encode()
        headers = dict(self.reply.headers)
        if self.reply.gzip:
            data, headers["content-encoding"] = gzip.compress(data), "gzip"
        kind = self.reply.content_type or "application/json"
        await _respond(self.writer, 200, data, content_type=kind, headers=headers)

    def _usage(self) -> dict[str, Any]:
        if self.usage is not None:
            return self.usage
        sent = len(json.dumps(self.record.body.get("messages"))) // 4
        return {"prompt_tokens": sent, "completion_tokens": 10, "total_tokens": sent + 10}

    async def _send(self, value: dict[str, Any]) -> None:
        await self._write(b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n")

    async def _begin(self) -> None:
        self.begun = True
        headers = {
            "content-type": self.reply.content_type or "text/event-stream",
            "cache-control": "no-cache",
            "transfer-encoding": "chunked",
            "x-request-id": f"req_{len(self.server.requests)}",
            **({"content-encoding": "gzip"} if self.zip else {}),
            **self.reply.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.writer.write(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode("latin-1"))
        await self.writer.drain()

    async def _write(self, data: bytes) -> None:
        if not self.streaming:
            return
        if not self.begun:
            await self._begin()
        if self.zip is not None:
            data = self.zip.compress(data) + self.zip.flush(zlib.Z_SYNC_FLUSH)
        if self.writer.transport.is_closing():
            raise _Disconnected
        if data:
            self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await self.writer.drain()

    async def _end_body(self) -> None:
        if not self.begun:
            await self._begin()
        tail = self.zip.flush() if self.zip is not None else b""
        if tail:
            self.writer.write(b"%x\r\n%s\r\n" % (len(tail), tail))
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()


async def _respond(
    writer: asyncio.StreamWriter,
    code: int,
    data: bytes,
    *,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> None:
    every = {"content-type": content_type, "content-length": str(len(data)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in every.items())
    writer.write(f"HTTP/1.1 {code} Status\r\n{lines}\r\n".encode("latin-1") + data)
    await writer.drain()


class Control:
    """Drives a server in another process: ``Control("http://127.0.0.1:40123")``."""

    def __init__(self, origin: str) -> None:
        self.origin = origin.removesuffix("/v1").rstrip("/")
        self.url = f"{self.origin}/v1"

    def _call(self, what: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.origin}/_control/{what}", data=data)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)

    def enqueue(self, *replies: Reply) -> None:
        self._call("enqueue", [asdict(reply) for reply in replies])

    def release(self, name: str) -> None:
        self._call("release", {"name": name})

    def reset(self) -> None:
        self._call("reset", {})

    @property
    def requests(self) -> list[Recorded]:
        return [Recorded(**item) for item in self._call("requests")]


def main() -> None:
    """``python -m support.chat_server --port-file F [--port N]``: serve until SIGTERM or end of stdin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file", type=Path)
    parser.add_argument("--watch-stdin", action="store_true", help="end when stdin is closed")
    args = parser.parse_args()
    server = ChatServer(port=args.port).start()
    if args.port_file:
        draft = args.port_file.with_name(f"{args.port_file.name}.{os.getpid()}")
        draft.write_text(str(server.port))
        draft.replace(args.port_file)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    if args.watch_stdin:
        threading.Thread(target=lambda: (sys.stdin.buffer.read(), over.set()), daemon=True).start()
    while not over.wait(1.0):
        pass
    server.stop()


if __name__ == "__main__":
    main()
