"""The download process: fetches one model file with huggingface_hub and checks it.

Started by :mod:`ante_nb.local.download`, so that an interrupt can end it at once; what was fetched stays
and the next try goes on from there. Speaks JSON lines on its standard output.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# Good quality for its size, as most model pages recommend; then the neighbours.
PREFERRED = ("q4_k_m", "q4_k_s", "q5_k_m", "q4_0", "q4_1", "mxfp4", "q6_k", "q8_0")


def pick(names: list[str], wanted: str | None) -> str | None:
    """The file that ``wanted`` means (a name or a part like ``Q8_0``), else the preferred quantization."""
    models = [
        name
        for name in sorted(names)
        if name.lower().endswith(".gguf") and "mmproj" not in name.lower() and "-of-0" not in name
    ]
    if wanted:
        fits = [name for name in models if name == wanted] or [
            name for name in models if wanted.lower() in name.lower()
        ]
        return fits[0] if fits else None
    return next(
        (name for kind in PREFERRED for name in models if kind in name.lower()), models[0] if models else None
    )


def main(repo: str, wanted: str, directory: str, revision: str) -> None:
    """Fetches; ends with a line ``{"path": ...}`` or ``{"error": ...}``."""
    try:
        _say(path=str(_fetch(repo, wanted or None, Path(directory), revision or None)))
    except (
        Exception
    ) as error:  # the library's errors, the network's, the disk's: all are one line to a person
        _say(error=" ".join(str(error).split())[:300] or type(error).__name__, kind=type(error).__name__)


def _fetch(repo: str, wanted: str | None, directory: Path, revision: str | None) -> Path:
    hub: Any = import_module("huggingface_hub")
    info = hub.HfApi().model_info(repo, revision=revision, files_metadata=True)
    files = {item.rfilename: item for item in info.siblings or []}
    name = pick(list(files), wanted)
    if name is None:
        there = ", ".join(sorted(file for file in files if file.lower().endswith(".gguf"))[:8]) or "none"
        raise ValueError(f"{repo} has no such single .gguf file; it has: {there}")
    lfs = getattr(files[name], "lfs", None)
    digest = getattr(lfs, "sha256", None) or (lfs or {}).get("sha256") if lfs else None
    _say(file=name, total=files[name].size or 0)
    path = Path(hub.hf_hub_download(repo, name, revision=info.sha, local_dir=directory))
    if digest and _sha256(path) != digest:
        path.unlink()
        raise ValueError(f"{name} arrived damaged and was removed")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:5])
