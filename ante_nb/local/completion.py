"""llama.cpp's own endpoints: a conversation as a prompt, its length in tokens, and its continuation.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
(``/apply-template``, ``/tokenize``, ``/completion``).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ante_nb import errors as e
from ante_nb.local.reading import Reading
from ante_nb.local.thinking import preserved
from ante_nb.local.tool_prompt import CLOSE, OPEN
from ante_nb.providers.failures import classify, parse_body
from ante_nb.providers.transports.http import HttpClient
from ante_nb.providers.transports.http_sse import WHOLE, HttpSse, interrupted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ante_nb.local.shared import LocalServer
    from ante_nb.messages import Notice
    from ante_nb.providers.failures import Target
    from ante_nb.providers.spec import ModelSpec

FRESH = {"connection": "close"}
"""A connection for each request: llama.cpp closes a used one just when the next request goes out on it,
and on this machine a new one costs nothing."""
_COUNTERS = ("/tokenize", "/extras/tokenize/count")  # llama-server's, llama-cpp-python's


@dataclass(slots=True)
class Piece:
    """How a completion ended: why, at which stop word, and the tokens evaluated, cached and said."""

    stop: str = ""
    word: str = ""
    evaluated: int = 0
    cached: int = 0
    said: int = 0


class Completions:
    """A server's endpoints.

    Args:
        server: where to.
        idle: seconds of silence after which the server is given up.
    """

    def __init__(self, server: LocalServer, *, idle: float = 300.0) -> None:
        self._server = server
        self._client = HttpClient(server.root)
        self._idle = idle
        self._counters = list(_COUNTERS)
        key = server.key
        self._headers = {**FRESH, "authorization": f"Bearer {key.value}"} if key else FRESH

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def prompt(self, body: dict[str, Any], target: Target) -> str:
        """``body`` (``messages``, ``tools`` ...) through the model's template, rendered by the server.

        Raises:
            ProviderError: the server refuses, or gives none.
        """
        status, headers, data = await self._post("/apply-template", body)
        answer = parse_body(data)
        prompt = answer.get("prompt") if isinstance(answer, dict) else None
        if status != 200:
            raise classify(target, status, headers, data)
        if not isinstance(prompt, str):
            raise e.MalformedResponseError(f"{target.name} gave no prompt", "Update the engine.")
        return prompt

    async def count(self, prompt: str) -> int | None:
        """The tokens of ``prompt``; ``None`` where the server cannot tell.

        Raises:
            ProviderError: the server cannot be reached.
        """
        for path in list(self._counters):
            body: dict[str, Any] = {"content": prompt, "parse_special": True, "add_special": True}
            status, _, data = await self._post(path, body if path == "/tokenize" else {"input": prompt})
            answer = parse_body(data)
            if status == 200 and isinstance(answer, dict):
                tokens, number = answer.get("tokens"), answer.get("count")
                if isinstance(tokens, list):
                    return len(tokens)
                if isinstance(number, int):
                    return number
            self._counters.remove(path)
        return None

    def body(
        self,
        prompt: str,
        model: ModelSpec,
        *,
        tokens: int,
        stops: tuple[str, ...] = (),
        images: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """The body of a completion.

        Args:
            prompt: what is continued.
            model: its sampling settings.
            tokens: how many may be said, -1 for as many as there is room for.
            stops: words to stop at, beside those that end a message.
            images: base64, one for each media marker in the prompt.
        """
        able = self._server.capabilities
        body: dict[str, Any] = {
            "prompt": {"prompt_string": prompt, "multimodal_data": list(images)} if images else prompt,
            "n_predict": tokens,
            "stop": [*stops, *able.stops, *model.stop_sequences],
            "stream": True,
            "cache_prompt": True,
            "return_progress": True,
            # Special tokens are left out of the text, and so is a tag that is one.
            "preserved_tokens": [OPEN, CLOSE, *preserved(able.thinking)],
        }
        for name in ("temperature", "top_p", "top_k"):
            if getattr(model, name) is not None:
                body[name] = getattr(model, name)
        return body

    async def texts(self, body: dict[str, Any], target: Target, piece: Piece) -> AsyncGenerator[str | Notice]:
        """The text of one completion, and notices of how far the prompt is read; fills ``piece`` at its end.

        Raises:
            ProviderError: refused, failed, or cut off before its end.
        """
        url = f"{self._server.root}/completion"
        source = HttpSse(self._client, target, url, headers=self._headers, body=body, idle=self._idle)
        reading = Reading()
        async with contextlib.aclosing(source.events()) as events:
            async for event in events:
                data = event.data
                if not isinstance(data, dict):
                    continue
                if data.get("error"):
                    raise classify(target, None, {}, data)
                for notice in reading.feed(data):
                    yield notice
                if isinstance(data.get("content"), str) and data["content"]:
                    yield data["content"]
                if data.get("stop") is True or event.name == WHOLE:
                    _finish(piece, data)
                    await source.drain()
                    return
        raise interrupted(target, "the connection closed")

    async def _post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        url = f"{self._server.root}{path}"
        return await self._client.request("POST", url, headers=self._headers, body=body, idle=self._idle)


def _finish(piece: Piece, data: dict[str, Any]) -> None:
    timings = data.get("timings") if isinstance(data.get("timings"), dict) else {}
    piece.stop, piece.word = str(data.get("stop_type", "")), str(data.get("stopping_word", ""))
    if timings:
        piece.evaluated, piece.cached = int(timings.get("prompt_n", 0)), int(timings.get("cache_n", 0))
        piece.said = int(timings.get("predicted_n", 0))
    else:
        piece.evaluated, piece.said = (
            int(data.get("tokens_evaluated", 0)),
            int(data.get("tokens_predicted", 0)),
        )
