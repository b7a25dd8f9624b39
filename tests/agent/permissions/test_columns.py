"""``df.region`` is a column where it can be nothing else."""

from __future__ import annotations

import matplotlib.figure  # noqa: F401
import numpy as np
import pandas as pd
import pytest

from ante_nb.agent.permissions.analysis import analyse
from ante_nb.agent.permissions.bindings import kinds

FRAME = pd.DataFrame(
    {"region": ["n", "s"], "amount": [1.0, 2.0], "savefig": [1, 2], "to_pickle": [1, 2], "tofile": [1, 2]}
)


def judged(code: str, **space: object) -> str | None:
    space = {"df": FRAME, "pd": pd, "np": np, **space}
    return analyse(code, kinds(space, space)).why


@pytest.mark.parametrize(
    "code",
    [
        "df.region.unique()",
        "df[df.amount > 1].region.value_counts()",
        "total = df.amount.sum()",
        "df.groupby('region').amount.mean()",
        "top = df.assign(share=df.amount / df.amount.sum())",
        "print([row.region for row in df.itertuples()])",
        "for row in df.itertuples():\n    print(row.amount)",
    ],
)
def test_columns_are_data(code: str) -> None:
    assert judged(code) is None


@pytest.mark.parametrize(
    "code",
    [
        "df.region()",  # nothing that is called is taken for a column
        "df.region('x')",
        "keep = df.to_pickle",  # a column of that name, and a method of every frame
        "list(map(df.to_pickle, ['x']))",
        "save = df.savefig",  # a method of figures
        "put = df.tofile",  # a method of arrays
        "df.other",
        "pd.region",
        "df.region = 1",
        "df.region.__class__",
        "unknown_thing.region",
    ],
)
def test_the_rest_is_not_known(code: str) -> None:
    assert judged(code) is not None


def test_a_column_of_no_bound_frame() -> None:
    assert judged("[1].region", df=[1]) is not None


def test_a_library_that_is_loaded_first() -> None:
    """Its classes may have a method of that name."""
    assert ".region" in kinds({"df"}, {"df": FRAME}, ["pandas", "numpy"])
    assert ".region" not in kinds({"df"}, {"df": FRAME}, ["matplotlib.nothing"])


def test_what_is_no_frame_has_no_columns() -> None:
    class Frame(pd.DataFrame):
        pass

    assert judged("df.region", df=Frame({"region": [1]})) is not None
