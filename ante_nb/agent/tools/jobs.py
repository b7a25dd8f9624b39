"""Background commands: a directory for each, with what it printed and how it ended."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING

from ante_nb.agent.tools import keeper
from ante_nb.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The exit code appears whole: written beside, then renamed.
_WRAPPER = '"$1" -c "$2"; code=$?; printf "%s\\n" "$code" > "$3/.code" && mv "$3/.code" "$3/exit_code"'

_running: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Job:
    """A background command: ``directory`` holds ``command``, ``output``, ``pid``, ``exit_code``."""

    directory: Path
    pid: int


def start(command: str, *, shell: str, cwd: Path, env: Mapping[str, str], home: Path) -> Job:
    """Start ``command`` in a process group of its own; it ends with this process at the latest.

    Raises:
        ToolError: its directory can't be made or the shell can't be started.
    """
    directory = home / "run" / "jobs" / f"job_{token_hex(6)}"
    try:
        directory.mkdir(parents=True, mode=0o700)
        (directory / "command").write_text(command + "\n", "utf-8")
        with (directory / "output").open("wb") as output:
            child = subprocess.Popen(
                [shell, "-c", _WRAPPER, "job", shell, command, str(directory)],
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (directory / "pid").write_text(f"{child.pid}\n", "utf-8")
    except OSError as error:
        raise ToolError(f"The command could not be started: {error.strerror or error}.") from None
    _running[child.pid] = child
    keeper.keep(child.pid)
    threading.Thread(target=_reap, args=(child,), name=f"ante-job-{child.pid}", daemon=True).start()
    return Job(directory, child.pid)


def _reap(child: subprocess.Popen[bytes]) -> None:
    child.wait()
    _running.pop(child.pid, None)
    keeper.forget(child.pid)


@atexit.register
def end_all() -> None:
    """End every background command that still runs."""
    for pid in list(_running):
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
