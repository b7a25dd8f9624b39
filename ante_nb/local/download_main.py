"""The download process: asks the hub what there is, fetches files and checks them.

Started by :mod:`ante_nb.local.download`, so that an interrupt can end it at once; what was fetched stays
and the next try goes on from there. Is told what to do as JSON in its first line of input, ends when its input
ends, and speaks JSON lines on its standard output.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ante_nb.errors import LocalEngineError
from ante_nb.local.download_file import Wanted, fetch, gated, have, room
from ante_nb.local.gguf import SHARD

# Good quality for its size, as most model pages recommend; then the neighbours.
PREFERRED = ("q4_k_m", "q4_k_s", "q4_k_xl", "q5_k_m", "q4_0", "q4_1", "mxfp4", "q6_k", "q8_0")
ENCODERS = ("mmproj-f16", "mmproj-bf16", "f16", "bf16", "q8_0")
_EVERY = 0.5  # seconds between two words of progress


def pick(names: list[str], wanted: str | None, *, encoder: bool = True) -> list[str]:
    """The files of the model that ``wanted`` means: a name or a part of one like ``Q8_0``.

    Of a split model all parts; with ``encoder`` the image encoder of the repository comes last, where it
    has one. Without ``wanted`` the preferred quantization is taken. Empty where nothing fits.
    """
    every = sorted(name for name in names if name.lower().endswith(".gguf"))
    encoders = [name for name in every if "mmproj" in name.lower()]
    first = {}
    for name in every:
        shard = SHARD.search(name[: -len(".gguf")])
        if name not in encoders and (shard is None or int(shard[1]) == 1):
            first[name] = shard
    if wanted and "mmproj" in wanted.lower():
        fits = [name for name in encoders if wanted.lower() in name.lower()]
        return fits[:1]
    chosen = _best(list(first), wanted)
    if chosen is None:
        return []
    shard = first[chosen]
    files = [chosen]
    if shard is not None:
        base = chosen[: -len(".gguf")][: shard.start()]
        files = [f"{base}-{n:05d}-of-{shard[2]}.gguf" for n in range(1, int(shard[2]) + 1)]
    if encoder and encoders:
        ranked = (name for word in ENCODERS for name in encoders if word in name.lower())
        files.append(next(ranked, encoders[0]))
    return files


def _best(names: list[str], wanted: str | None) -> str | None:
    if wanted:
        word = wanted.lower().removesuffix(".gguf")
        exact = [name for name in names if name.lower().removesuffix(".gguf") == word]
        exact += [name for name in names if _stem(name) == word or SHARD.sub("", _stem(name)) == word]
        names = exact[:1] or [name for name in names if word in name.lower()]
    preferred = (name for kind in PREFERRED for name in names if kind in name.lower())
    return next(preferred, names[0] if names else None)


def _stem(name: str) -> str:
    return name.lower().rpartition("/")[2].removesuffix(".gguf")


def main() -> None:
    """Fetches; ends with a line ``{"path": ...}`` or ``{"error": ..., "hint": ...}``."""
    try:
        task = json.loads(sys.stdin.readline())
        threading.Thread(target=_end_with_input, daemon=True).start()
        say(path=str(_url(task) if task.get("url") else _hub(task)))
    except LocalEngineError as error:
        say(error=error.message, hint=error.hint or "")
    except Exception as error:  # the libraries', the network's, the disk's: all are one line to a person
        say(error=" ".join(str(error).split())[:300] or type(error).__name__, hint="Try again.")


def _end_with_input() -> None:
    """Ends this process when the one that started it is gone, however it went."""
    while sys.stdin.read(1):
        pass
    os._exit(1)


def _url(task: dict[str, Any]) -> Path:
    wanted = Wanted(task["url"], Path(task["directory"]) / name_of(task["url"]), sha256=task.get("sha256"))
    say(files=[wanted.path.name], total=0, have=0)
    return fetch(wanted, _Progress(wanted.path.name))


def name_of(url: str) -> str:
    """The file's name in an address.

    Raises:
        LocalEngineError: it is none of a .gguf file.
    """
    name = unquote(urlsplit(url).path).replace("\\", "/").rpartition("/")[2]
    if not re.fullmatch(r"[^\x00-\x1f/:*?\"<>|.][^\x00-\x1f/:*?\"<>|]{0,200}\.gguf", name, re.IGNORECASE):
        raise LocalEngineError(f"{name or 'that'!r} is no .gguf file", "Give the address of the file itself.")
    return name


def _hub(task: dict[str, Any]) -> Path:
    hub: Any = import_module("huggingface_hub")
    repo = task["repo"]
    try:
        info = hub.HfApi().model_info(repo, revision=task.get("revision"), files_metadata=True)
    except Exception as error:
        raise _explained(repo, task.get("revision"), error) from error
    known = {item.rfilename: item for item in info.siblings or []}
    names = pick(list(known), task.get("file"), encoder=task.get("encoder", True))
    missing = [name for name in names if name not in known]
    if not names or missing:
        there = ", ".join(sorted(name for name in known if name.lower().endswith(".gguf"))[:8]) or "none"
        what = f"{missing[0]} is missing" if missing else f"{repo} has no such .gguf file"
        raise LocalEngineError(what, f"It has: {there}.")
    headers = {
        name: value
        for name, value in hub.utils.build_hf_headers().items()
        if name.lower() in ("authorization", "user-agent")
    }
    wanted = []
    for name in names:
        lfs = getattr(known[name], "lfs", None)
        digest = (
            (lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", None)) if lfs else None
        )
        url = hub.hf_hub_url(repo, name, revision=info.sha)
        path = Path(task["directory"]) / name_of(url)
        wanted.append(Wanted(url, path, known[name].size, digest, headers))
    total, come = sum(one.size or 0 for one in wanted), sum(map(have, wanted))
    room(Path(task["directory"]), max(0, total - come))
    say(files=[one.path.name for one in wanted], total=total, have=come, commit=info.sha)
    done = 0
    for one in wanted:
        fetch(one, _Progress(one.path.name, done, total))
        done += one.size or 0
    return wanted[0].path


def _explained(repo: str, revision: str | None, error: Exception) -> LocalEngineError:
    """The hub's errors in words; told by name, since the library's releases differ in what they are."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", None)
    if "GatedRepoError" in kinds:
        return gated(repo)
    if "RevisionNotFoundError" in kinds:
        return LocalEngineError(f"{repo} has no revision {revision!r}", "Check it on the model's page.")
    if "RepositoryNotFoundError" in kinds:
        return LocalEngineError(
            f"there is no public repository {repo}", "Check its name; for a private one set HF_TOKEN."
        )
    if "OfflineModeIsEnabled" in kinds:
        return LocalEngineError("HF_HUB_OFFLINE forbids downloads", "Remove that variable.")
    if status in (401, 403):
        return LocalEngineError(f"the hub refuses {repo}: status {status}", "Check the token in HF_TOKEN.")
    if status is not None:
        return LocalEngineError(f"the hub answers with status {status}", "Try again later.")
    words = " ".join(str(error).split())[:200] or type(error).__name__
    return LocalEngineError(
        f"the hub cannot be asked for {repo}: {words}", "Check the network, and try again."
    )


class _Progress:
    """Says how far it is, now and then."""

    def __init__(self, file: str, before: int = 0, total: int = 0) -> None:
        self.file, self.before, self.total, self.told = file, before, total, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.told >= _EVERY or done == total:
            self.told = now
            if stage == "check":
                say(stage=stage, file=self.file, done=done, total=total)
            else:
                say(stage=stage, file=self.file, done=self.before + done, total=self.total or total)


def say(**line: Any) -> None:
    """One line to the process that started this one."""
    print(json.dumps(line), flush=True)
