"""The Anthropic Messages wire, spoken by Anthropic, Antix and Ali's coding plan.

Reference: https://platform.claude.com/docs/en/api/messages and its page on streaming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ante_nb.providers.wires._anthropic_decode import AnthropicDecoder
from ante_nb.providers.wires._anthropic_encode import encode_request
from ante_nb.providers.wires._shared_stream import malformed
from ante_nb.providers.wires.base import WireEvent

if TYPE_CHECKING:
    from ante_nb.messages import StreamEvent
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request

__all__ = ["STYLE", "VERSION", "AnthropicDecoder", "AnthropicMessagesWire", "wire"]

STYLE = "AnthropicMessage"

VERSION = "2023-06-01"
"""The version that the gateways implement too; under 2026-10-21 sampling parameters are gone."""

INTERLEAVED = "interleaved-thinking-2025-05-14"
"""https://platform.claude.com/docs/en/build-with-claude/extended-thinking, "Interleaved thinking"."""


class AnthropicMessagesWire:
    """Encodes and decodes Anthropic Messages; see :class:`~ante_nb.providers.wires.base.Wire`."""

    style: str = STYLE

    def url(self, base_url: str, model: ModelSpec, *, stream: bool) -> str:
        """``<base>/v1/messages``; ``/v1`` is added only where the path does not end with it."""
        parts = urlsplit(base_url)
        path = parts.path.rstrip("/")
        if path.endswith("/messages"):
            path = path.removesuffix("/messages")
        if path.rpartition("/")[2] != "v1":
            path += "/v1"
        return urlunsplit(parts._replace(path=f"{path}/messages"))

    def headers(self, request: Request, model: ModelSpec, provider: ProviderSpec) -> dict[str, str]:
        """The version, and the beta that lets a model with a thinking budget think between tool calls.

        Adaptive models do so by themselves; gateways may refuse betas, so ``Quirks.interleaved_thinking``
        says who takes it.
        """
        headers = {"anthropic-version": VERSION}
        control = model.thinking_control
        thinks = (request.thinking or model.thinking or "min") != "min"
        budget = control is not None and control.style == "anthropic_budget"
        if provider.quirks.interleaved_thinking and budget and thinks:
            configured = {name.lower(): value for name, value in provider.http_headers.items()}
            betas = [*filter(None, [configured.get("anthropic-beta")]), INTERLEAVED]
            headers["anthropic-beta"] = ",".join(betas)
        return headers

    def encode(
        self, request: Request, model: ModelSpec, provider: ProviderSpec, *, stream: bool
    ) -> dict[str, Any]:
        """The request body. Raises ``InvalidRequestError`` for what the API is known to refuse."""
        return encode_request(request, model, provider, stream=stream)

    def decoder(self, model: ModelSpec, provider: ProviderSpec) -> AnthropicDecoder:
        return AnthropicDecoder(model, provider)

    def decode_complete(
        self, body: dict[str, Any], model: ModelSpec, provider: ProviderSpec
    ) -> list[StreamEvent]:
        """The events of a whole ``message``.

        Raises:
            ProviderError: the typed error of an ``error`` body.
            MalformedResponseError: the body is no message.
        """
        decoder = AnthropicDecoder(model, provider)
        content = body.get("content") if isinstance(body, dict) else None
        if not isinstance(content, list):
            if isinstance(body, dict) and isinstance(body.get("error"), dict):
                decoder.feed(WireEvent("error", body))
            raise malformed("something that is no message", provider, decoder.partial())
        events = list(decoder.feed(WireEvent("message_start", {"type": "message_start", "message": body})))
        events += decoder.feed(WireEvent("message_delta", {"type": "message_delta", "delta": body}))
        events += decoder.feed(WireEvent("message_stop", {"type": "message_stop"}))
        return events


wire = AnthropicMessagesWire()
