"""What the describers of tables share: which rows are looked at, and how a column is put in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ante_nb.describe.policy import allows
from ante_nb.describe.words import line, number, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ante_nb.describe.policy import DataPolicy

SAMPLE_ROWS = 2_000
"""Rows that nulls and ranges are taken from; a larger table is looked at in even steps."""
COLUMNS = 60
ROWS = {"sample": 5, "full": 100}
"""Rows shown."""
CELL_CHARS = 80


@dataclass(slots=True)
class Column:
    """One column of the rows that were looked at. ``low`` and ``high`` only for what has an order and
    is no text: the least text is somebody's name."""

    name: str
    kind: str
    nulls: int = 0
    low: Any = None
    high: Any = None
    distinct: int | None = None


@dataclass(slots=True)
class Table:
    """A table as its describer has looked at it: ``looked`` of ``rows`` rows."""

    rows: int
    width: int
    columns: list[Column]
    looked: int
    extra: list[str] = field(default_factory=list)
    header: Sequence[str] = ()
    shown: Sequence[Sequence[Any]] = ()


def step(rows: int) -> int:
    """Every how many-th row is looked at."""
    return max(1, rows // SAMPLE_ROWS)


def words(table: Table, policy: DataPolicy) -> str:
    """The table in lines, as far as ``policy`` allows."""
    lines = list(table.extra)
    stats = allows(policy, "stats") and table.looked > 0
    if stats and table.looked < table.rows:
        lines.append(f"(nulls, ranges and counts of every {step(table.rows)}th row, {table.looked} in all)")
    lines.append("columns:")
    for column in table.columns:
        facts = [column.kind]
        if stats:
            if column.nulls:
                facts.append(f"{share(column.nulls, table.looked)} null")
            if column.low is not None:
                facts.append(f"{number(column.low)} to {number(column.high)}")
            elif column.distinct is not None:
                facts.append(f"{column.distinct} distinct")
        lines.append(f"  {line(column.name, 100)}: {', '.join(facts)}")
    if table.width > len(table.columns):
        lines.append(f"  ... {table.width - len(table.columns)} more columns")
    if allows(policy, "sample") and table.shown:
        count = len(table.shown)
        lines.append(f"first {count} of {table.rows} rows:" if count < table.rows else "rows:")
        lines.append("  " + " | ".join(line(name, CELL_CHARS) for name in table.header))
        lines.extend("  " + " | ".join(_cell(item) for item in row) for row in table.shown)
    return "\n".join(lines)


def _cell(item: Any) -> str:
    if isinstance(item, str):
        return line(item[: 4 * CELL_CHARS], CELL_CHARS)
    if isinstance(item, dict | list | tuple | set | bytes):
        return f"({type(item).__name__} of {len(item)})"
    if hasattr(type(item), "shape") and item.shape:
        return f"({type(item).__name__})"
    return line(str(item), CELL_CHARS)
