"""What a model call costs, by the catalog's prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ante_nb.messages import Usage
    from ante_nb.providers.spec import ModelSpec


def cost_of(model: ModelSpec, usage: Usage) -> float | None:
    """US dollars, or ``None`` where a price that matters is not known.

    ``usage.input`` includes what was read from and written to the cache; both have their own price.
    """
    price = model.price
    if price is None or model.plan_priced:
        return None
    read = price.cache_read if price.cache_read is not None else price.input
    write = price.cache_write if price.cache_write is not None else price.input
    plain = max(0, usage.input - usage.cache_read - usage.cache_write)
    total = (
        plain * price.input
        + usage.cache_read * read
        + usage.cache_write * write
        + usage.output * price.output
    )
    return total / 1_000_000
