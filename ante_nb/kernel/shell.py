"""The shell of ante-kernel: IPython, to which a cell that is a prompt looks like a ``%%ante`` cell."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ipykernel.zmqshell import ZMQInteractiveShell

from ante_nb.kernel.cells import kind_of, python_body
from ante_nb.notebook.state import kernel_state
from ante_nb.notebook.transformer import can_await, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator


class AnteShell(ZMQInteractiveShell):
    """An IPython shell that takes the running cell, and nothing else, for a prompt.

    Code that is run inside of a cell (the agent's Python tool, ``get_ipython().run_cell``) stays Python.
    History keeps a cell as it was typed.
    """

    _submitted: str | None = None

    @contextmanager
    def submitted(self, source: str | None) -> Iterator[None]:
        """For the length of the block, ``source`` is the cell that a person has submitted."""
        before, self._submitted = self._submitted, source
        try:
            yield
        finally:
            self._submitted = before

    def transform_cell(self, raw_cell: str) -> str:
        """The Python that IPython runs for ``raw_cell``."""
        if raw_cell != self._submitted or kernel_state(self).in_tool:
            return self._python(raw_cell)
        kind = kind_of(raw_cell)
        if kind == "prompt":
            if can_await(self):
                return "".join(rewrite(["%%ante\n", raw_cell]))
            return f"get_ipython().run_cell_magic('ante', '', {raw_cell!r})\n"
        return self._python(python_body(raw_cell) if kind == "python" else raw_cell)

    def _python(self, source: str) -> str:
        return str(super().transform_cell(source))  # type: ignore[no-untyped-call]
