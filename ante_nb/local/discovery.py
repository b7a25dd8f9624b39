"""Finds GGUF models on this machine, and the one that a name or a path means."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ante_nb import paths
from ante_nb.errors import LocalEngineError
from ante_nb.local import preferences
from ante_nb.local.gguf import SHARD, looks_usable, parts, read_header, read_model
from ante_nb.local.model_files import QUANT, LocalModel, folder, scan, shardless, size_of
from ante_nb.local.stores import DEMO_INSTALL, DEMO_PACKAGE, models_in, places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["DEMO_INSTALL", "DEMO_PACKAGE", "LocalModel", "choose", "find_models", "places", "shardless"]


def find_models(
    home: Path | None = None, env: Mapping[str, str] | None = None, extra: Iterable[Path] = ()
) -> list[LocalModel]:
    """All models found, each file once, in the order of the places searched (the demo model last).

    Reads the first bytes of each file to tell damaged ones; blocks on the disk.

    Args:
        home: ANTE_HOME.
        env: the environment (``LLAMA_CACHE``, ``HF_HUB_CACHE``, ``HF_HOME``, ``OLLAMA_MODELS``, ``HOME``,
            ``XDG_CACHE_HOME``).
        extra: further directories, searched first.
    """
    env = os.environ if env is None else env
    found: list[LocalModel] = []
    seen: dict[Path, str] = {}
    taken: set[str] = set()
    for source, directory in places(home or paths.home(), env, extra):
        for model in models_in(source, directory):
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


def choose(
    wanted: str | None,
    models: Sequence[LocalModel],
    *,
    default: str | None = None,
    last: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> LocalModel:
    """The model that ``wanted`` means: a path, an id, a file name or the beginning of one.

    ``None`` and ``local`` mean ``default``, else ``last`` if that is still there, else the first usable model
    found that is not the demo model, else the demo model. The files are read to see that they are whole.

    Raises:
        LocalEngineError: none is there, the name fits none or several (near matches are named), or the
            one meant is damaged, cut off, or lacks parts.
    """
    wanted = (None if wanted == "local" else wanted) or default
    if not wanted and last:
        try:
            return _whole(_meant(last, models, labels))
        except LocalEngineError:
            pass  # it was deleted, or its disk is not there
    return _whole(_meant(wanted, models, labels)) if wanted else _first(models)


def _whole(model: LocalModel) -> LocalModel:
    read_model(model.path)  # says what is wrong with it
    if model.mmproj is None:
        return model
    try:
        read_header(model.mmproj)
    except LocalEngineError:
        return replace(model, mmproj=None)  # it costs the images, not the model
    return model


def _first(models: Sequence[LocalModel]) -> LocalModel:
    if not models:
        raise LocalEngineError(
            "no local model was found",
            f"Put a .gguf file into {paths.display(paths.models())}, or try the demo model: {DEMO_INSTALL}.",
        )
    flaws = []
    for model in sorted(models, key=lambda model: model.demo):
        if not model.flaw:
            try:
                return _whole(model)
            except LocalEngineError:
                flaws.append(f"{model.id} (damaged)")
        else:
            flaws.append(f"{model.id} ({model.flaw})")
    raise LocalEngineError(
        f"no local model can be used: {', '.join(flaws[:8])}",
        f"Download it again, or try the demo model: {DEMO_INSTALL}.",
    )


def _meant(wanted: str, models: Sequence[LocalModel], labels: Mapping[str, str] | None) -> LocalModel:
    wanted = (labels or {}).get(wanted, wanted)
    if re.match(r"https?://", wanted):
        raise LocalEngineError(
            "a model has to be downloaded before it is used", f"`%ante local get {wanted}`"
        )
    path = preferences.expanded(wanted)
    if "/" in wanted.rstrip("/") or os.sep in wanted or _exists(path):
        exact = [model for model in models if model.id == wanted]
        exact += [model for model in models if _same(model.path, path)]
        return exact[0] if exact else _from_path(path)
    folded = wanted.casefold().removesuffix(".gguf")
    for fits in _ways(folded):
        hits = [model for model in models if fits(model.id.casefold())]
        # Which of two equal names is meant was asked for; of several beginnings it was not.
        if len(hits) == 1:
            return hits[0]
        if hits:
            raise LocalEngineError(
                f"{wanted!r} fits several local models: {', '.join(model.id for model in hits[:8])}",
                "Give the whole name.",
            )
    ids = [model.id for model in models]
    names = {name.casefold(): name for name in ids}
    near = [names[name] for name in difflib.get_close_matches(folded, list(names), 3, 0.4)]
    hint = f"Near: {', '.join(near)}." if near else f"There are: {', '.join(ids[:8])}." if ids else ""
    raise LocalEngineError(
        f"no local model is called {wanted!r}", hint or f"Try the demo model: {DEMO_INSTALL}."
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a null character
        return False


def _same(first: Path, second: Path) -> bool:
    try:
        return first.absolute() == second.absolute() or first.resolve() == second.resolve()
    except (OSError, ValueError, RuntimeError):
        return False


def _ways(wanted: str) -> list[Callable[[str], bool]]:
    return [
        lambda name: name == wanted,
        lambda name: SHARD.sub("", wanted) == name,
        lambda name: QUANT.sub("", name) == wanted,
        lambda name: name.split(":")[0] == wanted,
        lambda name: name.startswith(wanted),
        lambda name: wanted in name,
    ]


def _from_path(path: Path) -> LocalModel:
    if not _exists(path):
        if re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w.-]+)?", str(path)):
            raise LocalEngineError(
                f"no model file {path}", f"If that is a repository on Hugging Face: `%ante local get {path}`"
            )
        parts(path)  # a later part is refused as such
        read_header(path)  # says what is wrong
    if path.is_dir():
        inside = list(scan(path, "path"))
        if len(inside) == 1:
            return inside[0]
        names = ", ".join(model.id for model in inside[:8])
        raise LocalEngineError(
            f"{path} is a directory", f"It holds: {names}; name one." if names else "It holds no .gguf model."
        )
    every = parts(path)
    beside = sorted(
        file for file in path.parent.glob("*") if file.suffix.lower() == ".gguf" and file.is_file()
    )
    found = next((model for model in folder(beside, "path") if _same(model.path, path)), None)
    stem = shardless(path.stem) if path.suffix.lower() == ".gguf" else path.name
    return found or LocalModel(stem, path, sum(map(size_of, every)), "path", parts=len(every))
