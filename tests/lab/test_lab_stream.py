"""An answer of 80 KB in JupyterLab: the page stays responsive, and far cheaper than updating the whole text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import prove
from support.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

TESTS = Path(__file__).resolve().parents[1]
LENGTH = 80_000
SECONDS = 8.0
"""How long the model writes: about 10 KB a second."""

SETUP = f"""
import sys, time, uuid
sys.path.insert(0, {str(TESTS)!r})
import asyncio
from IPython.display import publish_display_data
from support.answers import answer
from ante_nb import messages as m
from ante_nb.notebook.render.renderer import TurnRenderer
text = answer({LENGTH})
def publish(data, metadata, display_id, update):
    publish_display_data(data, metadata, transient={{"display_id": display_id}}, update=update)
async def paced(size=40):
    began = time.monotonic()
    for start in range(0, len(text), size):
        late = began + {SECONDS} * start / len(text) - time.monotonic()
        if late > 0.005:
            await asyncio.sleep(late)
        yield text[start:start + size]
"""
OURS = """
shown = TurnRenderer(publish, time.monotonic, None)
shown.event(m.TextStart(0))
async for piece in paced():
    shown.event(m.TextDelta(0, piece)); shown.tick()
shown.event(m.TextEnd(0, m.Text(text)))
shown.close()
"""
# What most tools do: the whole text again, ten times a second, as Markdown.
WHOLE = """
name, sofar, last = uuid.uuid4().hex, "", 0.0
publish({"text/markdown": ""}, {}, name, False)
async for piece in paced():
    sofar += piece
    if time.monotonic() - last >= 0.1:
        publish({"text/markdown": sofar}, {}, name, True)
        last = time.monotonic()
publish({"text/markdown": sofar}, {}, name, True)
"""
WATCH = """() => {
    window.__long = [];
    new PerformanceObserver(list => { for (const e of list.getEntries()) window.__long.push([e.startTime, e.duration]); })
        .observe({entryTypes: ['longtask']});
}"""
# Quiet: no long task has ended for a second, and a timer comes in time.
QUIET = """() => new Promise(done => {
    const began = performance.now();
    const look = () => {
        const last = window.__long.reduce((most, [at, long]) => Math.max(most, at + long), 0);
        if (performance.now() - last > 1000 || performance.now() - began > 120000) done(Math.max(0, last - began));
        else setTimeout(look, 50);
    };
    setTimeout(look, 50);
})"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("stream") / "home") as running:
        yield running


def measured(lab: Lab, name: str, code: str) -> dict[str, Any]:
    lab.notebook(name, [SETUP, code])
    lab.open(name)
    lab.run(0)
    lab.page.wait_for_timeout(1500)
    lab.page.evaluate(WATCH)
    lab.run(1, timeout=240)
    idle = lab.page.evaluate(QUIET)
    long = [duration for _, duration in lab.page.evaluate("window.__long")]
    shown = lab.cell(1).locator(".jp-OutputArea-output")
    return {
        "long_tasks": len(long),
        "long_tasks_s": round(sum(long) / 1000, 2),
        "longest_ms": round(max(long, default=0.0)),
        "idle_after_s": round(idle / 1000, 2),
        "outputs": shown.count(),
        "characters": len(lab.cell(1).locator(".jp-OutputArea").first.evaluate("e => e.textContent")),
    }


def test_a_long_answer_keeps_the_page_responsive(lab: Lab) -> None:
    whole = measured(lab, "whole", WHOLE)
    ours = measured(lab, "ours", OURS)
    print(f"ours {ours}\nwhole text at 10 Hz {whole}")
    assert ours["outputs"] < 40
    assert ours["characters"] > 0.8 * whole["characters"], "all of it is in the page"
    assert ours["long_tasks_s"] <= whole["long_tasks_s"] / 5
    assert ours["idle_after_s"] < max(5.0, whole["idle_after_s"])
    prove("long_answer_in_jupyterlab", ours=ours, whole_text_at_10_hz=whole)
