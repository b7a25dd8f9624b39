"""The Gemini wire: recorded streams, cuts, thought signatures, requests against the vendor's own types."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from google.genai import types as sdk
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.shared import shared
from support.wire_bytes import check_events, cuts, decode, recorded, simple_calls, sse, wire_events

from ante_nb.errors import (
    AnteError,
    ContentFilterError,
    InvalidRequestError,
    MalformedResponseError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
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
    ToolResult,
    Usage,
    UsageUpdate,
)
from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request, ThinkingControl, ToolSpec
from ante_nb.providers.wires._gemini_schema import gemini_schema
from ante_nb.providers.wires.base import WireEvent
from ante_nb.providers.wires.gemini import wire

PROVIDER = ProviderSpec("gemini", "Google Gemini", "Gemini")
VERTEX = ProviderSpec("vertex-gemini", "Vertex AI Gemini", "Gemini")
PRO = ModelSpec(
    "gemini-3.1-pro-preview",
    thinking_control=ThinkingControl("gemini_level", {"low": "low", "medium": "medium", "high": "high"}),
)
FLASH = ModelSpec(
    "gemini-2.5-flash",
    thinking_control=ThinkingControl("gemini_budget", {"min": 0, "medium": 8192, "high": 24576, "max": -1}),
)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
SIGNATURE = "EqQBCgIYAhIkZml4dHVyZS1zaWduYXR1cmUtbm90LXJlYWwtMDAwMQ=="
SECOND = "EqQBCgIYAhIkZml4dHVyZS1zaWduYXR1cmUtbm90LXJlYWwtMDAwMg=="
DUMMY = "skip_thought_signature_validator"


def chunk(*parts: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "responseId": "resp1", **more}


def usage(**counts: int) -> dict[str, Any]:
    return {"usageMetadata": {"promptTokenCount": 91, **counts}}


PARALLEL = sse(
    chunk({"text": "**Plan**\n\nInspect ", "thought": True}, **usage(totalTokenCount=91)),
    chunk({"text": "the kernel — 数据.", "thought": True}),
    chunk(
        {
            "functionCall": {"name": "run_cell", "args": {"code": "%whos"}, "id": "fc1"},
            "thoughtSignature": SIGNATURE,
        },
        {"functionCall": {"name": "list_files", "args": {}, "id": "fc2"}},
    ),
    chunk(
        {"text": ""},
        finish="STOP",
        **usage(candidatesTokenCount=27, thoughtsTokenCount=112, cachedContentTokenCount=60),
    ),
    eol="\r\n",
)
TRAILING = sse(
    chunk({"text": "There are "}),
    chunk({"text": "3 frames ✅."}),
    chunk({"text": "", "thoughtSignature": SIGNATURE}, finish="STOP", **usage(candidatesTokenCount=7)),
    eol="\r\n",
)
SIGNED_TEXT = sse(
    chunk({"text": "It is ", "thoughtSignature": SIGNATURE}),
    chunk({"text": "al"}),
    chunk({"text": "ways "}),
    chunk({"text": "so.", "thoughtSignature": SECOND}, finish="STOP", **usage()),
)
CODE = sse(
    chunk(
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}, "thoughtSignature": SIGNATURE},
        {"text": ""},
    ),
    chunk({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}),
    chunk({"text": "One."}, finish="STOP", **usage()),
)
PIECES = sse(
    chunk({"functionCall": {"name": "weather", "willContinue": True}, "thoughtSignature": SIGNATURE}),
    chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.place", "stringValue": "Bos", "willContinue": True}], "willContinue": True}}),
    chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.place", "stringValue": "ton"}], "willContinue": True}}),
    chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.days[0].n", "numberValue": 2}, {"jsonPath": "$.days[1]", "nullValue": "NULL_VALUE"}, {"jsonPath": "$['un it']", "boolValue": True}], "willContinue": True}}),
    chunk({"functionCall": {}}),
    chunk({"functionCall": {"name": "weather", "args": {"place": "Rome"}}}, finish="STOP", **usage()),
)  # fmt: skip
OWN = {
    "parallel calls": PARALLEL,
    "trailing signature": TRAILING,
    "signed text": SIGNED_TEXT,
    "code": CODE,
    "pieces": PIECES,
}


def run(body: bytes, **options: Any) -> Any:
    return decode(wire.decoder(PRO, PROVIDER), [body], **options)


def encode(*messages: Message, model: ModelSpec = PRO, provider: ProviderSpec = PROVIDER, **more: Any) -> Any:
    return wire.encode(Request(messages, **more), model, provider, stream=True)


# ------------------------------------------------------------------------------------------- decoding


def test_thinking_and_parallel_calls() -> None:
    out = run(PARALLEL)
    message = out.done.message
    thought, first, second = message.parts
    assert isinstance(thought, Thinking) and thought.text == "**Plan**\n\nInspect the kernel — 数据."
    assert thought.signature is None
    assert isinstance(first, ToolCall) and (first.id, first.name) == ("fc1", "run_cell")
    assert first.arguments == {"code": "%whos"}
    assert isinstance(second, ToolCall) and second.arguments == {} and second.invalid is None
    assert out.done.stop_reason == "tool_calls"
    assert out.done.usage == Usage(91, 139, cache_read=60, reasoning=112)
    assert (message.provider, message.wire, message.model) == ("gemini", "Gemini", PRO.id)
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == message


def test_usage_is_reported_as_it_grows() -> None:
    updates = [event.usage for event in run(PARALLEL).events if isinstance(event, UsageUpdate)]
    assert [(entry.input, entry.output) for entry in updates] == [(91, 0), (91, 139)]
    assert run(sse(chunk({"text": "x"}, finish="STOP"))).done.usage is None


@pytest.mark.parametrize("body", OWN.values(), ids=OWN)
def test_cut_anywhere_it_is_the_same(body: bytes) -> None:
    whole = run(body)
    single = decode(wire.decoder(PRO, PROVIDER), [body[i : i + 1] for i in range(len(body))])
    assert single.events == whole.events
    generator = random.Random(20261122)
    for _ in range(30):
        pieces = cuts(body, (generator.randrange(len(body)) for _ in range(generator.randrange(1, 12))))
        assert decode(wire.decoder(PRO, PROVIDER), pieces).events == whole.events


def terminal(body: bytes) -> int:
    """Where the data of the event with the first finish reason ends."""
    for line in body.splitlines(keepends=True):
        data = line.partition(b"data:")[2]
        if data and any("finishReason" in candidate for candidate in json.loads(data).get("candidates", ())):
            return body.index(line) + len(line.rstrip())
    raise AssertionError("no finish reason")


def assert_interrupted_before_the_marker(body: bytes, seed: int) -> None:
    last = terminal(body)
    generator = random.Random(seed)
    for position in {0, 1, last - 1, *(generator.randrange(last) for _ in range(25))}:
        for ended in (True, False):
            decoder = wire.decoder(PRO, PROVIDER)
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


def test_what_follows_the_finish_reason_still_counts() -> None:
    late = sse(
        chunk({"text": "One"}, finish="STOP"),
        chunk({"text": " more"}),
        {"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2}},
    )
    out = run(late)
    assert out.done.message.text == "One more"
    assert out.done.usage == Usage(4, 2)


def test_a_trailing_signature_is_a_part_of_its_own() -> None:
    text, opaque = run(TRAILING).done.message.parts
    assert text == Text("There are 3 frames ✅.")
    assert isinstance(opaque, Opaque)


def test_signed_text_stays_one_text() -> None:
    (text,) = run(SIGNED_TEXT).done.message.parts
    assert isinstance(text, Text) and text.text == "It is always so."


def test_calls_in_pieces() -> None:
    message = run(PIECES).done.message
    assert simple_calls(message) == [
        {"name": "weather", "arguments": {"place": "Boston", "days": [{"n": 2}, None], "un it": True}},
        {"name": "weather", "arguments": {"place": "Rome"}},
    ]
    assert message.tool_calls[0].id != message.tool_calls[1].id


@pytest.mark.parametrize(
    "piece",
    [
        {"jsonPath": "$.a[5]", "numberValue": 1},  # no list to be grown by holes
        {"jsonPath": "$.a[99999999999999]", "numberValue": 1},
        {"jsonPath": "a", "numberValue": 1},
        {"jsonPath": "$", "numberValue": 1},
        {"jsonPath": "$" + ".a" * 5000, "numberValue": 1},
        {"numberValue": 1},
        "nonsense",
        {"jsonPath": "$.a", "stringValue": "cut", "willContinue": True},
    ],
)
def test_pieces_that_make_no_arguments(piece: Any) -> None:
    call = {"functionCall": {"name": "f", "partialArgs": [piece]}}
    (found,) = run(sse(chunk(call, finish="STOP"))).done.message.tool_calls
    assert found.invalid and found.arguments == {}


def test_a_call_cut_by_the_token_limit_is_invalid() -> None:
    body = sse(
        chunk({"functionCall": {"name": "f", "args": {"x": 1}}}),
        chunk({"functionCall": {"name": "write", "willContinue": True}}),
        chunk(
            {"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "b"}], "willContinue": True}}
        ),
        chunk(finish="MAX_TOKENS"),
    )
    out = run(body)
    whole, cut = out.done.message.tool_calls
    assert out.done.stop_reason == "length"
    assert whole.invalid is None and whole.arguments == {"x": 1}
    assert cut.invalid == '{"a": "b"}'


@pytest.mark.parametrize("args", [[1], "text", 5, {"a": float("nan")}])
def test_arguments_that_are_no_json_object(args: Any) -> None:
    (found,) = run(
        sse(chunk({"functionCall": {"name": "f", "args": args}}, finish="STOP"))
    ).done.message.tool_calls
    assert found.invalid and found.arguments == {}


def test_calls_without_ids_get_their_own() -> None:
    body = chunk({"functionCall": {"name": "a"}}, {"functionCall": {"name": "a", "args": {}}}, finish="STOP")
    first, second = run(sse(body)).done.message.tool_calls
    assert first.id != second.id and "resp1" in first.id
    del body["responseId"]
    again = [call.id for _ in range(2) for call in run(sse(body)).done.message.tool_calls]
    assert len(set(again)) == 4


def test_a_picture_in_the_answer() -> None:
    body = sse(
        chunk(
            {"text": "See"},
            {"inlineData": {"mimeType": "image/png", "data": PIXEL}, "thoughtSignature": SIGNATURE},
            {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
            finish="STOP",
        )
    )
    _, image, sound = run(body).done.message.parts
    assert isinstance(image, Image) and (image.data, image.media_type) == (PIXEL, "image/png")
    assert isinstance(sound, Opaque) and sound.kind == "inlineData"


def test_an_emoji_cut_between_its_escapes() -> None:
    body = sse(chunk({"text": "A"}), chunk({"text": "B"}, finish="STOP"))
    out = run(body.replace(b'"A"', b'"ok \\ud83d"').replace(b'"B"', b'"\\ude00!"'))
    assert out.done.message.text == "ok 😀!"


@pytest.mark.parametrize(
    ("vendor", "ours"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("OTHER", "stop"),
        ("FINISH_REASON_UNSPECIFIED", "stop"),
        ("TOO_MANY_TOOL_CALLS", "stop"),
        ("BRAND_NEW", "stop"),
        *(
            (name, "content_filter")
            for name in ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII")
        ),
        *(
            (name, "content_filter")
            for name in ("MODEL_ARMOR", "ESCALATION", "IMAGE_SAFETY", "IMAGE_RECITATION")
        ),
    ],
)
def test_finish_reasons(vendor: str, ours: str) -> None:
    out = run(sse(chunk({"text": "x"}, finish=vendor)))
    assert out.done.stop_reason == ours
    assert any(isinstance(event, Notice) for event in out.events) == (ours == "content_filter")


@pytest.mark.parametrize(
    ("reason", "expected", "retryable"),
    [
        ("MALFORMED_FUNCTION_CALL", MalformedResponseError, True),
        ("MALFORMED_RESPONSE", MalformedResponseError, True),
        ("UNEXPECTED_TOOL_CALL", MalformedResponseError, True),
        ("MISSING_THOUGHT_SIGNATURE", InvalidRequestError, False),
        ("PUP_LIMITED_DISABLED", PermissionDeniedError, False),
    ],
)
def test_finish_reasons_that_are_errors(reason: str, expected: type[ProviderError], retryable: bool) -> None:
    with pytest.raises(expected) as caught:
        run(sse(chunk({"text": "so far"}), chunk(finish=reason)))
    assert caught.value.retryable is retryable
    assert caught.value.code == reason
    assert caught.value.partial is not None and caught.value.partial.text == "so far"


def test_a_blocked_prompt() -> None:
    with pytest.raises(ContentFilterError, match="PROHIBITED_CONTENT") as caught:
        run(sse({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **usage()}))
    assert caught.value.retryable is False


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_error_in_the_stream(wrapped: bool) -> None:
    error: Any = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    decoder = wire.decoder(PRO, PROVIDER)
    decoder.feed(WireEvent("", chunk({"text": "Par"})))
    with pytest.raises(OverloadedError) as caught:
        decoder.feed(WireEvent("", [error] if wrapped else error))
    assert caught.value.partial is not None and caught.value.partial.text == "Par"
    assert caught.value.status == 503 and caught.value.provider == "gemini"


def test_a_whole_answer_decodes_to_the_same() -> None:
    body = chunk(
        {"text": "Hm.", "thought": True},
        {"text": "Yes."},
        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "1"}, "thoughtSignature": SIGNATURE},
        finish="STOP",
        **usage(candidatesTokenCount=3),
    )
    events = wire.decode_complete(body, PRO, PROVIDER)
    check_events(events)
    assert events[-1] == run(sse(body)).done


def test_a_stream_that_came_as_one_list() -> None:
    pieces = [event.data for event in wire_events([SIGNED_TEXT])]
    assert wire.decode_complete(pieces, PRO, PROVIDER)[-1] == run(SIGNED_TEXT).done  # type: ignore[arg-type]


def test_a_whole_answer_that_is_none() -> None:
    with pytest.raises(OverloadedError):
        wire.decode_complete({"error": {"code": 503, "status": "UNAVAILABLE"}}, PRO, PROVIDER)
    with pytest.raises(ContentFilterError):
        wire.decode_complete({"promptFeedback": {"blockReason": "SAFETY"}}, PRO, PROVIDER)
    for body in ({}, {"candidates": []}, {"choices": []}, []):
        with pytest.raises(MalformedResponseError):
            wire.decode_complete(body, PRO, PROVIDER)


# --------------------------------------------------------------------------------- the recorded streams

SHARED = "streams/gemini"


def test_recorded_streams_whole_by_byte_and_at_random_cuts() -> None:
    for path in recorded(shared(SHARED)):
        body = path.read_bytes()
        expected = json.loads(path.with_suffix(".expected.json").read_text(encoding="utf-8"))
        whole = run(body)
        message = whole.done.message
        assert message.text == expected["text"], path.name
        assert whole.joined(ThinkingDelta) == expected["thinking"], path.name
        assert simple_calls(message) == expected["tool_calls"], path.name
        assert expected["stop"] == "STOP"
        assert whole.done.stop_reason == ("tool_calls" if expected["tool_calls"] else "stop"), path.name
        numbers = {name: value or 0 for name, value in expected["usage"].items()}
        assert whole.done.usage == Usage(
            numbers["input"],
            numbers["output"] + numbers["reasoning"],
            cache_read=numbers["cache_read"],
            reasoning=numbers["reasoning"],
        ), path.name
        by_byte = (body[i : i + 1] for i in range(len(body)))
        assert decode(wire.decoder(PRO, PROVIDER), by_byte).events == whole.events, path.name
        generator = random.Random(path.name)
        for _ in range(8):
            pieces = cuts(body, (generator.randrange(len(body)) for _ in range(20)))
            assert decode(wire.decoder(PRO, PROVIDER), pieces).events == whole.events, path.name


def test_recorded_streams_cut_short() -> None:
    for path in recorded(shared(SHARED)):
        assert_interrupted_before_the_marker(path.read_bytes(), 11)


def plain_parts(body: bytes) -> list[dict[str, Any]]:
    """The parts of a stream as they came, runs of unsigned text joined and summaries left out."""
    out: list[dict[str, Any]] = []
    for event in wire_events([body]):
        for candidate in event.data.get("candidates", ()):
            for part in candidate.get("content", {}).get("parts", ()):
                if part.get("thought") or part == {"text": ""}:
                    continue
                if set(part) == {"text"} and out and set(out[-1]) == {"text"}:
                    out[-1] = {"text": out[-1]["text"] + part["text"]}
                else:
                    out.append(part)
    return out


def test_recorded_answers_are_replayed_as_they_came() -> None:
    for path in recorded(shared(SHARED)):
        body = path.read_bytes()
        answer = decode(wire.decoder(FLASH, PROVIDER), [body]).done.message
        (content,) = encode(answer, model=FLASH)["contents"]
        if b"partialArgs" in body:  # goes back whole
            calls = [part["functionCall"] for part in content["parts"]]
            assert calls == simple_calls(answer) or [c["args"] for c in calls] == [
                c["arguments"] for c in simple_calls(answer)
            ]
            continue
        assert content == {"role": "model", "parts": plain_parts(body)}, path.name


@pytest.mark.parametrize("name", ["text_trailing_signature", "thought_parallel_tools", "safety"])
def test_reference_fixtures(name: str) -> None:
    body = shared(f"reference/wire/fixtures/gemini_{name}.sse").read_bytes()
    out = run(body)
    wanted = {"thought_parallel_tools": "tool_calls", "safety": "content_filter"}.get(name, "stop")
    assert out.done.stop_reason == wanted
    assert_interrupted_before_the_marker(body, 3)
    assert encode(out.done.message)["contents"][0]["parts"] == plain_parts(body)


@pytest.mark.parametrize(
    ("name", "expected", "partial"),
    [
        ("error_midstream", OverloadedError, "Par"),
        ("malformed_call", MalformedResponseError, ""),
        ("prompt_blocked", ContentFilterError, ""),
    ],
)
def test_reference_error_fixtures(name: str, expected: type[ProviderError], partial: str) -> None:
    body = shared(f"reference/wire/fixtures/gemini_{name}.sse").read_bytes()
    with pytest.raises(expected) as caught:
        run(body)
    assert caught.value.partial is not None and caught.value.partial.text == partial


# ------------------------------------------------------------------------------------------- encoding

TOOLS = (
    ToolSpec("run_cell", "Run Python.", {"type": "object", "properties": {"code": {"type": "string"}}}),
    ToolSpec("list_files", "List files.", {}),
)


def validate(body: dict[str, Any]) -> dict[str, Any]:
    """``body``, each field of it checked by the SDK's type for it; those types forbid unknown fields."""
    fields: dict[str, Any] = {
        "systemInstruction": sdk.Content,
        "toolConfig": sdk.ToolConfig,
        "generationConfig": sdk.GenerationConfig,
    }
    lists: dict[str, Any] = {"contents": sdk.Content, "tools": sdk.Tool, "safetySettings": sdk.SafetySetting}
    assert set(body) <= {*fields, *lists}
    for name, kind in fields.items():
        if name in body:
            kind.model_validate(body[name])
    for name, kind in lists.items():
        for entry in body.get(name, ()):
            kind.model_validate(entry)
    for content in body["contents"]:
        assert content["role"] in ("user", "model") and content["parts"]
    json.dumps(body).encode("utf-8")
    return body


