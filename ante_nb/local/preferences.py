"""Ante's ``offline-config.json`` and files like it: read with patience, written so that nobody's words get lost.

Format: Ante's documentation, "Offline Mode", configuration reference::

    {"version": "1.0.0", "model_directory": "~/.ante/models", "port": 8080, "last_model": "name.gguf",
     "model_preferences": {"name.gguf": {"model_id": "name.gguf", "context_window": 32768,
        "thinking_enabled": true, "temperature": 0.7, "extra_args": "--threads 12"}},
     "llama_cpp": {"binaries": {"server": ..., "cli": ...}, "server_defaults": {"gpu_layers": -1}}}

A model's id there is its file's name; here names with and without ``.gguf`` mean the same.
"""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb import paths
from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ante_nb.local.discovery import LocalModel

VERSION = "1.0.0"
_LIMIT = 16 << 20
_LEAST = 256  # tokens of context, as memory.CONTEXT_LEAST


def config_file(home: Path) -> Path:
    """``offline-config.json`` of ``home`` (ANTE_HOME)."""
    return home / "offline-config.json"


def read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none or it is damaged: that costs preferences, never a turn."""
    try:
        if path.stat().st_size > _LIMIT:
            return {}
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


@contextmanager
def changed(path: Path, **new: Any) -> Iterator[dict[str, Any]]:
    """The object in ``path`` to be changed; written at the end, in one step and with all that is not known here.

    Args:
        path: the file, its directory is made.
        new: what a new file begins with.

    Raises:
        ConfigError: the file is damaged (and left as it is), or cannot be written.
    """
    from filelock import FileLock, Timeout

    where = paths.display(path)
    try:
        paths.ensure(path.parent)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=10, mode=0o600):
            try:
                text = path.read_text(encoding="utf-8-sig")
            except FileNotFoundError:
                text = ""
            data = _parsed(text, where) if text.strip() else dict(new)
            before = json.dumps(data)
            yield data
            if json.dumps(data) != before or not text.strip():
                _write(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    except Timeout:
        raise ConfigError(f"{where} is being changed by another program", "Try again.") from None
    except OSError as error:
        raise ConfigError(
            f"{where} cannot be written: {error.strerror or error}", "Check its owner and the disk."
        ) from error


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise ConfigError(f"{where} is damaged and was not changed", "Correct the file, or move it away.")
    return data


def _write(path: Path, text: str) -> None:
    target = path.resolve()  # a link stays one
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def expanded(text: str) -> Path:
    """``text`` as a path, with ``~`` made a home directory where there is such a one."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~somebody, who is not there
        return Path(text)


def key(name: str) -> str:
    """A model's name as keys are compared: without ``.gguf``, in small letters."""
    return name.casefold().removesuffix(".gguf")


def word(model: LocalModel) -> str:
    """How the file calls a model: its file's name as Ante does, its path where discovery would not find it."""
    if model.source == "path":
        return str(model.path.absolute())
    named = model.path.suffix.lower() == ".gguf" and key(model.path.name).startswith(model.id.casefold())
    return model.path.name if named else model.id


def of_models(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``model_preferences`` by :func:`key`, values of a wrong type left out, ``extra_args`` as a list."""
    found: dict[str, dict[str, Any]] = {}
    rows = config.get("model_preferences")
    for name, row in rows.items() if isinstance(rows, Mapping) else ():
        if isinstance(row, Mapping):
            kept = {word: value for word, value in row.items() if _fits(word, value)}
            if "extra_args" in kept:
                kept["extra_args"] = arguments(kept["extra_args"])
            found[key(str(row.get("model_id") or name))] = kept
    return found


_KINDS: dict[str, type | tuple[type, ...]] = {
    "model_id": str, "context_window": int, "thinking_enabled": bool, "temperature": (int, float),
    "extra_args": (str, list),
}  # fmt: skip


def _fits(name: str, value: Any) -> bool:
    kind = _KINDS.get(name, object)
    good = isinstance(value, kind) and (kind is bool or kind is object or not isinstance(value, bool))
    return good and (name != "context_window" or value >= _LEAST)


def arguments(text: Any) -> list[str]:
    """``extra_args``: a line as a shell would split it, or a list. What cannot be split gives none."""
    if isinstance(text, str):
        try:
            return shlex.split(text)
        except ValueError:
            return []
    return [str(item) for item in text] if isinstance(text, list | tuple) else []


def remember(home: Path, model: LocalModel, *, context: int | None = None) -> None:
    """Makes ``model`` the ``last_model``; ``context`` (tokens, 0 removes it) its ``context_window``.

    Raises:
        ConfigError: the file is damaged, or cannot be written.
    """
    name = word(model)
    with changed(config_file(home), version=VERSION) as config:
        config["last_model"] = name
        if context is not None:
            _prefer(config, name, context_window=context or None)


def prefer(home: Path, model: LocalModel, **values: Any) -> None:
    """Keeps preferences of ``model`` (``context_window``, ``thinking_enabled``, ``temperature``,
    ``extra_args``); ``None`` removes one.

    Raises:
        ConfigError: an unknown one, a wrong type, or the file is damaged or cannot be written.
    """
    for name, value in values.items():
        if name not in _KINDS or name == "model_id" or (value is not None and not _fits(name, value)):
            known = ", ".join(sorted(set(_KINDS) - {"model_id"}))
            raise ConfigError(f"{name}={value!r} is no preference of a model", f"There are: {known}.")
    with changed(config_file(home), version=VERSION) as config:
        _prefer(config, word(model), **values)


def _prefer(config: dict[str, Any], name: str, **values: Any) -> None:
    rows = config.get("model_preferences")
    if not isinstance(rows, dict):
        rows = config["model_preferences"] = {}
    there = next((known for known in rows if key(str(known)) == key(name)), name)
    row = rows.get(there)
    if not isinstance(row, dict):
        row = rows[there] = {"model_id": there}
    for field, value in values.items():
        if value is None:
            row.pop(field, None)
        else:
            row[field] = shlex.join(value) if field == "extra_args" and isinstance(value, list) else value
