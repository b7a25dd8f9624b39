"""Models that were tried with an agent: Ante's published list, and ``verified_models.json`` on top of it.

Source: Ante's documentation, "Verified Models" (of 2026-08-21). It publishes names, quantizations, sizes and
contexts, but not the repositories of the built-in list; so a model of that list is known again when it is
there, and to download one its repository has to be named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ante_nb.local import preferences

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class VerifiedModel:
    """A row: ``context_window`` in tokens, ``file_size_mb`` in millions of bytes.

    ``filename`` is the file's name in ``repo`` and the key by which rows are merged; the built-in ones have
    a ``quant`` in its place where it was not published. ``evaluated`` marks those that ran a full benchmark.
    """

    name: str
    filename: str = ""
    repo: str = ""
    context_window: int | None = None
    file_size_mb: int | None = None
    kv_cache_bytes_per_token: int | None = None
    support_vision: bool | None = None
    quant: str = ""
    evaluated: bool = False

    def fits(self, file: str) -> bool:
        """Whether a file of this name is this model."""
        if self.filename:
            return preferences.key(self.filename) == preferences.key(file)
        plain = _plain(file)
        return plain.startswith(_plain(self.name)) and plain.endswith(_plain(self.quant))


def _row(name: str, quant: str, megabytes: int, kilo: int, filename: str = "") -> VerifiedModel:
    return VerifiedModel(
        name, filename, context_window=kilo * 1024, file_size_mb=megabytes, quant=quant,
        evaluated=name == "Qwen3.6 27B",
    )  # fmt: skip


BUILT_IN = (
    _row("Qwen3.6 27B", "Q4_K_M", 17_000, 256, "Qwen3.6-27B-Q4_K_M.gguf"),
    _row("MiniMax-M2.7", "Q3_K_XL", 102_000, 192),
    _row("Qwen3.5 122B-A10B", "Q2_K", 45_000, 256),
    _row("Qwen3.6 35B-A3B", "Q4_K_M", 22_000, 256),
    _row("GLM-4.7-Flash", "Q4_K_M", 18_000, 198),
    _row("Qwen3.5 27B", "Q4_K_M", 17_000, 256),
    _row("Gemma 4 26B-A4B-it", "Q4_K_M", 16_000, 256),
    _row("Devstral-Small-2 24B", "Q4_K_M", 14_000, 384),
    _row("Qwen3.5 9B", "Q4_K_M", 5_700, 256, "Qwen3.5-9B-Q4_K_M.gguf"),
    _row("Gemma 4 E4B-it", "Q4_K_M", 4_700, 128),
)


def file(home: Path) -> Path:
    """``verified_models.json`` of ``home`` (ANTE_HOME)."""
    return home / "verified_models.json"


def read(home: Path) -> list[VerifiedModel]:
    """The built-in rows with the user's merged in by ``filename``; rows without a name or a file are left out."""
    merged = list(BUILT_IN)
    rows = preferences.read(file(home)).get("models")
    for data in rows if isinstance(rows, list) else ():
        row = _parse(data)
        if row is None:
            continue
        at = next((i for i, known in enumerate(merged) if known.fits(row.filename)), None)
        if at is None:
            merged.append(row)
        else:
            merged[at] = replace(row, evaluated=merged[at].evaluated)
    return merged


def _parse(data: Any) -> VerifiedModel | None:
    if not isinstance(data, dict):
        return None

    def text(name: str) -> str:
        value = data.get(name)
        return value.strip() if isinstance(value, str) else ""

    def number(name: str) -> int | None:
        value = data.get(name)
        return int(value) if isinstance(value, int | float) and value > 0 and value == value else None

    vision = data.get("support_vision")
    if not text("name") or not text("filename"):
        return None
    try:
        return VerifiedModel(
            name=text("name"),
            filename=text("filename"),
            repo=text("repo"),
            context_window=number("context_window"),
            file_size_mb=number("file_size_mb"),
            kv_cache_bytes_per_token=number("kv_cache_bytes_per_token"),
            support_vision=vision if isinstance(vision, bool) else None,
        )
    except OverflowError:  # 1e999 is infinite
        return None


def find(rows: Iterable[VerifiedModel], name: str) -> VerifiedModel | None:
    """The row of a model's name or of a file's."""
    wanted = name.strip().casefold()
    rows = list(rows)
    return next((row for row in rows if row.name.casefold() == wanted), None) or next(
        (row for row in rows if row.fits(name)), None
    )


def add(home: Path, row: VerifiedModel) -> None:
    """Puts ``row`` into ``verified_models.json``, in the place of one with its file name.

    Raises:
        ConfigError: the file is damaged, or cannot be written.
    """
    known = {
        "name": row.name,
        "repo": row.repo,
        "filename": row.filename,
        "context_window": row.context_window,
        "file_size_mb": row.file_size_mb,
        "kv_cache_bytes_per_token": row.kv_cache_bytes_per_token,
        "support_vision": row.support_vision,
    }
    new = {name: value for name, value in known.items() if value is not None}
    with preferences.changed(file(home), models=[]) as data:
        rows = data.get("models")
        if not isinstance(rows, list):
            rows = data["models"] = []
        for old in rows:
            if isinstance(old, dict) and preferences.key(str(old.get("filename"))) == preferences.key(
                row.filename
            ):
                old.update(new)
                return
        rows.append(new)


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", preferences.key(text))
