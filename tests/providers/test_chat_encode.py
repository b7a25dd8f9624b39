"""What is sent to Chat Completions servers, validated against the OpenAI SDK's own types."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.messages import Image, Message, Text, Thinking, ToolCall, ToolResult, tag
from ante_nb.providers.spec import ModelSpec, ProviderSpec, Quirks, Request, ThinkingControl, ToolSpec
from ante_nb.providers.wires.openai_chat import wire
from ante_nb.providers.wires.openai_chat_encode import EMPTY_RESULT

MODEL = ModelSpec("m")
READ = ToolSpec("Read", "Read a file", {"type": "object", "properties": {"file_path": {"type": "string"}}})
PNG = Image("iVBORw0KGgo=", "image/png")


def provider(**quirks: Any) -> ProviderSpec:
    return ProviderSpec("p", "P", "OpenAiCompatible", quirks=Quirks(**quirks))


def encode(
    *messages: Message,
    model: ModelSpec = MODEL,
    spec: ProviderSpec | None = None,
    stream: bool = True,
    **fields: Any,
) -> dict[str, Any]:
    body = wire.encode(Request(messages, **fields), model, spec or provider(), stream=stream)
    validate(body)
    return body


def validate(body: dict[str, Any]) -> None:
    """Against the SDK's TypedDicts, strictly; fields that only other vendors know are taken out before."""
    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
    from pydantic import TypeAdapter

    plain = json.loads(json.dumps(body))
    for message in plain["messages"]:
        for name in ("reasoning_content", "reasoning", "reasoning_details"):
            message.pop(name, None)
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            part.pop("cache_control", None)
        TypeAdapter(ChatCompletionMessageParam).validate_python(message)
    for tool in plain.get("tools", ()):
        TypeAdapter(ChatCompletionToolParam).validate_python(tool)
    for name in (
        "stream",
        "thinking",
        "enable_thinking",
        "reasoning",
        "chat_template_kwargs",
        "tool_stream",
        "top_k",
    ):
        plain.pop(name, None)
    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(plain)


def assistant(*parts: Any) -> Message:
    return Message("assistant", parts, provider="p", wire="OpenAiCompatible", model="m")


def result(ident: str, *content: Any) -> Message:
    return Message("tool", (ToolResult(ident, content),))


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://h/v1", "https://h/v1/chat/completions"),
        ("https://h/v1/", "https://h/v1/chat/completions"),
        ("https://h", "https://h/chat/completions"),
        ("https://h/api/paas/v4", "https://h/api/paas/v4/chat/completions"),
        ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
        ("https://h/o?api-version=1", "https://h/o/chat/completions?api-version=1"),
        (" http://127.0.0.1:8080/v1 ", "http://127.0.0.1:8080/v1/chat/completions"),
        ("http://[::1]:8080", "http://[::1]:8080/chat/completions"),
    ],
)
def test_join_rule(base: str, url: str) -> None:
    assert wire.url(base, MODEL, stream=True) == url


def test_a_conversation_with_everything() -> None:
    body = encode(
        Message("user", (Text("look"), PNG)),
        assistant(
            Thinking("hm"),
            Text("Reading."),
            ToolCall("c1", "Read", {"file_path": "ž"}),
            ToolCall("c2", "Read"),
        ),
        Message("tool", (ToolResult("c1", (Text("a"), PNG)), ToolResult("c2", ()))),
        system="be brief",
        tools=(READ,),
    )
    url = "data:image/png;base64,iVBORw0KGgo="
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": url}},
                ],
            },
            {
                "role": "assistant",
                "content": "Reading.",
                "reasoning_content": "hm",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "Read", "arguments": '{"file_path": "ž"}'},
                    },
                    {"id": "c2", "type": "function", "function": {"name": "Read", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a"},
            {"role": "tool", "tool_call_id": "c2", "content": EMPTY_RESULT},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Attached image(s) of the tool result:"},
                    {"type": "image_url", "image_url": {"url": url}},
                ],
            },
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [
            {
                "type": "function",
                "function": {"name": "Read", "description": "Read a file", "parameters": READ.parameters},
            }
        ],
    }


def test_the_prompt_is_sent_as_it_is() -> None:
    prompt = "{}$x%%\\n?  \ttrailing \n"
    assert encode(Message.user(prompt))["messages"] == [{"role": "user", "content": prompt}]


