"""The log file: ``<home>/logs/ante.<pid>.log.<date>``, redacted, made on the first record."""

from __future__ import annotations

import logging
import os
import time
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
        path = paths.ensure(paths.logs()) / f"ante.{os.getpid()}.log.{day}"
        self._file = os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8"
        )
        self._day = day

    def close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        self.close_file()
        super().close()


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
