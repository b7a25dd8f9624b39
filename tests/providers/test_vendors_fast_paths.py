"""The short ways through reader and decoders give what the long ways give."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.messages import Done
from ante_nb.providers.catalog import load_catalog
from ante_nb.providers.transports.sse import SseReader
from ante_nb.providers.wires import wire_for
from ante_nb.providers.wires.base import WireEvent

PIECES = st.lists(
    st.sampled_from(
        ["data: x", "data: ", "data:y", "data", "event: e", "event:", ": c", "\n", "\r", "\r\n", "\n\n", "\r\n\r\n"]
    ),
    max_size=25,
)  # fmt: skip


def read(chunks: list[bytes]) -> list[Any]:
    reader = SseReader()
    reader.feed(b": begun\n\n")  # the first chunk never takes the short way
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.close()


@given(PIECES, st.sampled_from(["\n\n", "\r\n\r\n", "\n", ""]), st.lists(st.integers(0, 80), max_size=4))
def test_lines_end_alike_in_any_mixture(pieces: list[str], end: str, cuts: list[int]) -> None:
    data = ("".join(pieces) + end).encode()
    edges = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    bytewise = [data[at : at + 1] for at in range(len(data))]
    assert read([data]) == read(bytewise)
    assert read([data[a:b] for a, b in itertools.pairwise(edges)]) == read(bytewise)


TEXTS = st.lists(st.sampled_from(["a", "", "ž", "\ud83d", "\udc0e", "bc"]), max_size=6)


def _anthropic(text: str, extra: bool) -> dict[str, Any]:
    delta = {"type": "text_delta", "text": text}
    event = {"type": "content_block_delta", "delta": delta}
    return event if extra else {**event, "index": 0}


def _gemini(text: str, extra: bool) -> dict[str, Any]:
    part: dict[str, Any] = {"text": text, **({"thought": False} if extra else {})}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": len(text)}
    return {"candidates": [{"content": {"parts": [part]}}], "usageMetadata": usage}


def _responses(text: str, extra: bool) -> dict[str, Any]:
    event = {"type": "response.output_text.delta", "content_index": 0, "item_id": "m", "delta": text}
    return event if extra else {**event, "output_index": 0}


def _chat(text: str, extra: bool) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text, **({"role": "assistant"} if extra else {})}}]}


FORMS: dict[str, Any] = {
    # provider: an event of some text in its usual form or a longer one, what begins and what ends the answer
    "anthropic": (
        _anthropic,
        [{"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}],
        [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ],
    ),
    "openai": (
        _responses,
        [{"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "m"}}],
        [{"type": "response.completed", "response": {"status": "completed", "output": []}}],
    ),
    "deepseek": (_chat, [], [{"choices": [{"delta": {}, "finish_reason": "stop"}]}]),
    "gemini": (_gemini, [], [{"candidates": [{"finishReason": "STOP"}]}]),
}


@pytest.mark.parametrize("name", FORMS)
@given(texts=TEXTS, long=st.lists(st.booleans(), min_size=6, max_size=6))
def test_the_form_of_an_event_changes_nothing(name: str, texts: list[str], long: list[bool]) -> None:
    make, before, after = FORMS[name]
    provider = load_catalog().provider(name)
    model = load_catalog().model_for(name, provider.default_model or "")

    def decode(forms: list[bool]) -> list[Any]:
        decoder = wire_for(provider.wire_style).decoder(model, provider)
        events: list[Any] = []
        middle = [make(text, form) for text, form in zip(texts, forms, strict=False)]
        for data in (*before, *middle, *after):
            events += decoder.feed(WireEvent("", json.loads(json.dumps(data))))
        return [*events, *decoder.close()]

    events = decode(long)
    assert events == decode([False] * 6)
    whole = "".join(texts)
    done = events[-1]
    assert isinstance(done, Done)
    done.message.text.encode()  # no half characters, whatever was cut
    if whole.encode("utf-16", "surrogatepass").decode("utf-16", "ignore") == _paired(whole):
        assert done.message.text == _paired(whole)


def _paired(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
