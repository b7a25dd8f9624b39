"""Who describes a type: what the person has registered, then ``_ai_repr_``, then the built-in ones.

A describer is called as ``fn(value, policy)`` and returns text, or ``None`` to leave it to the next. The
built-in ones are found by the name of the module that made the type: nothing is imported to find out,
and a library that the person has not imported is never touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.describe.policy import DataPolicy

    Describer: TypeAlias = Callable[[Any, DataPolicy], str | None]

_REGISTERED: dict[type, Describer] = {}
_MODULES = {
    "pandas": "frames_pandas",
    "polars": "frames_polars",
    "pyarrow": "frames_arrow",
    "numpy": "arrays",
    "xarray": "arrays_xarray",
    "torch": "arrays_torch",
}
"""First part of a type's module: the room that describes its types by ``describe(value, policy)``."""


def register(kind: type, describer: Describer | None = None) -> Any:
    """Say how values of a type are described to a model.

    Args:
        kind: the type; its subclasses are meant too, the nearest registered base wins.
        describer: called with a value and the policy in force (``schema``, ``stats``, ``sample``,
            ``full``); returns text, or ``None`` for the usual description. Without it, ``register``
            is a decorator.

    Raises:
        TypeError: ``kind`` is no type, or ``describer`` cannot be called.
    """
    if not isinstance(kind, type):
        raise TypeError(f"register() needs a type, not {kind!r}")
    if describer is None:

        def decorator(function: Describer) -> Describer:
            register(kind, function)
            return function

        return decorator
    if not callable(describer):
        raise TypeError(f"register() needs a function, not {describer!r}")
    _REGISTERED[kind] = describer
    return describer


def unregister(kind: type) -> bool:
    """Take back a :func:`register`; ``False`` where there was none."""
    return _REGISTERED.pop(kind, None) is not None


def registered(kind: type) -> Describer | None:
    """What the person has registered for ``kind`` or its nearest base."""
    return next((_REGISTERED[base] for base in kind.__mro__ if base in _REGISTERED), None)


def built_in(kind: type) -> Describer | None:
    """Our own describer for the type's library, or ``None``."""
    from importlib import import_module

    for base in kind.__mro__:
        room = _MODULES.get(str(getattr(base, "__module__", "")).partition(".")[0])
        if room is not None:
            describer: Describer = import_module(f"ante_nb.describe.{room}").describe
            return describer
    return None
