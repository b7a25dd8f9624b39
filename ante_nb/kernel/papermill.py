"""Papermill's side of ante-kernel: parameters are injected as a ``%%python`` cell.

Papermill has no entry point for translators, but loads those of the group ``papermill.engine`` when it is
imported (https://papermill.readthedocs.io/en/latest/extending-entry-points.html). Loading :class:`AnteEngine`
registers the translator; the engine itself is papermill's own, so that nobody has to name it. Only papermill
imports this module.
"""

from __future__ import annotations

from typing import Any

from papermill.engines import NBClientEngine
from papermill.translators import PythonTranslator, papermill_translators

from ante_nb.kernel.cells import python_start

__all__ = ["AnteEngine", "AnteTranslator"]

_FIRST_LINE = "%%python\n"


class AnteTranslator(PythonTranslator):  # type: ignore[misc]  # papermill has no types
    """Python's translator, for a kernel in which Python needs a first line."""

    @classmethod
    def codify(cls, parameters: dict[str, Any], comment: str = "Parameters") -> str:
        """The cell that sets ``parameters``, names to JSON values."""
        return f"{_FIRST_LINE}{super().codify(parameters, comment)}"

    @classmethod
    def inspect(cls, parameters_cell: Any) -> Any:
        """The parameters of the cell tagged ``parameters`` (``papermill --help-notebook``)."""
        source = parameters_cell["source"]
        return super().inspect({**parameters_cell, "source": source[python_start(source) :]})


class AnteEngine(NBClientEngine):  # type: ignore[misc]
    """Papermill's engine under our name; it is here so that loading it registers the translator."""


# By the kernel's name and, for kernelspecs of another name, by its language.
for _name in ("ante", "markdown"):
    papermill_translators.register(_name, AnteTranslator)
