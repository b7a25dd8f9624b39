"""Approval and question cards in a real kernel; the test plays the page: it sends what the script would send."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import Ante, check_conversation, words_of
from support.card import CardFront
from support.chat_server import Reply, text, tool, tools

if TYPE_CHECKING:
    from pathlib import Path

    from support.kernel import Outcome

VIEW = "application/vnd.jupyter.widget-view+json"
NO_STDIN: list[str] = []
"""A front end with a person in front of it, who is not asked on stdin."""


def bash(command: str, call: str = "call_1") -> Any:
    return tool("Bash", {"command": command}, id=call)


def approval(ante: Ante, number: int = 1, name: str = "ApprovalCard") -> CardFront:
    """The cell's ``number``-th card, shown and reported ready."""
    card = CardFront(ante.kernel, name, number)

    def shown(outcome: Outcome) -> bool:
        views = [out["data"][VIEW]["model_id"] for out in outcome.outputs if VIEW in out.get("data", {})]
        return card.comm_id in views

    assert shown(ante.kernel.wait_for(shown))
    card.send(kind="ready")
    return card


def told(ante: Ante, call: str = "call_1") -> str:
    messages = ante.server.chats[-1].body["messages"]
    check_conversation(messages)
    return next(words_of(m) for m in reversed(messages) if m.get("tool_call_id") == call)


def check_static(outcome: Outcome) -> None:
    """Nothing of a widget is left, and every output has both twins."""
    for output in outcome.outputs:
        if output["output_type"] == "display_data":
            assert VIEW not in output["data"]
            assert {"text/plain", "text/html"} <= set(output["data"])


def test_once_session_always_and_deny(ante: Ante, isolated_home: Path) -> None:
    server = ante.server
    server.enqueue(
        Reply(bash("touch one", "call_1")),
        Reply(bash("touch one", "call_2")),
        Reply(bash("touch two", "call_3")),
        Reply(bash("mkdir kept", "call_4")),
        Reply(bash("mkdir other", "call_5")),
        Reply(text("ok")),
    )
    ante.start("go", stdin=NO_STDIN)
    card = approval(ante)
    state = card.state
    assert state["label"] == "Run this command?" and state["grant"] == "Bash(touch one *)"
    assert [block["kind"] for block in state["blocks"]] == ["code"]
    assert "".join(piece for _, piece in state["blocks"][0]["tokens"]) == "touch one"
    card.send(kind="answer", answer="once")
    card = approval(ante, 2)
    assert (ante.cwd / "one").exists() and not (ante.cwd / "two").exists()
    card.send(kind="answer", answer="deny", feedback="use \x1b[31mpathlib\nplease ")
    card = approval(ante, 3)
    assert told(ante, "call_2").endswith("The user says: use ␛[31mpathlib please")
    card.send(kind="answer", answer="session")
    card = approval(ante, 4)
    card.send(kind="answer", answer="always")
    card = approval(ante, 5)
    card.send(kind="answer", answer="deny")
    outcome = ante.kernel.wait()
    assert outcome.status == "ok", outcome.text
    assert "denied by user" in told(ante, "call_5") and "says" not in told(ante, "call_5")
    assert (ante.cwd / "kept").is_dir() and not (ante.cwd / "other").exists()
    check_static(outcome)
    for words in (
        "allowed once (Bash: touch one)",
        "denied: “use ␛[31mpathlib",
        "allowed for this session by the rule Bash(touch two *)",
        "always allowed by the rule Bash(mkdir kept *)",
    ):
        assert words in outcome.text, outcome.text
    saved = json.loads((isolated_home / ".ante/settings.json").read_text())
    assert saved["permissions"]["allow"] == ["Bash(mkdir kept *)"]
    # The session's rule and the one for good hold: nothing is asked.
    server.reset()
    server.enqueue(Reply(bash("touch two", "call_6")), Reply(bash("mkdir kept", "call_7")), Reply(text("ok")))
    outcome = ante.prompt("again", stdin=NO_STDIN)
    assert outcome.status == "ok" and outcome.first(lambda m: m.kind == "comm_open") is None
    assert "denied" not in told(ante, "call_6")


