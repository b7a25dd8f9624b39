"""``settings.json``, profiles and the administrator's settings.

Every key is optional. A wrong value is reported (file, key, what is allowed) and left out, the rest is
used; keys that are not known here are kept when the file is saved. Both generations of names are read:
``policy`` and ``permission_mode``, ``model_thinking`` and ``model_effort`` (the later name wins).

``ANTE_PROFILE=name`` replaces ``settings.json`` as a whole by ``profiles/name.json``. An administrator's
file (see :func:`ante_nb.paths.system_settings`) may forbid yolo and limit providers; one that cannot be
read blocks, because rules that cannot be read are not known to be kept.

This module imports pydantic: import it on first use, not from a module that ``%load_ext`` loads.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ValidationError

from ante_nb import paths
from ante_nb.errors import ConfigError
from ante_nb.settings_schema import (
    LocalSettings,
    McpServer,
    PermissionRules,
    SettingsFile,
    SystemFile,
    mode_name,
)

if TYPE_CHECKING:
    from ante_nb.providers.spec import ThinkingLevel

__all__ = [
    "TRANSPORTS",
    "TRANSPORT_VARIABLE",
    "LocalSettings",
    "McpServer",
    "PermissionRules",
    "Settings",
    "SettingsFile",
    "SystemFile",
    "load_settings",
    "openai_transport",
    "save",
]

TRANSPORTS = ("http_sse", "websocket_auto")
TRANSPORT_VARIABLE = "ANTE_OPENAI_TRANSPORT"
LOCK_TIMEOUT = 10.0
"""Seconds to wait for another kernel that saves settings."""


@dataclass(frozen=True)
class Settings:
    """Settings as loaded, never changed afterwards.

    ``values`` are the checked keys, ``raw`` the whole file. ``problems`` has a line for each thing that
    was left out. ``unreadable`` says what is wrong with a file that could not be read at all: its deny
    rules are not known, so no more than strict is to be used meanwhile. ``blocked`` says why nothing may run (a profile that is not there, an administrator's
    file that cannot be read); :meth:`check` raises it.
    """

    values: SettingsFile = field(default_factory=SettingsFile)
    system: SystemFile = field(default_factory=SystemFile)
    path: Path | None = None
    profile: str | None = None
    problems: tuple[str, ...] = ()
    unreadable: str | None = None
    blocked: tuple[str, str] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def source(self) -> str:
        """What the status line calls this layer: ``settings.json`` or ``profile NAME``."""
        return f"profile {self.profile}" if self.profile else "settings.json"

    @property
    def permission_mode(self) -> Literal["strict", "auto"]:
        """The default permission mode; yolo cannot be set in a file."""
        return self.values.permission_mode or self.values.policy or "strict"

    @property
    def permissions(self) -> PermissionRules:
        return self.values.permissions

    @property
    def local(self) -> LocalSettings:
        return self.values.local

    @property
    def forbid_yolo(self) -> bool:
        """Whether the administrator forbids yolo; also while his rules cannot be read."""
        return self.system.forbid_yolo or self.blocked is not None

    def allows_provider(self, provider_id: str) -> bool:
        """Whether the administrator lets this provider be used."""
        return self.system.providers is None or provider_id in self.system.providers

    def thinking_for(self, model_id: str) -> ThinkingLevel | None:
        """The level remembered for a model, else the general one."""
        remembered = self.values.model_effort.get(model_id) or self.values.model_thinking.get(model_id)
        return remembered or self.values.thinking

    def check(self) -> None:
        """Raises ``ConfigError`` where nothing may run with these settings; see ``blocked``."""
        if self.blocked is not None:
            raise ConfigError(*self.blocked)


def load_settings(home: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """The user's settings, or the profile that ``ANTE_PROFILE`` names, and the administrator's.

    Never raises for what is in the files; see ``Settings.problems`` and ``Settings.blocked``.
    """
    environ = os.environ if env is None else env
    profile = environ.get("ANTE_PROFILE", "").strip() or None
    blocked: tuple[str, str] | None = None
    path = paths.settings(home)
    if profile is not None:
        found = _profile_path(profile, home)
        if found is None:
            blocked = _no_profile(profile, home)
        path = found or path
    values = SettingsFile()
    raw: dict[str, Any] = {}
    problems: list[str] = []
    unreadable: str | None = None
    if blocked is None:
        raw, unreadable = _read(path)
        if unreadable:
            problems.append(
                f"{unreadable} Settings are ignored and modes auto and yolo refused meanwhile. "
                "Correct it, or remove it to start afresh."
            )
        values, more = _checked(raw, paths.display(path))
        problems += [*more, *_misspelt(raw, SettingsFile, paths.display(path))]
    system, trouble = _system(paths.system_settings())
    return Settings(
        values,
        system,
        path,
        profile,
        problems=tuple(problems),
        unreadable=unreadable,
        blocked=trouble or blocked,
        raw=raw,
    )


def _profile_path(name: str, home: Path | None) -> Path | None:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        return None
    for suffix in (".json", ".settings.json"):
        path = paths.profiles(home) / f"{name}{suffix}"
        if path.is_file():
            return path
    return None


def _no_profile(name: str, home: Path | None) -> tuple[str, str]:
    directory = paths.profiles(home)
    there = (
        sorted({path.name.split(".")[0] for path in directory.glob("*.json")}) if directory.is_dir() else []
    )
    known = f"There are: {', '.join(there)}. " if there else ""
    where = paths.display(directory)
    return (
        f"ANTE_PROFILE names the profile {name!r}, which is not in {where}",
        f"{known}Put {name}.json there or unset ANTE_PROFILE.",
    )


def _read(path: Path) -> tuple[dict[str, Any], str | None]:
    """The file's object, or ``{}`` and what is wrong. A missing file is an empty one."""
    name = paths.display(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}, None
    except json.JSONDecodeError as error:
        return {}, f"{name} is no valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    except UnicodeDecodeError as error:
        return {}, f"{name} is no UTF-8 text (byte {error.start})."
    except RecursionError:
        return {}, f"{name} is nested too deeply."
    except OSError as error:
        return {}, f"{name} cannot be read: {error.strerror or error}."
    if not isinstance(data, dict):
        return {}, f"{name} must hold a JSON object."
    return data, None


