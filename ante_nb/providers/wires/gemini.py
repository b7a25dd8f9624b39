"""The Gemini generateContent wire, spoken by Google's AI Studio and Vertex AI.

Reference: https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from ante_nb.providers.wires._gemini_decode import STYLE, GeminiDecoder
from ante_nb.providers.wires._gemini_encode import encode_request
from ante_nb.providers.wires._shared_stream import malformed
from ante_nb.providers.wires.base import WireEvent

if TYPE_CHECKING:
    from ante_nb.messages import StreamEvent
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request

__all__ = ["STYLE", "GeminiDecoder", "GeminiWire", "wire"]


class GeminiWire:
    """Encodes and decodes generateContent; see :class:`~ante_nb.providers.wires.base.Wire`."""

    style: str = STYLE

    def url(self, base_url: str, model: ModelSpec, *, stream: bool) -> str:
        """``<base>/models/<model>:streamGenerateContent?alt=sse``, or ``:generateContent``.

        Nothing else is added to the base: its version (``/v1beta``) or publisher
        (``/v1/publishers/google``) is part of it.
        """
        parts = urlsplit(base_url)
        path = parts.path.rstrip("/").removesuffix("/models")
        name = quote(model.id.removeprefix("models/"), safe="@/")
        query = parse_qsl(parts.query, keep_blank_values=True)
        if stream:
            query = [*((key, value) for key, value in query if key != "alt"), ("alt", "sse")]
        method = "streamGenerateContent" if stream else "generateContent"
        return urlunsplit(parts._replace(path=f"{path}/models/{name}:{method}", query=urlencode(query)))

    def headers(self, request: Request, model: ModelSpec, provider: ProviderSpec) -> dict[str, str]:
        return {}

    def encode(
        self, request: Request, model: ModelSpec, provider: ProviderSpec, *, stream: bool
    ) -> dict[str, Any]:
        """The request body; the same streamed or not."""
        return encode_request(request, model, provider)

    def decoder(self, model: ModelSpec, provider: ProviderSpec) -> GeminiDecoder:
        return GeminiDecoder(model, provider)

    def decode_complete(
        self, body: dict[str, Any], model: ModelSpec, provider: ProviderSpec
    ) -> list[StreamEvent]:
        """The events of a whole answer.

        Raises:
            ProviderError: the typed error of an ``error`` body, or of a blocked prompt.
            MalformedResponseError: the body is no answer of this wire.
        """
        decoder = GeminiDecoder(model, provider)
        events: list[StreamEvent] = []
        whole: Any = body
        for piece in whole if isinstance(whole, list) else [whole]:  # a list: a stream without alt=sse
            events += decoder.feed(WireEvent("", piece))
        if not decoder.ended:
            raise malformed("an answer without an end", provider, decoder.partial())
        return [*events, *decoder.close()]


wire = GeminiWire()
