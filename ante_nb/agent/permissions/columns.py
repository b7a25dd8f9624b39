"""Columns of frames that may be read as attributes, as in ``df.region``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST = 2000
_PLAIN = (int, float, complex, bool, str, bytes, list, tuple, set, frozenset, dict, range, slice, type)
_ACCESSORS = ("str", "dt", "cat", "plot", "sparse", "list", "struct")


def column_names(values: Iterable[Any]) -> set[str]:
    """The columns of the pandas frames among ``values`` that no kind of data has an attribute of.

    ``df.region`` is a column wherever ``region`` can be nothing else; a column named like a method of a
    plot or of an array may be that method on another value of the same code.
    """
    pandas = sys.modules.get("pandas")
    frame = getattr(pandas, "DataFrame", None)
    if frame is None:
        return set()
    wanted = {
        name
        for value in values
        if type(value) is frame
        for name in value.columns[:_MOST]
        if type(name) is str and name.isidentifier() and not name.startswith("_")
    }
    return wanted - {name for cls in _classes() for name in dir(cls)} if wanted else set()


def _classes() -> Iterator[type]:
    yield from _PLAIN
    for name in (
        "pandas",
        "pandas.api.typing",
        "polars",
        "numpy",
        "datetime",
        "collections",
        "re",
        "decimal",
    ):
        module = sys.modules.get(name)
        yield from (value for value in vars(module or object).values() if isinstance(value, type))
    pandas = sys.modules.get("pandas")
    for accessor in _ACCESSORS:
        found = getattr(getattr(pandas, "Series", None), accessor, None)
        if isinstance(found, type):
            yield found
    artist = sys.modules.get("matplotlib.artist")
    if artist is not None:
        yield from _below(artist.Artist)
    random = getattr(sys.modules.get("numpy"), "random", None)
    yield from (value for value in vars(random or object).values() if isinstance(value, type))


def _below(cls: type) -> Iterator[type]:
    yield cls
    below: list[type] = cls.__subclasses__()
    for sub in below:
        yield from _below(sub)