def test_the_check_itself_refuses() -> None:
    good = encode(Message.user("x"))
    validate(good)
    for spoil in (
        {"contents": [{"role": "user", "parts": [{"txt": "x"}]}]},
        {"generationConfig": {"thinkingConfig": {"thinking_levels": "high"}}},
        {"tools": [{"functionDeclarations": [{"name": "f", "schema": {}}]}]},
    ):
        with pytest.raises(ValidationError):
            validate({**good, **spoil})


def conversation() -> tuple[Message, ...]:
    """All kinds of parts, with recorded answers in the middle."""
    return (
        Message.user("What is this?", Image(PIXEL, "image/png")),
        run(PARALLEL).done.message,
        Message("tool", (ToolResult("fc2", (Text("denied"),), is_error=True),)),
        Message("tool", (ToolResult("fc1", (Text("a int 3"), Image(PIXEL, "image/png"))),)),
        run(TRAILING).done.message,
        Message.user("Compute."),
        run(CODE).done.message,
        Message.user("Again."),
        run(SIGNED_TEXT).done.message,
    )


def test_a_conversation_with_every_kind_of_part() -> None:
    request = Request(
        conversation(), system="You are a notebook agent.", tools=TOOLS, thinking="high", max_tokens=99
    )
    body = validate(wire.encode(request, PRO, PROVIDER, stream=True))
    assert body == wire.encode(request, PRO, PROVIDER, stream=False)
    assert body["systemInstruction"] == {"parts": [{"text": "You are a notebook agent."}]}
    assert body["generationConfig"] == {
        "maxOutputTokens": 99,
        "thinkingConfig": {"thinkingLevel": "high", "includeThoughts": True},
    }
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}
    declared = body["tools"][0]["functionDeclarations"]
    assert [entry["name"] for entry in declared] == ["run_cell", "list_files"]
    assert declared[1]["parametersJsonSchema"] == {"type": "object", "properties": {}}
    contents = body["contents"]
    assert [content["role"] for content in contents] == ["user", "model", "user"] + ["model", "user"] * 2 + [
        "model"
    ]
    assert [set(part) for part in contents[0]["parts"]] == [{"text"}, {"inlineData"}]
    assert contents[1]["parts"] == plain_parts(PARALLEL)
    assert contents[2]["parts"] == [
        {
            "functionResponse": {
                "name": "run_cell",
                "id": "fc1",
                "response": {"output": "a int 3"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}],
            }
        },
        {"functionResponse": {"name": "list_files", "id": "fc2", "response": {"error": "denied"}}},
    ]
    assert contents[3]["parts"] == plain_parts(TRAILING)
    assert contents[5]["parts"] == plain_parts(CODE)
    assert contents[7]["parts"] == plain_parts(SIGNED_TEXT)


