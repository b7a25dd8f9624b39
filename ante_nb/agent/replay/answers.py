"""A whole answer as the events of a stream: for answers that come in one piece."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ante_nb.messages import (
    Done,
    Text,
    TextDelta,
    TextEnd,
    TextStart,
    Thinking,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolCall,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from ante_nb.agent.pace import Pace
    from ante_nb.messages import StreamEvent
    from ante_nb.providers.spec import Request


def events_of(done: Done) -> Iterator[StreamEvent]:
    """The events that end in ``done``, each part in one delta."""
    for index, part in enumerate(done.message.parts):
        match part:
            case Text():
                yield TextStart(index)
                yield TextDelta(index, part.text)
                yield TextEnd(index, part)
            case Thinking():
                yield ThinkingStart(index)
                if part.text:
                    yield ThinkingDelta(index, part.text)
                yield ThinkingEnd(index, part)
            case ToolCall():
                yield ToolCallStart(index, part.id, part.name)
                yield ToolCallDelta(index, part.invalid or json.dumps(part.arguments, ensure_ascii=False))
                yield ToolCallEnd(index, part)
            case _:
                pass
    yield done


class WholeAnswers:
    """A provider whose answers are asked for in one piece (``complete``), behind ``stream``.

    For turns that nobody watches: one request and one answer, and never a WebSocket.

    Args:
        provider: makes the provider, at the first call.
        pace: says when a call may go.
    """

    def __init__(self, provider: Callable[[], Any], pace: Pace) -> None:
        self._make = provider
        self._pace = pace
        self._made: Any = None

    @property
    def _provider(self) -> Any:
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def transport(self) -> str:
        return str(getattr(self._made, "transport", ""))

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        done = await self.complete(request)
        for event in events_of(done):
            yield event

    async def complete(self, request: Request) -> Done:
        """The answer, once it is this call's turn."""
        async with self._pace.turn():
            done: Done = await self._provider.complete(request)
        return done
