"""Schemas as grammars follow them: what goes, what stays, and that a value of the schema still fits."""

from __future__ import annotations

import dataclasses
import datetime as dt  # noqa: TC003  (pydantic reads the annotations)
import enum
import json
from typing import Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field, TypeAdapter

from ante_nb.local.grammar import call_schema, followable
from ante_nb.providers.spec import ToolSpec


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int = Field(ge=0, le=9)
    y: float = 0.0


class Shape(BaseModel):
    """A shape."""

    name: str = Field(description="what it is called", max_length=20, pattern="^[a-z]+$")
    colour: Colour
    corners: list[Point] = Field(min_length=1, max_length=4)
    made: dt.date | None = None
    kind: Literal["a", "b"] = "a"
    tags: dict[str, int] = {}
    pair: tuple[int, str] = (1, "a")


class Tree(BaseModel):
    label: str
    children: list[Tree] = []


@dataclasses.dataclass
class Plain:
    value: int


ANY = {"type": ["object", "array", "string", "number", "boolean", "null"]}
SHAPE = {
    "name": "box",
    "colour": "red",
    "corners": [{"x": 1, "y": 2.5}],
    "made": "2026-11-22",
    "kind": "b",
    "tags": {"a": 1},
    "pair": [1, "b"],
}
WRONG: list[dict[str, Any]] = [
    {**SHAPE, "colour": "green"},
    {**SHAPE, "corners": []},
    {**SHAPE, "corners": [{"x": "1"}]},
    {**SHAPE, "corners": [{"x": 11}]},
    {**SHAPE, "kind": "c"},
    {**SHAPE, "tags": {"a": "1"}},
    {**SHAPE, "more": 1},
    {key: value for key, value in SHAPE.items() if key != "name"},
]


def keys_of(schema: Any) -> set[str]:
    """The keywords of a schema, the names of properties left out."""
    if isinstance(schema, list):
        return set().union(*map(keys_of, schema))
    if not isinstance(schema, dict):
        return set()
    inner = [value for key, value in schema.items() if key not in ("properties", "enum", "const", "required")]
    return {*schema, *keys_of(inner), *keys_of(list(schema.get("properties", {}).values()))}


@pytest.mark.parametrize("kind", [Shape, Tree, Plain, list[Shape], Shape | Plain])
def test_nothing_is_left_that_a_grammar_cannot_hold(kind: Any) -> None:
    reduced = followable(TypeAdapter(kind).json_schema())
    known = {"type", "properties", "required", "enum", "const", "items", "prefixItems", "anyOf", "minItems",
             "maxItems", "minimum", "maximum", "maxLength", "format", "additionalProperties"}  # fmt: skip
    assert keys_of(reduced) <= known
    jsonschema.Draft202012Validator.check_schema(reduced)


def test_references_are_put_in_place() -> None:
    reduced = followable(Shape.model_json_schema())
    jsonschema.validate(SHAPE, reduced)
    for wrong in WRONG:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, reduced)


def test_a_type_that_holds_itself_ends() -> None:
    reduced = followable(Tree.model_json_schema())
    leaf: dict[str, Any] = {"label": "a", "children": []}
    jsonschema.validate({"label": "a", "children": [leaf, leaf]}, reduced)
    for wrong in ({"label": "a", "children": [{"lable": "b"}]}, {"label": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, reduced)
    deep = leaf
    for _ in range(4):
        deep = {"label": "a", "children": [deep]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(deep, reduced)
    assert len(json.dumps(reduced)) < 2000


def test_types_that_hold_each_other_stay_small() -> None:
    names = [f"T{number}" for number in range(12)]
    body = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in names]}
    schema = {
        "$defs": {name: {"type": "object", "properties": {"a": body, "b": body}} for name in names},
        "type": "object",
        "properties": {"start": {"$ref": "#/$defs/T0"}},
    }
    assert len(json.dumps(followable(schema))) < 300_000
    assert followable({"$ref": "#"}) == followable(
        {"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"}
    )


@pytest.mark.parametrize("parameters", [{}, {"type": "object", "properties": {}}])
def test_arguments_are_an_object_in_any_case(parameters: dict[str, Any]) -> None:
    schema = call_schema([ToolSpec("Now", "", parameters)])
    jsonschema.validate({"name": "Now", "arguments": {}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "Now", "arguments": 1}, schema)


def test_parts_are_put_together() -> None:
    schema = {
        "allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": {"type": "integer"}}, "required": ["b"]}],
        "$defs": {"A": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}},
    }
    assert followable(schema) == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("schema", "reduced"),
    [
        ({"type": "string", "maxLength": 100_000, "pattern": "(("}, {"type": "string"}),
        ({"type": "array", "minItems": 5000, "items": True}, {"type": "array", "items": ANY}),
        ({"$ref": "https://example.com/x.json"}, ANY),
        ({"$ref": "#/nowhere"}, ANY),
        ({"type": "number", "minimum": 0.5}, {"type": "number"}),
        ({"type": "object", "required": ["a"]}, {"type": "object"}),
        ({"type": "string", "format": "email"}, {"type": "string"}),
        ({"oneOf": [{"const": 1}, {"type": ["string", "null"]}]}, {"anyOf": [{"const": 1}, {"type": ["string", "null"]}]}),
        ({}, ANY),
    ],
)  # fmt: skip
def test_what_engines_differ_about_goes(schema: dict[str, Any], reduced: dict[str, Any]) -> None:
    assert followable(schema) == reduced


def test_a_schema_without_an_end_is_cut() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(500):
        schema = {"type": "object", "properties": {"a": schema}}
    assert len(json.dumps(followable(schema))) < 3000


def test_a_call_of_a_tool_with_references() -> None:
    tool = ToolSpec("Answer", "", Shape.model_json_schema())
    schema = call_schema([tool])
    jsonschema.validate({"name": "Answer", "arguments": SHAPE}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "Answer", "arguments": WRONG[0]}, schema)