def test_signatures_go_back_only_to_who_made_them() -> None:
    """Another route or model refuses them; its calls get the documented stand-in."""
    for provider, model in ((VERTEX, PRO), (PROVIDER, ModelSpec("gemini-3.8-flash"))):
        body = validate(encode(*conversation(), provider=provider, model=model))
        flat = json.dumps(body)
        assert SIGNATURE not in flat and SECOND not in flat
        calls = [part for content in body["contents"] for part in content["parts"] if "functionCall" in part]
        assert [part.get("thoughtSignature") for part in calls] == [DUMMY, None]
        assert ("executableCode" in flat) is (provider is PROVIDER)
        assert "It is always so." in flat
        assert ('"fc1"' in flat) is (provider is PROVIDER)
    old = encode(*conversation(), model=ModelSpec("gemini-2.5-pro"))
    assert "thoughtSignature" not in json.dumps(old)


def test_each_step_of_a_foreign_history_has_one_stand_in() -> None:
    body = validate(
        encode(
            Message.user("go"),
            Message(
                "assistant", (Text("I look."), ToolCall("toolu_1", "f", {"a": 1}), ToolCall("toolu_2", "f"))
            ),
            Message("tool", (ToolResult("toolu_1"), ToolResult("toolu_2"))),
            Message("assistant", (ToolCall("toolu_3", "g"),)),
            Message("tool", (ToolResult("toolu_3", (Text("x"),)),)),
        )
    )
    _, first, results, second, last = body["contents"]
    assert [part.get("thoughtSignature") for part in first["parts"]] == [None, DUMMY, None]
    assert second["parts"][0]["thoughtSignature"] == DUMMY
    assert [part["functionResponse"]["name"] for part in results["parts"]] == ["f", "f"]
    assert last["parts"] == [{"functionResponse": {"name": "g", "response": {"output": "x"}}}]
    assert "toolu" not in json.dumps(body)


