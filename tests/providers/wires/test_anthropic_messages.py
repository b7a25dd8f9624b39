"""The Anthropic Messages wire: recorded streams, cuts, requests against the vendor's own types."""

from __future__ import annotations

import json
import random
from typing import Any

import anthropic.types as sdk
import pytest
from anthropic.types.message_create_params import (
    MessageCreateParamsNonStreaming,
    MessageCreateParamsStreaming,
)
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError
from support.shared import shared
from support.wire_bytes import check_events, cuts, decode, recorded, simple_calls, sse, wire_events

from ante_nb.errors import (
    AnteError,
    InvalidRequestError,
    MalformedResponseError,
    OverloadedError,
    RateLimitError,
    StreamInterruptedError,
)
from ante_nb.messages import (
    Image,
    Message,
    Notice,
    Opaque,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallEnd,
    ToolResult,
    Usage,
    UsageUpdate,
    tag,
)
from ante_nb.providers.spec import ModelSpec, ProviderSpec, Quirks, Request, ThinkingControl, ToolSpec
from ante_nb.providers.wires.anthropic_messages import wire
from ante_nb.providers.wires.base import WireEvent

PROVIDER = ProviderSpec("anthropic", "Anthropic", "AnthropicMessage", quirks=Quirks(cache_control=True))
GATEWAY = ProviderSpec("antix", "Antix", "AnthropicMessage")
BUDGETS = {"min": None, "low": 4096, "medium": 8192, "high": 24576, "xhigh": 32000, "max": 63999}
EFFORTS = {"min": None, "low": "low", "medium": "medium", "high": "high", "max": "max"}
SONNET = ModelSpec(
    "claude-sonnet-4-6",
    output_limit=128_000,
    thinking_control=ThinkingControl("anthropic_adaptive", EFFORTS),
)
HAIKU = ModelSpec(
    "claude-haiku-4-5", output_limit=64_000, thinking_control=ThinkingControl("anthropic_budget", BUDGETS)
)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
SIGNATURE = "EqQBCgIYAhIkZml4dHVyZS1zaWduYXR1cmUtbm90LXJlYWwtMDAwMQ=="
STOPS = {"end_turn": "stop", "tool_use": "tool_calls", "refusal": "refusal", "max_tokens": "length"}


def start(**usage: int) -> dict[str, Any]:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-6",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 9, "output_tokens": 1, **usage},
    }
    return {"type": "message_start", "message": message}


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, *pieces: str) -> list[dict[str, Any]]:
    deltas = ({"type": "text_delta", "text": piece} for piece in pieces)
    return block(index, {"type": "text", "text": ""}, *deltas)


def call(index: int, name: str, *pieces: str, id: str = "toolu_1", **more: Any) -> list[dict[str, Any]]:
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return block(index, {"type": "tool_use", "id": id, "name": name, "input": {}, **more}, *deltas)


def end(reason: str | None, **usage: Any) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 22, **usage}},
        {"type": "message_stop"},
    ]


THINKING_TOOLS = sse(
    start(cache_creation_input_tokens=2210, cache_read_input_tokens=100),
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "The frame `df` is not loaded. "},
        {"type": "thinking_delta", "thinking": "List the variables — 数据."},
        {"type": "signature_delta", "signature": SIGNATURE},
    ),
    {"type": "ping"},
    *text(1, "I'll check the ", "kernel ✅ first."),
    *call(2, "run_cell", "", '{"code": "%who', "s\\nprint('ok')\"}", id="toolu_A"),
    *call(3, "list_files", "", id="toolu_B"),
    *end("tool_use", output_tokens=143, output_tokens_details={"thinking_tokens": 41}),
)
REDACTED = sse(
    start(),
    *block(0, {"type": "redacted_thinking", "data": "ENCRYPTED=="}),
    *text(1, "There are 3 frames — ", "数据 ok ✅"),
    *end("end_turn"),
    eol="\r\n",
)
SERVER_TOOLS = sse(
    start(),
    *block(
        0,
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"query": "ipy'},
        {"type": "input_json_delta", "partial_json": 'kernel comm"}'},
    ),
    *block(
        1,
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [
                {
                    "type": "web_search_result",
                    "title": "ipykernel",
                    "url": "https://example.org",
                    "encrypted_content": "abc",
                    "page_age": None,
                }
            ],
        },
    ),
    *block(
        2,
        {"type": "text", "text": "", "citations": []},
        {
            "type": "citations_delta",
            "citation": {
                "type": "web_search_result_location",
                "url": "https://example.org",
                "title": "ipykernel",
                "cited_text": "comm",
                "encrypted_index": "xyz",
            },
        },
        {"type": "text_delta", "text": "Comms are channels."},
    ),
    *end("pause_turn"),
)
OWN = {"thinking and tools": THINKING_TOOLS, "redacted": REDACTED, "server tools": SERVER_TOOLS}


def run(body: bytes, **options: Any) -> Any:
    return decode(wire.decoder(SONNET, PROVIDER), [body], **options)


def encode(
    *messages: Message, model: ModelSpec = SONNET, provider: ProviderSpec = PROVIDER, **more: Any
) -> Any:
    return wire.encode(Request(messages, **more), model, provider, stream=True)


