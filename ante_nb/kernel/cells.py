"""What a cell of ante-kernel is: a prompt, Python, or IPython's."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

CellKind: TypeAlias = Literal["empty", "prompt", "python", "ipython"]

IPYTHON_MARKS = ("%", "!", "?")
"""A cell whose first characters are one of these is IPython's."""

_PYTHON = re.compile(r"\s*%%python[ \t]*(?:#[^\r\n]*)?(?:\r\n?|\n|\Z)")
_PROMPT = re.compile(r"\s*%%ante[ \t]*(?:\r\n?|\n)")
_NAME_END = re.compile(r"\w*\Z")
_NAME_START = re.compile(r"\w*")
_COMMENT = "# %%python\n"


def kind_of(source: str) -> CellKind:
    """What ante-kernel takes ``source`` for.

    ``prompt`` unless the first characters (after white space) are ``%``, ``!`` or ``?``; ``python`` is a
    cell whose first line is ``%%python``.
    """
    start = source.lstrip()
    if not start:
        return "empty"
    if not start.startswith(IPYTHON_MARKS):
        return "prompt"
    return "python" if _PYTHON.match(source) else "ipython"


def python_start(source: str) -> int:
    """Where the code of a ``%%python`` cell starts."""
    found = _PYTHON.match(source)
    return found.end() if found else 0


def python_body(source: str) -> str:
    """The code of a ``%%python`` cell, for IPython to run.

    A comment stands in for the first line, so that tracebacks count lines as the person does; not where a
    cell magic follows, which must come first.
    """
    body = source[python_start(source) :]
    return body if body.lstrip().startswith("%%") or not body.strip() else _COMMENT + body


def variable_at(source: str, cursor: int) -> str:
    """The name at ``cursor`` in a prompt, with or without ``@``; empty where there is none."""
    before = _NAME_END.search(source[:cursor])
    after = _NAME_START.match(source[cursor:])
    name = (before[0] if before else "") + (after[0] if after else "")
    return name if name.isidentifier() else ""


# ------------------------------------------------------------------ the same cell in a Python notebook


def to_python(source: str) -> str:
    """A cell of ante-kernel as a Python kernel with the magics has it: a prompt below ``%%ante``."""
    kind = kind_of(source)
    if kind == "prompt":
        return f"%%ante\n{source}"
    return source[python_start(source) :] if kind == "python" else source


def to_cell(source: str) -> str:
    """A cell of a Python notebook as ante-kernel has it.

    ``%%ante`` is left out where there are no flags and the prompt is taken for one without it. IPython's
    ``%%python``, a process of its own, gets a second one above it.
    """
    if kind_of(source) == "empty":
        return source
    if not source.lstrip().startswith(IPYTHON_MARKS):
        return f"%%python\n{source}"
    found = _PROMPT.match(source)
    if found and kind_of(source[found.end() :]) == "prompt":
        return source[found.end() :]
    return f"%%python\n{source}" if kind_of(source) == "python" else source