def test_images_in_results_before_gemini_3() -> None:
    body = validate(
        encode(
            Message.user("go"),
            Message("assistant", (ToolCall("a", "plot"),)),
            Message("tool", (ToolResult("a", (Image(PIXEL, "image/png"),)),)),
            model=FLASH,
        )
    )
    _, _, results, images = body["contents"]
    assert results["parts"][0]["functionResponse"] == {
        "name": "plot",
        "response": {"output": "(see the image)"},
    }
    assert images["role"] == "user" and set(images["parts"][1]) == {"inlineData"}


def test_a_text_that_no_longer_fits_its_signatures_goes_unsigned() -> None:
    (part,) = run(SIGNED_TEXT).done.message.parts
    edited = Message("assistant", (Text("Shorter.", part.provider_metadata),))
    assert encode(edited)["contents"][0]["parts"] == [{"text": "Shorter."}]


def test_a_signed_summary_goes_back() -> None:
    body = sse(
        chunk({"text": "Hm, ", "thought": True}),
        chunk(
            {"text": "so.", "thought": True, "thoughtSignature": SIGNATURE}, {"text": "Yes."}, finish="STOP"
        ),
    )
    answer = run(body).done.message
    assert answer.thinking == "Hm, so." and answer.parts[0].signature == SIGNATURE
    assert encode(answer)["contents"][0]["parts"] == [
        {"text": "so.", "thought": True, "thoughtSignature": SIGNATURE},
        {"text": "Yes."},
    ]


