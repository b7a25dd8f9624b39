"""``schema=`` on a local model: the value comes under a grammar and is checked all the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, field_validator
from support.llama_server import LlamaServer

import ante_nb

if TYPE_CHECKING:
    from pathlib import Path


class Point(BaseModel):
    x: int
    y: int

    @field_validator("y")
    @classmethod
    def even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("y is odd")
        return value


class Shape(BaseModel):
    name: str
    corners: list[Point]


def answer(**arguments: Any) -> str:
    return "<tool_call>\n" + json.dumps({"name": "Answer", "arguments": arguments}) + "\n</tool_call>"


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def to(server: LlamaServer) -> None:
        home = tmp_path / "ante"
        home.mkdir(exist_ok=True)
        (home / "settings.json").write_text(json.dumps({"local": {"engine_url": server.url}}))
        monkeypatch.setenv("ANTE_HOME", str(home))
        monkeypatch.setenv("ANTE_LOCAL_ENGINE_KEY", server.key)

    return to


@pytest.mark.parametrize("tools", [False, True])
async def test_a_value_at_the_first_call(point: Any, tools: bool) -> None:
    with LlamaServer(answer(name="box", corners=[{"x": 1, "y": 2}]), tools=tools) as server:
        point(server)
        turn = await ante_nb.ask_async("A box.", provider="local", schema=Shape, tools="none", session="new")
    assert turn.value == Shape(name="box", corners=[Point(x=1, y=2)]) and len(turn.steps) == 1
    (body,) = server.bodies("/completion")
    arguments = body["json_schema"]["properties"]["arguments"]
    assert arguments["properties"]["corners"]["items"]["required"] == ["x", "y"]


async def test_a_value_that_the_grammar_allows_and_the_schema_does_not(point: Any) -> None:
    says = (answer(name="a", corners=[{"x": 1, "y": 3}]), answer(name="a", corners=[{"x": 1, "y": 4}]))
    with LlamaServer(*says) as server:
        point(server)
        turn = await ante_nb.ask_async("A box.", provider="local", schema=Shape, tools="none", session="new")
    assert turn.value.corners[0].y == 4
    assert "y is odd" in server.bodies("/completion")[-1]["prompt"], "the model is told why"


async def test_after_work_with_tools(point: Any) -> None:
    says = ("I think it is a box.", answer(name="box", corners=[]))
    with LlamaServer(*says) as server:
        point(server)
        turn = await ante_nb.ask_async("A box.", provider="local", schema=Shape, tools="Read", session="new")
    assert turn.value == Shape(name="box", corners=[]) and len(turn.steps) == 2
