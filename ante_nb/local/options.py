"""What the person set about local models: settings, environment and Ante's ``offline-config.json``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ante_nb import paths
from ante_nb.errors import ConfigError
from ante_nb.local import preferences, verified

CONTEXT_VARIABLE = "ANTE_OFFLINE_CONTEXT"
CONTEXT_CAP = 32_768  # Ante's
ENGINES = ("llama-server", "xllamacpp", "llama_cpp")


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that decides which engine runs which model how.

    ``home`` is ANTE_HOME. ``engine_url`` attaches to a server that runs already (its key in the
    variable that ``engine_key_env`` names). ``model`` is the default one by the settings; ``last_model``
    that which was used last, and only taken where it is still there. ``context`` is asked for by the
    settings, ``context_cap`` the most that is taken by itself (tokens; ``ANTE_OFFLINE_CONTEXT``, which goes
    before the settings). ``sleep_idle`` and ``exit_idle``
    are seconds without a request after which the model leaves memory and the server ends; 0 means never.
    ``preferences`` are Ante's per-model ones by :func:`ante_nb.local.preferences.key`, ``labels`` maps a
    verified model's name to its file's.
    """

    home: Path
    engine_url: str | None = None
    engine_key_env: str = "ANTE_LOCAL_ENGINE_KEY"
    engine: str | None = None
    llama_server: str | None = None
    model: str | None = None
    last_model: str | None = None
    context: int | None = None
    context_cap: int = CONTEXT_CAP
    model_directories: tuple[Path, ...] = ()
    gpu_layers: int = -1
    threads: int | None = None
    sleep_idle: float = 60.0
    exit_idle: float = 600.0
    start_timeout: float = 600.0
    memory_check: bool = True
    extra_args: tuple[str, ...] = ()
    preferences: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def preferred(self, model_id: str, key: str, kind: type | tuple[type, ...]) -> Any:
        """Ante's preference ``key`` for a model, or ``None`` where there is none of that type."""
        found = self.preferences.get(preferences.key(model_id), self.preferences.get(model_id, {}))
        value = found.get(key)
        return value if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) else None


def load(settings: Any = None, env: Mapping[str, str] | None = None, home: Path | None = None) -> Options:
    """The options in force.

    Args:
        settings: the package's settings (their ``local`` section is read), a mapping, loaded options
            (returned as they are), or ``None``.
        env: the environment, by default the process's.
        home: ANTE_HOME, by default as :func:`ante_nb.paths.home` finds it.

    Raises:
        ConfigError: ``ANTE_OFFLINE_CONTEXT`` or a value of the ``local`` section cannot be used.
    """
    if isinstance(settings, Options):
        return settings
    env = os.environ if env is None else env
    base = home or paths.home()
    section = _section(settings)
    offline = preferences.read(preferences.config_file(base))
    llama_cpp = _mapping(offline.get("llama_cpp"))
    binaries = _mapping(llama_cpp.get("binaries"))
    layers = _mapping(llama_cpp.get("server_defaults")).get("gpu_layers")
    directory = offline.get("model_directory")
    directories = [preferences.expanded(str(item)) for item in _listed(section.get("model_directories"))]
    if isinstance(directory, str) and directory:
        directories.append(preferences.expanded(directory))
    engine = _text(section, "engine")
    if engine is not None and engine not in ENGINES:
        raise ConfigError(f"local.engine is {engine!r}", f"Use one of {', '.join(ENGINES)}.")
    given = env.get(CONTEXT_VARIABLE, "").strip()
    last = offline.get("last_model")
    defaults = Options(home=base, gpu_layers=layers if type(layers) is int and layers >= -1 else -1)
    return Options(
        home=base,
        engine_url=(_text(section, "engine_url") or "").rstrip("/") or None,
        engine_key_env=_text(section, "engine_key_env") or defaults.engine_key_env,
        engine=engine,
        llama_server=_text(section, "llama_server") or managed(base) or _present(_text(binaries, "server")),
        model=_text(section, "model"),
        last_model=last if isinstance(last, str) and last else None,
        context=None if given else _number(section, "context", int),
        context_cap=_context_variable(given) if given else CONTEXT_CAP,
        model_directories=tuple(directories),
        gpu_layers=_default(_number(section, "gpu_layers", int, low=-1), defaults.gpu_layers),
        threads=_number(section, "threads", int, low=1),
        sleep_idle=_default(_number(section, "sleep_idle", float), defaults.sleep_idle),
        exit_idle=_default(_number(section, "exit_idle", float), defaults.exit_idle),
        start_timeout=_default(_number(section, "start_timeout", float), defaults.start_timeout),
        memory_check=section.get("memory_check", True) is not False,
        extra_args=tuple(preferences.arguments(section.get("extra_args"))),
        preferences=_preferences(offline, contexts=not given),
        labels={row.name: row.filename for row in verified.read(base) if row.filename},
    )


def _section(settings: Any) -> Mapping[str, Any]:
    if settings is None:
        return {}
    found = (
        settings.get("local", settings) if isinstance(settings, Mapping) else getattr(settings, "local", None)
    )
    if found is None:
        return {}
    if isinstance(found, Mapping):
        return found
    dump = getattr(found, "model_dump", None)
    values = dump() if callable(dump) else getattr(found, "__dict__", {})
    return {key: value for key, value in values.items() if value is not None}


def _preferences(offline: Mapping[str, Any], *, contexts: bool) -> dict[str, dict[str, Any]]:
    """Ante's preferences; without those of contexts where the environment says something else."""
    found = preferences.of_models(offline)
    if not contexts:
        for row in found.values():
            row.pop("context_window", None)
    return found


def managed(home: Path) -> str | None:
    """The llama-server that Ante installed (``ANTE_HOME/llama.cpp/current``)."""
    current = home / "llama.cpp" / "current"
    names = ("llama-server", "llama-server.exe") if os.name == "nt" else ("llama-server",)
    found = (current / folder / name for folder in ("", "bin", "build/bin") for name in names)
    return next((str(path) for path in found if os.access(path, os.X_OK)), None)


def _present(program: str | None) -> str | None:
    """Ante's pinned program, where it is still there; it falls back to ``PATH`` as well."""
    return program if program and os.access(preferences.expanded(program), os.X_OK) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    if isinstance(value, list | tuple):
        return value
    return [value] if isinstance(value, str | Path) else []


def _text(section: Mapping[str, Any], key: str) -> str | None:
    value = section.get(key)
    return value.strip() or None if isinstance(value, str) else None


def _default(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _number(section: Mapping[str, Any], key: str, kind: type, *, low: float = 0) -> Any:
    value = section.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < low:
        raise ConfigError(f"local.{key} is {value!r}", f"Use a number, {low:g} or more.")
    return kind(value)


def _context_variable(text: str) -> int:
    try:
        value = int(text.strip().replace("_", ""))
    except ValueError:
        value = 0
    if value < 256:
        raise ConfigError(f"{CONTEXT_VARIABLE} is {text!r}", "Set it to a number of tokens, e.g. 8192.")
    return value