# ------------------------------------------------------------------------------------------- decoding


def test_thinking_and_parallel_calls() -> None:
    out = run(THINKING_TOOLS)
    message = out.done.message
    assert [part.type for part in message.parts] == ["thinking", "text", "tool_call", "tool_call"]
    thought, said, first, second = message.parts
    assert isinstance(thought, Thinking) and thought.signature == SIGNATURE
    assert thought.text == "The frame `df` is not loaded. List the variables — 数据."
    assert said == Text("I'll check the kernel ✅ first.")
    assert isinstance(first, ToolCall) and first.id == "toolu_A"
    assert first.arguments == {"code": "%whos\nprint('ok')"}
    assert isinstance(second, ToolCall) and second.arguments == {} and second.invalid is None
    assert out.done.stop_reason == "tool_calls"
    assert out.done.usage == Usage(2319, 143, cache_read=100, cache_write=2210, reasoning=41)
    assert (message.provider, message.wire, message.model) == (
        "anthropic",
        "AnthropicMessage",
        "claude-sonnet-4-6",
    )
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == message


def test_usage_is_reported_as_it_grows() -> None:
    updates = [event.usage for event in run(THINKING_TOOLS).events if isinstance(event, UsageUpdate)]
    assert [usage.output for usage in updates] == [1, 143]


@pytest.mark.parametrize("body", OWN.values(), ids=OWN)
def test_cut_anywhere_it_is_the_same(body: bytes) -> None:
    whole = run(body)
    single = decode(wire.decoder(SONNET, PROVIDER), [body[i : i + 1] for i in range(len(body))])
    assert single.events == whole.events
    generator = random.Random(20261122)
    for _ in range(30):
        pieces = cuts(body, (generator.randrange(len(body)) for _ in range(generator.randrange(1, 12))))
        assert decode(wire.decoder(SONNET, PROVIDER), pieces).events == whole.events


def terminal(body: bytes) -> int:
    """Where the data of the event that carries the stop reason ends."""
    for line in body.splitlines(keepends=True):
        data = line.partition(b"data:")[2]
        if data and (json.loads(data).get("delta") or {}).get("stop_reason"):
            return body.index(line) + len(line.rstrip())
    raise AssertionError("no stop reason")


def assert_interrupted_before_the_marker(body: bytes, seed: int) -> None:
    last = terminal(body)
    generator = random.Random(seed)
    positions = {0, 1, last - 1, *(generator.randrange(last) for _ in range(25))}
    for position in positions:
        for ended in (True, False):
            decoder = wire.decoder(SONNET, PROVIDER)
            events: list[Any] = []
            for event in wire_events([body[:position]], ended=ended):
                events += decoder.feed(event)
            with pytest.raises(StreamInterruptedError) as caught:
                decoder.close()
            assert not decoder.finished and not decoder.ended
            assert "done" not in {type(event).__name__.lower() for event in events}
            assert caught.value.partial is not None
            streamed = "".join(event.text for event in events if isinstance(event, TextDelta))
            assert caught.value.partial.text == streamed
            assert caught.value.partial.tool_calls == ()


@pytest.mark.parametrize("body", OWN.values(), ids=OWN)
def test_a_cut_stream_is_never_done(body: bytes) -> None:
    assert_interrupted_before_the_marker(body, 7)


def test_a_stop_reason_is_enough() -> None:
    body = THINKING_TOOLS[: terminal(THINKING_TOOLS)]  # gateways that send no message_stop
    assert run(body).done == run(THINKING_TOOLS).done


def test_pings_and_unknown_things_are_passed_over() -> None:
    body = sse(
        {"type": "ping"},
        start(),
        {"type": "something_new", "data": [1, 2]},
        *block(
            0,
            {"type": "hologram", "id": "h", "body": "a"},
            {"type": "hologram_delta", "body": "bc"},
            {"type": "text_delta", "text": "not for a hologram, but harmless"},
        ),
        *text(1, "Hi"),
        {"type": "content_block_delta", "index": 1, "delta": {"type": "unheard_of", "x": 1}},
        *end("end_turn"),
    )
    message = run(body).done.message
    assert message.text == "Hi"
    opaque = message.parts[0]
    assert isinstance(opaque, Opaque) and opaque.kind == "hologram"
    assert opaque.provider_metadata is not None
    assert opaque.provider_metadata["block"]["body"] == "abc"


def test_gateways_that_put_everything_into_the_start() -> None:
    body = sse(
        start(),
        *block(0, {"type": "text", "text": "whole"}),
        *block(1, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}),
        *end("end_turn"),
    )
    out = run(body)
    assert out.done.message.text == "whole"
    assert simple_calls(out.done.message) == [{"name": "f", "arguments": {"a": 1}}]
    assert out.done.stop_reason == "tool_calls"


