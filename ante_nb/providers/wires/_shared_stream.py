"""What every decoder says when a stream breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ante_nb.errors import MalformedResponseError, StreamInterruptedError
from ante_nb.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.messages import Part
    from ante_nb.providers.spec import ModelSpec, ProviderSpec


def answer(style: str, parts: Iterable[Part], model: ModelSpec, provider: ProviderSpec) -> Message:
    """An assistant message, tagged with who wrote it."""
    return Message("assistant", tuple(parts), provider=provider.id, wire=style, model=model.id)


def interrupted(partial: Message, provider: ProviderSpec) -> StreamInterruptedError:
    """The stream ended before its terminal marker."""
    return StreamInterruptedError(
        f"The answer from {provider.display_name} broke off before its end",
        "Run the cell again; if it keeps happening, check the connection or a proxy in between.",
        provider=provider.id,
        model=partial.model,
        partial=partial,
    )


def malformed(what: str, provider: ProviderSpec, partial: Message) -> MalformedResponseError:
    """What came is not what the wire allows; ``what`` completes the sentence "<Provider> sent ..."."""
    return MalformedResponseError(
        f"{provider.display_name} sent {what}",
        "Run the cell again; if it keeps happening, check the base URL and the wire style of the provider.",
        provider=provider.id,
        model=partial.model,
        partial=partial,
    )
