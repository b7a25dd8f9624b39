"""The Chat Completions decoder on streams that the real services sent, whole and cut."""

from __future__ import annotations

import itertools
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from support.shared import ROOT, shared

from ante_nb.errors import ProviderError, StreamInterruptedError
from ante_nb.messages import (
    Done,
    TextDelta,
    TextEnd,
    ThinkingDelta,
    ThinkingEnd,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from ante_nb.providers.spec import ModelSpec, ProviderSpec
from ante_nb.providers.transports.sse import SseReader
from ante_nb.providers.wires.base import WireEvent
from ante_nb.providers.wires.openai_chat import wire

if TYPE_CHECKING:
    from ante_nb.messages import StreamEvent

FOLDER = "streams/openai-chat"
NAMES = sorted(path.stem for path in (ROOT / FOLDER).glob("*.sse")) or ["none"]
PROVIDER = ProviderSpec("openai-compatible", "OpenAI Compatible", "OpenAiCompatible")
MODEL = ModelSpec("recorded")


def decode(data: bytes, cuts: list[int] | None = None) -> list[StreamEvent]:
    """All events; the body ends properly after ``data``."""
    reader, decoder = SseReader(), wire.decoder(MODEL, PROVIDER)
    out: list[StreamEvent] = []

    def take(events: Any) -> None:
        for name, text in events:
            if text.startswith("[DONE]"):
                out.extend(decoder.feed(WireEvent("[DONE]", None)))
                continue
            try:
                value = json.loads(text)
            except ValueError:
                continue  # cut off in the middle
            out.extend(decoder.feed(WireEvent(name, value)))

    places = [0, *(cuts or []), len(data)]
    for start, end in itertools.pairwise(places):
        take(reader.feed(data[start:end]))
    take(reader.close())
    out.extend(decoder.close())
    return out


def summary(events: list[StreamEvent]) -> dict[str, Any]:
    done = events[-1]
    assert isinstance(done, Done)
    message = done.message
    return {
        "text": message.text,
        "thinking": "".join(part.text for part in message.parts if part.type == "thinking"),
        "tool_calls": [{"name": call.name, "arguments": call.arguments} for call in message.tool_calls],
        "stop": done.stop_reason,
        "usage": done.usage,
    }


def load(name: str) -> tuple[bytes, dict[str, Any]]:
    data = shared(f"{FOLDER}/{name}.sse").read_bytes()
    return data, json.loads(shared(f"{FOLDER}/{name}.expected.json").read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_whole(name: str) -> None:
    data, expected = load(name)
    events = decode(data)
    found = summary(events)
    assert expected["error"] is None
    for field in ("text", "thinking", "tool_calls", "stop"):
        assert found[field] == expected[field], field
    usage, vendor = found["usage"], expected["usage"]
    assert usage.input == vendor["input"]
    assert usage.cache_read == (vendor["cache_read"] or 0)
    assert usage.reasoning == (vendor["reasoning"] or 0)
    # xAI counts reasoning beside the output, everybody else within it.
    assert usage.output == vendor["output"] + (usage.reasoning if name.startswith("v-xai") else 0)
    assert [event for event in events if isinstance(event, Done)] == events[-1:]


@pytest.mark.parametrize("name", NAMES)
def test_deltas_join_to_the_finished_parts(name: str) -> None:
    data, _ = load(name)
    grown: dict[int, str] = {}
    for event in decode(data):
        match event:
            case TextDelta(index, text) | ThinkingDelta(index, text) | ToolCallDelta(index, text):
                grown[index] = grown.get(index, "") + text
            case TextEnd(index, part) | ThinkingEnd(index, part):
                assert grown.get(index, "") == part.text
            case ToolCallEnd(index, part):
                assert json.loads(grown.get(index) or "{}") == part.arguments
            case ToolCallStart(_, ident, call_name):
                assert ident
                assert call_name


@pytest.mark.parametrize("name", NAMES)
def test_byte_by_byte_and_random_cuts(name: str) -> None:
    data, _ = load(name)
    whole = summary(decode(data))
    assert summary(decode(data, list(range(1, len(data))))) == whole
    rng = random.Random(name)
    for _ in range(10):
        cuts = sorted(rng.randrange(len(data)) for _ in range(rng.randrange(1, 30)))
        assert summary(decode(data, cuts)) == whole


def marker_end(data: bytes) -> int:
    """Where the JSON of the chunk with the finish reason is complete."""
    for at, line in _lines(data):
        if line.startswith(b"data:") and b"[DONE]" not in line:
            choices = json.loads(line[5:]).get("choices") or [{}]
            if choices[0].get("finish_reason"):
                return at + len(line.rstrip())
    raise AssertionError("the stream has no terminal marker")


def _lines(data: bytes) -> list[tuple[int, bytes]]:
    out, at = [], 0
    for line in data.splitlines(keepends=True):
        out.append((at, line))
        at += len(line)
    return out


@pytest.mark.parametrize("name", NAMES)
def test_cut_before_the_marker_is_never_an_answer(name: str) -> None:
    data, expected = load(name)
    end = marker_end(data)
    rng = random.Random(name)
    for cut in {
        *range(max(0, end - 40), end),
        *(rng.randrange(end) for _ in range(40)),
        int(end * 0.2),
        int(end * 0.6),
    }:
        with pytest.raises(StreamInterruptedError) as caught:
            decode(data[:cut])
        partial = caught.value.partial
        assert partial is not None
        assert not partial.tool_calls
        assert expected["text"].startswith(partial.text)
    assert summary(decode(data[:end]))["text"] == expected["text"]


def test_cut_fuzz_raises_only_documented_errors() -> None:
    rng = random.Random(7)
    for name in NAMES:
        data, _ = load(name)
        for _ in range(5):
            broken = bytearray(data)
            for _ in range(rng.randrange(1, 20)):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            try:
                decode(bytes(broken))
            except ProviderError as problem:
                assert str(problem)