def test_results_and_user_text_do_not_share_a_content() -> None:
    body = encode(
        Message.user("go"),
        Message("assistant", (ToolCall("a", "f"),)),
        Message("tool", (ToolResult("a"),)),
        Message.user("and now"),
        Message.user(""),
        Message("assistant", ()),
    )
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user", "user"]


def test_images_that_the_vendor_does_not_take_become_words() -> None:
    _, part = encode(Message.user("look", Image("R0lGODlh", "image/gif")))["contents"][0]["parts"]
    assert "image/gif" in part["text"]


def test_lone_surrogates_are_replaced() -> None:
    body = encode(Message.user("a\ud800b"), system="\udfff")
    json.dumps(body, ensure_ascii=False).encode("utf-8")
    assert body["contents"][0]["parts"][0]["text"] == "a\ufffdb"


def test_the_prompt_goes_out_byte_for_byte() -> None:
    prompt = " {x} $y %z \\ \t'?'\r\n\x00é✅ ?"
    assert encode(Message.user(prompt))["contents"][0]["parts"] == [{"text": prompt}]


@pytest.mark.parametrize(
    ("model", "level", "config"),
    [
        (PRO, None, None),
        (PRO, "min", {"thinkingLevel": "low", "includeThoughts": True}),
        (PRO, "medium", {"thinkingLevel": "medium", "includeThoughts": True}),
        (PRO, "max", {"thinkingLevel": "high", "includeThoughts": True}),
        (FLASH, "min", {"thinkingBudget": 0, "includeThoughts": False}),
        (FLASH, "low", {"thinkingBudget": 0, "includeThoughts": False}),
        (FLASH, "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        (FLASH, "max", {"thinkingBudget": -1, "includeThoughts": True}),
        (ModelSpec("gemini-9"), "high", None),
    ],
)
def test_thinking_levels(model: ModelSpec, level: Any, config: dict[str, Any] | None) -> None:
    body = validate(encode(Message.user("x"), model=model, thinking=level))
    assert body.get("generationConfig", {}).get("thinkingConfig") == config


@pytest.mark.parametrize(
    ("display", "level", "config"),
    [
        ("off", "high", {"thinkingLevel": "high", "includeThoughts": False}),
        ("off", None, None),
        ("concise", None, {"includeThoughts": True}),
        ("detailed", None, {"includeThoughts": True}),
        ("detailed", "high", {"thinkingLevel": "high", "includeThoughts": True}),
    ],
)
def test_thinking_display(display: Any, level: Any, config: dict[str, Any] | None) -> None:
    provider = ProviderSpec("g", "G", "Gemini", thinking_display=display)
    body = validate(encode(Message.user("x"), provider=provider, thinking=level))
    assert body.get("generationConfig", {}).get("thinkingConfig") == config


def test_models_that_do_not_think_are_not_asked_for_thoughts() -> None:
    provider = ProviderSpec("g", "G", "Gemini", thinking_display="detailed")
    assert "generationConfig" not in encode(
        Message.user("x"), model=ModelSpec("gemma-3-27b-it"), provider=provider
    )


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("run_cell", {"mode": "ANY", "allowedFunctionNames": ["run_cell"]}),
    ],
)
def test_tool_choice(choice: str, sent: dict[str, Any]) -> None:
    body = validate(encode(Message.user("x"), tools=TOOLS, tool_choice=choice))
    assert body["toolConfig"]["functionCallingConfig"] == sent
    assert "toolConfig" not in encode(Message.user("x"), tool_choice=choice)


