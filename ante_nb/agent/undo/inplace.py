"""Copies of what can be changed in place: plain containers, NumPy arrays, pandas frames and series.

A copy is shallow: a list of lists is one copy of each list, so that putting back keeps who is who.
Libraries are only looked up among the modules that are already imported.
"""

from __future__ import annotations

import operator
import sys
import types
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any

from ante_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterable

OBJECT_CAP = 64 * 1024 * 1024
"""Bytes of one object that is copied."""
SHARED_CAP = 4 * OBJECT_CAP
"""Bytes of a pandas frame that shares its memory with its copy."""
TOTAL_CAP = 256 * 1024 * 1024
"""Bytes that are copied for one turn."""
MAX_CONTAINERS = 50_000
"""Lists, dicts and sets that are followed."""
MAX_CELLS = 20_000
"""Cells of a frame or array that are looked at for lists, dicts and sets in them."""

_LISTS = (list, deque, bytearray)
_DICTS = (dict, defaultdict, Counter, OrderedDict)
_CONTAINERS = frozenset({*_LISTS, *_DICTS, set, tuple})
ATOMS = frozenset(
    {int, float, complex, bool, str, bytes, type(None), type, range, slice, frozenset, type(Ellipsis)}
)
_CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)


class Copy(ABC):
    """The contents of ``target`` as they were."""

    def __init__(self, target: Any) -> None:
        self.target = target

    @abstractmethod
    def changed(self) -> bool:
        """Whether the target is different now."""

    @abstractmethod
    def again(self) -> Copy:
        """A copy of the target as it is now."""

    @abstractmethod
    def put_back(self) -> None:
        """Give the target its old contents. Raises where it refuses."""

    @abstractmethod
    def copy(self) -> Any:
        """A new object with the old contents, for a name whose target cannot be changed back."""


class _ListCopy(Copy):
    def __init__(self, target: Any) -> None:
        super().__init__(target)
        self._items = target.copy()

    def changed(self) -> bool:
        if isinstance(self.target, bytearray):
            return bool(self.target != self._items)
        return len(self.target) != len(self._items) or not all(map(operator.is_, self.target, self._items))

    def again(self) -> Copy:
        return _ListCopy(self.target)

    def put_back(self) -> None:
        self.target.clear()
        self.target.extend(self._items)

    def copy(self) -> Any:
        return self._items.copy()


class _DictCopy(Copy):
    def __init__(self, target: Any) -> None:
        super().__init__(target)
        self._items = target.copy()

    def changed(self) -> bool:
        new, old = self.target, self._items
        return (
            len(new) != len(old)
            or not all(map(operator.is_, new.keys(), old.keys()))
            or not all(map(operator.is_, new.values(), old.values()))
        )

    def again(self) -> Copy:
        return _DictCopy(self.target)

    def put_back(self) -> None:
        self.target.clear()
        for key, value in self._items.items():
            self.target[key] = value

    def copy(self) -> Any:
        return self._items.copy()


class _SetCopy(Copy):
    def __init__(self, target: set[Any]) -> None:
        super().__init__(target)
        self._items = target.copy()

    def changed(self) -> bool:
        return bool(self.target != self._items)

    def again(self) -> Copy:
        return _SetCopy(self.target)

    def put_back(self) -> None:
        self.target.clear()
        self.target.update(self._items)

    def copy(self) -> Any:
        return self._items.copy()


class _ArrayCopy(Copy):
    def __init__(self, target: Any) -> None:
        super().__init__(target)
        self._items = target.copy()

    def changed(self) -> bool:
        numpy = sys.modules["numpy"]
        new, old = self.target, self._items
        if new.shape != old.shape or new.dtype != old.dtype:
            return True
        if new.dtype.hasobject:
            if new.dtype != object:
                return bool(new.tobytes() != old.tobytes())
            return not all(map(operator.is_, new.flat, old.flat))
        # As bytes: NaN equals NaN, and -0.0 is not 0.0.
        left, right = numpy.ascontiguousarray(new), numpy.ascontiguousarray(old)
        return not numpy.array_equal(left.reshape(-1).view(numpy.uint8), right.reshape(-1).view(numpy.uint8))

    def again(self) -> Copy:
        return _ArrayCopy(self.target)

    def put_back(self) -> None:
        if self.target.shape != self._items.shape or self.target.dtype != self._items.dtype:
            raise ValueError("its shape or type was changed in place")
        self.target[...] = self._items

    def copy(self) -> Any:
        return self._items.copy()


