"""The working directory in a recorded turn: kept as a word, so that a recording is good on every machine.

Models like absolute paths. In what a call is given, and in what it gave, the directory that the turn ran in
is written as ``${ANTE_CWD}`` and read as wherever the turn runs now. What the model has said stays byte for
byte: thinking may be signed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_WORD = "${ANTE_CWD}"
_FIELD = "cwd"
"""Names the word, in a recording that has it."""


def hide(recording: dict[str, Any], cwd: Path) -> dict[str, Any]:
    """A recording, as a dictionary, with the word in place of ``cwd``."""
    if cwd == Path(cwd.anchor):
        return recording
    # Not /home/me/work in /home/me/work2, nor in /mnt/home/me/work.
    place = re.compile(r"(?<![\w.\-])" + re.escape(str(cwd)) + r"(?![\w\-]|\.\w)")
    word, number = _WORD, 0
    while word in repr(recording):
        number += 1
        word = f"{_WORD[:-1]}_{number}}}"
    changed = _changed(recording, lambda text: place.sub(lambda _: word, text))
    return changed if changed == recording else {**changed, _FIELD: word}


def show(recording: dict[str, Any], cwd: Path) -> dict[str, Any]:
    """The same with ``cwd`` in place of the word."""
    word = recording.get(_FIELD)
    if not isinstance(word, str) or not word:
        return recording
    return _changed(recording, lambda text: text.replace(word, str(cwd)))


def _changed(recording: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    steps = []
    for step in recording["steps"]:
        message = step["message"]
        parts = [_deep(p, change) if p.get("type") == "tool_call" else p for p in message["parts"]]
        step = {**step, "message": {**message, "parts": parts}}
        if "results" in step:
            step["results"] = _deep(step["results"], change)
        steps.append(step)
    return {**recording, "steps": steps}


def _deep(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _deep(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_deep(item, change) for item in value]
    return value
