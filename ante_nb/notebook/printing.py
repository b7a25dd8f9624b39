"""Plain lines of a sub-command: safe to show, in columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def say(text: str = "") -> None:
    """Print ``text`` without credentials and without invisible or control characters."""
    from ante_nb.notebook.render.allowlist import visible
    from ante_nb.redact import redact

    print(visible(redact(text)))


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns as wide as they need, two blanks between them."""
    lines = [tuple(row) for row in rows]
    columns = max((len(row) for row in lines), default=0)
    widths = [max((len(row[at]) for row in lines if at < len(row)), default=0) for at in range(columns)]
    for row in lines:
        say("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip())
