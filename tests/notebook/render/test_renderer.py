"""A turn on the screen: what is shown, in which order, in how many outputs, and what is withdrawn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from support.hostile_turns import play
from support.stage import Stage

from ante_nb import messages as m
from ante_nb.agent.turn import Step, Turn
from ante_nb.errors import AnteError
from ante_nb.notebook.render.allowlist import clean
from ante_nb.notebook.render.cards import TURN_MIME
from ante_nb.notebook.render.plain import PlainRenderer
from ante_nb.redact import register

if TYPE_CHECKING:
    from pathlib import Path

STATUS = {
    "provider": ("anthropic", "default"),
    "model": ("claude-sonnet-4-6", "--model"),
    "thinking": ("high", "settings.json"),
}


def turn(**changes: Any) -> Turn:
    done = Turn("turn_1", "ses_1", provider="anthropic", model="claude-sonnet-4-6", seconds=3.42)
    done.usage = m.Usage(input=1234, output=56, cache_read=800)
    done.cost = 0.0123
    done.steps = [Step("step_1", m.Message("assistant"))]
    for name, value in changes.items():
        setattr(done, name, value)
    return done


def text(index: int, words: str) -> list[m.TurnEvent]:
    return [m.TextStart(index), m.TextDelta(index, words), m.TextEnd(index, m.Text(words))]


def call(name: str, id: str = "c1", index: int = 2, **arguments: Any) -> tuple[m.ToolCall, list[m.TurnEvent]]:
    made = m.ToolCall(id, name, arguments)
    return made, [m.ToolCallStart(index, id, name), m.ToolCallEnd(index, made), m.ToolStarted(made)]


def test_a_short_answer_takes_three_outputs() -> None:
    stage = Stage()
    stage.events(m.TurnStarted("turn_1", STATUS), m.StepStarted("step_1", 1), *text(0, "Hello **you**."))
    stage.events(
        m.Done(m.Message("assistant"), "stop"), m.StepEnded("step_1", None, "stop"), m.TurnEnded(turn())
    )
    assert len(stage.outputs) == 3
    assert stage.plain() == snapshot("""\
ante: provider anthropic (default) · model claude-sonnet-4-6 (--model) · thinking high (settings.json)
Hello **you**.
ante: done · 1,234 tokens in (800 cached) · 56 out · $0.0123 · 3.4 s · 1 step\
""")
    assert stage.html() == snapshot("""\
