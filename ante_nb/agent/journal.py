"""The append-only record of a session: ``<home>/sessions/<id>/events.jsonl`` and ``meta.json``.

One JSON object a line, written and flushed when it happens, so that after a ``kill -9`` at most the
running step is missing. Everything passes the redactor. A home that cannot be written costs the
record, never the turn.
"""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ante_nb import paths
from ante_nb.log import logger
from ante_nb.redact import redact_value

VERSION = 1


def now() -> str:
    """The time as RFC 3339 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Journal:
    """The files of one session; nothing is made before the first record.

    Args:
        session_id: ``ses_`` and a ULID, the name of the directory.
        home: the data directory; ``None`` for ``ANTE_HOME``.
    """

    def __init__(self, session_id: str, home: Path | None = None) -> None:
        self.directory = paths.sessions(home) / session_id
        self._session_id = session_id
        self._descriptor: int | None = None
        self.problem: str | None = None
        """Why the session is not recorded, where it is not."""

    @property
    def path(self) -> Path:
        return self.directory / "events.jsonl"

    def append(self, kind: str, **payload: Any) -> None:
        """Write one event as one line, in one write call."""
        if self.problem:
            return
        record = {"time": now(), "type": kind, **redact_value(payload)}
        line = (
            json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
            + b"\n"
        )
        try:
            if self._descriptor is None:
                self._open()
            assert self._descriptor is not None
            os.write(self._descriptor, line)
        except OSError as error:
            self.problem = f"this session is not recorded: {error.strerror or error} ({self.directory})"
            logger.warning("%s", self.problem)

    def _open(self) -> None:
        paths.ensure(self.directory)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._descriptor).st_size
        if size == 0:
            head = {"time": now(), "type": "session", "v": VERSION, "id": self._session_id}
            os.write(self._descriptor, json.dumps(head, separators=(",", ":")).encode() + b"\n")
        elif os.pread(self._descriptor, 1, size - 1) != b"\n":
            # A process that was killed in the middle of a line left it open.
            os.write(self._descriptor, b"\n")

    def sync(self) -> None:
        """Have what was written survive a power cut."""
        if self._descriptor is not None and not self.problem:
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                logger.warning("the session journal could not be flushed: %s", error)

    def write_meta(self, meta: dict[str, Any]) -> None:
        """Replace ``meta.json``, atomically."""
        if self.problem:
            return
        try:
            paths.ensure(self.directory)
            descriptor, name = tempfile.mkstemp(dir=self.directory, prefix="meta.", suffix=".tmp")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(redact_value(meta), file, ensure_ascii=False, indent=1)
            Path(name).replace(self.directory / "meta.json")
        except OSError as error:
            logger.warning("the session's meta.json could not be written: %s", error)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
