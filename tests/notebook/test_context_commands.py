"""``%ante context``, ``compact``, ``limits``, ``--dry-run`` and steering in a real kernel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from support.chat_server import Reply, text, wait_for

if TYPE_CHECKING:
    from support.ante import Ante

SPEAK = """\
import threading
from ante_nb.notebook.state import kernel_state
_runtime = kernel_state(get_ipython()).runtime
_said = []
_calls = []
_runtime.on_change.append(lambda: _calls.append(threading.current_thread() is threading.main_thread()))

def _speak():
    import pathlib, time
    while not pathlib.Path("speak").exists():
        time.sleep(0.01)
    _said.append((_runtime.steer("and <b>briefly</b>"), _runtime.queued))
    pathlib.Path("spoken").touch()
threading.Thread(target=_speak, daemon=True).start()
"""


def test_context_shows_a_bar_and_the_categories(ante: Ante) -> None:
    ante.prompt("a question")
    shown = ante.kernel.run("%ante context")
    assert shown.status == "ok" and "tokens; how many fit is not known" in shown.stdout
    for name in ("system", "tools", "your prompts", "answers"):
        assert f"  {name} " in shown.stdout
    assert "attachments" not in shown.stdout
    assert "means nothing" in ante.kernel.run("%ante context all").error


def test_compact_shows_the_summary_and_lets_it_be_edited(ante: Ante) -> None:
    assert "nothing to compact" in ante.kernel.run("%ante compact").error
    ante.prompt("a question " * 50)
    ante.server.enqueue(Reply(text("It was about a question.")))
    shown = ante.kernel.run("%ante compact keep the question")
    assert shown.status == "ok" and "It was about a question." in shown.stdout, shown.text
    assert "keep the question" in str(ante.server.chats[-1].body["messages"][-1])
    assert "It was about a question." in ante.kernel.run("%ante compact show").stdout
    edit = ante.kernel.run("%ante compact edit")
    payload = [item for item in edit.reply["payload"] if item["source"] == "set_next_input"]
    assert payload[0]["text"] == "%%ante --summary\nIt was about a question."
    asked = len(ante.server.chats)
    edited = ante.kernel.run("%%ante --summary\nIt was about the answer.")
    assert edited.status == "ok" and len(ante.server.chats) == asked, edited.text
    ante.prompt("go on")
    sent = str(ante.last_messages)
    assert "about the answer" in sent and "about a question" not in sent and "go on" in sent


def test_limits_are_set_shown_and_kept(ante: Ante) -> None:
    shown = ante.kernel.run("%ante limits cost=0.50 session.tokens=200k")
    assert "$0.50 (%ante limits)" in shown.stdout and "200,000 tokens (%ante limits)" in shown.stdout
    refused = ante.prompt("hello")
    assert refused.status == "error" and "price" in refused.error
    assert ante.kernel.run("%ante limits cost=- session.tokens=-").stdout.count("%ante limits)") == 0
    limited = ante.prompt("word " * 3_000, "--max-tokens 500")
    assert limited.status == "error" and "500 tokens" in limited.error
    assert ante.turn("status") == "max_steps"
    assert "not a positive number" in ante.kernel.run("%ante limits cost=much").error.replace("that is ", "")
    assert "cannot be used" in ante.prompt("x", "--max-cost much").error
    ante.check_usable()


def test_a_dry_run_prints_and_binds_nothing(ante: Ante) -> None:
    ante.prompt("first")
    before = ante.turn("id")
    asked = len(ante.server.chats)
    shown = ante.prompt("what now? @nothing", "--dry-run -o other")
    assert shown.status == "ok" and "dry run: nothing was sent" in shown.stdout, shown.text
    assert "/chat/completions" in shown.stdout and "unknown" in shown.stdout and "test-model" in shown.stdout
    assert len(ante.server.chats) == asked and ante.turn("id") == before
    assert ante.kernel.value("'other' in globals()") is False
    full = ante.prompt("what now? @nothing", "--dry-run --verbose")
    assert '"what now? @nothing"' in full.stdout and "loopback-key" not in full.stdout
    assert not full.html, "no status line, no closing line"
    ante.check_usable()


def test_what_is_said_meanwhile_is_shown_as_a_quotation(ante: Ante) -> None:
    ante.server.enqueue(Reply(text("first"), wait_for("said")), Reply(text("second")))
    assert ante.kernel.run(SPEAK).status == "ok"
    ante.start("a question", "-o spoken")
    ante.kernel.wait_text("first")
    (ante.cwd / "speak").touch()
    end = time.monotonic() + 30
    while not (ante.cwd / "spoken").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    ante.server.release("said")
    done = ante.kernel.wait()
    assert done.status == "ok" and ante.turn("text", "spoken") == "first\n\nsecond"
    assert done.html.count("<blockquote") == 1 and "&lt;b&gt;briefly" in done.html
    assert "> and <b>briefly</b>" in done.text
    assert ante.kernel.value("_said") == [(True, ("and <b>briefly</b>",))]
    assert True in ante.kernel.value("_calls"), "the panel hears on the kernel's thread that it went in"
    assert "briefly" in str(ante.last_messages[-1])