def test_neighbours_of_one_role_are_joined() -> None:
    messages = encode(
        Message.user("a"), Message("user", (Text("b"), PNG)), assistant(Text("c")), assistant(Text("d"))
    )["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert messages[1]["content"] == "cd"


def test_raw_arguments_are_replayed_while_they_mean_the_same() -> None:
    for raw, arguments, sent in (
        ('{"x":1}', {"x": 1}, '{"x":1}'),
        ('{"x":1}', {"x": 2}, '{"x": 2}'),
        ("{", {}, "{}"),
    ):
        call = ToolCall("c", "A", arguments, provider_metadata=tag("p", "m", arguments=raw))
        body = encode(Message.user("a"), assistant(call), result("c", Text("r")), tools=(READ,))
        assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == sent
    body = encode(
        Message.user("a"),
        assistant(ToolCall("c", "A", invalid="{bad")),
        result("c", Text("r")),
        tools=(READ,),
    )
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == "{}"


LOOP = (
    Message.user("a"),
    assistant(Thinking("old", provider_metadata=tag("p", "m", field="reasoning"))),
    assistant(Thinking("old"), Text("x")),
    Message.user("b"),
    assistant(Thinking("new"), ToolCall("c", "A")),
    result("c", Text("r")),
)


@pytest.mark.parametrize(
    ("replay", "expected"),
    [("never", [None, None]), ("tool_loop", [None, "new"]), ("always", ["old", "new"])],
)
def test_reasoning_replay(replay: str, expected: list[str | None]) -> None:
    messages = encode(*LOOP, spec=provider(reasoning_replay=replay))["messages"]
    assert [
        message.get("reasoning_content") for message in messages if message["role"] == "assistant"
    ] == expected


def test_required_reasoning_is_there_even_when_empty() -> None:
    messages = encode(Message.user("a"), assistant(Text("x")), spec=provider(reasoning_required=True))[
        "messages"
    ]
    assert messages[1]["reasoning_content"] == ""


def test_reasoning_goes_back_in_the_field_it_came_in() -> None:
    details = [{"type": "reasoning.text", "text": "t", "signature": "s", "index": 0}]
    for metadata, fields in (
        ({"field": "reasoning"}, {"reasoning": "hm", "content": "x"}),
        (
            {"field": "reasoning", "reasoning_details": details},
            {"reasoning_details": details, "content": "x"},
        ),
        ({"field": "<think>", "lead": "", "tail": "\n\n"}, {"content": "<think>hm</think>\n\nx"}),
    ):
        thought = Thinking("hm", provider_metadata=tag("p", "m", **metadata))
        message = encode(Message.user("a"), assistant(thought, Text("x")))["messages"][1]
        assert message == {"role": "assistant", **fields}


def test_quirks() -> None:
    call = (Message.user("a"), assistant(ToolCall("c", "A")), result("c", Text("r")))
    assert encode(*call, tools=(READ,))["messages"][1]["content"] == ""
    assert encode(*call, tools=(READ,), spec=provider(empty_content="null"))["messages"][1]["content"] is None
    user = Message.user("a")
    assert "stream_options" not in encode(user, spec=provider(stream_options=False))
    assert "stream" not in encode(user, stream=False)
    assert encode(user, max_tokens=5)["max_tokens"] == 5
    assert (
        encode(user, max_tokens=5, spec=provider(max_tokens_field="max_completion_tokens"))[
            "max_completion_tokens"
        ]
        == 5
    )
    assert encode(user, tools=(READ,), spec=provider(parallel_tool_calls=True))["parallel_tool_calls"] is True
    assert "parallel_tool_calls" not in encode(user, spec=provider(parallel_tool_calls=True))
    assert encode(user, tools=(READ,), spec=provider(tool_stream=True))["tool_stream"] is True
    assert "tool_stream" not in encode(user, tools=(READ,), spec=provider(tool_stream=True), stream=False)
    assert encode(user, session_id="s", spec=provider(prompt_cache_key=True))["prompt_cache_key"] == "s"
    assert "temperature" not in encode(
        user, model=ModelSpec("m", temperature=1.0), spec=provider(unsupported_params=("temperature",))
    )
    extra = replace(provider(), extra_body={"safe": 1, "model": "evil", "messages": [], "stream": False})
    body = wire.encode(Request((user,)), MODEL, extra, stream=True)
    assert (body["safe"], body["model"], body["stream"], len(body["messages"])) == (1, "m", True, 1)


def test_sampling_of_the_model_row() -> None:
    model = ModelSpec("m", temperature=0.2, top_p=0.9, top_k=5, stop_sequences=("END",), max_tokens=7)
    body = encode(Message.user("a"), model=model)
    assert [body[name] for name in ("temperature", "top_p", "top_k", "stop", "max_tokens")] == [
        0.2,
        0.9,
        5,
        ["END"],
        7,
    ]


def test_tool_choice() -> None:
    user = Message.user("a")
    assert "tool_choice" not in encode(user, tools=(READ,))
    assert encode(user, tools=(READ,), tool_choice="required")["tool_choice"] == "required"
    assert encode(user, tools=(READ,), tool_choice="Read")["tool_choice"] == {
        "type": "function",
        "function": {"name": "Read"},
    }
    history = (user, assistant(ToolCall("c", "A")), result("c", Text("r")))
    body = encode(*history)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["A"]
    assert body["tool_choice"] == "none"
    assert "tools" not in encode(*history, model=ModelSpec("m", tools=False))


def test_cache_marks_for_anthropic_models() -> None:
    spec, history = (
        provider(cache_control=True),
        (Message.user("a"), assistant(ToolCall("c", "A")), result("c", Text("r"))),
    )
    body = encode(*history, system="s", tools=(READ,), model=ModelSpec("anthropic/claude"), spec=spec)
    marked = [message["role"] for message in body["messages"] if "cache_control" in json.dumps(message)]
    assert marked == ["system", "user", "tool"]
    assert "cache_control" not in json.dumps(encode(*history, tools=(READ,), spec=spec))


@pytest.mark.parametrize(
    ("style", "value", "fields"),
    [
        ("reasoning_effort", "high", {"reasoning_effort": "high"}),
        ("reasoning_effort", None, {}),
        ("thinking_type", "disabled", {"thinking": {"type": "disabled"}}),
        (
            "thinking_type_effort",
            {"type": "enabled", "effort": "max"},
            {"thinking": {"type": "enabled"}, "reasoning_effort": "max"},
        ),
        ("thinking_type_effort", {"type": "disabled"}, {"thinking": {"type": "disabled"}}),
        ("enable_thinking", True, {"enable_thinking": True}),
        ("enable_thinking", False, {"enable_thinking": False}),
        ("enable_thinking", "medium", {"reasoning_effort": "medium"}),
        ("openrouter_reasoning", "high", {"reasoning": {"effort": "high"}}),
        ("openrouter_reasoning", 4096, {"reasoning": {"max_tokens": 4096}}),
        ("openrouter_reasoning", False, {"reasoning": {"enabled": False}}),
        ("chat_template_kwargs", False, {"chat_template_kwargs": {"enable_thinking": False}}),
        ("none", "high", {}),
        ("anthropic_budget", 9, {}),
    ],
)
def test_thinking_dialects(style: str, value: Any, fields: dict[str, Any]) -> None:
    model = ModelSpec("m", thinking_control=ThinkingControl(style, {"high": value}))
    plain = encode(Message.user("a"), model=model)
    sent = wire.encode(Request((Message.user("a"),), thinking="high"), model, provider(), stream=True)
    assert {key: item for key, item in sent.items() if key not in plain} == fields


@pytest.mark.parametrize(
    ("level", "effort"), [(None, None), ("min", None), ("low", "low"), ("high", "high"), ("max", "high")]
)
def test_an_unknown_model_gets_the_common_dialect(level: Any, effort: str | None) -> None:
    assert encode(Message.user("a"), thinking=level).get("reasoning_effort") == effort


TEXTS = st.text(max_size=12) | st.sampled_from(["", "\ud83d", "{}%$", "\x00"])
ROLES = st.lists(st.sampled_from(["user", "assistant", "tool"]), max_size=8)


@given(ROLES, st.lists(TEXTS, min_size=8, max_size=8), st.sampled_from(["null", "empty"]))
def test_any_conversation_is_valid_for_the_sdk_and_its_head_is_stable(
    roles: list[str], texts: list[str], empty: Any
) -> None:
    messages: list[Message] = []
    for number, (role, text) in enumerate(zip(roles, texts, strict=False)):
        if role == "user":
            messages.append(Message("user", (Text(text), *((PNG,) if number % 3 == 0 else ()))))
        elif role == "assistant":
            messages.append(
                assistant(
                    Thinking(text),
                    Text(text),
                    *((ToolCall(f"c{number}", "Read", {"t": text}),) if number % 2 else ()),
                )
            )
        elif messages and messages[-1].tool_calls:
            messages.append(result(messages[-1].tool_calls[0].id, Text(text)))
    spec = provider(empty_content=empty)
    body = encode(*messages, tools=(READ,), spec=spec)
    json.dumps(body, ensure_ascii=False).encode("utf-8")
    if messages and messages[-1].role == "tool":
        longer = encode(*messages, assistant(Text("more")), tools=(READ,), spec=spec)
        assert longer["messages"][: len(body["messages"])] == body["messages"]
