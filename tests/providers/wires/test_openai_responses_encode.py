"""OpenAI Responses, the outgoing half: bodies that the vendor's own types accept, and what goes back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.responses import ALL, MODEL, OPENAI, OWN, decode, wire_events

from ante_nb.errors import InvalidRequestError, ProviderError
from ante_nb.messages import Image, Message, Opaque, Text, Thinking, ToolCall, ToolResult, tag
from ante_nb.providers import handover
from ante_nb.providers.spec import ModelSpec, ProviderSpec, Quirks, Request, ThinkingControl, ToolSpec
from ante_nb.providers.wires import wire_for
from ante_nb.providers.wires.openai_responses import wire

if TYPE_CHECKING:
    from pathlib import Path

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
READ = ToolSpec(
    "Read",
    "Read a file.",
    {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]},
)
NOTHING = ToolSpec("Now", "The time.", {})

CHATGPT = ProviderSpec(
    "openai-subscription",
    "OpenAI Subscription",
    "OpenAiResponse",
    quirks=Quirks(
        prompt_cache_key=True,
        session_headers=("session-id",),
        unsupported_params=("max_output_tokens", "temperature", "top_p"),
        stream_only=True,
        instructions_required=True,
    ),
)
XAI = ProviderSpec(
    "xai",
    "xAI",
    "OpenAiResponse",
    quirks=Quirks(prompt_cache_key=True, system_in_input=True, reasoning_sampling=True),
)
CACHED = replace(OPENAI, quirks=Quirks(prompt_cache_key=True))

GPT = replace(
    MODEL,
    thinking_control=ThinkingControl(
        "responses_effort",
        {"min": "none", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "xhigh"},
    ),
)
MINI = replace(
    MODEL,
    id="gpt-5-mini",
    thinking_control=ThinkingControl(
        "responses_effort", {"min": "minimal", "low": "low", "medium": "medium", "high": "high"}
    ),
)


def conversation(provider: str = "openai", model: str = "gpt-5.4") -> tuple[Message, ...]:
    """Every kind of part: an answer of that model in the middle, an answer of another one before it."""

    def mine(**payload: Any) -> dict[str, Any]:
        return tag(provider, model, response="resp_1", **payload)

    call = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "q"},
    }
    return (
        Message("user", (Text("What is this?"), Image(PIXEL, "image/png"))),
        Message(
            "assistant",
            (
                Thinking("Foreign.", "sig", provider_metadata=tag("anthropic", "claude", x=1)),
                Text("A pixel."),
                ToolCall("toolu_1", "Read", {"file_path": "é.txt"}),
            ),
            "anthropic",
            "AnthropicMessage",
            "claude",
        ),
        Message("tool", (ToolResult("toolu_1", (Text("one"), Text(" two"))),)),
        Message("user", (Text("Go on."),)),
        Message(
            "assistant",
            (
                Thinking(
                    "Let me see.",
                    "gAAA==",
                    provider_metadata=mine(
                        item={
                            "id": "rs_1",
                            "type": "reasoning",
                            "summary": [{"type": "summary_text", "text": "Let me see."}],
                        }
                    ),
                ),
                Opaque("web_search_call", mine(block=call)),
                Text("Both.", mine(item={"id": "msg_1", "phase": "commentary"}, needs=["rs_1"])),
                ToolCall(
                    "call_1", "Read", {"file_path": "a"}, None, mine(item={"id": "fc_1"}, needs=["rs_1"])
                ),
                ToolCall("call_2", "Read", {}, '{"file', mine(item={"id": "fc_2"}, needs=["rs_1"])),
            ),
            provider,
            "OpenAiResponse",
            model,
        ),
        Message(
            "tool",
            (
                ToolResult("call_1", (Text("a plot"), Image(PIXEL, "image/png"))),
                ToolResult("call_2", (Text("no JSON"),), is_error=True),
            ),
        ),
    )


def request(**more: Any) -> Request:
    fields: dict[str, Any] = {
        "messages": conversation(),
        "system": "You are a notebook agent.",
        "tools": (READ, NOTHING),
        "session_id": "ses_01",
    }
    return Request(**{**fields, **more})


# ------------------------------------------------------------------------------- the vendor's own types


def validate(body: dict[str, Any]) -> None:
    """Checks the body against the SDK's parameter types, unknown fields forbidden at every depth."""
    from openai.types.responses.response_create_params import (
        ResponseCreateParamsNonStreaming,
        ResponseCreateParamsStreaming,
    )
    from pydantic import ConfigDict, TypeAdapter

    kind: Any = ResponseCreateParamsStreaming if body.get("stream") else ResponseCreateParamsNonStreaming
    adapter = TypeAdapter(list[kind], config=ConfigDict(extra="forbid"))
    exhaust(adapter.validate_python([body]))


