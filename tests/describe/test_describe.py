"""What a model may see of a variable: by policy, by type, at a flat cost."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import ante_nb.describe as d
from ante_nb.errors import ConfigError

SECRET = "Mallory Quux"
"""A value that must not be seen under ``schema`` and ``stats``."""


@dataclasses.dataclass
class Patient:
    name: str
    age: int


class Fragile:
    def __repr__(self) -> str:
        raise ValueError(SECRET)


class Own:
    def _ai_repr_(self) -> str:
        return f"own word about {SECRET}"


FRAME = pd.DataFrame(
    {"who": [SECRET, "B", None], "age": [31, 42, 77], "at": pd.to_datetime(["2020-01-01"] * 3)}
)
VALUES: dict[str, Any] = {
    "pandas": FRAME,
    "series": FRAME["who"],
    "named index": FRAME.set_index(["who", "age"]),
    "index": pd.Index([SECRET, "x"]),
    "multiindex": pd.MultiIndex.from_tuples([(SECRET, 1), ("x", 2)]),
    "categories": pd.DataFrame({"c": pd.Categorical([SECRET, "x"])}),
    "polars": pl.from_pandas(FRAME),
    "polars series": pl.Series("who", [SECRET]),
    "arrow": pa.Table.from_pandas(FRAME),
    "arrow array": pa.array([SECRET]),
    "arrow chunked": pa.chunked_array([[SECRET], ["y"]]),
    "numpy text": np.array([SECRET, "x"]),
    "numpy objects": np.array([SECRET, None], dtype=object),
    "structured": np.array([(SECRET, 1)], dtype=[("who", "U20"), ("n", "i4")]),
    "xarray": xr.DataArray([SECRET, "x"], dims="who"),
    "dataset": xr.Dataset({"who": ("n", [SECRET])}),
    "str": SECRET,
    "bytes": SECRET.encode(),
    "list": [SECRET, SECRET],
    "set": {SECRET},
    "nested": {"a": {"b": [SECRET, {"c": SECRET}]}},
    "keys": {SECRET + "@example.org": 1},
    "records": [{"who": SECRET}],
    "dataclass": Patient(SECRET, 3),
    "own": Own(),
    "fragile": Fragile(),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("policy", ["schema", "stats"])
def test_no_value_is_seen(name: str, policy: d.DataPolicy) -> None:
    told = str(d.describe(VALUES[name], policy))
    assert SECRET not in told and "Mallory" not in told
    assert told


@pytest.mark.parametrize(
    "name", [name for name in VALUES if name not in ("structured", "dataset", "fragile")]
)
def test_a_sample_is_seen(name: str) -> None:
    assert "Mallory" in str(d.describe(VALUES[name], "sample"))


def test_a_repr_that_fails_is_named_by_its_type_alone() -> None:
    assert str(d.describe(Fragile(), "full")) == "test_describe.Fragile\n(cannot be described: ValueError)"


def test_a_frame_by_policy() -> None:
    schema = d.describe(FRAME, "schema")
    assert (schema.type, schema.shape) == ("pandas.DataFrame", "3 x 3")
    assert "age: int64" in schema.text and "42" not in schema.text and "null" not in schema.text
    stats = d.describe(FRAME, "stats").text
    assert "age: int64, 31 to 77" in stats and "33.3% null, 2 distinct" in stats and "rows:" not in stats
    sample = d.describe(FRAME, "sample").text
    assert "0 | Mallory Quux | 31 | 2020-01-01 00:00:00" in sample


@pytest.mark.parametrize("name", ["pandas", "polars", "arrow"])
def test_libraries_tell_the_same(name: str) -> None:
    told = d.describe(VALUES[name], "sample")
    assert told.shape == "3 x 3"
    assert "31 to 77" in told.text and "33.3% null" in told.text and "2020-01-01" in told.text


def test_duplicate_odd_and_many_columns() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", 5])
    assert d.describe(frame, "sample").text.count("  a: int64") == 2
    wide = pd.DataFrame(np.zeros((2, 500)))
    told = d.describe(wide, "sample").text
    assert "... 440 more columns" in told and len(told) < 5_000
    assert "columns:" in d.describe(pd.DataFrame(), "full").text
    nested = pd.DataFrame({"x": [[1, 2], {"k": 1}]})
    assert "(list of 2)" in d.describe(nested, "sample").text


def test_text_in_cells_is_cut() -> None:
    told = d.describe(pd.DataFrame({"t": ["x" * 10_000_000]}), "sample").text
    assert len(told) < 1_000


def test_lazy_things_stay_lazy(tmp_path: Any) -> None:
    def rows() -> Any:
        raise AssertionError("it was read")
        yield

    assert "not read" in d.describe(rows(), "full").text
    query = pl.scan_csv(tmp_path / "missing.csv")
    assert "has not been run" in d.describe(query, "full").text
    path = tmp_path / "held.npy"
    np.save(path, np.arange(10))
    assert "0 to 9" in d.describe(np.load(path, mmap_mode="r"), "stats").text


def test_a_library_that_is_not_imported_stays_so() -> None:
    code = (
        "import sys, ante_nb.describe as d\n"
        "[str(d.describe(v, 'full')) for v in (1, 'a', [1], {'a': 1}, object(), len, d, {1}, 2.5, None)]\n"
        "print([m for m in ('numpy', 'pandas', 'polars', 'pyarrow', 'xarray', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_registered_types_and_their_subclasses() -> None:
    class Base:
        pass

    class Sub(Base):
        pass

    @d.register(Base)
    def base(value: Any, policy: str) -> str | None:
        return None if policy == "schema" else f"a {type(value).__name__} under {policy}"

    try:
        assert d.describe(Sub(), "stats").text == "a Sub under stats"
        assert d.describe(Sub(), "schema").text == ""
        with pytest.raises(TypeError):
            d.register("Base")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            d.register(Sub, 3)  # type: ignore[arg-type]
    finally:
        assert d.unregister(Base) and not d.unregister(Base)


def test_a_describer_that_fails_tells_no_value() -> None:
    class Odd:
        pass

    def broken(value: Any, policy: str) -> str:
        raise RuntimeError(SECRET)

    d.register(Odd, broken)
    try:
        assert d.describe(Odd(), "full").text == "(cannot be described: RuntimeError)"
    finally:
        d.unregister(Odd)


def test_credentials_in_values_are_masked() -> None:
    assert "sk-ant-api03-abcdefghijklmnop" not in str(
        d.describe({"key": "sk-ant-api03-abcdefghijklmnop"}, "full")
    )


class Counting(list):  # type: ignore[type-arg]
    """A list that counts how many elements are asked for."""

    asked = 0

    def __iter__(self) -> Any:
        for item in super().__iter__():
            Counting.asked += 1
            yield item

    def __repr__(self) -> str:
        raise AssertionError("it was printed")


def test_a_large_list_is_not_read_whole() -> None:
    Counting.asked = 0
    d.describe(Counting(range(1_000_000)), "full")
    assert Counting.asked <= 400


@pytest.mark.parametrize("policy", d.POLICIES)
def test_a_large_frame_is_not_read_whole(policy: d.DataPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"x": np.arange(1_000_000), "t": ["a"] * 1_000_000})
    monkeypatch.setattr(pd.DataFrame, "__repr__", lambda self: pytest.fail("it was printed"))
    seen: list[int] = []
    for name in ("isna", "min", "max", "nunique"):
        original = getattr(pd.Series, name)
        monkeypatch.setattr(
            pd.Series, name, lambda self, *a, _o=original, **k: (seen.append(len(self)), _o(self, *a, **k))[1]
        )
    d.describe(frame, policy)
    assert max(seen, default=0) <= 4_000


def test_thin_takes_elements_from_everywhere() -> None:
    from ante_nb.describe.arrays import thin

    for shape in [(10**6,), (1000, 1000), (3, 10**5), (10, 10, 10, 1000), (5,), ()]:
        value = np.broadcast_to(np.array(1), shape)
        assert 1 <= thin(value).size <= 4_000
        assert thin(value).size >= min(value.size, 500)


SIMPLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(SIMPLE, st.sampled_from(d.POLICIES))
def test_anything_is_described_in_bounds(value: Any, policy: d.DataPolicy) -> None:
    assert len(str(d.describe(value, policy))) < 25_000


def test_policies() -> None:
    assert d.parse_policy(" Stats ", "settings.json") == "stats"
    with pytest.raises(ConfigError, match=r"settings\.json: there is no data policy 'all'"):
        d.parse_policy("all", "settings.json")
    assert d.allows("full", "schema") and not d.allows("schema", "stats")
