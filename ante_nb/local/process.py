"""Who a process id belongs to: a number alone may have been given to somebody else since."""

from __future__ import annotations

import functools
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

_PROC = Path("/proc/self/stat").exists()


def start_time(pid: int) -> str | None:
    """A word that changes when ``pid`` is reused, also after a restart of the machine, or ``None`` when no
    such process runs.

    A zombie counts as not running: it holds no memory and answers nothing. Linux: field 22 of
    ``/proc/PID/stat`` (proc(5)) and the boot's id; Windows: the creation time of GetProcessTimes;
    elsewhere ``ps`` tells the same. The word has no dot and no blank in it.
    """
    if _PROC:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            return None
        # The ticks count from the boot, and short-lived machines give out the same numbers each time.
        return None if fields[0] in "ZX" else f"{fields[19]}-{_boot()}"
    return _windows_start_time(pid) if sys.platform == "win32" else _ps_start_time(pid)


@functools.cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return "0"


def _ps_start_time(pid: int) -> str | None:
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


def _windows_start_time(pid: int) -> str | None:
    import ctypes

    library: Any = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    library.OpenProcess.restype = ctypes.c_void_p
    library.OpenProcess.argtypes = [ctypes.c_uint32, ctypes.c_int, ctypes.c_uint32]
    library.GetProcessTimes.argtypes = [ctypes.c_void_p] + [ctypes.POINTER(ctypes.c_uint64)] * 4
    library.WaitForSingleObject.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.CloseHandle.argtypes = [ctypes.c_void_p]
    # PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE
    handle = library.OpenProcess(0x1000 | 0x100000, False, pid)
    if not handle:
        return None
    try:
        if library.WaitForSingleObject(handle, 0) == 0:  # WAIT_OBJECT_0: ended, but somebody holds a handle
            return None
        times = [ctypes.c_uint64() for _ in range(4)]  # a FILETIME is two words, the lower one first
        return str(times[0].value) if library.GetProcessTimes(handle, *map(ctypes.byref, times)) else None
    finally:
        library.CloseHandle(handle)


def own() -> tuple[int, str]:
    """This process as ``(pid, start)``."""
    pid = os.getpid()
    return pid, _own_start(pid)


@functools.cache
def _own_start(pid: int) -> str:  # by pid: a forked child has another
    return start_time(pid) or "0"


@functools.cache
def machine() -> str:
    """A word for where process ids mean something: this machine, and on Linux this container.

    A home directory may be shared between machines and containers; each has servers of its own.
    """
    try:
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 (no path: "pid:[4026531836]")
    except OSError:
        space = ""
    return f"{platform.node()} {space}".strip()


def is_same(pid: object, start: object) -> bool:
    """Whether the process that was ``(pid, start)`` still runs."""
    return isinstance(pid, int) and pid > 0 and start is not None and start_time(pid) == start


def terminate(pid: object, start: object, *, hard: bool = False) -> None:
    """Ends the process ``(pid, start)``, and nobody who got its number since."""
    if isinstance(pid, int) and is_same(pid, start):
        # Windows knows no SIGKILL; there any signal ends the process at once.
        number = getattr(signal, "SIGKILL", signal.SIGTERM) if hard else signal.SIGTERM
        try:
            os.kill(pid, number)
        except OSError:
            pass


def resident(pid: int) -> int | None:
    """Bytes of memory that the process and its children have touched; ``None`` where that is not told."""
    if not _PROC:
        return None
    total, pending, seen = 0, [pid], set[int]()
    page = os.sysconf("SC_PAGE_SIZE")
    while pending:
        number = pending.pop()
        if number in seen:
            continue
        seen.add(number)
        try:
            total += int(Path(f"/proc/{number}/statm").read_text().split()[1]) * page
            for task in Path(f"/proc/{number}/task").iterdir():
                pending += map(int, (task / "children").read_text().split())
        except (OSError, ValueError, IndexError):
            continue
    return total or None


def detached() -> dict[str, Any]:
    """Arguments of ``Popen`` for a process that an interrupt of the kernel does not reach.

    Jupyter interrupts a kernel's whole process group; on Windows it is the console's.
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
