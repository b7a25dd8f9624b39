"""One model call of a turn: its events shown as they come, and what has come of it known at any moment."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from ante_nb.errors import ProviderError
from ante_nb.messages import Done, Message, Retract, Text, TextDelta, TextEnd, ThinkingEnd, UsageUpdate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from ante_nb.messages import Part, StreamEvent, TurnEvent, Usage
    from ante_nb.providers.spec import Choice, Request


class ModelCaller(Protocol):
    """What a turn needs of a provider: steps are streamed, a compaction asks for the whole answer."""

    def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]: ...

    async def complete(self, request: Request) -> Done: ...


class ModelCall:
    """The model calls of a turn, one after the other.

    Args:
        choice: who is asked.
        show: takes the events.

    Attributes:
        running: whether a call has begun and has not come to its end; stays true for one that broke.
        usage: what the running call has used so far, as far as the vendor tells.
    """

    def __init__(self, choice: Choice, show: Callable[[TurnEvent], None]) -> None:
        self._choice = choice
        self._show = show
        self._text: dict[int, list[str]] = {}
        self._parts: dict[int, Part] = {}
        self.running = False
        self.usage: Usage | None = None

    async def run(self, provider: ModelCaller, request: Request) -> Done:
        """Make one call to its end.

        Raises:
            ProviderError: it failed for good; ``partial`` holds what had come.
        """
        self._text.clear()
        self._parts.clear()
        self.usage = None
        self.running = True
        done: Done | None = None
        try:
            async with aclosing(provider.stream(request)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        self._text.setdefault(event.index, []).append(event.text)
                    elif isinstance(event, TextEnd | ThinkingEnd):
                        self._parts[event.index] = event.part
                    elif isinstance(event, Retract):
                        self._text.clear()
                        self._parts.clear()
                    elif isinstance(event, UsageUpdate):
                        self.usage = event.usage
                    elif isinstance(event, Done):
                        done = event
                        break
                    self._show(event)
        except ProviderError as error:
            if error.partial is None:
                error.partial = self.partial()
            raise
        assert done is not None, "a provider's stream ends with Done or raises"
        self.running = False
        return done

    def partial(self) -> Message | None:
        """What has arrived of the running call."""
        parts: list[Part] = []
        for index in sorted({*self._text, *self._parts}):
            part = self._parts.get(index)
            parts.append(part if part is not None else Text("".join(self._text[index])))
        if not parts:
            return None
        choice = self._choice
        return Message(
            "assistant", tuple(parts), choice.provider.id, choice.provider.wire_style, choice.model.id
        )
