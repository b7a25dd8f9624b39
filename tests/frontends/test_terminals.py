"""Prompts in a pseudo-terminal: IPython, ``jupyter console``, and ``jupyter console --kernel ante``."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.ante import check_conversation, echo, point_at, words_of
from support.chat_server import ChatServer, Reply, status, text, thinking, tool, wait_for
from support.front import install, own_home
from support.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
TERMINALS = ("ipython", "python3", "ante")


@dataclass
class Session:
    """A terminal, the server behind it, and how a prompt is written there."""

    name: str
    terminal: Terminal
    server: ChatServer
    cwd: Path

    def cell(self, words: str) -> str:
        return words if self.name == "ante" else f"%%ante\n{words}"


@pytest.fixture(scope="module", params=TERMINALS)
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    name = str(request.param)
    with own_home(tmp_path_factory) as home, ChatServer() as server:
        server.handler = echo
        env = point_at(server, home)
        install(home)
        cwd = home / "work"
        cwd.mkdir()
        made = Terminal.ipython(cwd, env) if name == "ipython" else Terminal.console(name, cwd, env)
        with made as running:
            if name != "ante":
                assert "Error" not in running.run("%load_ext ante_nb")
            yield Session(name, running, server, cwd)


def test_a_turn_is_streamed_asked_about_and_told(session: Session) -> None:
    terminal, chat_server, tmp_path = session.terminal, session.server, session.cwd
    terminal.shown.clear()
    chat_server.enqueue(
        Reply(thinking("Hm, a file."), text("I will "), wait_for("seen"), text("make it."),
              tool("Bash", {"command": "echo made > made; cat made"}, id="call_b")),
        Reply(tool("Write", {"file_path": "denied.txt", "content": "no\n"}, id="call_w")),
        Reply("It is **done**, \x1b[31mreally\x1b[0m.\n\n- one\n- two"),
    )  # fmt: skip
    terminal.type(session.cell("make a file"))
    terminal.expect("I will ")  # while the server still holds the rest back: it streams
    chat_server.release("seen")
    terminal.expect("Allow?")
    assert not (tmp_path / "made").exists()
    terminal.answer("y")
    terminal.expect("Allow?")
    terminal.answer("use another name")
    shown = terminal.wait()
    assert (tmp_path / "made").read_text() == "made\n"
    assert not (tmp_path / "denied.txt").exists()
    assert "It is **done**, " in shown and "- one\n- two" in shown
    assert re.search(r"^ante: done · .* 3 steps .* files new: made$", shown, re.MULTILINE), shown
    assert "use another name" in words_of(chat_server.chats[-1].body["messages"][-1])
    whole = "".join(terminal.shown)
    # Nothing but text for a person: no object's repr, no markup, no escape sequence of the model's.
    assert not re.search(
        r"<IPython|<ante_nb|<div|<details|application/|AnyWidget|Widget\(|Traceback", whole
    ), whole
    assert "made" in whole


def test_an_interrupt_ends_the_turn_and_nothing_else(session: Session) -> None:
    terminal, chat_server = session.terminal, session.server
    chat_server.enqueue(Reply(text("on and on " * 5000, size=10, delay=0.02)))
    terminal.type(session.cell("talk"))
    terminal.expect("on and on")
    terminal.interrupt()
    shown = terminal.wait()
    assert re.search(r"interrupted", shown, re.IGNORECASE) and "Traceback" not in shown
    chat_server.enqueue(Reply(tool("Bash", {"command": "touch never"}, id="call_n")))
    terminal.type(session.cell("touch it"))
    terminal.expect("what to do instead: ")
    time.sleep(0.3)  # as a person: input() loses a signal that comes while it writes its prompt
    terminal.interrupt()
    shown = terminal.wait()
    assert not (session.cwd / "never").exists()
    after = terminal.run(session.cell("still there?"))
    assert "echo: still there?" in after
    check_conversation(chat_server.chats[-1].body["messages"])
    assert "42" in terminal.run("%%python\nprint(6 * 7)" if session.name == "ante" else "print(6 * 7)")


def test_an_error_is_one_readable_line(session: Session) -> None:
    terminal, chat_server = session.terminal, session.server
    chat_server.enqueue(Reply(status(401, {"error": {"message": "bad key"}})))
    shown = terminal.run(session.cell("hello"))
    assert "bad key" in shown and "Traceback" not in shown
    assert "echo: hello again" in terminal.run(session.cell("hello again"))


def test_the_prompt_is_what_was_typed(session: Session) -> None:
    """Lines and marks of a prompt arrive as typed; what ends a cell in a terminal does not."""
    words = "what is {x} and $y, 100 %, or?" if session.name == "ante" else "first {x}\n  $y?"
    session.terminal.run(session.cell(words))
    typed = words_of(session.server.chats[-1].body["messages"][-1])
    assert re.sub(r"\n*<environment>.*?</environment>\n*", "", typed, flags=re.DOTALL) == words
