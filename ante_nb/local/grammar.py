"""JSON schemas as the grammars of llama.cpp and llguidance can follow them.

A tool's or a person's schema may say things that no grammar compiles, or that one engine compiles and
another refuses or, worse, silently ignores together with everything else. So what is sent says less;
whoever gets the value still checks it against the whole schema.

Source: llama.cpp's grammars/README.md ("JSON Schemas -> GBNF") and llguidance's docs/json_schema.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.providers.spec import ToolSpec

_KEPT = frozenset({"type", "required", "enum", "const", "minItems"})
_FORMATS = frozenset({"date", "time", "date-time", "uuid"})  # known to all of the engines
_MOST_REPEATS = 100  # llama.cpp refuses grammars with great numbers of repetitions
_MOST_DEPTH = 24
_MOST_NODES = 2000
_UNROLLED = 2  # how often a type may hold itself
_SIMPLE = ["string", "number", "boolean", "null"]
_ANYTHING = ["object", "array", "string", "number", "boolean", "null"]
"""For ``{}``, which llama.cpp takes for an object, and llama-cpp-python in ``items`` for a mistake."""


def call_schema(tools: Iterable[ToolSpec], *, strict: bool = True) -> dict[str, Any]:
    """The schema of one call of any of ``tools``, as the server's grammar needs it.

    With ``strict`` false the arguments may be any object, for a server that refuses the whole.
    """
    rows = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool.name},
                "arguments": {**followable(tool.parameters), "type": "object"}
                if strict
                else {"type": "object"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    # llguidance: no free white space, in which a small model can lose itself until the token limit.
    guidance = {"whitespace_flexible": False, "key_separator": ": ", "item_separator": ", ", "lenient": True}
    return {"x-guidance": guidance, **(rows[0] if len(rows) == 1 else {"anyOf": rows})}


def followable(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` reduced to what every engine's grammar follows, its references put in place.

    Annotations and text patterns go, ``oneOf`` becomes ``anyOf``, ``allOf`` of objects one object. A type
    that may hold itself is unrolled and then ends, for a small model would go on until its token limit.
    Objects take no other properties than the named ones, unless the schema says which.
    """
    return _Reducer(schema).reduced(schema) or {"type": _ANYTHING}


class _Reducer:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._left = _MOST_NODES

    def reduced(self, schema: Any, inside: tuple[str, ...] = (), depth: int = 0) -> dict[str, Any] | None:
        """The schema in few words; ``None`` where nothing more may come."""
        self._left -= 1
        if depth > _MOST_DEPTH or self._left < 0:
            return None
        if not isinstance(schema, dict):
            return {"type": _ANYTHING}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target = _at(self._root, reference)
            if target is None:
                return {"type": _ANYTHING}
            if inside.count(reference) >= _UNROLLED:
                return None
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return self.reduced({**target, **rest}, (*inside, reference), depth + 1)
        if isinstance(schema.get("allOf"), list):
            schema = _merged(schema, self._root)

        def inner(value: Any) -> dict[str, Any] | None:
            return self.reduced(value, inside, depth + 1)

        out: dict[str, Any] = {key: value for key, value in schema.items() if key in _KEPT}
        _bounds(schema, out)
        choices = schema.get("anyOf", schema.get("oneOf"))
        if isinstance(choices, list):
            out["anyOf"] = [choice for choice in map(inner, choices) if choice] or [{"type": _SIMPLE}]
        if isinstance(schema.get("properties"), dict):
            _properties(out, {name: inner(value) for name, value in schema["properties"].items()})
        if "items" in schema:
            items = inner(schema["items"])
            if items is None and not out.get("minItems"):
                return {"enum": [[]]}
            out["items"] = items or {"type": _SIMPLE}
        if isinstance(schema.get("prefixItems"), list):  # a tuple
            out["prefixItems"] = [inner(item) or {"type": _SIMPLE} for item in schema["prefixItems"]]
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            out["additionalProperties"] = inner(extra) or False
        elif out.get("properties"):
            out["additionalProperties"] = False
        if isinstance(out.get("required"), list):
            known = out.get("properties", {})
            # A required name without a schema of its own is an error to llama.cpp's converter.
            out["required"] = [name for name in out["required"] if name in known]
            if not out["required"]:
                del out["required"]
        return out or {"type": _ANYTHING}


def _properties(out: dict[str, Any], reduced: dict[str, dict[str, Any] | None]) -> None:
    """Those that may come; one that is required and may not is left to anything that ends by itself."""
    required = out.get("required")
    required = required if isinstance(required, list) else []
    out["properties"] = {
        name: value or {"type": _SIMPLE} for name, value in reduced.items() if value or name in required
    }
    out.setdefault("type", "object")


def _bounds(schema: dict[str, Any], out: dict[str, Any]) -> None:
    """Limits of length and size, as far as a grammar of sensible size can hold them."""
    for key in ("maxItems", "minLength", "maxLength"):
        if _whole(schema.get(key)) and schema[key] <= _MOST_REPEATS:
            out[key] = schema[key]
    if not (_whole(out.get("minItems")) and out["minItems"] <= _MOST_REPEATS):
        out.pop("minItems", None)
    if schema.get("type") == "integer":  # of fractions, llama.cpp knows no limits
        for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if isinstance(schema.get(key), int) and not isinstance(schema[key], bool):
                out[key] = schema[key]
    if schema.get("type") == "string" and schema.get("format") in _FORMATS:
        out["format"] = schema["format"]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _at(root: dict[str, Any], reference: str) -> dict[str, Any] | None:
    """What ``#/a/b`` points to."""
    if not reference.startswith("#"):
        return None
    place: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, dict) or name not in place:
            return None
        place = place[name]
    return place if isinstance(place, dict) else None


def _merged(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """``allOf`` put together: properties and required names of all, else the last word on a key."""
    out = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("$ref"), str):
            part = {**(_at(root, part["$ref"]) or {}), **{k: v for k, v in part.items() if k != "$ref"}}
        for key, value in part.items():
            if key == "properties" and isinstance(out.get(key), dict) and isinstance(value, dict):
                out[key] = {**out[key], **value}
            elif key == "required" and isinstance(out.get(key), list) and isinstance(value, list):
                out[key] = [*out[key], *(name for name in value if name not in out[key])]
            else:
                out.setdefault(key, value)
    return out
