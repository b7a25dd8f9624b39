"""Downloads a model from Hugging Face or from an address: only when asked, resumable, checked."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ante_nb import paths
from ante_nb.errors import LocalEngineError
from ante_nb.local import engine, memory, verified
from ante_nb.local.gguf import SHARD, read_header, read_model
from ante_nb.local.process import detached

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INSTALL = "pip install huggingface_hub"
_CODE = "import sys; sys.path.append(sys.argv[1]); from ante_nb.local.download_main import main; main()"
_ROOT = str(Path(__file__).resolve().parents[2])
_HUBS = ("huggingface.co", "hf.co", "www.huggingface.co")
_EVERY = 2.0  # seconds between two lines
# Besides what every engine gets. Other vendors' keys stay out of a process that talks to the network.
_PASSED = ("HF_", "HUGGING", "XDG_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Source:
    """What to fetch: an address, or a repository and what of it."""

    url: str | None = None
    repo: str = ""
    file: str | None = None
    revision: str | None = None

    @property
    def shown(self) -> str:
        """How lines call it; an address without its query, which may hold a signature."""
        return self.url.partition("?")[0] if self.url else self.repo


def source(what: str, home: Path, revision: str | None = None) -> Source:
    """What a person's words mean: an address, ``organisation/name[:file]``, or a verified model's name.

    Raises:
        LocalEngineError: nothing that can be fetched.
    """
    what = what.strip()
    if re.match(r"[a-z][a-z0-9+.-]*://", what, re.IGNORECASE):
        return _address(what, revision)
    row = verified.find(verified.read(home), what)
    if row is not None:
        if not row.repo:
            raise LocalEngineError(
                f"where {row.name} is kept was not published",
                f"Name its repository: `%ante local get ORGANISATION/NAME:{row.quant or row.filename}`",
            )
        return Source(repo=row.repo, file=row.filename, revision=revision)
    for hub in _HUBS:
        what = what.removeprefix(f"{hub}/")
    repo, _, file = what.partition(":")
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repo) or ".." in repo or len(repo) > 200:
        raise LocalEngineError(
            f"{what!r} is no repository", "Write organisation/name, organisation/name:Q8_0, or an address."
        )
    return Source(repo=repo, file=file.strip() or None, revision=revision)


def _address(url: str, revision: str | None) -> Source:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    shown = url.partition("?")[0]
    if not host or parts.scheme.lower() not in ("http", "https"):
        raise LocalEngineError(
            f"{shown} is no address of the web", "It has to begin with https:// or http://."
        )
    if parts.username or parts.password:
        raise LocalEngineError(
            "an address with a password in it is not taken", "Remove the part before the @."
        )
    page = re.fullmatch(r"/([^/]+/[^/]+)(?:/(?:resolve|blob|raw)/([^/]+)/(.+))?/?", parts.path)
    if host in _HUBS and page and page[1].count("/") == 1:
        return Source(repo=page[1], file=page[3], revision=revision or page[2])
    return Source(url=url)


async def fetch(
    what: str,
    *,
    home: Path | None = None,
    revision: str | None = None,
    sha256: str | None = None,
    encoder: bool = True,
    env: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Fetches a model into ``ANTE_HOME/models`` and returns the path of its (first) file.

    Cancelling it ends the download at once. What has come is kept in any case, and the next call goes on
    from there.

    Args:
        what: as :func:`source` takes it.
        home: ANTE_HOME.
        revision: branch, tag or commit of a repository.
        sha256: what the file at an address must have as its checksum (64 hexadecimal digits).
        encoder: whether the image encoder of the repository is fetched as well, where it has one.
        env: the environment, by default the process's (``HF_TOKEN``, ``HF_ENDPOINT``, proxies).
        progress: called with a line now and then.

    Raises:
        LocalEngineError: huggingface_hub is missing, there is no such file or no right to it, the disk is
            too small, it arrived damaged, or the network failed.
    """
    base = home or paths.home()
    wanted = await asyncio.to_thread(source, what, base, revision)
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise LocalEngineError(f"{sha256!r} is no SHA-256 checksum", "It has 64 hexadecimal digits.")
    if wanted.repo and importlib.util.find_spec("huggingface_hub") is None:
        raise LocalEngineError("downloads from Hugging Face need huggingface_hub", f"Run: {INSTALL}")
    directory = paths.models(base) / (wanted.repo.replace("/", "--") if wanted.repo else "")
    try:
        await asyncio.to_thread(paths.ensure, directory)
    except OSError as error:
        raise LocalEngineError(
            f"{directory} cannot be made: {error.strerror or error}", "Check ANTE_HOME."
        ) from None
    task = {
        "url": wanted.url,
        "repo": wanted.repo,
        "file": wanted.file,
        "revision": wanted.revision,
        "sha256": sha256.lower() if sha256 else None,
        "directory": str(directory),
        "encoder": encoder,
    }
    last = await _child(task, os.environ if env is None else env, _Lines(wanted.shown, progress))
    if "path" not in last:
        words = str(last.get("error") or "the download ended by itself")
        raise LocalEngineError(words, last.get("hint") or "Try again: what has come is kept.")
    path = Path(last["path"])
    split = SHARD.search(path.stem) is not None
    await asyncio.to_thread(read_model if split or "mmproj" not in path.name.lower() else read_header, path)
    progress(f"{path.name}: downloaded and checked")
    return path


