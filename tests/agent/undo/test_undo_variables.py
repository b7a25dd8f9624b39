"""Variables: what changed, in place too, and back; with the types that data work is made of."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from ante_nb.agent.undo import inplace, namespace
from ante_nb.agent.undo.namespace import NamespaceBefore, NamespaceChanges

if TYPE_CHECKING:
    from collections.abc import Callable


def turn(space: dict[str, Any], code: str) -> NamespaceChanges:
    """Run code between the two looks of a turn."""
    before = NamespaceBefore(space)
    exec(code, space)
    return before.compare(space, set(code.replace(".", " ").replace("(", " ").split()))


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [0.5, float("nan"), 1.5]})


# Each: a value, code that changes `v` in place, what tells two values apart.
IN_PLACE: dict[str, tuple[Callable[[], Any], str]] = {
    "list append": (lambda: [1, 2], "v.append(3)"),
    "list item": (lambda: [1, "b", None], "v[1] = 'c'"),
    "list of lists": (lambda: [[1], [2, [3]]], "v[1][1].append(4)"),
    "list emptied": (lambda: [1, 2], "v.clear()"),
    "dict item": (lambda: {"a": 1}, "v['b'] = 2"),
    "dict order": (lambda: {"a": 1, "b": 2}, "v['a'] = v.pop('a')"),
    "dict nested": (lambda: {"a": {"b": [1]}}, "v['a']['b'][0] = 9; v['a']['c'] = ()"),
    "dict in tuple": (lambda: ({"a": 1}, 2), "v[0]['a'] = 2"),
    "set": (lambda: {1, 2}, "v.add(3); v.discard(1)"),
    "deque": (lambda: deque([1, 2], maxlen=2), "v.append(3)"),
    "bytearray": (lambda: bytearray(b"abc"), "v[0] = 0; v += b'x'"),
    "counter": (lambda: Counter("aab"), "v.update('ccc')"),
    "defaultdict": (lambda: defaultdict(list, a=[1]), "v['b'].append(1); v['a'].append(2)"),
    "ordered": (lambda: OrderedDict(a=1, b=2), "v.move_to_end('a')"),
    "array": (lambda: np.arange(6.0).reshape(2, 3), "v[0, 0] = 99; v *= 2"),
    "array nan": (lambda: np.array([np.nan, 1.0]), "v[1] = np.nan"),
    "array zero": (lambda: np.array([0.0]), "v[0] = -0.0"),
    "array strided": (lambda: np.arange(10)[::2], "v[:] = 0"),
    "array of objects": (lambda: np.array([{"a": 1}, None], dtype=object), "v[1] = 3"),
    "array structured": (lambda: np.zeros(2, dtype=[("x", "i4"), ("y", "f8")]), "v['x'] = 1"),
    "array of times": (lambda: np.array(["2020-01-01", "NaT"], dtype="M8[D]"), "v[1] = '2021-01-01'"),
    "scalar array": (lambda: np.array(5), "v[...] = 6"),
    "frame cell": (frame, "v.loc[0, 'a'] = 9"),
    "frame column": (frame, "v['d'] = v['a'] * 2"),
    "frame column gone": (frame, "del v['b']"),
    "frame rows": (frame, "v.loc[7] = [1, 'q', 2.0]"),
    "frame names": (frame, "v.columns = ['x', 'y', 'z']"),
    "frame index": (frame, "v.index = [5, 6, 7]"),
    "series": (lambda: pd.Series([1, 2, 3], name="s"), "v.iloc[0] = 7"),
    "series name": (lambda: pd.Series([1, 2, 3], name="s"), "v.name = 't'"),
    "frame index name": (frame, "v.index.name = 'when'"),
    "frame column names": (frame, "v.columns.name = 'what'"),
    "frame index type": (frame, "v.index = v.index.astype(float)"),
    "frame attributes": (frame, "v.attrs['unit'] = 'kg'"),
    "frame of lists": (lambda: pd.DataFrame({"a": [[1], [2]]}), "v.loc[0, 'a'].append(3)"),
    "series index name": (lambda: pd.Series([1, 2]), "v.index.name = 'when'"),
    "array of lists": (lambda: np.array([[1], None, {"a": 1}], dtype=object), "v[0].append(2); v[2].clear()"),
    "frame in dict": (lambda: {"df": frame()}, "v['df']['new'] = 1"),
}


def told(value: Any) -> str:
    """A value in full, as text, whatever it holds."""
    if isinstance(value, dict):
        return f"{type(value).__name__} {[(key, told(item)) for key, item in value.items()]}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} {[told(item) for item in value]}"
    if isinstance(value, pd.DataFrame | pd.Series):
        names = list(value.columns) if value.ndim == 2 else [value.name]
        labels = [(axis.dtype, list(axis.names)) for axis in value.axes]
        return f"{names} {list(value.index)} {value.to_dict()} {labels} {value.attrs}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {value.tolist()}"
    return repr(value)


@pytest.mark.parametrize("case", IN_PLACE)
def test_in_place(case: str) -> None:
    make, code = IN_PLACE[case]
    value = make()
    space: dict[str, Any] = {"v": value, "same": value, "np": np, "other": 1}
    old = told(value)
    changes = turn(space, code)
    new = told(value)
    assert new != old
    if "v *= 2" not in code and "v +=" not in code:
        assert changes.bindings == []
    assert "v" in changes.changed and "other" not in changes.changed
    done, reverse = namespace.restore(space, changes)
    assert told(space["v"]) == old == told(space["same"]) and not done.left
    assert space["v"] is value is space["same"]
    again, _ = namespace.restore(space, reverse)
    assert told(value) == new and not again.left


@pytest.mark.parametrize("case", IN_PLACE)
def test_nothing_is_seen_where_nothing_changed(case: str) -> None:
    space: dict[str, Any] = {"v": IN_PLACE[case][0](), "np": np}
    assert not turn(space, "len(str(v)); w = v; del w")


def test_bindings() -> None:
    space: dict[str, Any] = {"kept": 1, "changed": 1, "gone": "x", "module": np, "_hidden": 1}
    space["itself"] = [1]
    changes = turn(
        space, "changed = 2; del gone; new = 3; module = 5; _hidden = 2; import json; itself = itself + [2]"
    )
    assert (changes.new, changes.gone) == (["new"], ["gone"])
    assert sorted(changes.changed) == ["changed", "itself", "module"]
    assert changes.kind_of("gone") == "str" and changes.kind_of("new") == "int"
    done, reverse = namespace.restore(space, changes)
    assert done.left == [] and set(done.removed) == {"new", "json"}
    assert (space["changed"], space["gone"], space["module"], space["itself"]) == (1, "x", np, [1])
    assert "new" not in space and "json" not in space and space["_hidden"] == 2
    namespace.restore(space, reverse)
    assert (space["changed"], space["new"], space["module"]) == (2, 3, 5) and "gone" not in space


def test_rebound_and_changed_in_place() -> None:
    first = [1]
    space: dict[str, Any] = {"v": first, "also": first}
    changes = turn(space, "v.append(2); v = v + [3]")
    namespace.restore(space, changes)
    assert space["v"] is first is space["also"] and first == [1]


def test_who_is_who_inside_stays() -> None:
    inner = [1]
    outer = {"a": inner, "b": inner}
    outer["self"] = outer  # type: ignore[assignment]
    space: dict[str, Any] = {"outer": outer, "inner": inner}
    changes = turn(space, "inner.append(2); outer['c'] = 3")
    namespace.restore(space, changes)
    assert outer["a"] is inner is outer["b"] and inner == [1] and "c" not in outer and outer["self"] is outer


def test_an_array_whose_shape_was_changed_is_bound_to_a_copy() -> None:
    array = np.arange(4)
    space: dict[str, Any] = {"v": array}
    changes = turn(space, "v.resize((8,), refcheck=False)")
    done, reverse = namespace.restore(space, changes)
    assert space["v"].tolist() == [0, 1, 2, 3] and done.restored == ["v"]
    namespace.restore(space, reverse)
    assert space["v"] is array and array.shape == (8,)


def test_what_cannot_be_seen_is_named_where_the_code_used_it() -> None:
    class Model:
        weight = 1

    space: dict[str, Any] = {"model": Model(), "unused": Model(), "np": np, "f": len}
    changes = turn(space, "model .weight = 2")
    assert changes.unseen == {"model": "a Model"} and not changes


def test_large_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inplace, "OBJECT_CAP", 1000)
    monkeypatch.setattr(inplace, "SHARED_CAP", 1000)
    monkeypatch.setattr(namespace, "HOLD_CAP", 1000)
    space: dict[str, Any] = {"big": np.zeros(1000), "bound": np.zeros(1000), "small": [1]}
    changes = turn(space, "big [0] = 1; bound = 2; small.append(2)")
    assert "too large" in changes.unseen["big"] and changes.changed == ["bound", "small"]
    done, _ = namespace.restore(space, changes)
    # Nobody else held it: the turn was free to free it.
    assert [name for name, _ in done.left] == ["bound"] and "too large" in done.left[0][1]
    assert space["small"] == [1]


def test_a_large_object_that_somebody_still_holds_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace, "HOLD_CAP", 1000)
    big = np.zeros(1000)
    space: dict[str, Any] = {"big": big}
    changes = turn(space, "big = None")
    namespace.restore(space, changes)
    assert space["big"] is big


def test_objects_that_misbehave_do_no_harm() -> None:
    class Nasty:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        __hash__ = None  # type: ignore[assignment]

        def __copy__(self) -> None:
            raise RuntimeError("copied")

        def __deepcopy__(self, memo: object) -> None:
            raise RuntimeError("copied")

        @property
        def nbytes(self) -> int:
            raise RuntimeError("asked for its size")

    nasty = Nasty()
    space: dict[str, Any] = {"nasty": nasty, "held": [nasty], "keyed": {"k": nasty}}
    changes = turn(space, "held.append(nasty); keyed['l'] = nasty")
    namespace.restore(space, changes)
    assert len(space["held"]) == 1 and space["held"][0] is nasty and list(space["keyed"]) == ["k"]


def test_a_deep_nest_and_a_wide_one() -> None:
    deep: list[Any] = []
    for _ in range(20_000):
        deep = [deep]
    space: dict[str, Any] = {
        "deep": deep,
        "wide": list(range(200_000)),
        "texts": {str(n): n for n in range(1000)},
    }
    changes = turn(space, "wide[7] = -1; deep.append(1); texts['x'] = 1")
    namespace.restore(space, changes)
    assert space["wide"][7] == 7 and len(deep) == 1 and len(space["texts"]) == 1000
    while deep:  # taken apart by hand: freeing it all at once would recurse
        deep = deep.pop()


def test_what_a_turn_did_not_change_is_not_held() -> None:
    import weakref

    array = np.zeros(10)
    seen = weakref.ref(array)
    space: dict[str, Any] = {"array": array, "v": [1]}
    changes = turn(space, "v.append(1)")
    del array, space["array"]
    assert seen() is None and changes