def exhaust(value: Any) -> None:
    """Walks a validated value: pydantic checks what is typed ``Iterable`` only when it is read."""
    if isinstance(value, dict):
        for item in value.values():
            exhaust(item)
    elif not isinstance(value, str | bytes | int | float) and value is not None:
        for item in value:
            exhaust(item)


def test_the_validation_itself_finds_mistakes() -> None:
    from pydantic import ValidationError

    good = wire.encode(request(), GPT, OPENAI, stream=True)
    validate(good)
    for spoil in (
        {"bogus": 1},
        {"input": [{"type": "reasoning", "summary": []}]},
        {"tools": [{"type": "function", "name": "x"}]},
        {"input": [{"type": "message", "role": "user", "content": [{"type": "output_text", "text": "x"}]}]},
    ):
        with pytest.raises(ValidationError):
            validate({**good, **spoil})


@pytest.mark.parametrize("provider", [OPENAI, CACHED, CHATGPT, XAI], ids=lambda provider: provider.id)
@pytest.mark.parametrize("level", [None, "min", "low", "max"])
@pytest.mark.parametrize("stream", [True, False])
def test_the_sdk_accepts_the_request(provider: ProviderSpec, level: Any, stream: bool) -> None:
    messages = conversation(provider.id)
    model = replace(GPT, max_tokens=1000)
    body = wire.encode(request(messages=messages, thinking=level), model, provider, stream=stream)
    validate(body)
    assert json.loads(json.dumps(body)) == body


@pytest.mark.parametrize("path", sorted(OWN.glob("*.sse")), ids=lambda path: path.stem)
def test_the_sdk_accepts_every_answer_of_ours_back(path: Path) -> None:
    try:
        answer = decode(wire_events([path.read_bytes()], ended=True))[-1].message
    except ProviderError:
        pytest.skip("an error stream")
    messages = handover.adapt((Message.user("Hi"), answer), OPENAI, MODEL, wire.style)
    validate(wire.encode(Request(messages), MODEL, OPENAI, stream=True))


# ----------------------------------------------------------------------------------------- the body


def test_the_whole_body() -> None:
    body = wire.encode(request(thinking="medium"), replace(GPT, max_tokens=900), CACHED, stream=True)
    items = body.pop("input")
    assert body == {
        "model": "gpt-5.4",
        "instructions": "You are a notebook agent.",
        "tools": [
            {
                "type": "function",
                "name": "Read",
                "description": "Read a file.",
                "parameters": READ.parameters,
                "strict": False,
            },
            {
                "type": "function",
                "name": "Now",
                "description": "The time.",
                "parameters": {"type": "object", "properties": {}},
                "strict": False,
            },
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "max_output_tokens": 900,
        "prompt_cache_key": "ses_01",
        "stream": True,
    }
    url = f"data:image/png;base64,{PIXEL}"
    assert items == [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "detail": "auto", "image_url": url},
            ],
        },
        {"type": "message", "role": "assistant", "content": "A pixel."},
        {"type": "function_call", "call_id": "toolu_1", "name": "Read", "arguments": '{"file_path":"é.txt"}'},
        {"type": "function_call_output", "call_id": "toolu_1", "output": "one two"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]},
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Let me see."}],
            "encrypted_content": "gAAA==",
        },
        {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "completed",
            "action": {"type": "search", "query": "q"},
        },
        {
            "id": "msg_1",
            "phase": "commentary",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "annotations": [], "text": "Both."}],
        },
        {
            "id": "fc_1",
            "type": "function_call",
            "call_id": "call_1",
            "name": "Read",
            "arguments": '{"file_path":"a"}',
        },
        {
            "id": "fc_2",
            "type": "function_call",
            "call_id": "call_2",
            "name": "Read",
            "arguments": '{"invalid_arguments": "{\\"file"}',
        },
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [
                {"type": "input_text", "text": "a plot"},
                {"type": "input_image", "detail": "auto", "image_url": url},
            ],
        },
        {"type": "function_call_output", "call_id": "call_2", "output": "no JSON"},
    ]


