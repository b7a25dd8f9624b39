"""Rewrites ``%%ante``, ``%ante login`` and ``%ante panel`` into awaited calls, before IPython makes (synchronous) magic calls of them.

IPython has no asynchronous magics. A cleanup transformer runs before the cell-magic transform, so that
IPython sees a cell with a top-level ``await``. The prompt travels as a string literal: no ``{}``, ``$``,
``%`` or trailing ``?`` in it means anything.
"""

from __future__ import annotations

import re
from typing import Any

_CELL = re.compile(r"%%ante(?:[ \t]+(?P<line>[^\r\n]*?))?[ \t]*(?:\r\n?|\n|\Z)")
_FIX = re.compile(r"%ante[ \t]+fix(?:[ \t]+(?P<line>[^\r\n]*?))?[ \t]*(?:\r\n?|\n|\Z)")
_AWAITED = re.compile(r"%ante[ \t]+(?P<name>login|panel)(?:[ \t]+(?P<line>[^\r\n]*?))?[ \t]*(?:\r\n?|\n|\Z)")
_CALL = "await __import__('ante_nb.notebook.cell').notebook.cell"
_CALLS = {
    "login": "await __import__('ante_nb.notebook.login').notebook.login.run_login",
    "panel": "await __import__('ante_nb.notebook.panel_command').notebook.panel_command.run_panel",
}


class PromptTransformer:
    """The transformer for one shell: called with the lines of a cell, line ends included."""

    has_side_effects = True
    """Has IPython leave it out when a terminal asks whether a cell is complete: the first line of a prompt
    would be one, as an awaited call. Without it the rule for cell magics holds, up to the first empty line."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def __call__(self, lines: list[str]) -> list[str]:
        return rewrite(lines) if can_await(self._shell) and self._is_whole(lines) else lines

    def _is_whole(self, lines: list[str]) -> bool:
        """Whether ``lines`` are the cell that runs, and no part of it: below ``%%time`` nothing can be awaited."""
        from ante_nb.notebook.state import kernel_state

        source = kernel_state(self._shell).source
        return source is None or "".join(lines).rstrip("\r\n") == source.rstrip("\r\n")


def rewrite(lines: list[str]) -> list[str]:
    """A prompt cell as an awaited call; any other cell as it is."""
    start = next((number for number, line in enumerate(lines) if line.strip()), None)
    if start is None:
        return lines
    found = _CELL.fullmatch(lines[start])
    if found:
        body = "".join(lines[start + 1 :])
        return [f"{_CALL}.run_cell({found['line'] or ''!r}, {body!r})\n"]
    found = _FIX.fullmatch(lines[start])
    if found and not any(line.strip() for line in lines[start + 1 :]):
        return [f"{_CALL}.run_fix({found['line'] or ''!r})\n"]
    return _with_cards(lines, start)


def _with_cards(lines: list[str], start: int) -> list[str]:
    """Sign-ins and panels of a cell awaited, where it is nothing but line magics and comments.

    Among other code the line could stand in a string; there the magic does it, as far as it can.
    """
    found = [_AWAITED.fullmatch(line) for line in lines]
    plain = not lines[start].startswith("%%") and all(
        line.startswith(("%", "!", "#")) for line in lines if line.strip()
    )
    if not plain or not any(found):
        return lines
    return [
        f"{_CALLS[match['name']]}({match['line'] or ''!r})\n" if match else line
        for line, match in zip(lines, found, strict=True)
    ]


def can_await(shell: Any) -> bool:
    """Whether ``shell`` awaits a cell with a top-level ``await`` on an asyncio loop (``%autoawait``)."""
    runner = getattr(shell, "loop_runner", None)
    # A name, a function or an object whose text is its name, by the version of IPython.
    name = getattr(runner, "__name__", None) or str(runner)
    return bool(getattr(shell, "autoawait", False)) and "asyncio" in name
