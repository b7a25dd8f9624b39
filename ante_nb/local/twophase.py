"""Tool calls from a model whose template has none: speak freely, and call under a grammar.

Phase one streams the answer until the model writes ``<tool_call>``; there the server stops. Phase two
continues the same prompt (its evaluated part is kept by the server) under the JSON schema of the
tools, so that what comes can be parsed. It runs on two of llama.cpp's endpoints, ``/apply-template`` and
``/completion`` (:mod:`ante_nb.local.completion`). The server's own ``tools`` are no way: without support
in the template they are silently dropped.

A call that is forced has no first phase. That is of use for templates with tools as well, if their calls
have the same form: the server's ``tool_choice: required`` lets small models talk all the same.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ante_nb import errors as e
from ante_nb.local.completion import Completions, Piece
from ante_nb.local.grammar import call_schema
from ante_nb.local.spoken import CallText, Spoken
from ante_nb.local.thinking import opened_by, template_fields
from ante_nb.local.tool_prompt import CLOSE, OPEN, chat
from ante_nb.local.vision import sent_images
from ante_nb.messages import (
    Done,
    Message,
    Notice,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    Usage,
    UsageUpdate,
    tag,
)
from ante_nb.providers import handover
from ante_nb.providers.failures import Target
from ante_nb.providers.wires.openai_chat import wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ante_nb.local.shared import LocalServer
    from ante_nb.messages import Part, StopReason, StreamEvent
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request

_MAX_CALLS = 8
_NEXT_CALL_TOKENS = 12  # enough for a line break and the tag


class _Answer:
    """One answer as it grows over the phases."""

    def __init__(self, prompt: str, spoken: Spoken, images: tuple[str, ...] = ()) -> None:
        self.prompt = prompt
        self.images = images
        self.said = ""
        self.spoken = spoken
        self.calls: list[ToolCall] = []
        self.usage = Usage()
        self.limited = False

    @property
    def parts(self) -> tuple[Part, ...]:
        return (*self.spoken.partial(), *self.calls)

    def count(self, piece: Piece) -> None:
        """Adds a completion: the prompt counts once, each token said once."""
        if not self.usage.input:
            self.usage = Usage(input=piece.evaluated + piece.cached, cache_read=piece.cached)
        self.usage = replace(self.usage, output=self.usage.output + piece.said)


class TwoPhase:
    """Model calls over llama.cpp's own endpoints.

    Args:
        server: where to; its capabilities say how the template wants the conversation.
        idle: seconds of silence after which the server is given up.
    """

    def __init__(self, server: LocalServer, *, idle: float = 300.0) -> None:
        self._server = server
        self.completions = Completions(server, idle=idle)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.completions.aclose()

    def template_body(self, request: Request, model: ModelSpec, provider: ProviderSpec) -> dict[str, Any]:
        """What ``/apply-template`` gets: the conversation with the tools in words, or as the template
        itself lists them where it can. The messages must fit the model already."""
        off = request.tool_choice not in ("auto", "none")
        fields = template_fields(request, model, off=off)
        if not self._server.capabilities.tools:
            return {"messages": chat(request, system=self._server.capabilities.system), **fields}
        whole = wire.encode(replace(request, tool_choice="auto"), model, provider, stream=False)
        return {**{key: whole[key] for key in ("messages", "tools") if key in whole}, **fields}

    async def stream(
        self, request: Request, model: ModelSpec, provider: ProviderSpec
    ) -> AsyncGenerator[StreamEvent]:
        """The events of one model call; the last one is ``Done``. Nothing is tried again here.

        A call that the token limit cuts off is marked ``invalid`` and never runnable.

        Raises:
            ProviderError: as :meth:`ante_nb.providers.provider.Provider.stream`.
        """
        target = Target(provider, model.id, self._server.root)
        messages = handover.adapt(request.messages, provider, model, provider.wire_style)
        request = replace(request, messages=messages)
        prompt = await self.completions.prompt(self.template_body(request, model, provider), target)
        marks = self._server.capabilities.thinking
        spoken = Spoken(opened=opened_by(prompt, marks), marks=marks)
        answer = _Answer(prompt, spoken, sent_images(messages))
        try:
            async for event in self._phases(answer, request, model, target):
                yield event
        except e.ProviderError as problem:
            problem.provider = problem.provider or provider.id
            problem.model = problem.model or model.id
            if problem.partial is None and answer.spoken.partial():
                problem.partial = Message(
                    "assistant", answer.spoken.partial(), provider.id, provider.wire_style, model.id
                )
            raise
        yield UsageUpdate(answer.usage)
        runnable = any(call.invalid is None for call in answer.calls)
        reason: StopReason = (
            "length" if answer.limited else "tool_calls" if runnable or answer.calls else "stop"
        )
        message = Message("assistant", answer.parts, provider.id, provider.wire_style, model.id)
        yield Done(message, reason, answer.usage)

    async def _phases(
        self, answer: _Answer, request: Request, model: ModelSpec, target: Target
    ) -> AsyncGenerator[StreamEvent]:
        forced = request.tool_choice not in ("auto", "none")
        wanted = [
            tool for tool in request.tools if not forced or request.tool_choice in ("required", tool.name)
        ]
        if forced and not wanted:
            raise e.InvalidRequestError(
                f"there is no tool called {request.tool_choice!r}", "Choose one of the cell's tools."
            )
        if not forced:
            callable_ = bool(wanted) and request.tool_choice == "auto"
            async with contextlib.aclosing(self._speak(answer, request, model, target, callable_)) as events:
                async for event in events:
                    yield event
            if answer.limited or not callable_ or not answer.said.endswith(OPEN):
                return
        else:
            opened = opened_by(answer.prompt, self._server.capabilities.thinking)
            if opened is not None:  # a template that thinks whatever it is told: the thought ends here
                answer.said, answer.spoken = f"\n{opened.close}\n\n", Spoken()
            answer.said += OPEN
        while True:
            async with contextlib.aclosing(self._call(answer, request, wanted, model, target)) as events:
                async for event in events:
                    yield event
            if forced or answer.limited or not await self._another(answer, model, target):
                return

    async def _speak(
        self, answer: _Answer, request: Request, model: ModelSpec, target: Target, callable_: bool
    ) -> AsyncGenerator[StreamEvent]:
        """Phase one: text and thinking, up to the tag. ``answer.said`` then ends with it."""
        limit = request.max_tokens or model.max_tokens
        while True:
            left = limit - answer.usage.output if limit else -1
            body = self._body(answer, model, tokens=left, tag=callable_)
            piece = Piece()
            async with contextlib.aclosing(self.completions.texts(body, target, piece)) as texts:
                async for text in texts:
                    if isinstance(text, Notice):
                        yield text
                        continue
                    answer.said += text
                    for event in answer.spoken.feed(text):
                        yield event
            answer.count(piece)
            tagged = callable_ and piece.stop == "word" and piece.word == OPEN
            if tagged and answer.spoken.thinking and (not limit or answer.usage.output < limit):
                # A tag inside the thinking is a thought about a call.
                answer.said += OPEN
                for event in answer.spoken.feed(OPEN):
                    yield event
                continue
            answer.limited = piece.stop == "limit"
            for event in answer.spoken.close():
                yield event
            if tagged and not answer.limited:
                answer.said += OPEN
            return

    async def _call(
        self, answer: _Answer, request: Request, tools: list[Any], model: ModelSpec, target: Target
    ) -> AsyncGenerator[StreamEvent]:
        """Phase two: one call, from its opening tag."""
        context = self._server.context or 8192
        limit = request.max_tokens or max(256, min(4096, context // 8))
        body = self._body(answer, model, tokens=limit, tag=False, more="\n")
        if model.temperature is None:
            body["temperature"] = 0  # arguments are no place for chance
        body["json_schema"] = call_schema(tools)
        index, ident, text, piece = (
            answer.spoken.index + len(answer.calls),
            f"call_{secrets.token_hex(6)}",
            CallText(),
            Piece(),
        )
        while True:
            began = False
            try:
                async with contextlib.aclosing(self.completions.texts(body, target, piece)) as texts:
                    async for said in texts:
                        if isinstance(said, Notice):
                            yield said
                            continue
                        known = text.name is not None
                        arguments = text.feed(said)
                        if text.name is not None and not known:
                            began = True
                            yield ToolCallStart(index, ident, text.name)
                        if arguments:
                            yield ToolCallDelta(index, arguments)
                break
            except e.InvalidRequestError as problem:
                loose = call_schema(tools, strict=False)
                if began or isinstance(problem, e.ContextOverflowError) or body["json_schema"] == loose:
                    raise
                body["json_schema"] = loose  # a schema that this server's grammar cannot express
        answer.count(piece)
        answer.limited = piece.stop == "limit"
        call = _parsed(ident, text, tools, cut=answer.limited, origin=(target.provider.id, target.model))
        if text.name is None:
            yield ToolCallStart(index, ident, call.name)
        answer.said += f"\n{text.raw}\n{CLOSE}"
        answer.calls.append(call)
        yield ToolCallEnd(index, call)

    async def _another(self, answer: _Answer, model: ModelSpec, target: Target) -> bool:
        """Whether the model goes straight on to a further call; then ``answer.said`` ends with its tag."""
        calls = answer.calls
        if len(calls) >= _MAX_CALLS or calls[-1].invalid is not None:
            return False
        if any((call.name, call.arguments) == (calls[-1].name, calls[-1].arguments) for call in calls[:-1]):
            return False  # a small model that repeats itself would do so until the limit
        body = self._body(answer, model, tokens=_NEXT_CALL_TOKENS, tag=True)
        piece, said = Piece(), ""
        async with contextlib.aclosing(self.completions.texts(body, target, piece)) as texts:
            async for text in texts:
                said += text if isinstance(text, str) else ""
                if said.strip():
                    return False  # words after a call are guesses about its result
        answer.count(piece)
        if piece.stop != "word" or piece.word != OPEN:
            return False
        answer.said += f"\n{OPEN}"  # as the history will have it
        return True

    def _body(
        self, answer: _Answer, model: ModelSpec, *, tokens: int, tag: bool, more: str = ""
    ) -> dict[str, Any]:
        prompt = f"{answer.prompt}{answer.said}{more}"
        stops = (OPEN,) if tag else ()
        return self.completions.body(prompt, model, tokens=tokens, stops=stops, images=answer.images)


def _parsed(ident: str, text: CallText, tools: list[Any], *, cut: bool, origin: tuple[str, str]) -> ToolCall:
    """The call, or one marked invalid: the grammar is the server's word, not ours."""
    try:
        data = json.loads(text.raw)
    except (ValueError, RecursionError):
        data = None
    names = {tool.name for tool in tools}
    if (
        not cut
        and isinstance(data, dict)
        and data.get("name") in names
        and isinstance(data.get("arguments"), dict)
    ):
        return ToolCall(ident, data["name"], data["arguments"], provider_metadata=tag(*origin, raw=text.raw))
    name = text.name or (next(iter(names)) if len(names) == 1 else "unknown")
    return ToolCall(
        ident, name, invalid=text.raw or "(nothing)", provider_metadata=tag(*origin, raw=text.raw)
    )
