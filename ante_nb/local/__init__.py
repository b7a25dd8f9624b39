"""llama.cpp on this machine: finds models and an engine, runs one server, hands out its address and key.

Everything is imported on first use: :func:`~ante_nb.local.shared.acquire`,
:func:`~ante_nb.local.discovery.find_models`, :func:`~ante_nb.local.engines.available` (here as
``engine_available``), :func:`~ante_nb.local.checks.doctor` and
:class:`~ante_nb.local.provider.LocalProvider`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ante_nb.local.checks import doctor
    from ante_nb.local.discovery import LocalModel, find_models
    from ante_nb.local.engines import available as engine_available
    from ante_nb.local.provider import LocalProvider
    from ante_nb.local.shared import LocalServer, acquire, stop_all

__all__ = [
    "LocalModel",
    "LocalProvider",
    "LocalServer",
    "acquire",
    "doctor",
    "engine_available",
    "find_models",
    "stop_all",
]

_HOMES = {
    "LocalModel": ("discovery", "LocalModel"),
    "LocalProvider": ("provider", "LocalProvider"),
    "LocalServer": ("shared", "LocalServer"),
    "acquire": ("shared", "acquire"),
    "doctor": ("checks", "doctor"),
    "engine_available": ("engines", "available"),
    "find_models": ("discovery", "find_models"),
    "stop_all": ("shared", "stop_all"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    room, item = _HOMES[name]
    return getattr(import_module(f"{__name__}.{room}"), item)