def test_gateways_that_leave_out_stops_starts_and_indexes() -> None:
    lines = [event for event in [*text(0, "a"), *call(1, "f", '{"a": 1}')] if "stop" not in event["type"]]
    for line in lines:
        if line["type"] == "content_block_delta":
            del line["index"]
    out = run(sse(start(), *lines, *end("tool_use")))
    assert out.done.message.text == "a"
    assert simple_calls(out.done.message) == [{"name": "f", "arguments": {"a": 1}}]
    no_start = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "b"}}
    assert run(sse(start(), no_start, *end("end_turn"))).done.message.text == "b"


def test_an_emoji_cut_between_its_escapes() -> None:
    body = sse(start(), *text(0, "A", "B")).replace(b'"A"', b'"ok \\ud83d"').replace(b'"B"', b'"\\ude00!"')
    out = run(body + sse(*end("end_turn")))
    assert out.done.message.text == "ok 😀!"


def test_a_half_emoji_at_the_end_is_dropped() -> None:
    body = sse(start(), *text(0, "A")).replace(b'"A"', b'"ok \\ud83d"')
    assert run(body + sse(*end("end_turn"))).done.message.text == "ok "


@pytest.mark.parametrize(
    ("raw", "arguments", "invalid"),
    [
        ("", {}, None),
        ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}, None),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}, None),
        ('"{\\"a\\": 1}"', {"a": 1}, None),
        ('{"a": 1', {}, '{"a": 1'),
        ("[1]", {}, "[1]"),
        ('{"a": NaN}', {}, '{"a": NaN}'),
        ('{"a": "\\ud800"}', {"a": "\ufffd"}, None),
        ("[" * 5000, {}, "[" * 5000),
    ],
)
def test_arguments(raw: str, arguments: dict[str, Any], invalid: str | None) -> None:
    (found,) = run(sse(start(), *call(0, "f", raw), *end("tool_use"))).done.message.tool_calls
    assert (found.arguments, found.invalid) == (arguments, invalid)


@pytest.mark.parametrize("pieces", [(), ('{"path": "a.py", "content": "imp',)], ids=["nothing", "half"])
def test_a_call_cut_by_the_token_limit_is_invalid(pieces: tuple[str, ...]) -> None:
    out = run(sse(start(), *call(0, "f", '{"x": 1}', id="a"), *call(1, "write", *pieces), *end("max_tokens")))
    first, cut = out.done.message.tool_calls
    assert out.done.stop_reason == "length"
    assert first.invalid is None and first.arguments == {"x": 1}
    assert cut.invalid
    assert [event.part for event in out.events if isinstance(event, ToolCallEnd)] == [first, cut]


@pytest.mark.parametrize(
    ("vendor", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "stop"),  # without a call of ours there is nothing to run
        ("max_tokens", "length"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
        ("model_context_window_exceeded", "context_overflow"),
        ("brand_new_reason", "stop"),
    ],
)
def test_stop_reasons(vendor: str, ours: str) -> None:
    assert run(sse(start(), *text(0, "x"), *end(vendor))).done.stop_reason == ours


def test_a_refusal_says_why() -> None:
    delta = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "Cyber policy."}}
    out = run(sse(start(), {"type": "message_delta", "delta": delta}, {"type": "message_stop"}))
    assert Notice("warning", "Cyber policy.") in out.events


def test_usage_keeps_the_start_where_the_end_says_nothing() -> None:
    body = sse(start(cache_read_input_tokens=5), *text(0, "x"), *end("end_turn", input_tokens=None))
    assert run(body).done.usage == Usage(14, 22, cache_read=5)
    silent = start()
    del silent["message"]["usage"]
    ending = end("end_turn")
    del ending[0]["usage"]
    assert run(sse(silent, *text(0, "x"), *ending)).done.usage is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", OverloadedError),
        ("rate_limit_error", RateLimitError),
        ("invalid_request_error", InvalidRequestError),
    ],
)
def test_an_error_in_the_stream(kind: str, expected: type[AnteError]) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "Sorry"}, "request_id": "req_1"}
    decoder = wire.decoder(SONNET, PROVIDER)
    with pytest.raises(expected) as caught:
        for event in wire_events([sse(start(), *text(0, "Partial ans")[:2], error)]):
            decoder.feed(event)
    assert caught.value.partial.text == "Partial ans"  # type: ignore[attr-defined]
    assert caught.value.provider == "anthropic"  # type: ignore[attr-defined]
    assert not decoder.finished


def test_a_whole_message_decodes_to_the_same() -> None:
    body = {
        "type": "message",
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE},
            {"type": "redacted_thinking", "data": "X=="},
            {"type": "text", "text": "I'll look."},
            {"type": "tool_use", "id": "toolu_A", "name": "run_cell", "input": {"code": "1"}},
            {"type": "tool_use", "id": "toolu_B", "name": "list_files", "input": {}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5},
    }
    streamed = run(
        sse(
            start(input_tokens=3, cache_read_input_tokens=4, output_tokens=5),
            *block(
                0,
                {"type": "thinking", "thinking": "", "signature": ""},
                {"type": "thinking_delta", "thinking": "Hm."},
                {"type": "signature_delta", "signature": SIGNATURE},
            ),
            *block(1, {"type": "redacted_thinking", "data": "X=="}),
            *text(2, "I'll look."),
            *call(3, "run_cell", '{"code": "1"}', id="toolu_A"),
            *call(4, "list_files", id="toolu_B"),
            *end("tool_use", output_tokens=5),
        )
    )
    events = wire.decode_complete(body, SONNET, PROVIDER)
    check_events(events)
    assert events[-1] == streamed.done


