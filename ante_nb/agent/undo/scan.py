"""The walk of a working directory: what is there, by stat alone, without what .gitignore leaves out."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IFDIR, S_IFLNK, S_IFREG
from typing import TYPE_CHECKING

from ante_nb.agent.tools.ignore import Ignored
from ante_nb.agent.undo.entries import sig_of

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


@dataclass(slots=True)
class Scan:
    """What a walk has found, by path relative to the root; directories end in ``/``.

    ``blind`` are directories that could not be read; ``problem`` says why the walk was given up.
    """

    found: dict[str, Sig] = field(default_factory=dict)
    blind: list[str] = field(default_factory=list)
    problem: str = ""
    started: int = 0
    """Wall clock in ns."""


class Scanner:
    """Walks ``root`` again and again; what .gitignore says of a path is asked once.

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
        self._rule_files: dict[str, tuple[int, int]] | None = None

    def scan(
        self,
        skip: frozenset[str] = frozenset(),
        *,
        frozen: bool = False,
        stop: Callable[[], bool] = lambda: False,
    ) -> Scan:
        """Walk once.

        Args:
            skip: relative paths of files to leave out (the running notebook).
            frozen: keep to the rules of the last walk, whatever .gitignore says now: a turn that changes
                them must not make the person's own files look new.
            stop: asked now and then whether to give up.
        """
        first = self._rule_files is None
        if not frozen and not first and self._rule_files != self._present_rules():
            self._forget()
        scan, rules = self._walk(skip, stop)
        rules |= self._rules_above()
        if not frozen and not scan.problem and rules != self._rule_files:
            if not first:
                # A .gitignore has come or was changed: what was asked of the old ones does not hold.
                self._forget()
                scan, rules = self._walk(skip, stop)
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

    def _present_rules(self) -> dict[str, tuple[int, int]]:
        """The rule files that the last walk knew, as they are now."""
        inside = [name for name in self._rule_files or () if not name.startswith("/")]
        return _present({name: f"{self.root}/{name}" for name in inside}) | self._rules_above()

    def _rules_above(self) -> dict[str, tuple[int, int]]:
        above = [f"{self.root}/.git/info/exclude"]
        for directory in Path(self.root).parents:
            above += [str(directory / ".gitignore"), str(directory / ".git/info/exclude")]
        return _present({name: name for name in above})

    def _walk(
        self, skip: frozenset[str], stop: Callable[[], bool]
    ) -> tuple[Scan, dict[str, tuple[int, int]]]:
        scan = Scan(started=time.time_ns())
        rules: dict[str, tuple[int, int]] = {}
        found, known = scan.found, self._known
        root = self.root + "/"
        end = time.monotonic() + MAX_SECONDS
        queue = deque([""])
        while queue:
            prefix = queue.popleft()
            if len(found) > MAX_ENTRIES:
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
                with os.scandir(directory) as entries:
                    for entry in entries:
                        name = entry.name
                        path = prefix + name
                        if path not in known and self._leave_out(path, entry):
                            if name == ".gitignore":
                                rules[path] = _seen(entry)
                            continue
                        try:
                            info = entry.stat(follow_symlinks=False)
                        except OSError:
                            continue
                        mode = info.st_mode
                        kind = mode & _KIND
                        if kind in (S_IFREG, S_IFLNK):
                            found[path] = (
                                mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino
                            )  # fmt: skip
                            if name == ".gitignore":
                                rules[path] = (info.st_mtime_ns, info.st_size)
                        elif kind == S_IFDIR:
                            found[path + "/"] = sig_of(info)
                            queue.append(path + "/")
            except OSError:
                scan.blind.append(prefix)
            finally:
                os.close(directory)
        for path in skip:
            found.pop(path, None)
        return scan, rules

    def _leave_out(self, path: str, entry: os.DirEntry[str]) -> bool:
        """Whether a path is left out; asked once, then remembered."""
        if path in self._ignored:
            return True
        verdict = self._judge(path, directory=entry.is_dir(follow_symlinks=False))
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


def _present(names: dict[str, str]) -> dict[str, tuple[int, int]]:
    seen = {}
    for name, path in names.items():
        try:
            info = os.lstat(path)
        except OSError:
            continue
        seen[name] = (info.st_mtime_ns, info.st_size)
    return seen


def _seen(entry: os.DirEntry[str]) -> tuple[int, int]:
    try:
        info = entry.stat(follow_symlinks=False)
    except OSError:
        return (0, 0)
    return (info.st_mtime_ns, info.st_size)