<div class="mathjax_ignore tex2jax_ignore" style="color:var(--jp-ui-font-color2,#7f8c8d);font-size:90%;margin:2px 0;overflow-wrap:anywhere" role="status" aria-label="ante"><span title="provider: anthropic (default)">anthropic</span> · <span title="model: claude-sonnet-4-6 (--model)">claude-sonnet-4-6</span> · <span title="thinking: high (settings.json)">thinking high</span></div>
<div role="log" aria-live="polite"><p>Hello <strong>you</strong>.</p>
</div>
<div class="mathjax_ignore tex2jax_ignore" style="color:var(--jp-ui-font-color2,#7f8c8d);font-size:90%;margin:2px 0;overflow-wrap:anywhere" role="status" aria-label="end of turn"><span style="color:var(--jp-success-color1,#1a8f3c)">done</span> · <span>1,234 tokens in (800 cached)</span> · <span>56 out</span> · <span>$0.0123</span> · <span>3.4 s</span> · <span>1 step</span></div>
""")
    data = stage.shown()[2][TURN_MIME]
    assert json.loads(json.dumps(data)) == data
    assert data == snapshot(
        {
            "v": 1,
            "turn_id": "turn_1",
            "session_id": "ses_1",
            "provider": "anthropic",
            "model": "claude-sonnet-4-6",
            "thinking_level": None,
            "transport": "",
            "status": "completed",
            "stop_reason": None,
            "usage": {"input": 1234, "output": 56, "cache_read": 800, "cache_write": 0, "reasoning": 0},
            "cost": 0.0123,
            "cost_note": None,
            "seconds": 3.42,
            "steps": 1,
            "tool_calls": [],
            "files": [],
            "variables": [],
            "error": None,
        }
    )


def test_a_turn_with_everything() -> None:
    stage = Stage()
    stage.events(m.TurnStarted("turn_1", STATUS, ("sales.csv",)), m.StepStarted("step_1", 1))
    stage.events(m.Notice("local", "loading the model 10 %"), m.Notice("local", "loading the model 90 %"))
    stage.events(m.ThinkingStart(0), m.ThinkingDelta(0, "Let me "), m.ThinkingDelta(0, "see."))
    stage.wait(2)
    stage.events(m.ThinkingEnd(0, m.Thinking("Let me see.")), *text(1, "I look."))
    bash, events = call("Bash", command="ls -l")
    stage.events(*events, m.Done(m.Message("assistant"), "tool_calls"))
    stage.events(m.ToolOutput("c1", "total 0\n"))
    stage.wait(1)
    assert "running" in stage.html() and "total 0" in stage.html()
    stage.events(m.ToolOutput("c1", "a.py\n"))
    stage.events(
        m.ToolEnded(
            bash, m.ToolResult("c1", (m.Text("total 0\na.py"),)), "ok", 0.21, {"kind": "bash", "exit_code": 0}
        )
    )
    edit, events = call("Edit", "c2", file_path="a.py", old_string="x", new_string="y")
    stage.events(m.StepStarted("step_2", 2), *events)
    stage.events(
        m.ToolEnded(
            edit,
            m.ToolResult("c2", (m.Text("done"),)),
            "ok",
            0.01,
            {"kind": "diff", "path": "a.py", "diff": "--- a.py\n+++ a.py\n@@ -1 +1 @@\n-x\n+y\n"},
        )
    )
    todo, events = call("TodoWrite", "c3", 3, todos=[])
    todos = [{"content": "look", "status": "completed"}, {"content": "fix", "status": "in_progress"}]
    stage.events(*events, m.ToolEnded(todo, m.ToolResult("c3"), "ok", 0.0, {"kind": "todo", "todos": todos}))
    denied, events = call("Write", "c4", 4, file_path="/etc/x", content="...")
    stage.events(*events, m.ToolEnded(denied, m.ToolResult("c4", (m.Text("not allowed"),), True), "denied"))
    stage.events(m.StepStarted("step_3", 3), *text(0, "Done."))
    stage.events(m.TurnEnded(turn(files=["a.py"], variables=["df"])))
    assert stage.plain() == snapshot("""\
ante: provider anthropic (default) · model claude-sonnet-4-6 (--model) · thinking high (settings.json) · attached: sales.csv
[Thinking (11 characters)]
Let me see.

I look.
[Bash] ls -l (0.2 s)
  total 0
  a.py

[Edit] a.py (0.0 s)
  --- a.py
  +++ a.py
  @@ -1 +1 @@
  -x
  +y

[TodoWrite] (0.0 s)
  ☑ look (completed)
  ◐ fix (in progress)

[Write] /etc/x (denied · 0.0 s)
  content: ...
  not allowed