def test_a_whole_answer_that_is_none() -> None:
    with pytest.raises(OverloadedError):
        wire.decode_complete({"type": "error", "error": {"type": "overloaded_error"}}, SONNET, PROVIDER)
    for body in ({}, {"content": "text"}, {"choices": []}, [], "text"):
        with pytest.raises(MalformedResponseError):
            wire.decode_complete(body, SONNET, PROVIDER)  # type: ignore[arg-type]


# --------------------------------------------------------------------------------- the recorded streams

SHARED = "streams/anthropic-messages"


def test_recorded_streams_whole_by_byte_and_at_random_cuts() -> None:
    for path in recorded(shared(SHARED)):
        body = path.read_bytes()
        expected = json.loads(path.with_suffix(".expected.json").read_text(encoding="utf-8"))
        whole = run(body)
        message = whole.done.message
        assert message.text == expected["text"], path.name
        assert whole.joined(ThinkingDelta) == expected["thinking"], path.name
        assert simple_calls(message) == expected["tool_calls"], path.name
        assert whole.done.stop_reason == STOPS[expected["stop"]], path.name
        usage, numbers = whole.done.usage, expected["usage"]
        read, written = numbers["cache_read"] or 0, numbers["cache_write"] or 0
        assert (usage.input, usage.output) == (numbers["input"] + read + written, numbers["output"])
        assert (usage.cache_read, usage.cache_write) == (read, written)
        generator = random.Random(path.name)
        if len(body) < 100_000:
            by_byte = (body[i : i + 1] for i in range(len(body)))
            assert decode(wire.decoder(SONNET, PROVIDER), by_byte).events == whole.events, path.name
        for _ in range(8):
            pieces = cuts(body, (generator.randrange(len(body)) for _ in range(20)))
            assert decode(wire.decoder(SONNET, PROVIDER), pieces).events == whole.events, path.name


def test_recorded_streams_cut_short() -> None:
    for path in recorded(shared(SHARED)):
        assert_interrupted_before_the_marker(path.read_bytes(), 11)


def plain_blocks(body: bytes) -> list[dict[str, Any]]:
    """The content of a stream, put together by the vendor's own few rules: the check for the replay."""
    blocks: dict[int, dict[str, Any]] = {}
    raw: dict[int, str] = {}
    for event in wire_events([body]):
        data = event.data
        if data["type"] == "content_block_start":
            blocks[data["index"]] = data["content_block"]
        elif data["type"] == "content_block_delta":
            target, delta = blocks[data["index"]], data["delta"]
            for key in ("text", "thinking", "signature"):
                if key in delta:
                    target[key] += delta[key]
            if "citation" in delta:
                target.setdefault("citations", []).append(delta["citation"])
            if delta.get("partial_json"):
                raw[data["index"]] = raw.get(data["index"], "") + delta["partial_json"]
    for index, text_ in raw.items():
        blocks[index]["input"] = json.loads(text_)
    out = []
    for entry in blocks.values():
        if entry["type"] == "text":
            if not entry["text"].strip():
                continue
            if not entry.get("citations"):
                entry.pop("citations", None)
        out.append(entry)
    return out


def test_recorded_answers_are_replayed_as_they_came() -> None:
    for path in recorded(shared(SHARED)):
        body = path.read_bytes()
        answer = run(body).done.message
        (sent,) = [m["content"] for m in encode(answer)["messages"]] or [[]]
        assert sent == plain_blocks(body), path.name


@pytest.mark.parametrize(
    ("name", "stop"),
    [
        ("max_tokens_in_tool", "length"),
        ("omitted_thinking", "stop"),
        ("pause_turn", "pause"),
        ("redacted_final", "stop"),
        ("refusal", "refusal"),
        ("thinking_tool", "tool_calls"),
    ],
)
def test_reference_fixtures(name: str, stop: str) -> None:
    body = shared(f"reference/wire/fixtures/anthropic_{name}.sse").read_bytes()
    out = run(body)
    assert out.done.stop_reason == stop
    assert_interrupted_before_the_marker(body, 3)
    replayed = [m["content"] for m in encode(out.done.message)["messages"]]
    if name != "max_tokens_in_tool":  # the half call goes back as a call without arguments
        assert replayed == [plain_blocks(body)]


def test_reference_error_fixture() -> None:
    body = shared("reference/wire/fixtures/anthropic_error_midstream.sse").read_bytes()
    with pytest.raises(OverloadedError) as caught:
        run(body)
    assert caught.value.partial is not None and caught.value.partial.text == "Partial ans"


# ------------------------------------------------------------------------------------------- encoding

