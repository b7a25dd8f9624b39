"""The mailbox between the agent's thread and the display's: nothing lost, nothing reordered, few wake-ups."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.agent.execution import Mailbox
from ante_nb.messages import Notice, TextDelta, ThinkingDelta

items = st.lists(
    st.one_of(
        st.builds(TextDelta, st.integers(0, 2), st.text(max_size=5)),
        st.builds(ThinkingDelta, st.integers(0, 2), st.text(max_size=5)),
        st.builds(Notice, st.just("warning"), st.text(max_size=3)),
    ),
    max_size=60,
)


def flat(events: list[Any]) -> list[Any]:
    """Neighbouring deltas of one part joined, the slow and plain way."""
    out: list[Any] = []
    for event in events:
        last = out[-1] if out else None
        delta = isinstance(event, TextDelta | ThinkingDelta) and type(last) is type(event)
        if delta and last.index == event.index:
            out[-1] = type(event)(event.index, last.text + event.text)
            continue
        out.append(event)
    return out


@given(items, st.lists(st.integers(0, 60), max_size=4))
def test_joining_keeps_order_and_text(events: list[Any], cuts: list[int]) -> None:
    mailbox = Mailbox(lambda: None)
    taken: list[Any] = []
    for number, event in enumerate(events):
        if number in cuts:
            taken += mailbox.take()
        mailbox.put(event)
    last = mailbox.take()
    assert last == flat(last)
    assert flat(taken + last) == flat(events)


@given(items, st.booleans())
def test_across_threads_every_event_arrives_in_order(events: list[Any], armed: bool) -> None:
    woken = threading.Event()
    wakes = 0

    def wake() -> None:
        nonlocal wakes
        wakes += 1
        woken.set()

    mailbox = Mailbox(wake)
    mailbox.armed = armed
    taken: list[Any] = []
    over = threading.Event()

    def write() -> None:
        for event in events:
            mailbox.put(event)
        over.set()
        woken.set()

    writer = threading.Thread(target=write)
    writer.start()
    takes = 0
    while True:
        assert woken.wait(30)
        woken.clear()
        finished = over.is_set()
        taken += mailbox.take()
        takes += 1
        if finished:
            break
    writer.join()
    assert flat(taken) == flat(events)
    assert wakes <= takes


def test_text_does_not_wake_who_redraws_by_the_clock() -> None:
    wakes: list[int] = []
    mailbox = Mailbox(lambda: wakes.append(1))
    mailbox.armed = True
    for _ in range(100):
        mailbox.put(TextDelta(0, "x"))
    assert wakes == []
    mailbox.put(Notice("retry", "again"))
    mailbox.put(Notice("retry", "and again"))
    assert wakes == [1]
    assert mailbox.take()[0] == TextDelta(0, "x" * 100)


async def test_work_that_nobody_will_do_is_cancelled() -> None:
    mailbox = Mailbox(lambda: None)
    early = asyncio.create_task(mailbox.work(lambda: 1))
    await asyncio.sleep(0)
    mailbox.close()
    late = asyncio.create_task(mailbox.work(lambda: 2))
    for task in (early, late):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
    mailbox.put(TextDelta(0, "late"))
    assert mailbox.take() == []


async def test_work_gives_its_result_or_its_error_back() -> None:
    ready = asyncio.Event()
    mailbox = Mailbox(ready.set)

    async def do() -> None:
        await ready.wait()
        for item in mailbox.take():
            try:
                item.finish(item.function())
            except ZeroDivisionError as error:
                item.finish(error=error)

    results = asyncio.gather(
        mailbox.work(lambda: 6 * 7), mailbox.work(lambda: 1 // 0), do(), return_exceptions=True
    )
    value, problem, _ = await asyncio.wait_for(results, 10)
    assert value == 42 and isinstance(problem, ZeroDivisionError)
