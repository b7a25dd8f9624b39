"""The walk of a working directory: what is there, by stat alone, without what .gitignore leaves out."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from stat import S_IFDIR, S_IFLNK, S_IFREG
from typing import TYPE_CHECKING, cast

from ante_nb.agent.tools.ignore import Ignored

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.agent.undo.entries import Sig

NEVER = frozenset(
    {
        ".git", ".hg", ".svn", ".ipynb_checkpoints", ".ante",
        # Caches and installed packages: made anew by the programs that own them.
        "__pycache__", "node_modules", ".venv", ".cache", ".mypy_cache", ".pytest_cache", ".ruff_cache",
        ".tox", ".nox",
    }
)  # fmt: skip
"""Directories that are never recorded nor restored."""

MAX_ENTRIES = 100_000
MAX_SECONDS = 10.0
"""A larger working directory (a whole home, a data lake) is not walked to its end."""

_KIND = 0o170000
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GRAIN = 2_000_000_000
"""A directory changed less than 2 s before it was listed may change again within the clock's grain."""
# In C, and so at a fraction of what five attributes cost in Python; the order is that of Sig.
_sig = cast(
    "Callable[[os.stat_result], Sig]",
    attrgetter("st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino"),
)


@dataclass(slots=True, eq=False)
class Folder:
    """One directory as it was listed. The same object stands for it for as long as nothing in it changes.

    ``entries`` are what is recorded, by name; names of directories end in ``/``. ``stamp`` knows the
    directory again (0 where it is too young for that), ``names`` is the listing, ignored ones included,
    ``kept`` those of it that are recorded, ``raw`` their stats in that order.
    """

    stamp: tuple[int, int, int]
    names: list[str]
    kept: list[str]
    raw: list[Sig]
    entries: dict[str, Sig]


@dataclass(slots=True)
class Scan:
    """What a walk has found, by directory: the path relative to the root, ending in ``/`` (the root is "").

    ``blind`` are directories that could not be read; ``problem`` says why the walk was given up.
    """

    folders: dict[str, Folder] = field(default_factory=dict)
    blind: list[str] = field(default_factory=list)
    problem: str = ""
    started: int = 0
    """Wall clock in ns."""


