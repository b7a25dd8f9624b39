"""What a person sees of a start and of a long prompt, and what is left behind when they interrupt."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from local_files import gguf

from ante_nb import errors as e
from ante_nb.local import progress
from ante_nb.local.options import Options
from ante_nb.local.provider import LocalProvider, _because
from ante_nb.messages import Message, Notice, TextDelta, Usage, UsageUpdate
from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec, Request, ToolSpec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from ante_nb.messages import StreamEvent

LINE = "reading ..."


class Source:
    """A stream that says nothing of an answer until it is let go."""

    def __init__(self, *events: StreamEvent, error: Exception | None = None) -> None:
        self.go = asyncio.Event()
        self.events, self.error, self.closed = events, error, False

    async def stream(self) -> AsyncGenerator[StreamEvent]:
        try:
            yield UsageUpdate(Usage())
            await self.go.wait()
            for event in self.events:
                yield event
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


def others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


async def test_a_line_while_nothing_comes() -> None:
    source, seen = Source(TextDelta(0, "a"), TextDelta(0, "b")), []
    async for event in progress.watched(source.stream(), LINE, quiet=0.01):
        seen.append(event)
        if event == Notice("local", LINE):
            source.go.set()
    assert seen == [
        UsageUpdate(Usage()),
        Notice("local", LINE),
        Notice("local", ""),
        TextDelta(0, "a"),
        TextDelta(0, "b"),
    ]
    assert source.closed and not others()


async def test_no_line_for_a_quick_answer() -> None:
    source = Source(TextDelta(0, "a"))
    source.go.set()
    seen = [event async for event in progress.watched(source.stream(), LINE, quiet=60)]
    assert seen == [UsageUpdate(Usage()), TextDelta(0, "a")] and not others()


async def test_a_failure_takes_the_line_back() -> None:
    source, seen = Source(error=e.NetworkError("gone")), []
    with pytest.raises(e.NetworkError, match="gone"):
        async for event in progress.watched(source.stream(), LINE, quiet=0.01):
            seen.append(event)
            if event == Notice("local", LINE):
                source.go.set()
    assert seen[-1] == Notice("local", "") and source.closed and not others()


async def test_an_interrupt_leaves_nothing() -> None:
    source = Source()

    async def consume() -> None:
        async for _ in progress.watched(source.stream(), LINE, quiet=0.01):
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert not others()
    assert source.closed


def test_the_line_counts_what_is_sent() -> None:
    tool = ToolSpec("Read", "Read a file.", {"type": "object"})
    request = Request((Message.user("x" * 40_000),), system="y" * 4000, tools=(tool,))
    assert progress.reading(request) == "reading the prompt (about 11,007 tokens) ..."


async def test_an_interrupted_start_leaves_no_task(tmp_path: Path) -> None:
    """The start itself goes on elsewhere; nothing of it waits in this event loop."""
    program = tmp_path / "llama-server"
    program.write_text('#!/bin/sh\ncase "$1" in --help) exit 0;; esac\nexec sleep 600\n')
    program.chmod(0o755)
    (tmp_path / "Tiny.gguf").write_bytes(gguf())
    home = tmp_path / "home"
    chosen = Options(home, llama_server=str(program), model=str(tmp_path / "Tiny.gguf"))
    local = LocalProvider(
        Choice(ProviderSpec("local", "Local", "OpenAiCompatible"), ModelSpec(""), ""), chosen
    )
    loading = asyncio.Event()

    async def consume() -> None:
        async for event in local.stream(Request((Message.user("q"),))):
            assert isinstance(event, Notice)
            if "loading" in event.text:
                loading.set()

    from ante_nb.local import shared

    task = asyncio.create_task(consume())
    try:
        await asyncio.wait_for(loading.wait(), 60)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not others()
    finally:
        await local.aclose()
        await shared.stop_all(home)


def test_an_end_is_said_once() -> None:
    assert _because(e.NetworkError("The local server has ended.")) == ""
    assert _because(e.NetworkError("the connection closed.")) == " (the connection closed)"