def test_chatgpt_gets_what_it_demands_and_nothing_that_it_refuses() -> None:
    model = replace(GPT, max_tokens=900, temperature=0.5, top_p=0.9)
    for stream in (True, False):
        body = wire.encode(request(system="", max_tokens=5, thinking="high"), model, CHATGPT, stream=stream)
        assert body["stream"] is True
        assert body["store"] is False
        assert body["instructions"]
        assert not {"max_output_tokens", "temperature", "top_p", "metadata", "user", "truncation"} & set(body)
        assert "previous_response_id" not in body
    assert wire.headers(request(), model, CHATGPT) == {"session-id": "ses_01"}
    assert wire.headers(request(session_id=None), model, CHATGPT) == {}
    assert wire.headers(request(), model, OPENAI) == {}


def test_xai_gets_its_system_prompt_as_a_message() -> None:
    body = wire.encode(request(), replace(GPT, temperature=0.3), XAI, stream=True)
    assert "instructions" not in body
    assert body["input"][0] == {"type": "message", "role": "system", "content": "You are a notebook agent."}
    assert body["temperature"] == 0.3
    assert body["store"] is False
    assert "reasoning" not in body


def test_a_plain_request_is_plain() -> None:
    body = wire.encode(Request((Message.user("Hi"),)), MODEL, OPENAI, stream=False)
    assert body == {
        "model": "gpt-5.4",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }


@pytest.mark.parametrize(
    ("model", "level", "display", "sent"),
    [
        (GPT, None, None, None),
        (GPT, None, "detailed", None),
        (GPT, "min", None, {"effort": "none"}),
        (GPT, "medium", None, {"effort": "medium", "summary": "auto"}),
        (GPT, "high", "concise", {"effort": "high", "summary": "concise"}),
        (GPT, "max", "off", {"effort": "xhigh"}),
        (MINI, "min", None, {"effort": "minimal", "summary": "auto"}),
        (MINI, "max", "detailed", {"effort": "high", "summary": "detailed"}),
        (replace(GPT, thinking="low"), None, None, {"effort": "low", "summary": "auto"}),
        (MODEL, "max", None, None),
        (replace(MODEL, thinking_control=ThinkingControl("none")), "max", "detailed", None),
    ],
)
def test_levels(model: ModelSpec, level: Any, display: Any, sent: Any) -> None:
    body = wire.encode(request(thinking=level), model, replace(OPENAI, thinking_display=display), stream=True)
    assert body.get("reasoning") == sent


@pytest.mark.parametrize(
    ("model", "level", "provider", "accepted"),
    [
        (GPT, None, OPENAI, True),
        (GPT, "min", OPENAI, True),
        (GPT, "high", OPENAI, False),
        (MINI, None, OPENAI, False),
        (MINI, "min", OPENAI, False),
        (GPT, "high", XAI, True),
        (MODEL, "high", OPENAI, True),
    ],
)
def test_sampling_beside_reasoning(
    model: ModelSpec, level: Any, provider: ProviderSpec, accepted: bool
) -> None:
    model = replace(model, temperature=0.2, top_p=0.5)
    if accepted:
        body = wire.encode(request(thinking=level), model, provider, stream=True)
        assert (body["temperature"], body["top_p"]) == (0.2, 0.5)
    else:
        with pytest.raises(InvalidRequestError, match="temperature"):
            wire.encode(request(thinking=level), model, provider, stream=True)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("Read", {"type": "function", "name": "Read"}),
    ],
)
def test_tool_choice(choice: str, sent: Any) -> None:
    body = wire.encode(request(tool_choice=choice), MODEL, OPENAI, stream=True)
    assert body["tool_choice"] == sent
    validate(body)


