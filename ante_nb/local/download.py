"""Downloads a model from Hugging Face: only when asked, resumable, its checksum compared."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb import paths
from ante_nb.errors import LocalEngineError
from ante_nb.local import memory
from ante_nb.local.gguf import read_header

if TYPE_CHECKING:
    from collections.abc import Callable

INSTALL = "pip install huggingface_hub"
_CODE = (
    "import sys; sys.path.append(sys.argv.pop(1));"
    "from ante_nb.local.download_main import main; main(*sys.argv[1:5])"
)
_ROOT = str(Path(__file__).resolve().parents[2])


async def download(
    repo: str,
    file: str | None = None,
    *,
    home: Path | None = None,
    revision: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Fetches a model into ``ANTE_HOME/models/<repo>`` and returns its path.

    Args:
        repo: ``organisation/name`` on Hugging Face.
        file: the file or a part of its name (``Q8_0``); by default a four-bit one.
        home: ANTE_HOME.
        revision: branch, tag or commit.
        progress: called with a line now and then.

    Raises:
        LocalEngineError: huggingface_hub is missing, there is no such file, it arrived damaged, or the
            network failed (what was fetched is kept, and the next call goes on from there).
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise LocalEngineError("downloads need huggingface_hub", f"Run: {INSTALL}")
    if repo.count("/") != 1 or repo.startswith(("/", ".")) or ".." in repo:
        raise LocalEngineError(f"{repo!r} is no repository", "Write organisation/name.")
    directory = paths.models(home) / repo.replace("/", "--")
    await asyncio.to_thread(paths.ensure, directory)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-c", _CODE, _ROOT, repo, file or "", str(directory), revision or ""),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        start_new_session=True,
    )
    assert process.stdout is not None
    last: dict[str, Any] = {}
    watcher: asyncio.Task[None] | None = None
    try:
        async for line in process.stdout:
            with contextlib.suppress(ValueError):
                last = json.loads(line)
            if "total" in last:
                watcher = asyncio.create_task(_watch(directory, last["file"], last["total"], progress))
        await process.wait()
    finally:
        if watcher is not None:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()
    if "path" not in last:
        why = last.get("error", f"the download ended with code {process.returncode}")
        raise LocalEngineError(f"{repo} could not be downloaded: {why}", "Try again: what has come is kept.")
    path = Path(last["path"])
    await asyncio.to_thread(read_header, path)
    progress(f"{path.name}: downloaded and checked")
    return path


async def _watch(directory: Path, name: str, total: int, progress: Callable[[str], None]) -> None:
    """Says how far it is; the library keeps what has come in a ``.incomplete`` file."""
    progress(f"downloading {name}, {memory.gigabytes(total)} ...")
    while True:
        await asyncio.sleep(2)
        size = await asyncio.to_thread(_incomplete, directory)
        if size and total:
            progress(f"downloading {name}: {100 * size // total} % of {memory.gigabytes(total)}")


def _incomplete(directory: Path) -> int:
    try:
        return max((path.stat().st_size for path in directory.rglob("*.incomplete")), default=0)
    except OSError:
        return 0
