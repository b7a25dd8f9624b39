"""Foreign text outside of the answer: consoles, names, errors, tables and plots that code displayed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stage import Stage

from ante_nb import messages as m
from ante_nb.agent.headless import ask_by_input
from ante_nb.agent.host import ApprovalRequest
from ante_nb.agent.turn import Step, Turn
from ante_nb.errors import AnteError, TurnError
from ante_nb.notebook.render.allowlist import clean, clean_foreign
from ante_nb.notebook.render.cards import Card, notice, rich_output, status_line, turn_data
from ante_nb.notebook.render.error_card import error_card
from ante_nb.notebook.render.plain import PlainRenderer
from ante_nb.notebook.render.plots import may_draw
from ante_nb.notebook.render.rich import rich_of
from ante_nb.notebook.render.tex import is_safe_tex
from ante_nb.visible import as_terminal, visible

CONSOLE = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
"""What a terminal obeys."""


@given(st.text(alphabet=st.sampled_from("a\n\r\t\x08\x1b[]8;;mK\x07\\\x9b\x9d\u202e\u200b\u0301 ")))
def test_nothing_is_left_that_a_console_obeys(text: str) -> None:
    shown = visible(text)
    assert not CONSOLE.search(shown) and visible(shown) == shown
    assert shown.count("\n") == text.count("\n")
    assert not CONSOLE.search(visible(as_terminal(text)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rm -rf /\rls", "rm -rf /␍ls"),
        ("a\r\nb", "a\r\nb"),
        ("\x1b]8;;http://e.test\x07x", "␛]8;;http://e.test␇x"),
        ("a\u202eb\u2066c", "a[U+202E]b[U+2066]c"),
        ("x\U000e0041\U000e0101y", "x[U+E0041][U+E0101]y"),
        ("\u3164\u115f", "[U+3164][U+115F]"),
        ("e" + "\u0301" * 500, "e" + "\u0301" * 8 + "[+492 marks]"),
        ("👩\u200d🔬 ❤\ufe0f é नि", "👩\u200d🔬 ❤\ufe0f é नि"),
    ],
)
def test_what_hides_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://e.test\x1b\\link\x1b]8;;\x1b\\ end", "link end"),
        (" 10%\r 50%\r100%\ndone", "100%\ndone"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("\x1b[2K\x1b[1G50 %\r", "50 %"),
        ("ab\x08c", "ac"),
        ("\x1b]8;;unfinished", "\x1b]8;;unfinished"),
    ],
)
def test_the_output_of_a_program_reads_as_in_a_terminal(text: str, shown: str) -> None:
    assert as_terminal(text) == shown


def test_a_card_shows_output_without_colour_codes() -> None:
    stage = Stage()
    bash = m.ToolCall("c1", "Bash", {"command": "pip install x"})
    stage.events(m.ToolStarted(bash), m.ToolOutput("c1", "\x1b[32m10%\r\x1b[32m20%\x1b[0m\n"))
    stage.wait(1)
    assert "<pre" in stage.html() and "20%" in stage.html() and "10%" not in stage.html()
    assert "␛" not in stage.html()
    command = Card(m.ToolCall("c2", "Bash", {"command": "echo \x1b[8mhidden"})).render()
    assert "␛[8mhidden" in command[0] and "␛[8mhidden" in command[1], "what will run is shown as it is"


def test_names_stay_in_their_line() -> None:
    call = m.ToolCall("c1", "x\nante: done · $0.00\n" + "y" * 500, {"code": "1"})
    plain = Card(call, "ok", result=m.ToolResult("c1")).render()[1]
    assert plain.startswith("[x ante: done") and len(plain.split("\n")[0]) < 250
    shown = status_line({"model": ("m\nante: done", "src\nx")}, ("a\nb",))[1]
    assert "\n" not in shown
    assert len(notice("key", "z" * 100_000)[0]) < 10_000
    turn = Turn("t", "s", provider="p" * 100_000)
    assert len(str(turn_data(turn))) < 10_000


def test_an_error_cannot_drive_a_terminal() -> None:
    error = AnteError("bad \x1b]8;;http://e.test\x07thing\x1b[2J", "do\x1b[1A \u202ethat")
    for text in (str(error), error._render_traceback_()[0], *map(str, error.args)):
        assert not CONSOLE.search(text) and "\u202e" not in text


def test_a_question_in_a_terminal_shows_what_it_asks() -> None:
    written: list[str] = []
    request = ApprovalRequest(
        call=m.ToolCall("c", "Bash", {}), summary="Bash rm -rf ~\r\x1b[2Kls", detail="d\x1b[1A", grant="g\x1b[8m"
    )  # fmt: skip

    def read(prompt: str) -> str:
        written.append(prompt)
        return "n"

    ask_by_input(request, read, written.append)
    assert len(written) == 3 and not any(CONSOLE.search(text) for text in written)


def test_a_terminal_shows_progress_as_lines() -> None:
    written: list[str] = []
    renderer = PlainRenderer(written.append)
    call = m.ToolCall("c", "Bash", {"command": "x"})
    renderer.event(m.ToolStarted(call))
    renderer.event(m.ToolOutput("c", "10%\r20%\r\n"))
    assert written[-1] == "10%\n20%\r\n"


# ------------------------------------------------------------------------------------- the error card


def failed(error: AnteError, status: str = "failed", **more: Any) -> Turn:
    turn = Turn("t", "s", **more)
    turn.status, turn.error = status, error  # type: ignore[assignment]
    return turn


def test_an_error_is_a_card_with_the_next_step() -> None:
    html, plain = error_card(failed(AnteError("the key was refused", "Type %ante key openai"))) or ("", "")
    assert 'role="alert"' in html and "the key was refused" in html and "Type %ante key openai" in html
    assert plain == "[Failed] the key was refused\n  next: Type %ante key openai\n"
    assert clean(html) == html
    step = Step("s", m.Message("assistant", (m.Text("partial"),)))
    html, plain = error_card(failed(TurnError("interrupted"), "interrupted", steps=[step])) or ("", "")
    assert "[Interrupted] interrupted\n  next: The session goes on" in plain and "is kept" in html
    assert error_card(Turn("t", "s")) is None


def test_an_error_card_is_text() -> None:
    html, _ = error_card(failed(AnteError("<img src=x onerror=y> $\\href{x}{y}$", "</div><script>"))) or (
        "",
        "",
    )
    assert "<img" not in html and "<script" not in html and html.count("</div>") == 1
    assert html.startswith('<div class="mathjax_ignore tex2jax_ignore"')


# ------------------------------------------------------------------------- what code displayed: HTML, plots

TABLE = '<table class="dataframe"><thead><tr><th colspan="2">a</th></tr></thead><tr><td>{}</td></tr></table>'


@pytest.mark.parametrize(
    "inside",
    [
        "</td></tr></table></div></div>$\\href{javascript:x}{y}$",
        '<span class="mathjax_process tex2jax_process">$\\href{javascript:x}{y}$</span>',
        '<div role="status" aria-label="Approval" style="position:fixed;top:0">x</div>',
        "</details></details></summary><p>out",
        '<style>*{display:none}</style><p id="jp-main-dock-panel">',
        "<!--</div>--><![CDATA[</div>]]>",
    ],
)
def test_a_table_cannot_leave_its_card(inside: str) -> None:
    rich = rich_of({"text/html": TABLE.format(inside), "text/plain": "a"})
    assert rich is not None
    html, _, _ = rich_output(rich)
    assert html.startswith('<div class="mathjax_ignore tex2jax_ignore"') and html.endswith("</div>\n")
    inner = html[html.index(">") + 1 : html.rindex("</div>")]
    assert clean_foreign(inner) == inner, "balanced, and of the foreign allow-list"
    for word in ("class=", "style=", "role=", "id=", "aria-"):
        assert word not in inner
    assert "<td>" in html and 'colspan="2"' in html


def test_nothing_hides_in_a_table() -> None:
    html = clean_foreign(TABLE.format("a&#x202e;b\u202ec&#x1b;[31m\ud83d<b>x</b>"))
    assert "a[U+202E]b[U+202E]c" in html and "\u202e" not in html and "\x1b" not in html
    html.encode()


VEGA = "application/vnd.vegalite.v5+json"
PLOTLY = "application/vnd.plotly.v1+json"
GOOD_VEGA: dict[str, Any] = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "data": {"name": "d"},
    "datasets": {"d": [{"a": 1, "b": "x / y"}]},
    "mark": {"type": "bar"},
    "params": [{"name": "param_1", "select": {"type": "interval", "encodings": ["x"]}, "bind": "scales"}],
    "transform": [
        {"calculate": "datum.a * 2 + log(datum['b'])", "as": "c"},
        {"filter": "datum.a > 3 && datum.b !== 'x'"},
    ],
    "encoding": {"x": {"field": "a", "type": "quantitative"}, "tooltip": [{"field": "b"}]},
}
GOOD_PLOTLY: dict[str, Any] = {
    "data": [
        {"type": "scatter", "x": [1, 2], "y": [3, 4], "hovertemplate": "<b>%{x}</b><br>1/2<extra></extra>"},
        {"type": "sankey", "link": {"source": [0], "target": [1], "value": [2]}},
        {"type": "heatmap", "z": {"dtype": "f8", "bdata": "AAAA//8="}},
    ],
    "layout": {"title": {"text": "Orders: a to b"}},
    "config": {"plotlyServerURL": "https://plot.ly"},
}


def test_plots_are_drawn() -> None:
    assert may_draw(VEGA, GOOD_VEGA)
    assert may_draw(PLOTLY, GOOD_PLOTLY)


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"url": "x.csv"}},
        {"data": {"url": {"expr": "a"}}},
        {"usermeta": {"embedOptions": {"config": "x.json"}}},
        {"usermeta": {"embedOptions": {"defaultStyle": "*{display:none}"}}},
        {"mark": {"type": "image", "url": "x.png"}},
        {"mark": {"type": "text", "href": "x"}},
        {"encoding": {"href": {"value": "javascript:x"}}},
        {"encoding": {"url": {"field": "a"}}},
        {"transform": [{"calculate": "event.view.alert(1)", "as": "c"}]},
        {"transform": [{"calculate": "datum.constructor('x')()", "as": "c"}]},
        {"transform": [{"calculate": "datum['con' + 'structor']['x']", "as": "c"}]},
        {"transform": [{"filter": "[].map(alert)"}]},
        {"params": [{"name": "p", "expr": "vlSelectionTuples(datum)"}]},
        {"signals": [{"name": "s", "on": [{"events": "window:click", "update": "1"}]}]},
        {"title": "http:\\\\evil.test\\x"},
        {"title": "//evil.test"},
        {"title": "<img src=x onerror=y>"},
        {"title": "jav\tascript:x"},
    ],
)
def test_vega_that_loads_or_computes_is_not_drawn(change: dict[str, Any]) -> None:
    assert not may_draw(VEGA, {**GOOD_VEGA, **change})
    assert rich_of({VEGA: {**GOOD_VEGA, **change}, "text/plain": "<chart>"}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"data": [{"type": "scattergeo", "lat": [1]}]},
        {"data": [{"type": "choroplethmap"}]},
        {"data": [{"type": "densitymapbox"}]},
        {"data": [{"type": "image", "source": "data:image/png;base64,AA"}]},
        {"data": [{"type": "scatter", "text": "<a href='javascript:x'>y</a>"}]},
        {"data": [{"type": "scatter", "text": "<span style='background:url(x)'>y</span>"}]},
        {"data": [{"type": "sankey", "link": {"source": ["http"]}}]},
        {"data": ["x"]},
        {"data": [{"type": "scatter", "x": {"dtype": "f8", "bdata": "//evil.test/x"}}]},
        {"layout": {"images": [{"source": "x.png"}]}},
        {"layout": {"template": {"layout": {"images": [{"source": "/api/x"}]}}}},
        {"layout": {"mapbox": {"style": "\\\\evil.test\\x"}}},
        {"frames": [{"data": [{"type": "scattergeo"}]}]},
        {"config": {"topojsonURL": "/x/"}},
    ],
)
def test_plotly_that_loads_is_not_drawn(change: dict[str, Any]) -> None:
    assert not may_draw(PLOTLY, {**GOOD_PLOTLY, **change})


def test_formulas_stay_in_their_place() -> None:
    assert is_safe_tex(r"\int\!\!\int f")
    assert not is_safe_tex(r"\!" * 200 + "x")
    assert not is_safe_tex(r"\smash{\begin{array}{c}a\\b\\c\end{array}}")