def test_extra_body_cannot_touch_the_conversation() -> None:
    extra = {
        "service_tier": "flex",
        "text": {"verbosity": "low"},
        "prompt_cache_key": "mine",
        "store": True,
        "input": [],
        "instructions": "x",
        "model": "x",
        "stream": False,
        "include": [],
    }
    body = wire.encode(request(), MODEL, replace(CACHED, extra_body=extra), stream=True)
    plain = wire.encode(request(), MODEL, CACHED, stream=True)
    assert {name: body[name] for name in plain if name != "prompt_cache_key"} == {
        name: value for name, value in plain.items() if name != "prompt_cache_key"
    }
    assert (body["service_tier"], body["text"], body["prompt_cache_key"]) == (
        "flex",
        {"verbosity": "low"},
        "mine",
    )


def test_a_long_session_id_still_makes_a_cache_key() -> None:
    body = wire.encode(request(session_id="s" * 200), MODEL, CACHED, stream=True)
    assert len(body["prompt_cache_key"]) == 64
    assert body == wire.encode(request(session_id="s" * 200), MODEL, CACHED, stream=True)
    assert "prompt_cache_key" not in wire.encode(request(), MODEL, OPENAI, stream=True)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/responses"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1/responses"),
        ("https://chatgpt.com/backend-api/codex", "https://chatgpt.com/backend-api/codex/responses"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/responses"),
        ("http://127.0.0.1:8080/v1/responses", "http://127.0.0.1:8080/v1/responses"),
        ("https://x.azure.com/openai?api-version=1", "https://x.azure.com/openai/responses?api-version=1"),
    ],
)
def test_url(base: str, url: str) -> None:
    assert wire.url(base, MODEL, stream=True) == wire.url(base, MODEL, stream=False) == url


def test_the_registry_knows_the_wire() -> None:
    assert wire_for("OpenAiResponse") is wire


# ----------------------------------------------------------------------------------------- replaying


def without_status(item: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in item.items() if name != "status"}
    if item["type"] == "message":
        kept["content"] = [
            {name: value for name, value in piece.items() if name != "logprobs"} for piece in item["content"]
        ]
    return kept


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_what_came_goes_back_as_it_came(path: Path) -> None:
    """Each item that may go back equals what the vendor sent, but for its status."""
    decoder = wire.decoder(MODEL, OPENAI)
    try:
        out = [event for item in wire_events([path.read_bytes()], ended=True) for event in decoder.feed(item)]
        out += decoder.close()
    except ProviderError:
        pytest.skip("an error stream")
    sent = [without_status(item) for item in decoder.output_items]
    ids = {item.get("id"): item for item in sent if item.get("id")}
    back = wire.input_items([out[-1].message], MODEL, OPENAI)
    assert back or all(
        item["type"] in ("reasoning", "tool_search_call", "apply_patch_call", "local_shell_call")
        for item in sent
    )
    for item in back:
        if item.get("id") in ids and "invalid_arguments" not in item.get("arguments", ""):
            assert without_status(item) == ids[item["id"]]
    kinds = [item["type"] for item in back]
    for place, kind in enumerate(kinds):
        if kind == "reasoning":
            assert back[place].get("encrypted_content") or back[place].get("content")
            assert any(other != "reasoning" for other in kinds[place + 1 :])


def answer_of(name: str) -> Message:
    message = decode(wire_events([(OWN / f"{name}.sse").read_bytes()], ended=True))[-1].message
    assert isinstance(message, Message)
    return message


