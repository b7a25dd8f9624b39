"""Who a process id belongs to: a number alone may have been given to somebody else since."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

_PROC = Path("/proc/self/stat").exists()


def start_time(pid: int) -> str | None:
    """A word that changes when ``pid`` is reused, or ``None`` when no such process runs.

    A zombie counts as not running: it holds no memory and answers nothing. Linux: field 22 of
    ``/proc/PID/stat`` (proc(5)); elsewhere ``ps`` tells the same.
    """
    if _PROC:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    try:
        done = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    state, _, started = done.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else re.sub(r"\W+", "_", started.strip())


def is_same(pid: object, start: object) -> bool:
    """Whether the process that was ``(pid, start)`` still runs."""
    return isinstance(pid, int) and pid > 0 and start is not None and start_time(pid) == start


def terminate(pid: object, start: object, *, hard: bool = False) -> None:
    """Ends the process ``(pid, start)``, and nobody who got its number since."""
    if isinstance(pid, int) and is_same(pid, start):
        try:
            os.kill(pid, signal.SIGKILL if hard else signal.SIGTERM)
        except OSError:
            pass
