"""Two-phase calls against a scripted server on a real socket; the real one is in test_local_server.py."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ante_nb import errors as e
from ante_nb.local.capabilities import Capabilities
from ante_nb.local.shared import LocalServer
from ante_nb.local.twophase import TwoPhase
from ante_nb.messages import Done, Message, ThinkingDelta, ToolCallDelta, ToolCallEnd, ToolCallStart
from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request, Secret, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

READ = ToolSpec(
    "Read",
    "Read a file.",
    {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
)
LIST = ToolSpec("List", "List files.", {"type": "object", "properties": {}})
CALL = '{"name": "Read", "arguments": {"path": "a.txt"}}'


def end(kind: str = "eos", word: str = "", said: int = 3, **more: Any) -> dict[str, Any]:
    timings = {"prompt_n": 4, "cache_n": 6, "predicted_n": said}
    return {"content": "", "stop": True, "stop_type": kind, "stopping_word": word, "timings": timings, **more}


TAG = end("word", "<tool_call>")


class Scripted:
    """Answers ``/completion`` with the next list of texts and one end; ``bodies`` are the requests."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.bodies: list[dict[str, Any]] = []
        self.prompt = "PROMPT"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                assert self.headers["authorization"] == "Bearer k"
                if self.path == "/apply-template":
                    return self.whole(200, {"prompt": outer.prompt})
                outer.bodies.append(body)
                answer = outer.answers.pop(0)
                if isinstance(answer, tuple):
                    return self.whole(*answer)
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                for item in answer:
                    line = {"content": item, "stop": False} if isinstance(item, str) else item
                    self.wfile.write(f"data: {json.dumps(line)}\n\n".encode())
                self.close_connection = True
                return None

            def whole(self, status: int, data: Any) -> None:
                text = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def server(self) -> LocalServer:
        able = Capabilities(tools=False, completion=True, stops=("<|im_end|>",), context=8192)
        url = f"http://127.0.0.1:{self.http.server_port}/v1"
        return LocalServer(url, Secret("k"), "tiny", 8192, "scripted", able, True)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.http.shutdown()
    server.thread.join()
    server.http.server_close()


async def run(scripted: Scripted, **request: Any) -> list[Any]:
    two = TwoPhase(scripted.server)
    spec = ProviderSpec("local", "Local", "OpenAiCompatible")
    given = Request((Message.user("q"),), **{"tools": (READ, LIST), **request})
    try:
        return [event async for event in two.stream(given, ModelSpec("tiny", max_tokens=100), spec)]
    finally:
        await two.aclose()


