"""The OpenAI Responses wire, spoken by OpenAI, the ChatGPT subscription backend and xAI.

Reference: the OpenAI API reference, ``/v1/responses``. What a WebSocket transport needs beside the
:class:`~ante_nb.providers.wires.base.Wire` methods: :meth:`OpenAiResponsesWire.input_items` (the items
of a conversation by themselves, to compare and to send only what is new) and the decoder's
``ended``, ``response_id``, ``continuable`` and ``output_items``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ante_nb.providers.wires._responses_decode import ResponsesDecoder, decode_body
from ante_nb.providers.wires._responses_encode import STYLE, encode_body, input_items

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.messages import Message, StreamEvent
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request

__all__ = ["STYLE", "OpenAiResponsesWire", "ResponsesDecoder", "wire"]


class OpenAiResponsesWire:
    """Encodes and decodes OpenAI Responses; see :class:`~ante_nb.providers.wires.base.Wire`."""

    style: str = STYLE

    def url(self, base_url: str, model: ModelSpec, *, stream: bool) -> str:
        """``<base>/responses``; the base is taken as it is, with its ``/v1`` or without."""
        parts = urlsplit(base_url)
        path = parts.path.rstrip("/").removesuffix("/responses")
        return urlunsplit(parts._replace(path=f"{path}/responses"))

    def headers(self, request: Request, model: ModelSpec, provider: ProviderSpec) -> dict[str, str]:
        """The session id in the headers by which this vendor finds its cache, where it has such."""
        if not request.session_id:
            return {}
        return dict.fromkeys(provider.quirks.session_headers, request.session_id)

    def encode(
        self, request: Request, model: ModelSpec, provider: ProviderSpec, *, stream: bool
    ) -> dict[str, Any]:
        """The request body. Raises ``InvalidRequestError`` for what the API is known to refuse."""
        return encode_body(request, model, provider, stream=stream)

    def input_items(
        self, messages: Iterable[Message], model: ModelSpec, provider: ProviderSpec
    ) -> list[dict[str, Any]]:
        """The ``input`` items of ``messages`` by themselves, as :meth:`encode` sends them."""
        return input_items(messages, model, provider)

    def decoder(self, model: ModelSpec, provider: ProviderSpec) -> ResponsesDecoder:
        return ResponsesDecoder(model, provider)

    def decode_complete(
        self, body: dict[str, Any], model: ModelSpec, provider: ProviderSpec
    ) -> list[StreamEvent]:
        """The events of a whole response. Raises the typed error for a failed one or an error body."""
        return decode_body(body, model, provider)


wire = OpenAiResponsesWire()
