"""The user's ``catalog.json`` as a JSON object, or why it is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ante_nb import paths

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> tuple[dict[str, Any], str | None]:
    """The file's object, or ``{}`` and why the file is ignored."""
    name = paths.display(path)
    rest = "The file is ignored, the built-in providers work."
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        return (
            {},
            f"{name} is no valid JSON: {error.msg} at line {error.lineno}, column {error.colno}. {rest}",
        )
    except UnicodeDecodeError as error:
        return {}, f"{name} is no UTF-8 text (byte {error.start}). {rest}"
    except RecursionError:
        return {}, f"{name} is nested too deeply. {rest}"
    except OSError as error:
        return {}, f"{name} cannot be read: {error.strerror or error}. {rest}"
    if not isinstance(data, dict):
        return (
            {},
            f"{name} must be a JSON object with `providers` and `models`, found {json_type(data)}. {rest}",
        )
    return data, None


def json_type(value: object) -> str:
    """The kind of a JSON value that is no object, as Ante names it."""
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
