"""polars: data frames and series. A lazy frame is never evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.describe.policy import allows
from ante_nb.describe.tables import COLUMNS, ROWS, SAMPLE_ROWS, Column, Table, step, words

if TYPE_CHECKING:
    from ante_nb.describe.policy import DataPolicy


def describe(value: Any, policy: DataPolicy) -> str | None:
    """A frame or series; ``None`` for the library's other types."""
    import polars as pl

    if isinstance(value, pl.LazyFrame):
        return "(a query that has not been run; its schema is not asked for, that may read files)"
    if isinstance(value, pl.Series):
        value = value.to_frame()
    if isinstance(value, pl.DataFrame):
        return words(_frame(value, policy), policy)
    return None


def _frame(frame: Any, policy: DataPolicy) -> Table:
    rows, width = frame.shape
    kinds = list(frame.schema.items())[:COLUMNS]
    columns = [Column(name or "values", str(kind)) for name, kind in kinds]
    looked = 0
    if allows(policy, "stats") and rows:
        some = frame[:, :COLUMNS].gather_every(step(rows)).head(SAMPLE_ROWS * 2)
        looked = some.height
        for (_, kind), series, column in zip(kinds, some.iter_columns(), columns, strict=True):
            column.nulls = series.null_count()
            if kind.is_numeric() or kind.is_temporal():
                column.low, column.high = series.min(), series.max()
            elif str(kind) in ("String", "Categorical", "Enum") or kind.base_type().__name__ in (
                "Categorical",
                "Enum",
            ):
                column.distinct = series.n_unique()
    table = Table(rows, width, columns, looked)
    if allows(policy, "sample"):
        table.header = [column.name for column in columns]
        table.shown = frame[: ROWS[policy], :COLUMNS].rows()
    return table