Done.
ante: done · 1,234 tokens in (800 cached) · 56 out · $0.0123 · 3.4 s · 1 step · files changed: a.py · variables: df\
""")
    assert "loading the model" not in stage.html()
    for data in stage.shown():
        assert clean(data["text/html"]) == data["text/html"] and "text/plain" in data


def test_retract_withdraws_what_the_step_drew() -> None:
    stage = Stage()
    stage.events(m.TurnStarted("turn_1", STATUS), m.StepStarted("step_1", 1), *text(0, "Kept."))
    stage.events(m.Done(m.Message("assistant"), "stop"), m.StepStarted("step_2", 2))
    stage.events(
        m.ThinkingDelta(0, "void thought"), m.TextDelta(1, "void words"), m.ToolCallStart(2, "c1", "Bash")
    )
    stage.wait(1)
    assert "void words" in stage.html() and "Bash" in stage.html()
    before = len(stage.outputs)
    stage.events(m.Retract("step_2"))
    assert "void" not in stage.html() and "Bash" not in stage.html() and "Kept" in stage.html()
    stage.events(m.Notice("retry", "the connection broke; sent again"), *text(1, "Said again."))
    stage.events(m.TurnEnded(turn()))
    shown = stage.plain()
    assert "void" not in shown and "Said again." in shown and "sent again" in shown
    assert len(stage.outputs) <= before + 1, "emptied outputs are used again"


def test_a_retract_of_another_step_changes_nothing() -> None:
    stage = Stage()
    stage.events(m.StepStarted("step_1", 1), m.TextDelta(0, "words"), m.Retract("step_0"))
    assert "words" in stage.html()


def test_notices_of_a_kind_replace_each_other() -> None:
    stage = Stage()
    stage.events(m.Notice("retry", "in 1 s"), m.Notice("transport", "websocket"), m.Notice("retry", "in 2 s"))
    assert len(stage.outputs) == 2
    assert "in 1 s" not in stage.html() and "in 2 s" in stage.html()
    stage.events(m.Notice("retry", ""))
    assert "in 2 s" not in stage.html() and "websocket" in stage.html()


def test_fifty_steps_stay_within_the_outputs() -> None:
    stage = Stage()
    stage.events(m.TurnStarted("turn_1", STATUS))
    for number in range(50):
        stage.events(m.StepStarted(f"step_{number}", number))
        stage.events(
            m.ThinkingDelta(0, f"thought {number}"), m.ThinkingEnd(0, m.Thinking(f"thought {number}"))
        )
        stage.events(*text(1, f"Step **{number}** begins."))
        # Call ids count from zero again in each step, as some servers do.
        bash, events = call("Bash", "call_0", command=f"echo {number}")
        stage.events(*events, m.Done(m.Message("assistant"), "tool_calls"))
        stage.events(m.ToolOutput("call_0", f"out {number}\n"))
        stage.wait(0.7)
        stage.events(m.ToolEnded(bash, m.ToolResult("call_0", (m.Text(f"out {number}"),))))
    stage.events(m.TurnEnded(turn()))
    assert len(stage.outputs) <= 40
    html, plain = stage.html(), stage.plain()
    order = [html.index(f"<strong>{n}</strong> begins") for n in range(50)]
    assert order == sorted(order)
    for number in range(50):
        assert html.count(f"echo {number}<") >= 1 and f"out {number}\n" in plain
        assert f"thought {number}\n" in plain and f"Step **{number}** begins." in plain


def test_live_off_publishes_only_what_is_finished() -> None:
    stage = Stage(live=False)
    stage.events(m.TurnStarted("turn_1", STATUS), m.StepStarted("step_1", 1), m.ThinkingDelta(0, "hm"))
    stage.stream("word " * 2_000 + "\n\nend\n", 2_000)
    bash, events = call("Bash", command="ls")
    stage.events(*events, m.ToolOutput("c1", "x"), m.ToolEnded(bash, m.ToolResult("c1")), m.TurnEnded(turn()))
    assert not any(update for _, _, _, update in stage.log)
    assert all("text/plain" in data for data in stage.shown())


def test_a_failed_turn_says_so_without_secrets() -> None:
    register("hunter2-hunter2")
    stage = Stage()
    error = AnteError("the key hunter2-hunter2 was refused", "Type %ante key openai")
    _bash, events = call("Bash", command="echo hunter2-hunter2")
    stage.events(*events, m.ToolOutput("c1", "hunter2-hunter2"), m.Notice("key", "hunter2-hunter2"))
    stage.events(m.TurnEnded(turn(status="failed", error=error, cost=None, cost_note="unknown", usage=None)))
    everything = json.dumps(stage.shown())
    assert "hunter2" not in everything
    assert "failed · tokens unknown · cost unknown" in stage.plain()
    assert "[Failed] the key [redacted] was refused\n  next: Type %ante key openai" in stage.plain()
    assert "interrupted" in stage.plain(), "a call without a result is not left running"
    bundle = stage.shown()[-1][TURN_MIME]
    assert bundle["status"] == "failed" and bundle["error"]["kind"] == "error"


def test_events_after_the_end_are_dropped() -> None:
    stage = Stage()
    stage.events(m.TurnEnded(turn()), m.TextDelta(0, "late"), m.TurnEnded(turn()))
    assert len(stage.outputs) == 1 and stage.renderer.next_tick() is None


def test_text_that_comes_whole() -> None:
    stage = Stage()
    stage.events(m.TextEnd(0, m.Text("all *at once*")), m.ThinkingEnd(1, m.Thinking("thought")))
    stage.renderer.close()
    assert "<em>at once</em>" in stage.html() and "thought" in stage.plain()


def test_output_and_thinking_are_capped_with_a_note() -> None:
    stage = Stage()
    bash, events = call("Bash", command="yes")
    stage.events(m.ThinkingDelta(0, "t" * 50_000), *events)
    for _ in range(500):
        stage.events(m.ToolOutput("c1", "y" * 1_000 + "\n"))
        stage.wait(0.02)
    stage.events(m.ToolEnded(bash, m.ToolResult("c1")), m.TurnEnded(turn()))
    assert stage.html().count("characters not shown") >= 2
    assert len(stage.html()) < 30_000 and stage.bytes < 400_000


def test_images_of_a_result(tmp_path: Path) -> None:
    stage = Stage(cwd=tmp_path)
    python, events = call("Python", code="plot()")
    good, bad = m.Image("iVBORw0KGgo=", "image/png"), m.Image("PHN2Zz4=", "image/svg+xml")
    stage.events(*events, m.ToolEnded(python, m.ToolResult("c1", (good, bad))))
    assert stage.html().count("<img") == 1 and 'src="data:image/png;base64,iVBORw0KGgo="' in stage.html()
    assert "[image image/png]" in stage.plain()


@given(st.lists(st.text(alphabet=st.characters(categories=None), max_size=20), min_size=1, max_size=4))
@settings(max_examples=50)
def test_any_text_in_any_field_can_be_sent(texts: list[str]) -> None:
    bundles: list[dict[str, Any]] = []
    play(texts, lambda data, metadata, display_id, update: bundles.append(data), None)
    for data in bundles:
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
        assert clean(data["text/html"]) == data["text/html"]


def test_plain_rendering() -> None:
    written: list[str] = []
    renderer = PlainRenderer(written.append)
    bash = m.ToolCall("c1", "Bash", {"command": "ls"})
    events: list[m.TurnEvent] = [
        m.TurnStarted("turn_1", STATUS),
        m.StepStarted("step_1", 1),
        m.ThinkingDelta(0, "hm"),
        m.ThinkingEnd(0, m.Thinking("hm")),
        m.TextDelta(1, "I \x1b[31m"),
        m.TextDelta(1, "look."),
        m.TextEnd(1, m.Text("I look.")),
        m.ToolStarted(bash),
        m.ToolOutput("c1", "a.py\n"),
        m.ToolEnded(bash, m.ToolResult("c1", (m.Text("a.py"),)), "ok", 0.2),
        m.Notice("retry", "again in 1 s"),
        m.StepStarted("step_2", 2),
        m.TextDelta(0, "Done."),
        m.TurnEnded(turn()),
    ]
    for event in events:
        renderer.event(event)
    assert renderer.next_tick() is None
    assert "".join(written) == snapshot("""\
