"""API keys: from the environment, then from the key store, then an OAuth sign-in.

The store is ``<home>/auth/api_keys.json``, ``{"openai": "sk-..."}`` by provider id, mode 0600 in a
directory of mode 0700, replaced atomically under a lock that all kernels share. A symlink in its place is
refused, a mode that lets others read it is repaired.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ante_nb import paths
from ante_nb.errors import ConfigError
from ante_nb.providers.spec import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ante_nb.providers.spec import ProviderSpec

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another kernel that writes the store."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What signs a request, and where it came from (``environment OPENAI_API_KEY``, ``key store`` ...)."""

    secret: Secret
    source: str
    oauth: bool = False
    headers: dict[str, str] = field(default_factory=dict, hash=False)
    """More headers that belong to it (the account of a subscription)."""
    preset: str | None = None
    """The OAuth preset that it is a sign-in of."""


class SignIns(Protocol):
    """OAuth records by preset (``openai``, ``anthropic``, ``antix``)."""

    def token(self, preset: str) -> Credential | None:
        """The stored sign-in of that preset, or ``None``. Does no network traffic."""
        ...

    def command(self, preset: str) -> str:
        """What to type to sign in."""
        ...


class CredentialSource(Protocol):
    """Finds what signs a provider's requests; :class:`KeyRing` is the one in use."""

    def find(self, provider: ProviderSpec, env: Mapping[str, str]) -> Credential | None:
        """The credential of ``provider``, or ``None``. Raises ``ConfigError`` for an unusable store."""
        ...

    def sign_in_command(self, provider: ProviderSpec) -> str | None:
        """What to type to sign in to ``provider``, or ``None`` where that is not possible."""
        ...


class KeyRing:
    """Environment, then key store, then OAuth record.

    Args:
        home: the data directory, default ``ANTE_HOME``.
        sign_ins: the OAuth records, where sign-in is available.
    """

    def __init__(self, home: Path | None = None, sign_ins: SignIns | None = None) -> None:
        self.store = KeyStore(home)
        self.sign_ins = sign_ins

    def find(self, provider: ProviderSpec, env: Mapping[str, str]) -> Credential | None:
        auth = provider.auth
        if auth is None:
            return None
        for name in auth.env_keys:
            value = env.get(name, "").strip()
            if value:
                return Credential(Secret(check_key(value, name)), f"environment {name}")
        if auth.env_keys:
            stored = self.store.get(provider.alias_of or provider.id) or self.store.get(provider.id)
            if stored is not None:
                return Credential(stored, "key store")
        if auth.oauth_preset and self.sign_ins is not None:
            return self.sign_ins.token(auth.oauth_preset)
        return None

    def sign_in_command(self, provider: ProviderSpec) -> str | None:
        if self.sign_ins is None or provider.auth is None or provider.auth.oauth_preset is None:
            return None
        return self.sign_ins.command(provider.auth.oauth_preset)


def check_key(value: str, where: str) -> str:
    """``value`` without surrounding blanks.

    Raises:
        ConfigError: it is empty or cannot be sent as a header (blanks, control or non-ASCII characters);
            the message names ``where`` it came from and never shows the value.
    """
    key = value.strip()
    if not key:
        raise ConfigError(f"{where}: the key is empty", "Paste the whole key.")
    if any(not "!" <= char <= "~" for char in key):
        raise ConfigError(
            f"{where}: the key holds a blank, a line break or a character that is not ASCII",
            "Copy it again, without quotes or text around it.",
        )
    return key


class KeyStore:
    """The file of pasted keys.

    Args:
        home: the data directory, default ``ANTE_HOME``.
    """

    def __init__(self, home: Path | None = None) -> None:
        self._home = home

    @property
    def path(self) -> Path:
        return paths.auth(self._home) / "api_keys.json"

    def get(self, provider_id: str) -> Secret | None:
        """The stored key, or ``None``. Raises ``ConfigError`` where the file cannot be used."""
        value = self._read().get(provider_id)
        return Secret(check_key(value, paths.display(self.path))) if value else None

    def providers(self) -> tuple[str, ...]:
        """The ids that have a stored key."""
        return tuple(key for key, value in self._read().items() if value)

    def set(self, provider_id: str, key: str) -> None:
        """Store ``key``. Raises ``ConfigError`` for an unusable key or store."""
        clean = check_key(key, f"key for {provider_id}")
        with self._locked():
            self._write({**self._read(), provider_id: clean})

    def delete(self, provider_id: str) -> bool:
        """Forget the key; ``False`` where there was none."""
        with self._locked():
            data = self._read()
            if provider_id not in data:
                return False
            del data[provider_id]
            self._write(data)
            return True

    # --------------------------------------------------------------------------------------- file

    def _refuse(self, what: str, hint: str | None = None) -> ConfigError:
        return ConfigError(
            f"{paths.display(self.path)} {what}",
            hint or "Repair or remove it, then type `%ante key PROVIDER`.",
        )

    def _read(self) -> dict[str, str]:
        # Opened first and checked on the descriptor: a name can change between a check and an open.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            handle = os.open(self.path, flags)
        except FileNotFoundError:
            return {}
        except OSError as error:
            if self.path.is_symlink():
                raise self._refuse("is a symbolic link, which is not followed") from error
            raise self._refuse(f"cannot be opened: {error.strerror}") from error
        with os.fdopen(handle, encoding="utf-8") as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise self._refuse("is no regular file")
            if info.st_mode & 0o077:
                with contextlib.suppress(OSError):
                    os.fchmod(file.fileno(), 0o600)
            try:
                data = json.load(file)
            except (ValueError, RecursionError):
                # Without the cause: a decoder's message may quote the text around the mistake.
                raise self._refuse("is no valid JSON") from None
        if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
            raise self._refuse("must be a JSON object of provider ids and keys")
        return data

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        directory = paths.auth(self._home)
        if directory.is_symlink():
            raise self._refuse("is in a directory that is a symbolic link, which is not followed")
        try:
            paths.ensure(directory)
            if directory.stat().st_mode & 0o077:
                directory.chmod(0o700)
            with FileLock(directory / "api_keys.lock", timeout=LOCK_TIMEOUT, mode=0o600):
                yield
        except Timeout as error:
            raise self._refuse("is locked by another kernel", "Try again in a moment.") from error
        except OSError as error:
            raise self._refuse(f"cannot be written: {error.strerror or error}") from error

    def _write(self, data: dict[str, str]) -> None:
        # mkstemp makes the file with mode 0600 and O_EXCL.
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".api_keys.", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
