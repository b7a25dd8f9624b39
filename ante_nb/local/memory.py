"""Whether a model fits into this machine's memory, and how much context beside it."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.errors import LocalEngineError
from ante_nb.local.options import CONTEXT_CAP

if TYPE_CHECKING:
    from ante_nb.local.gguf import Header

CONTEXT_FLOOR = 2_048
CONTEXT_LEAST = 256  # llama.cpp rounds up to it, and aborts with one token
_BATCH = 512  # tokens per compute batch, llama.cpp's default n_ubatch
_FIXED = 96 << 20  # the server itself, measured 55 MB asleep, and its small buffers


@dataclass(frozen=True, slots=True)
class Plan:
    """The context to start with (tokens) and what that needs (bytes, estimated)."""

    context: int
    need: int
    reduced: bool = False


def estimate(header: Header, context: int, size: int | None = None) -> int:
    """Bytes that weights, an f16 KV cache for ``context`` tokens and the compute buffers take."""
    compute = _BATCH * (header.vocabulary * 4 + header.embedding * 40)
    short = header.window_bytes_per_token * min(context, header.window + _BATCH)
    return (size or header.size) + header.kv_bytes_per_token * context + short + compute + _FIXED


def plan(
    header: Header,
    name: str,
    *,
    wanted: int | None,
    available: int | None,
    size: int | None = None,
    cap: int = CONTEXT_CAP,
) -> Plan:
    """The context to use: what was asked for, else min(trained, ``cap``, what fits).

    Args:
        header: the model's.
        name: how messages call it.
        wanted: tokens that the person asked for.
        available: free memory in bytes, ``None`` where unknown (then nothing is refused).
        size: bytes of all that is loaded, where that is more than the header's file.
        cap: the most context that is taken where none was asked for (tokens).

    Raises:
        LocalEngineError: it cannot fit, or the context is too short for any engine.
    """
    if wanted is not None and wanted < CONTEXT_LEAST:
        raise LocalEngineError(
            f"{name} cannot run with {wanted} tokens of context", f"Ask for {CONTEXT_LEAST} or more."
        )
    trained = header.context_length
    context = wanted or min(trained or cap, cap)
    need = estimate(header, context, size)
    if available is None or need <= available:
        return Plan(context, need)
    least = min(context, CONTEXT_FLOOR)
    if not wanted and estimate(header, least, size) <= available:
        fitting = (
            tokens
            for tokens in range(context // 1024 * 1024, least, -1024)
            if estimate(header, tokens, size) <= available
        )
        context = next(fitting, least)
        return Plan(context, estimate(header, context, size), reduced=True)
    least_need = need if wanted else estimate(header, least, size)
    hint = "Choose a smaller model, close other programs"
    raise LocalEngineError(
        f"{name} needs about {gigabytes(least_need)} of memory with {wanted or least} tokens of context, "
        f"{gigabytes(available)} is free",
        f"{hint}{', ask for less context' if wanted else ''}, or set local.memory_check to false.",
    )


def available_memory() -> int | None:
    """Bytes that a new process can take without swapping, within the container's limit; or ``None``."""
    system = platform.system()
    if system == "Linux":
        limits = [_meminfo(), *map(_cgroup, _cgroups())]
        known = [limit for limit in limits if limit is not None]
        return min(known) if known else None
    if system == "Darwin":
        try:
            done = subprocess.run(["sysctl", "-n", "hw.memsize"], capture_output=True, timeout=10, check=True)
            return int(done.stdout) * 3 // 4  # what macOS lets the GPU wire of unified memory
        except (OSError, subprocess.SubprocessError, ValueError):
            return None
    return _windows() if system == "Windows" else None


def _windows() -> int | None:
    """``ullAvailPhys`` of GlobalMemoryStatusEx."""
    import ctypes
    from typing import Any

    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_uint32), ("load", ctypes.c_uint32)] + [
            (name, ctypes.c_uint64) for name in ("total", "free", "pages", "more", "space", "left", "rest")
        ]

    status = Status()
    status.length = ctypes.sizeof(status)
    library: Any = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    return int(status.free) if library.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def _meminfo() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _cgroups(root: Path = Path("/sys/fs/cgroup")) -> list[Path]:
    """This process's cgroup v2 and those around it: each may have a limit. In a container the first is ``root``."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return [root]
    inside = next((line[3:].strip("/") for line in lines if line.startswith("0::/")), "")
    path = root / inside if ".." not in inside else root
    return [root, *(folder for folder in (path, *path.parents) if root in folder.parents)]


def _cgroup(root: Path) -> int | None:
    """What is left of a container's limit (cgroup v2; page cache that can be dropped counts as free)."""
    try:
        limit = (root / "memory.max").read_text().strip()
        if limit == "max":
            return None
        used = int((root / "memory.current").read_text())
        stats = dict(line.split() for line in (root / "memory.stat").read_text().splitlines())
        return max(int(limit) - used + int(stats.get("inactive_file", 0)), 0)
    except (OSError, ValueError):
        return None


def threads() -> int:
    """Compute threads: the physical cores less one for the kernel, all of one or two.

    More threads than free cores spin at llama.cpp's barriers and slow everything (measured).
    """
    try:
        count = len(os.sched_getaffinity(0))  # type: ignore[attr-defined,unused-ignore]
    except AttributeError:
        count = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = max(1, min(count, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    try:
        if Path("/sys/devices/system/cpu/smt/active").read_text().strip() == "1" and count > 2:
            count //= 2
    except OSError:
        pass
    return count if count <= 2 else count - 1


def gigabytes(size: int) -> str:
    """``1.2 GB`` or ``98 MB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size, 0) / 1e6:.0f} MB"
