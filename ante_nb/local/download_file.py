"""Fetches one file over HTTP into a ``.part`` beside its place, goes on where an earlier try ended, checks it.

Standard library only. huggingface_hub's own download is not used for the bytes: its present releases (2.4)
delete what has come when they fail, so that an interrupted download of many gigabytes would begin anew.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ante_nb.errors import LocalEngineError
from ante_nb.local.gguf import read_header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_BLOCK = 1 << 20
_SEGMENT = 32 << 30  # content networks refuse whole answers of more than some 50 GB
_SPARE = 64 << 20  # bytes that are left free on the disk
_TRIES, _MOST = 5, 200  # without a byte of progress, and in all
_TIMEOUT = 60.0
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch: ``size`` (bytes) and ``sha256`` where they are known before."""

    url: str
    path: Path
    size: int | None = None
    sha256: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def part(self) -> Path:
        """What has come so far."""
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def note(self) -> Path:
        """What the part is a part of, as JSON."""
        return self.path.with_name(f"{self.path.name}.part.json")

    @property
    def shown(self) -> str:
        """The address without its query, which may hold a signature."""
        return urlunsplit(urlsplit(self.url)._replace(query="", fragment=""))


def fetch(wanted: Wanted, report: Callable[[str, int, int], None]) -> Path:
    """Fetches and checks; returns the file's path.

    Args:
        wanted: what.
        report: called with ``download`` or ``check``, the bytes done and those in all (0: not known).

    Raises:
        LocalEngineError: in words for the person; what has come is kept, except where it is of no use.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(wanted.path.with_name(f".{wanted.path.name}.lock"), timeout=1, mode=0o600):
            if _is_there(wanted, report):
                return wanted.path
            _transfer(wanted, report)
            _check(wanted, report)
            wanted.part.replace(wanted.path)
            wanted.note.unlink(missing_ok=True)
    except Timeout:
        raise LocalEngineError(
            f"{wanted.path.name} is being downloaded by another kernel", "Wait for it, or interrupt it there."
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LocalEngineError(
                "the disk is full", "Make room and try again: what has come is kept."
            ) from None
        raise LocalEngineError(
            f"{wanted.path} cannot be written: {error.strerror or error}", "Check its owner and mode."
        ) from None
    return wanted.path


def room(directory: Path, needed: int) -> None:
    """Whether ``needed`` more bytes fit.

    Raises:
        LocalEngineError: they do not; says the numbers.
    """
    from ante_nb.local.memory import gigabytes

    free = shutil.disk_usage(directory).free
    if needed + _SPARE > free:
        raise LocalEngineError(
            f"it needs {gigabytes(needed)} more on the disk of {directory}, {gigabytes(free)} is free",
            "Make room, or set ANTE_HOME to another disk.",
        )


def have(wanted: Wanted) -> int:
    """Bytes of it that need not be fetched any more."""
    for path in (wanted.path, wanted.part):
        try:
            if path != wanted.part or _note(wanted):
                return path.stat().st_size
        except OSError:
            continue
    return 0


def _is_there(wanted: Wanted, report: Callable[[str, int, int], None]) -> bool:
    try:
        size = wanted.path.stat().st_size
    except OSError:
        return False
    if wanted.sha256:
        return size == (wanted.size or size) and _digest(wanted.path, report) == wanted.sha256
    if wanted.size:
        return size == wanted.size
    # Of an address nothing is known before: what lies there may be somebody's own file of the same name.
    try:
        with _answer(wanted, {}) as answer:
            total = _total(answer, 0)
    except _BrokenError as broken:
        raise LocalEngineError(
            f"{wanted.path.name} could not be downloaded: {broken}", "Try again."
        ) from None
    if total == size:
        return True
    raise LocalEngineError(
        f"{wanted.path} is there already, and the address sends another file",
        "Delete it with `%ante local rm`, or move it away.",
    )


def _note(wanted: Wanted) -> dict[str, Any] | None:
    """The note of a part that belongs to ``wanted``."""
    try:
        note = json.loads(wanted.note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(note, dict):
        return None
    if wanted.sha256 and note.get("sha256"):
        return note if note["sha256"] == wanted.sha256 else None
    return note if note.get("url") == wanted.shown else None


def _transfer(wanted: Wanted, report: Callable[[str, int, int], None]) -> None:
    failures, tries = 0, 0
    while True:
        before = _size(wanted.part)
        try:
            if _segment(wanted, report):
                return
            failures = 0
            continue
        except _BrokenError as broken:
            failures = 0 if _size(wanted.part) > before else failures + 1
            tries += 1
            if failures >= _TRIES or tries >= _MOST:
                raise LocalEngineError(
                    f"{wanted.path.name} could not be downloaded: {broken}",
                    "Try again: what has come is kept.",
                ) from None
            wait = broken.wait if broken.wait is not None else min(2.0**failures - 1, 30.0)
        time.sleep(wait)


class _BrokenError(Exception):
    """A try that may go better next time, after ``wait`` seconds."""

    def __init__(self, words: str, wait: float | None = None) -> None:
        super().__init__(words)
        self.wait = wait


def _segment(wanted: Wanted, report: Callable[[str, int, int], None]) -> bool:
    """One answer of the server appended to the part; whether that is all of it."""
    note = _note(wanted)
    begin = _size(wanted.part) if note else 0
    if note and note.get("total") and begin == note["total"]:
        return True
    headers = dict(wanted.headers)
    if begin or (wanted.size or 0) > _SEGMENT:
        headers["Range"] = f"bytes={begin}-{begin + _SEGMENT - 1}"
        if note and str(note.get("etag", "")).startswith('"'):
            headers["If-Range"] = note["etag"]
    with _answer(wanted, headers) as answer:
        total = _total(answer, begin)
        if begin and answer.status == 206 and total == (note or {}).get("total"):
            mode = "ab"
        elif answer.status == 206 and begin:
            wanted.note.unlink(missing_ok=True)  # it is another file now
            raise _BrokenError("the file on the server has changed", 0.0)
        else:
            begin, mode = 0, "wb"
        if wanted.size and total and total != wanted.size:
            raise LocalEngineError(
                f"{wanted.path.name} should have {wanted.size} bytes, the server sends {total}",
                "Try again later.",
            )
        if mode == "wb":
            room(wanted.path.parent, total or 0)
            wanted.note.write_text(
                json.dumps(
                    {
                        "url": wanted.shown,
                        "etag": answer.headers.get("ETag"),
                        "total": total,
                        "sha256": wanted.sha256,
                    }
                ),
                encoding="utf-8",
            )
        else:
            room(wanted.path.parent, (total or 0) - begin)
        _append(wanted, answer, mode, begin, total, report)
    return total is None or _size(wanted.part) >= total


def _append(
    wanted: Wanted,
    answer: http.client.HTTPResponse,
    mode: str,
    done: int,
    total: int | None,
    report: Callable[[str, int, int], None],
) -> None:
    expected = answer.length
    came = 0
    with wanted.part.open(mode, buffering=0) as file:
        while True:
            try:
                block = answer.read(_BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _BrokenError(_words(error)) from None
            if not block:
                break
            if done == 0 and came == 0 and not block.startswith(b"GGUF"[: len(block)]):
                raise LocalEngineError(
                    f"what {wanted.shown} sends is no GGUF file", "Give the address of the file itself."
                )
            file.write(block)
            came += len(block)
            report("download", done + came, total or 0)
    if expected is not None and came < expected:
        raise _BrokenError("the connection broke off")


def _answer(wanted: Wanted, headers: Mapping[str, str]) -> http.client.HTTPResponse:
    from ante_nb._version import __version__

    opener = urllib.request.build_opener(_Redirects)
    request = urllib.request.Request(
        wanted.url, headers={"User-Agent": f"ante_nb/{__version__}", "Accept-Encoding": "identity", **headers}
    )
    try:
        answer: http.client.HTTPResponse = opener.open(request, timeout=_TIMEOUT)
        return answer
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(wanted, error) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _BrokenError(_words(error)) from None


def _refused(wanted: Wanted, error: urllib.error.HTTPError) -> Exception:
    name, code = wanted.path.name, error.headers.get("X-Error-Code", "")
    if error.code == 416:  # the part is longer than the file
        wanted.note.unlink(missing_ok=True)
        return _BrokenError("the file on the server has changed", 0.0)
    if code == "GatedRepo":
        return gated(urlsplit(wanted.url).path.strip("/").split("/resolve/")[0])
    if error.code in (401, 403):
        return LocalEngineError(
            f"the server refuses {name}: status {error.code}", "For a private repository set HF_TOKEN."
        )
    if error.code in (404, 410):
        return LocalEngineError(f"there is no {wanted.shown}", "Check the address.")
    if error.code in _TRANSIENT:
        after = error.headers.get("Retry-After", "")
        return _BrokenError(f"status {error.code}", min(float(after), 60.0) if after.isdigit() else None)
    return LocalEngineError(f"the server refuses {name}: status {error.code}", "Try again later.")


def gated(repo: str) -> LocalEngineError:
    """The error for a repository whose owner wants to be asked."""
    return LocalEngineError(
        f"{repo} is gated: its owner wants its terms accepted",
        f"Accept them at https://huggingface.co/{repo}, then set HF_TOKEN to a token of yours.",
    )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To http and https alone, never from https to http, and no key to another host."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
            raise LocalEngineError(
                f"{old.hostname} sends on to an address of {new.scheme}", "It is not followed."
            )
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and (old.hostname, old.port) != (new.hostname, new.port):
            made.remove_header("Authorization")
            made.remove_header("Cookie")
        return made


def _total(answer: http.client.HTTPResponse, begin: int) -> int | None:
    """Bytes of the whole file."""
    if answer.status == 206:
        span, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        start = span.partition("-")[0]
        return int(total) if total.isdigit() and start == str(begin) else None
    return answer.length


def _check(wanted: Wanted, report: Callable[[str, int, int], None]) -> None:
    """Raises if what has come is not what it should be; it is of no use then and removed."""
    problem = ""
    if wanted.sha256 and _digest(wanted.part, report) != wanted.sha256:
        problem = "its checksum is wrong"
    else:
        try:
            read_header(wanted.part)
        except LocalEngineError as error:
            problem = error.message.partition(": ")[2] or error.message
    if problem:
        for path in (wanted.part, wanted.note):
            path.unlink(missing_ok=True)
        raise LocalEngineError(f"{wanted.path.name} arrived damaged and was removed: {problem}", "Try again.")


def _digest(path: Path, report: Callable[[str, int, int], None]) -> str:
    size, done, digest = path.stat().st_size, 0, hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(8 * _BLOCK):
            digest.update(block)
            done += len(block)
            report("check", done, size)
    return digest.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _words(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, BaseException) else error
    return " ".join(str(getattr(cause, "strerror", None) or cause).split())[:200] or type(cause).__name__
