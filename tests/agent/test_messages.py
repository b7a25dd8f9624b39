"""Parts and messages through JSON and back; ids; usage."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.ids import new_id
from ante_nb.messages import (
    Image,
    Message,
    Opaque,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    part_from_dict,
    part_to_dict,
)

# Whatever JSON can hold; also lone surrogates, which models do emit inside escapes.
words = st.text(st.characters(), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(words, values, max_size=4)
metadata = st.none() | st.builds(lambda more: {"provider": "p", "model": "m", **more}, objects)
texts = st.builds(Text, words, metadata)
images = st.builds(Image, words, st.sampled_from(["image/png", "image/jpeg"]), metadata)
calls = st.builds(ToolCall, words, words, objects, st.none() | words, metadata)
results = st.builds(
    ToolResult, words, st.lists(texts | images, max_size=3).map(tuple), st.booleans(), metadata
)
thoughts = st.builds(Thinking, words, st.none() | words, st.booleans(), metadata)
parts = texts | images | calls | results | thoughts | st.builds(Opaque, words, metadata)
optional = st.none() | words
messages = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "tool"]),
    st.lists(parts, max_size=5).map(tuple),
    optional,
    optional,
    optional,
)


@given(parts)
def test_every_part_comes_back_exactly(part: Text) -> None:
    back = part_from_dict(json.loads(json.dumps(part_to_dict(part))))
    assert back == part and type(back) is type(part)


@given(messages)
def test_every_message_comes_back_exactly(message: Message) -> None:
    data = json.dumps(message.to_dict())
    back = Message.from_dict(json.loads(data))
    assert back == message
    assert json.dumps(back.to_dict()) == data


def test_a_part_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="hologram"):
        part_from_dict({"type": "hologram"})


def test_ids_sort_in_the_order_they_were_made() -> None:
    made = [new_id("turn") for _ in range(5000)]
    assert made == sorted(made) and len(set(made)) == len(made)
    assert all(len(one) == len("turn_") + 26 for one in made)


def test_ids_of_several_threads_differ() -> None:
    found: list[list[str]] = []

    def work() -> None:
        mine = [new_id("step") for _ in range(2000)]
        assert mine == sorted(mine)
        found.append(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [one for mine in found for one in mine]
    assert len(set(every)) == 8000


numbers = st.builds(Usage, *[st.integers(0, 10**9)] * 5)


@given(numbers, numbers, numbers)
def test_usage_adds_field_by_field(a: Usage, b: Usage, c: Usage) -> None:
    total = a + b
    assert total.to_dict() == {name: a.to_dict()[name] + b.to_dict()[name] for name in a.to_dict()}
    assert a + b == b + a and (a + b) + c == a + (b + c) and a + Usage() == a


def test_texts_of_a_message() -> None:
    message = Message("assistant", (Thinking("hm"), Text("a"), ToolCall("1", "Read"), Text("b")))
    assert (message.text, message.thinking, [c.id for c in message.tool_calls]) == ("ab", "hm", ["1"])
