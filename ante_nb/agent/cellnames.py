"""How a cell is named: by its number, a range of numbers, its id or the start of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.agent.host import Cell


def pick(cells: Iterable[Cell], word: str) -> list[Cell]:
    """The cells that a number, a range, an id or the unique start of one names."""
    cells = list(cells)
    exact = [cell for cell in cells if cell.id == word]
    if exact:
        return exact
    span = re.fullmatch(r"#?(\d{1,6})(?:-(\d{1,6}))?", word)
    if span:
        first, last = int(span[1]), int(span[2] or span[1])
        return [cell for cell in cells if first <= cell.number <= last]
    begins = [cell for cell in cells if cell.id and len(word) >= 4 and cell.id.startswith(word)]
    return begins if len(begins) == 1 else []
