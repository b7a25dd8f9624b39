"""A keyring backend on a file, as far as `keyring` is concerned as real as any other.

With ``limit`` it refuses what the Windows Credential Locker refuses; ``broken`` holds an exception that
every call raises.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

WINDOWS_LIMIT = 2560


class TooLongError(Exception):
    """As pywintypes.error 1783: no exception of the keyring package."""


class FileKeyring(KeyringBackend):
    """Entries in a JSON file, replaced atomically.

    In a child process it is chosen by ``PYTHON_KEYRING_BACKEND=support.file_keyring.FileKeyring`` with the
    path in ``ANTE_TEST_KEYRING``.
    """

    priority = 1
    name = "test keyring"

    def __init__(self, path: Path | None = None, limit: int | None = None) -> None:
        super().__init__()
        self.path = path or Path(os.environ.get("ANTE_TEST_KEYRING", "no-test-keyring.json"))
        self.limit = limit
        self.broken: Exception | None = None
        self.writes = 0

    @property
    def entries(self) -> dict[str, str]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.entries.get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        if self.limit is not None and len(password.encode("utf-16-le")) > self.limit:
            raise TooLongError(1783, "CredWrite", "The stub received bad data.")
        self.writes += 1
        self._replace({**self.entries, f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        entries = self.entries
        if entries.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError("no such entry")
        self._replace(entries)

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken

    def _replace(self, entries: dict[str, str]) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(entries))
        os.replace(new, self.path)
