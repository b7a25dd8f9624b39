"""The models in a folder: single files, split ones, and the image encoders beside them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.local.gguf import SHARD, parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

QUANT = re.compile(r"[.\-_](ud-)?(i?q\d\w*|bf16|f16|f32|tq\d_0|mxfp4\w*)$", re.IGNORECASE)
_DEPTH = 6  # folders below a place
LIMIT = 20_000  # directory entries per place: a home directory by mistake must not stall a turn


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model: one file, or the first of several parts.

    ``size`` is in bytes over all ``parts``; ``source`` says where it was found (``path``: named by the
    person); ``damaged`` means that it does not begin as a GGUF file does, ``complete`` that none of its
    parts is missing or empty; ``mmproj`` is the image encoder that lies beside it.
    """

    id: str
    path: Path
    size: int
    source: str
    complete: bool = True
    damaged: bool = False
    parts: int = 1
    mmproj: Path | None = None

    @property
    def flaw(self) -> str:
        """Why it cannot be used, in a word or two; empty where nothing is known against it."""
        return "damaged" if self.damaged else "" if self.complete else "incomplete"

    @property
    def loaded(self) -> Path:
        """The path to load it by: that of the file itself, where links do not matter.

        An engine finds the other parts of a split model by the first one's name, which in Hugging Face's
        cache is a link's.
        """
        return self.path.absolute() if self.parts > 1 else self.path.resolve()

    @property
    def mmproj_size(self) -> int:
        """Bytes of the image encoder, which is loaded as well."""
        return size_of(self.mmproj) if self.mmproj else 0

    @property
    def demo(self) -> bool:
        """The 135M demonstration model: it answers, but it is no agent."""
        return self.source == "demo"


def walk(root: Path) -> Iterator[Path]:
    """The .gguf files below ``root``, folder by folder; links to folders are followed, each folder is seen once."""
    count, pending, seen = 0, [(root, 0)], set[tuple[int, int]]()
    while pending:
        directory, depth = pending.pop(0)
        try:
            info = directory.stat()
            if (info.st_dev, info.st_ino) in seen and info.st_ino:
                continue
            seen.add((info.st_dev, info.st_ino))
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except (OSError, ValueError):
            continue
        for entry in entries:
            count += 1
            if count > LIMIT:
                return
            try:
                if entry.is_dir():
                    if depth < _DEPTH and entry.name not in ("blobs", ".locks", ".cache", ".git"):
                        pending.append((Path(entry.path), depth + 1))
                elif entry.name.lower().endswith(".gguf") and entry.is_file():
                    yield Path(entry.path)
            except OSError:
                continue


def scan(root: Path, source: str) -> Iterator[LocalModel]:
    folders: dict[Path, list[Path]] = {}
    for path in walk(root):
        folders.setdefault(path.parent, []).append(path)
    for files in folders.values():
        yield from folder(files, source)


def folder(files: Sequence[Path], source: str) -> Iterator[LocalModel]:
    """The models among the .gguf files of one folder, each with the image encoder that belongs to it."""
    encoders = [path for path in files if is_encoder(path)]
    models: list[LocalModel] = []
    for path in files:
        if path in encoders or path.name.lower().startswith("ggml-vocab"):
            continue
        shard = SHARD.search(path.stem)
        if shard is None:
            models.append(LocalModel(path.stem, path, size_of(path), source))
        elif int(shard[1]) == 1:
            every = parts(path)
            sizes = [size_of(file) for file in every]
            models.append(
                LocalModel(
                    shardless(path.stem), path, sum(sizes), source, complete=all(sizes), parts=len(every)
                )
            )
    for model in models:
        yield replace(model, mmproj=_encoder(model, models, encoders)) if encoders else model


def is_encoder(path: Path) -> bool:
    """Whether a file's name says that it holds an image encoder and no model."""
    return "mmproj" in path.name.lower()


def _encoder(model: LocalModel, models: Sequence[LocalModel], encoders: Sequence[Path]) -> Path | None:
    """The encoder of ``model``: one that bears its name, else any in a folder of this model alone."""
    base = _base(model.id)
    named = [path for path in encoders if _named(path) and base.startswith(_named(path))]
    alone = len({_base(other.id) for other in models}) == 1
    fitting = named or (encoders if alone else [])
    # Of several precisions the one that most hardware computes well.
    ranks = ("f16", "bf16", "q8_0", "f32")
    rank = {word: at for at, word in enumerate(ranks)}
    return min(
        fitting,
        key=lambda path: (
            -len(_named(path)),
            next((rank[word] for word in ranks if path.stem.lower().endswith(word)), 9),
            path.name,
        ),
        default=None,
    )


def _named(encoder: Path) -> str:
    """What an encoder's name says of its model: nothing for ``mmproj-F16``."""
    words = re.sub(r"mmproj(-model)?", " ", encoder.stem, flags=re.IGNORECASE).split()
    return _base("-".join(word.strip("-_.") for word in words))


def _base(name: str) -> str:
    """A model's name without its quantization, as names are compared."""
    while True:
        shorter = re.sub(r"^(bf16|f16|f32|q\d\w*)$", "", QUANT.sub("", name), flags=re.IGNORECASE)
        if shorter == name:
            return re.sub(r"[^a-z0-9]+", "", name.casefold())
        name = shorter


def shardless(stem: str) -> str:
    """A file's stem without ``-00001-of-00003``."""
    return SHARD.sub("", stem)


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
