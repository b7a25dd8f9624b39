"""The files by which kernels and a shared server know of each other. Standard library only.

In ``ANTE_HOME/run/local`` (0700), for each server ``<id>``::

    <id>.json           0600, written by rename: pid, start, status, url, key, engine, context ...
    <id>.lock           held while somebody looks and starts
    <id>.log            what the engine said
    <id>.clients/       <pid>.<start> of every kernel that uses it, touched at each use;
                        <pid>.<start>.<n>.busy while one of its requests runs
"""

from __future__ import annotations

import itertools
import json
import os
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.local.process import is_same, start_time

if TYPE_CHECKING:
    from collections.abc import Iterator

_numbers = itertools.count(1)


def run_directory(home: Path) -> Path:
    """``home/run/local``, made private.

    Raises:
        PermissionError: it belongs to somebody else, or is no directory of its own.
    """
    directory = home / "run" / "local"
    for path in (home, directory.parent, directory):
        path.mkdir(mode=0o700, exist_ok=True, parents=True)
    info = directory.lstat()
    if not stat.S_ISDIR(info.st_mode) or (hasattr(os, "getuid") and info.st_uid != os.getuid()):
        raise PermissionError(f"{directory} is not a directory of your own")
    if stat.S_IMODE(info.st_mode) != 0o700:
        directory.chmod(0o700)
    return directory


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Puts the state in place in one step; nobody ever reads half of it, or reads it but the owner."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{next(_numbers)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(state, file)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_state(path: Path) -> dict[str, Any] | None:
    """The state, or ``None`` where there is none, it is damaged, or it is not ours alone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, encoding="utf-8") as file:
            info = os.fstat(file.fileno())
            if hasattr(os, "getuid") and (info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) & 0o077):
                return None
            data = json.load(file)
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and isinstance(data.get("pid"), int) else None


def is_alive(state: dict[str, Any] | None) -> bool:
    """Whether the process that the state names still runs."""
    return state is not None and is_same(state.get("pid"), state.get("start"))


class Leases:
    """The ``<id>.clients`` directory, from both sides."""

    def __init__(self, state: Path) -> None:
        self.directory = state.with_suffix(".clients")

    def touch(self) -> None:
        """This process uses the server now."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        (self.directory / f"{os.getpid()}.{start_time(os.getpid())}").touch(mode=0o600)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A request of this process runs: the server must not end meanwhile."""
        mark = self.directory / f"{os.getpid()}.{start_time(os.getpid())}.{next(_numbers)}.busy"
        try:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            mark.touch(mode=0o600)
        except OSError:
            pass  # a full disk costs the mark; the server still asks its slots before it ends
        try:
            yield
        finally:
            try:
                mark.unlink(missing_ok=True)
                self.touch()
            except OSError:
                pass

    def sweep(self) -> tuple[bool, float]:
        """Drops what dead kernels left: whether a request runs, and the time of the last use."""
        busy, last = False, 0.0
        try:
            entries = list(os.scandir(self.directory))
        except OSError:
            return False, 0.0
        for entry in entries:
            parts = entry.name.split(".")
            try:
                last = max(last, min(entry.stat().st_mtime, time.time()))
                if len(parts) < 2 or not parts[0].isdigit() or not is_same(int(parts[0]), parts[1]):
                    Path(entry.path).unlink(missing_ok=True)
                elif parts[-1] == "busy":
                    busy = True
            except OSError:
                continue
        return busy, last
