"""A sign of life while the server reads a long prompt and has nothing to show yet."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

from ante_nb.messages import Notice, Text, ToolCall, ToolResult, UsageUpdate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from ante_nb.messages import Part, StreamEvent
    from ante_nb.providers.spec import Request

QUIET = 2.0  # seconds
WAITING = "another kernel's request runs first ..."
_BYTES_PER_TOKEN = 4  # about; of English text and of code


def reading(request: Request) -> str:
    """The line for ``request``; its number of tokens is a rough one, from the prompt's bytes."""
    size = len(request.system.encode("utf-8", "replace")) if request.system else 0
    size += sum(_bytes(message.parts) for message in request.messages)
    size += sum(len(tool.description) + len(json.dumps(tool.parameters)) for tool in request.tools)
    return f"reading the prompt (about {max(1, size // _BYTES_PER_TOKEN):,} tokens) ..."


def _bytes(parts: Iterable[Part]) -> int:
    size = 0
    for part in parts:
        if isinstance(part, Text):
            size += len(part.text.encode("utf-8", "replace"))
        elif isinstance(part, ToolCall):
            size += len(json.dumps(part.arguments, default=str))
        elif isinstance(part, ToolResult):
            size += _bytes(part.content)
    return size


async def watched(
    events: AsyncGenerator[StreamEvent], line: str, *, quiet: float = QUIET
) -> AsyncGenerator[StreamEvent]:
    """``events``, with ``Notice("local", line)`` after ``quiet`` seconds that showed nothing of an answer.

    The notice is taken back (one without text) before the first event that shows something, or when the
    stream fails. ``events`` is closed in any case; whatever it raises is raised here.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
    # One task for all of it: a stream's timeouts belong to the task that entered them.
    pump = asyncio.create_task(_pump(events, queue))
    pump.add_done_callback(lambda _: queue.put_nowait(None))
    told, deadline = False, loop.time() + quiet
    waiting = True
    try:
        while True:
            try:
                async with asyncio.timeout_at(deadline if waiting and not told else None):
                    event = await queue.get()
            except TimeoutError:
                told = True
                yield Notice("local", line)
                continue
            if waiting and not isinstance(event, Notice | UsageUpdate):
                waiting = False
                if told:
                    yield Notice("local", "")
            if event is None:
                break
            yield event
        await pump
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def _pump(events: AsyncGenerator[StreamEvent], queue: asyncio.Queue[StreamEvent | None]) -> None:
    async with contextlib.aclosing(events):
        async for event in events:
            queue.put_nowait(event)
