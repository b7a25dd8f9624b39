"""The files of one working directory: known before a record, compared after it, put back on request."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING

from ante_nb import paths
from ante_nb.agent.undo.entries import UNSURE, Entry, read, same
from ante_nb.agent.undo.scan import Scanner
from ante_nb.agent.undo.store import Change, Record, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ante_nb.agent.undo.entries import Sig
    from ante_nb.agent.undo.scan import Folder, Scan

FILE_CAP = 4 * 1024 * 1024
"""Bytes of a file that is kept because some command may change it."""
NAMED_CAP = 64 * 1024 * 1024
"""Bytes of a file that is kept because Write or Edit is about to change it."""
TOTAL_CAP = 512 * 1024 * 1024
"""Bytes that are kept of a working directory, smaller files first."""
COPY_SECONDS = 20.0
"""Time for keeping the files of a directory that was never seen before."""
_RACE = 2_000_000_000
"""A file changed less than 2 s before it was looked at may change again within the clock's grain
(FAT counts in 2 s), so it is read again the next time."""


class Workspace:
    """Args:
    root: the working directory.
    home: the data directory; ``None`` for ``ANTE_HOME``.
    """

    def __init__(self, root: Path, home: Path | None = None) -> None:
        self.root = os.path.realpath(root)
        base = paths.undo(home)
        self.store = Store(base / hashlib.sha256(os.fsencode(self.root)).hexdigest()[:20])
        self.scanner = Scanner(self.root, frozenset({os.path.realpath(home or paths.home())}))
        self._sigs: dict[str, dict[str, Sig]] = {}
        """The known state, by directory as the walk has it, then by name."""
        self._digests: dict[str, str | None] = {}
        self._agree: dict[str, Folder] = {}
        """What the walk found where it is the known state, so that an unchanged directory is one look."""
        self._bytes = 0
        self._lock = threading.RLock()

    # ---------------------------------------------------------------------------------- the known state

    def known(self, path: str) -> Entry | None:
        directory, name = _split(path)
        sig = self._sigs.get(directory, {}).get(name)
        return None if sig is None else Entry(sig, self._digests[path])

    def _learn(self, path: str, entry: Entry | None) -> None:
        directory, name = _split(path)
        self._agree.pop(directory, None)
        if entry is None:
            del self._sigs[directory][name], self._digests[path]
            if not self._sigs[directory]:
                del self._sigs[directory]
            return
        self._sigs.setdefault(directory, {})[name] = entry.sig
        self._digests[path] = entry.digest

    def _load(self) -> None:
        """What another process may have learned since."""
        if not self.store.changed_by_others():
            return
        self._clear()
        for path, entry in self.store.entries().items():
            self._learn(path, entry)
            self._bytes += entry.size if entry.digest else 0

    def _clear(self) -> None:
        self._sigs.clear()
        self._digests.clear()
        self._agree.clear()
        self._bytes = 0

    def _different(self, scan: Scan, skip: frozenset[str]) -> tuple[list[tuple[str, Sig]], list[str]]:
        """Paths that are not as they were known, and those that are gone; ``skip`` are not looked at."""
        changed: list[tuple[str, Sig]] = []
        gone: list[str] = []
        agree = self._agree
        for directory, folder in scan.folders.items():
            if agree.get(directory) is folder:
                continue
            known, found = self._sigs.get(directory, {}), folder.entries
            if known == found:
                agree[directory] = folder
                continue
            agree.pop(directory, None)
            changed += [(directory + name, sig) for name, sig in found.items() if known.get(name) != sig]
            gone += [directory + name for name in known.keys() - found.keys()]
        for directory in self._sigs.keys() - scan.folders.keys():
            agree.pop(directory, None)
            gone += [directory + name for name in self._sigs[directory]]
        return (
            [(path, sig) for path, sig in changed if path not in skip],
            [path for path in gone if path not in skip and not _below(path, scan.blind)],
        )

    def _look(self, path: str, sig: Sig, started: int, *, keep: bool) -> tuple[Entry, bytes | None]:
        """The present entry of a path that differs, read where it may be kept."""
        if path.endswith("/"):
            return Entry(sig), None
        entry, data = read(f"{self.root}/{path}", FILE_CAP if keep else 0)
        if entry is None:
            return Entry((*sig[:2], UNSURE, *sig[3:])), None
        if max(entry.sig[2:4]) > started - _RACE and entry.digest is not None:
            entry = Entry((*entry.sig[:2], UNSURE, *entry.sig[3:]), entry.digest)
        return entry, data

    def _absorb(
        self,
        changed: list[tuple[str, Sig]],
        gone: list[str],
        started: int,
        note: Callable[[str, Entry | None, Entry | None], None],
        stop: Callable[[], bool] = lambda: False,
    ) -> int:
        """Inside a transaction: take the differences over as the known state, bytes kept where they fit.

        ``note`` is told each path with its state before and now. Returns how many files were not kept
        for want of time or room.
        """
        end = time.monotonic() + COPY_SECONDS
        left = 0
        entries = []
        changed.sort(key=lambda item: item[1][1])
        for path, sig in changed:
            old = self.known(path)
            freed = old.size if old is not None and old.digest else 0
            fits = self._bytes - freed + sig[1] <= TOTAL_CAP and time.monotonic() < end and not stop()
            entry, data = self._look(path, sig, started, keep=fits)
            left += not fits and not path.endswith("/")
            if data is not None and entry.digest is not None:
                if old is None or old.digest != entry.digest:
                    self.store.put_content(entry.digest, data)
                self._bytes += len(data) - freed
            else:
                self._bytes -= freed
            entries.append((path, entry))
            note(path, old, entry)
            self._learn(path, entry)
        for path in gone:
            old = self.known(path)
            note(path, old, None)
            if old is not None and old.digest:
                self._bytes -= old.size
            self._learn(path, None)
        self.store.put_entries(entries, gone)
        return left

    # ------------------------------------------------------------------------------------------ records

    def begin(
        self, record: Record, skip: frozenset[str] = frozenset(), stop: Callable[[], bool] = lambda: False
    ) -> None:
        """Learn the whole directory as it is now; every later difference is the record's.

        Raises:
            sqlite3.Error, OSError: the store cannot be used.
        """
        with self._lock, self.store.transaction():
            self._load()
            scan = self.scanner.scan(stop=stop)
            if scan.problem:
                record.facts.setdefault("problems", []).append(
                    f"{scan.problem}, so only what Write and Edit change is recorded"
                )
                self.store.put_record(record)
                return
            changed, gone = self._different(scan, skip)
            try:
                left = self._absorb(changed, gone, scan.started, self._passer(record, changed), stop)
            except BaseException:
                self._forget()
                raise
            if left:
                record.facts.setdefault("problems", []).append(
                    f"{left:,} files of the working directory could not be kept for want of time or room"
                )
            record.facts["walked"] = True
            record.facts["skip"] = sorted(skip)
            record.facts["blind"] = scan.blind
            self.store.put_record(record)

    def save(self, record: Record, path: str) -> None:
        """Keep one file that is about to be changed.

        Args:
            record: the turn.
            path: absolute, without links.
        """
        name = self.name_of(path)
        if name is None:
            return
        with self._lock, self.store.transaction():
            self.store.put_record(record)
            known = self.store.changes(record.id)
            if name in known or (record.facts.get("walked") and not name.startswith("/")):
                return
            entry, data = read(path, NAMED_CAP)
            if data is not None and entry is not None and entry.digest is not None:
                self.store.put_content(entry.digest, data)
            self.store.put_change(record.id, Change(name, entry, None))
            if not name.startswith("/"):
                # Directories that the tool will make for it.
                parent = name.rpartition("/")[0]
                while parent and not os.path.lexists(f"{self.root}/{parent}"):
                    self.store.put_change(record.id, Change(parent + "/", None, None), keep=True)
                    parent = parent.rpartition("/")[0]

    def name_of(self, path: str) -> str | None:
        """A path as records have it: relative to the root, absolute outside; ``None`` if never recorded."""
        prefix = self.root.rstrip("/") + "/"
        if not path.startswith(prefix):
            return path
        name = path[len(prefix) :]
        return None if self.scanner.excluded(name) else name

    def absolute(self, name: str) -> str:
        return name if name.startswith("/") else f"{self.root.rstrip('/')}/{name}".rstrip("/")

    def finish(self, record: Record, skip: frozenset[str], *, late: bool = False) -> list[Change]:
        """Compare, and close the record; one without changes is dropped.

        ``late`` where the turn itself could not do it (it was killed or interrupted).
        """
        with self._lock, self.store.transaction():
            self._load()
            changes = self.store.changes(record.id)
            if record.facts.get("walked"):
                self._compare(record, changes, skip | frozenset(record.facts.get("skip", ())), late)
            real = []
            for change in changes.values():
                after = self.state(change.path, change.before)
                if same(change.before, after):
                    continue
                real.append(Change(change.path, change.before, after))
            self.store.drop_changes(record.id, changes.keys() - {change.path for change in real})
            for change in real:
                self.store.put_change(record.id, change)
            record.state = "done"
            if real or record.facts.get("variables"):
                self.store.put_record(record)
            else:
                self.store.drop_record(record.id)
            return sorted(real, key=lambda change: change.path)

    def _compare(self, record: Record, changes: dict[str, Change], skip: frozenset[str], late: bool) -> None:
        scan = self.scanner.scan(frozen=not late)
        if scan.problem:
            record.facts.setdefault("problems", []).append(f"{scan.problem}, so not all changes are known")
            return
        scan.blind += record.facts.get("blind", [])
        changed, gone = self._different(scan, skip)
        changed = [(path, sig) for path, sig in changed if not _below(path, scan.blind)]
        # In another process the rules may have changed since: what they hid before is not new.
        unsure = late and any(_rules(path) for path in (*gone, *(path for path, _ in changed)))
        pass_on = self._passer(record, changed)

        def note(path: str, before: Entry | None, now: Entry | None) -> None:
            pass_on(path, before, now)
            if before is None and unsure:
                return
            if path not in changes and not same(before, now):
                changes[path] = Change(path, before, now)

        try:
            self._absorb(changed, gone, scan.started, note)
        except BaseException:
            self._forget()
            raise

    def _passer(
        self, record: Record, changed: list[tuple[str, Sig]]
    ) -> Callable[[str, Entry | None, Entry | None], None]:
        """Has the open records of other kernels keep the state that they began with."""
        others = [
            other.id
            for other in self.store.records()
            if other.state == "open" and other.id != record.id and other.facts.get("walked")
        ]
        # They may have other rules in mind: what is new under changed rules may be old to them.
        rules = any(_rules(path) for path, _ in changed)

        def pass_on(path: str, before: Entry | None, now: Entry | None) -> None:
            if same(before, now) or (before is None and rules):
                return
            for other in others:
                self.store.put_change(other, Change(path, before, None), keep=True)

        return pass_on

    def _forget(self) -> None:
        """The transaction is rolled back: what was learned in it is not in the store."""
        self._clear()
        self.store.unread()

    def state(self, name: str, like: Entry | None) -> Entry | None:
        """Inside a transaction: what is at a path now; kept, so that an undo can be taken back."""
        path = self.absolute(name)
        large = like is not None and like.digest is not None and like.size > FILE_CAP
        entry, data = read(path, NAMED_CAP if large else FILE_CAP)
        if entry is not None and entry.is_directory != name.endswith("/"):
            return None
        if data is not None and entry is not None and entry.digest is not None:
            self.store.put_content(entry.digest, data)
        return entry


def _split(path: str) -> tuple[str, str]:
    """The directory of a path and its name, each ending in ``/`` where it is a directory; the root is ""."""
    cut = path.rfind("/", 0, -1) + 1
    return path[:cut], path[cut:]


def _below(path: str, directories: Iterable[str]) -> bool:
    return any(path.startswith(directory) for directory in directories)


def _rules(path: str) -> bool:
    return path.rpartition("/")[2] == ".gitignore"
