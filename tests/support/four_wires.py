"""A real HTTP server on 127.0.0.1 that answers on all four wires, by the path it is asked on.

::

    with WireServer() as server:
        server.queue.append((400, {"error": {"message": "no"}}))   # the next POST gets this
        ...                                                         # any other: "hello" on its wire
        server.posts[-1].path, server.posts[-1].headers, server.posts[-1].body

``GET .../models`` gives ``server.listing``. Streams are whole bodies in the vendors' event formats.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]
MESSAGES, RESPONSES, CHAT, GEMINI = "AnthropicMessage", "OpenAiResponse", "OpenAiCompatible", "Gemini"


@dataclass(frozen=True)
class Asked:
    """A request; header names in lower case, ``path`` with the query."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any

    @property
    def wire(self) -> str | None:
        """The wire that the path belongs to."""
        path = self.path.partition("?")[0]
        if path.endswith("/messages"):
            return MESSAGES
        if path.endswith("/responses"):
            return RESPONSES
        if path.endswith("/chat/completions"):
            return CHAT
        return GEMINI if path.endswith((":streamGenerateContent", ":generateContent")) else None


def _named(*events: Json) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def _messages(body: Json, words: str) -> bytes:
    usage = {"input_tokens": 9, "output_tokens": 1}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body.get("model"), "content": []}
    return _named(
        {"type": "message_start", "message": {**head, "stop_reason": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": words}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    )


def _responses(body: Json, words: str) -> bytes:
    usage = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
    part = {"type": "output_text", "text": words, "annotations": []}
    item = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    made: Json = {"id": "resp_1", "object": "response", "model": body.get("model"), "output": []}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return _named(
        {"type": "response.created", "response": {**made, "status": "in_progress"}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", **place, "delta": words},
        {"type": "response.output_text.done", **place, "text": words},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {
            "type": "response.completed",
            "response": {**made, "status": "completed", "output": [item], "usage": usage},
        },
    )


def _chat(body: Json, words: str) -> bytes:
    frame = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": body.get("model")}
    chunks: list[Json] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": words}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}},
    ]
    lines = [f"data: {json.dumps({**frame, **chunk})}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def _gemini(body: Json, words: str) -> bytes:
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}
    candidate = {"content": {"parts": [{"text": words}], "role": "model"}, "finishReason": "STOP", "index": 0}
    return f"data: {json.dumps({'candidates': [candidate], 'usageMetadata': usage})}\n\n".encode()


_ANSWERS = {MESSAGES: _messages, RESPONSES: _responses, CHAT: _chat, GEMINI: _gemini}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        asked = self._asked(None)
        if asked.path.partition("?")[0].endswith("/models"):
            self.server.owner.hold.wait(60)
            self._reply(200, json.dumps(self.server.owner.listing).encode(), "application/json")
        else:
            self._reply(404, b'{"error": {"message": "no such route"}}', "application/json")

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        asked = self._asked(json.loads(data) if data else None)
        owner = self.server.owner
        if owner.queue:
            status, body = owner.queue.popleft()
            self._reply(status, json.dumps(body).encode(), "application/json")
        elif asked.wire is None:
            self._reply(404, b'{"error": {"message": "no such route"}}', "application/json")
        else:
            self._reply(200, _ANSWERS[asked.wire](asked.body, owner.words), "text/event-stream")

    def _asked(self, body: Any) -> Asked:
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body)
        self.server.owner.requests.append(asked)
        return asked

    def _reply(self, status: int, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except OSError:  # the client did not wait
            self.close_connection = True

    def log_message(self, *_: Any) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: WireServer

    def handle_error(self, *_: Any) -> None: ...  # a client that goes away is part of the tests


class WireServer:
    """The server, in threads of its own. Use it as a context manager."""

    def __init__(self, words: str = "hello") -> None:
        self.words = words
        self.requests: list[Asked] = []
        self.queue: deque[tuple[int, Any]] = deque()
        self.listing: Any = {"data": [{"id": "served-1"}]}
        self.hold = threading.Event()
        """Cleared, the list of models is kept back."""
        self.hold.set()

    @property
    def posts(self) -> list[Asked]:
        return [request for request in self.requests if request.method == "POST"]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