class Scanner:
    """Walks ``root`` again and again; what .gitignore says of a path is asked once.

    A walk costs little more than one ``stat`` per recorded file: a directory that lists the same names is
    neither judged nor taken apart again, and its files are compared as one list.

    Args:
        root: an absolute path without links.
        outside: absolute paths below it that are never entered (the data directory).
    """

    def __init__(self, root: str, outside: frozenset[str] = frozenset()) -> None:
        self.root = root
        self._outside = outside
        self._known: set[str] = set()
        self._ignored: set[str] = set()
        self._rules: dict[str, Ignored] = {}
        self._folders: dict[str, Folder] = {}
        self._rule_files: dict[str, tuple[int, ...]] | None = None

    def scan(self, *, frozen: bool = False, stop: Callable[[], bool] = lambda: False) -> Scan:
        """Walk once.

        Args:
            frozen: keep to the rules of the last walk, whatever .gitignore says now: a turn that changes
                them must not make the person's own files look new.
            stop: asked now and then whether to give up.
        """
        first = self._rule_files is None
        if not frozen and not first and self._rule_files != self._present_rules():
            self._forget()
        scan, rules = self._walk(stop)
        rules |= self._rules_above()
        if not frozen and not scan.problem and rules != self._rule_files:
            if not first:
                # A .gitignore has come or was changed: what was asked of the old ones does not hold.
                self._forget()
                scan, rules = self._walk(stop)
                rules |= self._rules_above()
            self._rule_files = rules
        return scan

    def excluded(self, relative: str) -> bool:
        """Whether a path below the root is never recorded."""
        parts = relative.split("/")
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            directory = end < len(parts)
            if directory and parts[end - 1] in NEVER:
                return True
            if self._judge(path, directory=directory):
                return True
        return False

    def _forget(self) -> None:
        self._known.clear()
        self._ignored.clear()
        self._rules.clear()
        self._folders.clear()

    def _present_rules(self) -> dict[str, tuple[int, ...]]:
        """The rule files that the last walk knew, as they are now."""
        inside = [name for name in self._rule_files or () if not name.startswith("/")]
        return _present({name: f"{self.root}/{name}" for name in inside}) | self._rules_above()

    def _rules_above(self) -> dict[str, tuple[int, ...]]:
        above = [f"{self.root}/.git/info/exclude"]
        for directory in Path(self.root).parents:
            above += [str(directory / ".gitignore"), str(directory / ".git/info/exclude")]
        return _present({name: name for name in above})

    def _walk(self, stop: Callable[[], bool]) -> tuple[Scan, dict[str, tuple[int, ...]]]:
        scan = Scan(started=time.time_ns())
        rules: dict[str, tuple[int, ...]] = {}
        root = self.root + "/"
        end = time.monotonic() + MAX_SECONDS
        count = 0
        queue = deque([""])
        while queue:
            prefix = queue.popleft()
            if count > MAX_ENTRIES:
                scan.problem = f"the working directory holds more than {MAX_ENTRIES:,} files"
                break
            if time.monotonic() > end:
                scan.problem = f"walking the working directory takes longer than {MAX_SECONDS:g} s"
                break
            if stop():
                scan.problem = "it was interrupted"
                break
            try:
                # By descriptor, so that the system need not follow the whole path for every file.
                directory = os.open(root + prefix, _OPEN)
            except OSError:
                scan.blind.append(prefix)
                continue
            try:
                folder = self._again(prefix, directory) or self._list(prefix, directory)
                if ".gitignore" in folder.names:
                    rules |= _present({prefix + ".gitignore": f"{root}{prefix}.gitignore"})
            except OSError:
                scan.blind.append(prefix)
                continue
            finally:
                os.close(directory)
            self._folders[prefix] = scan.folders[prefix] = folder
            count += len(folder.entries)
            queue.extend([prefix + name for name in folder.entries if name[-1] == "/"])
        if not scan.problem:
            self._folders = dict(scan.folders)
        return scan, rules

    def _again(self, prefix: str, directory: int) -> Folder | None:
        """A directory that lists the names that it listed the last time; the object of then if it is all
        the same."""
        old = self._folders.get(prefix)
        if old is None or old.stamp != _stamp(directory) or old.names != os.listdir(directory):
            return None
        stat = os.stat
        try:
            raw = [_sig(stat(name, dir_fd=directory, follow_symlinks=False)) for name in old.kept]
        except OSError:
            return None
        if raw == old.raw:
            return old
        if any((new[0] ^ was[0]) & _KIND for new, was in zip(raw, old.raw, strict=True)):
            return None
        return Folder(old.stamp, old.names, old.kept, raw, _entries(old.kept, raw))

    def _list(self, prefix: str, directory: int) -> Folder:
        known = self._known
        stamp, started = _stamp(directory), time.time_ns()
        names, kept, raw = [], [], []
        with os.scandir(directory) as entries:
            for entry in entries:
                name = entry.name
                names.append(name)
                path = prefix + name
                if entry.is_dir(follow_symlinks=False):
                    path += "/"
                if path not in known and self._leave_out(path):
                    continue
                try:
                    info = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if info.st_mode & _KIND in (S_IFREG, S_IFLNK, S_IFDIR):
                    kept.append(name)
                    raw.append(_sig(info))
        if max(stamp[:2]) > started - _GRAIN:
            stamp = (0, 0, 0)
        return Folder(stamp, names, kept, raw, _entries(kept, raw))

    def _leave_out(self, path: str) -> bool:
        """Whether a path (ending in ``/`` if a directory) is left out; asked once, then remembered."""
        if path in self._ignored:
            return True
        verdict = self._judge(path.rstrip("/"), directory=path.endswith("/"))
        (self._ignored if verdict else self._known).add(path)
        return verdict

    def _judge(self, path: str, *, directory: bool) -> bool:
        absolute = f"{self.root}/{path}"
        if absolute in self._outside:
            return True
        if directory and (
            path.rpartition("/")[2] in NEVER
            or Path(absolute, "pyvenv.cfg").is_file()  # a virtual environment
        ):
            return True
        return self._rules_in(path.rpartition("/")[0]).matches(absolute, directory=directory)

    def _rules_in(self, directory: str) -> Ignored:
        rules = self._rules.get(directory)
        if rules is None:
            if directory:
                outer = self._rules_in(directory.rpartition("/")[0])
                rules = outer.within(f"{self.root}/{directory}")
            else:
                rules = Ignored.above(Path(self.root)).within(self.root)
            self._rules[directory] = rules
        return rules


def _present(names: dict[str, str]) -> dict[str, tuple[int, ...]]:
    seen: dict[str, tuple[int, ...]] = {}
    for name, path in names.items():
        try:
            info = os.lstat(path)
        except OSError:
            continue
        seen[name] = (info.st_mtime_ns, info.st_ctime_ns, info.st_size)
    return seen


def _stamp(directory: int) -> tuple[int, int, int]:
    info = os.fstat(directory)
    return (info.st_mtime_ns, info.st_ctime_ns, info.st_ino)


def _entries(kept: list[str], raw: list[Sig]) -> dict[str, Sig]:
    # Size and times of a directory follow from what is in it.
    return {
        (name + "/" if sig[0] & _KIND == S_IFDIR else name): (
            (sig[0], 0, 0, 0, 0) if sig[0] & _KIND == S_IFDIR else sig
        )
        for name, sig in zip(kept, raw, strict=True)
    }
