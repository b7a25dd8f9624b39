"""One POST, and its answer as parsed wire events: server-sent events over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from ante_nb import errors as e
from ante_nb.providers.failures import Target, classify, parse_body
from ante_nb.providers.transports.http import MAX_WHOLE_BODY, HttpClient, HttpResponse, idle_error
from ante_nb.providers.transports.sse import EventTooLargeError, SseEvent, SseReader
from ante_nb.providers.wires.base import WireEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

WHOLE = "[WHOLE]"
"""The name of the event that carries an answer which came as one JSON object though a stream was asked for."""
MAX_ERROR_BODY = 1024 * 1024
_DRAIN_SECONDS = 0.1
_NAMELESS = ("", "message")
_PARSE = json.JSONDecoder().raw_decode
"""As ``json.loads``, without its look for white space around the value."""


class HttpSse:
    """A streamed call. Iterate :meth:`events` once, then :meth:`drain` if all was well.

    Args:
        client: the connection pool.
        target: who is called, for the words of errors.
        url, headers, params, body: the request.
        idle: seconds without a usable event after which it is given up. Comments and pings keep a
            connection open but are none. It may be changed while the stream runs.
    """

    def __init__(
        self,
        client: HttpClient,
        target: Target,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Any,
        params: Mapping[str, str] | None = None,
        idle: float = 300.0,
    ) -> None:
        self._client = client
        self._target = target
        self._url = url
        self._headers = {"accept": "text/event-stream", **headers}
        self._params = params
        self._body = body
        self._read_timeout = idle
        self.idle = idle
        self.began = False
        """Whether the server has accepted the request (status 200)."""
        self.headers: dict[str, str] = {}
        """Of the answer, names in lower case; empty until it is there."""
        self._response: HttpResponse | None = None
        self._chunks: AsyncGenerator[bytes] | None = None

    async def events(self) -> AsyncGenerator[WireEvent]:
        """The wire events in order; returns when the body ends properly.

        Raises:
            ProviderError: the answer is an error (classified), no API's answer, or broke off
                (``StreamInterruptedError`` once the stream had begun).
            IdleTimeoutError: silence.
        """
        async with self._client.stream(
            "POST",
            self._url,
            headers=self._headers,
            params=self._params,
            body=self._body,
            idle=self._read_timeout,
        ) as response:
            if response.status != 200:
                raise await failure(self._target, response)
            self.began, self.headers = True, response.headers
            try:
                with response.mapped():
                    async with contextlib.aclosing(response.pieces()) as chunks:
                        self._response, self._chunks = response, chunks
                        # One generator for it all: every layer and every call costs each event.
                        reader, waited, sniffed = SseReader(), 0.0, False
                        feed, following, parse, clock = reader.feed, chunks.__anext__, _PARSE, time.monotonic
                        while True:
                            before = clock()
                            try:
                                if waited or self.idle < self._read_timeout:
                                    chunk = await self._next(chunks, waited)
                                else:
                                    chunk = await following()
                            except StopAsyncIteration:
                                break
                            waited += clock() - before + 1e-9
                            if not sniffed:
                                first = chunk.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
                                if first in (b"{", b"[", b"<"):
                                    yield await self._whole(chunk, chunks, response)
                                    return
                                sniffed = bool(first)
                            try:
                                events = feed(chunk)
                            except EventTooLargeError as problem:
                                raise self._too_large(problem) from None
                            for event in events:
                                name, data = event
                                try:
                                    value, end = parse(data)
                                except (ValueError, RecursionError):
                                    end = -1
                                if end == len(data) and name != "ping":
                                    waited = 0.0
                                    yield WireEvent(name, value)
                                    continue
                                wire_event = self._event(event)
                                if wire_event.data is not None or wire_event.name == "[DONE]":
                                    waited = 0.0
                                yield wire_event
                        for event in reader.close():
                            with contextlib.suppress(
                                e.MalformedResponseError
                            ):  # cut off: the decoder misses its end
                                yield self._event(event)
            except e.NetworkError as problem:
                raise interrupted(self._target, problem.message) from problem

    async def drain(self) -> None:
        """After the last event: read the end of the body, so that the connection can be used again.

        Waits at most a tenth of a second; a server that holds the body open loses its connection.
        """
        if self._chunks is not None and self._response is not None:
            with contextlib.suppress(TimeoutError, e.AnteError, RuntimeError), self._response.mapped():
                async with asyncio.timeout(_DRAIN_SECONDS):
                    async for _ in self._chunks:
                        pass

    async def _next(self, chunks: AsyncGenerator[bytes], waited: float) -> bytes:
        """The next chunk, within what is left of the idle time.

        For when bytes came but nothing usable: the byte timer alone would start anew each time.
        """
        try:
            async with asyncio.timeout(max(self.idle - waited, 0.0)):
                return await anext(chunks)
        except TimeoutError:
            raise idle_error(self._url, self.idle) from None

    def _too_large(self, problem: EventTooLargeError) -> e.MalformedResponseError:
        return e.MalformedResponseError(f"{self._target.name} sent too large an answer: {problem}")

    def _event(self, event: SseEvent) -> WireEvent:
        name, data = event
        if data[:6] == "[DONE]":
            return WireEvent("[DONE]", None)
        if name == "ping":  # Anthropic: keeps the connection open, says nothing
            return WireEvent(name, None)
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            if name == "error":
                value = {"error": {"message": data}}
            elif name not in _NAMELESS or not data.strip():
                value = None  # a named event without JSON (ping, heartbeat) is nobody's content
            else:
                raise e.MalformedResponseError(
                    f"{self._target.name} sent an event that is not JSON",
                    "Try again; if it stays, check the base URL.",
                ) from None
        return WireEvent(name, value)

    async def _whole(self, chunk: bytes, chunks: AsyncGenerator[bytes], response: HttpResponse) -> WireEvent:
        """An answer that is no event stream: JSON (an error, or the whole answer) or a web page."""
        pieces, size = [chunk], len(chunk)
        async for more in chunks:
            size += len(more)
            if size > MAX_WHOLE_BODY:
                raise e.MalformedResponseError(f"{self._target.name} sent too large an answer")
            pieces.append(more)
        return WireEvent(WHOLE, whole_body(self._target, b"".join(pieces), response))


def whole_body(target: Target, data: bytes, response: HttpResponse) -> dict[str, Any]:
    """The JSON object of an answer that came whole with status 200.

    Raises:
        ProviderError: it is an error object (classified), a web page, or no JSON.
    """
    body = parse_body(data)
    if isinstance(body, dict) and not _is_error(body):
        return body
    if isinstance(body, dict | list):
        raise classify(target, None, response.headers, body)
    kind = "a web page" if data.lstrip()[:1] == b"<" else "something that is no JSON"
    raise e.MalformedResponseError(
        f"{target.name} answered with {kind} instead of an API's answer",
        "Check the base URL (often it must end in /v1) and whether a proxy or login page is in between.",
        retryable=False,
    )


def _is_error(body: dict[str, Any]) -> bool:
    return bool(body.get("error")) or (body.get("type") == "error" and "message" in body)


async def failure(target: Target, response: HttpResponse) -> e.ProviderError:
    """The typed error for an answer whose status is not 200."""
    try:
        data = await response.read(MAX_ERROR_BODY)
    except e.AnteError:  # the status alone says enough
        data = b""
    return classify(target, response.status, response.headers, data)


def interrupted(target: Target, why: str) -> e.StreamInterruptedError:
    """The error for a stream that ended before its terminal marker."""
    return e.StreamInterruptedError(
        f"The answer of {target.name} broke off before its end: {why}",
        "Try again; the partial answer is kept.",
    )
