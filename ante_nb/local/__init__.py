"""llama.cpp on this machine: finds models and an engine, runs one server, hands out its address and key.

What a person calls is in :mod:`ante_nb.local.api` and here: :func:`engines`, :func:`models`,
:func:`servers`, :func:`scan`, :func:`use`, :func:`start`, :func:`stop`, :func:`attach`, :func:`detach`,
:func:`get`, :func:`remove`, :func:`log`. The rest is for the package's other rooms. Everything is imported
on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ante_nb.local.api import (
        Removed,
        ServerLog,
        attach,
        detach,
        engines,
        get,
        get_async,
        log,
        models,
        remove,
        scan,
        servers,
        start,
        start_async,
        stop,
        use,
    )
    from ante_nb.local.attaching import FoundServer
    from ante_nb.local.checks import doctor
    from ante_nb.local.control import RunningServer
    from ante_nb.local.discovery import LocalModel, find_models
    from ante_nb.local.engine import available as engine_available
    from ante_nb.local.listing import EngineInfo, ModelInfo
    from ante_nb.local.provider import LocalProvider
    from ante_nb.local.shared import LocalServer, acquire, stop_all

__all__ = [
    "EngineInfo",
    "FoundServer",
    "LocalModel",
    "LocalProvider",
    "LocalServer",
    "ModelInfo",
    "Removed",
    "RunningServer",
    "ServerLog",
    "acquire",
    "attach",
    "detach",
    "doctor",
    "engine_available",
    "engines",
    "find_models",
    "get",
    "get_async",
    "log",
    "models",
    "remove",
    "scan",
    "servers",
    "start",
    "start_async",
    "stop",
    "stop_all",
    "use",
]

# No room may be called like one of these names: importing it would put the module in the name's place.
_ROOMS = {
    "api": __all__,
    "attaching": ["FoundServer"],
    "checks": ["doctor"],
    "control": ["RunningServer"],
    "discovery": ["LocalModel", "find_models"],
    "engine": ["engine_available"],
    "listing": ["EngineInfo", "ModelInfo"],
    "provider": ["LocalProvider"],
    "shared": ["LocalServer", "acquire", "stop_all"],
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}
_OTHERWISE = {"engine_available": "available"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), _OTHERWISE.get(name, name))
