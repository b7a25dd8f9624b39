"""OpenAI Responses, the incoming half: recorded streams, cut streams, errors, and anything at all."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.responses import ALL, MODEL, OPENAI, OWN, decode, wire_events
from support.shared import shared

from ante_nb.errors import (
    AnteError,
    ContentFilterError,
    ContextOverflowError,
    InvalidRequestError,
    MalformedResponseError,
    ProviderError,
    QuotaError,
    RateLimitError,
    RequestCancelledError,
    ServerError,
    StreamInterruptedError,
)
from ante_nb.messages import (
    Done,
    Message,
    Opaque,
    Text,
    TextDelta,
    TextEnd,
    Thinking,
    ThinkingDelta,
    ThinkingEnd,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    UsageUpdate,
)
from ante_nb.providers.wires.base import WireEvent
from ante_nb.providers.wires.openai_responses import wire

if TYPE_CHECKING:
    from pathlib import Path

TERMINAL = {"response.completed", "response.done", "response.incomplete", "response.failed", "error"}
SEED = int(os.environ.get("ANTE_SEED", "20261122"))


def ev(kind: str, **fields: Any) -> WireEvent:
    return WireEvent(kind, {"type": kind, **fields})


def message_item(text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": content, **more}


COMPLETED = ev("response.completed", response={"id": "resp_1", "status": "completed", "output": []})


# ------------------------------------------------------------------------------------ whole streams


def check(path: Path, events: list[WireEvent]) -> None:
    expected = json.loads(path.with_name(path.stem + ".expected.json").read_text(encoding="utf-8"))
    if expected["error"]:
        with pytest.raises(ProviderError) as caught:
            decode(events)
        error = expected["error"]
        assert caught.value.partial is not None
        assert caught.value.partial.text == expected["text"]
        if isinstance(error, dict):
            assert caught.value.code == error["code"]
        else:
            assert type(caught.value).__name__ == error
        return
    out = decode(events)
    done = out[-1]
    assert isinstance(done, Done)
    message = done.message
    assert message.text == expected["text"]
    assert message.thinking == expected["thinking"]
    calls = [{"name": call.name, "arguments": call.arguments} for call in message.tool_calls]
    assert calls == expected["tool_calls"]
    assert [call.invalid for call in message.tool_calls if call.invalid] == expected.get("invalid", [])
    stop = expected["stop"]
    assert done.stop_reason == ("tool_calls" if calls else "stop") if stop == "completed" else stop
    assert done.usage is not None
    for name, tokens in expected["usage"].items():
        assert getattr(done.usage, name) == (tokens or 0), name
    assert [event.usage for event in out if isinstance(event, UsageUpdate)][-1] == done.usage
    # What a person has seen is what the message says, and every end event carries its part.
    assert "".join(event.text for event in out if isinstance(event, TextDelta)) == message.text
    ends = [event.part for event in out if isinstance(event, TextEnd | ThinkingEnd | ToolCallEnd)]
    shown = [part for part in message.parts if not isinstance(part, Opaque)]
    assert sorted(map(repr, ends)) == sorted(map(repr, shown))
    started = {event.index: event for event in out if isinstance(event, ToolCallStart)}
    for event in out:
        if isinstance(event, ToolCallEnd):
            assert (started[event.index].id, started[event.index].name) == (event.part.id, event.part.name)
            pieces = [x.arguments for x in out if isinstance(x, ToolCallDelta) and x.index == event.index]
            if event.part.invalid is None:
                assert json.loads("".join(pieces) or "{}") == event.part.arguments
    assert (message.provider, message.wire, message.model) == ("openai", "OpenAiResponse", "gpt-5.4")
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == message


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_stream_decodes_to_what_was_said(path: Path) -> None:
    check(path, wire_events([path.read_bytes()], ended=True))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_stream_cut_into_chunks_decodes_the_same(path: Path) -> None:
    data = path.read_bytes()
    whole = wire_events([data], ended=True)
    if len(data) < 20_000:
        assert wire_events([data[i : i + 1] for i in range(len(data))], ended=True) == whole
    chance = random.Random(f"{SEED}{path.stem}")
    for _ in range(3):
        cuts = sorted(chance.sample(range(len(data)), 40))
        chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert wire_events(chunks, ended=True) == whole
    check(path, whole)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_stream_cut_before_its_end_is_no_answer(path: Path) -> None:
    data = path.read_bytes()
    chance = random.Random(f"{SEED}{path.stem}")
    cuts = {1, len(data) // 5, len(data) * 3 // 5, *chance.sample(range(len(data)), min(60, len(data) // 20))}
    broken = 0
    for cut in sorted(cuts):
        for ended in (True, False):
            events = wire_events([data[:cut]], ended=ended)
            last = events[-1] if events else None
            if last is not None and (last.name == "[DONE]" or last.data["type"] in TERMINAL):
                continue  # the terminal marker has come: this is a whole answer (or the error itself)
            if any(event.data and event.data["type"] in ("error", "response.failed") for event in events):
                continue
            with pytest.raises(StreamInterruptedError) as caught:
                decode(events)
            assert caught.value.partial is not None
            assert not caught.value.partial.tool_calls
            broken += 1
    assert broken


def test_there_are_recordings_of_every_vendor() -> None:
    names = [path.name for path in shared("streams/openai-responses").glob("*.sse")]
    assert len(names) >= 30
    assert any("xai" in name for name in names)


@pytest.mark.parametrize(
    ("name", "stop", "text"),
    [
        ("openai_responses_text", "stop", "There are 3 frames."),
        ("openai_responses_tool", "tool_calls", ""),
        ("xai_responses_tool", "tool_calls", ""),
        ("openai_responses_incomplete", "length", "Cut off he"),
        ("openai_responses_refusal", "refusal", "I can't help with that."),
    ],
)
def test_reference_fixtures(name: str, stop: str, text: str) -> None:
    path = shared(f"reference/wire/fixtures/{name}.sse")
    done = decode(wire_events([path.read_bytes()], ended=True))[-1]
    assert (done.stop_reason, done.message.text) == (stop, text)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("openai_responses_failed", RateLimitError), ("openai_responses_error_event", ServerError)],
)
def test_reference_error_fixtures(name: str, kind: type[ProviderError]) -> None:
    path = shared(f"reference/wire/fixtures/{name}.sse")
    with pytest.raises(kind):
        decode(wire_events([path.read_bytes()], ended=True))


# ----------------------------------------------------------------------------------------- the rules


def own(name: str) -> list[WireEvent]:
    return wire_events([(OWN / f"{name}.sse").read_bytes()], ended=True)


def test_the_last_event_of_an_open_channel_waits_for_close() -> None:
    """A WebSocket has no end of body: it closes the decoder when the terminal marker was seen."""
    decoder = wire.decoder(MODEL, OPENAI)
    for event in own("openai_reasoning_two_calls"):
        assert not decoder.ended
        assert not any(isinstance(out, Done) for out in decoder.feed(event))
    assert decoder.ended
    assert not decoder.finished
    (done,) = decoder.close()
    assert isinstance(done, Done)
    assert decoder.finished
    assert not decoder.ended


def test_the_done_sentinel_ends_the_answer_but_is_no_marker() -> None:
    decoder = wire.decoder(MODEL, OPENAI)
    assert list(decoder.feed(WireEvent("[DONE]", None))) == []
    with pytest.raises(StreamInterruptedError):
        decoder.close()
    decoder = wire.decoder(MODEL, OPENAI)
    out = [event for item in own("xai_call_done_sentinel") for event in decoder.feed(item)]
    assert isinstance(out[-1], Done)
    assert decoder.finished


def test_what_a_continuation_needs_is_there() -> None:
    decoder = wire.decoder(MODEL, OPENAI)
    events = own("openai_reasoning_two_calls")
    out = [event for item in events for event in decoder.feed(item)]
    out += decoder.close()
    assert decoder.response_id == "resp_1"
    assert decoder.continuable
    assert decoder.output_items == events[-1].data["response"]["output"]
    parts = out[-1].message.parts
    assert {(part.provider_metadata or {})["response"] for part in parts} == {"resp_1"}


def test_an_incomplete_response_is_not_continued() -> None:
    decoder = wire.decoder(MODEL, OPENAI)
    for event in own("openai_cut_in_call"):
        decoder.feed(event)
    assert decoder.ended
    assert not decoder.continuable


def test_the_ciphertext_is_the_whole_one() -> None:
    done = decode(own("openai_reasoning_two_calls"))[-1]
    thinking = done.message.parts[0]
    assert isinstance(thinking, Thinking)
    assert thinking.signature == "gAAAwhole=="
    assert not thinking.redacted
    hidden = decode(own("chatgpt_empty_output"))[-1].message.parts[0]
    assert isinstance(hidden, Thinking)
    assert (hidden.text, hidden.signature, hidden.redacted) == ("", "gAAAonly", True)


def test_reasoning_without_its_whole_item_is_not_signed() -> None:
    """The ciphertext of the announcement may be cut."""
    added = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAApartial"}
    done = decode([ev("response.output_item.added", output_index=0, item=added), COMPLETED])[-1]
    assert done.message.parts[0].signature is None


def test_nothing_needs_to_be_announced() -> None:
    done = decode(
        [
            ev("response.reasoning_summary_text.delta", output_index=0, delta="Hm."),
            ev("response.output_text.delta", output_index=1, content_index=0, delta="Yes"),
            ev("response.function_call_arguments.delta", output_index=2, item_id="fc", delta='{"a":'),
            ev(
                "response.function_call_arguments.done",
                output_index=2,
                item_id="fc",
                name="Read",
                arguments='{"a":1}',
            ),
            COMPLETED,
        ]
    )[-1]
    thinking, text, call = done.message.parts
    assert (thinking.text, text.text, call.name, call.arguments) == ("Hm.", "Yes", "Read", {"a": 1})
    assert call.id


def test_events_without_numbers_go_by_id_or_to_what_is_open() -> None:
    done = decode(
        [
            ev(
                "response.output_item.added",
                item={"id": "m", "type": "message", "role": "assistant", "content": []},
            ),
            ev("response.output_text.delta", item_id="m", delta="one "),
            ev("response.output_text.delta", delta="two"),
            ev("response.output_item.done", item=message_item("one two", id="m")),
            COMPLETED,
        ]
    )[-1]
    assert done.message.text == "one two"
    assert len(done.message.parts) == 1


def test_an_answer_that_comes_only_at_the_end_is_whole() -> None:
    call = {"id": "fc", "type": "function_call", "call_id": "c", "name": "Read", "arguments": '{"a":1}'}
    response = {"id": "r", "status": "completed", "output": [message_item("All at once."), call]}
    out = decode([ev("response.created", response={"id": "r"}), ev("response.completed", response=response)])
    assert out[-1].message.text == "All at once."
    assert [event.text for event in out if isinstance(event, TextDelta)] == ["All at once."]
    assert [event.arguments for event in out if isinstance(event, ToolCallDelta)] == ['{"a":1}']


def test_the_final_list_adds_nothing_twice_when_ids_rotate() -> None:
    done = decode(
        [
            ev("response.output_item.added", output_index=1, item=message_item("", id="a1", content=[])),
            ev("response.output_text.delta", output_index=1, content_index=0, item_id="a2", delta="Once."),
            ev(
                "response.completed",
                response={"status": "completed", "output": [message_item("Once.", id="a3")]},
            ),
        ]
    )[-1]
    assert done.message.text == "Once."


def test_what_the_deltas_left_out_follows_them() -> None:
    out = decode(
        [
            ev("response.output_item.added", output_index=0, item=message_item("", content=[])),
            ev("response.output_text.delta", output_index=0, content_index=0, delta="Half "),
            ev("response.output_item.done", output_index=0, item=message_item("Half and half.")),
            COMPLETED,
        ]
    )
    assert [event.text for event in out if isinstance(event, TextDelta)] == ["Half ", "and half."]


def test_sections_of_a_summary_are_paragraphs_without_an_announcement() -> None:
    out = decode(
        [
            ev("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="One."),
            ev("response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="Two."),
            COMPLETED,
        ]
    )
    assert "".join(event.text for event in out if isinstance(event, ThinkingDelta)) == "One.\n\nTwo."
    assert out[-1].message.thinking == "One.\n\nTwo."


def test_items_are_ordered_as_the_vendor_numbers_them() -> None:
    reasoning = {
        "id": "rs",
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm"}],
    }
    done = decode(
        [
            ev("response.output_item.done", output_index=1, item=message_item("4")),
            ev("response.output_item.done", output_index=0, item=reasoning),
            COMPLETED,
        ]
    )[-1]
    assert [type(part) for part in done.message.parts] == [Thinking, Text]


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("max_output_tokens", "length"),
        ("content_filter", "content_filter"),
        ("max_messages", "length"),
        ("something_new", "length"),
        (None, "length"),
    ],
)
def test_incomplete_reasons(reason: str | None, stop: str) -> None:
    details = {"reason": reason} if reason else None
    response = {"status": "incomplete", "incomplete_details": details, "output": []}
    done = decode([ev("response.incomplete", response=response)])[-1]
    assert done.stop_reason == stop
    assert done.usage is None


def test_a_call_without_its_end_is_not_run_when_the_answer_was_cut() -> None:
    item = {"id": "fc", "type": "function_call", "call_id": "c", "name": "Bash", "arguments": ""}
    events = [
        ev("response.output_item.added", output_index=0, item=item),
        ev("response.function_call_arguments.delta", output_index=0, delta='{"command":"rm -r a"}'),
    ]
    cut = decode([*events, ev("response.incomplete", response={"status": "incomplete"})])[-1]
    (call,) = cut.message.tool_calls
    assert call.invalid == '{"command":"rm -r a"}'
    assert call.arguments == {}
    (call,) = decode([*events, COMPLETED])[-1].message.tool_calls
    assert call.invalid is None
    assert call.arguments == {"command": "rm -r a"}


def test_a_second_response_in_the_body_belongs_to_the_answer() -> None:
    first = own("openai_reasoning_two_calls")
    second = own("chatgpt_empty_output")
    done = decode([*first, *second])[-1]
    assert done.message.text == "I read both files.Café ☕ is 3 €."
    assert len(done.message.tool_calls) == 2
    for length in range(2, len(second)):  # the first event there announces nothing
        with pytest.raises(StreamInterruptedError):
            decode([*first, *second[:length]])


def test_a_call_that_the_vendor_calls_incomplete_is_not_run() -> None:
    """Its arguments may parse all the same: a cut can fall behind a closing brace."""
    item = {
        "id": "fc",
        "type": "function_call",
        "call_id": "c",
        "name": "Bash",
        "arguments": '{"command":"ls"}',
    }
    done = ev("response.output_item.done", output_index=0, item={**item, "status": "incomplete"})
    (call,) = decode([done, ev("response.incomplete", response={"status": "incomplete"})])[
        -1
    ].message.tool_calls
    assert (call.arguments, call.invalid) == ({}, '{"command":"ls"}')


def test_what_follows_the_marker_changes_nothing() -> None:
    events = own("openai_refusal")
    late = ev("response.output_text.delta", output_index=0, content_index=0, delta="!")
    assert decode([*events, late])[-1] == decode(events)[-1]


def test_server_side_blocks_are_kept_verbatim() -> None:
    events = own("openai_web_search_bad_arguments")
    block = decode(events)[-1].message.parts[0]
    assert isinstance(block, Opaque)
    assert block.kind == "web_search_call"
    assert (block.provider_metadata or {})["block"] == events[3].data["item"]


# ------------------------------------------------------------------------------------------- errors


def response_failed(code: str, message: str) -> WireEvent:
    return ev("response.failed", response={"status": "failed", "error": {"code": code, "message": message}})


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (response_failed("server_error", "Sorry."), ServerError),
        (response_failed("rate_limit_exceeded", "Please try again in 2s."), RateLimitError),
        (response_failed("insufficient_quota", "Quota."), QuotaError),
        (response_failed("usage_not_included", "Plan."), QuotaError),
        (response_failed("context_length_exceeded", "Too long."), ContextOverflowError),
        (response_failed("invalid_prompt", "No."), InvalidRequestError),
        (response_failed("image_too_large", "No."), InvalidRequestError),
        (response_failed("bio_policy", "No."), ContentFilterError),
        (ev("response.cancelled", response={"status": "cancelled"}), RequestCancelledError),
        (ev("error", code="server_error", message="Flat."), ServerError),
        (ev("error", error={"code": "insufficient_quota", "message": "Nested."}), QuotaError),
        (ev("error", status=429, error={"type": "usage_limit_reached", "message": "x"}), QuotaError),
        (
            ev(
                "error",
                status=400,
                error={"type": "invalid_request_error", "code": "previous_response_not_found"},
            ),
            InvalidRequestError,
        ),
        (WireEvent("", {"error": {"message": "down", "code": "server_error"}}), ServerError),
        (
            WireEvent("", {"code": 'Some("x")', "error": "This model's maximum prompt length is 131072 but"}),
            ContextOverflowError,
        ),
        (WireEvent("error", {"message": "no type, only the name"}), ProviderError),
    ],
)
def test_errors_in_the_stream_are_typed(event: WireEvent, kind: type[ProviderError]) -> None:
    start = ev("response.output_text.delta", output_index=0, content_index=0, delta="So far")
    with pytest.raises(kind) as caught:
        decode([start, event])
    error = caught.value
    assert (error.provider, error.model) == ("openai", "gpt-5.4")
    assert error.partial is not None
    assert error.partial.text == "So far"


def test_a_policy_keeps_its_name() -> None:
    with pytest.raises(ContentFilterError) as caught:
        decode([response_failed("cyber_policy", "No.")])
    assert caught.value.code == "cyber_policy"


def test_rate_limit_tells_how_long() -> None:
    with pytest.raises(RateLimitError) as caught:
        decode(own("openai_failed_rate_limit"))
    assert caught.value.retry_after == pytest.approx(11.054)


def test_an_event_that_is_no_object_is_malformed() -> None:
    with pytest.raises(MalformedResponseError):
        decode([WireEvent("response.created", ["no", "object"])])


# ------------------------------------------------------------------------------------ without stream


@pytest.mark.parametrize("path", sorted(OWN.glob("openai_*.sse")), ids=lambda path: path.stem)
def test_a_whole_body_says_the_same_as_its_stream(path: Path) -> None:
    events = wire_events([path.read_bytes()], ended=True)
    body = events[-1].data.get("response")
    if body is None or body["status"] == "failed":
        pytest.skip("an error stream")
    items = [event.data["item"] for event in events if event.data["type"] == "response.output_item.done"]
    out = wire.decode_complete({**body, "output": items}, MODEL, OPENAI)
    assert out[-1] == decode(events)[-1]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"status": "failed", "error": {"code": "server_error", "message": "x"}, "output": []}, ServerError),
        ({"error": {"code": "insufficient_quota", "message": "x"}}, QuotaError),
        ({"status": "in_progress", "output": []}, MalformedResponseError),
        ({"choices": []}, MalformedResponseError),
        ([], MalformedResponseError),
        ({"status": "cancelled", "output": []}, RequestCancelledError),
    ],
)
def test_a_whole_body_that_is_no_answer(body: Any, kind: type[ProviderError]) -> None:
    with pytest.raises(kind):
        wire.decode_complete(body, MODEL, OPENAI)


# ---------------------------------------------------------------------------------------- properties

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from(
    [
        *wire.decoder(MODEL, OPENAI)._handlers,
        "response.content_part.added",
        "response.mcp_call.completed",
        "codex.rate_limits",
        "keepalive",
        "",
    ]
)
items = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "web_search_call"]) | json_values},
    optional={
        "id": st.sampled_from(["a", "b"]) | json_values,
        "call_id": st.sampled_from(["c1", "c2"]) | json_values,
        "name": st.just("Read") | json_values,
        "arguments": st.sampled_from(["{}", '{"a":1}', "{", "[]", "null"]) | json_values,
        "status": st.sampled_from(["completed", "incomplete"]) | json_values,
        "content": st.lists(st.fixed_dictionaries({"type": st.text(max_size=3), "text": st.text(max_size=4)}))
        | json_values,
        "summary": st.lists(st.fixed_dictionaries({"text": st.text(max_size=4)}), max_size=2) | json_values,
        "encrypted_content": json_values,
        "role": json_values,
    },
)
responses = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("resp_1") | json_values,
        "status": st.sampled_from(["completed", "incomplete", "failed"]) | json_values,
        "output": st.lists(items, max_size=3) | json_values,
        "usage": st.dictionaries(st.sampled_from(["input_tokens", "output_tokens_details"]), json_values)
        | json_values,
        "error": json_values,
        "incomplete_details": json_values,
    },
)
datas = st.fixed_dictionaries(
    {"type": kinds},
    optional={
        "output_index": st.integers(-1, 3) | json_values,
        "content_index": st.integers(0, 2) | json_values,
        "summary_index": st.integers(0, 2) | json_values,
        "item_id": st.sampled_from(["a", "b"]) | json_values,
        "delta": st.text(max_size=4) | json_values,
        "text": st.text(max_size=4) | json_values,
        "arguments": st.text(max_size=4) | json_values,
        "name": json_values,
        "item": items | json_values,
        "response": responses | json_values,
        "error": json_values,
        "status": st.sampled_from([429, 500]) | json_values,
        "headers": json_values,
    },
)


@given(st.lists(datas | json_values, max_size=12), st.booleans())
def test_no_events_at_all_break_the_decoder(events: list[Any], sentinel: bool) -> None:
    decoder = wire.decoder(MODEL, OPENAI)
    out: list[Any] = []
    try:
        for data in events:
            out += decoder.feed(WireEvent("", data))
            decoder.output_items, decoder.response_id, decoder.continuable  # noqa: B018
        if sentinel:
            out += decoder.feed(WireEvent("[DONE]", None))
        out += decoder.close()
    except AnteError as error:
        assert isinstance(error, ProviderError)
        assert isinstance(error.partial, Message)
        return
    assert isinstance(out[-1], Done)
    message = out[-1].message
    json.dumps(message.to_dict())
    wire.input_items([message], MODEL, OPENAI)


@given(responses | json_values)
def test_no_body_at_all_breaks_the_decoder(body: Any) -> None:
    try:
        out = wire.decode_complete(body, MODEL, OPENAI)
    except ProviderError:
        return
    assert isinstance(out[-1], Done)


@pytest.mark.parametrize("kind", [["response.completed"], {"a": 1}, 5, True])
def test_a_type_that_is_no_text_is_no_event(kind: Any) -> None:
    decoder = wire.decoder(MODEL, OPENAI)
    assert list(decoder.feed(WireEvent("", {"type": kind}))) == []
    with pytest.raises(ProviderError, match="boom"):
        decoder.feed(WireEvent("", {"type": kind, "error": {"message": "boom"}}))