def test_a_conversation_is_a_prefix_of_its_continuation() -> None:
    answer = answer_of("openai_reasoning_two_calls")
    first = (Message.user("Hi"),)
    results = Message("tool", (ToolResult("call_A", (Text("x"),)), ToolResult("call_B", (Text("y"),))))
    before = wire.input_items(first, MODEL, OPENAI)
    middle = wire.input_items((*first, answer), MODEL, OPENAI)
    after = wire.input_items((*first, answer, results, Message.user("More")), MODEL, OPENAI)
    assert after[: len(middle)] == middle
    assert middle[: len(before)] == before
    new = after[len(middle) :]
    assert [item["type"] for item in new] == ["function_call_output", "function_call_output", "message"]
    full = wire.encode(Request((*first, answer, results)), MODEL, OPENAI, stream=True)["input"]
    assert full == after[:-1]


def test_the_argument_text_is_the_models_own() -> None:
    items = wire.input_items([answer_of("openai_reasoning_two_calls")], MODEL, OPENAI)
    assert items[2]["arguments"] == '{"file_path": "a b.csv"}'
    changed = answer_of("openai_reasoning_two_calls")
    parts = tuple(
        replace(part, arguments={"file_path": "b"}) if isinstance(part, ToolCall) else part
        for part in changed.parts
    )
    items = wire.input_items([replace(changed, parts=parts)], MODEL, OPENAI)
    assert items[2]["arguments"] == '{"file_path":"b"}'


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        (replace(MODEL, id="gpt-5.3-codex"), OPENAI),
        (MODEL, CHATGPT),
        (MODEL, XAI),
    ],
)
def test_another_model_gets_no_ciphertext_and_no_ids(model: ModelSpec, provider: ProviderSpec) -> None:
    items = wire.input_items([answer_of("openai_reasoning_two_calls")], model, provider)
    assert [item["type"] for item in items] == ["message", "function_call", "function_call"]
    assert not any("id" in item for item in items)
    assert "gAAA" not in json.dumps(items)


def test_ids_fall_with_the_reasoning_that_they_need() -> None:
    answer = answer_of("openai_reasoning_two_calls")
    stripped = replace(answer, parts=tuple(part for part in answer.parts if not isinstance(part, Thinking)))
    items = wire.input_items([stripped], MODEL, OPENAI)
    assert not any("id" in item for item in items)
    assert items[0] == {
        "type": "message",
        "role": "assistant",
        "content": "I read both files.",
        "phase": "commentary",
    }
    unsigned = replace(
        answer,
        parts=tuple(
            replace(part, signature=None) if isinstance(part, Thinking) else part for part in answer.parts
        ),
    )
    assert wire.input_items([unsigned], MODEL, OPENAI) == items


def test_reasoning_that_nothing_follows_stays_out() -> None:
    answer = answer_of("openai_reasoning_two_calls")
    alone = replace(answer, parts=answer.parts[:1])
    assert wire.input_items([alone], MODEL, OPENAI) == []


def test_open_reasoning_goes_back_in_full() -> None:
    """Gateways of open models have no ciphertext, the text itself is in the item."""
    item = {
        "id": "rs",
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm"}],
    }
    message = Message(
        "assistant",
        (Thinking("Hm", provider_metadata=tag("openai", "gpt-5.4", item=item)), Text("Yes")),
    )
    assert wire.input_items([message], MODEL, OPENAI)[0] == item


def test_an_id_that_is_too_long_stays_out() -> None:
    meta = tag("openai", "gpt-5.4", item={"id": "x" * 65})
    items = wire.input_items([Message("assistant", (ToolCall("c", "Read", {}, None, meta),))], MODEL, OPENAI)
    assert items == [{"type": "function_call", "call_id": "c", "name": "Read", "arguments": "{}"}]


def test_calls_of_foreign_tools_go_back_only_with_their_output() -> None:
    def opaque(**block: Any) -> Opaque:
        return Opaque(block["type"], tag("openai", "gpt-5.4", block=block))

    shell = opaque(type="shell_call", id="sh_1", call_id="call_s", action={})
    output = opaque(type="shell_call_output", id="sho_1", call_id="call_s", output=[])
    search = opaque(type="web_search_call", id="fc_1", call_id="", status="completed")
    approval = opaque(type="mcp_approval_request", id="mcpr_1")
    message = Message("assistant", (shell, search, approval, Text("x")))
    kinds = [item["type"] for item in wire.input_items([message], MODEL, OPENAI)]
    assert kinds == ["web_search_call", "message"]
    message = replace(message, parts=(shell, output, Text("x")))
    kinds = [item["type"] for item in wire.input_items([message], MODEL, OPENAI)]
    assert kinds == ["shell_call", "shell_call_output", "message"]


