"""A model behind a common interface: stream of events, whole answer, list of models.

Here the wire (what is said), the transport (how it travels), the handover (what the model can take)
and the retry table meet.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ante_nb import errors as e
from ante_nb.messages import Done, Notice, Retract
from ante_nb.providers import handover, live_models, omissions, retry
from ante_nb.providers.failures import Target
from ante_nb.providers.plan_limits import PlanLimits
from ante_nb.providers.signing import Signing
from ante_nb.providers.transports.http import HttpClient
from ante_nb.providers.transports.http_sse import WHOLE, HttpSse, failure, whole_body
from ante_nb.providers.transports.websocket_failure import SocketFailure, of_error
from ante_nb.providers.turn_state import TurnState
from ante_nb.providers.wires import wire_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from ante_nb.messages import StreamEvent
    from ante_nb.providers.omissions import Omission
    from ante_nb.providers.signing import Renew
    from ante_nb.providers.spec import Choice, ModelSpec, Request, Secret
    from ante_nb.providers.transports.websocket import Exchange, WebSocketTransport
    from ante_nb.providers.wires.base import Decoder

logger = logging.getLogger("ante_nb")

LATE_IDLE = 2.0
"""Seconds to wait for usage once the terminal marker is there: some servers leave the body open."""


@dataclass(slots=True)
class _Call:
    """One model call over all of its tries."""

    request: Request
    budget: retry.Budget
    omit: set[Omission] = field(default_factory=set)
    empty: int = 0
    began: bool = False
    http: bool = False
    """Whether it must not use a WebSocket (any more)."""
    sent: Secret | None = None
    """What the last try was signed with."""
    renewed: bool = False
    """Whether that was refused once, and renewed."""


class Provider:
    """Calls the model of a choice.

    Args:
        choice: everything resolved: provider, model, base URL, credential, thinking.
        renew: keeps the token of a sign-in fresh, and replaces one that the vendor refuses.
        sleep: waits between tries (injectable for tests).
        uniform: the jitter.
        websocket: the connections of the WebSocket mode, kept by whoever outlives this object; by default
            it has (and closes) its own.

    Attributes:
        transport: what the last model call used, ``http_sse`` or ``websocket_auto``; empty before it has
            a connection.
        websocket: see above; ``None`` until one is needed.
    """

    transport = ""

    def __init__(
        self,
        choice: Choice,
        *,
        renew: Renew | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
        websocket: WebSocketTransport | None = None,
    ) -> None:
        self._choice = choice
        self._wire = wire_for(choice.provider.wire_style)
        self._client = HttpClient(choice.base_url)
        self._sleep = sleep
        self._uniform = uniform
        self._target = Target(
            choice.provider,
            choice.model.id,
            choice.base_url,
            choice.sources.get("credential") if choice.credential else None,
            f"%ante login {choice.oauth}" if choice.oauth else None,
        )
        self._signing = Signing(choice, renew)
        self._turn_state = TurnState(choice.provider.quirks.turn_state_header)
        self._limits = PlanLimits(self._target.name) if choice.provider.quirks.plan_limits else None
        self._never: set[Omission] = set()
        """What this server has refused once and is spared from then on."""
        self.websocket = websocket
        self._own_websocket = False
        self._logged = ""

    @property
    def choice(self) -> Choice:
        """What is called, and as whom; the token of a sign-in changes, so another one may be set."""
        return self._choice

    @choice.setter
    def choice(self, choice: Choice) -> None:
        self._choice = choice
        self._signing.use(choice.credential, choice.credential_headers)

    # ----------------------------------------------------------------------------------- the interface

    def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """The events of one model call; the last one is ``Done``.

        A try that fails by the retry table is withdrawn by ``Retract`` (if it had shown anything), told
        by ``Notice("retry", ...)`` and repeated; one whose WebSocket fails is withdrawn likewise, told by
        ``Notice("transport", ...)`` and repeated over HTTP. Close the generator to cancel.

        Raises:
            ProviderError: the call failed for good; ``partial`` holds what had come of the answer.
        """
        return self._stream(request)

    async def _stream(self, request: Request, *, http: bool = False) -> AsyncGenerator[StreamEvent]:
        self.transport = ""
        call = self._call(request)
        call.http = http or not self._may_use_websocket
        while True:
            shown, kind, wait = False, "retry", 0.0
            with self._named():
                news = await self._signing.prepare()
            for line in news:
                yield Notice("warning", line)
            exchange = None if call.http else self._exchange(call)
            tried = self._try(call) if exchange is None else self._try_websocket(call, exchange)
            try:
                async with contextlib.aclosing(tried) as events:
                    async for event in events:
                        if isinstance(event, Done) and self._ask_again(call, event):
                            break
                        if isinstance(event, Done) and retry.says_nothing(event):
                            yield Notice(
                                "warning", f"{self._target.name} answered nothing, {call.empty + 1} times."
                            )
                        shown = True
                        yield event
                        if isinstance(event, Done):
                            return
                note = f"{self._target.name} answered nothing; asking again."
            except SocketFailure as problem:
                kind, note = "transport", ""
                if not await self._renewed(call, problem.status):
                    note = self._to_http(call, problem)
            except e.ProviderError as problem:
                note = ""
                if not await self._renewed(call, problem.status):
                    wait, note = self._next(call, problem)
            if shown:
                yield Retract(request.step_id)
            if note:
                yield Notice(kind, note)
            await retry.pause(wait, self._sleep)

    async def complete(self, request: Request) -> Done:
        """The whole answer in one piece, with the same retries, never over a WebSocket.

        Errors as :meth:`stream`.
        """
        if self.choice.provider.quirks.stream_only:
            async with contextlib.aclosing(self._stream(request, http=True)) as events:
                return [event async for event in events if isinstance(event, Done)][-1]
        call = self._call(request)
        while True:
            wait = 0.0
            with self._named():
                await self._signing.prepare()
            try:
                done = await self._whole(call)
                if not self._ask_again(call, done):
                    return done
            except e.ProviderError as problem:
                if not await self._renewed(call, problem.status):
                    wait, _ = self._next(call, problem)
            await retry.pause(wait, self._sleep)

    async def list_models(self) -> list[ModelSpec]:
        """The models that the server itself lists; errors as :func:`live_models.ask`."""
        with self._named():
            return await live_models.ask(self._client, self.choice, self._wire, self._signing, self._target)

    async def aclose(self) -> None:
        """Close the connections."""
        if self.websocket is not None and self._own_websocket:
            await self.websocket.aclose()
        await self._client.aclose()

    # ----------------------------------------------------------------------------------------- one try

    def _call(self, request: Request) -> _Call:
        if request.thinking is None:
            request = replace(request, thinking=self.choice.thinking)
        provider, model = self.choice.provider, self.choice.model
        messages = handover.adapt(request.messages, provider, model, provider.wire_style)
        return _Call(replace(request, messages=messages), retry.Budget(self._uniform), set(self._never))

    def _encoded(
        self, call: _Call, *, stream: bool
    ) -> tuple[str, dict[str, str], dict[str, str], dict[str, Any]]:
        """URL, headers, query and body of a try."""
        provider, model, request = self.choice.provider, self.choice.model, call.request
        request, model, provider = omissions.without(call.omit, request, model, provider)
        body = self._wire.encode(request, model, provider, stream=stream)
        call.sent = self._signing.secret
        headers, params = self._signing.headers(self._wire.headers(request, model, provider))
        return self._wire.url(self.choice.base_url, model, stream=stream), headers, params, body

    @property
    def _idle(self) -> float:
        return self.choice.model.stream_idle_timeout or self.choice.provider.stream_idle_timeout

    async def _try(self, call: _Call) -> AsyncGenerator[StreamEvent]:
        """One try. Its ``Done`` comes only after the terminal marker."""
        call.began = False
        self._uses("http_sse")
        model, provider = self.choice.model, self.choice.provider
        url, headers, params, body = self._encoded(call, stream=True)
        headers |= self._turn_state.headers(call.request.turn_id)
        decoder = self._wire.decoder(model, provider)
        source = HttpSse(
            self._client, self._target, url, headers=headers, params=params, body=body, idle=self._idle
        )
        limits = self._limits
        with self._named(decoder):
            try:
                async with contextlib.aclosing(source.events()) as events:
                    async for event in events:
                        if not call.began:
                            call.began = True
                            self._turn_state.read(call.request.turn_id, source.headers)
                            if limits is not None and (told := limits.headers(source.headers)):
                                yield told
                        if limits is not None and (told := limits.event(event)):
                            yield told
                        if event.name == WHOLE:
                            for item in self._wire.decode_complete(event.data, model, provider):
                                yield item
                            return
                        for item in decoder.feed(event):
                            if isinstance(item, Done):
                                await source.drain()
                            yield item
                        if decoder.finished:
                            return
                        if getattr(decoder, "ended", False):
                            source.idle = min(source.idle, LATE_IDLE)
            except (e.StreamInterruptedError, e.IdleTimeoutError):
                call.began = call.began or source.began
                if not getattr(decoder, "ended", False):
                    raise  # else: the answer is whole, only the end of the body is missing
            for item in decoder.close():
                yield item

    async def _try_websocket(self, call: _Call, exchange: Exchange) -> AsyncGenerator[StreamEvent]:
        """One try over the session's WebSocket. Raises ``SocketFailure`` where HTTP shall do it."""
        from ante_nb.providers.wires.openai_responses import ResponsesDecoder

        call.began = False
        async with exchange:
            url, headers, params, body = self._encoded(call, stream=True)
            provider = self.choice.provider
            decoder = ResponsesDecoder(self.choice.model, provider)
            if provider.quirks.websocket_beta:
                headers["openai-beta"] = provider.quirks.websocket_beta
            with self._named(decoder):
                self._turn_state.read(call.request.turn_id, await exchange.ready(url, headers, params))
                body |= self._turn_state.body(call.request.turn_id)
                self._uses("websocket_auto")
                try:
                    async with contextlib.aclosing(exchange.events(body, self._idle)) as events:
                        async for event in events:
                            call.began = True
                            if self._limits is not None and (told := self._limits.event(event)):
                                yield told
                            for item in decoder.feed(event):
                                yield item
                            if decoder.ended:
                                break
                except e.ProviderError as problem:
                    raise of_error(problem) or problem from None
                goes_on = decoder.response_id if decoder.continuable else None
                exchange.settle(body, decoder.output_items, goes_on)
        for item in decoder.close():
            yield item

    async def _whole(self, call: _Call) -> Done:
        call.began = False
        self._uses("http_sse")
        url, headers, params, body = self._encoded(call, stream=False)
        model, provider = self.choice.model, self.choice.provider
        with self._named():
            async with self._client.stream(
                "POST", url, headers=headers, params=params, body=body, idle=self._idle
            ) as response:
                if response.status != 200:
                    raise await failure(self._target, response)
                data = await response.read()
            events = self._wire.decode_complete(whole_body(self._target, data, response), model, provider)
        return next(event for event in reversed(events) if isinstance(event, Done))

    @contextlib.contextmanager
    def _named(self, decoder: Decoder | None = None) -> Iterator[None]:
        """Adds to an error who was called, and what had come of the answer."""
        try:
            yield
        except e.ProviderError as problem:
            problem.provider = problem.provider or self._target.provider.id
            problem.model = problem.model or self._target.model
            if decoder is not None and problem.partial is None:
                partial = decoder.partial()
                problem.partial = partial if partial.parts else None
            raise

    # -------------------------------------------------------------------------------------- transport

    @property
    def _may_use_websocket(self) -> bool:
        choice, spec = self.choice, self.choice.provider
        return choice.transport == "websocket_auto" and spec.websocket and spec.wire_style == "OpenAiResponse"

    def _exchange(self, call: _Call) -> Exchange | None:
        """The session's WebSocket, unless it is HTTP's turn."""
        if self.websocket is None:
            from ante_nb.providers.transports.websocket import WebSocketTransport

            self.websocket, self._own_websocket = WebSocketTransport(), True
        exchange, why = self.websocket.begin(call.request.session_id or "", call.request.turn_id)
        if exchange is None:
            self._uses("http_sse", why)
        return exchange

    def _to_http(self, call: _Call, problem: SocketFailure) -> str:
        """The WebSocket failed: this call, and what else the failure says, goes over HTTP."""
        assert self.websocket is not None
        call.http = True
        self.websocket.give_up(call.request.session_id or "", call.request.turn_id, problem)
        self._uses("http_sse", str(problem))
        return problem.notice

    def _uses(self, transport: str, why: str = "") -> None:
        """Takes note of the transport, and logs where it is another one than before."""
        self.transport = transport
        if transport != self._logged:
            self._logged = transport
            reason = f" reason={why}" if why else ""
            spec, model = self.choice.provider, self.choice.model
            logger.info("transport selected: %s provider=%s model=%s%s", transport, spec.id, model.id, reason)

    # ----------------------------------------------------------------------------------- trying again

    async def _renewed(self, call: _Call, status: int | None) -> bool:
        """Whether a refused token was replaced, so that the call may be tried once more, uncounted."""
        if status != 401 or call.renewed:
            return False
        call.renewed = True
        with self._named():
            return await self._signing.replace(call.sent)

    def _next(self, call: _Call, problem: e.ProviderError) -> tuple[float, str]:
        """Seconds until the next try and what to say about it; raises ``problem`` if there is none."""
        omission = omissions.refused(problem, call.omit)
        if omission is not None:
            call.omit.add(omission)
            if omission in omissions.LASTING:
                self._never.add(omission)
            logger.info("%s refuses %s: asked again without", self._target.provider.id, omission)
            return 0.0, omissions.NOTES[omission]
        wait = call.budget.next(problem, began=call.began)
        if wait is None:
            raise problem
        logger.info("try %d failed: %s; next in %.1f s", call.budget.tries, problem, wait)
        when = f"in {wait:.0f} s" if wait >= 1 else "now"
        return wait, f"{problem.message.rstrip('.')}. Trying again {when}."

    def _ask_again(self, call: _Call, done: Done) -> bool:
        """Whether the model said nothing at all, and may be asked once more."""
        if not retry.says_nothing(done) or call.empty >= retry.MAX_EMPTY_RETRIES:
            return False
        call.empty += 1
        return True
