"""What kind of front end shows the outputs of this shell."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any


def is_plain(shell: Any) -> bool:
    """Whether outputs go to a terminal that shows text only and cannot update a display."""
    return getattr(shell, "kernel", None) is None or _started_by_console()


@functools.cache
def _started_by_console() -> bool:
    """Whether ``jupyter console`` started this kernel: it prints displays, but never their updates.

    A console says nothing of itself in its requests, so its process is looked at (Linux; elsewhere the
    kernel's answer is shown when a display is finished, as in any front end).
    """
    try:
        line = Path(f"/proc/{os.getppid()}/cmdline").read_bytes()
    except OSError:
        return False
    return b"jupyter-console" in line or b"jupyter_console" in line
