"""What vendors do differently in a Chat Completions stream."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.shared import shared

from ante_nb import errors as e
from ante_nb.messages import Done, Message, Thinking, ToolCallEnd, ToolCallStart, Usage
from ante_nb.providers.spec import ModelSpec, ProviderSpec
from ante_nb.providers.transports.sse import SseReader
from ante_nb.providers.wires.base import WireEvent
from ante_nb.providers.wires.openai_chat import wire

PROVIDER = ProviderSpec("p", "Vendor", "OpenAiCompatible")
MODEL = ModelSpec("m")


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **top: Any) -> dict[str, Any]:
    choices = (
        []
        if delta is None and finish is None
        else [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    )
    return {"id": "c", "choices": choices, **top}


def run(*chunks: dict[str, Any], done: bool = True) -> list[Any]:
    decoder = wire.decoder(MODEL, PROVIDER)
    out: list[Any] = []
    for item in chunks:
        out += decoder.feed(WireEvent("", item))
    if done:
        out += decoder.feed(WireEvent("[DONE]", None))
    return out + list(decoder.close())


def answer(*chunks: dict[str, Any], done: bool = True) -> Done:
    last = run(*chunks, done=done)[-1]
    assert isinstance(last, Done)
    return last


def calls(
    *deltas: dict[str, Any], finish: str = "tool_calls"
) -> list[tuple[str, str, dict[str, Any], str | None]]:
    result = answer(*(chunk({"tool_calls": [delta]}) for delta in deltas), chunk(finish=finish))
    return [(call.id, call.name, call.arguments, call.invalid) for call in result.message.tool_calls]


def fn(name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"type": "function", "function": function, **more}


# -------------------------------------------------------------------------------------- tool calls


def test_calls_interleaved_by_index() -> None:
    found = calls(
        fn("A", "", index=0, id="a"), fn(None, '{"x":', index=0), fn("B", "", index=1, id="b"),
        fn(None, "1}", index=0), fn(None, "{}", index=1),
    )  # fmt: skip
    assert found == [("a", "A", {"x": 1}, None), ("b", "B", {}, None)]


def test_calls_without_index_are_told_apart_by_id() -> None:
    assert calls(fn("A", {"x": 1}, id="a1"), fn("B", None, id="a2"), finish="stop") == [
        ("a1", "A", {"x": 1}, None),
        ("a2", "B", {}, None),
    ]


def test_calls_without_index_and_id_are_told_apart_by_complete_arguments() -> None:
    found = calls(fn("A", '{"x":'), fn("A", "1}"), fn("B", "{}"))
    assert [(name, arguments) for _, name, arguments, _ in found] == [("A", {"x": 1}), ("B", {})]
    assert len({ident for ident, *_ in found}) == 2


def test_a_new_id_at_the_same_index_is_a_new_call() -> None:
    assert calls(fn("A", "{}", index=0, id="a"), fn("B", "{}", index=0, id="b")) == [
        ("a", "A", {}, None),
        ("b", "B", {}, None),
    ]


def test_id_and_name_repeated_in_every_delta_or_emptied() -> None:
    assert calls(
        fn("A", '{"x"', index=0, id="a"),
        fn("A", ":1", index=0, id="a"),
        fn("", "}", index=0, id=""),
        fn(None, "", index=0, id=None),
    ) == [("a", "A", {"x": 1}, None)]


def test_a_missing_id_is_made_up_and_a_doubled_one_made_unique() -> None:
    [(ident, *_)] = calls(fn("A", "{}", index=0))
    assert ident.startswith("call_")
    assert [ident for ident, *_ in calls(fn("A", "{}", index=0, id="x"), fn("B", "{}", index=1, id="x"))] == [
        "x",
        "x_2",
    ]


def test_the_form_before_tools() -> None:
    result = answer(
        chunk({"function_call": {"name": "A", "arguments": '{"x"'}}), chunk({"function_call": {"arguments": ":1}"}}),
        chunk(finish="function_call"),
    )  # fmt: skip
    assert [(call.name, call.arguments) for call in result.message.tool_calls] == [("A", {"x": 1})]
    assert result.stop_reason == "tool_calls"


@pytest.mark.parametrize("raw", ['{"x":', "[1]", "nonsense", '{"x": NaN}', '"text"', "12", '{"a":1}{"b":2}'])
def test_malformed_arguments_are_kept_and_marked(raw: str) -> None:
    assert calls(fn("A", raw, index=0, id="a")) == [("a", "A", {}, raw)]


def test_arguments_encoded_twice_are_read() -> None:
    assert calls(fn("A", json.dumps('{"x": 1}'), index=0, id="a"))[0][2] == {"x": 1}


@pytest.mark.parametrize("raw", ['{"x":', '{"x": "ab', "", None])
def test_a_call_cut_by_the_length_limit_is_never_runnable(raw: str | None) -> None:
    result = answer(
        chunk({"tool_calls": [fn("A", "{}", index=0, id="a")]}),
        chunk({"tool_calls": [fn("B", raw, index=1, id="b")]}),
        chunk(finish="length"),
    )
    assert result.stop_reason == "length"
    assert [call.invalid is None for call in result.message.tool_calls] == [True, False]


def test_a_call_without_a_name_is_invalid() -> None:
    assert [invalid for *_, invalid in calls(fn(None, "{}", index=0, id="a"))] == ["{}"]


def test_every_call_starts_once_and_ends_once() -> None:
    events = run(chunk({"tool_calls": [fn(None, '{"a"', index=0), fn("B", "{}", index=1)]}),
                 chunk({"tool_calls": [fn("A", ":1}", index=0, id="late")]}), chunk(finish="tool_calls"))  # fmt: skip
    starts = [event for event in events if isinstance(event, ToolCallStart)]
    ends = [event.part for event in events if isinstance(event, ToolCallEnd)]
    assert {(start.index, start.id, start.name) for start in starts} == {
        (event.index, event.part.id, event.part.name) for event in events if isinstance(event, ToolCallEnd)
    }
    assert next((end.id, end.arguments) for end in ends) == ("late", {"a": 1})


# ----------------------------------------------------------------------------------------- thinking


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_reasoning_fields(field: str) -> None:
    result = answer(
        chunk({field: "a", "content": ""}),
        chunk({field: "b"}),
        chunk({"content": "x", field: None}),
        chunk(finish="stop"),
    )
    [thought, text] = result.message.parts
    assert isinstance(thought, Thinking)
    assert (thought.text, text.text) == ("ab", "x")
    assert thought.provider_metadata == {"provider": "p", "model": "m", "field": field}


def test_the_same_reasoning_in_two_fields_counts_once() -> None:
    assert (
        answer(chunk({"reasoning": "a", "reasoning_content": "a"}), chunk(finish="stop")).message.thinking
        == "a"
    )


TAGGED = [
    ("<think>hm</think>yes", "hm", "yes"),
    ("\n<think>\nhm\n</think>\n\nyes", "\nhm\n", "yes"),
    ("<think></think>yes", "", "yes"),
    ("<think>only", "only", ""),
    ("<think>a</thi", "a</thi", ""),
    ("so <think>no</think>", "", "so <think>no</think>"),
    ("<thinking>", "", "<thinking>"),
    ("<thin", "", "<thin"),
    ("<think>a</think><think>b</think>", "a", "<think>b</think>"),
    ("  plain", "", "  plain"),
]


@pytest.mark.parametrize(("content", "thinking", "text"), TAGGED)
def test_tags_at_the_start_are_thinking_however_they_are_cut(content: str, thinking: str, text: str) -> None:
    for size in range(1, len(content) + 1):
        pieces = [content[at : at + size] for at in range(0, len(content), size)]
        message = answer(*(chunk({"content": piece}) for piece in pieces), chunk(finish="stop")).message
        assert (message.thinking, message.text) == (thinking, text), size


def test_tags_are_text_where_reasoning_has_a_field() -> None:
    result = answer(
        chunk({"reasoning_content": "a"}), chunk({"content": "<think>b</think>"}), chunk(finish="stop")
    )
    assert (result.message.thinking, result.message.text) == ("a", "<think>b</think>")


def test_reasoning_details_are_merged_and_kept() -> None:
    detail = {"type": "reasoning.text", "format": "f", "index": 0}
    result = answer(
        chunk({"reasoning": "Look ", "reasoning_details": [{**detail, "text": "Look "}]}),
        chunk({"reasoning": "up.", "reasoning_details": [{**detail, "text": "up."}]}),
        chunk({"content": "", "reasoning_details": [{**detail, "signature": "sig"}]}),
        chunk({"content": "Sure."}),
        chunk(
            {
                "content": "",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "xyz", "id": "t", "index": 1}],
            }
        ),
        chunk(finish="stop"),
    )
    first, text, last = result.message.parts
    assert isinstance(first, Thinking)
    assert isinstance(last, Thinking)
    assert (first.text, first.signature, text.text) == ("Look up.", "sig", "Sure.")
    assert first.provider_metadata is not None
    assert first.provider_metadata["reasoning_details"] == [
        {**detail, "text": "Look up.", "signature": "sig"}
    ]
    assert last.redacted
    assert last.provider_metadata is not None
    assert last.provider_metadata["reasoning_details"][0]["data"] == "xyz"


# ------------------------------------------------------------------------------------- ends and errors


@pytest.mark.parametrize(
    ("reason", "stop"),
    [("stop", "stop"), ("end", "stop"), ("eos", "stop"), ("length", "length"), ("max_tokens", "length"),
     ("content_filter", "content_filter"), ("sensitive", "content_filter"), ("tool_calls", "stop"),
     ("model_context_window_exceeded", "context_overflow"), ("something new", "stop")],
)  # fmt: skip
def test_finish_reasons(reason: str, stop: str) -> None:
    assert answer(chunk({"content": "x"}), chunk(finish=reason)).stop_reason == stop


@pytest.mark.parametrize("reason", ["insufficient_system_resource", "network_error", "error", "abort"])
def test_a_server_that_gave_up_is_a_retryable_error(reason: str) -> None:
    with pytest.raises(e.ServerError) as caught:
        run(chunk({"content": "par"}), chunk(finish=reason))
    assert caught.value.retryable is not False
    assert isinstance(caught.value.partial, Message)
    assert caught.value.partial.text == "par"


def test_a_missing_done_is_fine_a_missing_finish_reason_is_not() -> None:
    assert answer(chunk({"content": "x"}), chunk(finish="stop"), done=False).message.text == "x"
    with pytest.raises(e.StreamInterruptedError) as caught:
        run(chunk({"content": "x"}))
    assert caught.value.partial is not None
    assert caught.value.partial.text == "x"


def test_a_refusal_is_text_with_its_own_stop_reason() -> None:
    result = answer(chunk({"refusal": "I will not."}), chunk(finish="stop"))
    assert (result.message.text, result.stop_reason) == ("I will not.", "refusal")


def test_half_characters_are_joined() -> None:
    assert (
        answer(
            chunk({"content": "a\ud83d"}), chunk({"content": "\udc0eb"}), chunk(finish="stop")
        ).message.text
        == "a🐎b"
    )
    assert answer(chunk({"content": "a\ud83d"}), chunk(finish="stop")).message.text == "a\ufffd"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4}, Usage(9, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
          "completion_tokens_details": {"reasoning_tokens": 1}}, Usage(9, 4, 3, 2, 1)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 4}, Usage(9, 4, 5)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "cached_tokens": 8}, Usage(9, 4, 8)),
        ({"prompt_tokens": 291, "completion_tokens": 26, "total_tokens": 513,
          "completion_tokens_details": {"reasoning_tokens": 196}}, Usage(291, 222, 0, 0, 196)),
        ({"prompt_tokens": None, "completion_tokens": "x", "prompt_tokens_details": None}, Usage()),
    ],
)  # fmt: skip
def test_usage(usage: dict[str, Any], expected: Usage) -> None:
    assert answer(chunk({"content": "x"}, "stop"), chunk(usage=usage)).usage == expected
    assert answer(chunk({"content": "x"}, "stop")).usage is None


FIXTURES: dict[str, Any] = {
    "chat_openai_parallel_tools": ("tool_calls", "", "", 2, Usage(82, 40)),
    "chat_deepseek_reasoning_tool": (
        "tool_calls",
        "Checking.",
        "Need the variables.",
        1,
        Usage(310, 58, 256, 0, 21),
    ),
    "chat_zai_whole_tool": ("tool_calls", "\nOk.", "List first.", 1, Usage(171, 33, 64)),
    "chat_openrouter_reasoning": ("tool_calls", "Sure.", "Look at vars.", 1, Usage(220, 61, 0, 0, 18)),
    "chat_kimi_choice_usage": ("stop", "Hi", "hm", 0, Usage(11, 5, 8)),
    "chat_llamacpp": ("tool_calls", "", "Ok", 1, Usage(41, 19)),
    "chat_quirk_crlf_nospace_no_done": ("stop", "Hello", "", 0, None),
    "chat_quirk_no_index_dict_args": ("tool_calls", "", "", 2, None),
    "chat_openrouter_error_midstream": e.ServerError,
    "chat_inline_error_200": e.OverloadedError,
}


@pytest.mark.parametrize("name", FIXTURES)
def test_fixtures_byte_by_byte(name: str) -> None:
    data = shared(f"reference/wire/fixtures/{name}.sse").read_bytes()
    reader, decoder = SseReader(), wire.decoder(MODEL, PROVIDER)

    def decode() -> Done:
        out: list[Any] = []
        for at in range(len(data)):
            for event, text in reader.feed(data[at : at + 1]):
                done = text.startswith("[DONE]")
                out += decoder.feed(
                    WireEvent("[DONE]" if done else event, None if done else json.loads(text))
                )
        return [*out, *decoder.close()][-1]

    expected = FIXTURES[name]
    if isinstance(expected, type):
        with pytest.raises(expected):
            decode()
        return
    done = decode()
    found = (
        done.stop_reason,
        done.message.text,
        done.message.thinking,
        len(done.message.tool_calls),
        done.usage,
    )
    assert found == expected


def test_a_whole_answer() -> None:
    body = {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": "hi", "reasoning_content": "hm",
            "tool_calls": [fn("A", '{"x": 1}', id="a"), fn("B", "{}", id="b")]}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }  # fmt: skip
    done = wire.decode_complete(body, MODEL, PROVIDER)[-1]
    assert isinstance(done, Done)
    assert (done.message.text, done.message.thinking, done.stop_reason, done.usage) == (
        "hi",
        "hm",
        "tool_calls",
        Usage(3, 2),
    )
    assert [call.id for call in done.message.tool_calls] == ["a", "b"]
    with pytest.raises(e.ProviderError):
        wire.decode_complete({"error": {"message": "no"}}, MODEL, PROVIDER)
    with pytest.raises(e.ProviderError):
        wire.decode_complete({"choices": []}, MODEL, PROVIDER)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    "role",
    "content",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "tool_calls",
    "function_call",
    "refusal",
]
CHUNKS = JSON | st.fixed_dictionaries(
    {},
    optional={
        "choices": JSON
        | st.lists(
            st.fixed_dictionaries(
                {"delta": st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3) | JSON},
                optional={
                    "finish_reason": st.sampled_from(["stop", "length", None, "error", 3]),
                    "usage": JSON,
                    "error": JSON,
                },
            ),
            max_size=2,
        ),
        "usage": JSON,
        "error": JSON,
        "x_groq": JSON,
    },
)


@given(st.lists(CHUNKS, max_size=8))
def test_whatever_comes_ends_in_an_answer_or_a_documented_error(chunks: list[Any]) -> None:
    decoder = wire.decoder(MODEL, PROVIDER)
    try:
        for item in chunks:
            decoder.feed(WireEvent("", item))
        last = decoder.close()[-1:]
    except e.ProviderError as problem:
        assert str(problem)
    else:
        assert not last or isinstance(last[0], Done)
        if last:
            assert Message.from_dict(json.loads(json.dumps(last[0].message.to_dict()))) == last[0].message
