"""Notebooks for the tests of front ends: written for either kernel, and read after they ran."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import nbformat
import nbformat.v4 as v4

from support.kernel import strip_ansi

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KERNELSPECS = {
    "python3": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "ante": {"name": "ante", "display_name": "Ante", "language": "markdown"},
}


def book(cells: Sequence[str], kernel: str = "python3") -> Any:
    """A notebook of code cells that no kernel has run."""
    made = [v4.new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(cells, 1)]
    return v4.new_notebook(cells=made, metadata={"kernelspec": KERNELSPECS[kernel]})


def write(path: Path, cells: Sequence[str], kernel: str = "python3") -> Path:
    """Write such a notebook to ``path``."""
    nbformat.write(book(cells, kernel), path)
    return path


def texts(cell: Any) -> list[str]:
    """What a cell shows without a browser: streams, errors and the text/plain of each output, in order."""
    shown: list[str] = []
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            shown.append("".join(output["text"]))
        elif output["output_type"] == "error":
            shown.append("\n".join(output["traceback"]))
        else:
            shown.append("".join(output["data"].get("text/plain", "")))
    return [strip_ansi(text) for text in shown if text]


def turns(cell: Any) -> list[dict[str, Any]]:
    """The records of the turns that a cell holds."""
    return [
        output["data"]["application/vnd.ante.turn+json"]
        for output in cell["outputs"]
        if "application/vnd.ante.turn+json" in output.get("data", {})
    ]


_VARYING = (
    (r"\d+(\.\d+)? s\b", "N s"),
    (r"[\d,]+ tokens in", "N tokens in"),
    (r"(ses|turn|step)_\w+", r"\1_X"),
    (r"\(\d+(\.\d+)?\)", "(N)"),
)


def steady(text: str) -> str:
    """The text without what differs from run to run: seconds, counts of tokens, ids."""
    for pattern, instead in _VARYING:
        text = re.sub(pattern, instead, text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def read(path: Path) -> Any:
    """A notebook as it lies on disk, checked against the format's schema."""
    found = nbformat.read(path, as_version=4)
    nbformat.validate(found)
    return json.loads(json.dumps(found))
