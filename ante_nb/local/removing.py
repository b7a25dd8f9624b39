"""Deletes a downloaded model: only out of this package's own store, and never under a running server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ante_nb import paths
from ante_nb.errors import LocalEngineError
from ante_nb.local import discovery
from ante_nb.local.control import running_servers
from ante_nb.local.gguf import parts
from ante_nb.local.listing import is_own
from ante_nb.local.model_files import is_encoder, size_of

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.local.options import Options


def remove(options: Options, which: str) -> tuple[str, tuple[Path, ...], int]:
    """Deletes a model; returns its name, the files that are gone and their bytes.

    Links are deleted, not what they lead to. A damaged model can be deleted as well.

    Raises:
        LocalEngineError: there is no such model, a server runs it, it lies elsewhere, or it cannot be deleted.
    """
    model = _meant(options, which)
    if not is_own(options.home, model.path):
        hint = (
            f"It belongs to {model.source}: delete it there"
            if model.source != "path"
            else "Delete it yourself"
        )
        raise LocalEngineError(
            f"{model.id} is not in {paths.display(paths.models(options.home))}", f"{hint} ({model.path})."
        )
    users = [server for server in running_servers(options.home) if _same(server.path, model.path)]
    if users:
        raise LocalEngineError(
            f"{model.id} is in use by a local server (process {users[0].pid})",
            f"`%ante local stop {users[0].model}` ends it.",
        )
    files = [file for file in parts(model.path) if os.path.lexists(file)]
    if not files:
        raise LocalEngineError(
            f"{model.path} cannot be deleted: its folder cannot be entered",
            "Check the folder's owner and mode.",
        )
    size = sum(size_of(file) for file in files if not file.is_symlink())
    folder = model.path.parent
    if not any(_kept(path, files) for path in _listed(folder)):  # what came with it has no other use
        rest = [path for path in _listed(folder) if is_encoder(path) and path not in files]
        size += sum(map(size_of, rest))
        files += rest
    _delete(files)
    _tidy(folder, {file.name for file in files}, paths.models(options.home))
    return model.id, tuple(files), size


def _meant(options: Options, which: str) -> discovery.LocalModel:
    found = discovery.find_models(options.home, None, options.model_directories)
    exact = [model for model in found if which in (model.id, str(model.path), model.path.name)]
    if len(exact) == 1:
        return exact[0]  # a damaged one too: ``choose`` would refuse it
    return discovery.choose(which, found, labels=options.labels)


def _same(first: Path, second: Path) -> bool:
    try:
        return first.resolve() == second.resolve()
    except (OSError, RuntimeError):
        return False


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".gguf")
    except OSError:
        return []


def _kept(path: Path, gone: list[Path]) -> bool:
    return path not in gone and not is_encoder(path)


def _delete(files: list[Path]) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise LocalEngineError(
                f"{file} cannot be deleted: {error.strerror or error}", "Check who owns it, and who uses it."
            ) from error


def _tidy(folder: Path, names: set[str], store: Path) -> None:
    """Takes away what a download keeps beside its files, and a folder that is empty then."""
    notes = folder / ".cache" / "huggingface" / "download"
    for name in names:
        for path in [
            *notes.glob(f"{_literal(name)}.*"),
            *folder.glob(f"{_literal(name)}.part*"),
            folder / f".{name}.lock",
        ]:
            try:
                path.unlink()
            except OSError:
                continue
    empty = [
        notes,
        notes.parent / "CACHEDIR.TAG",
        notes.parent / ".gitignore",
        notes.parent,
        notes.parent.parent,
    ]
    if folder != store and not _listed(folder) and not any(notes.glob("*.incomplete")):
        for path in [*empty, folder]:
            try:
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
            except OSError:
                continue


def _literal(name: str) -> str:
    from glob import escape

    return escape(name)