def test_what_is_no_answer_decides_nothing_and_the_first_answer_counts(ante: Ante) -> None:
    ante.server.enqueue(
        Reply(tool("Write", {"file_path": "a.txt", "content": "one\n"}, id="call_1")), Reply(text("ok"))
    )
    ante.start("go", stdin=NO_STDIN)
    card = approval(ante)
    assert card.state["blocks"][0]["kind"] == "diff"
    for wrong in ({"answer": "sudo"}, {"answer": None}, {"answer": ["once"]}, {}, {"feedback": "yes"}):
        card.send(kind="answer", **wrong)
    card.send(kind="ready")
    ante.kernel._pump(lambda: False, 1.0)
    assert not card.closed and not (ante.cwd / "a.txt").exists()
    # Two views of the card, both clicked.
    card.send(kind="answer", answer="deny", feedback=7)
    card.send(kind="answer", answer="once")
    outcome = ante.kernel.wait()
    assert "denied by user" in told(ante) and not (ante.cwd / "a.txt").exists()
    check_static(outcome)


def test_where_no_card_reports_stdin_is_asked_and_sooner_the_next_time(ante: Ante) -> None:
    ante.server.enqueue(
        Reply(bash("touch one", "call_1")), Reply(bash("touch two", "call_2")), Reply(text("ok"))
    )
    started = time.monotonic()
    outcome = ante.prompt("go", stdin=["y", "n"])
    assert time.monotonic() - started < 60
    assert len(outcome.prompts) == 2 and outcome.status == "ok"
    assert (ante.cwd / "one").exists() and "denied by user" in told(ante, "call_2")
    check_static(outcome)
    opened = [m for m in outcome.messages if m.kind == "comm_open" and "state" in m.content["data"]]
    closed = {m.content["comm_id"] for m in outcome.messages if m.kind == "comm_close"}
    cards = {m.content["comm_id"] for m in opened}
    assert cards and cards <= closed, "a card that nobody sees is left in the page's memory"


def test_nobody_is_there(ante: Ante) -> None:
    ante.server.enqueue(
        Reply(bash("touch one")),
        Reply(tool("AskUser", {"questions": [{"question": "Well?"}]}, id="call_2")),
        Reply(text("ok")),
    )
    outcome = ante.prompt("go")
    assert outcome.status == "ok" and not (ante.cwd / "one").exists()
    assert "nobody is there" in told(ante) and "Nobody is there" in told(ante, "call_2")
    assert outcome.first(lambda m: m.kind == "comm_open") is None, "a card would be saved with the notebook"


@pytest.mark.parametrize("reported", [True, False])
def test_an_interrupt_takes_the_question_back(ante: Ante, reported: bool) -> None:
    ante.server.enqueue(Reply(bash("touch one")), Reply(text("ok")))
    ante.start("go", stdin=NO_STDIN)
    card = CardFront(ante.kernel, "ApprovalCard")
    if reported:
        card.send(kind="ready")
        ante.kernel._pump(lambda: False, 0.5)
    sent = ante.kernel.interrupt()
    outcome = ante.kernel.wait()
    assert outcome.ended - sent < 5 and ante.turn("status") == "interrupted"
    assert card.closed and not (ante.cwd / "one").exists()
    check_static(outcome)
    assert ("not answered: the turn was stopped" in outcome.text) is reported
    ante.server.reset()
    ante.check_usable()


