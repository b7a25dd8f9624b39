"""Python's own types, and anything that nobody else describes."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from ante_nb.describe.policy import allows
from ante_nb.describe.words import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ante_nb.describe.policy import DataPolicy

LOOKED_AT = 200
"""Elements of a container that are looked at."""
SHOWN = 5
FULL_SHOWN = 200
FIELDS = 60
DEPTH = 3
# No spaces: "Ann Mallory" is somebody and no field.
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_SCALARS = (bool, int, float, complex)


def describe(value: Any, policy: DataPolicy) -> str | None:
    """Any value; ``None`` never."""
    if value is None or isinstance(value, bool):
        return f"value: {value}" if allows(policy, "sample") else ""
    if isinstance(value, _SCALARS):
        return f"value: {line(repr(value), 100)}" if allows(policy, "sample") else ""
    if isinstance(value, str):
        return _text(value, policy)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"value: {line(repr(bytes(value[:100])))}" if allows(policy, "sample") else ""
    if isinstance(value, dict):
        return "\n".join(_mapping(value, policy, 0))
    if isinstance(value, list | tuple | set | frozenset):
        return "\n".join(_items(value, policy))
    if inspect.isroutine(value) or isinstance(value, type):
        return _definition(value, policy)
    fields = _fields(value)
    if fields is not None:
        return "\n".join(_mapping(fields, policy, 0, names=True))
    return _other(value, policy)


def _text(value: str, policy: DataPolicy) -> str:
    if not allows(policy, "sample"):
        return ""
    if policy == "full":
        return value
    return f"value: {line(value, 400)}"


def _mapping(value: Mapping[Any, Any], policy: DataPolicy, depth: int, *, names: bool = False) -> list[str]:
    """The keys with the types of their values. Keys that look like data and not like field names are
    values: they are shown only where those are."""
    looked = list(itertools.islice(value.items(), LOOKED_AT))
    if not looked:
        return []
    tell = names or (len(value) <= FIELDS and all(_is_field_name(key) for key, _ in looked))
    if not tell and not allows(policy, "sample"):
        return [f"keys: {_types(key for key, _ in looked)}; values: {_types(item for _, item in looked)}"]
    lines = []
    count = FIELDS if tell else (FULL_SHOWN if policy == "full" else SHOWN)
    pad = "  " * depth
    for key, item in looked[:count]:
        label = str(key) if tell and isinstance(key, str) else line(repr(key), 60)
        lines.append(f"{pad}{label}: {_short(item, policy)}")
        if isinstance(item, dict) and depth + 1 < DEPTH:
            lines.extend(_mapping(item, policy, depth + 1))
    if len(value) > count:
        lines.append(f"{pad}... {len(value) - count} more keys")
    return lines


def _is_field_name(key: Any) -> bool:
    return isinstance(key, str) and _FIELD_NAME.fullmatch(key) is not None


def _items(value: Iterable[Any], policy: DataPolicy) -> list[str]:
    looked = list(itertools.islice(value, LOOKED_AT))
    length = len(value)  # type: ignore[arg-type]
    if not looked:
        return []
    first = f" (of the first {len(looked)})" if length > len(looked) else ""
    lines = [f"item types: {_types(looked)}{first}"]
    records = [item for item in looked if isinstance(item, dict)]
    if len(records) == len(looked) and all(_is_field_name(key) for item in records for key in item):
        lines.append("fields:")
        keys = dict.fromkeys(key for item in records for key in item)
        for key in itertools.islice(keys, FIELDS):
            held = [item[key] for item in records if key in item]
            some = "" if len(held) == len(records) else f", in {len(held)} of {len(records)}"
            lines.append(f"  {key}: {_types(held)}{some}")
    if allows(policy, "stats"):
        numbers = [item for item in looked if isinstance(item, int | float) and not isinstance(item, bool)]
        if numbers and len(numbers) == len(looked):
            lines.append(f"range{first}: {min(numbers):.6g} to {max(numbers):.6g}")
    if allows(policy, "sample"):
        count = FULL_SHOWN if policy == "full" else SHOWN
        lines.append(f"first {min(count, length)}:" if length > count else "items:")
        lines.extend(f"  {_short(item, policy)}" for item in looked[:count])
    return lines


def _types(items: Iterable[Any]) -> str:
    from ante_nb.describe.description import type_words

    counts = Counter(type_words(type(item)) for item in items)
    words = [f"{name} ({count})" if len(counts) > 1 else name for name, count in counts.most_common(6)]
    return ", ".join(words) + (", ..." if len(counts) > 6 else "")


def _short(value: Any, policy: DataPolicy) -> str:
    """A value inside of another one, in one line."""
    from ante_nb.describe.description import describe as whole

    if isinstance(value, dict | list | tuple | set | frozenset) or not isinstance(
        value, (*_SCALARS, str, bytes, type(None))
    ):
        head = whole(value, policy, brief=True).head()
        if allows(policy, "sample") and isinstance(value, dict | list | tuple) and len(value) <= SHOWN:
            return f"{head}: {line(_bounded(value), 120)}"
        return head
    if not allows(policy, "sample"):
        return type(value).__name__
    return line(repr(value if not isinstance(value, str | bytes) else value[:400]), 120)


def _bounded(value: Any) -> str:
    """``repr`` with every level cut (a list of five may hold five million)."""
    import reprlib

    short = reprlib.Repr()
    short.maxdict = short.maxlist = short.maxtuple = short.maxset = SHOWN
    short.maxstring, short.maxlevel, short.maxother = 60, 2, 60
    # maxother cuts a repr that was made in full: of foreign types only the name is taken.
    short.repr_instance = lambda x, level: f"<{type(x).__name__}>"  # type: ignore[method-assign]
    return short.repr(value)


def _definition(value: Any, policy: DataPolicy) -> str:
    """A function or class: signature and the first line of its docstring. A default is a value."""
    try:
        found = inspect.signature(value)
        if not allows(policy, "sample"):
            bare = [
                item if item.default is item.empty else item.replace(default=...)
                for item in found.parameters.values()
            ]
            found = found.replace(parameters=bare)
        signature = str(found).replace("Ellipsis", "...")
    except (TypeError, ValueError):
        signature = "(...)"
    name = getattr(value, "__qualname__", type(value).__name__)
    lines = [line(f"{name}{signature}", 300)]
    doc = inspect.getdoc(value)
    if doc:
        lines.append(line(doc.strip().splitlines()[0]))
    return "\n".join(lines)


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass, pydantic model or named tuple."""
    kind = type(value)
    if dataclasses.is_dataclass(value):
        return {item.name: getattr(value, item.name, None) for item in dataclasses.fields(value) if item.repr}
    if isinstance(getattr(kind, "model_fields", None), dict):
        return {name: getattr(value, name, None) for name in kind.model_fields}
    return None


def _other(value: Any, policy: DataPolicy) -> str:
    """An object of a type that nobody knows."""
    if not allows(policy, "sample"):
        return ""
    kind = type(value)
    if inspect.isgenerator(value) or hasattr(kind, "__next__"):
        return "(an iterator; not read)"
    # Its repr may print everything it holds, and whatever has a length or a shape may hold much.
    if hasattr(kind, "shape") or hasattr(kind, "columns") or _long(value):
        names = [name for name in dir(kind) if not name.startswith("_")][:40]
        return f"attributes: {', '.join(names) or 'none'} (not printed: it may hold much)"
    return f"value: {line(repr(value), 1000)}"


def _long(value: Any) -> bool:
    try:
        return hasattr(type(value), "__len__") and len(value) > LOOKED_AT
    except Exception:
        return True
