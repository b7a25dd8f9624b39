"""Text files byte for byte: encodings, line endings, and writing that can't leave half a file."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import secrets
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ante_nb.agent.tools.base import FileStamp
from ante_nb.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path

_BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    # The UTF-32 marks begin with the UTF-16 ones, so they come first.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF87a", "GIF image"),
    (b"GIF89a", "GIF image"),
    (b"%PDF-", "PDF document"),
    (b"PK\x03\x04", "ZIP archive (or xlsx, docx, npz, whl ...)"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"7z\xbc\xaf\x27\x1c", "7-zip archive"),
    (b"\x7fELF", "ELF program or library"),
    (b"\xcf\xfa\xed\xfe", "Mach-O program or library"),
    (b"PAR1", "Parquet data"),
    (b"SQLite format 3\x00", "SQLite database"),
    (b"\x89HDF\r\n\x1a\n", "HDF5 data"),
    (b"\x93NUMPY", "NumPy array"),
    (b"GGUF", "GGUF model"),
    (b"\x80\x04\x95", "Python pickle"),
    (b"OggS", "Ogg media"),
    (b"RIFF", "RIFF media (WAV, AVI, WebP)"),
)
_CONTROL = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class TextFile:
    """The text of a file and what is needed to write it back in the same form.

    ``text`` keeps the line endings as they are; ``newline`` is the commonest of them.
    """

    text: str
    encoding: str = "utf-8"
    bom: bytes = b""
    newline: str = "\n"

    def encode(self, text: str) -> bytes:
        """``text`` in this file's form. Raises ``UnicodeEncodeError``."""
        return self.bom + text.encode(self.encoding)


def kind_of(data: bytes) -> str | None:
    """What kind of binary file starts like ``data``, where its first bytes tell."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP image"
    return next((name for magic, name in _MAGIC if data.startswith(magic)), None)


def decode(data: bytes) -> TextFile | None:
    """The text in ``data``, or ``None`` where it is no text.

    A byte order mark decides; else UTF-8; else UTF-16 where every other byte is zero; else Latin-1,
    which takes any byte, unless control characters show that it is binary.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            try:
                text = data[len(bom) :].decode(encoding)
            except UnicodeDecodeError:
                continue
            return TextFile(text, encoding, bom, newline_of(text))
    head = data[:8192]
    if b"\0" in head:
        wide = _utf16_without_mark(head)
        if wide is None:
            return None
        try:
            text = data.decode(wide)
        except UnicodeDecodeError:
            return None
        return TextFile(text, wide, b"", newline_of(text))
    if kind_of(data) is not None and _CONTROL.search(head):
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        if len(_CONTROL.findall(head)) > len(head) // 100:
            return None
        text = data.decode("latin-1")
        return TextFile(text, "latin-1", b"", newline_of(text))
    return TextFile(text, "utf-8", b"", newline_of(text))


def _utf16_without_mark(head: bytes) -> str | None:
    even, odd = head[0::2], head[1::2]
    if len(head) < 8:
        return None
    for zeros, letters, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros.count(0) > 0.6 * len(zeros) and letters.count(0) == 0:
            return encoding
    return None


def newline_of(text: str) -> str:
    """The commonest line ending of ``text``: ``\\n`` where it has none."""
    crlf = text.count("\r\n")
    counts = {"\n": text.count("\n") - crlf, "\r\n": crlf, "\r": text.count("\r") - crlf}
    best = max(counts, key=lambda ending: counts[ending])
    return best if counts[best] else "\n"


def stamp(path: Path, data: bytes) -> FileStamp:
    """What :class:`~ante_nb.agent.tools.base.ToolState` remembers of a file with these bytes."""
    try:
        mtime = path.stat().st_mtime_ns
    except OSError:
        mtime = 0
    return FileStamp(hashlib.sha256(data).hexdigest(), mtime)


def read_bytes(path: Path, name: str) -> bytes:
    """The bytes of a regular file.

    Raises:
        ToolError: it is missing, a directory, a device, or may not be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ToolError(f"{name} is a directory.", "Use Glob to list files, or Read a file in it.")
        if not stat.S_ISREG(mode):
            raise ToolError(f"{name} is not a regular file (device, pipe or socket).")
        return path.read_bytes()
    except FileNotFoundError:
        raise ToolError(f"{name} does not exist.", _near(path)) from None
    except NotADirectoryError:
        raise ToolError(f"{name} does not exist: a part of its path is a file.") from None
    except PermissionError:
        raise ToolError(f"{name} may not be read: the system denies it.") from None
    except OSError as error:
        raise ToolError(f"{name} could not be read: {error.strerror or error}.") from None


def _near(path: Path) -> str:
    import difflib

    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return "Its directory does not exist either; use Glob to find it."
    found = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(found)}?" if found else "Use Glob to find it."


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the file at ``path`` (no symbolic link) in one step, keeping mode and owner.

    The bytes go to a temporary file in the same directory, to the disk, then over the old name: a crash
    leaves the old file or the new one.

    Raises:
        ToolError: the system refuses.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            old: os.stat_result | None = path.stat()
        except FileNotFoundError:
            old = None
        if old is not None and not stat.S_ISREG(old.st_mode):
            raise ToolError(f"{path} is not a regular file.")
        if old is not None and not os.access(path, os.W_OK):
            raise ToolError(f"{path} is write-protected.", "Change its mode first, if that is meant.")
        # Not tempfile: that makes mode 0600, and a new file should follow the umask.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                if old is not None:
                    os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
                    _keep_owner(file.fileno(), old)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ToolError(f"{path} could not be written: {error.strerror or error}.") from None


def _keep_owner(handle: int, old: os.stat_result) -> None:
    new = os.fstat(handle)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(handle, old.st_uid, old.st_gid)
            os.fchmod(handle, stat.S_IMODE(old.st_mode))
        except OSError:
            pass