def test_sampling_and_stops() -> None:
    model = ModelSpec("gemini-3", temperature=0.5, top_p=0.9, top_k=40, max_tokens=7, stop_sequences=("END",))
    assert validate(encode(Message.user("x"), model=model))["generationConfig"] == {
        "maxOutputTokens": 7,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "stopSequences": ["END"],
    }
    assert "generationConfig" not in encode(Message.user("x"))


def test_extra_body_keeps_off_what_is_ours() -> None:
    safety = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "threshold": "BLOCK_NONE"}]
    extra = {"contents": [], "generationConfig": {"temperature": 2}, "safetySettings": safety}
    body = validate(encode(Message.user("x"), provider=ProviderSpec("p", "P", "Gemini", extra_body=extra)))
    assert body["contents"] and "generationConfig" not in body and body["safetySettings"] == safety


def test_schemas_are_put_into_the_known_subset() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "title": "T",
        "definitions": {
            "Point": {"type": "object", "properties": {"x": {"type": "number", "exclusiveMinimum": 0}}}
        },
        "properties": {
            "pattern": {"type": "string", "pattern": "^a+$", "description": "letters", "examples": ["a"]},
            "kind": {"const": "fixed"},
            "point": {"$ref": "#/definitions/Point"},
            "either": {"oneOf": [{"type": "string", "format": "uri"}, {"type": "null"}]},
            "both": {"allOf": [{"type": "object", "required": ["a"]}, {"required": ["b"]}]},
            "when": {"type": "string", "format": "date-time", "default": "now"},
            "free": {"type": "object", "additionalProperties": {"type": "string", "minLength": 2}},
        },
        "required": ["pattern"],
    }
    assert gemini_schema(schema) == {
        "type": "object",
        "title": "T",
        "properties": {
            "pattern": {"type": "string", "description": "letters (matches the regular expression ^a+$)"},
            "kind": {"enum": ["fixed"]},
            "point": {"$ref": "#/$defs/Point"},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "both": {"type": "object", "required": ["a", "b"]},
            "when": {"type": "string", "format": "date-time"},
            "free": {
                "type": "object",
                "additionalProperties": {"type": "string", "description": "characters, at least: 2"},
            },
        },
        "required": ["pattern"],
        "$defs": {
            "Point": {
                "type": "object",
                "properties": {"x": {"type": "number", "description": "greater than 0"}},
            }
        },
    }


