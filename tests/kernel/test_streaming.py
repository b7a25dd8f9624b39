"""What a cell shows while a turn runs, and what is left of it afterwards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import nbformat
from support.ante import check_conversation, point_at, words_of
from support.chat_server import Reply, text, thinking, tool, tools, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from support.ante import Ante
    from support.chat_server import ChatServer

PARAGRAPH = "The rain in March fell short of every other month by a wide margin. "


def test_an_answer(ante: Ante) -> None:
    outcome = ante.prompt("hello?")
    assert outcome.status == "ok"
    assert "echo: hello?" in outcome.text and "echo: hello?" in outcome.html
    assert ante.turn("text") == "echo: hello?"
    assert ante.turn("provider") == "openai-compatible" and ante.turn("model") == "test-model"
    request = ante.server.chats[-1]
    assert request.headers["authorization"] == "Bearer loopback-key-0123456789"
    assert request.headers["user-agent"].startswith("ante_nb/")
    check_conversation(ante.last_messages)


def test_text_arrives_before_the_answer_has_ended(ante: Ante) -> None:
    ante.server.enqueue(Reply(text("First words. "), wait_for("go"), text("Last words.")))
    ante.start("talk")
    early = ante.kernel.wait_text("First words.")
    assert not early.done and "Last words." not in early.text
    released = time.monotonic()
    ante.server.release("go")
    outcome = ante.kernel.wait()
    shown = outcome.first(lambda message: "First words." in str(message.content.get("data")))
    assert shown is not None and shown.at <= released <= outcome.ended
    assert "Last words." in outcome.text


def test_text_keeps_arriving(ante: Ante) -> None:
    ante.server.enqueue(Reply(text(PARAGRAPH * 40, size=20, delay=0.02)))
    outcome = ante.prompt("talk")
    times = [
        message.at for message in outcome.messages if "rain in March" in str(message.content.get("data"))
    ]
    # 136 pieces over 2.7 s: at the slowest allowed tick (0.4 s) that is still several updates.
    assert len(times) >= 4
    assert ante.turn("text") == PARAGRAPH * 40


def test_a_prompt_is_sent_byte_for_byte(ante: Ante) -> None:
    body = "Is {this} $HOME or %time, `x`\\n\\t \"quoted\" 'and' ünï 🌧?\n\n  indented {0!r}\n%ls\n!echo?"
    outcome = ante.prompt(body)
    assert outcome.status == "ok", outcome.text
    assert body in words_of(ante.last_messages[-1])
    assert ante.turn("prompt") == body


def test_history_goes_along(ante: Ante) -> None:
    ante.prompt("one")
    ante.prompt("two")
    said = [
        (message["role"], words_of(message)) for message in ante.last_messages if message["role"] != "system"
    ]
    assert [role for role, _ in said] == ["user", "assistant", "user"]
    assert "one" in said[0][1] and said[1][1] == "echo: one" and "two" in said[2][1]


def test_thinking_is_kept_apart_from_the_answer(ante: Ante) -> None:
    ante.server.enqueue(Reply(thinking("Let me see."), text("42.")))
    outcome = ante.prompt("why?")
    assert ante.turn("text") == "42." and ante.turn("thinking") == "Let me see."
    assert "Let me see." in outcome.html and "<details" in outcome.html


def test_o_binds_the_turn_and_ante_the_last_one(ante: Ante) -> None:
    ante.prompt("one", "-o first")
    ante.prompt("two", "-o second")
    assert ante.turn("text", "first") == "echo: one"
    assert ante.kernel.value("second is _ante") and not ante.kernel.value("first is _ante")


def test_what_is_shown_is_what_the_sanitizer_made_of_the_exact_text(ante: Ante) -> None:
    from ante_nb.notebook.render.sanitize import safe_html

    answer = (
        "# March\n\nA **dip**, see `sales.csv` and [a page](https://example.org/x).\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "<script>alert(1)</script> <img src=x onerror=alert(2)>\n\n"
        "- one\n- two\n\n```python\nx = '<b>'\n```\n\n$e^{i\\pi}$ and $5 for [click](javascript:alert(3)).\n"
    )
    ante.server.enqueue(Reply(text(answer * 12, size=37, delay=0.002)))
    outcome = ante.prompt("explain")
    assert ante.turn("text") == answer * 12
    shown = "".join("".join(outcome.mime("text/html")).split())
    wanted = "".join(safe_html(answer * 12, base=ante.cwd).split())
    blocks = [block for block in wanted.split("</p>") if block]
    assert all(block in shown for block in blocks)
    for bad in ("<script", "onerror=", "javascript:"):
        assert bad not in outcome.html.replace("&lt;script", "").replace("&lt;img src=x onerror=", "")
    # The plain twin of the finished segments is the answer itself.
    assert "".join(answer.split()) in "".join(outcome.text.split())


def test_a_file_is_read_and_the_model_gets_it(ante: Ante) -> None:
    (ante.cwd / "sales.csv").write_text("month,eur\nMarch,12\n")
    ante.server.enqueue(Reply(tool("Read", {"file_path": "sales.csv"}, pieces=3)), Reply(text("12 it is.")))
    outcome = ante.prompt("how much?")
    assert outcome.status == "ok", outcome.text
    check_conversation(ante.last_messages)
    assert "March,12" in words_of(ante.last_messages[-1])
    assert ante.turn("text") == "12 it is." and ante.turn("status") == "completed"
    assert "Read" in outcome.text and "sales.csv" in outcome.text
    assert ante.kernel.value("[(c.name, c.status) for c in _ante.tool_calls]") == [("Read", "ok")]


def test_parallel_calls_are_all_answered_in_order(ante: Ante) -> None:
    for name in "abc":
        (ante.cwd / f"{name}.txt").write_text(f"this is {name}\n")
    calls = tools(
        *(tool("Read", {"file_path": f"{name}.txt"}, id=f"call_{name}", pieces=2) for name in "abc")
    )
    ante.server.enqueue(Reply(calls), Reply(text("read")))
    assert ante.prompt("read them").status == "ok"
    check_conversation(ante.last_messages)
    results = [message for message in ante.last_messages if message["role"] == "tool"]
    assert [f"this is {name}" in words_of(result) for name, result in zip("abc", results, strict=True)] == [
        True
    ] * 3


def test_the_saved_notebook_is_complete(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run by nbclient, saved and read again: the whole answer is there, the last state of every display."""
    from nbclient import NotebookClient

    for name, value in point_at(chat_server, isolated_home).items():
        monkeypatch.setenv(name, value)
    long = "".join(f"Paragraph {number}. {PARAGRAPH * 3}\n\n" for number in range(60))
    (tmp_path / "sales.csv").write_text("month,eur\nMarch,12\n")
    chat_server.enqueue(
        Reply(text("Looking. "), tool("Read", {"file_path": "sales.csv"})),
        Reply(text(long, size=40, delay=0.001)),
    )
    book = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("%load_ext ante_nb"),
            nbformat.v4.new_code_cell("%%ante -o turn\nlook at sales.csv"),
            nbformat.v4.new_code_cell("print(turn.status, len(turn.text))"),
        ]
    )
    NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    file = tmp_path / "saved.ipynb"
    nbformat.write(book, file)
    saved = nbformat.read(file, as_version=4)
    nbformat.validate(saved)
    assert saved.cells[2].outputs[0]["text"] == f"completed {len('Looking. ' + chr(10) * 2 + long)}\n"
    outputs = saved.cells[1].outputs
    assert len(outputs) <= 40
    html = "\n".join("".join(out["data"].get("text/html", "")) for out in outputs if "data" in out)
    plain = "\n".join("".join(out["data"].get("text/plain", "")) for out in outputs if "data" in out)
    for number in range(60):
        assert html.count(f"Paragraph {number}. ") == 1 and plain.count(f"Paragraph {number}. ") == 1
    assert "sales.csv" in html
    turns = [
        out["data"]["application/vnd.ante.turn+json"]
        for out in outputs
        if "application/vnd.ante.turn+json" in out.get("data", {})
    ]
    assert len(turns) == 1 and turns[0]["v"] == 1 and turns[0]["status"] == "completed"


def test_a_broken_stream_is_sent_again_and_nothing_is_shown_twice(ante: Ante) -> None:
    from support.chat_server import drop

    ante.server.enqueue(Reply(text("Half an ans"), drop()), Reply(text("The whole answer.")))
    outcome = ante.prompt("go on")
    assert outcome.status == "ok", outcome.text
    assert ante.turn("text") == "The whole answer."
    assert "Half an ans" not in outcome.html and "The whole answer." in outcome.html
