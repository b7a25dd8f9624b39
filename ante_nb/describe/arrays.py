"""numpy: arrays and scalars. Elements are taken in even steps along every axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ante_nb.describe.policy import allows
from ante_nb.describe.words import line, number, share

if TYPE_CHECKING:
    from ante_nb.describe.policy import DataPolicy

SAMPLE = 4_000
"""Elements that ranges are taken from, about."""
SHOWN = 10
FULL_SHOWN = 1_000


def describe(value: Any, policy: DataPolicy) -> str | None:
    """An array or scalar; ``None`` for the library's other types."""
    import numpy as np

    if isinstance(value, np.generic):
        return f"value: {line(str(value), 100)}" if allows(policy, "sample") else ""
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype.names:
        fields = [f"  {name}: {value.dtype.fields[name][0]}" for name in value.dtype.names[:60]]
        return "\n".join(["fields:", *fields])
    return numbers(value, str(value.dtype), policy)


def thin(value: Any, limit: int = SAMPLE) -> Any:
    """About ``limit`` elements from all over an array, without a copy."""
    size = math.prod(value.shape)
    if size <= limit or not value.shape:
        return value
    # The longest axes give most: a step of n on one axis keeps whole rows of the others.
    steps = [1] * len(value.shape)
    for axis in sorted(range(len(value.shape)), key=lambda at: -value.shape[at]):
        kept = math.prod(-(-length // each) for length, each in zip(value.shape, steps, strict=True))
        if kept <= limit:
            break
        steps[axis] = min(value.shape[axis], -(-kept // limit))
    return value[tuple(slice(None, None, each) for each in steps)]


def numbers(value: Any, kind: str, policy: DataPolicy) -> str:
    """Any array with numpy's interface, in lines: type, ranges, first elements."""
    import numpy as np

    lines = [f"dtype: {kind}"]
    size = math.prod(value.shape)
    if allows(policy, "stats") and size and value.dtype.kind in "iufmM":
        some = np.asarray(thin(value))
        looked = some.size
        empty = (
            np.isnan(some) if some.dtype.kind == "f" else np.isnat(some) if some.dtype.kind in "mM" else None
        )
        nulls = int(empty.sum()) if empty is not None else 0
        held = some[~empty] if nulls and empty is not None else some
        first = f" (of {looked} of {size} elements)" if looked < size else ""
        if held.size:
            mean = f", mean {number(float(held.mean()))}" if some.dtype.kind in "iuf" else ""
            low, high = held.min(), held.max()
            low, high = (low.item(), high.item()) if some.dtype.kind in "iuf" else (low, high)
            lines.append(f"range{first}: {number(low)} to {number(high)}{mean}")
        if nulls:
            lines.append(f"NaN{first}: {share(nulls, looked)}")
    if allows(policy, "sample") and size:
        count = FULL_SHOWN if policy == "full" else SHOWN
        # flat does not copy, also where the array is a view with strides.
        shown = (
            [line(str(item), 60) for item in value.flat[:count]] if value.shape else [line(str(value), 60)]
        )
        head = f"first {count} of {size} elements" if size > count else "elements"
        lines.append(f"{head}: {', '.join(shown)}")
    return "\n".join(lines)
