"""The OAuth sign-ins of this person on this machine.

One file per preset below ``<home>/auth``, or the system keyring where ``credential_store`` in settings.json
says so. All kernels share them.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from ante_nb import paths
from ante_nb.errors import ConfigError
from ante_nb.providers.auth.record import SignInRecord
from ante_nb.providers.auth.secret_file import SecretFile, hold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ante_nb.providers.auth.secret_file import Notify

PREFIX = "oauth_"
LOCK_TIMEOUT = 60.0
"""Seconds to wait for another kernel that renews a token: its request and a retry of it."""


class SignInStore:
    """Sign-ins by preset.

    Args:
        home: the data directory, default ``ANTE_HOME``.
        backend: ``file`` or ``keyring``; default: ``credential_store`` of settings.json.
        notify: called with a line for the person when something was repaired, moved or kept aside.
    """

    def __init__(
        self, home: Path | None = None, backend: str | None = None, notify: Notify | None = None
    ) -> None:
        self._home = home
        self._backend = backend
        self._notify = notify

    def load(self, preset: str) -> SignInRecord | None:
        """The stored sign-in, ``None`` where there is none.

        Raises:
            ConfigError: it is there and cannot be used; the message says what to do.
        """
        file = self._file(preset)
        data = file.read()
        return None if data is None else SignInRecord.from_json(data, file.where)

    def save(self, record: SignInRecord) -> None:
        """Store ``record`` in place of what is stored for its preset.

        Raises:
            ConfigError: it cannot be written; what was stored is still there.
        """
        file = self._file(record.preset)
        with file.locked():
            file.write(record.to_json())

    def delete(self, preset: str) -> bool:
        """Forget the sign-in; ``False`` where there was none. Raises ``ConfigError`` if that fails."""
        file = self._file(preset)
        with file.locked():
            return file.remove()

    @contextlib.contextmanager
    def lock(self, preset: str, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
        """Hold the right to renew or replace this sign-in, against all threads, kernels and processes.

        :meth:`load`, :meth:`save`, :meth:`delete` and :meth:`prepare` may be called within (they do not
        need it by themselves), from any thread. Blocks: from a coroutine, enter it in a worker thread;
        it may be left in another thread.

        Raises:
            ConfigError: held elsewhere for longer than ``timeout`` seconds, or it cannot be made.
        """
        file = self._file(preset)
        with hold(file.path.with_suffix(".renew.lock"), timeout, file):
            yield

    def prepare(self, preset: str) -> None:
        """Make sure that the next :meth:`save` will succeed; call it before a refresh token is spent.

        Space for the record is set aside on the disk (until the next save or delete).

        Raises:
            ConfigError: nothing could be saved now; the message says why.
        """
        file = self._file(preset)
        with file.locked():
            file.reserve()

    def presets(self) -> tuple[str, ...]:
        """The presets that have something stored, also if it cannot be used."""
        directory = paths.auth(self._home)
        names = (path.stem.removeprefix(PREFIX) for path in directory.glob(f"{PREFIX}*.json"))
        return tuple(sorted(name for name in names if _NAME.fullmatch(name)))

    def place(self, preset: str) -> str:
        """Where it is stored, in words: a path, or ``system keyring``."""
        return self._file(preset).where

    def _file(self, preset: str) -> SecretFile:
        if not _NAME.fullmatch(preset):
            raise ConfigError(f"{preset!r} cannot be the name of a sign-in")
        return SecretFile(
            paths.auth(self._home) / f"{PREFIX}{preset}.json",
            notify=self._notify,
            advice=f"Sign in again: `%ante login {preset}`.",
        )


_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