def _checked(raw: dict[str, Any], name: str) -> tuple[SettingsFile, list[str]]:
    """The valid part of ``raw``, and a line for each value that was left out."""
    data: dict[str, Any] = json.loads(json.dumps(raw))
    problems: list[str] = []
    for key in ("policy", "permission_mode"):
        if mode_name(data.get(key)) == "yolo":
            del data[key]
            problems.append(
                f"{name}: `{key}`: yolo is never taken from a file; use `%%ante --mode yolo` in a cell."
            )
    while True:
        try:
            return SettingsFile.model_validate(data), problems
        except ValidationError as error:
            items = error.errors(include_url=False, include_input=False)
        # Back to front, so that removing an item of a list leaves the other positions valid.
        for item in sorted(
            items, key=lambda item: [str(part).zfill(6) for part in item["loc"]], reverse=True
        ):
            where = _remove(data, item["loc"])
            if where is not None:
                problems.append(f"{name}: `{where}`: {_explain(dict(item))} Ignored.")


def _misspelt(raw: Mapping[str, Any], model: type[BaseModel], where: str, prefix: str = "") -> list[str]:
    """A line for each unknown key that is nearly a known one; other keys may be another program's."""
    lines: list[str] = []
    known = model.model_fields
    for key, value in raw.items():
        if key not in known:
            near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.8)
            if near:
                lines.append(f"{where}: unknown key '{prefix}{key}' (did you mean '{prefix}{near[0]}'?)")
        elif isinstance(value, Mapping):
            inner = known[key].annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                lines += _misspelt(value, inner, where, f"{prefix}{key}.")
    return lines


def _remove(data: Any, loc: tuple[int | str, ...]) -> str | None:
    """Take the deepest existing value on the path ``loc`` out of ``data``; its dotted name."""
    parent: Any = None
    here = data
    seen: list[int | str] = []
    for part in loc:
        inside = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if not inside and not (isinstance(here, dict) and part in here):
            break
        parent, here = here, here[part]
        seen.append(part)
    if parent is None:
        return None
    del parent[seen[-1]]
    return ".".join(str(part) for part in loc)


