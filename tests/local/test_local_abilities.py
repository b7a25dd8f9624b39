"""Thinking, images, tools of the template, schemas and long prompts, against a scripted llama-server."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from support.llama_server import MARKER, LlamaServer

from ante_nb import errors as e
from ante_nb.agent.planning import _limits
from ante_nb.local import reading
from ante_nb.local.capabilities import Capabilities
from ante_nb.local.options import Options
from ante_nb.local.provider import LocalProvider, known_context
from ante_nb.local.shared import LocalServer
from ante_nb.messages import (
    Done,
    Image,
    Message,
    Notice,
    Retract,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolResult,
)
from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec, Request, Secret, ThinkingControl, ToolSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

READ = ToolSpec(
    "Read",
    "Read a file.",
    {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
)
LIST = ToolSpec("List", "List files.", {"type": "object", "properties": {}})
CALL = '<tool_call>\n{"name": "Read", "arguments": {"path": "a.txt"}}\n</tool_call>'
OTHER = '<tool_call>\n{"name": "List", "arguments": {}}\n</tool_call>'
THINK = ("<think>", "</think>")
PICTURE = Image("aGVsbG8=", "image/png")
PICTURED = Message("user", (Text("What is this?"), PICTURE))


@asynccontextmanager
async def attached(
    server: LlamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **model: Any
) -> AsyncIterator[LocalProvider]:
    monkeypatch.setenv("ANTE_LOCAL_ENGINE_KEY", server.key)
    spec = ProviderSpec("local", "Local", "OpenAiCompatible")
    local = LocalProvider(
        Choice(spec, ModelSpec("", **model), ""), Options(tmp_path, engine_url=f"{server.url}/v1")
    )
    try:
        yield local
    finally:
        await local.aclose()


async def asked(local: LocalProvider, *messages: Message | str, **more: Any) -> list[Any]:
    given = tuple(Message.user(item) if isinstance(item, str) else item for item in messages)
    return [event async for event in local.stream(Request(given, **{"step_id": "step_1", **more}))]


def last(events: list[Any]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


def joined(events: list[Any], kind: type[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda server, **model: attached(server, tmp_path, monkeypatch, **model)


# ---------------------------------------------------------------------------------------------- thinking


@pytest.mark.parametrize("opens", [False, True])
@pytest.mark.parametrize("tools", [False, True])
async def test_thinking_is_no_part_of_the_answer(at: Any, opens: bool, tools: bool) -> None:
    """By the server where it parses, by us on its raw endpoint; the template may open the thought itself."""
    said = f"{'' if opens else '<think>'}\nI could <tool_call> but no.\n</think>\n\nFour."
    with LlamaServer(said, thinks=THINK, opens=opens, tools=tools) as server:
        async with at(server) as local:
            events = await asked(local, "2+2?", tools=(READ,))
            done = last(events)
    assert (done.message.thinking, done.message.text.strip()) == ("I could <tool_call> but no.", "Four.")
    assert joined(events, TextDelta).strip() == "Four." and "could" in joined(events, ThinkingDelta)
    assert not done.message.tool_calls and done.stop_reason == "stop"
    paths = [path for path, _ in server.requests]
    assert ("/v1/chat/completions" in paths) == tools and ("/completion" in paths) == (not tools)


@pytest.mark.parametrize("marks", [("[THINK]", "[/THINK]"), ("<|START_THINKING|>", "<|END_THINKING|>")])
async def test_thinking_in_other_marks(at: Any, marks: tuple[str, str]) -> None:
    with LlamaServer(f"{marks[0]}hm{marks[1]}Yes.\n{CALL}", thinks=marks) as server:
        async with at(server) as local:
            done = last(await asked(local, "q", tools=(READ,)))
    assert (done.message.thinking, done.message.text) == ("hm", "Yes.\n")
    assert done.message.tool_calls[0].arguments == {"path": "a.txt"}
    # They are special tokens, which a server does not say unless it is told to.
    assert set(marks) <= set(server.bodies("/completion")[0]["preserved_tokens"])


async def test_the_level_reaches_the_template(at: Any) -> None:
    for tools in (False, True):
        with LlamaServer("A", "B", thinks=THINK, tools=tools) as server:
            control = ThinkingControl("chat_template_kwargs", {"min": False, "high": True})
            async with at(server, thinking_control=control) as local:
                for level in ("min", "high"):
                    await asked(local, "q", tools=(READ,), thinking=level)
        path = "/v1/chat/completions" if tools else "/apply-template"
        told = [body.get("chat_template_kwargs") for body in server.bodies(path)]
        assert [told[0], told[-1]] == [{"enable_thinking": False}, {"enable_thinking": True}]


# ------------------------------------------------------------------------------------------------- tools


@pytest.mark.parametrize("tools", [False, True])
async def test_parallel_calls(at: Any, tools: bool) -> None:
    with LlamaServer(f"Both.\n{CALL}\n{OTHER}", tools=tools) as server:
        async with at(server) as local:
            done = last(await asked(local, "q", tools=(READ, LIST)))
    assert done.message.text.strip() == "Both." and done.stop_reason == "tool_calls"
    assert [(call.name, call.arguments) for call in done.message.tool_calls] == [
        ("Read", {"path": "a.txt"}),
        ("List", {}),
    ]
    if tools:
        (body,) = server.bodies("/v1/chat/completions")
        assert [tool["function"]["name"] for tool in body["tools"]] == ["Read", "List"]
        assert not server.bodies("/completion")


@pytest.mark.parametrize("choice", ["required", "Read"])
@pytest.mark.parametrize("tools", [False, True])
@pytest.mark.parametrize("opens", [False, True])
async def test_a_forced_call_is_a_call(at: Any, choice: str, tools: bool, opens: bool) -> None:
    """Also where the template has tools, for a server's own ``required`` lets a small model talk."""

    class Stubborn(LlamaServer):
        def render(self, body: dict[str, Any]) -> tuple[str, int]:
            return super().render({**body, "chat_template_kwargs": {}})  # thinks whatever it is told

    with Stubborn(CALL, tools=tools, thinks=THINK, opens=opens) as server:
        server.text_after = lambda prompt: CALL.removeprefix("<tool_call>\n")  # type: ignore[method-assign]
        async with at(server) as local:
            done = last(await asked(local, "q", tools=(READ, LIST), tool_choice=choice))
    (call,) = done.message.tool_calls
    assert call.arguments == {"path": "a.txt"} and not done.message.thinking
    (body,) = server.bodies("/completion")
    assert body["prompt"].endswith(
        "<think>\n\n</think>\n\n<tool_call>\n" if opens else "assistant\n<tool_call>\n"
    )
    assert server.bodies("/apply-template")[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert ("tools" in server.bodies("/apply-template")[0]) == tools


async def test_a_forced_call_from_another_server(at: Any) -> None:
    """Not llama.cpp: its own way first, then a response format, and what comes is checked."""
    arguments = {"name": "Read", "arguments": {"path": "b"}}
    with LlamaServer(CALL, own=False, tools=True) as server:
        async with at(server) as local:
            done = last(await asked(local, "q", tools=(READ, LIST), tool_choice="Read"))
        assert done.message.tool_calls[0].arguments == {"path": "a.txt"} and len(server.requests) == 1
    with LlamaServer(
        "Let me think about that. " * 20, json.dumps(arguments), own=False, tools=True, vision=True
    ) as server:
        async with at(server) as local:
            events = await asked(local, PICTURED, tools=(READ, LIST), tool_choice="Read")
        assert any(isinstance(event, Retract) for event in events)
        assert last(events).message.tool_calls[0].arguments == {"path": "b"}
        schema = server.requests[-1][1]["response_format"]["json_schema"]["schema"]
        jsonschema.validate(arguments, schema)
        assert "tools" not in server.requests[-1][1] and "aGVsbG8=" in json.dumps(server.requests[-1][1])
    with LlamaServer("no JSON", own=False) as server:  # refuses tools
        async with at(server) as local:
            done = last(await asked(local, "q", tools=(READ,), tool_choice="required"))
        assert done.message.tool_calls[0].invalid == "no JSON"


async def test_a_call_that_breaks_off(at: Any) -> None:
    with LlamaServer("Half an answer that is long") as server:
        server.broken_after = 4
        async with at(server) as local:
            with pytest.raises(e.StreamInterruptedError) as caught:
                await asked(local, "q", tools=(READ,))
    assert caught.value.partial is not None and caught.value.partial.text == "Half an answ"


# ------------------------------------------------------------------------------------------------ images


@pytest.mark.parametrize("tools", [False, True])
async def test_images_reach_a_model_that_sees(at: Any, tools: bool) -> None:
    result = Message("tool", (ToolResult("c1", (Text("a plot"), Image("d29ybGQ=", "image/jpeg"))),))
    history = [
        PICTURED,
        Message("assistant", (ToolCall("c1", "Read", {"path": "p.jpg"}),)),
        result,
    ]
    with LlamaServer("A cat.", vision=True, tools=tools) as server:
        async with at(server) as local:
            done = last(await asked(local, *history, tools=(READ,)))
    assert done.message.text == "A cat."
    if tools:
        (body,) = server.bodies("/v1/chat/completions")
        urls = [part["image_url"]["url"] for message in body["messages"] if isinstance(message["content"], list)
                for part in message["content"] if part["type"] == "image_url"]  # fmt: skip
        assert urls == ["data:image/png;base64,aGVsbG8=", "data:image/jpeg;base64,d29ybGQ="]
    else:
        (body,) = server.bodies("/completion")
        assert body["prompt"]["multimodal_data"] == ["aGVsbG8=", "d29ybGQ="]
        prompt = body["prompt"]["prompt_string"]
        assert prompt.count(MARKER) == 2 and prompt.index(MARKER) < prompt.index("What is this?")
        assert "<tool_response>\na plot\n</tool_response>" in prompt


@pytest.mark.parametrize("tools", [False, True])
async def test_images_are_left_out_and_said_to_be(at: Any, tools: bool) -> None:
    with LlamaServer("I see nothing.", "Still nothing.", tools=tools) as server:
        async with at(server) as local:
            first = await asked(local, PICTURED, tools=(READ,))
            again = await asked(local, PICTURED, last(first).message, "And now?", tools=(READ,))
    notices = [event.text for event in first if isinstance(event, Notice)]
    assert len(notices) == 1 and "cannot see: the image is left out" in notices[0] and "mmproj" in notices[0]
    assert not any(isinstance(event, Notice) for event in again), "said once"
    assert "aGVsbG8=" not in json.dumps(server.requests)


# ----------------------------------------------------------------------------------- long conversations


@pytest.mark.parametrize("tools", [False, True])
async def test_progress_of_a_long_prompt(at: Any, tools: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "QUIET", 0.0)
    monkeypatch.setattr(reading, "EACH", 0.0)
    with LlamaServer("Done.", tools=tools, context=8192, batch=1000) as server:
        async with at(server) as local:
            events = await asked(local, "word " * 4000, tools=(READ,))
    lines = [event.text for event in events if isinstance(event, Notice) and event.kind == "local"]
    assert lines[0].startswith("reading the prompt: 0 of 5,") and lines[-1] == ""
    assert "about 41 s left" in lines[1] and lines[1].startswith("reading the prompt: 1,000 of 5,")
    assert last(events).message.text == "Done."


async def test_slots_are_asked_where_the_stream_tells_nothing() -> None:
    go = asyncio.Event()

    async def answer() -> AsyncIterator[Any]:
        await go.wait()
        yield TextDelta(0, "a")

    with LlamaServer() as server:
        local = LocalServer(f"{server.url}/v1", Secret("k"), "m", 4096, "x", Capabilities(), True)
        server.reads = {
            "n_prompt_tokens": 900,
            "n_prompt_tokens_processed": 300,
            "n_prompt_tokens_cache": 200,
        }
        seen = []
        async for event in reading.watched_slots(answer(), local, quiet=0.01, each=0.01):  # type: ignore[arg-type]
            seen.append(event)
            go.set()
        assert seen[0] == Notice("local", "reading the prompt: 500 of 900 tokens ...")
        assert seen[-2:] == [Notice("local", ""), TextDelta(0, "a")]
        server.reads = None
        assert [event async for event in reading.watched_slots(answer(), local, quiet=60)] == [
            TextDelta(0, "a")
        ]  # type: ignore[arg-type]


def filled(number: int, size: int) -> list[Message]:
    """A conversation of ``number`` calls with results of ``size`` characters."""
    out = [Message.user("Read them all.")]
    for at in range(number):
        out += [
            Message("assistant", (ToolCall(f"c{at}", "Read", {"path": f"f{at}"}),)),
            Message("tool", (ToolResult(f"c{at}", (Text(f"begin{at} " + "x" * size + f" end{at}"),)),)),
        ]
    return out


@pytest.mark.parametrize("tools", [False, True])
async def test_older_results_make_room(at: Any, tools: bool) -> None:
    """And what was cut stays cut, so that the next steps find their prompt in the cache."""
    history = filled(6, 3000)
    with LlamaServer("One.", "Two.", "Three.", tools=tools, context=4096) as server:
        async with at(server) as local:
            first = await asked(local, *history, tools=(READ,), session_id=f"s{tools}")
            told = [event.text for event in first if isinstance(event, Notice) and event.kind == "compaction"]
            assert len(told) == 1 and "of 4,096 tokens" in told[0] and "shortened" in told[0]
            history += [last(first).message, Message.user("Go on.")]
            second = await asked(local, *history, tools=(READ,), session_id=f"s{tools}")
            assert not any(isinstance(event, Notice) and event.kind == "compaction" for event in second)
    text = json.dumps(server.requests[-1][1])
    assert "begin0" in text and "left out to save context" in text, "its head stays"
    assert "x" * 3000 + " end5" in text, "the newest result is whole"
    assert server.evaluated[1] < 40, "only what is new is read"


async def test_one_result_larger_than_the_context(at: Any) -> None:
    with LlamaServer("Fine.", context=2048) as server:
        async with at(server) as local:
            events = await asked(local, *filled(1, 40_000), tools=(READ,))
    assert last(events).message.text == "Fine."
    prompt = server.bodies("/completion")[0]["prompt"]
    assert "begin0" in prompt and "end0" in prompt and len(prompt) > 4000


@pytest.mark.parametrize("tools", [False, True])
async def test_what_cannot_be_cut_is_told_with_numbers(at: Any, tools: bool) -> None:
    with LlamaServer("no", tools=tools, context=1024) as server:
        async with at(server) as local:
            with pytest.raises(e.ContextOverflowError) as caught:
                await asked(local, "word " * 2000, tools=(READ,))
            assert known_context("scripted") == 1024
    words = str(caught.value)
    assert "1,024" in words and "2,5" in words and "256 of which" in words and "\n" not in words
    assert not server.bodies("/completion") and not server.bodies("/v1/chat/completions")


async def test_complete_takes_the_same_ways(at: Any) -> None:
    with LlamaServer("<think>hm</think>Yes.", CALL, "Plain.", thinks=THINK) as server:
        async with at(server) as local:
            for given, words in (((READ,), "Yes."), ((READ,), ""), ((), "Plain.")):
                choice = "required" if words == "" else "auto"
                request = Request((Message.user("q"),), tools=given, tool_choice=choice)
                done = await local.complete(request)
                assert done.message.text == words and bool(done.message.tool_calls) == (words == "")


@pytest.mark.parametrize(("context", "size"), [(1024, 1_500), (8_192, 3_072), (32_768, 8_000)])
async def test_results_of_tools_are_as_small_as_the_servers_context(at: Any, context: int, size: int) -> None:
    """Known only once the server was asked; until then as for 8,192 tokens."""
    with LlamaServer("Yes.", context=context) as server:
        async with at(server) as local:
            unknown = replace(local.choice, model=ModelSpec("never-started"))
            assert _limits(unknown).result_chars == 3_072
            await asked(local, "q")
            limits = _limits(local._given)
    assert limits.result_chars == size and limits.read_lines == size // 25
    other = replace(local._given, provider=replace(local._given.provider, id="openai"))
    assert _limits(other).result_chars == 30_000
