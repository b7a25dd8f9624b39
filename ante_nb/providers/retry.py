"""What is tried again, how often and after how long: one table for every wire and transport."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ante_nb import errors as e
from ante_nb.messages import Opaque, Text, ToolCall
from ante_nb.providers.failure_words import LOADING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ante_nb.messages import Done

# As the codex client has them: a request that never began, and a stream that broke.
MAX_REQUEST_RETRIES = 4
MAX_STREAM_RETRIES = 5
MAX_LOADING_RETRIES = 60
"""A llama.cpp server that loads its model is asked once a second for a minute."""
MAX_EMPTY_RETRIES = 2
MAX_HINT = 120.0
"""Seconds; a vendor that asks for a longer pause gets none, the person is told when to come back."""
BASE_DELAY = 0.5
MAX_DELAY = 8.0

_RETRIED = (
    e.RateLimitError,
    e.OverloadedError,
    e.ServerError,
    e.IdleTimeoutError,
    e.NetworkError,
    e.StreamInterruptedError,
)


def is_retryable(error: e.ProviderError) -> bool:
    """Whether another try may help: what the vendor or the table says, else the kind of error."""
    if error.retryable is not None:
        return error.retryable
    return isinstance(error, _RETRIED)


def delay(
    error: e.ProviderError, attempt: int, uniform: Callable[[float, float], float] = random.uniform
) -> float:
    """Seconds before try ``attempt`` (the first repetition is 0): the vendor's word, else doubling with jitter."""
    if error.retry_after is not None:
        return error.retry_after
    return float(min(BASE_DELAY * 2.0**attempt, MAX_DELAY) * uniform(0.75, 1.0))


@dataclass(slots=True)
class Budget:
    """The tries that one model call has left."""

    uniform: Callable[[float, float], float] = random.uniform
    request: int = 0
    stream: int = 0
    loading: int = 0
    tries: int = 0

    def next(self, error: e.ProviderError, *, began: bool) -> float | None:
        """Seconds to wait before the next try, or ``None``: give up.

        Args:
            error: what the last try ended in.
            began: whether the answer had begun to stream.
        """
        if not is_retryable(error):
            return None
        if error.code == LOADING and not began:
            self.loading += 1
            return (error.retry_after or 1.0) if self.loading <= MAX_LOADING_RETRIES else None
        used = self.stream if began else self.request
        if used >= (MAX_STREAM_RETRIES if began else MAX_REQUEST_RETRIES):
            return None
        wait = delay(error, used, self.uniform)
        if wait > MAX_HINT:
            return None
        if began:
            self.stream += 1
        else:
            self.request += 1
        self.tries += 1
        return wait


async def pause(seconds: float, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
    """Wait; a cancellation ends it at once."""
    if seconds > 0:
        await sleep(seconds)


def says_nothing(done: Done) -> bool:
    """Whether there are no words, no call, and no reason for that either (a refusal or a filter is one)."""
    return done.stop_reason == "stop" and not any(
        isinstance(part, ToolCall | Opaque) or (isinstance(part, Text) and part.text.strip())
        for part in done.message.parts
    )
