"""What is sent after a continuation is always the whole conversation, and nothing twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.providers.transports.continuation import baseline, full_frame, new_items, next_frame

ITEM = st.fixed_dictionaries({"type": st.sampled_from(["message", "x"]), "v": st.integers(0, 2)})
ITEMS = st.lists(ITEM, max_size=4)
FIELDS = st.fixed_dictionaries({"model": st.sampled_from("ab"), "stream": st.booleans()})


@given(FIELDS, ITEMS, ITEMS, FIELDS, ITEMS)
def test_the_server_ends_up_with_the_whole_input_or_gets_all_of_it(
    before: dict[str, Any], sent: Any, said: Any, after: dict[str, Any], now: Any
) -> None:
    known = baseline({**before, "input": sent}, said, "resp_1")
    for items in (now, [*sent, *said, *now]):
        body = {**after, "input": items}
        frame = next_frame(body, known)
        if "previous_response_id" in frame:
            assert [*sent, *said, *frame["input"]] == items and frame["input"]
            assert before["model"] == after["model"]
        else:
            assert frame == full_frame(body) and frame["input"] == items
            place, end = len(sent), len(sent + said)
            same_text = json.dumps(items[:place]) == json.dumps(sent)  # another order of keys is a doubt
            extends = same_text and items[place:end] == said and len(items) > end
            assert not extends or before["model"] != after["model"]
        assert frame["type"] == "response.create" and "stream" not in frame


@pytest.mark.parametrize(
    ("raw", "back", "same"),
    [
        ({"type": "function_call", "id": "f", "status": "completed"}, {"id": "f", "type": "function_call"}, True),
        ({"type": "function_call", "id": "f"}, {"type": "function_call"}, False),
        ({"type": "reasoning", "content": None, "summary": []}, {"type": "reasoning", "summary": []}, True),
        ({"type": "message", "content": [{"text": "a", "logprobs": []}]},
         {"type": "message", "role": "assistant", "status": "completed", "content": [{"text": "a"}]}, True),
        ({"type": "message", "content": [{"text": "a"}]}, {"type": "message", "content": "a"}, False),
        ({"type": "x", "v": 1}, {"type": "x", "v": True}, False),
        ({"type": "x", "v": 1}, {"type": "x", "v": 1.0}, False),
    ],
)  # fmt: skip
def test_an_output_item_and_how_it_goes_back(raw: Any, back: Any, same: bool) -> None:
    known = baseline({"input": []}, [raw], "resp_1")
    new = {"type": "message", "role": "user"}
    assert new_items({"input": [back, new]}, known) == ([new] if same else [])


def test_a_schema_that_is_changed_in_place_is_noticed() -> None:
    body: dict[str, Any] = {"tools": [{"parameters": {"type": "object"}}], "input": [{"v": 1}]}
    known = baseline(body, [], "resp_1")
    again = {"tools": body["tools"], "input": [{"v": 1}, {"v": 2}]}
    assert new_items(again, known) == [{"v": 2}]
    body["tools"][0]["parameters"]["type"] = "string"
    assert new_items(again, known) == []
