"""Talks to :mod:`support.vendor_server` through the real provider, with the built-in catalog's rows."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ante_nb.messages import Done, Image, Message, Retract, Text, ToolResult, Usage
from ante_nb.providers.catalog import load_catalog
from ante_nb.providers.provider import Provider
from ante_nb.providers.spec import Choice, Request, Secret, ToolSpec
from support.vendors import VENDORS
from support.wire_bytes import check_events

if TYPE_CHECKING:
    from ante_nb.messages import StreamEvent
    from support.vendor_answers import Answer, Tokens
    from support.vendor_server import VendorServer

TOOLS = (
    ToolSpec(
        "Read",
        "Read a file.",
        {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    ),
    ToolSpec("Now", "The time.", {"type": "object", "properties": {}}),
)
SESSION = "ses_01JLOOPBACK000000000000000"


def png(shade: int = 0) -> Image:
    """A picture of one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes([0, shade]))) + chunk(b"IEND", b"")
    return Image(base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode(), "image/png")


class Sleeper:
    """Takes note of the pauses and does not wait."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)


def choice(
    server: VendorServer, provider: str, model: str | None = None, *, thinking: Any = "high", **changes: Any
) -> Choice:
    """The catalog's row of ``provider``, at its place on the server, with the key that it wants there.

    ``changes``: fields of the provider's row.
    """
    catalog = load_catalog()
    spec = replace(catalog.provider(provider), **changes)
    vendor = VENDORS[spec.alias_of or spec.id]
    return Choice(
        spec,
        catalog.model_for(provider, model or spec.default_model or "test-model"),
        server.base(vendor.id),
        Secret(vendor.key) if vendor.key else None,
        thinking=thinking,
        sources={"credential": "the test"},
    )


@dataclass
class Talk:
    """A conversation with one or more providers."""

    server: VendorServer
    streamed: bool = True
    messages: list[Message] = field(default_factory=list)
    sleeper: Sleeper = field(default_factory=Sleeper)
    last: Any = None
    """The events of the last call; of :meth:`Provider.complete` its ``Done``."""
    _made: dict[str, Provider] = field(default_factory=dict)

    def provider(self, name: str, model: str | None = None, **options: Any) -> Provider:
        key = f"{name} {model}"
        if key not in self._made:
            chosen = choice(self.server, name, model, **options)
            self._made[key] = Provider(chosen, sleep=self.sleeper)
        return self._made[key]

    async def ask(self, provider: Provider, *answers: Answer, **options: Any) -> Done:
        """One model call, answered with the first of ``answers``; the rest stays queued."""
        self.server.script(*answers)
        request = Request(
            tuple(self.messages),
            system="Be brief.",
            tools=TOOLS,
            session_id=SESSION,
            step_id="step_1",
            **options,
        )
        if self.streamed:
            self.last = [event async for event in provider.stream(request)]
            done = self.last[-1]
            check_events(since_retract(self.last))
        else:
            self.last = done = await provider.complete(request)
        assert isinstance(done, Done)
        self.messages.append(done.message)
        return done

    def say(self, words: str, *more: Any) -> None:
        self.messages.append(Message.user(words, *more))

    def results(self, *, image: Image | None = None, fails: bool = False) -> None:
        """Answers the calls of the last message, the first one with the image."""
        parts = []
        for at, call in enumerate(self.messages[-1].tool_calls):
            content: tuple[Text | Image, ...] = (Text(f"result of {call.name}"),)
            if image is not None and at == 0:
                content = (*content, image)
            parts.append(ToolResult(call.id, content, is_error=fails and at > 0))
        self.messages.append(Message("tool", tuple(parts)))

    async def aclose(self) -> None:
        for provider in self._made.values():
            await provider.aclose()


def since_retract(events: list[StreamEvent]) -> list[StreamEvent]:
    """What is left of the events after the last one that withdrew the ones before it."""
    marks = [at for at, event in enumerate(events) if isinstance(event, Retract)]
    return events[marks[-1] + 1 :] if marks else events


def usage_of(tokens: Tokens, provider: str) -> Usage:
    """The tokens on our scale, as far as this vendor tells them."""
    style = VENDORS[provider].style
    says_written = style in ("AnthropicMessage", "OpenAiResponse") or provider == "openrouter"
    return Usage(
        input=tokens.prompt,
        output=tokens.answer + tokens.thought,
        cache_read=tokens.cached,
        cache_write=tokens.written if says_written else 0,
        reasoning=tokens.thought,
    )
