"""The append-only record of a session: ``<home>/sessions/<id>/events.jsonl`` and ``meta.json``.

One JSON object a line, written and flushed when it happens, so that after a ``kill -9`` at most the
running step is missing. Everything passes the redactor. A home that cannot be written costs the
record, never the turn: what could not be written is kept, and written as soon as it can be.

One process at a time writes to a session; ``lock`` beside the record says that one does.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb import paths
from ante_nb.log import logger
from ante_nb.redact import redact, redact_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VERSION = 1
"""Of ``events.jsonl`` and ``meta.json``. A reader refuses a later one, and ignores kinds of events that it
does not know."""

KEPT_BYTES = 16 * 1024 * 1024
"""What is kept of a record that cannot be written at the moment; beyond that it is given up."""

_PATIENCE = 0.2
"""Seconds to wait for the lock of a session."""
_OPAQUE = 200
"""Characters from which a value of a vendor's own, or an image, is left as it is by the redactor."""


def now() -> str:
    """The time as RFC 3339 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _clean(value: Any, key: str = "") -> Any:
    """``value`` redacted. A long base64 text of a vendor's own or of an image may look like a key
    somewhere in the middle, and is worth nothing with a hole in it."""
    if isinstance(value, str):
        opaque = (
            key in ("data", "signature", "encrypted_content", "thoughtSignature") and len(value) > _OPAQUE
        )
        return value if opaque and " " not in value else redact(value)
    if isinstance(value, dict):
        return {name: _clean(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(_clean(record), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass") + b"\n"


class Journal:
    """The files of one session; nothing is made before the first record.

    Args:
        session_id: ``ses_`` and a ULID, the name of the directory.
        home: the data directory; ``None`` for ``ANTE_HOME``.
        opening: gives the records (``(kind, payload)``) that a new file begins with: what a session
            holds that was made from another one, or whose file is gone.
        opened: called when the files have just been opened for writing.
    """

    def __init__(
        self,
        session_id: str,
        home: Path | None = None,
        opening: Callable[[], Iterable[tuple[str, dict[str, Any]]]] = tuple,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        self.directory = paths.sessions(home) / session_id
        self._session_id = session_id
        self._opening = opening
        self._opened = opened
        self._descriptor: int | None = None
        self._lock: Any = None
        self._pid = os.getpid()
        self._waiting: list[bytes] = []
        self._given_up = False
        self.problem: str | None = None
        """Why the session is not recorded, where it is not."""
        self.tell: Callable[[str], None] = lambda text: None
        """Called with a line for the person when the record breaks off, and when it goes on."""

    @property
    def path(self) -> Path:
        return self.directory / "events.jsonl"

    # ------------------------------------------------------------------------------------------ the lock

    def lock(self) -> bool:
        """Take the session for this process; False where another one has it.

        Where locks do not work (some network file systems) or nothing can be written, nobody has it.
        """
        if self._lock is not None:
            return True
        from filelock import FileLock, Timeout

        # Not per thread: the agent's thread takes it, any thread may give it back.
        lock = FileLock(self.directory / "lock", timeout=0, mode=0o600, thread_local=False)
        try:
            # A list of sessions looks for a moment whether somebody has it; that is nobody who has it.
            lock.acquire(timeout=_PATIENCE, poll_interval=0.01)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            logger.warning("the session cannot be locked: %s", error)
            return True
        self._lock = lock
        return True

    @property
    def locked(self) -> bool:
        """Whether this process has the session."""
        return self._lock is not None

    # -------------------------------------------------------------------------------------------- writing

    def append(self, kind: str, **payload: Any) -> None:
        """Write one event as one line, in one write call."""
        if self._given_up:
            return
        if os.getpid() != self._pid:
            self._leave()
            return
        self._waiting.append(_line({"time": now(), "type": kind, **payload}))
        try:
            self._write()
        except OSError as error:
            self._broken(f"{error.strerror or error}")
        else:
            if self.problem:
                self.problem = None
                self.tell("this session is recorded again, with what was missing")

    def flush(self) -> bool:
        """Write what could not be written before; whether nothing is missing now."""
        if self._waiting and not self._given_up and os.getpid() == self._pid:
            try:
                self._write()
            except OSError as error:
                logger.warning("%s: still not recorded: %s", self._session_id, error)
                return False
            self.problem = None
        return not self._waiting

    def _write(self) -> None:
        if self._descriptor is not None and os.fstat(self._descriptor).st_nlink == 0:
            # Somebody deleted the file: what is written into it is lost.
            self._shut()
        if self._descriptor is None:
            self._open()
        assert self._descriptor is not None
        size = os.fstat(self._descriptor).st_size
        data = b"".join(self._waiting)
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):  # a disk that gets full takes what it can
                written += os.write(self._descriptor, data[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise
        self._waiting.clear()

    def _broken(self, reason: str) -> None:
        problem = f"this session is not recorded: {reason} ({paths.display(self.directory)})"
        if sum(map(len, self._waiting)) > KEPT_BYTES:
            problem = f"{problem}; too much is missing by now, `%ante fork` begins a record anew"
            self._given_up = True
            self._waiting.clear()
        if problem != self.problem:
            self.problem = problem
            logger.warning("%s", problem)
            self.tell(problem)

    def _leave(self) -> None:
        """This is a forked child of the process that the session belongs to."""
        self._given_up = True
        self._waiting.clear()
        self._shut()
        self.problem = "this session is recorded by the process that this one was forked from"

    def _open(self) -> None:
        paths.ensure(self.directory)
        if not self.lock():
            raise BlockingIOError(None, "another kernel has it")
        for left in self.directory.glob("*.tmp"):  # of a process that was killed
            left.unlink(missing_ok=True)
        head = _line({"time": now(), "type": "session", "v": VERSION, "id": self._session_id})
        first = [_line({"time": now(), "type": kind, **payload}) for kind, payload in self._opening()]
        if not self.path.exists():
            # All of it or nothing: turns without the ones that they go on from are worth nothing.
            self._place(head + b"".join(first))
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._descriptor).st_size
        if os.pread(self._descriptor, 1, size - 1) != b"\n":
            # A process that was killed in the middle of a line left it open.
            os.write(self._descriptor, b"\n")
        self._opened()

    def _place(self, data: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self.directory, prefix="events.", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise

    def sync(self) -> None:
        """Have what was written survive a power cut."""
        if self._descriptor is not None and not self.problem:
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                logger.warning("the session journal could not be flushed: %s", error)

    def write_meta(self, meta: dict[str, Any], name: str = "meta.json") -> None:
        """Replace ``meta.json`` (or another small file of the session), atomically."""
        if self.problem or os.getpid() != self._pid:
            return
        temporary = ""
        try:
            paths.ensure(self.directory)
            descriptor, temporary = tempfile.mkstemp(
                dir=self.directory, prefix=name.removesuffix("json"), suffix=".tmp"
            )
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass") as file:
                json.dump(redact_value(meta), file, ensure_ascii=False, indent=1)
            Path(temporary).replace(self.directory / name)
        except OSError as error:
            logger.warning("the session's %s could not be written: %s", name, error)
            if temporary:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()

    @property
    def is_open(self) -> bool:
        """Whether something was recorded by this process."""
        return self._descriptor is not None

    def _shut(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def close(self) -> None:
        """Close the files and give the session back."""
        self._shut()
        lock, self._lock = self._lock, None
        if lock is not None and os.getpid() == self._pid:
            with contextlib.suppress(OSError):
                lock.release()