# --------------------------------------------------------------------------------------------- address


@pytest.mark.parametrize(
    ("base", "model", "url"),
    [
        (
            "https://generativelanguage.googleapis.com/v1beta",
            "gemini-3.1-pro-preview",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.1-pro-preview:streamGenerateContent?alt=sse",
        ),
        (
            "https://aiplatform.googleapis.com/v1/publishers/google/",
            "gemini-3.1-pro-preview",
            "https://aiplatform.googleapis.com/v1/publishers/google/models/gemini-3.1-pro-preview:streamGenerateContent?alt=sse",
        ),
        ("http://h/v1/models", "models/m", "http://h/v1/models/m:streamGenerateContent?alt=sse"),
        (
            "http://h/v1?key=a%26b",
            "m?x#y",
            "http://h/v1/models/m%3Fx%23y:streamGenerateContent?key=a%26b&alt=sse",
        ),
    ],
)
def test_url(base: str, model: str, url: str) -> None:
    assert wire.url(base, ModelSpec(model), stream=True) == url
    whole = url.replace("streamGenerateContent", "generateContent")
    whole = whole.replace("?alt=sse", "").replace("&alt=sse", "")
    assert wire.url(base, ModelSpec(model), stream=False) == whole


def test_headers() -> None:
    assert wire.headers(Request(()), PRO, PROVIDER) == {}
    assert wire.style == PROVIDER.wire_style


