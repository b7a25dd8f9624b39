"""What the names in a piece of Python code are bound to, as far as the judge knows such values.

Looked at on the thread of the person's variables, before a call is judged. Nothing of a value is run: its
exact type is compared, elements of plain containers too.
"""

from __future__ import annotations

import ast
import importlib.machinery
import os
import sys
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from ante_nb.agent.permissions.columns import column_names
from ante_nb.agent.permissions.datanames import OPTIONAL
from ante_nb.agent.permissions.programs import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ante_nb.agent.host import Host

DATA = "data"
UNKNOWN = "unknown"
_MOST_ITEMS = 1_000_000
_SCALARS = frozenset([int, float, complex, bool, str, bytes, type(None), range, slice])
_CONTAINERS = frozenset([list, tuple, set, frozenset])
_CLASSES = {
    "pandas": names(
        "DataFrame Series Index RangeIndex MultiIndex DatetimeIndex CategoricalIndex TimedeltaIndex PeriodIndex "
        "IntervalIndex Timestamp Timedelta Period Interval Categorical DataFrameGroupBy SeriesGroupBy NAType NaTType"
    ),
    "polars": names("DataFrame Series LazyFrame Expr GroupBy"),
    "matplotlib": names("Figure Axes"),
    "datetime": names("date datetime time timedelta timezone"),
    "decimal": names("Decimal"),
    "fractions": names("Fraction"),
    "collections": names("Counter OrderedDict defaultdict deque"),
    "re": names("Pattern Match"),
}


async def bindings_of(code: str, host: Host) -> dict[str, str] | None:
    """Name -> ``data``, ``module:NAME``, ``function:NAME`` or ``unknown``, for each name of ``code`` that is
    bound in the person's namespace; ``None`` where nothing can be known."""
    if not host.has_python or len(code) > 100_000:
        return None
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    wanted = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return await host.variables(lambda own: kinds(wanted, host.namespace or {}, imported))


def kinds(wanted: Iterable[str], space: Mapping[str, Any], imported: Iterable[str] = ()) -> dict[str, str]:
    """The kind of each of those names that ``space`` has, and ``.NAME`` for the columns of its frames.

    What the code imports first brings attributes that nobody knows yet: no columns then.
    """
    found = {name: kind(space[name]) for name in wanted if name in space}
    if any(name not in sys.modules for name in imported):
        return found
    frames = [space[name] for name, it in found.items() if it == DATA]
    return {**{f".{name}": DATA for name in column_names(frames)}, **found}


def kind(value: Any) -> str:
    """What a value is: see :func:`bindings_of`."""
    if type(value) is ModuleType:
        name = getattr(value, "__name__", "")
        return f"module:{name}" if sys.modules.get(name) is value else UNKNOWN
    if type(value) in (FunctionType, BuiltinFunctionType, type):
        name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
        return f"function:{name}" if _at(name) is value else UNKNOWN
    return DATA if _is_data(value, 4, [_MOST_ITEMS]) else UNKNOWN


def _at(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return vars(sys.modules[module]).get(attribute) if module in sys.modules else None


def _is_data(value: Any, depth: int, left: list[int]) -> bool:
    cls = type(value)
    if cls in _SCALARS:
        return True
    if cls in _CONTAINERS or cls is dict:
        left[0] -= len(value)
        if left[0] < 0 or depth == 0:
            return False
        inner = value.values() if cls is dict else value
        rest = [item for item in inner if type(item) not in _SCALARS]
        return all(_is_data(item, depth - 1, left) for item in rest)
    top = cls.__module__.partition(".")[0]
    if top == "numpy":
        return _is_numpy(value, depth, left)
    if cls.__name__ not in _CLASSES.get(top, ()) or _at(f"{cls.__module__}.{cls.__name__}") is not cls:
        return False
    if top == "collections":
        plain = dict(value) if isinstance(value, dict) else list(value)
        return _is_data(plain, depth, left)
    return True


def _is_numpy(value: Any, depth: int, left: list[int]) -> bool:
    import numpy as np

    if type(value) is np.ndarray:
        return value.dtype.kind != "O" or (
            depth > 0 and _is_data(value.ravel()[:1000].tolist(), depth - 1, left)
        )
    return isinstance(value, np.generic) or type(value) in (np.random.Generator, np.random.RandomState)


def shadowing(roots: Iterable[Path]) -> str | None:
    """A file in the allowed directories that would be imported in place of a library, or ``None``.

    An import of pandas imports a hundred other modules; one of them found in the working directory would
    be code that nobody was asked about.
    """
    places = list(roots)
    paths = [os.path.realpath(entry or ".") for entry in sys.path]
    within = [path for path in paths if any(Path(path).is_relative_to(root) for root in places)]
    installed = [path for path in paths if path not in within or "-packages" in path]
    for directory in within:
        if "-packages" in directory:
            continue
        try:
            entries = sorted(entry.name for entry in os.scandir(directory))
        except OSError:
            continue
        for entry in entries:
            name = entry.partition(".")[0]
            if not name.isidentifier() or not (
                entry == name or entry.endswith((".py", ".so", ".pyd", ".pyc"))
            ):
                continue
            if entry == name and not _holds_code(Path(directory, name)):
                continue
            if (
                name in OPTIONAL
                or name in sys.stdlib_module_names
                or importlib.machinery.PathFinder.find_spec(name, installed) is not None
            ):
                return entry
    return None


def _holds_code(directory: Path) -> bool:
    """Whether something in it could be imported; without ``__init__.py`` it is a package too."""
    seen = 0
    for _, folders, files in os.walk(directory):
        seen += len(folders) + len(files)
        if seen > 2000 or any(name.endswith((".py", ".so", ".pyd", ".pyc")) for name in files):
            return True
    return False