async def download(
    repo: str,
    file: str | None = None,
    *,
    home: Path | None = None,
    revision: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """:func:`fetch` of a repository's file (its name or a part of it; by default a four-bit one)."""
    return await fetch(f"{repo}:{file}" if file else repo, home=home, revision=revision, progress=progress)


async def _child(task: dict[str, Any], env: Mapping[str, str], lines: _Lines) -> dict[str, Any]:
    """Runs the download process; returns the last thing it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-c", _CODE, _ROOT),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(env),
        **detached(),
    )
    assert process.stdin is not None and process.stdout is not None
    last: dict[str, Any] = {}
    try:
        # The input stays open: its end tells the process that this one is gone.
        process.stdin.write(json.dumps(task).encode() + b"\n")
        async for line in process.stdout:
            with contextlib.suppress(ValueError):
                last = json.loads(line)
            lines.take(last)
        await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        process.stdin.close()
    return last


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    more = {
        name: value for name, value in env.items() if name.startswith(_PASSED) or name.lower() in _PROXIES
    }
    kept = {**engine.child_environment(env, ""), **more, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    kept.pop("ANTE_LOCAL_KEY")
    return kept


class _Lines:
    """Lines for the person out of what the download process says."""

    def __init__(self, name: str, progress: Callable[[str], None]) -> None:
        self.name, self.progress = name, progress
        self.told = self.began = time.monotonic()
        self.first: tuple[float, int] | None = None
        self.checked = ""

    def take(self, said: Mapping[str, Any]) -> None:
        if "files" in said:
            self._begin(said)
        elif said.get("stage") == "download":
            self._download(str(said["file"]), int(said["done"]), int(said["total"]))
        elif said.get("stage") == "check" and said["file"] != self.checked:
            self.checked = str(said["file"])
            self.progress(f"checking {self.checked} ...")

    def _begin(self, said: Mapping[str, Any]) -> None:
        files, total, have = said["files"], int(said["total"]), int(said["have"])
        many = f"{files[0]} and {len(files) - 1} more" if len(files) > 1 else files[0]
        size = f", {memory.gigabytes(total)}" if total else ""
        kept = f" ({memory.gigabytes(have)} is here already)" if have else ""
        self.progress(f"downloading {many}{size}{kept} ...")
        free = memory.available_memory()
        if free is not None and total > free:
            self.progress(f"note: that is more than the {memory.gigabytes(free)} of memory that is free here")

    def _download(self, file: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self.first is None:
            self.first = (now, done)
        if now - self.told < _EVERY:
            return
        self.told = now
        seconds, came = now - self.first[0], done - self.first[1]
        speed = came / seconds if seconds > 0 else 0.0
        part = f"{100 * done // total} % of {memory.gigabytes(total)}" if total else memory.gigabytes(done)
        rate = f", {speed / 1e6:.1f} MB/s" if speed else ""
        left = f", {_time((total - done) / speed)} left" if speed and total > done else ""
        self.progress(f"downloading {file}: {part}{rate}{left}")


def _time(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
