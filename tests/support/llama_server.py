"""A llama-server whose model is a script: real HTTP, the server's own endpoints and streaming shapes.

It renders prompts as ChatML does, counts tokens, keeps the last prompt's prefix, refuses what exceeds its
context, stops at stop words, and parses thinking and calls out of chat answers where its template "knows"
them. What the model says is the next text of ``says``, with whatever marks and tags belong to it. A prompt
that goes on with a text which the model has begun gets the rest of it.

Shapes: llama.cpp's tools/server/README.md, and what the server in the xllamacpp wheel answers.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "<__media_x__>"
CHATML = "{% for message in messages %}<|im_start|>{{ message['role'] }}{% endfor %}"
HERMES = CHATML + '<tools>{{ tools }}</tools> <tool_call>{"name": ..., "arguments": ...}</tool_call>'
_PIECE = 3  # characters of a chunk
_PICTURE = 300  # tokens


def tokens_of(text: str) -> list[str]:
    """A tokenizer in which four characters are a token."""
    return [text[at : at + 4] for at in range(0, len(text), 4)]


class LlamaServer:
    """Runs on a port of its own; use it as a context manager.

    Args:
        says: what the model says, one text for each answer.
        tools: whether the template has tools (then chat answers are parsed for calls).
        thinks: marks by which it thinks; chat answers then have ``reasoning_content``.
        opens: whether the template opens the thought in the prompt.
        context: in tokens.
        vision: whether there is an image encoder.
        progress: ``return_progress`` is known.
        own: llama.cpp's own endpoints are there; without them it is any server of Chat Completions.
        obeys: ``tool_choice: required`` gives a call whatever the model says.
        batch: tokens that are read between two lines of progress, ``delay`` the seconds for them.

    Attributes:
        requests: path and body of each request.
        evaluated: for each answer the tokens of its prompt that were not in the cache.
    """

    def __init__(
        self,
        *says: str,
        tools: bool = False,
        thinks: tuple[str, str] | None = None,
        opens: bool = False,
        context: int = 4096,
        vision: bool = False,
        progress: bool = True,
        own: bool = True,
        obeys: bool = False,
        batch: int = 512,
        delay: float = 0.0,
        key: str = "k",
    ) -> None:
        self.says = list(says)
        self.tools, self.thinks, self.opens, self.context = tools, thinks, opens, context
        self.vision, self.progress, self.own, self.obeys = vision, progress, own, obeys
        self.batch, self.delay, self.key = batch, delay, key
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.evaluated: list[int] = []
        self.broken_after: int | None = None
        """Chunks after which the next answer breaks off."""
        self.reads: dict[str, int] | None = None
        self._cached = ""
        self._begun: tuple[str, str] = ("\0", "")
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """The bodies of the requests to ``path``."""
        return [body for asked, body in self.requests if asked == path]

    # ---------------------------------------------------------------------------------------- the model

    @property
    def template(self) -> str:
        marks = " ".join(self.thinks) if self.thinks else ""
        return (HERMES if self.tools else CHATML) + marks

    def render(self, body: dict[str, Any]) -> tuple[str, int]:
        """The prompt, and how many images it has."""
        out, images = "", 0
        for at, message in enumerate(body["messages"]):
            content = message.get("content") or ""
            if isinstance(content, list):
                images += sum(part["type"] == "image_url" for part in content)
                content = "".join(part["text"] if part["type"] == "text" else MARKER for part in content)
            if self.tools and message.get("tool_calls"):
                for call in message["tool_calls"]:
                    function = call["function"]
                    written = {"name": function["name"], "arguments": json.loads(function["arguments"])}
                    content += f"\n<tool_call>\n{json.dumps(written)}\n</tool_call>"
            if self.tools and at == 0 and body.get("tools"):
                content += f"\n<tools>\n{json.dumps(body['tools'])}\n</tools>"
            out += f"<|im_start|>{message['role']}\n{content}<|im_end|>\n"
        out += "<|im_start|>assistant\n"
        if self.thinks:
            wanted = (body.get("chat_template_kwargs") or {}).get("enable_thinking", True)
            if not wanted:
                out += f"{self.thinks[0]}\n\n{self.thinks[1]}\n\n"
            elif self.opens:
                out += f"{self.thinks[0]}\n"
        return out, images

    def text_after(self, prompt: str) -> str:
        """What the model says to ``prompt``."""
        begun, whole = self._begun
        said = prompt[len(begun) :] if prompt.startswith(begun) else None
        if said is not None and whole.startswith(said):
            return whole[len(said) :]
        whole = self.says.pop(0)
        opening = "<tool_call>\n"
        if prompt.endswith(opening) and whole.startswith(opening):  # a call that is forced
            self._begun = (prompt[: -len(opening)], whole)
            return whole[len(opening) :]
        self._begun = (prompt, whole)
        return whole

    def read(self, prompt: str, images: int = 0) -> tuple[int, int]:
        """Tokens of the prompt that are new, and that were kept."""
        size = len(tokens_of(prompt)) + _PICTURE * images
        pairs = enumerate(zip(self._cached, prompt, strict=False))
        shared = min(len(self._cached), len(prompt))
        same = min(next((at for at, (a, b) in pairs if a != b), shared) // 4, size - 1)
        self._cached = prompt
        self.evaluated.append(size - same)
        return size - same, same

    # ------------------------------------------------------------------------------------------- HTTP

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self._allowed():
                    _Answer(server, self).get(self.path)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self._allowed():
                    server.requests.append((self.path, body))
                    _Answer(server, self).post(self.path, body)

            def _allowed(self) -> bool:
                if self.headers.get("authorization") == f"Bearer {server.key}":
                    return True
                _Answer(server, self).error(401, "Invalid API Key", "authentication_error")
                return False

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


class _Answer:
    """One request's answer."""

    def __init__(self, server: LlamaServer, handler: BaseHTTPRequestHandler) -> None:
        self.server, self.handler = server, handler

    def get(self, path: str) -> None:
        server = self.server
        if path == "/v1/models":
            return self.whole({"data": [{"id": "scripted", "object": "model"}]})
        if path == "/props" and server.own:
            return self.whole(
                {
                    "default_generation_settings": {"n_ctx": server.context},
                    "chat_template": server.template,
                    "chat_template_caps": {
                        "supports_tools": server.tools,
                        "supports_tool_calls": server.tools,
                        "supports_system_role": True,
                    },
                    "modalities": {"vision": server.vision, "audio": False},
                    "media_marker": MARKER,
                    "build_info": "b1-scripted",
                    "is_sleeping": False,
                }
            )
        if path == "/slots" and server.own:
            return self.whole([{"id": 0, "is_processing": server.reads is not None, **(server.reads or {})}])
        return self.error(404, "File Not Found", "not_found_error")

    def post(self, path: str, body: dict[str, Any]) -> None:
        server = self.server
        if path == "/v1/chat/completions":
            return self.chat(body)
        if not server.own:
            return self.error(404, "File Not Found", "not_found_error")
        if path == "/apply-template":
            prompt, images = server.render(body)
            if images and not server.vision:
                return self.error(500, "image input is not supported", "server_error")
            return self.whole({"prompt": prompt})
        if path == "/tokenize":
            return self.whole({"tokens": list(range(len(tokens_of(body["content"]))))})
        if path == "/completion":
            return self.completion(body)
        return self.error(404, "File Not Found", "not_found_error")

    def completion(self, body: dict[str, Any]) -> None:
        prompt, images = body["prompt"], 0
        if isinstance(prompt, dict):
            images = len(prompt["multimodal_data"])
            prompt = prompt["prompt_string"]
        if prompt.count(MARKER) != images:
            return self.error(
                400, "number of bitmaps does not match number of markers", "invalid_request_error"
            )
        if self.overflows(prompt, images):
            return None
        text = self.server.text_after(prompt)
        kind, word = "eos", ""
        if body.get("json_schema"):
            text = _first_json(text)
        found = min(((at, stop) for stop in body["stop"] if (at := text.find(stop)) >= 0), default=None)
        if found:
            text, kind, word = text[: found[0]], "word", found[1]
        if body["n_predict"] >= 0 and len(tokens_of(text)) > body["n_predict"]:
            text, kind, word = "".join(tokens_of(text)[: body["n_predict"]]), "limit", ""
        new, kept = self.server.read(prompt, images)
        self.begin()
        self.told_progress(body, new, kept, {"content": "", "stop": False})
        for piece in self.pieces(text):
            self.line({"index": 0, "content": piece, "stop": False})
        timings = {"prompt_n": new, "cache_n": kept, "predicted_n": len(tokens_of(text))}
        self.server._cached += text
        return self.line(
            {"content": "", "stop": True, "stop_type": kind, "stopping_word": word, "timings": timings}
        )

    def chat(self, body: dict[str, Any]) -> None:
        server = self.server
        if body.get("tools") and not server.own and not server.tools:
            return self.error(400, "this model does not support tools", "invalid_request_error")
        prompt, images = server.render(body)
        if images and not server.vision:
            return self.error(500, "image input is not supported", "server_error")
        if self.overflows(prompt, images):
            return None
        text = server.text_after(prompt)
        thought, text = self.thought(text, prompt)
        calls: list[dict[str, Any]] = []
        if server.tools and body.get("tools"):
            text, calls = _calls(text)
            if body.get("tool_choice") == "required" and server.obeys and not calls:
                calls = [{"name": body["tools"][0]["function"]["name"], "arguments": {}}]
        new, kept = server.read(prompt, images)
        usage = {
            "prompt_tokens": new + kept,
            "completion_tokens": len(tokens_of(text)),
            "prompt_tokens_details": {"cached_tokens": kept},
        }
        reason = "tool_calls" if calls else "stop"
        if not body.get("stream"):
            message: dict[str, Any] = {"role": "assistant", "content": text}
            if thought:
                message["reasoning_content"] = thought
            if calls:
                message["tool_calls"] = list(_deltas(calls, whole=True))
            return self.whole(
                {"choices": [{"index": 0, "finish_reason": reason, "message": message}], "usage": usage}
            )
        self.begin()
        first = {
            "choices": [{"finish_reason": None, "index": 0, "delta": {"role": "assistant", "content": None}}]
        }
        self.told_progress(body, new, kept, first)
        for piece in self.pieces(thought):
            self.delta({"reasoning_content": piece})
        for piece in self.pieces(text):
            self.delta({"content": piece})
        for call in _deltas(calls):
            self.delta({"tool_calls": [call]})
        self.line({"choices": [{"finish_reason": reason, "index": 0, "delta": {}}]})
        self.line({"choices": [], "usage": usage})
        self.handler.wfile.write(b"data: [DONE]\n\n")
        return None

    def thought(self, text: str, prompt: str) -> tuple[str, str]:
        if self.server.thinks is None:
            return "", text
        begin, end = self.server.thinks
        if prompt.rstrip().endswith(begin):
            text = begin + text
        if not text.startswith(begin) or end not in text:
            return "", text
        inside, _, rest = text.removeprefix(begin).partition(end)
        return inside.strip("\n"), rest.lstrip("\n")

    def overflows(self, prompt: str, images: int) -> bool:
        size = len(tokens_of(prompt)) + _PICTURE * images
        if size < self.server.context:
            return False
        self.error(
            400,
            f"request ({size} tokens) exceeds the available context size ({self.server.context} tokens),"
            " try increasing it",
            "exceed_context_size_error",
            n_prompt_tokens=size,
            n_ctx=self.server.context,
        )
        return True

    def told_progress(self, body: dict[str, Any], new: int, kept: int, chunk: dict[str, Any]) -> None:
        server = self.server
        total = new + kept
        for done in [*range(kept, total, server.batch), total]:
            if done > kept:
                time.sleep(server.delay)
            server.reads = {"n_prompt_tokens": total, "n_prompt_tokens_processed": done - kept,
                            "n_prompt_tokens_cache": kept}  # fmt: skip
            if body.get("return_progress") and server.progress:
                told = {
                    "total": total,
                    "cache": kept,
                    "processed": done,
                    "time_ms": 1000 * (done - kept) // 100,
                }
                self.line({**chunk, "prompt_progress": told})
        server.reads = None

    def pieces(self, text: str) -> Iterator[str]:
        for at in range(0, len(text), _PIECE):
            if self.server.broken_after is not None:
                self.server.broken_after -= 1
                if self.server.broken_after < 0:
                    self.server.broken_after = None
                    self.handler.wfile.flush()
                    self.handler.connection.close()
                    raise ConnectionAbortedError
            yield text[at : at + _PIECE]

    def begin(self) -> None:
        self.handler.send_response(200)
        self.handler.send_header("content-type", "text/event-stream")
        self.handler.send_header("connection", "close")
        self.handler.end_headers()
        self.handler.close_connection = True

    def delta(self, delta: dict[str, Any]) -> None:
        self.line({"choices": [{"finish_reason": None, "index": 0, "delta": delta}]})

    def line(self, data: dict[str, Any]) -> None:
        self.handler.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
        self.handler.wfile.flush()

    def whole(self, data: Any, status: int = 200) -> None:
        body = json.dumps(data).encode()
        self.handler.send_response(status)
        self.handler.send_header("content-type", "application/json")
        self.handler.send_header("content-length", str(len(body)))
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def error(self, status: int, message: str, kind: str, **more: Any) -> None:
        self.whole({"error": {"code": status, "message": message, "type": kind, **more}}, status)


def _calls(text: str) -> tuple[str, list[dict[str, Any]]]:
    """The text before the calls, and the calls."""
    said, *written = text.split("<tool_call>")
    calls = [json.loads(call.partition("</tool_call>")[0]) for call in written]
    return said.rstrip() if calls else said, calls


def _deltas(calls: list[dict[str, Any]], *, whole: bool = False) -> Iterator[dict[str, Any]]:
    for index, call in enumerate(calls):
        arguments = json.dumps(call["arguments"])
        head = {"index": index, "id": f"id{index}x{time.monotonic_ns()}", "type": "function"}
        if whole:
            yield {**head, "function": {"name": call["name"], "arguments": arguments}}
            continue
        yield {**head, "function": {"name": call["name"], "arguments": ""}}
        for at in range(0, len(arguments), 5):
            yield {"index": index, "function": {"arguments": arguments[at : at + 5]}}


def _first_json(text: str) -> str:
    """What a grammar would let through: one JSON value."""
    _, end = json.JSONDecoder().raw_decode(text)
    return text[:end]
