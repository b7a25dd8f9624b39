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
from ante_nb.providers.auth.record import LaterVersionError, SignInRecord
from ante_nb.providers.auth.secret_file import CorruptFileError, hold
from ante_nb.providers.auth.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ante_nb.providers.auth.secret_file import Notify
    from ante_nb.providers.auth.vault import Backend

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
        self, home: Path | None = None, backend: Backend | None = None, notify: Notify | None = None
    ) -> None:
        self._home = home
        self._backend = backend
        self._notify = notify

    def load(self, preset: str) -> SignInRecord | None:
        """The stored sign-in, ``None`` where there is none.

        Raises:
            ConfigError: it is there and cannot be used; the message says what to do.
        """
        vault = self._vault(preset)
        data = vault.read()
        if data is None:
            return None
        record = SignInRecord.from_json(data, vault.where)
        if record.preset != preset:
            raise ConfigError(f"{vault.where} holds a sign-in of {record.preset!r}", vault.file.advice)
        return record

    def save(self, record: SignInRecord) -> None:
        """Store ``record`` in place of what is stored for its preset.

        What was stored and cannot be read (damaged, or of a later version) is kept aside, with a notice.

        Raises:
            ConfigError: it cannot be written; what was stored is still there.
        """
        vault = self._vault(record.preset)
        with vault.locked():
            self._keep_later(vault)
            vault.write(record.to_json())

    def delete(self, preset: str) -> bool:
        """Forget the sign-in; ``False`` where there was none. Raises ``ConfigError`` if that fails."""
        vault = self._vault(preset)
        with vault.locked():
            return vault.remove()

    @contextlib.contextmanager
    def lock(self, preset: str, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
        """Hold the right to renew or replace this sign-in, against all threads, kernels and processes.

        :meth:`load`, :meth:`save`, :meth:`delete` and :meth:`prepare` may be called within (they do not
        need it by themselves), from any thread. Blocks: from a coroutine, enter it in a worker thread;
        it may be left in another thread.

        Raises:
            ConfigError: held elsewhere for longer than ``timeout`` seconds, or it cannot be made.
        """
        file = self._vault(preset).file
        with hold(file.path.with_suffix(".renew.lock"), timeout, file):
            yield

    def prepare(self, preset: str) -> None:
        """Make sure that the next :meth:`save` will succeed; call it before a refresh token is spent.

        Space for the record is set aside on the disk (until the next save or delete).

        Raises:
            ConfigError: nothing could be saved now; the message says why.
        """
        vault = self._vault(preset)
        with vault.locked():
            vault.prepare()

    def release(self, preset: str) -> None:
        """Give up what :meth:`prepare` has set aside, where no save will follow."""
        vault = self._vault(preset)
        with contextlib.suppress(ConfigError), vault.locked():
            vault.file.release()

    def presets(self) -> tuple[str, ...]:
        """The presets that have something stored, also if it cannot be used."""
        directory = paths.auth(self._home)
        names = (path.stem.removeprefix(PREFIX) for path in directory.glob(f"{PREFIX}*.json"))
        return tuple(sorted(name for name in names if _NAME.fullmatch(name)))

    def place(self, preset: str) -> str:
        """Where it is stored, in words: the path of its file, or ``system keyring``."""
        vault = self._vault(preset)
        with contextlib.suppress(ConfigError):
            if vault.place() == "keyring":
                return "system keyring"
        return vault.where

    def _vault(self, preset: str) -> Vault:
        if not _NAME.fullmatch(preset):
            raise ConfigError(f"{preset!r} cannot be the name of a sign-in")
        return Vault(
            f"{PREFIX}{preset}",
            self._home,
            self._backend,
            notify=self._notify,
            advice=f"Sign in again: `%ante login {preset}`.",
        )

    @staticmethod
    def _keep_later(vault: Vault) -> None:
        try:
            data = vault.file.read()
        except CorruptFileError:
            return  # kept aside by the write
        if data is not None and vault.place() == "file":
            try:
                SignInRecord.from_json(data, vault.where)
            except LaterVersionError:
                vault.file.set_aside("later")
            except ConfigError:
                vault.file.set_aside("corrupt")


_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