_STREAMING = TypeAdapter(list[MessageCreateParamsStreaming], config=ConfigDict(extra="forbid"))
_WHOLE = TypeAdapter(list[MessageCreateParamsNonStreaming], config=ConfigDict(extra="forbid"))
_BLOCKS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(list[kind], config=ConfigDict(extra="forbid"))  # type: ignore[valid-type]
    for name, kind in {
        "text": sdk.TextBlockParam,
        "image": sdk.ImageBlockParam,
        "thinking": sdk.ThinkingBlockParam,
        "redacted_thinking": sdk.RedactedThinkingBlockParam,
        "tool_use": sdk.ToolUseBlockParam,
        "tool_result": sdk.ToolResultBlockParam,
        "server_tool_use": sdk.ServerToolUseBlockParam,
        "web_search_tool_result": sdk.WebSearchToolResultBlockParam,
    }.items()
}


def drain(value: Any) -> Any:
    """Iterables of a typed dict are validated while they are read, so they are read here."""
    if isinstance(value, dict):
        return {key: drain(item) for key, item in value.items()}
    if value is None or isinstance(value, str | bytes | int | float) or hasattr(value, "model_dump"):
        return value
    return [drain(item) for item in value]


def validate(body: dict[str, Any], *, stream: bool = True) -> dict[str, Any]:
    """``body``, checked by the SDK's types: the request, and each block against its own type alone."""
    drain((_STREAMING if stream else _WHOLE).validate_python([body]))
    for message in body["messages"]:
        for entry in message["content"]:
            drain(_BLOCKS[entry["type"]].validate_python([entry]))
    json.dumps(body).encode("utf-8")
    return body


def test_the_check_itself_refuses() -> None:
    good = encode(Message.user("x"))
    validate(good)
    for spoil in (
        {"zzz": 1},
        {"messages": [{"role": "tool", "content": [{"type": "text", "text": "x"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "zzz": 1}]}]},
    ):
        with pytest.raises(ValidationError):
            validate({**good, **spoil})


TOOLS = (
    ToolSpec("run_cell", "Run Python.", {"type": "object", "properties": {"code": {"type": "string"}}}),
    ToolSpec("list_files", "List files.", {}),
)


def conversation() -> tuple[Message, ...]:
    """All kinds of parts, with a recorded answer in the middle."""
    answer = run(THINKING_TOOLS).done.message
    searched = run(SERVER_TOOLS).done.message
    return (
        Message.user("What is this?", Image(PIXEL, "image/png")),
        answer,
        Message("tool", (ToolResult("toolu_A", (Text("a int 3"), Image(PIXEL, "image/png"))),)),
        Message("tool", (ToolResult("toolu_B", (Text("denied"),), is_error=True),)),
        run(REDACTED).done.message,
        Message.user("And search the web."),
        searched,
    )


