"""What every decoder says when a stream breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.errors import MalformedResponseError, StreamInterruptedError
from ante_nb.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.errors import ProviderError
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


_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The HTTP status that an error type stands for, where it comes inside a stream that began with 200."""


def vendor_error(body: Any, provider: ProviderSpec, partial: Message) -> ProviderError:
    """The typed error for an error object inside a stream, with what had arrived before it.

    Args:
        body: the event's data, the error under ``error``.
    """
    from ante_nb.providers.failures import Target, classify

    inner = body.get("error") if isinstance(body, dict) else None
    kind = inner.get("type") if isinstance(inner, dict) else None
    status = _STATUS.get(kind) if isinstance(kind, str) else None
    error = classify(Target(provider, partial.model or ""), status, {}, body)
    error.partial = partial
    return error
