"""JSON schemas as Gemini takes them in ``parametersJsonSchema``.

The keywords it knows: https://ai.google.dev/gemini-api/docs/structured-output. Others are ignored by
some of its models and answered with 400 by others, so they are left out or said in words it knows.
"""

from __future__ import annotations

from typing import Any

_KEPT = frozenset(
    (
        "$defs", "$ref", "$id", "$anchor", "type", "format", "title", "description", "enum", "items",
        "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "properties",
        "additionalProperties", "required", "propertyOrdering",
    )
)  # fmt: skip
_FORMATS = frozenset(("date-time", "date", "time", "duration", "int32", "int64", "float", "double", "enum"))
_MAX_DEPTH = 64


def gemini_schema(schema: Any, depth: int = 0) -> Any:
    """The schema in Gemini's subset.

    ``const`` becomes an ``enum`` of one, ``oneOf`` becomes ``anyOf``, the parts of ``allOf`` are merged,
    ``definitions`` become ``$defs``; a pattern or a length is said in the description.
    """
    if not isinstance(schema, dict):
        return schema
    if depth > _MAX_DEPTH:
        return {}
    schema = _merge_all_of(schema)
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key not in _KEPT or (key == "format" and str(value) not in _FORMATS):
            continue
        if key in ("properties", "$defs") and isinstance(value, dict):
            out[key] = {name: gemini_schema(item, depth + 1) for name, item in value.items()}
        elif key in ("items", "additionalProperties"):
            out[key] = gemini_schema(value, depth + 1)
        elif key in ("anyOf", "prefixItems") and isinstance(value, list):
            out[key] = [gemini_schema(item, depth + 1) for item in value]
        else:
            out[key] = value
    if isinstance(schema.get("oneOf"), list):
        also = out.get("anyOf")
        out["anyOf"] = [
            *(also if isinstance(also, list) else ()),
            *(gemini_schema(item, depth + 1) for item in schema["oneOf"]),
        ]
    if "const" in schema and "enum" not in schema:
        out["enum"] = [schema["const"]]
    if isinstance(schema.get("definitions"), dict):
        also = out.get("$defs")
        out["$defs"] = {
            **(also if isinstance(also, dict) else {}),
            **{name: gemini_schema(item, depth + 1) for name, item in schema["definitions"].items()},
        }
    if isinstance(schema.get("$ref"), str):
        out["$ref"] = schema["$ref"].replace("#/definitions/", "#/$defs/")
    if words := _in_words(schema):
        said = out.get("description")
        out["description"] = f"{said} ({words})" if isinstance(said, str) and said else words
    return out


def _merge_all_of(schema: dict[str, Any]) -> dict[str, Any]:
    parts = schema.get("allOf")
    if not isinstance(parts, list):
        return schema
    merged = {key: value for key, value in schema.items() if key != "allOf"}
    for part in parts:
        if not isinstance(part, dict):
            continue
        for key, value in part.items():
            old = merged.get(key)
            if key in ("properties", "$defs") and isinstance(old, dict) and isinstance(value, dict):
                merged[key] = {**old, **value}
            elif key == "required" and isinstance(old, list) and isinstance(value, list):
                merged[key] = [*old, *(name for name in value if name not in old)]
            else:
                merged.setdefault(key, value)
    return _merge_all_of(merged) if "allOf" in merged else merged


def _in_words(schema: dict[str, Any]) -> str:
    said = [
        f"{words} {schema[key]}"
        for key, words in (
            ("pattern", "matches the regular expression"),
            ("minLength", "characters, at least:"),
            ("maxLength", "characters, at most:"),
            ("exclusiveMinimum", "greater than"),
            ("exclusiveMaximum", "less than"),
            ("multipleOf", "a multiple of"),
        )
        if isinstance(schema.get(key), str | int | float) and not isinstance(schema.get(key), bool)
    ]
    return "; ".join(said)
