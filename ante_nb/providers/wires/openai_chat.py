"""Chat Completions: the wire of ``OpenAiCompatible`` providers.

Source: OpenAI's API reference (chat/create, chat/streaming) and the pages of the vendors that speak it
with differences of their own (DeepSeek, Z.ai, OpenRouter, Kimi, DashScope, llama.cpp). Differences that
a request must respect are ``Quirks`` of the provider; the decoder takes every dialect of an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ante_nb.providers.wires import openai_chat_encode
from ante_nb.providers.wires.base import WireEvent
from ante_nb.providers.wires.openai_chat_decode import STYLE, ChatDecoder

if TYPE_CHECKING:
    from ante_nb.messages import StreamEvent
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request

ENDPOINT = "/chat/completions"


class OpenAiChat:
    """The wire of style ``OpenAiCompatible``; see :class:`ante_nb.providers.wires.base.Wire`."""

    style: str = STYLE

    def url(self, base_url: str, model: ModelSpec, *, stream: bool) -> str:
        """``base_url`` and the endpoint as it is: no ``/v1`` is added. A query (Azure) stays behind it."""
        parts = urlsplit(base_url.strip())
        path = parts.path.rstrip("/")
        if not path.endswith(ENDPOINT):
            path += ENDPOINT
        return urlunsplit(parts._replace(path=path, fragment=""))

    def headers(self, request: Request, model: ModelSpec, provider: ProviderSpec) -> dict[str, str]:
        return {}

    def encode(
        self, request: Request, model: ModelSpec, provider: ProviderSpec, *, stream: bool
    ) -> dict[str, Any]:
        return openai_chat_encode.encode(request, model, provider, stream=stream)

    def decoder(self, model: ModelSpec, provider: ProviderSpec) -> ChatDecoder:
        return ChatDecoder(model, provider)

    def decode_complete(
        self, body: dict[str, Any], model: ModelSpec, provider: ProviderSpec
    ) -> list[StreamEvent]:
        """The events of a ``chat.completion`` object; it is read as a stream of one chunk.

        Raises:
            ProviderError: as the decoder does.
        """
        decoder = ChatDecoder(model, provider)
        choices = body.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            choice = dict(choices[0])
            choice["delta"] = choice.get("message") or choice.get("delta") or {}
            calls = choice["delta"].get("tool_calls") if isinstance(choice["delta"], dict) else None
            if isinstance(calls, list):
                numbered = [{**call, "index": n} for n, call in enumerate(calls) if isinstance(call, dict)]
                choice["delta"] = {**choice["delta"], "tool_calls": numbered}
            if not choice.get("finish_reason") and not choice.get("error"):
                choice["finish_reason"] = "stop"  # the body came whole, so the answer is
            body = {**body, "choices": [choice]}
        return [*decoder.feed(WireEvent("", body)), *decoder.close()]


wire = OpenAiChat()