def test_a_conversation_with_every_kind_of_part() -> None:
    body = validate(
        wire.encode(
            Request(conversation(), system="You are a notebook agent.", tools=TOOLS, thinking="high"),
            SONNET,
            PROVIDER,
            stream=True,
        )
    )
    assert body["model"] == "claude-sonnet-4-6" and body["max_tokens"] == 128_000 and body["stream"] is True
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"] * 3
    first, answer, results, *_ = body["messages"]
    assert [entry["type"] for entry in first["content"]] == ["text", "image"]
    assert [entry["type"] for entry in answer["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert answer["content"][0]["signature"] == SIGNATURE
    assert answer["content"][3]["input"] == {}
    assert [entry["tool_use_id"] for entry in results["content"]] == ["toolu_A", "toolu_B"]
    assert [item["type"] for item in results["content"][0]["content"]] == ["text", "image"]
    assert "is_error" not in results["content"][0] and results["content"][1]["is_error"] is True
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": "high"}
    assert body["tools"][1]["input_schema"] == {"type": "object", "properties": {}}
    assert body["messages"][-1]["content"] == plain_blocks(SERVER_TOOLS)


def test_whole_calls_do_not_stream() -> None:
    body = wire.encode(Request((Message.user("x"),)), HAIKU, PROVIDER, stream=False)
    assert "stream" not in validate(body, stream=False)


def test_blocks_go_back_only_to_who_made_them() -> None:
    body = encode(*conversation(), provider=GATEWAY, tools=TOOLS)
    kinds = {entry["type"] for message in body["messages"] for entry in message["content"]}
    assert kinds == {"text", "image", "tool_use", "tool_result"}
    assert "citations" not in json.dumps(body)
    other = ModelSpec("claude-opus-4-6", output_limit=128_000)
    kinds = {
        entry["type"] for m in encode(*conversation(), model=other)["messages"] for entry in m["content"]
    }
    assert not kinds & {"thinking", "redacted_thinking"} and "server_tool_use" in kinds
    alias = ProviderSpec("anthropic-key", "Alias", "AnthropicMessage", alias_of="anthropic")
    assert "thinking" in json.dumps(encode(*conversation(), provider=alias)["messages"])


def test_thinking_without_a_signature_is_not_sent() -> None:
    made = tag("anthropic", SONNET.id)
    parts = (
        Thinking("cut", provider_metadata=made),
        Thinking("", SIGNATURE, provider_metadata=made),
        Text("x"),
    )
    (message,) = encode(Message("assistant", parts))["messages"]
    assert message["content"] == [
        {"type": "thinking", "thinking": "", "signature": SIGNATURE},
        {"type": "text", "text": "x"},
    ]


def test_tool_results_come_first_and_roles_alternate() -> None:
    body = encode(
        Message.user("go"),
        Message("assistant", (ToolCall("call|1/x", "f", {"a": 1}),)),
        Message("tool", (ToolResult("call|1/x"),)),
        Message.user("  "),
        Message.user("meanwhile"),
        Message("assistant", ()),
    )
    go, answer, results = body["messages"]
    assert answer["content"][0]["id"] == results["content"][0]["tool_use_id"] == "call_1_x"
    assert [entry["type"] for entry in results["content"]] == ["tool_result", "text"]
    assert "content" not in results["content"][0]
    assert go["content"][0]["text"] == "go"
    validate(body)


def test_an_empty_error_result_says_something() -> None:
    body = encode(
        Message.user("go"),
        Message("assistant", (ToolCall("a", "f"),)),
        Message("tool", (ToolResult("a", (Text(" "),), is_error=True),)),
    )
    assert body["messages"][-1]["content"][0]["content"][0]["text"]


def test_images_that_the_vendor_does_not_take_become_words() -> None:
    body = encode(Message.user("look", Image("PHN2Zz4=", "image/svg+xml")))
    assert body["messages"][0]["content"][1]["type"] == "text"
    assert "image/svg+xml" in body["messages"][0]["content"][1]["text"]


def test_lone_surrogates_are_replaced() -> None:
    body = encode(Message.user("a\ud800b"), system="\udfff", tools=(ToolSpec("f", "\ud83d", {}),))
    json.dumps(body, ensure_ascii=False).encode("utf-8")
    assert body["messages"][0]["content"][0]["text"] == "a\ufffdb"


def test_the_prompt_goes_out_byte_for_byte() -> None:
    prompt = " {x} $y %z \\ \t'?'\r\n\x00é✅ ?"
    assert encode(Message.user(prompt))["messages"][0]["content"][0]["text"] == prompt


# cache


def marks(body: dict[str, Any]) -> list[str]:
    found = [f"system{i}" for i, entry in enumerate(body.get("system", ())) if "cache_control" in entry]
    found += [f"tool{i}" for i, entry in enumerate(body.get("tools", ())) if "cache_control" in entry]
    for m, message in enumerate(body["messages"]):
        found += [f"{m}.{i}" for i, entry in enumerate(message["content"]) if "cache_control" in entry]
    return found


def test_cache_breakpoints() -> None:
    messages = (
        Message.user("one"),
        Message("assistant", (ToolCall("a", "f"), ToolCall("b", "f"))),
        Message("tool", (ToolResult("a"), ToolResult("b"))),
    )
    assert marks(encode(*messages, system="S", tools=TOOLS)) == ["system0", "0.0", "2.1"]
    assert marks(encode(*messages, tools=TOOLS)) == ["tool1", "0.0", "2.1"]
    assert marks(encode(*messages, system="S", provider=GATEWAY)) == []


def test_twenty_steps_share_their_prefix() -> None:
    """Every request repeats the one before it, and holds a breakpoint where that one ended."""

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: stripped(item) for key, item in value.items() if key != "cache_control"}
        return [stripped(item) for item in value] if isinstance(value, list) else value

    messages: list[Message] = [Message.user("start")]
    before: dict[str, Any] | None = None
    for step in range(20):
        body = encode(*messages, system="S", tools=TOOLS, thinking="high")
        assert len(marks(body)) <= 4
        if before is not None:
            for key in ("system", "tools", "thinking", "output_config", "tool_choice", "model"):
                assert body[key] == before[key]
            length = len(before["messages"])
            assert stripped(body["messages"][:length]) == stripped(before["messages"])
            last = f"{length - 1}.{len(before['messages'][-1]['content']) - 1}"
            assert last in marks(before) and last in marks(body)
        before = body
        messages.append(Message("assistant", (ToolCall(f"t{step}", "run_cell", {"code": str(step)}),)))
        messages.append(Message("tool", (ToolResult(f"t{step}", (Text(str(step)),)),)))


# thinking and sampling


@pytest.mark.parametrize(
    ("model", "level", "thinking", "effort"),
    [
        (SONNET, None, None, None),
        (SONNET, "min", None, None),
        (SONNET, "medium", {"type": "adaptive", "display": "summarized"}, "medium"),
        (SONNET, "xhigh", {"type": "adaptive", "display": "summarized"}, "high"),
        (SONNET, "max", {"type": "adaptive", "display": "summarized"}, "max"),
        (HAIKU, None, None, None),
        (HAIKU, "min", None, None),
        (HAIKU, "low", {"type": "enabled", "budget_tokens": 4096}, None),
        (HAIKU, "high", {"type": "enabled", "budget_tokens": 24576}, None),
        (HAIKU, "max", {"type": "enabled", "budget_tokens": 62976}, None),
        (ModelSpec("unknown"), "high", None, None),
        (
            ModelSpec("gpt-5.4", thinking_control=ThinkingControl("responses_effort", {"high": "high"})),
            "high",
            None,
            None,
        ),
    ],
)
def test_thinking_levels(model: ModelSpec, level: Any, thinking: Any, effort: str | None) -> None:
    body = validate(encode(Message.user("x"), model=model, thinking=level))
    assert body.get("thinking") == thinking
    assert body.get("output_config") == (effort and {"effort": effort})
    if thinking and "budget_tokens" in thinking:
        assert body["max_tokens"] > thinking["budget_tokens"]


def test_the_model_has_a_default_level_and_the_display_can_be_off() -> None:
    model = ModelSpec("m", thinking="low", thinking_control=SONNET.thinking_control)
    quiet = ProviderSpec("a", "A", "AnthropicMessage", thinking_display="off")
    body = encode(Message.user("x"), model=model, provider=quiet)
    assert body["thinking"]["display"] == "omitted" and body["output_config"] == {"effort": "low"}


def test_output_limits() -> None:
    unknown = ModelSpec("m", thinking_control=HAIKU.thinking_control)
    body = encode(Message.user("x"), model=unknown, thinking="medium")
    assert body["max_tokens"] > body["thinking"]["budget_tokens"] == 8192
    newer = ModelSpec("m", thinking_control=SONNET.thinking_control)
    assert encode(Message.user("x"), model=newer)["max_tokens"] == 32_000
    assert encode(Message.user("x"), model=ModelSpec("m"))["max_tokens"] == 8192
    assert (
        encode(Message.user("x"), model=ModelSpec("m", max_tokens=99, output_limit=999))["max_tokens"] == 99
    )
    small = encode(Message.user("x"), model=HAIKU, max_tokens=5000, thinking="high")
    assert small["max_tokens"] == 5000 and small["thinking"]["budget_tokens"] == 3976
    tight = encode(Message.user("x"), model=HAIKU, max_tokens=1500, thinking="high")
    assert tight["thinking"]["budget_tokens"] == 1024
    with pytest.raises(InvalidRequestError, match="MODEL_MAX_TOKENS"):
        encode(Message.user("x"), model=HAIKU, max_tokens=1024, thinking="high")


@pytest.mark.parametrize("value", [{"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.5}])
def test_sampling_that_thinking_does_not_allow(value: dict[str, Any]) -> None:
    model = ModelSpec("m", output_limit=9999, thinking_control=SONNET.thinking_control, **value)
    assert next(iter(value)) in encode(Message.user("x"), model=model)
    with pytest.raises(InvalidRequestError, match=next(iter(value))):
        encode(Message.user("x"), model=model, thinking="high")


def test_sampling_and_stops_are_sent_where_they_are_set() -> None:
    model = ModelSpec("m", temperature=1.0, top_p=0.96, stop_sequences=("END",))
    body = encode(Message.user("x"), model=model)  # the SDK's types are of the version without these
    assert (body["temperature"], body["top_p"], body["stop_sequences"]) == (1.0, 0.96, ["END"])
    assert not {"temperature", "top_p", "top_k", "stop_sequences"} & set(encode(Message.user("x")))


def test_budget_thinking_is_not_switched_on_in_the_middle_of_a_loop() -> None:
    loop = (
        Message.user("go"),
        Message("assistant", (ToolCall("a", "f"),)),
        Message("tool", (ToolResult("a"),)),
    )
    assert "thinking" not in encode(*loop, model=HAIKU, thinking="high")
    assert "thinking" in encode(
        *loop, Message("assistant", (Text("done"),)), Message.user("next"), model=HAIKU, thinking="high"
    )
    made = tag("anthropic", HAIKU.id)
    thought = Message("assistant", (Thinking("t", SIGNATURE, provider_metadata=made), ToolCall("a", "f")))
    further = Message("assistant", (ToolCall("b", "f"),)), Message("tool", (ToolResult("b"),))
    assert "thinking" in encode(loop[0], thought, loop[2], *further, model=HAIKU, thinking="high")
    assert "thinking" in encode(*loop, thinking="high")  # adaptive models don't mind


@pytest.mark.parametrize(
    ("choice", "level", "sent"),
    [
        ("auto", None, {"type": "auto"}),
        ("none", "high", {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("run_cell", None, {"type": "tool", "name": "run_cell"}),
        ("run_cell", "high", {"type": "auto"}),
        ("required", "high", {"type": "auto"}),
    ],
)
def test_tool_choice(choice: str, level: Any, sent: dict[str, Any]) -> None:
    body = validate(encode(Message.user("x"), tools=TOOLS, tool_choice=choice, thinking=level))
    assert body["tool_choice"] == sent
    assert "tool_choice" not in encode(Message.user("x"), tool_choice=choice)


def test_extra_body_keeps_off_what_is_ours() -> None:
    extra = {
        "model": "evil",
        "messages": [],
        "stream": False,
        "service_tier": "auto",
        "metadata": {"user_id": "u"},
    }
    provider = ProviderSpec("p", "P", "AnthropicMessage", extra_body=extra)
    body = validate(encode(Message.user("x"), provider=provider))
    assert body["model"] == SONNET.id and body["stream"] is True and body["messages"]
    assert body["service_tier"] == "auto" and body["metadata"] == {"user_id": "u"}


def test_the_container_of_a_server_tool_is_kept_within_its_loop() -> None:
    ending = end("pause_turn")
    ending[0]["delta"]["container"] = {"id": "container_1", "expires_at": "2026-12-01T00:00:00Z"}
    started = {"type": "server_tool_use", "id": "s", "name": "code_execution", "input": {"code": "1"}}
    paused = run(sse(start(), *block(0, started), *ending)).done.message
    assert encode(Message.user("x"), paused)["container"] == "container_1"
    assert "container" not in encode(Message.user("x"), paused, Message.user("y"))
    assert "container" not in encode(Message.user("x"), paused, provider=GATEWAY)


# --------------------------------------------------------------------------------- address and headers


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1/messages"),
        (
            "https://coding.dashscope.aliyuncs.com/apps/anthropic",
            "https://coding.dashscope.aliyuncs.com/apps/anthropic/v1/messages",
        ),
        (
            "https://antix.antigma.ai/v1/0a1b/anthropic",
            "https://antix.antigma.ai/v1/0a1b/anthropic/v1/messages",
        ),
        ("http://127.0.0.1:8080/v1?team=a", "http://127.0.0.1:8080/v1/messages?team=a"),
    ],
)
def test_url(base: str, url: str) -> None:
    assert wire.url(base, SONNET, stream=True) == wire.url(base, SONNET, stream=False) == url


def test_headers() -> None:
    assert wire.headers(Request(()), SONNET, PROVIDER) == {"anthropic-version": "2023-06-01"}
    assert wire.style == PROVIDER.wire_style


@pytest.mark.parametrize(
    ("model", "level", "configured", "beta"),
    [
        (HAIKU, "high", {}, "interleaved-thinking-2025-05-14"),
        (HAIKU, "high", {"Anthropic-Beta": "a-1"}, "a-1,interleaved-thinking-2025-05-14"),
        (HAIKU, None, {}, None),
        (HAIKU, "min", {}, None),
        (SONNET, "high", {}, None),
    ],
)
def test_the_beta_for_thinking_between_calls(
    model: ModelSpec, level: Any, configured: dict[str, str], beta: str | None
) -> None:
    quirks = Quirks(interleaved_thinking=True)
    provider = ProviderSpec("a", "A", "AnthropicMessage", http_headers=configured, quirks=quirks)
    assert wire.headers(Request((), thinking=level), model, provider).get("anthropic-beta") == beta
    assert "anthropic-beta" not in wire.headers(Request((), thinking=level), model, GATEWAY)


# ----------------------------------------------------------------------------------------- any input

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**6) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_BLOCK = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "new"]
        )
        | _JSON
    },
    optional={
        name: _JSON | st.text(max_size=6)
        for name in ("text", "thinking", "signature", "data", "id", "name", "input", "citations", "caller")
    },
)
_DELTA = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "text_delta",
                "thinking_delta",
                "input_json_delta",
                "signature_delta",
                "citations_delta",
                "x_delta",
            ]
        )
        | _JSON
    },
    optional={
        name: _JSON | st.sampled_from(["a", '{"a"', ": 1}", "{}", "\ud83d", "\ude00"])
        for name in ("text", "thinking", "partial_json", "signature", "citation", "content")
    },
)
_EVENT = st.one_of(
    _JSON,
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                [
                    "message_start",
                    "content_block_start",
                    "content_block_delta",
                    "content_block_delta",
                    "content_block_stop",
                    "message_delta",
                    "message_stop",
                    "ping",
                    "error",
                ]
            )
        },
        optional={
            "index": st.integers(-1, 3) | _JSON,
            "content_block": _BLOCK | _JSON,
            "delta": _DELTA
            | st.fixed_dictionaries({"stop_reason": st.sampled_from(["max_tokens", "tool_use", "x"]) | _JSON})
            | _JSON,
            "message": st.fixed_dictionaries(
                {}, optional={"content": st.lists(_BLOCK, max_size=2), "usage": _JSON}
            )
            | _JSON,
            "usage": st.dictionaries(st.sampled_from(["input_tokens", "output_tokens"]), _JSON) | _JSON,
            "error": _JSON | st.fixed_dictionaries({"type": _JSON, "message": _JSON}),
        },
    ),
)


@given(st.lists(st.tuples(st.sampled_from(["", "error", "message_stop", "ping"]), _EVENT), max_size=12))
def test_no_sequence_of_events_breaks_the_decoder(events: list[tuple[str, Any]]) -> None:
    decoder = wire.decoder(SONNET, PROVIDER)
    out: list[Any] = []
    try:
        for name, data in events:
            out += decoder.feed(WireEvent(name, data))
        out += decoder.close()
    except AnteError:
        return
    check_events(out)
    answer = out[-1].message
    assert Message.from_dict(answer.to_dict()) == answer
    for provider in (PROVIDER, GATEWAY):
        encode(Message.user("x"), answer, provider=provider)


@given(_JSON | st.dictionaries(st.sampled_from(["content", "error", "stop_reason", "usage"]), _JSON))
def test_no_body_breaks_the_whole_decoder(body: Any) -> None:
    if not isinstance(body, dict):
        return
    try:
        check_events(wire.decode_complete(body, SONNET, PROVIDER))
    except AnteError:
        pass
