"""Names, rounding and values of thinking levels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.errors import ConfigError
from ante_nb.providers.spec import LEVELS, ModelSpec, ThinkingControl
from ante_nb.providers.thinking import STYLE_WIRES, levels_of, parse_level, round_level, wire_level

BUDGETS = {"min": None, "low": 4096, "medium": 8192, "high": 24576, "xhigh": 32000, "max": 63999}


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("Disabled", "min"), ("none", "min"), ("Enabled", "medium"), ("Deep", "high"), ("Max", "max"),
        ("min", "min"), ("LOW", "low"), (" medium ", "medium"), ("High", "high"), ("xHigh", "xhigh"), ("max", "max"),
    ],
)  # fmt: skip
def test_both_spellings_any_case(name, level):
    assert parse_level(name) == level


@pytest.mark.parametrize("name", ["", "extra", "0", "true"])
def test_unknown_level_lists_the_allowed(name):
    with pytest.raises(ConfigError) as caught:
        parse_level(name, "--thinking")
    text = str(caught.value)
    assert text.startswith("--thinking")
    for word in (*LEVELS, "Disabled", "Enabled", "Deep", "Max"):
        assert word in text


@given(rungs=st.sets(st.sampled_from(LEVELS), min_size=1), level=st.sampled_from(LEVELS))
def test_rounds_down_to_the_nearest_else_to_the_lowest(rungs, level):
    model = ModelSpec(
        "m", thinking_control=ThinkingControl("reasoning_effort", {rung: rung for rung in rungs})
    )
    value, used = wire_level(model, level)
    assert value == used == round_level(model, level) and used in rungs
    below = [rung for rung in rungs if LEVELS.index(rung) <= LEVELS.index(level)]
    assert used == (max(below, key=LEVELS.index) if below else min(rungs, key=LEVELS.index))


@pytest.mark.parametrize("control", [None, ThinkingControl("none"), ThinkingControl("reasoning_effort", {})])
def test_no_control_sends_nothing(control):
    model = ModelSpec("m", thinking_control=control)
    assert [wire_level(model, level) for level in LEVELS] == [(None, None)] * 6
    assert levels_of(model) == ()


@pytest.mark.parametrize(
    ("max_tokens", "output_limit", "values"),
    [
        (None, None, [None, 4096, 8192, 24576, 32000, 63999]),
        (None, 64_000, [None, 4096, 8192, 24576, 32000, 62976]),
        (None, 128_000, [None, 4096, 8192, 24576, 32000, 63999]),
        (16_000, 64_000, [None, 4096, 8192, 14976, 14976, 14976]),
        (2_048, 64_000, [None, 1024, 1024, 1024, 1024, 1024]),
        (2_000, 64_000, [None] * 6),
    ],
)
def test_anthropic_budgets(max_tokens, output_limit, values):
    model = ModelSpec(
        "m",
        max_tokens=max_tokens,
        output_limit=output_limit,
        thinking_control=ThinkingControl("anthropic_budget", BUDGETS),
    )
    assert [wire_level(model, level)[0] for level in LEVELS] == values
    if max_tokens == 2_000:
        assert wire_level(model, "max") == (None, "min")


def test_styles_are_the_ones_of_the_schema():
    from typing import get_args

    from ante_nb.providers.catalog.schema import ControlEntry

    assert set(get_args(ControlEntry.model_fields["style"].annotation)) == set(STYLE_WIRES)
