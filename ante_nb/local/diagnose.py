"""Why a server process ended, in one line for the person."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ante_nb.errors import LocalEngineError
from ante_nb.local import engine as engines

if TYPE_CHECKING:
    from pathlib import Path

_TAIL = 16 << 10
_TELLING = re.compile(
    r"error|fail|abort|assert|exception|cannot|could not|unknown|invalid|not found|missing", re.I
)
_IMPORT = re.compile(r"cannot import (xllamacpp|llama_cpp): (.*)")  # written by server_engines
_NOISE = re.compile(r"^(\s*(File|\^|~)|Traceback|\s+\S.*\(\)$)|^(srv|main|common\w*)\s*:?.*exiting", re.I)
_PREFIX = re.compile(r"^(\d+\.\d+\.\d+\.\d+\s+)?[EWI]\s+")


def explain(code: int | None, log: Path, name: str, engine: str) -> LocalEngineError:
    """The error for an engine that ended while it should load ``name``.

    Args:
        code: exit code as of ``subprocess`` (negative: a signal), ``None`` where another process
            started it.
        log: its log file.
        name: the model.
        engine: how messages call the engine.
    """
    said = telling_line(log)
    unimported = _IMPORT.match(said)
    if unimported:
        return engines.broken(unimported[1], unimported[2])
    number = (
        -code if code is not None and code < 0 else code - 128 if code is not None and code > 128 else None
    )
    because = f": {said}" if said else ""
    if number == 9:
        return LocalEngineError(
            f"{engine} was killed while it loaded {name}, most likely for want of memory",
            "Choose a smaller model, or less context (local.context).",
        )
    if number == 4:
        return LocalEngineError(
            f"{engine} uses instructions that this processor does not have",
            "Install llama-server, or build it here: pip install 'llama-cpp-python[server]'",
        )
    if number in (6, 7, 8, 11):
        return LocalEngineError(
            f"{engine} crashed while it loaded {name}{because}",
            "The model file is probably damaged or too new for this engine: download it again, or update the engine.",
        )
    return LocalEngineError(f"{engine} could not load {name}{because}", f"Its log: {log}")


def telling_line(log: Path) -> str:
    """The last line of the log that speaks of an error, else its last line; without control characters."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    lines = [
        "".join(char for char in _PREFIX.sub("", line) if char.isprintable()).strip()
        for line in text.splitlines()
        if not _NOISE.search(line)
    ]
    lines = [line for line in lines if line]
    telling = [line for line in lines if _TELLING.search(line)]
    return (telling or lines or [""])[-1][:300]
