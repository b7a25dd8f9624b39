"""A JSON object in a file that only its owner may read, shared by all kernels of that person.

Mode 0600 in a directory of mode 0700; no symbolic link is followed at either place; a looser mode is
repaired and told. Writing is atomic (a crash leaves the old object or the new one) and goes over a
temporary file of a fixed name, which :meth:`SecretFile.reserve` can make beforehand: the bytes of the new
object then need no space that might be gone by the time.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from typing import TYPE_CHECKING, Any, TypeAlias

from ante_nb import paths
from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Notify: TypeAlias = "Callable[[str], None]"

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another kernel that writes."""
RESERVED = 64 * 1024
"""Bytes set aside for an object that is still to come; the largest real sign-in has 10 KB."""

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# Opening a pipe in the file's place must not wait for its other end.
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


class CorruptFileError(ConfigError):
    """The file holds no JSON object."""


class SecretFile:
    """One JSON object with secrets.

    Args:
        path: the file; its directory belongs to secrets alone.
        notify: called with a line for the person when something was repaired.
        advice: what to do about a file that cannot be used.
    """

    def __init__(self, path: Path, *, notify: Notify | None = None, advice: str = "Sign in again.") -> None:
        self.path = path
        self.advice = advice
        self._notify = notify or (lambda line: None)

    @property
    def where(self) -> str:
        """The path as a person writes it."""
        return paths.display(self.path)

    # ---------------------------------------------------------------------------------------- reading

    def read(self) -> dict[str, Any] | None:
        """The object, ``None`` where there is no file.

        Raises:
            CorruptFileError: it holds no JSON object; the next :meth:`write` keeps it aside.
            ConfigError: it is a link, no regular file, or cannot be opened.
        """
        self._check_directory()
        # Opened first and checked on the descriptor: a name can change between a check and an open.
        try:
            handle = os.open(self.path, os.O_RDONLY | _NOFOLLOW | _NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._cannot_open(error) from error
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            os.close(handle)
            raise self._refuse("is no regular file", self._first("Remove it"))
        with os.fdopen(handle, "rb") as file:
            self._tighten(file.fileno(), info, 0o600)
            try:
                content = file.read()
            except OSError as error:
                raise self._refuse(f"cannot be read: {error.strerror}") from error
        try:
            data = json.loads(content)
        except (ValueError, RecursionError):
            # Without the cause: a decoder's message may quote the text around the mistake.
            raise CorruptFileError(f"{self.where} is no valid JSON", self.advice) from None
        if not isinstance(data, dict):
            raise CorruptFileError(f"{self.where} must hold a JSON object", self.advice)
        return data

    # ---------------------------------------------------------------------------------------- writing

    @contextlib.contextmanager
    def locked(self, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
        """Hold the lock that all kernels share; needed around everything below.

        Raises:
            ConfigError: another kernel held it for ``timeout`` seconds, or the directory cannot be written.
        """
        with hold(self.path.with_suffix(".lock"), timeout, self):
            yield

    def write(self, data: dict[str, Any]) -> None:
        """Replace the object. A file that holds no JSON object is kept aside under another name first.

        Raises:
            ConfigError: it cannot be written; the old object is still there.
        """
        text = json.dumps(data, indent=2).encode("ascii") + b"\n"
        try:
            self._keep_corrupt()
            with self._temporary() as file:
                file.write(text)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._temporary_path, self.path)  # noqa: PTH105 (the tests stop a process here)
            self._sync_directory()
        except OSError as error:
            self.release()
            raise self.cannot_write(error) from error

    def reserve(self, size: int = RESERVED) -> None:
        """Write and keep ``size`` bytes beside the file, for the next :meth:`write` to use.

        Raises:
            ConfigError: the disk is full, or the directory cannot be written.
        """
        try:
            self._keep_corrupt()
            with self._temporary() as file:
                file.write(b" " * size)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.release()
            raise self.cannot_write(error) from error

    def release(self) -> None:
        """Give up what :meth:`reserve` has set aside."""
        with contextlib.suppress(OSError):
            self._temporary_path.unlink()

    def remove(self) -> bool:
        """Remove the file; ``False`` where there was none. Raises ``ConfigError`` where it cannot be."""
        self._check_directory()
        self.release()
        try:
            self.path.unlink()
            self._sync_directory()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._refuse(f"cannot be removed: {error.strerror}") from error
        return True

    def set_aside(self, kind: str) -> None:
        """Rename the file to ``NAME.<kind>-<n>`` and tell so; under the lock. Raises ``ConfigError``."""
        try:
            self._set_aside(kind)
        except OSError as error:
            raise self.cannot_write(error) from error

    def _set_aside(self, kind: str) -> None:
        number = 1
        while os.path.lexists(aside := self.path.with_name(f"{self.path.name}.{kind}-{number}")):
            number += 1
        os.rename(self.path, aside)  # noqa: PTH104 (the tests stop a process here)
        self._sync_directory()
        self._notify(
            f"{self.where} could not be used and is kept as {aside.name}; it may hold a secret, "
            "remove it when you no longer need it."
        )

    # ---------------------------------------------------------------------------------------- details

    @property
    def _temporary_path(self) -> Path:
        return self.path.with_name(f".{self.path.name}.tmp")

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Any]:
        """The temporary file at its beginning: what was reserved, or what a crash has left, is used again."""
        path = self._temporary_path
        flags = os.O_WRONLY | _NOFOLLOW | _NONBLOCK
        handle = -1
        with contextlib.suppress(OSError):
            handle = os.open(path, flags)
            info = os.fstat(handle)
            # A second name of it would show the secret elsewhere.
            if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1 or info.st_mode & 0o077:
                os.close(handle)
                handle = -1
        if handle < 0:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            yield file

    def _keep_corrupt(self) -> None:
        try:
            self.read()
        except CorruptFileError:
            self._set_aside("corrupt")

    def _sync_directory(self) -> None:
        # Not every file system lets a directory be synced; the rename has happened all the same.
        with contextlib.suppress(OSError):
            handle = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def prepare_directory(self) -> None:
        """Make the directory, private to its owner. Raises ``OSError`` or ``ConfigError``."""
        self._check_directory()
        paths.ensure(self.path.parent)
        self._check_directory()

    def _check_directory(self) -> None:
        directory = self.path.parent
        try:
            info = directory.lstat()
        except OSError:
            return  # not there yet, or not to be reached: opening the file says why
        if stat.S_ISLNK(info.st_mode):
            raise self._refuse(
                "is in a directory that is a symbolic link, which is not followed",
                self._first("Put a directory in its place, or point ANTE_HOME at where it leads"),
            )
        self._tighten(directory, info, 0o700)

    def _tighten(self, target: int | Path, info: os.stat_result, mode: int) -> None:
        loose = stat.S_IMODE(info.st_mode)
        if os.name != "posix" or not loose & 0o077:
            return
        folder = stat.S_ISDIR(info.st_mode)
        name = paths.display(self.path.parent) if folder else self.where
        try:
            os.chmod(target, mode)  # noqa: PTH101 (a descriptor, where there is one)
        except OSError:
            self._notify(
                f"{name} is open to other users of this machine (mode {loose:o}) and that cannot be changed; "
                "keep keys in environment variables or in the system keyring instead."
            )
            return
        more = "." if folder else "; if it was so for long, replace the secrets in it."
        self._notify(
            f"{name} was open to other users of this machine (mode {loose:o}): now only to you{more}"
        )

    def _cannot_open(self, error: OSError) -> ConfigError:
        if self.path.is_symlink():
            return self._refuse("is a symbolic link, which is not followed", self._first("Remove the link"))
        return self._refuse(f"cannot be opened: {error.strerror}")

    def cannot_write(self, error: OSError) -> ConfigError:
        """What to say about an error of writing: the reason, and what to do about it."""
        hints = {
            errno.ENOSPC: "Free some space on that disk, then try again.",
            errno.EDQUOT: "Your disk quota is used up: free some space, then try again.",
            errno.EROFS: "Point ANTE_HOME at a directory that can be written.",
            errno.EACCES: "Point ANTE_HOME at a directory that can be written.",
            errno.EPERM: "Point ANTE_HOME at a directory that can be written.",
        }
        reason = error.strerror or str(error)
        return self._refuse(f"cannot be written: {reason}", hints.get(error.errno or 0))

    def _first(self, act: str) -> str:
        """``act``, and then the advice, which alone would end at the same error."""
        return f"{act}; then: {self.advice[0].lower()}{self.advice[1:]}"

    def _refuse(self, what: str, hint: str | None = None) -> ConfigError:
        return ConfigError(f"{self.where} {what}", hint or self.advice)


@contextlib.contextmanager
def hold(path: Path, timeout: float, file: SecretFile) -> Iterator[None]:
    """Hold the lock file ``path`` against all threads and processes; may be left in another thread.

    Args:
        path: the lock file, in the directory of ``file``.
        timeout: seconds to wait.
        file: what the lock guards; it words the errors.

    Raises:
        ConfigError: it is held for longer by somebody else, is a link, or cannot be made.
    """
    from filelock import FileLock, Timeout

    name = paths.display(path)
    try:
        file.prepare_directory()
        # An old filelock opens what a link points at.
        if path.is_symlink():
            raise ConfigError(f"{name} is a symbolic link, which is not followed", "Remove it.")
        lock = FileLock(path, timeout=timeout, mode=0o600, thread_local=False)
        lock.acquire()
    except Timeout as error:
        raise ConfigError(f"{file.where} is locked by another kernel", "Try again in a moment.") from error
    except (OSError, NotImplementedError) as error:
        raise file.cannot_write(error if isinstance(error, OSError) else OSError(str(error))) from error
    try:
        yield
    finally:
        lock.release()
