"""The log file: ``<home>/logs/<date>/ante.<pid>.log.<date>``, redacted, made on the first record.

A link of the same name stands in ``<home>/logs`` itself, so that one ``grep`` over
``~/.ante/logs/ante.*.log.*`` finds every day, and a day can be deleted as a whole.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import IO

from ante_nb import paths
from ante_nb.redact import redact

logger = logging.getLogger("ante_nb")


class _RedactingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _DailyFile(logging.Handler):
    """Appends to the file of the day; a full disk or a read-only home costs the log, never the turn."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._day = ""
        self._file: IO[str] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            day = time.strftime("%Y-%m-%d", time.gmtime(record.created))
            if self._file is None or day != self._day:
                self._open(day)
            assert self._file is not None
            self._file.write(self.format(record) + "\n")
            self._file.flush()
        except OSError:
            self._file = None

    def _open(self, day: str) -> None:
        self.close_file()
        path = paths.ensure(paths.logs() / day) / f"ante.{os.getpid()}.log.{day}"
        self._file = os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8"
        )
        self._day = day
        _link(path)

    def close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        self.close_file()
        super().close()


def _link(path: Path) -> None:
    """The link to a day's file, beside the days; links of days that were deleted go."""
    folder = path.parent.parent
    try:
        for other in folder.glob("ante.*.log.*"):
            if other.is_symlink() and not other.exists():
                other.unlink(missing_ok=True)
        link = folder / path.name
        if not link.exists():
            link.symlink_to(Path(path.parent.name) / path.name)
    except OSError:  # a file system, or a Windows user, without links: the file itself is there
        pass


_handler: _DailyFile | None = None


def configure() -> logging.Logger:
    """Attach the log file to the ``ante_nb`` logger (once per process) and return the logger.

    ``ANTE_LOG`` sets the level (default ``INFO``).
    """
    global _handler
    if _handler is None:
        _handler = _DailyFile()
        formatter = _RedactingFormatter(
            "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        formatter.converter = time.gmtime
        _handler.setFormatter(formatter)
        logger.addHandler(_handler)
        logger.propagate = False
        level = os.environ.get("ANTE_LOG", "INFO").upper()
        logger.setLevel(level if level in logging.getLevelNamesMapping() else "INFO")
    return logger