class _PandasCopy(Copy):
    """A frame or series. From pandas 3 on the copy shares its memory until one of the two is written to.

    The labels may be shared even so: their names are kept beside.
    """

    def __init__(self, target: Any) -> None:
        super().__init__(target)
        self._items = target.copy(deep=not copy_on_write())
        self._names = _axis_names(target)
        self._attrs = dict(target.attrs)
        self._unique = target.flags.allows_duplicate_labels

    def changed(self) -> bool:
        new, old = self.target, self._items
        # None of this counts where pandas compares values.
        if (
            _axis_names(new) != self._names
            or any(mine.dtype != theirs.dtype for mine, theirs in zip(new.axes, old.axes, strict=True))
            or new.flags.allows_duplicate_labels != self._unique
            or list(new.attrs) != list(self._attrs)
            or not all(map(operator.is_, new.attrs.values(), self._attrs.values()))
        ):
            return True
        if not (new.index.is_(old.index) or new.index.equals(old.index)):
            return True
        names = "columns" if new.ndim == 2 else "name"
        mine, theirs = getattr(new, names), getattr(old, names)
        if new.ndim == 2:
            if not (mine.is_(theirs) or mine.equals(theirs)):
                return True
        elif mine != theirs:
            return True
        if copy_on_write() and _shared(new, old):
            return False
        return not new.equals(old)

    def again(self) -> Copy:
        return _PandasCopy(self.target)

    def put_back(self) -> None:
        # There is no public way to give a frame other contents and keep its identity.
        self.target._update_inplace(self._items.copy(deep=not copy_on_write()))
        if self.target.ndim == 1:
            self.target.name = self._items.name
        self._finish(self.target)

    def copy(self) -> Any:
        return self._finish(self._items.copy())

    def _finish(self, made: Any) -> Any:
        # A new index each: the old one may serve another frame too.
        for number, names in enumerate(self._names):
            axis = made.axes[number].set_names(names)
            if number == 0:
                made.index = axis
            else:
                made.columns = axis
        made.attrs.clear()
        made.attrs.update(self._attrs)
        made.flags.allows_duplicate_labels = self._unique
        return made


def _axis_names(value: Any) -> list[list[Any]]:
    return [list(axis.names) for axis in value.axes]


def _shared(new: Any, old: Any) -> bool:
    """Whether two frames surely have all their memory in common still."""
    numpy = sys.modules["numpy"]
    width = new.shape[1] if new.ndim == 2 else 1
    if width > 1_000:
        return False
    for number in range(width):
        left = new.iloc[:, number] if new.ndim == 2 else new
        right = old.iloc[:, number] if old.ndim == 2 else old
        if left.dtype != right.dtype or not isinstance(left.dtype, numpy.dtype):
            return False
        if not numpy.may_share_memory(left.to_numpy(), right.to_numpy()):
            return False
    return True


def copy_on_write() -> bool:
    """Whether pandas copies a frame when it is written to (from 3.0 on), not when it is copied."""
    version = str(getattr(sys.modules.get("pandas"), "__version__", "0"))
    major = version.partition(".")[0]
    return major.isdigit() and int(major) >= 3


