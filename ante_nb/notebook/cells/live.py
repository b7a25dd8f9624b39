"""Reading and changing cells through the front end, and what there is without it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ante_nb.agent.host import CellEdit, CellReport, Notebook
from ante_nb.notebook.cells.link import FrontEndLink, NoAnswer, NoFrontEnd
from ante_nb.notebook.cells.saved import cell_of, read_saved

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ante_nb.notebook.state import KernelState

Status: TypeAlias = Literal["applied", "queued", "stale", "refused", "unconfirmed"]
_STATUSES: tuple[Status, ...] = ("applied", "queued", "stale", "refused")


class Cells:
    """The cells of one running prompt's notebook; used on the kernel's thread.

    Args:
        state: the kernel's state.
        wait: awaits on the kernel's loop, ended by an interrupt; ``None`` where that loop is blocked and
            the front end cannot be asked.
    """

    def __init__(
        self, state: KernelState, wait: Callable[[Awaitable[Any]], Awaitable[Any]] | None = None
    ) -> None:
        self._state = state
        self._link = FrontEndLink(state, wait) if wait is not None else None
        self._below: str | None = state.cell_id
        """The cell that a further one is inserted below: the prompt's, then the last that was inserted."""
        self._proposed = False
        self._sources: dict[str, str] = {}
        """What was read, by what it was shown as."""

    async def read(self, ids: tuple[str, ...] = ()) -> Notebook:
        """The cells as a Python notebook has them; those of ``ids`` with whole outputs and images."""
        from dataclasses import replace

        found = await self._read(ids)
        cells = [
            replace(cell, source=self._state.as_python(cell.source)) if cell.kind == "code" else cell
            for cell in found.cells
        ]
        self._sources |= {new.source: old.source for new, old in zip(cells, found.cells, strict=True)}
        return replace(found, cells=tuple(cells))

    async def _read(self, ids: tuple[str, ...]) -> Notebook:
        if self._link is not None:
            try:
                reply = await self._link.request("list", ids=list(ids))
            except (NoFrontEnd, NoAnswer) as error:
                return await self._saved(str(error))
            if isinstance(reply.get("cells"), list):
                return self._live(reply)
            return await self._saved(str(reply.get("reason", "the front end gave no cells")))
        return await self._saved("a blocking call keeps the front end from answering")

    def _live(self, reply: dict[str, Any]) -> Notebook:
        from dataclasses import replace

        own = self._state.cell_id
        cells = [cell_of(raw, number) for number, raw in enumerate(reply["cells"], 1)]
        return Notebook(
            tuple(replace(cell, current=True) if own and cell.id == own else cell for cell in cells),
            "live",
            "as they stand in the front end now" + (", not saved yet" if reply.get("dirty") else ""),
        )

    async def _saved(self, why: str) -> Notebook:
        from dataclasses import replace

        state = self._state
        deleted = state.request.get("metadata", {}).get("deletedCells")
        gone = deleted if isinstance(deleted, list) else []
        executed = {key: run for key, run in state.executed.items() if key not in gone}
        found = await asyncio.to_thread(
            read_saved, state.notebook_path, executed, state.cell_id, state.source
        )
        return replace(found, note=f"{found.note} ({why})")

    async def edit(self, edit: CellEdit) -> CellReport:
        """Have the front end change a cell; what is given and told is as a Python notebook has it."""
        if edit.kind != "code":
            return await self._edit(edit)
        from dataclasses import replace

        state = self._state
        expected = edit.expected and self._sources.get(edit.expected, state.as_cell(edit.expected))
        report = await self._edit(replace(edit, expected=expected, source=state.as_cell(edit.source)))
        source = report.source if report.source is None else state.as_python(report.source)
        return replace(report, source=source)

    async def _edit(self, edit: CellEdit) -> CellReport:
        if self._link is None:
            return CellReport("refused", "a blocking call keeps the front end from answering")
        at: str | None = edit.id
        if edit.action == "insert" and edit.id == "":
            at = self._below
            if at is None:
                return CellReport("refused", "the front end does not say which cell the prompt is in")
        elif edit.action == "insert" and edit.id == "top":
            at = None
        try:
            reply = await self._link.request(
                edit.action, id=at, expected=edit.expected, source=edit.source, kind=edit.kind
            )
        except NoFrontEnd as error:
            return CellReport("refused", str(error))
        except NoAnswer as error:
            return CellReport("unconfirmed", f"{error}; read the cells to see whether it was done")
        report = _report(reply, edit)
        if edit.action == "insert" and edit.id == "" and report.status == "applied":
            self._below = report.id
        return report

    def propose(self, source: str) -> bool:
        """Put a code cell below the prompt's when the turn ends; whether it replaces one proposed before."""
        again, self._proposed = self._proposed, True
        self._state.shell.set_next_input(self._state.as_cell(source), replace=False)
        return again


def _report(reply: dict[str, Any], edit: CellEdit) -> CellReport:
    source, number = reply.get("source"), reply.get("number")
    status: Status | None = next((name for name in _STATUSES if name == reply.get("status")), None)
    if status is None:
        return CellReport("unconfirmed", "the front end gave an answer that is not understood")
    if status == "applied" and edit.action in ("insert", "replace") and source != edit.source:
        status = "unconfirmed"
    return CellReport(
        status,
        str(reply.get("reason") or ""),
        reply["id"] if isinstance(reply.get("id"), str) else None,
        number if isinstance(number, int) else None,
        source if isinstance(source, str) else None,
    )
