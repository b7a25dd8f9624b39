"""What a catalog entry adds to every request body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Set


def merge_extra_body(body: dict[str, Any], extra: Mapping[str, Any], reserved: Set[str]) -> dict[str, Any]:
    """``body`` with the top-level fields of ``extra``, those that the wire owns left out.

    Args:
        body: the encoded request; changed in place and returned.
        extra: ``ProviderSpec.extra_body``.
        reserved: fields that only the wire may set (the catalog reports them when it loads).
    """
    for key, value in extra.items():
        if key not in reserved:
            body[key] = value
    return body