def test_many_questions_in_one_turn_stay_few_outputs(ante: Ante) -> None:
    count = 12
    calls = [bash(f"touch f{number}", f"call_{number}") for number in range(count)]
    ante.server.enqueue(Reply(tools(*calls)), Reply(text("ok")))
    outcome = ante.start("go", stdin=NO_STDIN)
    for number in range(count):
        card = approval(ante, number + 1)
        # One at a time, in the order of the calls.
        assert card.state["summary"] == f"Bash: touch f{number}"
        open_now = sum(VIEW in output.get("data", {}) for output in outcome.outputs)
        assert open_now == 1
        card.send(kind="answer", answer="once" if number % 2 else "deny")
    outcome = ante.kernel.wait()
    assert [(ante.cwd / f"f{n}").exists() for n in range(count)] == [bool(n % 2) for n in range(count)]
    assert len(outcome.outputs) < 40
    for number in range(count):
        assert f"{'allowed once' if number % 2 else 'denied'} (Bash: touch f{number})" in outcome.text
    check_static(outcome)


def test_a_diff_a_cell_and_stages(ante: Ante) -> None:
    (ante.cwd / "a.py").write_text("x = 1\ny = 2\n")
    ante.server.enqueue(
        Reply(tool("Read", {"file_path": "a.py"}, id="call_0")),
        Reply(tool("Edit", {"file_path": "a.py", "old_string": "x = 1", "new_string": "x = 3"}, id="call_1")),
        Reply(bash("ls | sort; FOO=1 rm -rf build && curl http://127.0.0.1:1", "call_2")),
        Reply(tool("Python", {"code": "open('b', 'w')  # \u202edone"}, id="call_3")),
        Reply(tool("Cells", {"action": "insert", "source": "import os"}, id="call_4")),
        Reply(text("ok")),
    )
    ante.start("go", stdin=NO_STDIN)
    card = approval(ante)
    lines = card.state["blocks"][0]["lines"]
    assert (
        ["-", "-x = 1"] in lines and ["+", "+x = 3"] in lines and card.state["label"] == "Change this file?"
    )
    card.send(kind="answer", answer="once")
    card = approval(ante, 2)
    rows = card.state["blocks"][1]["rows"]
    assert [row[1] for row in rows] == ["safe", "safe", "dangerous", "unknown"], rows
    assert rows[0] == ["ls", "safe", "only reads"] and "rm -rf build" in rows[2][0]
    card.send(kind="answer", answer="deny")
    card = approval(ante, 3)
    code = card.state["blocks"][0]["tokens"]
    assert "".join(piece for _, piece in code) == "open('b', 'w')  # [U+202E]done"
    assert {"string", "comment"} <= {kind for kind, _ in code}
    card.send(kind="answer", answer="deny")
    card = approval(ante, 4)
    assert card.state["label"] == "Insert this cell?"
    card.send(kind="answer", answer="deny")
    assert ante.kernel.wait().status == "ok"
    assert (ante.cwd / "a.py").read_text() == "x = 3\ny = 2\n"


def test_hostile_text_in_a_request_is_text(ante: Ante) -> None:
    evil = "<img src=x onerror=alert(1)> $\\href{javascript:1}{x}$ \x1b]8;;http://evil.test\x07x"
    ante.server.enqueue(Reply(bash(f"echo '{evil}' > f")), Reply(text("ok")))
    ante.start("go", stdin=NO_STDIN)
    card = approval(ante)
    pending = next(out for out in card.outcome.outputs if VIEW in out.get("data", {}))
    assert "<img" not in pending["data"]["text/html"] and "mathjax_ignore" in pending["data"]["text/html"]
    assert "\x1b" not in json.dumps(card.state, ensure_ascii=False) + pending["data"]["text/plain"]
    card.send(kind="answer", answer="deny", feedback="<script>1</script>")
    outcome = ante.kernel.wait()
    assert "<script" not in outcome.html and "&lt;script" in outcome.html and "<img" not in outcome.html