def is_pandas(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    kinds = (getattr(pandas, "DataFrame", ()), getattr(pandas, "Series", ()))
    return type(value) in kinds


def is_array(value: Any) -> bool:
    return type(value) is getattr(sys.modules.get("numpy"), "ndarray", None)


def nbytes(value: Any) -> int:
    """About how much memory an object holds, at a cost that does not grow with it."""
    try:
        if is_pandas(value):
            used = value.memory_usage(index=False, deep=False)
            return int(used.sum()) if value.ndim == 2 else int(used)
        found = getattr(value, "nbytes", None)
        if isinstance(found, int):
            return found
        if type(value).__module__.partition(".")[0] == "polars" and hasattr(value, "estimated_size"):
            return int(value.estimated_size())
        return sys.getsizeof(value)
    except Exception:
        return 0


class Copies:
    """The copies of everything that a set of variables reaches through plain containers."""

    def __init__(self) -> None:
        self.by_id: dict[int, Copy] = {}
        self.roots: dict[int, list[str]] = {}
        """The variables through which each target was reached."""
        self.opaque: dict[str, str] = {}
        """Variables whose changes in place nobody can see, and why."""
        self._used = 0

    def take(self, variables: Iterable[tuple[str, Any]]) -> None:
        """Copy what ``variables`` hold, small objects first."""
        for name, value in sorted(variables, key=lambda item: nbytes(item[1])):
            kind = type(value)
            if kind in ATOMS or isinstance(value, _CODE):
                continue
            if kind not in _CONTAINERS and not is_array(value) and not is_pandas(value):
                self.opaque[name] = f"a {kind.__name__}"
                continue
            try:
                self._follow(name, value)
            except Exception as error:
                logger.info("no copy of %s: %s", name, error)
                self.opaque[name] = f"a {kind.__name__} that cannot be copied"

    def _follow(self, name: str, value: Any) -> None:
        stack = [value]
        while stack:
            item = stack.pop()
            kind = type(item)
            known = id(item) in self.by_id
            if known or id(item) in self.roots:
                if name not in self.roots[id(item)]:
                    self.roots[id(item)].append(name)
                continue
            if kind is tuple:
                stack.extend(_inner(item))
                continue
            size = nbytes(item)
            # A shared copy costs nothing until the frame is written to; then it costs the frame once more.
            if is_pandas(item) and copy_on_write() and size <= SHARED_CAP:
                size = 0
            if size > OBJECT_CAP or self._used + size > TOTAL_CAP or len(self.by_id) >= MAX_CONTAINERS:
                self.opaque.setdefault(name, f"too large for a copy ({nbytes(item) / 1e6:,.0f} MB)")
                continue
            self._used += size
            self.by_id[id(item)] = take(item)
            self.roots[id(item)] = [name]
            if kind in _CONTAINERS:
                stack.extend(_inner(item))
                continue
            cells = _object_cells(item)
            if len(cells) > MAX_CELLS:
                if any(_mutable(cell) for cell in cells[:100]):
                    self.opaque.setdefault(name, f"{len(cells):,} cells that may hold lists")
                continue
            stack.extend(filter(_mutable, cells))


def _object_cells(item: Any) -> Any:
    """The cells of an array or frame that hold objects, as a flat sequence; made without copying objects."""
    numpy = sys.modules["numpy"]
    if is_array(item):
        return item.reshape(-1) if item.dtype == object else ()
    if item.ndim == 1:
        return item.to_numpy() if item.dtype == object else ()
    columns = [item.iloc[:, at].to_numpy() for at, kind in enumerate(item.dtypes) if str(kind) == "object"]
    return numpy.concatenate(columns) if columns else ()


def _mutable(item: Any) -> bool:
    """Whether it can be changed in place, and is of a kind that is copied."""
    return type(item) in _CONTAINERS or is_array(item) or is_pandas(item)


def _inner(container: Any) -> list[Any]:
    """What a container holds that can be changed in place itself."""
    values: Iterable[Any] = container.values() if isinstance(container, dict) else container
    if isinstance(container, bytearray | set):
        return []
    kinds = set(map(type, values))
    if kinds <= ATOMS:
        return []
    return [
        item for item in (container.values() if isinstance(container, dict) else container) if _mutable(item)
    ]


def take(value: Any) -> Copy:
    """A copy of one object. Raises ``TypeError`` where there is none of its kind."""
    kind = type(value)
    if kind in _LISTS:
        return _ListCopy(value)
    if kind in _DICTS:
        return _DictCopy(value)
    if kind is set:
        return _SetCopy(value)
    if is_array(value):
        return _ArrayCopy(value)
    if is_pandas(value):
        return _PandasCopy(value)
    raise TypeError(f"no copies of {kind.__name__}")