# ----------------------------------------------------------------------------------------- any input

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**6) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_PIECE = st.fixed_dictionaries(
    {},
    optional={
        "jsonPath": st.sampled_from(["$.a", "$.a.b", "$.a[0]", "$['x y']", "$.a[7]", "$..", "$"]) | _JSON,
        "stringValue": st.text(max_size=4) | _JSON,
        "numberValue": _JSON,
        "willContinue": st.booleans() | _JSON,
    },
)
_FUNCTION = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["f", "g", ""]) | _JSON,
        "id": _JSON,
        "args": _JSON,
        "partialArgs": st.lists(_PIECE | _JSON, max_size=3) | _JSON,
        "willContinue": st.booleans() | _JSON,
    },
)
_PART = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(["", "a", "é", "\ud83d", "\ude00"]) | _JSON,
        "thought": st.booleans() | _JSON,
        "thoughtSignature": st.sampled_from(["c2ln", ""]) | _JSON,
        "functionCall": _FUNCTION | _JSON,
        "inlineData": st.fixed_dictionaries({"mimeType": st.just("image/png"), "data": _JSON}) | _JSON,
        "executableCode": _JSON,
    },
)
_CANDIDATE = st.fixed_dictionaries(
    {},
    optional={
        "content": st.fixed_dictionaries({}, optional={"parts": st.lists(_PART | _JSON, max_size=3) | _JSON})
        | _JSON,
        "finishReason": st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "MALFORMED_RESPONSE"]) | _JSON,
        "finishMessage": _JSON,
    },
)
_CHUNK = _JSON | st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(_CANDIDATE | _JSON, max_size=2) | _JSON,
        "usageMetadata": st.dictionaries(st.sampled_from(["promptTokenCount", "thoughtsTokenCount"]), _JSON)
        | _JSON,
        "promptFeedback": _JSON,
        "responseId": _JSON,
        "error": _JSON,
    },
)


@given(st.lists(_CHUNK, max_size=8))
def test_no_sequence_of_events_breaks_the_decoder(chunks: list[Any]) -> None:
    decoder = wire.decoder(PRO, PROVIDER)
    out: list[Any] = []
    try:
        for data in chunks:
            out += decoder.feed(WireEvent("", data))
        out += decoder.close()
    except AnteError:
        return
    check_events(out)
    answer = out[-1].message
    assert Message.from_dict(answer.to_dict()) == answer
    for provider in (PROVIDER, VERTEX):
        encode(Message.user("x"), answer, provider=provider)


@given(_CHUNK)
def test_no_body_breaks_the_whole_decoder(body: Any) -> None:
    if not isinstance(body, dict):
        return
    try:
        check_events(wire.decode_complete(body, PRO, PROVIDER))
    except AnteError:
        pass


@given(st.recursive(_JSON, lambda inner: st.dictionaries(
    st.sampled_from(["properties", "items", "allOf", "oneOf", "anyOf", "const", "$ref", "type", "definitions"]),
    inner | st.lists(inner, max_size=2), max_size=4), max_leaves=8))  # fmt: skip
def test_no_schema_breaks_the_encoder(schema: Any) -> None:
    gemini_schema(schema)