def _explain(item: dict[str, Any]) -> str:
    if item["type"] == "literal_error":
        allowed = str(item["ctx"]["expected"]).replace("'", "")
        more = " (or Disabled, Enabled, Deep, Max)" if "xhigh" in allowed else ""
        more = more or (" (or default)" if "strict" in allowed else "")
        return f"allowed are {allowed}{more}."
    if item["type"] == "missing":
        return "is missing."
    if item["type"] == "extra_forbidden":
        return "is not known."
    if item["type"] == "string_pattern_mismatch":
        return "must be a URL with http:// or https://."
    text: str = item["msg"]
    return text.replace("Input should be", "must be").rstrip(".") + "."


def _system(path: Path) -> tuple[SystemFile, tuple[str, str] | None]:
    raw, problem = _read(path)
    hint = "Ask whoever looks after this machine."
    if problem:
        return SystemFile(), (f"the administrator's settings cannot be used: {problem}", hint)
    try:
        return SystemFile.model_validate(raw), None
    except ValidationError as error:
        item = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in item["loc"])
        text = f"{paths.display(path)}: `{key}`: {_explain(dict(item))}"
        return SystemFile(), (f"the administrator's settings cannot be used: {text}", hint)


def openai_transport(settings: Settings, env: Mapping[str, str]) -> tuple[str, str, str | None]:
    """Which transport the OpenAI providers stream over.

    Returns:
        ``(transport, source, notice)``: ``http_sse`` or ``websocket_auto``; an unknown value of the
        variable gives ``http_sse`` and a notice that says so (providers page).
    """
    chosen = env.get(TRANSPORT_VARIABLE, "").strip()
    if chosen in TRANSPORTS:
        return chosen, f"environment {TRANSPORT_VARIABLE}", None
    if chosen:
        notice = f"{TRANSPORT_VARIABLE}={chosen!r} is not known (allowed: {', '.join(TRANSPORTS)}); using http_sse."
        return "http_sse", "built-in default", notice
    if settings.values.openai_transport:
        return settings.values.openai_transport, settings.source, None
    return "http_sse", "built-in default", None


def save(
    changes: Mapping[str, Any], *, home: Path | None = None, env: Mapping[str, str] | None = None
) -> Path:
    """Write ``changes`` into the settings file that is in use (the profile's, where one is chosen).

    Objects are merged key by key, ``None`` removes a key, everything else in the file stays. The file is
    replaced atomically under a lock that all kernels share.

    Args:
        changes: keys of :class:`SettingsFile`; yolo is never written.

    Returns:
        The file.

    Raises:
        ConfigError: the file is no valid JSON (it is left alone), a value is wrong, or it cannot be
            written.
    """
    from filelock import FileLock, Timeout

    for key in ("policy", "permission_mode"):
        if mode_name(changes.get(key)) == "yolo":
            raise ConfigError("yolo is never saved", "Choose it where it is needed: `%%ante --mode yolo`.")
    _, wrong = _checked(
        {k: v for k, v in changes.items() if v is not None and not isinstance(v, dict)}, "save"
    )
    if wrong:
        raise ConfigError(wrong[0].removeprefix("save: ").removesuffix(" Ignored."))
    path = load_settings(home, env).path or paths.settings(home)
    name = paths.display(path)
    target = Path(os.path.realpath(path))  # a settings file kept elsewhere by a link stays a link
    try:
        paths.ensure(target.parent)
        with FileLock(target.with_name(f".{target.name}.lock"), timeout=LOCK_TIMEOUT, mode=0o600):
            raw, problem = _read(target)
            if problem:
                raise ConfigError(f"not saved: {problem}", "Correct the file, then save again.")
            _replace(target, _merged(raw, changes))
    except Timeout as error:
        raise ConfigError(
            f"not saved: {name} is locked by another kernel", "Try again in a moment."
        ) from error
    except OSError as error:
        raise ConfigError(f"not saved: {name} cannot be written: {error.strerror or error}") from error
    return path


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in changes.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, Mapping):
            old = out.get(key)
            out[key] = _merged(old if isinstance(old, dict) else {}, value)
        else:
            out[key] = value
    return out


def _replace(path: Path, data: dict[str, Any]) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
