"""The files by which kernels and a shared server know of each other. Standard library only.

In ``ANTE_HOME/run/local`` (0700), for each server ``<id>``::

    <id>.json           0600, written by rename: pid, start, status, url, key, engine, context ...
    <id>.lock           held while somebody looks and starts
    <id>.log            what the engine said
    <id>.clients/       <pid>.<start> of every kernel that uses it, touched at each use;
                        <pid>.<start>.<n>.busy while one of its requests runs

Where that directory cannot be written (a full disk, a read-only home), one in ``XDG_RUNTIME_DIR`` or the
system's directory for temporary files takes its place; it is looked into in any case.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ante_nb.local.process import is_same, own

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STOPPED = "stopped"
"""The status of a server that somebody ends on purpose."""
_numbers = itertools.count(1)
_PROBE = 16 << 10  # bytes: a state file and a log
_KEPT = 7 * 86_400.0
"""Seconds that the log of a dead server is kept."""


def run_directory(home: Path) -> Path:
    """``home/run/local``, made private.

    Raises:
        PermissionError: it belongs to somebody else, or is no directory of its own.
        OSError: it cannot be made.
    """
    directory = home / "run" / "local"
    for path in (home, directory.parent, directory):
        path.mkdir(mode=0o700, exist_ok=True, parents=True)
    return _private(directory)


def places(home: Path, env: Mapping[str, str] | None = None) -> list[Path]:
    """The directories where servers of ``home`` may be known; names them, makes none."""
    env = os.environ if env is None else env
    word = hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:16]
    return [home / "run" / "local", _runtime(env) / word]


def writable_directory(home: Path, env: Mapping[str, str] | None = None) -> Path:
    """The first of :func:`places` that can be written, made private.

    Raises:
        OSError: none can; it is the first one's error.
    """
    first: OSError | None = None
    for own_home in (True, False):
        try:
            directory = run_directory(home) if own_home else _fallback(home, env)
            probe = directory / f"probe.{os.getpid()}.{next(_numbers)}.tmp"
            try:
                _try(probe)
            finally:
                probe.unlink(missing_ok=True)
            return directory
        except OSError as error:
            first = first or error
    assert first is not None
    raise first


def _try(probe: Path) -> None:
    """Writes and locks a file, or raises ``OSError``."""
    with probe.open("xb") as file:
        file.write(b"\0" * _PROBE)  # a full disk still makes an empty file
        file.flush()
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a network's file system may know no locks


def _runtime(env: Mapping[str, str]) -> Path:
    given = env.get("XDG_RUNTIME_DIR", "")
    if given and Path(given).is_dir():
        return Path(given) / "ante_nb"
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"ante_nb-{user}"


def _fallback(home: Path, env: Mapping[str, str] | None) -> Path:
    directory = places(home, env)[1]
    for path in (directory.parent, directory):  # the first lies where everybody may make directories
        path.mkdir(mode=0o700, exist_ok=True)
        _private(path)
    return directory


def _private(directory: Path) -> Path:
    info = directory.lstat()
    if not stat.S_ISDIR(info.st_mode) or (hasattr(os, "getuid") and info.st_uid != os.getuid()):
        raise PermissionError(f"{directory} is not a directory of your own")
    if hasattr(os, "getuid") and stat.S_IMODE(info.st_mode) != 0o700:
        directory.chmod(0o700)
    return directory


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Puts the state in place in one step; nobody ever reads half of it, or reads it but the owner."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{next(_numbers)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(state, file)
        for last in (False, True):
            try:
                temporary.replace(path)
                break
            except PermissionError:  # Windows: somebody reads the old one just now
                if last or os.name != "nt":
                    raise
                time.sleep(0.1)
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
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and _sound(data) else None


def _sound(data: dict[str, Any]) -> bool:
    """Whether everything that is relied on is there; a file that a power cut damaged may hold anything."""
    if not (_is(data, "pid", int) and _is(data, "start", str)):
        return False
    child = data.get("child")
    if child is not None and not (isinstance(child, list) and len(child) == 2):
        return False
    if data.get("status") != "ready":
        return True
    # The key is sent to this address.
    return str(data.get("url", "")).startswith("http://127.0.0.1:") and (
        all(_is(data, name, str) for name in ("key", "alias")) and _is(data, "context", int)
    )


def _is(data: dict[str, Any], name: str, kind: type) -> bool:
    return isinstance(data.get(name), kind) and not isinstance(data.get(name), bool)


def is_alive(state: dict[str, Any] | None) -> bool:
    """Whether the process that the state names still runs, and the program that it runs as a child."""
    if state is None or not is_same(state.get("pid"), state.get("start")):
        return False
    child = state.get("child")
    return child is None or is_same(*child)


def all_states(home: Path, env: Mapping[str, str] | None = None) -> list[tuple[Path, dict[str, Any]]]:
    """File and content of every server of ``home`` that runs now."""
    found: list[tuple[Path, dict[str, Any]]] = []
    for directory in places(home, env):
        try:
            paths = sorted(directory.glob("*.json"))
        except OSError:
            continue
        for path in paths:
            state = read_state(path)
            if state is not None and is_alive(state):
                found.append((path, state))
    return found


def tidy(directory: Path, kept: float = _KEPT) -> None:
    """Removes what servers left that died long ago. Locks stay: a new file would be another lock."""
    try:
        old = time.time() - kept
        for path in directory.iterdir():
            if path.suffix not in (".json", ".log", ".clients", ".tmp") or path.lstat().st_mtime > old:
                continue
            if path.suffix != ".tmp" and is_alive(read_state(path.with_suffix(".json"))):
                continue
            if path.suffix == ".clients":
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    except OSError:
        pass


class Use(NamedTuple):
    """Who uses a server: whether a request runs, the time of the last use, how many kernels hold it."""

    busy: bool
    last: float
    kernels: int
    others_busy: bool
    """Whether a request of another process than this one runs."""


class Leases:
    """The ``<id>.clients`` directory, from both sides."""

    def __init__(self, state: Path) -> None:
        self.directory = state.with_suffix(".clients")

    @staticmethod
    def _own() -> str:
        pid, start = own()
        return f"{pid}.{start}"

    def touch(self) -> None:
        """This process uses the server now.

        Raises:
            OSError: the directory cannot be written.
        """
        self.directory.mkdir(mode=0o700, exist_ok=True)
        (self.directory / self._own()).touch(mode=0o600)

    def release(self) -> None:
        """This process does not need the server any more."""
        try:
            (self.directory / self._own()).unlink(missing_ok=True)
        except OSError:
            pass

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A request of this process runs: the server must not end meanwhile."""
        mark = self.directory / f"{self._own()}.{next(_numbers)}.busy"
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

    def sweep(self, *, remove: bool = True) -> Use:
        """Who uses the server now. With ``remove`` what dead kernels left is dropped."""
        busy, last, others, kernels = False, 0.0, False, set[str]()
        try:
            entries = list(os.scandir(self.directory))
        except OSError:
            return Use(False, 0.0, 0, False)
        mine = self._own()
        for entry in entries:
            parts = entry.name.split(".")
            try:
                last = max(last, min(entry.stat().st_mtime, time.time()))
                if len(parts) < 2 or not parts[0].isdigit() or not is_same(int(parts[0]), parts[1]):
                    if remove:
                        Path(entry.path).unlink(missing_ok=True)
                    continue
                kernels.add(".".join(parts[:2]))
                if parts[-1] == "busy":
                    busy = True
                    others = others or not entry.name.startswith(f"{mine}.")
            except OSError:
                continue
        return Use(busy, last, len(kernels), others)
