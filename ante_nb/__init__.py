"""A provider-agnostic coding agent that lives inside Jupyter.

``%load_ext ante_nb``, and a ``%%ante`` cell is a prompt. :func:`ask` and :func:`ask_async` are the same
from Python code. Importing the package costs nothing: everything else is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb._version import __version__

if TYPE_CHECKING:
    from ante_nb.agent.tools.functions import tool
    from ante_nb.agent.turn import Step, Turn
    from ante_nb.api import ask, ask_async
    from ante_nb.errors import AnteError, ConfigError, ProviderError, TurnError
    from ante_nb.mapping import map

__all__ = [
    "AnteError",
    "ConfigError",
    "ProviderError",
    "Step",
    "Turn",
    "TurnError",
    "__version__",
    "ask",
    "ask_async",
    "load_ipython_extension",
    "map",
    "tool",
    "unload_ipython_extension",
]

_HOMES = {
    "AnteError": "ante_nb.errors",
    "ConfigError": "ante_nb.errors",
    "ProviderError": "ante_nb.errors",
    "TurnError": "ante_nb.errors",
    "Step": "ante_nb.agent.turn",
    "Turn": "ante_nb.agent.turn",
    "ask": "ante_nb.api",
    "ask_async": "ante_nb.api",
    "map": "ante_nb.mapping",
    "tool": "ante_nb.agent.tools.functions",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(ipython: Any) -> None:
    """Register ``%ante`` and ``%%ante`` (``%load_ext ante_nb``): silent, no network, no file written."""
    from ante_nb.magics import load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Take back everything that :func:`load_ipython_extension` did (``%unload_ext ante_nb``)."""
    from ante_nb.magics import unload

    unload(ipython)
