"""The ``local`` provider: the common interface over a server that it finds or starts itself."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ante_nb import errors as e
from ante_nb.local import discovery, native, options, progress, shared, vision
from ante_nb.local.completion import FRESH
from ante_nb.local.fitting import fitted
from ante_nb.local.reading import watched_slots
from ante_nb.local.twophase import TwoPhase
from ante_nb.messages import Done, Notice, Retract
from ante_nb.providers import handover
from ante_nb.providers.failures import Target
from ante_nb.providers.provider import Provider
from ante_nb.providers.spec import AuthSpec, ModelSpec, Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from ante_nb.messages import StreamEvent
    from ante_nb.providers.spec import Choice

_DIED = (e.NetworkError, e.StreamInterruptedError)
_ENDED = "The local server has ended"
_contexts: dict[str, int] = {}
DEMO_NOTE = "this is a 135M demonstration model: it answers, but it is no agent"


def known_context(model: str) -> int | None:
    """The context that the server of ``model`` (an id, as chosen) had when this process last used it."""
    return _contexts.get(model)


@dataclass(slots=True)
class _Link:
    """A server, and the two ways to talk to it."""

    server: shared.LocalServer
    choice: Choice
    provider: Provider
    twophase: TwoPhase

    async def aclose(self) -> None:
        await self.provider.aclose()
        await self.twophase.aclose()


class LocalProvider:
    """Calls a model on this machine; same interface as :class:`ante_nb.providers.provider.Provider`.

    Args:
        choice: provider ``local``; ``model.id`` is a path, a model's name or empty for the default; a
            base URL is that of a server to use instead of starting one.
        settings: the package's settings (their ``local`` section is read).
        notify: told what goes on where there is no stream to tell it in (``complete``, ``list_models``).

    Attributes:
        choice: as given until the first call, then with the model's real name, limits and address.
    """

    transport = "http_sse"

    def __init__(
        self, choice: Choice, settings: Any = None, notify: Callable[[str], None] = lambda line: None
    ) -> None:
        self.choice = choice
        self._given = choice
        self._settings = settings
        self._notify = notify
        self._link: _Link | None = None
        self._greeted = False
        self._restarted = ""
        self._told: set[str] = set()

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """The events of one model call; the last one is ``Done``. ``Notice("local", ...)`` tells of a start.

        A server that dies meanwhile is started again, once in a turn.

        Raises:
            LocalEngineError: no engine, no model, or it cannot run.
            ProviderError: the call failed; ``partial`` holds what had come of the answer.
        """
        for last in (False, True):
            async with contextlib.aclosing(self._acquired()) as lines:
                async for line in lines:
                    yield Notice("local", line)
            link = self._linked()
            shown = False
            try:
                with link.server.busy():
                    request, news = await self._fitted(link, request)
                    for notice in news:
                        yield notice
                    told = self._events(link, request)
                    waits = await asyncio.to_thread(link.server.waited_for)
                    if link.server.capabilities.completion and not waits:
                        told = watched_slots(told, link.server)
                    line = progress.WAITING if waits else progress.reading(request)
                    watched = progress.watched(told, line)
                    async with contextlib.aclosing(watched) as events:
                        async for event in events:
                            shown = not isinstance(event, Retract) and (
                                shown or not isinstance(event, Notice)
                            )
                            yield event
                return
            except _DIED as problem:
                alive = await asyncio.to_thread(link.server.alive)
                if last or (alive and (shown or not self._by_phases(link, request))):
                    raise
                if alive:
                    continue  # llama.cpp closes a connection that was idle; the phases try nothing again
                if not self._may_restart(request):
                    raise
                await self._drop()
                if shown:
                    yield Retract(request.step_id)
                yield Notice("retry", f"{_ENDED}{_because(problem)}. Starting it again.")

    async def complete(self, request: Request) -> Done:
        """The whole answer in one piece. Errors as :meth:`stream`."""
        for last in (False, True):
            async with contextlib.aclosing(self._acquired()) as lines:
                async for line in lines:
                    self._notify(line)
            link = self._linked()
            try:
                with link.server.busy():
                    request, _ = await self._fitted(link, request)
                    if not _forced(request) and not self._by_phases(link, request):
                        return await link.provider.complete(request)
                    async with contextlib.aclosing(self._events(link, request)) as events:
                        return [event async for event in events if isinstance(event, Done)][-1]
            except _DIED:
                if last or await asyncio.to_thread(link.server.alive) or not self._may_restart(request):
                    raise
                await self._drop()
        raise AssertionError("unreachable")

    async def list_models(self) -> list[ModelSpec]:
        """The models on this machine, or those of the configured server."""
        chosen = await self._options()
        if chosen.engine_url:
            async with contextlib.aclosing(self._acquired()) as lines:
                async for line in lines:
                    self._notify(line)
            return await self._linked().provider.list_models()
        found = await asyncio.to_thread(discovery.find_models, chosen.home, None, chosen.model_directories)
        return [
            ModelSpec(
                id=model.id, description=f"{model.source}, {model.path}{model.flaw and f', {model.flaw}'}"
            )
            for model in found
        ]

    async def aclose(self) -> None:
        """Close the connections. The server stays for others and ends by itself when idle."""
        await self._drop()

    # ------------------------------------------------------------------------------------------ inside

    def _events(self, link: _Link, request: Request) -> AsyncGenerator[StreamEvent]:
        if self._by_phases(link, request):
            return link.twophase.stream(request, link.choice.model, link.choice.provider)
        if _forced(request):
            return _held_to_a_call(link, request)
        return link.provider.stream(request)

    def _by_phases(self, link: _Link, request: Request) -> bool:
        """Whether this call is beyond the server's own chat interface.

        It would drop tools that the template does not know, not be strict about a call that is forced,
        and with some engines leave thinking in the text.
        """
        able = link.server.capabilities
        if not able.completion:
            return False
        if _forced(request) or not able.parses:
            return True
        return not able.tools and (
            bool(request.tools)
            or any(message.tool_calls or message.tool_results for message in request.messages)
        )

    async def _fitted(self, link: _Link, request: Request) -> tuple[Request, list[Notice]]:
        """The request as the model can take it, and what the person should know of what it lost."""
        news = []
        model, able = link.choice.model, link.server.capabilities
        if able.vision is False:
            unseen = vision.left_out(request.messages, model.id, starts_here=link.server.state is not None)
            if unseen and unseen not in self._told:
                self._told.add(unseen)
                news.append(Notice("attachment", unseen))
        if not able.completion or not able.context:
            return request, news

        async def count(asked: Request) -> int | None:
            return await _tokens(link, asked)

        limit = request.max_tokens or model.max_tokens
        request, cut = await fitted(request, context=able.context, limit=limit, model=model.id, count=count)
        return request, [*news, Notice("compaction", cut)] if cut else news

    async def _options(self) -> options.Options:
        chosen = await asyncio.to_thread(options.load, self._settings)
        return replace(chosen, engine_url=self._given.base_url) if self._given.base_url else chosen

    async def _acquired(self) -> AsyncGenerator[str]:
        """Makes the link to a living server; yields the lines of a start as they come."""
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        chosen = await self._options()
        task = asyncio.create_task(
            shared.acquire(self._given.model.id or None, settings=chosen, progress=lines.put_nowait)
        )
        task.add_done_callback(lambda _: lines.put_nowait(None))
        try:
            while (line := await lines.get()) is not None:
                yield line
            server = await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if (
            self._link is None
            or self._link.server.pid != server.pid
            or self._link.server.base_url != server.base_url
        ):
            await self._drop()
            self._link = self._connect(server)
        if server.demo and not self._greeted:
            self._greeted = True
            yield f"{server.model_id}: {DEMO_NOTE}"

    def _connect(self, server: shared.LocalServer) -> _Link:
        given = self._given
        context = server.context
        limit = max(512, min(8192, context // 4)) if context else None
        model = replace(
            given.model,
            id=server.model_id,
            context_limit=context or given.model.context_limit,
            # Without a limit a small model that rambles does so until its context is full.
            max_tokens=given.model.max_tokens or limit,
            vision=server.capabilities.vision
            if server.capabilities.vision is not None
            else given.model.vision,
            temperature=given.model.temperature
            if given.model.temperature is not None
            else server.temperature,
        )
        headers = {**given.provider.http_headers, **(FRESH if server.capabilities.completion else {})}
        spec = replace(
            given.provider, auth=AuthSpec("bearer"), base_url=server.base_url, http_headers=headers
        )
        where = f"{server.engine}, context {context}" if context else server.engine
        sources = {**given.sources, "base_url": where}
        self.choice = replace(
            given,
            provider=spec,
            model=model,
            base_url=server.base_url,
            credential=server.key,
            sources=sources,
        )

        async def pause(seconds: float) -> None:
            # A dead server does not come back by waiting; it is started anew by the caller.
            if not await asyncio.to_thread(server.alive):
                raise e.NetworkError(
                    _ENDED,
                    "Run the cell again to start it anew; `%ante local log` shows what it said last.",
                    provider=spec.id,
                    model=model.id,
                )
            await asyncio.sleep(seconds)

        idle = model.stream_idle_timeout or spec.stream_idle_timeout
        if context:
            _contexts[given.model.id] = _contexts[server.model_id] = context
        kind = native.LlamaProvider if server.capabilities.completion else Provider
        return _Link(server, self.choice, kind(self.choice, sleep=pause), TwoPhase(server, idle=idle))

    def _may_restart(self, request: Request) -> bool:
        """Whether the turn has a start left: what ends its server twice would do so at every step."""
        if request.turn_id and request.turn_id == self._restarted:
            return False
        self._restarted = request.turn_id
        return True

    def _linked(self) -> _Link:
        assert self._link is not None
        return self._link

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.aclose()


def _forced(request: Request) -> bool:
    return request.tool_choice not in ("auto", "none")


async def _held_to_a_call(link: _Link, request: Request) -> AsyncGenerator[StreamEvent]:
    """A forced call from a server that is not llama.cpp: as it offers, else under a response format."""
    try:
        async with contextlib.aclosing(native.called(link.provider, request)) as events:
            async for event in events:
                yield event
        return
    except native.NoCallError:
        yield Retract(request.step_id)
    async with contextlib.aclosing(native.by_format(link.choice, request)) as events:
        async for event in events:
            yield event


async def _tokens(link: _Link, request: Request) -> int | None:
    """The length of a request's prompt, asked of the server; ``None`` where it cannot tell."""
    model, spec = link.choice.model, link.choice.provider
    messages = handover.adapt(request.messages, spec, model, spec.wire_style)
    body = link.twophase.template_body(replace(request, messages=messages), model, spec)
    try:
        prompt = await link.twophase.completions.prompt(body, Target(spec, model.id, link.server.root))
        tokens = await link.twophase.completions.count(prompt)
    except e.ProviderError:
        return None  # the call itself will say what is wrong
    return tokens and tokens + vision.TOKENS_EACH * len(vision.sent_images(messages))


def _because(problem: e.AnteError) -> str:
    said = problem.message.rstrip(".")
    return "" if said == _ENDED else f" ({said})"
