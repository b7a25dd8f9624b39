"""The JSON schema of a tool's arguments, in the subset that every vendor takes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel


@functools.cache
def parameters_of(model: type[BaseModel]) -> dict[str, Any]:
    """The arguments of a tool as a JSON schema of type object.

    References are inlined and titles dropped; ``X | None`` becomes ``X`` (Gemini refuses type null, and
    an argument that may be left out needs none). The order of keys follows the model's fields, so the
    same model always gives the same bytes: prompt caches depend on it. Made once per model (it costs
    milliseconds): do not change what is returned.
    """
    schema = model.model_json_schema(by_alias=False)
    definitions: dict[str, Any] = schema.pop("$defs", {})
    out: dict[str, Any] = _inline(schema, definitions)
    out.pop("description", None)
    out.setdefault("properties", {})
    return out


def portable(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema from elsewhere in the same subset; one that refers to itself is open at that place."""
    given = dict(schema)
    definitions: dict[str, Any] = {**given.pop("definitions", {}), **given.pop("$defs", {})}
    given.pop("$schema", None)
    out = _inline(given, definitions)
    return {**out, "type": "object", "properties": out.get("properties") or {}}


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = str(node["$ref"]).rsplit("/", 1)[-1]
        merged = {**definitions.get(name, {}), **{key: value for key, value in node.items() if key != "$ref"}}
        # Within itself a definition is not known: what refers to itself would have no end.
        return _inline(merged, {key: value for key, value in definitions.items() if key != name})
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            out[key] = {name: _inline(item, definitions) for name, item in value.items()}
        elif key == "anyOf":
            branches = [item for item in value if item != {"type": "null"}]
            if len(branches) == 1:
                out.update(_inline(branches[0], definitions))
            else:
                out[key] = _inline(branches, definitions)
        elif key == "title" or (key == "default" and value is None):
            continue
        else:
            out[key] = _inline(value, definitions)
    return out
