"""pandas: data frames, series, indexes. Rows are taken by position in even steps, never all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.describe.policy import allows
from ante_nb.describe.tables import COLUMNS, ROWS, SAMPLE_ROWS, Column, Table, step, words

if TYPE_CHECKING:
    from ante_nb.describe.policy import DataPolicy


def describe(value: Any, policy: DataPolicy) -> str | None:
    """A frame, series or index; ``None`` for the library's other types."""
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return words(_frame(value, policy), policy)
    if isinstance(value, pd.Series):
        table = _frame(value.to_frame("values" if value.name is None else value.name), policy)
        return words(table, policy)
    if isinstance(value, pd.Index):
        return words(_labels(value, policy), policy)
    return None


def _frame(frame: Any, policy: DataPolicy) -> Table:
    rows, width = frame.shape
    columns = [
        Column(_name(frame.columns[at]), str(kind)) for at, kind in enumerate(frame.dtypes.iloc[:COLUMNS])
    ]
    looked = 0
    if allows(policy, "stats") and rows:
        some = frame.iloc[:: step(rows), :COLUMNS].iloc[: SAMPLE_ROWS * 2]
        looked = len(some)
        for at, column in enumerate(columns):
            _look(some.iloc[:, at], column)
    table = Table(rows, width, columns, looked, [_index(frame.index, policy)])
    if allows(policy, "sample"):
        head = frame.iloc[: ROWS[policy], :COLUMNS]
        table.header = ["", *(column.name for column in columns)]
        table.shown = [
            [_label(label), *row]
            for label, row in zip(head.index, head.itertuples(index=False, name=None), strict=True)
        ]
    return table


def _labels(index: Any, policy: DataPolicy) -> Table:
    """An index as a table: only the labels that are looked at are made into one."""
    table = _frame(index[:: step(len(index))][: SAMPLE_ROWS * 2].to_frame(index=False), policy)
    table.rows, table.extra = len(index), []
    if allows(policy, "sample"):
        head = index[: ROWS[policy]].to_frame(index=False)
        table.header = [column.name for column in table.columns]
        table.shown = list(head.itertuples(index=False, name=None))
    return table


def _look(series: Any, column: Column) -> None:
    import pandas as pd

    column.nulls = int(series.isna().sum())
    kinds = pd.api.types
    kind = series.dtype
    if kinds.is_bool_dtype(kind):
        return
    if (
        kinds.is_numeric_dtype(kind)
        or kinds.is_datetime64_any_dtype(kind)
        or kinds.is_timedelta64_dtype(kind)
    ):
        if not kinds.is_complex_dtype(kind) and column.nulls < len(series):
            column.low, column.high = series.min(), series.max()
    elif isinstance(kind, pd.CategoricalDtype):
        column.distinct = len(kind.categories)
    else:
        try:
            column.distinct = int(series.nunique())
        except TypeError:  # lists and dicts have no hash
            column.distinct = None


def _index(index: Any, policy: DataPolicy) -> str:
    names = [str(name) for name in index.names if name is not None]
    named = f" {', '.join(names)}" if names else ""
    return f"index:{named} {type(index).__name__} of {getattr(index, 'dtype', '')}".rstrip()


def _label(label: Any) -> Any:
    return " / ".join(map(str, label)) if isinstance(label, tuple) else label


def _name(label: Any) -> str:
    return label if isinstance(label, str) else str(label)
