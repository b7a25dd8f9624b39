"""The undo store of one working directory: contents by their hash, the last known state, the records.

One SQLite file below ``ANTE_HOME/undo``: contents of a few KB are read and written faster from it than
from files of their own (https://sqlite.org/fasterthanfs.html), a directory of 10,000 of them costs one
inode, and what a killed process left half written is rolled back by the next one that opens it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ante_nb import paths
from ante_nb.agent.undo.entries import Entry
from ante_nb.agent.undo.owner import Owner
from ante_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

VERSION = 1
KEPT_RECORDS = 40
"""Turns and undos of a directory that are kept; older ones go with the contents that only they need."""

_SCHEMA = """
CREATE TABLE contents (digest TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (path BLOB PRIMARY KEY, entry TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, undoes TEXT,
    title TEXT NOT NULL, owner TEXT NOT NULL, started REAL NOT NULL, state TEXT NOT NULL, facts TEXT NOT NULL
);
CREATE TABLE changes (
    record TEXT NOT NULL, path BLOB NOT NULL, before TEXT, after TEXT, PRIMARY KEY (record, path)
) WITHOUT ROWID;
"""


@dataclass(slots=True)
class Record:
    """A turn, an undo or a redo (``kind``), and what it changed.

    ``state`` is ``open`` while it runs, ``done``, or ``undone``. ``undoes`` is the record that it takes
    back. ``facts``: ``walked`` (the whole directory is known from before), ``skip`` and ``blind`` (paths
    that were not looked at), ``problems`` (what is not covered, for the person).
    """

    id: str
    kind: str
    title: str = ""
    undoes: str | None = None
    owner: Owner = field(default_factory=Owner.here)
    started: float = field(default_factory=time.time)
    state: str = "open"
    facts: dict[str, Any] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A path and its state before and after a record; ``None`` is no file."""

    path: str
    before: Entry | None
    after: Entry | None


class Store:
    """Args:
    directory: where the file lies; made when it is first written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._version = -1
        self._inside = False

    @property
    def path(self) -> Path:
        return self.directory / "undo.sqlite"

    def exists(self) -> bool:
        return self.path.exists()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside of it, or nothing. Other threads and processes wait.

        Raises:
            sqlite3.Error, OSError: the store cannot be used.
        """
        with self._lock:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            self._inside = True
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            finally:
                self._inside = False
            connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and (self._inside or self.path.exists()):
            return self._connection
        self.close()
        paths.ensure(self.directory)
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            # Damaged by a power cut: old undo records are lost, new ones must work.
            logger.warning("the undo store %s is damaged and is begun anew: %s", self.path, error)
            self.path.replace(self.path.with_suffix(".damaged"))
            self._connection = self._connect()
        self._version = -1
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=30, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            # No write-ahead log: its shared memory does not work for home directories on a network.
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise sqlite3.DatabaseError("it was made by another version")
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    # ------------------------------------------------------------------------------- the known state

    def changed_by_others(self) -> bool:
        """Whether another process has written since this was last asked (also true the first time)."""
        with self._lock:
            version = int(self._open().execute("PRAGMA data_version").fetchone()[0])
            changed, self._version = version != self._version, version
            return changed

    def unread(self) -> None:
        """Have the next :meth:`changed_by_others` say yes."""
        self._version = -1

    def entries(self) -> dict[str, Entry]:
        with self._lock:
            rows = self._open().execute("SELECT path, entry FROM entries").fetchall()
        loaded = ((os.fsdecode(path), Entry.load(text)) for path, text in rows)
        return {path: entry for path, entry in loaded if entry is not None}

    def put_entries(self, entries: Iterable[tuple[str, Entry]], gone: Iterable[str]) -> None:
        """Inside a transaction: the new last known state of some paths."""
        connection = self._open()
        connection.executemany("DELETE FROM entries WHERE path = ?", [(os.fsencode(path),) for path in gone])
        connection.executemany(
            "INSERT OR REPLACE INTO entries VALUES (?, ?)",
            [(os.fsencode(path), entry.dump()) for path, entry in entries],
        )

    # ------------------------------------------------------------------------------------- contents

    def put_content(self, digest: str, data: bytes) -> None:
        """Inside a transaction."""
        self._open().execute("INSERT OR IGNORE INTO contents VALUES (?, ?)", (digest, data))

    def content(self, digest: str) -> bytes | None:
        with self._lock:
            row = self._open().execute("SELECT data FROM contents WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else bytes(row[0])

    # -------------------------------------------------------------------------------------- records

    def put_record(self, record: Record) -> None:
        """Inside a transaction: write a record, new or known."""
        self._open().execute(
            "INSERT INTO records (id, kind, undoes, title, owner, started, state, facts)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET state = excluded.state, facts = excluded.facts",
            (
                record.id, record.kind, record.undoes, record.title, record.owner.dump(), record.started,
                record.state, json.dumps(record.facts),
            ),
        )  # fmt: skip

    def records(self) -> list[Record]:
        """All records, newest first."""
        with self._lock:
            rows = (
                self._open()
                .execute(
                    "SELECT id, kind, title, undoes, owner, started, state, facts, number FROM records"
                    " ORDER BY number DESC"
                )
                .fetchall()
            )
        return [
            Record(id_, kind, title, undoes, Owner.load(owner), started, state, json.loads(facts), number)
            for id_, kind, title, undoes, owner, started, state, facts, number in rows
        ]

    def drop_record(self, record: str) -> None:
        """Inside a transaction."""
        self._open().execute("DELETE FROM changes WHERE record = ?", (record,))
        self._open().execute("DELETE FROM records WHERE id = ?", (record,))

    def changes(self, record: str) -> dict[str, Change]:
        with self._lock:
            rows = (
                self._open()
                .execute("SELECT path, before, after FROM changes WHERE record = ?", (record,))
                .fetchall()
            )
        found = [Change(os.fsdecode(path), Entry.load(old), Entry.load(new)) for path, old, new in rows]
        return {change.path: change for change in found}

    def put_change(self, record: str, change: Change, *, keep: bool = False) -> None:
        """Inside a transaction. ``keep`` leaves a change of the path that is already there as it is."""
        before, after = change.before, change.after
        self._open().execute(
            f"INSERT OR {'IGNORE' if keep else 'REPLACE'} INTO changes VALUES (?, ?, ?, ?)",
            (
                record,
                os.fsencode(change.path),
                before.dump() if before else None,
                after.dump() if after else None,
            ),
        )

    def drop_changes(self, record: str, names: Iterable[str]) -> None:
        """Inside a transaction."""
        self._open().executemany(
            "DELETE FROM changes WHERE record = ? AND path = ?",
            [(record, os.fsencode(name)) for name in names],
        )

    def prune(self) -> None:
        """Forget the oldest records and the contents that nothing refers to any more."""
        ended = [record for record in self.records() if record.state != "open" or not record.owner.alive()]
        old = ended[KEPT_RECORDS:]
        if not old:
            return
        with self.transaction() as connection:
            for record in old:
                self.drop_record(record.id)
            # The digest is the last of an entry's six values.
            digest = "json_extract({}, '$[5]')"
            used = " UNION ".join(
                f"SELECT {digest.format(column)} FROM {table} WHERE {digest.format(column)} IS NOT NULL"
                for table, column in (("entries", "entry"), ("changes", "before"), ("changes", "after"))
            )
            connection.execute(f"DELETE FROM contents WHERE digest NOT IN ({used})")
