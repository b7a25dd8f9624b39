"""How far the server is with reading a long prompt, told while nothing of the answer is there.

llama-server says so in the stream (``return_progress`` in the request, ``prompt_progress`` in the
chunks); an older one is asked for its slots. Source: llama.cpp's tools/server/README.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from ante_nb.local.http_probe import get_json
from ante_nb.messages import Notice, UsageUpdate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from ante_nb.local.shared import LocalServer
    from ante_nb.messages import StreamEvent

QUIET = 2.0
"""Seconds before anything is told."""
EACH = 0.5
"""Seconds between two lines."""


class Reading:
    """Turns the chunks of a stream into lines, and takes the last one back when the answer begins."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = clock() + QUIET
        self._told = False
        self._over = False

    def feed(self, chunk: dict[str, Any]) -> Iterator[Notice]:
        """The notices that a chunk gives rise to: none, or one."""
        if self._over:
            return
        progress = chunk.get("prompt_progress")
        if not isinstance(progress, dict):
            if _says_something(chunk):
                self._over = True
                if self._told:
                    yield Notice("local", "")
            return
        if self._clock() >= self._next:
            words = line(progress)
            if words:
                self._told, self._next = True, self._clock() + EACH
                yield Notice("local", words)


def line(progress: dict[str, Any]) -> str:
    """``reading the prompt: 2,048 of 6,087 tokens, about 30 s left ...``; empty where all is read."""
    total, done = _count(progress.get("total")), _count(progress.get("processed"))
    cached, spent = _count(progress.get("cache")), _count(progress.get("time_ms"))
    if total <= 0 or done >= total:
        return ""
    left = ""
    if done > cached and spent > 0:
        seconds = spent / 1000 * (total - done) / (done - cached)
        left = f", about {seconds:,.0f} s left" if seconds >= 1 else ""
    return f"reading the prompt: {done:,} of {total:,} tokens{left} ..."


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def _says_something(chunk: dict[str, Any]) -> bool:
    choices = chunk.get("choices")
    if isinstance(choices, list):
        choice = choices[0] if choices and isinstance(choices[0], dict) else {}
        delta = choice.get("delta") or {}
        return bool(
            choice.get("finish_reason")
            or delta.get("content")
            or delta.get("reasoning_content")
            or delta.get("tool_calls")
        )
    return bool(chunk.get("content")) or chunk.get("stop") is True


async def watched_slots(
    events: AsyncGenerator[StreamEvent], server: LocalServer, *, quiet: float = 2 * QUIET, each: float = 1.0
) -> AsyncGenerator[StreamEvent]:
    """``events``; while they tell nothing for ``quiet`` seconds, the server's slots are asked.

    ``events`` is closed in any case; whatever it raises is raised here.
    """
    queue: asyncio.Queue[StreamEvent | str | None] = asyncio.Queue()
    pump = asyncio.create_task(_pump(events, queue))  # one task: a stream's timeouts belong to it
    pump.add_done_callback(lambda _: queue.put_nowait(None))
    asking = asyncio.create_task(_ask_slots(server, queue, quiet, each))
    told = False
    try:
        while (event := await queue.get()) is not None:
            if isinstance(event, str):
                if not asking.cancelling():
                    told = True
                    yield Notice("local", event)
                continue
            if not isinstance(event, UsageUpdate):
                asking.cancel()
                if told and not isinstance(event, Notice):
                    told = False
                    yield Notice("local", "")
            yield event
        await pump
    finally:
        asking.cancel()
        pump.cancel()
        await asyncio.gather(asking, pump, return_exceptions=True)


async def _pump(events: AsyncGenerator[StreamEvent], queue: asyncio.Queue[StreamEvent | str | None]) -> None:
    async with contextlib.aclosing(events):
        async for event in events:
            queue.put_nowait(event)


async def _ask_slots(
    server: LocalServer, queue: asyncio.Queue[StreamEvent | str | None], quiet: float, each: float
) -> None:
    await asyncio.sleep(quiet)
    while (words := await asyncio.to_thread(_asked, server)) is not None:
        if words:
            queue.put_nowait(words)
        await asyncio.sleep(each)


def _asked(server: LocalServer) -> str | None:
    """The line of the slot at work; empty while it is not at a prompt, ``None`` where that is not told."""
    key = server.key.value if server.key else None
    # A server that is busy with a batch answers after it.
    status, slots = get_json(server.root, "/slots", key, timeout=5)
    if status == 0:
        return ""
    if status != 200 or not isinstance(slots, list):
        return None
    for slot in slots:
        if isinstance(slot, dict) and slot.get("is_processing"):
            if "n_prompt_tokens_processed" not in slot:
                return None
            cached = _count(slot.get("n_prompt_tokens_cache"))
            done = cached + _count(slot["n_prompt_tokens_processed"])
            return line({"total": slot.get("n_prompt_tokens"), "processed": done, "cache": cached})
    return ""
