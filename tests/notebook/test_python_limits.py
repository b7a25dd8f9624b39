"""The Python tool's time-out, and what the person sees of rich output."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import check_conversation, words_of
from support.chat_server import Reply, text, tool

from ante_nb.notebook.render.rich import rich_of

if TYPE_CHECKING:
    from support.ante import Ante
    from support.kernel import Outcome


def run(ante: Ante, code: str, **arguments: Any) -> tuple[str, Outcome]:
    ident = f"c{len(ante.server.chats)}"
    ante.server.enqueue(Reply(tool("Python", {"code": code, **arguments}, id=ident)), Reply(text("ok")))
    outcome = ante.prompt("go", "--allow Python")
    assert outcome.status == "ok", outcome.text
    messages = ante.server.chats[-1].body["messages"]
    check_conversation(messages)
    return [words_of(m) for m in messages if m["role"] == "tool"][-1], outcome


@pytest.mark.parametrize(
    "code",
    [
        "import time\nbefore = 1\nwhile True: time.sleep(0.01)",
        "import time\nbefore = 1\ntime.sleep(60)",
        "import asyncio\nbefore = 1\nawait asyncio.sleep(60)",
        "before = 1\nwhile True: pass",
    ],
)
def test_code_that_takes_too_long_is_ended_and_the_turn_goes_on(ante: Ante, code: str) -> None:
    started = time.monotonic()
    told, _ = run(ante, code, timeout=1)
    assert "TimeoutError: the code was ended after 1 s" in told
    assert "interrupted" not in told and time.monotonic() - started < 30
    assert ante.kernel.value("before") == 1
    assert run(ante, "before + 1", timeout=60_000)[0].count("2")
    assert ante.kernel.run("1 + 1").status == "ok"


def test_code_in_time_is_left_alone(ante: Ante) -> None:
    told, _ = run(ante, "import time\ntime.sleep(0.2)\n'in time'", timeout=30_000)
    assert "in time" in told and "TimeoutError" not in told


def test_a_time_out_where_the_cell_cannot_be_awaited(ante: Ante) -> None:
    ante.server.enqueue(
        Reply(tool("Python", {"code": "while True: pass", "timeout": 300}, id="c1")), Reply(text("ok"))
    )
    outcome = ante.kernel.run("import ante_nb\nt = ante_nb.ask('go', allow=['Python'])\nprint(t.status)")
    assert outcome.status == "ok", outcome.text
    assert "completed" in outcome.text
    messages = ante.server.chats[-1].body["messages"]
    assert "TimeoutError" in [words_of(m) for m in messages if m["role"] == "tool"][-1]


FRAME = """
class Frame:
    def _repr_html_(self):
        return '<style>td {color: red}</style><table><tr><td onclick="evil()">cell</td></tr></table><script>evil()</script>'
    def __repr__(self):
        return 'Frame(cell)'
"""


def test_tables_are_shown_made_safe(ante: Ante) -> None:
    ante.kernel.run(FRAME)
    told, outcome = run(ante, "Frame()")
    assert "Frame(cell)" in told and "<table" not in told
    assert "<td>cell</td>" in outcome.html
    assert "evil" not in outcome.html and "color: red" not in outcome.html
    told, outcome = run(ante, "display(Frame())")
    assert "Frame(cell)" in told and "<td>cell</td>" in outcome.html


def test_figures_reach_person_and_model_and_the_policy_keeps_them_from_the_model_alone(ante: Ante) -> None:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 40).decode()
    ante.kernel.run(
        f"class Fig:\n    def _repr_png_(self):\n        import base64\n        return base64.b64decode({png!r})"
    )
    ante.kernel.run("%ante policy schema")
    ante.server.enqueue(Reply(tool("Python", {"code": "Fig()"}, id="c1")), Reply(text("ok")))
    outcome = ante.prompt("go", "--mode yolo")
    assert f"data:image/png;base64,{png}" in outcome.html
    assert png not in str(ante.server.chats[-1].body) and "1 image" in str(ante.server.chats[-1].body)


PLOT = "application/vnd.plotly.v1+json"


@pytest.mark.parametrize(
    ("plot", "shown"),
    [
        ({"data": [{"y": [1, 2]}], "layout": {"title": {"text": "a/b"}}}, True),
        ({"data": [], "config": {"plotlyServerURL": "https://plot.ly"}}, True),
        ({"data": [], "layout": {"images": [{"source": "https://evil.example/x.png"}]}}, False),
        ({"data": [], "layout": {"images": [{"source": "//evil.example/x.png"}]}}, False),
        ({"data": [{"text": "<a href='java\nscript:alert(1)'>x</a>"}]}, False),
        ({"data": {"url": "data.csv"}}, False),
        ({"data": [{"y": ["x" * 3_000_000]}]}, False),
    ],
)
def test_plots_that_load_something_stay_text(plot: dict[str, Any], shown: bool) -> None:
    found = rich_of({PLOT: plot, "text/html": "<div>x</div>", "text/plain": "Figure"})
    assert (found == {PLOT: plot, "text/plain": "Figure"}) is shown
    assert shown or found is None
