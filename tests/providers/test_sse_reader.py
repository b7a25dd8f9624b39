"""The event-stream reader: the WHATWG rules, any cut, bounded memory."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.providers.transports.sse import EventTooLargeError, SseEvent, SseReader

if TYPE_CHECKING:
    import random


def read(data: bytes, cuts: list[int] | None = None) -> list[SseEvent]:
    reader = SseReader()
    events: list[SseEvent] = []
    places = [0, *sorted(cuts or []), len(data)]
    for start, end in itertools.pairwise(places):
        events += reader.feed(data[start:end])
    return events + reader.close()


CASES = {
    "plain": (b"data: a\n\n", [("", "a")]),
    "no space": (b"data:a\n\ndata:  b\n\n", [("", "a"), ("", " b")]),
    "crlf": (b"data: a\r\n\r\nevent: x\r\ndata: b\r\n\r\n", [("", "a"), ("x", "b")]),
    "cr": (b"data: a\r\rdata: b\r\r", [("", "a"), ("", "b")]),
    "mixed": (b"data: a\r\n\ndata: b\n\r\n", [("", "a"), ("", "b")]),
    "bom": (b"\xef\xbb\xbfdata: a\n\n", [("", "a")]),
    "only the first bom": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [("", "b")]),
    "comments": (b": ping\n\n:\ndata: a\n: x\n\n", [("", "a")]),
    "several lines": (b"data: a\ndata: b\ndata:\n\n", [("", "a\nb\n")]),
    "field without colon": (b"data\n\n", [("", "")]),
    "name without data": (b"event: x\n\ndata: a\n\n", [("", "a")]),
    "id and retry": (b"id: 1\nretry: 5\ndata: a\n\n", [("", "a")]),
    "unknown field": (b"nonsense: 1\n{}\ndata: a\n\n", [("", "a")]),
    "llama.cpp error": (b'error: {"code":500}\n\n', [("error", '{"code":500}')]),
    "no last blank line": (b"data: a\n\ndata: b\n", [("", "a"), ("", "b")]),
    "no last line end": (b"data: a\n\ndata: b", [("", "a"), ("", "b")]),
    "utf-8": ("data: žluťoučký 🐎\n\n".encode(), [("", "žluťoučký 🐎")]),
    "line separators are no line ends": (
        "data: a\u2028b\x0bc\x85d\n\n".encode(),
        [("", "a\u2028b\x0bc\x85d")],
    ),
    "broken utf-8": (b"data: \xff\n\n", [("", "\ufffd")]),
    "empty": (b"", []),
}


@pytest.mark.parametrize("name", CASES)
def test_rules_hold_for_every_cut(name: str) -> None:
    data, expected = CASES[name]
    assert read(data) == expected
    assert read(data, list(range(len(data)))) == expected
    for cut in range(len(data)):
        assert read(data, [cut]) == expected, cut


LINES = st.lists(
    st.sampled_from(
        ["data: x", "data:{}", "data", "event: e", ": c", "", "", "id: 4", "error: z", "é: 1", "data: 🐎"]
    ),
    max_size=30,
)


@given(LINES, st.sampled_from(["\n", "\r", "\r\n"]), st.booleans(), st.randoms(use_true_random=False))
def test_cuts_and_line_ends_change_nothing(lines: list[str], end: str, bom: bool, rng: random.Random) -> None:
    data = (b"\xef\xbb\xbf" if bom else b"") + "".join(line + end for line in lines).encode()
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(8)))
    assert read(data, cuts) == read("".join(line + "\n" for line in lines).encode())


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=10))
def test_any_bytes_end_in_events(data: bytes, cuts: list[int]) -> None:
    for name, value in read(data, [cut for cut in cuts if cut <= len(data)]):
        assert isinstance(name, str)
        assert isinstance(value, str)


@given(
    st.lists(
        st.one_of(st.binary(max_size=50), st.sampled_from([b"data: ", b"\n", b"event: ", b"x" * 40])),
        max_size=60,
    )
)
def test_memory_is_bounded(chunks: list[bytes]) -> None:
    reader = SseReader(max_event_bytes=100)
    try:
        for chunk in chunks:
            reader.feed(chunk)
            held = sum(map(len, reader._tail)) + sum(map(len, reader._data)) + len(reader._name)
            assert held <= 100
    except EventTooLargeError:
        assert sum(map(len, chunks)) > 100


def test_a_line_that_never_ends_is_given_up() -> None:
    reader = SseReader(max_event_bytes=1000)
    with pytest.raises(EventTooLargeError):
        for _ in range(200):
            reader.feed(b"data: xxxx")
    reader = SseReader(max_event_bytes=1000)
    with pytest.raises(EventTooLargeError):
        for _ in range(2000):
            reader.feed(b"data:\n")


def test_a_large_event_in_small_chunks_is_read_in_linear_time() -> None:
    body = json.dumps({"text": "x" * 8_000_000}).encode()
    reader = SseReader()
    events = reader.feed(b"data: ")
    for at in range(0, len(body), 1000):
        events += reader.feed(body[at : at + 1000])
    events += reader.feed(b"\n\n")
    assert [len(event.data) for event in events] == [len(body)]