def test_several_texts_of_one_message_stay_one_item() -> None:
    meta = tag("openai", "gpt-5.4", item={"id": "msg_1"})
    message = Message("assistant", (Text("a", meta), Text("b", meta), Text("c")))
    items = wire.input_items([message], MODEL, OPENAI)
    assert [len(item["content"]) for item in items] == [2, 1]
    assert items[1]["content"] == "c"


def test_a_refusal_goes_back_as_one() -> None:
    (item,) = wire.input_items([answer_of("openai_refusal")], MODEL, OPENAI)
    assert item["content"] == [{"type": "refusal", "refusal": "I can't help with that."}]


def test_what_the_vendor_cannot_read_is_named_or_mended() -> None:
    message = Message("user", (Image("AA", "image/tiff"), Text("half \ud83d emoji")))
    (item,) = wire.input_items([message], MODEL, OPENAI)
    assert "image/tiff" in item["content"][0]["text"]
    assert json.dumps(item, ensure_ascii=False).encode()


def test_encoding_changes_nothing_in_the_conversation() -> None:
    messages = conversation()
    before = [message.to_dict() for message in messages]
    copy = json.loads(json.dumps(before))
    body = wire.encode(request(messages=messages), GPT, OPENAI, stream=True)
    for item in body["input"]:
        item.clear()
    assert [message.to_dict() for message in messages] == copy


# ---------------------------------------------------------------------------------------- properties

texts = st.text(max_size=8)
metas = st.none() | st.fixed_dictionaries(
    {"provider": st.sampled_from(["openai", "xai"]), "model": st.sampled_from(["gpt-5.4", "other"])},
    optional={
        "item": st.fixed_dictionaries(
            {}, optional={"id": st.sampled_from(["rs_1", "msg_1", "fc_1", "x" * 70])}
        ),
        "needs": st.just(["rs_1"]),
    },
)
arguments = st.dictionaries(texts, texts | st.integers() | st.booleans() | st.none(), max_size=2)
images = st.builds(Image, st.just(PIXEL), st.sampled_from(["image/png", "image/bmp"]))
user_messages = st.builds(
    Message, st.just("user"), st.lists(st.builds(Text, texts) | images, max_size=3).map(tuple)
)
assistant_messages = st.builds(
    Message,
    st.just("assistant"),
    st.lists(
        st.builds(Text, texts, metas)
        | st.builds(Thinking, texts, st.none() | st.just("sig"), st.booleans(), st.none())
        | st.builds(
            ToolCall,
            st.sampled_from(["c1", "c 2", "c" * 70]),
            st.just("Read"),
            arguments,
            st.none() | texts,
            metas,
        ),
        max_size=4,
    ).map(tuple),
)
tool_messages = st.builds(
    Message,
    st.just("tool"),
    st.lists(
        st.builds(
            ToolResult,
            st.sampled_from(["c1", "c 2", "c" * 70]),
            st.lists(st.builds(Text, texts) | images, max_size=2).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
)
conversations = st.lists(user_messages | assistant_messages | tool_messages, max_size=6)


@given(conversations, st.sampled_from([OPENAI, CHATGPT, XAI]))
def test_any_conversation_makes_a_valid_request(messages: list[Message], provider: ProviderSpec) -> None:
    fit = handover.adapt(messages, provider, MODEL, wire.style)
    body = wire.encode(Request(fit, system="s", tools=(READ,)), MODEL, provider, stream=True)
    validate(body)
    json.dumps(body, ensure_ascii=False).encode()
    calls = [item["call_id"] for item in body["input"] if item["type"] == "function_call"]
    outputs = [item["call_id"] for item in body["input"] if item["type"] == "function_call_output"]
    assert sorted(calls) == sorted(outputs)
    assert len(set(calls)) == len(calls)
