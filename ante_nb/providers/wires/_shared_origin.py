"""Who made a part: vendors take back only what they signed themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ante_nb.messages import Part
    from ante_nb.providers.spec import ModelSpec, ProviderSpec


def made_by(part: Part, provider: ProviderSpec, model: ModelSpec | None = None) -> dict[str, Any] | None:
    """The provider metadata of ``part`` if this provider (and, where given, this model) made it.

    ``None`` for a part of anyone else, or without metadata. An alias row of the catalog is the same
    vendor as the row that it stands for.
    """
    metadata = part.provider_metadata
    maker = metadata.get("provider") if metadata else None
    if metadata is None or maker is None or maker not in (provider.id, provider.alias_of):
        return None
    if model is not None and metadata.get("model") != model.id:
        return None
    return metadata
