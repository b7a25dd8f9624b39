"""Cells where the front end cannot be asked: the file as last saved, and what was run since."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ante_nb.agent.host import Cell, Notebook
from ante_nb.notebook.cells.outputs import joined, read_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ante_nb.notebook.cells.executed import Executed


def read_saved(
    path: Path | None, executed: Mapping[str, Executed], current: str | None, running: str | None
) -> Notebook:
    """The notebook as far as it is known without the front end.

    Args:
        path: its file; ``None`` where the front end names none.
        executed: what was run in this kernel, by cell id or (without one) by ``In[n]``.
        current: the id of the running prompt's cell.
        running: the running prompt's source.
    """
    cells, when = _file(path) if path is not None else ([], None)
    if when is None:
        runs = sorted(executed.values(), key=lambda run: run.count)
        found = [
            Cell(number, "code", run.source, id=run.id, count=run.count, note="its output is not known here")
            for number, run in enumerate(runs, 1)
        ]
        missing = "no notebook file is known" if path is None else f"{path.name} could not be read"
        return Notebook(tuple(found), "history", f"{missing}: these are the inputs run in this kernel")
    known: set[str] = set()
    merged = []
    for cell in cells:
        run = executed.get(cell.id or "") or next(
            (item for item in executed.values() if item.id is None and item.source == cell.source), None
        )
        if run is not None:
            known.add(run.id or f"In[{run.count}]")
            cell = _with_run(cell, run)
        if (current is not None and cell.id == current) or (current is None and cell.source == running):
            # Of this cell's outputs, the last turn's are gone and this one's are being written.
            cell = replace(cell, current=True, outputs="", shapes="", images=())
        merged.append(cell)
    for key, run in executed.items():
        if key not in known and run.id != current:
            note = "run since the last save; not in the file, its place is not known"
            merged.append(Cell(len(merged) + 1, "code", run.source, id=run.id, count=run.count, note=note))
    stamp = time.strftime("%H:%M:%S", time.localtime(when))
    return Notebook(
        tuple(merged), "saved", f"as of the last save at {stamp}; later edits that were not run are not in it"
    )


def _with_run(cell: Cell, run: Executed) -> Cell:
    if cell.count == run.count:
        return cell
    note = f"run again as In[{run.count}] since the last save; its new output is not known here"
    if run.source != cell.source:
        note += "; the text is the one that was run"
    return replace(cell, source=run.source, count=run.count, outputs="", shapes="", images=(), note=note)


def _file(path: Path) -> tuple[list[Cell], float | None]:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        when = path.stat().st_mtime
        return [cell_of(raw, number) for number, raw in enumerate(notebook["cells"], 1)], when
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [], None


def cell_of(raw: dict[str, Any], number: int) -> Cell:
    """A cell of a notebook file, or of the front end's model, which has the same form."""
    seen = read_outputs(raw.get("outputs") or ())
    images = seen.images
    attached = raw.get("attachments") or ()
    # In a file by name; from the front end as pairs.
    for _, data in attached.items() if isinstance(attached, dict) else attached:
        images += read_outputs([{"output_type": "display_data", "data": data}]).images
    kind = raw.get("cell_type")
    count = raw.get("execution_count")
    return Cell(
        number,
        kind if kind in ("code", "markdown") else "raw",
        joined(raw.get("source")),
        seen.text,
        raw.get("id") if isinstance(raw.get("id"), str) else None,
        count=count if isinstance(count, int) else None,
        shapes=seen.shapes,
        images=images,
    )
