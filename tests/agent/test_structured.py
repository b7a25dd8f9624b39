"""``schema=``: the turn ends with a validated value, whatever the model tries first."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import typing
from typing import TYPE_CHECKING, Any

import pytest
import typing_extensions
from pydantic import BaseModel, ConfigDict
from support.chat_server import Reply, finish, text, tool

if TYPE_CHECKING:
    from support.desk import Desk


class Colour(enum.Enum):
    RED = "red"


class City(BaseModel):
    name: str
    people: int
    founded: datetime.date | None = None


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: datetime.date
    pair: tuple[int, int]
    colour: Colour


class Tree(BaseModel):
    label: str
    below: list[Tree] = []


@dataclasses.dataclass
class Point:
    x: float
    y: float


class Row(typing_extensions.TypedDict):
    key: str
    count: int


def answer(arguments: Any, ident: str = "call_a") -> Reply:
    return Reply(tool("Answer", arguments, id=ident))


def schema_sent(desk: Desk) -> dict[str, Any]:
    tools = desk.server.chats[0].body["tools"]
    found = next(item["function"] for item in tools if item["function"]["name"] == "Answer")
    return dict(found["parameters"])


@pytest.mark.parametrize(
    ("schema", "arguments", "value"),
    [
        (City, {"name": "Ulm", "people": 126_000}, City(name="Ulm", people=126_000)),
        (City, {"name": "Ulm", "people": 1, "founded": "0854-07-22"}, City(name="Ulm", people=1, founded=datetime.date(854, 7, 22))),
        (
            Strict,
            {"when": "2026-01-02", "pair": [1, 2], "colour": "red"},
            Strict(when=datetime.date(2026, 1, 2), pair=(1, 2), colour=Colour.RED),
        ),
        (Tree, {"label": "a", "below": [{"label": "b"}]}, Tree(label="a", below=[Tree(label="b")])),
        (Point, {"x": 1, "y": 2.5}, Point(1.0, 2.5)),
        (Row, {"key": "a", "count": 3}, {"key": "a", "count": 3}),
        (list[int], {"value": [1, 2, 3]}, [1, 2, 3]),
        (list[City], {"value": [{"name": "Ulm", "people": 1}]}, [City(name="Ulm", people=1)]),
        (int, {"value": 7}, 7),
        (Colour, {"value": "red"}, Colour.RED),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (City | None, {"value": None}, None),
        (typing.Literal["yes", "no"], {"value": "no"}, "no"),
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"a": 1}, {"a": 1}),
        ({"type": "array", "items": {"type": "string"}}, {"value": ["x"]}, ["x"]),
    ],
)  # fmt: skip
async def test_the_value_of_a_schema(desk: Desk, schema: Any, arguments: Any, value: Any) -> None:
    desk.server.enqueue(answer(arguments))
    turn = await desk.run("say it", schema=schema)
    assert turn.status == "completed", turn.error
    assert turn.value == value and type(turn.value) is type(value)
    assert schema_sent(desk)["type"] == "object"
    assert len(desk.server.chats) == 1


async def test_a_wrong_value_is_sent_back_with_the_reason(desk: Desk) -> None:
    desk.server.enqueue(
        answer({"name": "Ulm"}, "c1"),
        answer({"name": "Ulm", "people": "many"}, "c2"),
        answer({"name": "Ulm", "people": 3}, "c3"),
    )
    turn = await desk.run("say it", schema=City)
    assert turn.value == City(name="Ulm", people=3)
    told = desk.results()
    assert "people" in told["c1"] and "people" in told["c2"]


async def test_a_wrong_json_schema_value_names_the_place(desk: Desk) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    desk.server.enqueue(answer({"a": "x"}, "c1"), answer({"a": 4}, "c2"))
    turn = await desk.run("say it", schema=schema)
    assert turn.value == {"a": 4} and "$.a" in desk.results()["c1"]
    assert schema == {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


async def test_a_missing_wrapper_is_told(desk: Desk) -> None:
    desk.server.enqueue(answer({"numbers": [1]}, "c1"), answer({"value": [1]}, "c2"))
    turn = await desk.run("say it", schema=list[int])
    assert turn.value == [1] and "`value` is missing" in desk.results()["c1"]


async def test_prose_first_is_asked_for_the_value(desk: Desk) -> None:
    desk.server.enqueue(Reply(text("It is Ulm.")), answer({"name": "Ulm", "people": 1}))
    turn = await desk.run("say it", schema=City, tools="none")
    assert turn.value == City(name="Ulm", people=1) and turn.text == "It is Ulm."
    assert desk.server.chats[1].body["tool_choice"] == {"type": "function", "function": {"name": "Answer"}}
    assert [item["function"]["name"] for item in desk.server.chats[0].body["tools"]] == ["Answer"]


async def test_an_empty_answer_first_is_asked_for_the_value_too(desk: Desk) -> None:
    desk.server.enqueue(*[Reply(finish("stop"))] * 3, answer({"name": "Ulm", "people": 1}))
    turn = await desk.run("say it", schema=City, tools="none")
    assert turn.value == City(name="Ulm", people=1), turn.error
    assert desk.messages


async def test_a_model_that_never_complies_fails_with_a_line(desk: Desk) -> None:
    desk.server.handler = lambda request: Reply(text("I would rather talk."))
    turn = await desk.run("say it", schema=City, tools="none")
    assert turn.status == "failed" and "fits the schema" in str(turn.error)
    assert turn.value is None and len(desk.server.chats) == 3
    assert turn.error is not None and turn.error.turn.text.count("rather") == 3


async def test_a_model_that_always_gives_a_wrong_value_ends_at_the_step_limit(desk: Desk) -> None:
    desk.server.handler = lambda request: answer({"name": 1})
    turn = await desk.run("say it", schema=City, tools="none", max_steps=4)
    assert turn.status == "max_steps" and turn.value is None


async def test_other_tools_may_be_used_before(desk: Desk) -> None:
    (desk.cwd / "a.txt").write_text("Ulm 5\n")
    desk.server.enqueue(Reply(tool("Read", {"file_path": "a.txt"})), answer({"name": "Ulm", "people": 5}))
    turn = await desk.run("read it", schema=City)
    assert turn.value == City(name="Ulm", people=5) and len(turn.tool_calls) == 2
    await desk.run("and now?")
    assert "Answer" not in [item["function"]["name"] for item in desk.server.chats[-1].body["tools"]]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (object(), "schema="),
        ({"type": "no such type"}, "no valid JSON schema"),
        (5, "schema="),
    ],
)
async def test_what_is_no_schema_is_said(desk: Desk, schema: Any, words: str) -> None:
    turn = await desk.run("say it", schema=schema)
    assert turn.status == "failed" and words in str(turn.error) and "\n" not in str(turn.error)
    assert desk.server.chats == []
