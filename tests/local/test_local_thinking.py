"""Marks of thinking: read off templates, and taken out of an answer that comes in any pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.local import thinking
from ante_nb.local.spoken import Spoken
from ante_nb.local.thinking import ALL, THINK, Marks, marks_of, opened_by, preserved
from ante_nb.messages import Text, TextDelta, Thinking, ThinkingDelta

HARMONY = ALL[-1]


def pieces(text: str, cuts: list[int]) -> list[str]:
    marks = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    return [text[a:b] for a, b in itertools.pairwise(marks)]


@pytest.mark.parametrize("marks", ALL, ids=lambda marks: marks.open.strip())
@given(st.lists(st.integers(0, 90), max_size=30))
def test_any_marks_in_any_pieces(marks: Marks, cuts: list[int]) -> None:
    said = f"\n{marks.open}hm, {marks.open[:3]} or not{marks.close}{''.join(marks.headings)}So: {marks.open}?"
    spoken = Spoken(marks=ALL)
    events = [event for piece in pieces(said, cuts) for event in spoken.feed(piece)]
    events += spoken.close()
    assert spoken.parts == [Thinking(f"hm, {marks.open[:3]} or not"), Text(f"So: {marks.open}?")]
    for kind, part in ((ThinkingDelta, spoken.parts[0]), (TextDelta, spoken.parts[1])):
        assert "".join(event.text for event in events if isinstance(event, kind)) == part.text  # type: ignore[union-attr]


@given(st.text(alphabet="<>/think[]|a \n", max_size=40), st.lists(st.integers(0, 40), max_size=10))
def test_nothing_is_lost(said: str, cuts: list[int]) -> None:
    whole, cut = Spoken(), Spoken()
    for spoken, parts in ((whole, [said]), (cut, pieces(said, cuts))):
        for piece in parts:
            list(spoken.feed(piece))
        list(spoken.close())
    assert cut.parts == whole.parts
    if "<think>" not in said:
        assert "".join(part.text for part in whole.parts if isinstance(part, Text)).strip() == said.strip()


def test_several_thoughts_of_a_channel_model() -> None:
    said = (
        "<|channel|>analysis<|message|>one<|end|><|start|>assistant<|channel|>analysis<|message|>two<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Hello."
    )
    spoken = Spoken(marks=(THINK, HARMONY))
    list(spoken.feed(said))
    list(spoken.close())
    assert spoken.parts == [Thinking("one"), Thinking("two"), Text("Hello.")]


def test_a_thought_without_an_end() -> None:
    spoken = Spoken()
    list(spoken.feed("<think>and on and</th"))
    assert spoken.partial() == (Thinking("and on and"),)
    list(spoken.close())
    assert spoken.parts == [Thinking("and on and</th")]


def test_marks_of_templates() -> None:
    assert marks_of("") == (THINK,)
    assert marks_of("{{ '[THINK]' }}") == (THINK, ALL[4])
    assert marks_of("{{ '<|start|>assistant<|channel|>' ~ channel ~ '<|message|>' }}") == (THINK, HARMONY)
    assert marks_of("<|user|>{{ m }}<|end|>") == (THINK,), "Phi ends its messages so"


def test_special_tokens_are_asked_for() -> None:
    assert preserved((THINK,)) == []
    assert preserved((THINK, ALL[4])) == ["[THINK]", "[/THINK]"]
    assert preserved((HARMONY,)) == ["<|start|>", "<|channel|>", "<|message|>", "<|end|>"]


def test_a_thought_that_the_prompt_opens() -> None:
    assert opened_by("<|im_start|>assistant\n<think>\n", (THINK,)) is THINK
    assert opened_by("<think>\n\n</think>\n\n", (THINK,)) is None
    assert opened_by("[THINK]", (THINK,)) is None and thinking.opened_by("[THINK]", ALL) is ALL[4]
