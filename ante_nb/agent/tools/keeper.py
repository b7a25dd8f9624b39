"""Ends the commands of this process when it is gone, however it ended.

A kernel can be killed, or told to end while it hears nothing; nothing of its own runs then. So a small shell
beside it reads from a pipe which groups of processes there are. When nobody holds the other end any more, it
ends those that are left.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import threading

# Only what every POSIX shell has built in, `sleep` apart.
_SCRIPT = """
kept=' '
while read -r sign group; do
  case "$sign$kept" in
    +*) kept="$kept$group " ;;
    -*" $group "*) kept="${kept%% $group *} ${kept#* $group }" ;;
  esac
done
[ "${kept#"${kept%%[! ]*}"}" ] || exit 0
for group in $kept; do kill -s TERM -- "-$group"; done
sleep 0.3
for group in $kept; do kill -s KILL -- "-$group"; done
"""

_lock = threading.Lock()
_groups: set[int] = set()
_shell: subprocess.Popen[bytes] | None = None


def keep(group: int) -> None:
    """End the process group ``group`` when this process ends, unless :func:`forget` comes first."""
    with _lock:
        _groups.add(group)
        _tell(f"+ {group}\n")


def forget(group: int) -> None:
    """The process group ``group`` has ended; its number may be another's from now on."""
    with _lock:
        if group in _groups:
            _groups.discard(group)
            _tell(f"- {group}\n")


def _tell(line: str) -> None:
    global _shell
    if _shell is not None and _written(_shell, line):
        return
    if _shell is not None:  # somebody has killed it
        _close(_shell)
        _shell = None
    if not _groups:
        return
    try:
        _shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT],
            bufsize=0,
            cwd="/",
            # Anybody of the same user can read a process's environment: no credentials there.
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Not in the kernel's group, which Jupyter kills as a whole.
            start_new_session=True,
        )
    except OSError:  # commands run without it, too
        return
    _written(_shell, "".join(f"+ {group}\n" for group in _groups))


def _written(shell: subprocess.Popen[bytes], line: str) -> bool:
    assert shell.stdin is not None
    try:
        shell.stdin.write(line.encode())
    except (OSError, ValueError):
        return False
    return True


def _close(shell: subprocess.Popen[bytes]) -> None:
    assert shell.stdin is not None
    with contextlib.suppress(OSError):
        shell.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        shell.wait(2)


@atexit.register
def _at_exit() -> None:
    global _shell
    shell, _shell = _shell, None
    if shell is not None:
        _close(shell)


def _forget_after_fork() -> None:
    """A forked process holds no end of the pipe, and its end is not the end of the commands."""
    global _lock, _shell
    _lock = threading.Lock()
    _groups.clear()
    shell, _shell = _shell, None
    if shell is not None and shell.stdin is not None:
        shell.stdin.close()
        shell.returncode = 0  # nobody's child here, so there is nothing to wait for


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