def last(events: list[Any]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


async def test_plain_answer(scripted: Scripted) -> None:
    scripted.answers = [["Hel", "lo.", end()]]
    done = last(await run(scripted))
    assert (done.message.text, done.stop_reason) == ("Hello.", "stop")
    assert done.usage is not None and (done.usage.input, done.usage.cache_read, done.usage.output) == (
        10,
        6,
        3,
    )
    assert (
        scripted.bodies[0]["stop"] == ["<tool_call>", "<|im_end|>"]
        and "json_schema" not in scripted.bodies[0]
    )


async def test_text_then_parallel_calls(scripted: Scripted) -> None:
    other = '{"name": "List", "arguments": {}}'
    scripted.answers = [
        ["Let me look.\n", TAG],
        [CALL[:20], CALL[20:], end()],
        ["\n", TAG],
        [other, end()],
        ["Then", end()],
    ]
    events = await run(scripted)
    done = last(events)
    assert done.message.text == "Let me look.\n" and done.stop_reason == "tool_calls"
    assert [(call.name, call.arguments) for call in done.message.tool_calls] == [
        ("Read", {"path": "a.txt"}),
        ("List", {}),
    ]
    assert [event.index for event in events if isinstance(event, ToolCallStart)] == [1, 2]
    deltas = "".join(event.arguments for event in events if isinstance(event, ToolCallDelta))
    assert deltas == '{"path": "a.txt"}{}'
    assert scripted.bodies[1]["prompt"] == "PROMPTLet me look.\n<tool_call>\n"
    assert scripted.bodies[1]["json_schema"]["anyOf"][0]["properties"]["name"] == {"const": "Read"}
    # What the next phase continues is to the byte what the next turn's history says.
    assert (
        scripted.bodies[3]["prompt"]
        == f"PROMPTLet me look.\n<tool_call>\n{CALL}\n</tool_call>\n<tool_call>\n"
    )


async def test_a_repeated_call_ends_it(scripted: Scripted) -> None:
    scripted.answers = [[TAG], [CALL, end()], ["\n", TAG], [CALL, end()]]
    assert len(last(await run(scripted)).message.tool_calls) == 2 and not scripted.answers


async def test_a_tag_in_a_thought_calls_nothing(scripted: Scripted) -> None:
    scripted.answers = [["<think>I could ", TAG], [" but no</thi", "nk>No.", end()]]
    events = await run(scripted)
    done = last(events)
    assert done.message.thinking == "I could <tool_call> but no" and done.message.text == "No."
    assert not done.message.tool_calls and done.stop_reason == "stop"
    assert any(isinstance(event, ThinkingDelta) for event in events)
    assert scripted.bodies[1]["prompt"].endswith("I could <tool_call>")


async def test_thinking_opened_by_the_template(scripted: Scripted) -> None:
    scripted.prompt = "PROMPT<think>\n"
    scripted.answers = [["hm</think>Yes.", end()]]
    done = last(await run(scripted))
    assert (done.message.thinking, done.message.text) == ("hm", "Yes.")


@pytest.mark.parametrize("text", ['{"name": "Read", "argu', CALL])
async def test_a_cut_call_is_never_runnable(scripted: Scripted, text: str) -> None:
    scripted.answers = [[TAG], [text, end("limit")]]
    done = last(await run(scripted))
    assert done.stop_reason == "length" and [call.invalid for call in done.message.tool_calls] == [text]


@pytest.mark.parametrize(
    "text", ['{"name": "Rm", "arguments": {}}', '{"name": "Read"}', "Sure, I will read it."]
)
async def test_a_server_without_its_grammar_is_found_out(scripted: Scripted, text: str) -> None:
    scripted.answers = [[TAG], [text, end()]]
    events = await run(scripted)
    assert [call.invalid for call in last(events).message.tool_calls] == [text]
    assert [type(event) for event in events if isinstance(event, ToolCallStart | ToolCallEnd)] == [
        ToolCallStart,
        ToolCallEnd,
    ]


@pytest.mark.parametrize(("choice", "names"), [("required", ["Read", "List"]), ("Read", ["Read"])])
async def test_forced_calls_skip_the_first_phase(scripted: Scripted, choice: str, names: list[str]) -> None:
    scripted.answers = [[CALL, end()]]
    done = last(await run(scripted, tool_choice=choice))
    assert done.message.tool_calls[0].arguments == {"path": "a.txt"} and done.stop_reason == "tool_calls"
    (body,) = scripted.bodies
    rows = body["json_schema"].get("anyOf", [body["json_schema"]])
    assert [row["properties"]["name"]["const"] for row in rows] == names
    assert body["prompt"] == "PROMPT<tool_call>\n" and body["temperature"] == 0


async def test_no_calls_wanted(scripted: Scripted) -> None:
    scripted.answers = [["I write <tool_call> here.", end()]]
    done = last(await run(scripted, tool_choice="none"))
    assert done.message.text == "I write <tool_call> here." and scripted.bodies[0]["stop"] == ["<|im_end|>"]
    with pytest.raises(e.InvalidRequestError, match="no tool called"):
        await run(scripted, tool_choice="Nope")


async def test_a_refused_schema_is_loosened_once(scripted: Scripted) -> None:
    refusal = (
        400,
        {"error": {"code": 400, "message": "JSON schema conversion failed", "type": "invalid_request_error"}},
    )
    scripted.answers = [refusal, [CALL, end()]]
    assert last(await run(scripted, tool_choice="Read")).message.tool_calls[0].invalid is None
    assert scripted.bodies[1]["json_schema"]["properties"]["arguments"] == {"type": "object"}
    scripted.answers = [refusal, refusal]
    with pytest.raises(e.InvalidRequestError):
        await run(scripted, tool_choice="Read")


async def test_a_broken_stream_keeps_what_came(scripted: Scripted) -> None:
    scripted.answers = [["Half an ans"]]
    with pytest.raises(e.StreamInterruptedError) as caught:
        await run(scripted)
    assert caught.value.partial is not None and caught.value.partial.text == "Half an ans"
    scripted.answers = [
        ["Half", {"error": {"code": 500, "message": "context shift failed", "type": "server_error"}}]
    ]
    with pytest.raises(e.ServerError):
        await run(scripted)


async def test_overflow(scripted: Scripted) -> None:
    message = "request (9001 tokens) exceeds the available context size (8192 tokens), try increasing it"
    scripted.answers = [
        (400, {"error": {"code": 400, "message": message, "type": "exceed_context_size_error"}})
    ]
    with pytest.raises(e.ContextOverflowError):
        await run(scripted)


async def test_the_limit_of_the_answer(scripted: Scripted) -> None:
    scripted.answers = [["Much", end("limit")]]
    done = last(await run(scripted, max_tokens=1))
    assert done.stop_reason == "length" and scripted.bodies[0]["n_predict"] == 1
