"""A variable as a model may see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ante_nb.describe.policy import allows
from ante_nb.describe.words import line, shape_words, size_words

if TYPE_CHECKING:
    from ante_nb.describe.policy import DataPolicy

CHARS = 4_000
"""Characters of one description."""
FULL_CHARS = 20_000
"""The same under ``full``."""


@dataclass(frozen=True, slots=True)
class Description:
    """``type`` is the type's name (with its module where that tells something), ``shape`` and ``size``
    are words or empty, ``text`` is the rest, in lines."""

    type: str
    shape: str
    size: str
    text: str

    def head(self) -> str:
        """Type, shape and size in one line."""
        return ", ".join(word for word in (self.type, self.shape, self.size) if word)

    def __str__(self) -> str:
        return f"{self.head()}\n{self.text}" if self.text else self.head()


def describe(value: Any, policy: DataPolicy, *, brief: bool = False) -> Description:
    """What a model may see of ``value``.

    Never raises: a describer or ``__repr__`` that fails is named by its error's type (the message may
    carry values). Never scans: of large containers a few hundred elements are looked at.

    Args:
        value: anything.
        policy: how much of the values may be shown.
        brief: only type, shape and size; ``text`` is empty.
    """
    kind = type(value)
    shape, size = _shape(value), _size(value)
    text = "" if brief else _text(value, policy)
    return Description(type_words(kind), shape, size, _capped(text, policy))


def type_words(kind: type) -> str:
    """``pandas.DataFrame``, ``dict``, ``Portfolio``."""
    module = str(kind.__module__).partition(".")[0]
    return kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"


def _text(value: Any, policy: DataPolicy) -> str:
    from ante_nb.describe.plain import describe as plain
    from ante_nb.describe.registry import built_in, registered
    from ante_nb.redact import redact

    kind = type(value)
    for describer in (registered(kind), _ai_repr, built_in(kind), plain):
        if describer is None:
            continue
        try:
            text = describer(value, policy)
        except Exception as error:
            text = f"(cannot be described: {type(error).__name__})"
        if isinstance(text, str):
            return redact(text)
    return ""


def _ai_repr(value: Any, policy: DataPolicy) -> str | None:
    """The object's own word for models. It knows no policy, so it counts as a sample of the values."""
    if not allows(policy, "sample"):
        return None
    own = getattr(type(value), "_ai_repr_", None)
    if own is None:
        return None
    text = own(value)
    return text if isinstance(text, str) else None


def _shape(value: Any) -> str:
    kind = type(value)
    try:
        shape = value.shape if hasattr(kind, "shape") else None
        if isinstance(shape, tuple) or (shape is not None and hasattr(shape, "__iter__")):
            return shape_words(shape)
        if isinstance(value, list | tuple | dict | set | frozenset | str | bytes | bytearray):
            unit = (
                "character"
                if isinstance(value, str)
                else "byte"
                if isinstance(value, bytes | bytearray)
                else "item"
            )
            return _counted(len(value), unit)
        if hasattr(kind, "__len__"):
            return _counted(len(value), "item")
    except Exception:
        return ""
    return ""


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'s' * (count != 1)}"


def _size(value: Any) -> str:
    """Memory, where it is known at no cost; of containers of objects only the container's own."""
    kind = type(value)
    try:
        for name in ("nbytes", "estimated_size", "memory_usage"):
            if not hasattr(kind, name):
                continue
            found = getattr(value, name)
            if name == "memory_usage":
                found = found(deep=False)
                found = found.sum() if hasattr(found, "sum") else found
                # Texts are held elsewhere and counting them would read them all.
                return (
                    f"{size_words(int(found))} without texts"
                    if _has_objects(value)
                    else size_words(int(found))
                )
            return size_words(int(found() if callable(found) else found))
        if isinstance(value, str | bytes | bytearray):
            return size_words(value.__sizeof__()) if len(value) > 10_000 else ""
    except Exception:
        return ""
    return ""


def _has_objects(value: Any) -> bool:
    kinds: Any = getattr(value, "dtypes", None)
    if not hasattr(kinds, "__iter__"):
        kinds = [getattr(value, "dtype", None)]
    return any(str(kind) in ("object", "str", "string") for kind in kinds)


def _capped(text: str, policy: DataPolicy) -> str:
    limit = FULL_CHARS if policy == "full" else CHARS
    if len(text) <= limit:
        return text
    cut = text.rfind("\n", limit // 2, limit)
    return f"{text[: cut if cut > 0 else limit]}\n... ({len(text)} characters in all)"


__all__ = ["Description", "describe", "line", "type_words"]
