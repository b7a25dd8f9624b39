"""A file, link or directory as it was: what it is known again by, and where its bytes are."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Sig: TypeAlias = tuple[int, int, int, int, int]
"""Mode, size, modification and change time in ns, inode: what a walk sees without opening a file."""

UNSURE = -1
"""A modification time that matches none: the file is to be read again at the next walk."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``digest`` is the SHA-256 of the bytes (of a link: of its target), ``None`` where none were kept."""

    sig: Sig
    digest: str | None = None

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.sig[0])

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.sig[0])

    @property
    def size(self) -> int:
        return self.sig[1]

    @property
    def mode(self) -> int:
        return stat.S_IMODE(self.sig[0])

    def dump(self) -> str:
        return json.dumps([*self.sig, self.digest], separators=(",", ":"))

    @classmethod
    def load(cls, text: str | None) -> Entry | None:
        if text is None:
            return None
        mode, size, mtime, ctime, inode, digest = json.loads(text)
        return cls((mode, size, mtime, ctime, inode), digest)


def same(some: Entry | None, other: Entry | None) -> bool:
    """Whether both are the same content in the same mode; ``None`` is no file."""
    if some is None or other is None:
        return some is other
    if some.sig[0] != other.sig[0]:
        return False
    if some.is_directory:
        return True
    if some.digest is not None and other.digest is not None:
        return some.digest == other.digest
    # Without the bytes of both: size, time and inode; the time of the last change of mode says nothing here.
    return some.sig[1:3] == other.sig[1:3] and some.sig[4] == other.sig[4] and some.sig[2] != UNSURE


def sig_of(found: os.stat_result) -> Sig:
    mode = found.st_mode
    if stat.S_ISDIR(mode):
        # Size and times of a directory follow from what is in it.
        return (mode, 0, 0, 0, 0)
    return (mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def read(path: str, cap: int) -> tuple[Entry | None, bytes | None]:
    """What is at ``path`` (links not followed) and its bytes, where they are no more than ``cap``.

    A file that is written to while it is read is unsure. ``(None, None)`` where nothing is, or a thing
    that has no bytes (a socket, a device).
    """
    try:
        found = os.lstat(path)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFDIR:
            return Entry(sig_of(found)), None
        if kind == stat.S_IFLNK:
            data = os.fsencode(Path(path).readlink())
            return Entry(sig_of(found), hashlib.sha256(data).hexdigest()), data
        if kind != stat.S_IFREG:
            return None, None
        if found.st_size > cap:
            return Entry(sig_of(found)), None
    except OSError:
        return None, None
    try:
        # Not to be caught by a pipe that was put there meanwhile.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            data = os.read(handle, min(found.st_size, cap) + 1)
            while len(data) <= cap and (more := os.read(handle, cap + 1 - len(data))):
                data += more
            after = os.fstat(handle)
        finally:
            os.close(handle)
    except OSError:
        return Entry(sig_of(found)), None
    if len(data) > cap:
        return Entry(sig_of(after)), None
    sig = sig_of(after)
    if sig != sig_of(found):
        sig = (*sig[:2], UNSURE, *sig[3:])
    return Entry(sig, hashlib.sha256(data).hexdigest()), data
