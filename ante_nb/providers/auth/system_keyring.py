"""Secrets in the keyring of the system (Keychain, Secret Service, KWallet, Credential Locker).

Through the ``keyring`` package. An entry that the backend refuses as too long (the Windows Credential
Locker takes 2560 bytes of UTF-16) is split: the parts are written first, under the one of two names that
is not in use, and then the short head that names them. A crash at any moment leaves the old text or the
new one.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NoReturn

from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "ante_nb"
PART = 1000
"""Characters of a part: 2000 bytes as UTF-16, below the 2560 that Windows takes."""

_WHOLE = "whole:"
_SPLIT = "split:"
_FILE_INSTEAD = '"credential_store": "file" in settings.json'


class SystemKeyring:
    """Named texts in the keyring of this person.

    Args:
        home: the data directory; those of another one (``ANTE_HOME``) are other entries.
    """

    def __init__(self, home: Path) -> None:
        self._home = hashlib.sha256(str(home.absolute()).encode()).hexdigest()[:16]

    def get(self, name: str) -> str | None:
        """The text, ``None`` where there is none or it is not whole. Raises ``ConfigError``."""
        head = self._get(self._entry(name))
        if head is None or head.startswith(_WHOLE):
            return head.removeprefix(_WHOLE) if head else None
        side, count, digest = _head(head)
        parts = [self._get(self._entry(name, side, number)) for number in range(count)]
        text = "".join(part or "" for part in parts)
        return text if _digest(text) == digest else None

    def set(self, name: str, text: str) -> None:
        """Store ``text`` (ASCII) in place of what is there.

        Raises:
            ConfigError: the keyring is missing, locked, or does not keep it; what was there still is.
        """
        before, count, _ = self._parts(name)
        after = ""
        if not self._whole(name, text):
            after = "b" if before == "a" else "a"
            self._clear(name, after)
            parts = [text[start : start + PART] for start in range(0, len(text), PART)]
            for number, part in enumerate(parts):
                self._set(self._entry(name, after, number), part)
            self._set(self._entry(name), f"{_SPLIT}{after}:{len(parts)}:{_digest(text)}")
        if self.get(name) != text:
            # The null backend, or one that truncates.
            raise ConfigError(
                f"the system keyring ({self.title}) does not keep what is stored in it",
                f"Choose another keyring, or {_FILE_INSTEAD}.",
            )
        for side in {"a", "b"} - {after}:
            self._clear(name, side, count if side == before else 0)

    def delete(self, name: str) -> None:
        """Remove the text and its parts, also those that a crash has left. Raises ``ConfigError``."""
        before, count, _ = self._parts(name)
        if self._get(self._entry(name)) is not None:
            self._delete(self._entry(name))
        for side in ("a", "b"):
            self._clear(name, side, count if side == before else 0)

    def probe(self, name: str, size: int) -> None:
        """Make sure that a text of ``size`` characters can be stored. Raises ``ConfigError``."""
        self.set(f"{name}.probe", "x" * size)
        self.delete(f"{name}.probe")

    @property
    def title(self) -> str:
        """What the backend calls itself."""
        return str(getattr(self._backend(), "name", "")) or "unknown backend"

    # ---------------------------------------------------------------------------------------- details

    def _entry(self, name: str, side: str = "", number: int = 0) -> str:
        return f"{name}|{self._home}" + (f"#{side}{number}" if side else "")

    def _whole(self, name: str, text: str) -> bool:
        """Store it as one entry; ``False`` where it seems to be too long for that."""
        try:
            self._backend().set_password(SERVICE, self._entry(name), _WHOLE + text)
        except Exception as error:
            if len(text) <= PART or not _may_be_size(error):
                self._refuse(error)
            return False
        return True

    def _parts(self, name: str) -> tuple[str, int, str]:
        head = self._get(self._entry(name))
        return _head(head) if head is not None and head.startswith(_SPLIT) else ("", 0, "")

    def _clear(self, name: str, side: str, count: int = 0) -> None:
        # Parts are written upwards and removed downwards: without a hand from outside there is no gap.
        number = count
        while self._get(self._entry(name, side, number)) is not None:
            number += 1
        for index in reversed(range(number)):
            if index >= count or self._get(self._entry(name, side, index)) is not None:
                self._delete(self._entry(name, side, index))

    def _backend(self) -> Any:
        try:
            import keyring
        except ImportError:
            raise ConfigError(
                "the system keyring is chosen, but the package keyring is not installed",
                f"`%pip install 'ante_nb[keyring]'`, or {_FILE_INSTEAD}.",
            ) from None
        try:
            return keyring.get_keyring()
        except Exception as error:
            self._refuse(error)

    def _get(self, entry: str) -> str | None:
        try:
            value = self._backend().get_password(SERVICE, entry)
        except ConfigError:
            raise
        except Exception as error:
            self._refuse(error)
        return value if isinstance(value, str) else None

    def _set(self, entry: str, value: str) -> None:
        try:
            self._backend().set_password(SERVICE, entry, value)
        except ConfigError:
            raise
        except Exception as error:
            self._refuse(error)

    def _delete(self, entry: str) -> None:
        try:
            self._backend().delete_password(SERVICE, entry)
        except ConfigError:
            raise
        except Exception as error:
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        """Raise what the person should read. The backend's own words are left out: they may quote a secret."""
        if isinstance(error, ConfigError):
            raise error
        kind = type(error).__name__
        if kind == "NoKeyringError":
            raise ConfigError(
                "this system has no keyring that can be used",
                f"Set {_FILE_INSTEAD} (as on a server without a desktop).",
            ) from None
        if kind in ("KeyringLocked", "InitError"):
            raise ConfigError(
                "the system keyring is locked", f"Unlock it and try again, or {_FILE_INSTEAD}."
            ) from None
        raise ConfigError(
            f"the system keyring failed ({kind})",
            f"See `python -m keyring diagnose`, or {_FILE_INSTEAD}.",
        ) from None


def _head(head: str) -> tuple[str, int, str]:
    """Side, number of parts and digest that a split entry's head names; an impossible one names nothing."""
    side, _, rest = head.removeprefix(_SPLIT).partition(":")
    count, _, digest = rest.partition(":")
    return side, int(count) if count.isdecimal() and len(count) < 5 else 0, digest


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _may_be_size(error: Exception) -> bool:
    # Each backend has its own error for a value that is too long (Windows: pywintypes.error).
    return not isinstance(error, ConfigError) and type(error).__name__ not in (
        "NoKeyringError",
        "KeyringLocked",
        "InitError",
    )