def test_questions(ante: Ante) -> None:
    asked = [
        {"question": "Which?", "header": "Colour", "options": ["red", "blue"]},
        {"question": "More?", "options": ["a", "b", "c"], "multiple": True, "custom": False},
        {"question": "Why?"},
    ]
    ante.server.enqueue(Reply(tool("AskUser", {"questions": asked}, id="call_1")), Reply(text("ok")))
    ante.start("go", stdin=NO_STDIN)
    card = approval(ante, name="QuestionCard")
    shown = card.state["questions"]
    assert [row["free"] for row in shown] == [True, False, True] and shown[0]["options"] == ["red", "blue"]
    for wrong in ([], [{}], "red", [1, 2, 3], None):
        card.send(kind="answer", answers=wrong)
    ante.kernel._pump(lambda: False, 0.5)
    assert not card.closed
    card.send(
        kind="answer",
        answers=[
            {"chosen": [0, 1], "words": ""},
            {"chosen": [2, 0, 9, "x"], "words": "not wanted here"},
            {"chosen": [], "words": " because <b>so</b> "},
        ],
    )
    outcome = ante.kernel.wait()
    assert "Which?\n-> red\n" in told(ante) and "More?\n-> a, c\n" in told(ante)
    assert "Why?\n-> because <b>so</b>" in told(ante)
    check_static(outcome)
    assert "-> a, c" in outcome.text and "<b>so" not in outcome.html
    # No answer at all is an answer too.
    ante.server.reset()
    ante.server.enqueue(Reply(tool("AskUser", {"questions": asked[:1]}, id="call_2")), Reply(text("ok")))
    ante.start("go", stdin=NO_STDIN)
    approval(ante, name="QuestionCard").send(kind="decline")
    outcome = ante.kernel.wait()
    assert "Nobody is there" in told(ante, "call_2") and "you gave no answer" in outcome.text


class Page:
    """A further page of the notebook, which asks for the running cell."""

    def __init__(self, ante: Ante, client: str) -> None:
        self.ante, self.comm_id = ante, f"page-{client}"
        content = {
            "comm_id": self.comm_id,
            "target_name": "ante_nb.running",
            "data": {"v": 1, "client": client},
        }
        ante.kernel.client.shell_channel.send(ante.kernel.client.session.msg("comm_open", content))
        self.heard: list[dict[str, Any]] = []
        self.closed = False

    def listen(self, test: Any, timeout: float = 20.0) -> None:
        """Read the kernel's messages until ``test`` holds."""
        end = time.monotonic() + timeout
        channel = self.ante.kernel.client.iopub_channel
        while not test():
            assert time.monotonic() < end, f"not heard: {self.heard}"
            if not channel.msg_ready():
                time.sleep(0.02)
                continue
            message = channel.get_msg()
            content = message["content"]
            if content.get("comm_id") == self.comm_id:
                self.closed = self.closed or message["msg_type"] == "comm_close"
                if message["msg_type"] == "comm_msg":
                    self.heard.append(content["data"])
            else:
                self.ante.kernel._on_iopub(message, time.monotonic())


def test_a_page_that_comes_later_gets_the_running_cell(ante: Ante) -> None:
    ante.server.enqueue(Reply(text("Some words first."), bash("touch one")), Reply(text("All done.")))
    ante.kernel.start("%%ante\ngo", stdin=NO_STDIN, cell="the-cell")
    card = approval(ante)
    ante.kernel._pump(lambda: False, 0.5)
    own = Page(ante, ante.kernel.client.session.session)
    own.listen(lambda: own.closed)
    other = Page(ante, "another")
    other.listen(lambda: other.heard)
    first = other.heard[0]
    assert (first["v"], first["cell"]) == (1, "the-cell")
    assert "Some words first." in json.dumps(first) and VIEW in first["outputs"][-1]["data"]
    card.send(kind="answer", answer="once")
    other.listen(lambda: other.heard[-1].get("ended"))
    shown = {item["id"]: item["data"] for told in other.heard for item in told.get("outputs", ())}
    assert other.heard[-1]["count"] == ante.kernel.wait().execution_count
    cell = [out["data"] for out in ante.kernel.cells[-1].outputs if "data" in out]
    assert list(shown.values()) == cell
    late = Page(ante, "late")
    late.listen(lambda: late.closed)
