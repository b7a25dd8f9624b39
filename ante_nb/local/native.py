"""The server's own chat endpoint: its progress told, and a forced call that comes in any case."""

from __future__ import annotations

import contextlib
import json
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ante_nb import errors as e
from ante_nb.local.grammar import call_schema
from ante_nb.local.reading import Reading
from ante_nb.local.tool_prompt import chat
from ante_nb.messages import (
    Done,
    Image,
    Message,
    Text,
    TextDelta,
    ToolCall,
    ToolCallEnd,
    ToolCallStart,
    UsageUpdate,
)
from ante_nb.providers.provider import Provider
from ante_nb.providers.spec import Request
from ante_nb.providers.wires.openai_chat import OpenAiChat
from ante_nb.providers.wires.openai_chat_decode import ChatDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from ante_nb.messages import Part, StreamEvent
    from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec, ToolSpec
    from ante_nb.providers.wires.base import WireEvent

_PROSE = 200  # characters after which a model that was to call a tool is talking


class LlamaChat(OpenAiChat):
    """Chat Completions as llama-server speaks it: it tells how far it has read the prompt."""

    def encode(
        self, request: Request, model: ModelSpec, provider: ProviderSpec, *, stream: bool
    ) -> dict[str, Any]:
        if request.tool_choice not in ("auto", "none", "required"):
            # The server knows the three words only: a tool is forced by giving it alone.
            named = tuple(tool for tool in request.tools if tool.name == request.tool_choice)
            request = replace(request, tools=named, tool_choice="required")
        body = super().encode(request, model, provider, stream=stream)
        if stream:
            body["return_progress"] = True
        return body

    def decoder(self, model: ModelSpec, provider: ProviderSpec) -> LlamaDecoder:
        return LlamaDecoder(model, provider)


class LlamaDecoder(ChatDecoder):
    """Adds ``Notice("local", ...)`` while the prompt is read."""

    def __init__(self, model: ModelSpec, provider: ProviderSpec) -> None:
        super().__init__(model, provider)
        self._reading = Reading()

    def feed(self, event: WireEvent) -> list[StreamEvent]:
        notices = self._reading.feed(event.data) if isinstance(event.data, dict) else ()
        return [*notices, *super().feed(event)]


class LlamaProvider(Provider):
    """A provider whose server is llama.cpp."""

    def __init__(self, choice: Choice, **more: Any) -> None:
        super().__init__(choice, **more)
        self._wire = LlamaChat()


class NoCallError(e.ProviderError):
    """A model that was to call a tool talked, or its server knows no tools. Never leaves this package."""

    kind = "no_call"


async def called(provider: Provider, request: Request) -> AsyncGenerator[StreamEvent]:
    """The events of a call that is forced.

    Raises:
        NoCallError: none came; what was yielded until then is void.
        ProviderError: as :meth:`ante_nb.providers.provider.Provider.stream`.
    """
    said, calls = 0, False
    try:
        async with contextlib.aclosing(provider.stream(request)) as events:
            async for event in events:
                calls = calls or isinstance(event, ToolCallStart)
                said += len(event.text) if isinstance(event, TextDelta) else 0
                if not calls and (said > _PROSE or isinstance(event, Done)):
                    raise NoCallError("the model called no tool")
                yield event
    except e.InvalidRequestError as problem:
        # Servers that know no tools, or no tool by name (LM Studio takes the three words alone).
        if said or calls or isinstance(problem, e.ContextOverflowError | e.RequestTooLargeError):
            raise
        raise NoCallError(problem.message) from None


async def by_format(choice: Choice, request: Request) -> AsyncGenerator[StreamEvent]:
    """A forced call from a server that has nothing but ``response_format`` to hold a model to a schema.

    Raises:
        ProviderError: as :meth:`ante_nb.providers.provider.Provider.stream`.
    """
    tools = _wanted(request)
    schema = {key: value for key, value in call_schema(tools).items() if key != "x-guidance"}
    held = {"type": "json_schema", "json_schema": {"name": "call", "schema": schema}}
    spec = replace(choice.provider, extra_body={**choice.provider.extra_body, "response_format": held})
    provider = Provider(replace(choice, provider=spec))
    try:
        done = await provider.complete(
            Request(
                messages=tuple(_plain(replace(request, tools=tools))),
                max_tokens=request.max_tokens,
                session_id=request.session_id,
                step_id=request.step_id,
                turn_id=request.turn_id,
            )
        )
    finally:
        await provider.aclose()
    call = _call(done.message.text, tools, cut=done.stop_reason == "length")
    yield ToolCallStart(0, call.id, call.name)
    yield ToolCallEnd(0, call)
    if done.usage is not None:
        yield UsageUpdate(done.usage)
    reason = done.stop_reason if done.stop_reason in ("length", "content_filter", "refusal") else "tool_calls"
    yield Done(replace(done.message, parts=(call,)), reason, done.usage)


def _wanted(request: Request) -> tuple[ToolSpec, ...]:
    tools = tuple(tool for tool in request.tools if request.tool_choice in ("required", tool.name))
    if not tools:
        raise e.InvalidRequestError(
            f"there is no tool called {request.tool_choice!r}", "Choose one of the cell's tools."
        )
    return tools


def _plain(request: Request) -> list[Message]:
    """The conversation with tools, calls and results as words."""
    return [
        Message("assistant" if entry["role"] == "assistant" else "user", tuple(_parts(entry["content"])))
        for entry in chat(request, system=False)
    ]


def _parts(content: Any) -> Iterator[Part]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for item in content:
        if item["type"] == "text":
            yield Text(item["text"])
        else:
            kind, _, data = item["image_url"]["url"].removeprefix("data:").partition(";base64,")
            yield Image(data, kind)


def _call(text: str, tools: tuple[ToolSpec, ...], *, cut: bool) -> ToolCall:
    ident = f"call_{secrets.token_hex(6)}"
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    names = [tool.name for tool in tools]
    if not cut and isinstance(data, dict) and data.get("name") in names:
        arguments = data.get("arguments")
        if isinstance(arguments, dict):
            return ToolCall(ident, data["name"], arguments)
    return ToolCall(ident, names[0], invalid=text or "(nothing)")
