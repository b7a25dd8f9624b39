"""pyarrow: tables, record batches, arrays. Slices share memory; nothing is converted whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.describe.policy import allows
from ante_nb.describe.tables import COLUMNS, ROWS, SAMPLE_ROWS, Column, Table, words

if TYPE_CHECKING:
    from ante_nb.describe.policy import DataPolicy

_SLICES = 20


def describe(value: Any, policy: DataPolicy) -> str | None:
    """A table, batch or array; ``None`` for the library's other types."""
    import pyarrow as pa

    if isinstance(value, pa.Array | pa.ChunkedArray):
        value = pa.table({"values": value})
    if isinstance(value, pa.RecordBatch):
        value = pa.Table.from_batches([value])
    if isinstance(value, pa.Table):
        return words(_table(value, policy), policy)
    if isinstance(value, pa.Schema):
        return "\n".join(f"  {item.name}: {item.type}" for item in list(value)[:COLUMNS])
    return None


def _table(table: Any, policy: DataPolicy) -> Table:
    fields = list(table.schema)[:COLUMNS]
    columns = [Column(item.name, str(item.type)) for item in fields]
    narrow = table.select(range(len(fields)))
    looked = 0
    if allows(policy, "stats") and table.num_rows:
        some = _spread(narrow)
        looked = some.num_rows
        for at, column in enumerate(columns):
            _look(some.column(at), column)
    found = Table(table.num_rows, table.num_columns, columns, looked)
    if allows(policy, "sample"):
        head = narrow.slice(0, ROWS[policy])
        found.header = [column.name for column in columns]
        found.shown = [
            list(row) for row in zip(*(head.column(at).to_pylist() for at in range(len(fields))), strict=True)
        ]
    return found


def _spread(table: Any) -> Any:
    """A few thousand rows from all over the table, in slices: taking single rows would cost a pass."""
    import pyarrow as pa

    if table.num_rows <= SAMPLE_ROWS * 2:
        return table
    size = SAMPLE_ROWS // _SLICES
    gap = (table.num_rows - size) // (_SLICES - 1)
    return pa.concat_tables([table.slice(at * gap, size) for at in range(_SLICES)])


def _look(array: Any, column: Column) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    column.nulls = array.null_count
    kind = array.type
    if (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_temporal(kind)
    ):
        try:
            found = pc.min_max(array).as_py()
        except pa.ArrowNotImplementedError:
            return
        column.low, column.high = found["min"], found["max"]
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        column.distinct = len(pc.unique(array))