ante: provider anthropic (default) · model claude-sonnet-4-6 (--model) · thinking high (settings.json)
[Thinking (2 characters)]
I ␛[31mlook.
[Bash] ls (running)
a.py
[Bash] ls (0.2 s)
[retry] again in 1 s
Done.
ante: done · 1,234 tokens in (800 cached) · 56 out · $0.0123 · 3.4 s · 1 step
""")


def test_a_call_that_waits_for_the_person_is_drawn_whole_before_the_question() -> None:
    stage = Stage()
    bash, events = call("Bash", command="rm -r build")
    stage.events(*events, m.ApprovalAsked(bash))
    assert "rm -r build" in stage.html() and "waits for your word" in stage.html()
    stage.events(m.ToolStarted(bash), m.ToolEnded(bash, m.ToolResult("c1", (m.Text("gone"),))))
    assert "waits for your word" not in stage.html()


def test_the_headline_of_a_list_of_names() -> None:
    from ante_nb.messages import ToolCall
    from ante_nb.notebook.render.words import headline

    assert headline(ToolCall("c", "Variables", {"names": ["df", "model_*"]})) == "df model_*"
    assert headline(ToolCall("c", "Variables", {"names": []})) == '{"names": []}'
    assert headline(ToolCall("c", "Variables", {"names": [1]})) == '{"names": [1]}'
