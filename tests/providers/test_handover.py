"""A conversation that goes to another model, and the conversation that any model can be given."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ante_nb.messages import Image, Message, Opaque, Text, Thinking, ToolCall, ToolResult, tag
from ante_nb.providers.handover import ORPHAN, adapt
from ante_nb.providers.spec import ModelSpec, ProviderSpec

HERE, THERE = (
    ProviderSpec("here", "Here", "OpenAiCompatible"),
    ProviderSpec("there", "There", "AnthropicMessage"),
)
MODEL = ModelSpec("m")
USER = Message.user("hi")


def own(*parts: Any) -> Message:
    return Message("assistant", parts, provider="here", wire="OpenAiCompatible", model="m")


def results(*ids: str) -> Message:
    return Message("tool", tuple(ToolResult(ident, (Text(f"r {ident}"),)) for ident in ids))


def go(*messages: Message, provider: ProviderSpec = HERE, model: ModelSpec = MODEL) -> tuple[Message, ...]:
    return adapt(messages, provider, model, provider.wire_style)


def test_the_same_model_gets_everything_back() -> None:
    conversation = (
        USER,
        own(
            Thinking("hm", "sig", provider_metadata=tag("here", "m", x=1)),
            Thinking(redacted=True, provider_metadata=tag("here", "m", data="x")),
            Opaque("search", tag("here", "m", block={})),
            Text("a", tag("here", "m", id="t")),
            ToolCall("c1", "A", {"x": 1}, provider_metadata=tag("here", "m", sig="s")),
        ),
        results("c1"),
        own(Text("done")),
    )
    assert go(*conversation) == conversation


def test_another_model_gets_no_foreign_thinking_or_metadata() -> None:
    message = own(
        Thinking("hm", "sig", provider_metadata=tag("here", "m", x=1)),
        Opaque("search", tag("here", "m", block={})),
        Text("a", tag("here", "m", id="t")),
        ToolCall("c1", "A", provider_metadata=tag("here", "m", sig="s")),
    )
    for provider, model in ((THERE, MODEL), (HERE, ModelSpec("other"))):
        adapted = go(USER, message, results("c1"), provider=provider, model=model)[1]
        assert adapted.parts == (Text("a"), ToolCall("c1", "A"))


def test_thinking_of_nobody_is_foreign() -> None:
    assert go(USER, Message("assistant", (Thinking("x"), Text("a"))))[1].parts == (Text("a"),)


def test_empty_assistant_messages_go() -> None:
    assert go(USER, own(), own(Text("")), own(Thinking("x")), Message.user("b")) == (USER, Message.user("b"))


def test_a_call_without_a_result_gets_one() -> None:
    for after in ((), (Message.user("next"),), (own(Text("next")),)):
        adapted = go(USER, own(ToolCall("a", "A"), ToolCall("b", "B")), results("b"), *after)
        found = [result for message in adapted[2:] for result in message.tool_results]
        assert [(result.call_id, result.is_error) for result in found] == [("b", False), ("a", True)]
        assert found[1].text == ORPHAN
        assert adapted[3:] == after


def test_results_without_a_call_and_second_results_go() -> None:
    adapted = go(
        USER, results("x"), own(ToolCall("a", "A")), results("a", "a", "y"), results("a"), Message.user("z")
    )
    assert [message.role for message in adapted] == ["user", "assistant", "tool", "user"]
    assert [result.call_id for result in adapted[2].tool_results] == ["a"]


def test_images_become_a_note_without_vision() -> None:
    image = Image("AAAA", "image/png")
    blind = ModelSpec("m", vision=False)
    message = Message("user", (Text("see"), image))
    result = Message("tool", (ToolResult("a", (Text("plot"), image)),))
    for model in (ModelSpec("m", vision=True), MODEL):
        assert go(message, own(ToolCall("a", "A")), result, model=model)[0] == message
    adapted = go(message, own(ToolCall("a", "A")), result, model=blind)
    assert "image/png" in adapted[0].text
    assert "cannot see" in adapted[2].tool_results[0].text


def test_ids_become_what_the_wire_accepts_and_stay_the_same() -> None:
    long = "fc_" + "x" * 80
    mistral = ProviderSpec("openai-compatible", "X", "OpenAiCompatible")
    cases = [
        (HERE, MODEL, r"[\x21-\x7e]{1,40}", "dQ3fixL"),
        (mistral, ModelSpec("mistralai/devstral-2"), r"[A-Za-z0-9]{9}", "Abcdefgh9"),
        (THERE, MODEL, r"[A-Za-z0-9_-]{1,64}", "toolu_1"),
    ]
    for provider, model, pattern, fits in cases:
        message = own(ToolCall(long, "A"), ToolCall("bad id!", "B"), ToolCall(fits, "C"))
        first = go(USER, message, results(fits, long, "bad id!"), provider=provider, model=model)
        again = go(
            USER,
            message,
            results(fits, long, "bad id!"),
            Message.user("more"),
            provider=provider,
            model=model,
        )
        assert again[:3] == first
        ids = [call.id for call in first[1].tool_calls]
        assert all(re.fullmatch(pattern, ident) for ident in ids)
        assert ids[2] == fits
        assert {result.call_id for result in first[2].tool_results} == set(ids)
        assert [result.text for result in first[2].tool_results] == [f"r {fits}", f"r {long}", "r bad id!"]


def test_an_id_used_again_in_a_later_step_is_made_unique() -> None:
    adapted = go(
        USER, own(ToolCall("call_0", "A")), results("call_0"), own(ToolCall("call_0", "A")), results("call_0")
    )
    first, second = adapted[1].tool_calls[0].id, adapted[3].tool_calls[0].id
    assert first == "call_0" != second
    assert [adapted[n].tool_results[0].call_id for n in (2, 4)] == [first, second]
    assert adapted[4].tool_results[0].text == "r call_0"


IDS = st.sampled_from(["a", "b", "call_0", "x y", "é", "", "z" * 70])
PARTS = {
    "user": st.one_of(
        st.builds(Text, st.sampled_from(["", "t"])), st.builds(Image, st.just("A"), st.just("image/png"))
    ),
    "assistant": st.one_of(
        st.builds(Text, st.sampled_from(["", "t"])),
        st.builds(Thinking, st.just("h")),
        st.builds(ToolCall, IDS, st.just("A")),
        st.builds(Opaque, st.just("k"), st.sampled_from([None, tag("here", "m", block=1)])),
    ),
    "tool": st.builds(ToolResult, IDS, st.just((Text("r"),))),
}
MESSAGES = st.sampled_from(["user", "assistant", "tool"]).flatmap(
    lambda role: st.builds(
        Message,
        st.just(role),
        st.lists(PARTS[role], max_size=4).map(tuple),
        provider=st.sampled_from(["here", None]),
        model=st.sampled_from(["m", None]),
    )
)


@given(st.lists(MESSAGES, max_size=10), st.sampled_from([HERE, THERE]), st.sampled_from([True, False, None]))
def test_whatever_came_before_the_result_is_valid_and_stable(
    messages: list[Message], provider: ProviderSpec, vision: bool | None
) -> None:
    model = ModelSpec("m", vision=vision)
    adapted = adapt(messages, provider, model, provider.wire_style)
    assert adapt(adapted, provider, model, provider.wire_style) == adapted
    waiting: set[str] = set()
    used: set[str] = set()
    for message in adapted:
        assert message.parts
        if message.role != "tool":
            assert not waiting
        for call in message.tool_calls:
            assert call.id not in used
            used.add(call.id)
            waiting.add(call.id)
        for result in message.tool_results:
            waiting.remove(result.call_id)
        if vision is False:
            assert not any(isinstance(part, Image) for part in message.parts)
    assert not waiting
