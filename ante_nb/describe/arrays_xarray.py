"""xarray: data arrays and datasets. Lazy (dask or file) data is never loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.describe.arrays import numbers
from ante_nb.describe.words import line, shape_words, size_words

if TYPE_CHECKING:
    from ante_nb.describe.policy import DataPolicy

_VARIABLES = 40


def describe(value: Any, policy: DataPolicy) -> str | None:
    """A data array or dataset; ``None`` for the library's other types."""
    import xarray as xr

    if isinstance(value, xr.DataArray):
        lines = [_dims(value), *_coords(value)]
        held = _held(value)
        lines.append(
            numbers(held, str(value.dtype), policy)
            if held is not None
            else f"dtype: {value.dtype} (not loaded)"
        )
        return "\n".join(lines)
    if isinstance(value, xr.Dataset):
        lines = [_dims(value), *_coords(value), "variables:"]
        for name in list(value.data_vars)[:_VARIABLES]:
            item = value[name]
            lazy = "" if _held(item) is not None else ", not loaded"
            lines.append(
                f"  {line(str(name), 60)}: {item.dtype} ({', '.join(map(str, item.dims))}),"
                f" {size_words(item.nbytes)}{lazy}"
            )
        if len(value.data_vars) > _VARIABLES:
            lines.append(f"  ... {len(value.data_vars) - _VARIABLES} more variables")
        return "\n".join(lines)
    return None


def _dims(value: Any) -> str:
    return "dims: " + ", ".join(f"{name} {length}" for name, length in dict(value.sizes).items())


def _coords(value: Any) -> list[str]:
    found = [
        f"{line(str(name), 60)} {item.dtype} {shape_words(item.shape)}" for name, item in value.coords.items()
    ]
    return [f"coords: {'; '.join(found[:_VARIABLES])}"] if found else []


def _held(value: Any) -> Any:
    """The numpy array behind it, or ``None`` where reading it would compute or load something."""
    import numpy as np

    # The public .data of a file-backed variable loads it.
    data = getattr(value.variable, "_data", None)
    return data if isinstance(data, np.ndarray) else None
