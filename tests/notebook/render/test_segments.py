"""Segments: what is cut renders to the whole, and the bytes stay within their budget."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.answers import CODE, answer
from support.stage import Stage

from ante_nb import messages as m
from ante_nb.notebook.render.pace import Pace
from ante_nb.notebook.render.sanitize import safe_html
from ante_nb.notebook.render.segments import Operation, Segments, cut_point, minimum_size

LINES = st.sampled_from(
    [
        "", "", "", "text", "more *text*", "- a", "* b", "  - c", "1. d", "2) e", "  indented", "    code", "\ttab",
        "```", "```python", "  ```", "~~~", "$$", "$$ x $$", "\\[", "\\]", "\\begin{align}", "\\end{align}", "x & y",
        "> quote", ">", "| a | b |", "|---|---|", "| 1 | 2 |", "# head", "---", "===", "***", "[r]: http://x", "[r]",
        "<div>", "</div>", "1", "-", "`", "\x0b", "\u2028", "\\", "&nbsp;", "$x", "y$",
    ]
)  # fmt: skip
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])
TEXTS = st.lists(st.tuples(LINES, ENDS).map("".join), max_size=25).map("".join)


@given(TEXTS, st.integers(0, 400))
@settings(max_examples=400)
def test_every_cut_renders_to_the_whole(text: str, seen: int) -> None:
    # The cut is chosen from what has come so far, the whole is known only later.
    cut = cut_point(text[:seen])
    head, rest = text[:cut], text[cut:]
    assert safe_html(head, base=None) + safe_html(rest, base=None) == safe_html(text, base=None)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("a\n\nb", 0),
        ("a\n\nb\n", 3),
        ("a\nb\n", 0),
        ("- a\n\n- b\n", 0),
        ("- a\n\ntext\n", 5),
        ("- a\n\n1", 0),
        ("```\na\n\nb\n", 0),
        ("x\n\n```\na\n\nb\n", 3),
        ("| a |\n|---|\n\nx\n", 13),
        ("a\r\n\r\nb\r\n", 5),
        ("a\n\nb\r", 0),
        ("", 0),
    ],
)
def test_cut_points(text: str, cut: int) -> None:
    assert cut_point(text) == cut


def played(text: str, sizes: list[int], step: float) -> list[Operation]:
    numbers = itertools.count()
    segments = Segments(lambda: str(next(numbers)), lambda: 50, Pace())
    operations: list[Operation] = []
    now, at = 0.0, 0
    for size in itertools.cycle(sizes):
        if at >= len(text):
            break
        operations += segments.feed(text[at : at + size], now)
        at += size
        now += step
    return operations + segments.end(now)


@given(TEXTS, st.lists(st.integers(1, 30), min_size=1, max_size=5), st.sampled_from([0.0, 0.01, 0.3]))
def test_what_is_finished_joins_to_the_exact_text(text: str, sizes: list[int], step: float) -> None:
    operations = played(text, sizes, step)
    pieces: dict[str, str] = {}
    finished: list[str] = []
    for operation in operations:
        pieces[operation.id] = pieces.get(operation.id, "") + operation.closed
        assert operation.id not in finished
        if operation.kind == "finish":
            assert not operation.open
            finished.append(operation.id)
    if text.strip():
        assert "".join(pieces[name] for name in finished) == text
        assert "".join(safe_html(pieces[name], base=None) for name in finished) == safe_html(text, base=None)
    assert list(pieces) == finished


def test_first_text_at_once_then_by_the_tick() -> None:
    segments = Segments(lambda: "a", lambda: 2000, Pace())
    assert [o.kind for o in segments.feed("Hello", 5.0)] == ["publish"]
    assert segments.next_tick() is None
    assert segments.feed(" world", 5.01) == []
    assert segments.next_tick() == pytest.approx(5.25)
    assert [o.kind for o in segments.tick(5.3)] == ["update"]
    assert [o.kind for o in segments.end(5.4)] == ["finish"]
    assert segments.next_tick() is None


def test_interval() -> None:
    pace = Pace()
    assert pace.interval(0) == 0.25
    for number in range(100):
        pace.arrived(500, number * 0.1)
    assert pace.rate == pytest.approx(5000, rel=0.1)
    assert pace.interval(0) == pytest.approx(0.06)
    assert pace.interval(5_000) == pytest.approx(0.16)
    assert pace.interval(80_000) == pytest.approx(0.4)


def test_segments_grow_before_the_outputs_run_out() -> None:
    assert [minimum_size(n) for n in (0, 15, 16, 29)] == [2_000, 2_000, 6_000, 6_000]
    assert minimum_size(30) > 10**8


# One block that cannot be cut, dense code, and everything mixed.
ANSWERS = {
    "mixed": answer(80_000),
    "one fence": "```python\n"
    + ("def f(x):\n    return [g(i, 'a') for i in range(x)]  # why\n\n" * 1400)
    + "```\n",
    "one list": "".join(f"- item {i} with some text and `code` here\n" for i in range(1_800)),
    "code": "".join(CODE.format(n=i) + "\n" for i in range(220)),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(
    ("rate", "length"), [(8_000, 80_000), (5_000, 80_000), (3_000, 30_000), (300, 4_000)]
)
def test_bytes_on_the_wire(name: str, rate: int, length: int) -> None:
    text = ANSWERS[name][:length]
    stage = Stage()
    seconds = stage.stream(text, rate)
    stage.renderer.close()
    per_second = stage.bytes / seconds
    print(f"{name} {rate}/s: {stage.bytes} bytes, {per_second:.0f}/s, {len(stage.log)} messages")
    assert "".join(data.get("text/plain", "") for data in stage.shown()) == text
    assert len(stage.outputs) <= 40
    assert stage.bytes <= 500_000
    if rate <= 5_000:
        assert per_second <= 30_000
    # And it is alive: the greatest pause in a live answer.
    times = [entry[0] for entry in stage.log]
    assert max(b - a for a, b in itertools.pairwise(times)) < (2.5 if name in ("mixed", "code") else 6)


def test_a_long_open_block_shows_its_end_only_until_it_is_finished() -> None:
    stage = Stage()
    text = "```python\n" + "print('a line of code')\n" * 2_000
    for start in range(0, 30_000, 500):
        stage.events(m.TextDelta(0, text[start : start + 500]))
        stage.wait(2.0)
    live = stage.html()
    assert "characters above are shown when this part is complete" in live and len(live) < 20_000
    stage.renderer.close()
    assert "characters above" not in stage.html()
    assert stage.html().count("a line of code") == text[:30_000].count("a line of code")


def test_a_text_fed_letter_by_letter_costs_little() -> None:
    segments = Segments(lambda: "a", lambda: 2000, Pace())
    segments.feed("x", 0.0)
    began = time.process_time()
    for _ in range(20_000):
        segments.feed("word", 0.001)
    # No tick is due: only a list grows. 5 s is for a loaded machine, not the aim.
    assert time.process_time() - began < 5.0
