"""One JSON object with secrets: in its file, or in the system keyring with the file pointing at it.

The file always says which of the two holds the object, so that moving it is safe at every moment. It is

- the object itself;
- the object with the mark ``{"keyring": true}``: it is being moved, the keyring may have a copy;
- the mark ``{"stored": "keyring"}`` alone: the keyring has it.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ante_nb import paths
from ante_nb.errors import ConfigError
from ante_nb.providers.auth.secret_file import LOCK_TIMEOUT, RESERVED, CorruptFileError, SecretFile
from ante_nb.providers.auth.system_keyring import SystemKeyring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ante_nb.providers.auth.secret_file import Notify

Backend: TypeAlias = Literal["file", "keyring"]

MARK = "ante_nb"
"""The key of the mark; no provider id and no field of a sign-in."""
_POINTER = {MARK: {"stored": "keyring"}}
_COPIED = {MARK: {"keyring": True}}
# A sign-in with its tokens has 3 to 10 KB.
_PROBE = 12_000


def chosen_backend(home: Path | None = None) -> Backend | None:
    """``credential_store`` of the settings in use; ``None`` where nothing is chosen."""
    from ante_nb.settings import load_settings

    return load_settings(home).values.credential_store


class Vault:
    """One object with secrets.

    Args:
        name: of the file (``<home>/auth/<name>.json``) and of the keyring's entry.
        home: the data directory, default ``ANTE_HOME``.
        backend: where it should be; default: what settings.json says, else where it is.
        notify: called with a line for the person.
        advice: what to do about an object that cannot be used.
    """

    def __init__(
        self,
        name: str,
        home: Path | None = None,
        backend: Backend | None = None,
        *,
        notify: Notify | None = None,
        advice: str = "Sign in again.",
    ) -> None:
        self.name = name
        self._home = home
        self._backend = backend
        self._notify = notify or (lambda line: None)
        self.file = SecretFile(paths.auth(home) / f"{name}.json", notify=notify, advice=advice)
        self.keyring = SystemKeyring(home or paths.home())

    def read(self, *, held: bool = False) -> dict[str, Any] | None:
        """The object, ``None`` where there is none. Moves it to where it should be, if it is not there.

        Args:
            held: whether the caller is under :meth:`locked` already.

        Raises:
            CorruptFileError: the file holds no JSON object.
            ConfigError: file or keyring cannot be read.
        """
        data = self.file.read()
        if data is None:
            return None
        if self._misplaced(data):
            try:
                with contextlib.nullcontext() if held else self.locked():
                    data = self._settle(self.file.read())
            except ConfigError as error:
                self._notify(f"{self.where} is not moved to where `credential_store` says: {error}")
        found = self._value(data)
        if data is None:  # removed meanwhile
            return None
        if found is not None:
            return found
        # The file points at an entry that is not whole: perhaps another kernel was just replacing it.
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(ConfigError):  # a home that cannot be written
                if not held:
                    stack.enter_context(self.locked())
            data = self.file.read()
            found = self._value(data)
        if found is None and data is not None:
            self._notify(
                f"{self.where} points at an entry of the system keyring that is gone. {self.file.advice}"
            )
        return found

    def write(self, data: dict[str, Any]) -> None:
        """Replace the object; to be called under :meth:`locked`.

        Raises:
            ConfigError: it cannot be stored; what was there still is.
        """
        old = self._raw()
        place = self._wanted() or ("keyring" if _place(old) == "keyring" else "file")
        if place == "file":
            if old is None or _place(old) == "file":
                self.file.write(data)
            else:
                self.file.write({**data, **_COPIED})
                self._drop_copy(data)
            return
        text = json.dumps(data)
        if _place(old) == "keyring":
            self.keyring.set(self.name, text)
            return
        # The file first: what is in the keyring is then known to be there whatever happens.
        self.file.write({**old, **_COPIED} if old is not None else _POINTER)
        try:
            self.keyring.set(self.name, text)
        except BaseException:
            if old is None:
                with contextlib.suppress(ConfigError):
                    self.file.remove()
            raise
        if old is not None:
            self.file.write(_POINTER)

    def remove(self) -> bool:
        """Remove it everywhere; under :meth:`locked`. ``False`` where there was none. Raises ``ConfigError``."""
        try:
            old = self.file.read()
        except CorruptFileError:
            old = {}
        if old is None:
            self.file.release()
            return False
        if _place(old) != "file":
            self.keyring.delete(self.name)
        return self.file.remove()

    def prepare(self) -> None:
        """Make sure that the next :meth:`write` will succeed; under :meth:`locked`. Raises ``ConfigError``."""
        old = self._raw()
        place = self._wanted() or _place(old)
        if place == "keyring":
            self.keyring.probe(self.name, _PROBE)
        if place != "keyring" or _place(old) != "keyring":
            self.file.reserve(RESERVED)

    @contextlib.contextmanager
    def locked(self, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
        """The lock of all kernels around a change. Raises ``ConfigError``."""
        with self.file.locked(timeout):
            yield

    @property
    def where(self) -> str:
        """The path of the file, as a person writes it."""
        return self.file.where

    def place(self) -> Backend | None:
        """Where it is now. ``None``: nowhere. Raises as :meth:`read`."""
        data = self.file.read()
        return None if data is None else "keyring" if _place(data) == "keyring" else "file"

    # ---------------------------------------------------------------------------------------- details

    def _wanted(self) -> Backend | None:
        return self._backend or chosen_backend(self._home)

    def _raw(self) -> dict[str, Any] | None:
        try:
            return self.file.read()
        except CorruptFileError:
            return None  # the file's own write keeps it aside

    def _misplaced(self, data: dict[str, Any]) -> bool:
        place = _place(data)
        return place == "copied" or self._wanted() not in (None, place)

    def _value(self, data: dict[str, Any] | None) -> dict[str, Any] | None:
        if data is None:
            return None
        if _place(data) != "keyring":
            return {key: value for key, value in data.items() if key != MARK or not isinstance(value, dict)}
        text = self.keyring.get(self.name)
        if text is None:
            return None
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ConfigError(
                f"the entry {self.name} in the system keyring is no JSON object", self.file.advice
            )
        return found

    def _settle(self, data: dict[str, Any] | None) -> dict[str, Any] | None:
        """Move it to where it should be; under the lock. What is in the file afterwards."""
        if data is None or not self._misplaced(data):
            return data
        value = self._value(data)
        if value is None:
            return data
        if self._wanted() == "keyring":
            self.file.write({**value, **_COPIED})
            self.keyring.set(self.name, json.dumps(value))
            self.file.write(_POINTER)
            self._notify(f"{self.where}: its secrets are in the system keyring ({self.keyring.title}) now.")
            return dict(_POINTER)
        self.file.write({**value, **_COPIED})
        self._drop_copy(value)
        if _place(data) == "keyring":
            self._notify(
                f"the secrets of {self.where} are in this file now, no longer in the system keyring."
            )
        return value

    def _drop_copy(self, value: dict[str, Any]) -> None:
        try:
            self.keyring.delete(self.name)
        except ConfigError as error:
            # The mark stays in the file: tried again at the next look.
            self._notify(f"{self.where}: an old copy is still in the system keyring: {error}")
            return
        self.file.write(value)


def _place(data: dict[str, Any] | None) -> Literal["file", "keyring", "copied"]:
    mark = data.get(MARK) if data else None
    if not isinstance(mark, dict):
        return "file"
    return "keyring" if mark.get("stored") == "keyring" else "copied"
