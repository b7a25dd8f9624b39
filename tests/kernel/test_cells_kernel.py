"""Cells, AskUser and images in a real kernel; the test plays the page's half of the comm."""

from __future__ import annotations

import base64
import io
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.ante import Ante, check_conversation, point_at, words_of
from support.chat_server import Reply, text, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.chat_server import ChatServer
    from support.kernel import Kernel, Outcome

TARGET = "ante_nb.notebook"


@pytest.fixture
def book(chat_server: ChatServer, isolated_home: Path, tmp_path: Path) -> Iterator[Ante]:
    """A kernel that was told which notebook it serves."""
    from support.kernel import Kernel

    path = tmp_path / "book.ipynb"
    cell = {
        "cell_type": "code",
        "id": "saved",
        "source": "value = 1",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
    }
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    env = {**point_at(chat_server, isolated_home), "JPY_SESSION_NAME": str(path)}
    with Kernel(cwd=tmp_path, env=env) as kernel:
        kernel.run("%load_ext ante_nb")
        yield Ante(kernel, chat_server, tmp_path)


def result_of(ante: Ante, call: str = "call_1") -> str:
    check_conversation(ante.last_messages)
    return next(words_of(m) for m in ante.last_messages if m.get("tool_call_id") == call)


def comm(outcome: Outcome, kind: str, number: int = 0) -> dict[str, Any] | None:
    found = [
        message.content
        for message in outcome.messages
        if message.kind == kind and (kind != "comm_open" or message.content["target_name"] == TARGET)
    ]
    return found[number] if len(found) > number else None


def say(kernel: Kernel, comm_id: str, data: dict[str, Any], kind: str = "comm_msg") -> None:
    content = {"comm_id": comm_id, "data": data}
    kernel.client.shell_channel.send(kernel.client.session.msg(kind, content))


def page(
    ante: Ante, outcome: Outcome, answer: Callable[[dict[str, Any]], dict[str, Any]], rounds: int
) -> None:
    """Play the page that sent the cell for some requests."""
    me = ante.kernel.client.session.session
    for number in range(rounds):
        ante.kernel.wait_for(lambda out, n=number: comm(out, "comm_open", n) is not None, 30)  # type: ignore[misc]
        opened = comm(outcome, "comm_open", number)
        assert opened is not None, outcome.text
        # Another page of the same notebook is quicker.
        say(ante.kernel, opened["comm_id"], {"from": "another", "ready": 1, "holds": True})
        say(ante.kernel, opened["comm_id"], {"from": me, "ready": 1, "holds": True})
        ante.kernel.wait_for(lambda out, n=number: comm(out, "comm_msg", n) is not None, 30)  # type: ignore[misc]
        request = comm(outcome, "comm_msg", number)
        assert request is not None and request["data"]["to"] == me
        say(ante.kernel, opened["comm_id"], {"from": "another", "reply": {"status": "refused"}})
        say(ante.kernel, opened["comm_id"], {"from": me, "reply": answer(request["data"])})


LIVE = [
    {"number": 1, "id": "one", "cell_type": "code", "source": "x", "execution_count": 1, "outputs": []},
    {
        "number": 2,
        "id": "ask",
        "cell_type": "code",
        "source": "%%ante",
        "execution_count": None,
        "outputs": [],
    },
]


def test_the_page_of_the_running_cell_is_the_one_that_is_asked(book: Ante) -> None:
    book.server.enqueue(
        Reply(tool("Cells", {"action": "read"}, id="call_1")),
        Reply(tool("Cells", {"action": "replace", "cell": "one", "source": "y"}, id="call_2")),
        Reply(text("done")),
    )
    outcome = book.start("go", "--allow Cells", cell="ask", stdin=[])

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "list":
            return {"path": "book.ipynb", "dirty": True, "cells": LIVE}
        assert (request["op"], request["id"], request["expected"]) == ("replace", "one", "x")
        return {"status": "applied", "id": "one", "number": 1, "source": request["source"]}

    page(book, outcome, answer, 2)
    book.kernel.wait()
    assert outcome.status == "ok", outcome.text
    assert "as they stand in the front end now, not saved yet" in result_of(book)
    assert "(this prompt)" in result_of(book)
    assert result_of(book, "call_2").startswith("applied: cell 1 (id=one) was replaced")
    assert "+y" in outcome.text and "-x" in outcome.text
    closed = [message for message in outcome.messages if message.kind == "comm_close"]
    assert len(closed) == 2, "no comm is left open"


def test_an_edit_that_is_reported_otherwise_than_asked_is_no_success(book: Ante) -> None:
    book.server.enqueue(
        Reply(tool("Cells", {"action": "insert", "source": "wanted"}, id="call_1")), Reply(text("done"))
    )
    outcome = book.start("go", "--allow Cells", cell="ask", stdin=[])
    page(book, outcome, lambda _: {"status": "applied", "id": "n", "number": 2, "source": "other"}, 1)
    book.kernel.wait()
    assert result_of(book).startswith("unconfirmed")
    assert book.turn("tool_calls[0].status") == "error"


def test_a_page_of_another_version_is_not_used(book: Ante) -> None:
    book.server.enqueue(Reply(tool("Cells", {}, id="call_1")), Reply(text("done")))
    outcome = book.start("go", cell="ask", stdin=[])
    book.kernel.wait_for(lambda out: comm(out, "comm_open") is not None)
    opened = comm(outcome, "comm_open")
    assert opened is not None
    say(
        book.kernel,
        opened["comm_id"],
        {"from": book.kernel.client.session.session, "ready": 99, "holds": True},
    )
    book.kernel.wait()
    assert "restart the Jupyter server" in result_of(book) and "value = 1" in result_of(book)


def test_a_page_without_the_extension_closes_the_comm_and_the_file_is_read(book: Ante) -> None:
    book.kernel.run("value = 2", cell="saved")
    book.kernel.run("other = 1", cell="unsaved")
    book.server.enqueue(
        Reply(tool("Cells", {}, id="call_1")),
        Reply(tool("Cells", {"action": "insert", "source": "x"}, id="call_2")),
        Reply(text("done")),
    )
    outcome = book.start("go", "--allow Cells", cell="ask", stdin=[])
    book.kernel.wait_for(lambda out: comm(out, "comm_open") is not None)
    opened = comm(outcome, "comm_open")
    assert opened is not None
    say(book.kernel, opened["comm_id"], {}, kind="comm_close")
    book.kernel.wait()
    told = result_of(book)
    assert "value = 2" in told and "the text is the one that was run" in told
    assert "other = 1" in told and "its place is not known" in told
    assert result_of(book, "call_2").startswith("refused") and "Action `next`" in result_of(book, "call_2")
    assert comm(outcome, "comm_open", 1) is None, "asked once in a turn"
    assert json.loads((book.cwd / "book.ipynb").read_text())["cells"][0]["source"] == "value = 1"


def test_nbclient_has_no_page_and_nothing_waits(book: Ante) -> None:
    book.server.enqueue(Reply(tool("Cells", {}, id="call_1")), Reply(text("done")))
    outcome = book.prompt("go")
    assert outcome.status == "ok" and comm(outcome, "comm_open") is None
    assert "as of the last save" in result_of(book) and "no notebook page is attached" in result_of(book)


def test_interrupted_while_the_page_is_silent(book: Ante) -> None:
    book.server.enqueue(Reply(tool("Cells", {}, id="call_1")), Reply(text("done")))
    outcome = book.start("go", cell="ask", stdin=[])
    book.kernel.wait_for(lambda out: comm(out, "comm_open") is not None)
    opened = comm(outcome, "comm_open")
    assert opened is not None
    say(
        book.kernel,
        opened["comm_id"],
        {"from": book.kernel.client.session.session, "ready": 1, "holds": True},
    )
    book.kernel.wait_for(lambda out: comm(out, "comm_msg") is not None)
    sent = book.kernel.interrupt()
    book.kernel.wait()
    assert time.monotonic() - sent < 5 and book.turn("status") == "interrupted"
    book.server.reset()
    from support.ante import echo

    book.server.handler = echo
    book.check_usable()


def test_a_proposal_is_the_payload_of_the_cell(ante: Ante) -> None:
    ante.server.enqueue(
        Reply(tool("Cells", {"action": "next", "source": "a = 1"}, id="call_1")),
        Reply(tool("Cells", {"action": "next", "source": "b = '{}$?'"}, id="call_2")),
        Reply(text("look below")),
    )
    outcome = ante.prompt("propose")
    assert outcome.status == "ok", outcome.text
    payload = [item for item in outcome.reply["payload"] if item["source"] == "set_next_input"]
    assert [(item["text"], item["replace"]) for item in payload] == [("b = '{}$?'", False)]
    assert "replaces the one" in result_of(ante, "call_2")
    ante.prompt("and nothing")
    assert not ante.kernel.cells[-1].reply["payload"]


def test_ask_user_by_stdin_and_by_nobody(ante: Ante) -> None:
    call = {"questions": [{"question": "Which colour?", "options": ["red", "blue"]}, {"question": "Why?"}]}
    ante.server.enqueue(Reply(tool("AskUser", call, id="call_1")), Reply(text("ok")))
    outcome = ante.prompt("ask me", stdin=["2", "it is \x1b[31mcalm"])
    assert outcome.status == "ok" and len(outcome.prompts) == 2, outcome.text
    assert "Which colour?" in outcome.text and "1. red" in outcome.text
    assert "-> blue" in result_of(ante) and "it is" in result_of(ante)
    ante.server.enqueue(Reply(tool("AskUser", call, id="call_2")), Reply(text("ok")))
    assert ante.prompt("ask nobody").status == "ok"
    assert "Nobody is there" in result_of(ante, "call_2")


def test_an_interrupt_at_a_question_ends_the_turn(ante: Ante) -> None:
    call = {"questions": [{"question": "Well?"}]}
    ante.server.enqueue(Reply(tool("AskUser", call, id="call_1")), Reply(text("ok")))
    ante.start("ask me", stdin=[])
    ante.kernel.wait_for_input()
    ante.kernel.interrupt()
    ante.kernel.wait()
    assert ante.turn("status") == "interrupted"
    ante.server.reset()
    from support.ante import echo

    ante.server.handler = echo
    ante.check_usable()


def test_a_presenter_is_asked_before_stdin(ante: Ante) -> None:
    ante.kernel.run(
        "from ante_nb.notebook.state import kernel_state\n"
        "class Broken:\n    name = 'broken'\n    async def ready(self, timeout): raise RuntimeError\n"
        "class Panel:\n    name = 'panel'\n    async def ready(self, timeout): return True\n"
        "    async def ask(self, questions): return [['by the panel'] for _ in questions]\n"
        "kernel_state(get_ipython()).question_presenters += [Broken(), Panel()]"
    )
    ante.server.enqueue(
        Reply(tool("AskUser", {"questions": [{"question": "Well?"}]}, id="call_1")), Reply(text("ok"))
    )
    ante.prompt("ask me")
    assert "-> by the panel" in result_of(ante)


def test_a_blocking_call_reads_the_file_and_asks_by_stdin(book: Ante) -> None:
    book.server.enqueue(
        Reply(tool("Cells", {}, id="call_1")),
        Reply(tool("Cells", {"action": "insert", "source": "x"}, id="call_2")),
        Reply(tool("AskUser", {"questions": [{"question": "Well?"}]}, id="call_3")),
        Reply(tool("Cells", {"action": "next", "source": "n = 1"}, id="call_4")),
        Reply(text("done")),
    )
    code = "import ante_nb\nt = ante_nb.ask('go', mode='auto')\nprint(t.status)"
    outcome = book.kernel.run(code, stdin=["fine"])
    assert outcome.status == "ok" and "completed" in outcome.text, outcome.text
    assert "value = 1" in result_of(book) and "blocking call" in result_of(book)
    assert result_of(book, "call_2").startswith("refused") and "-> fine" in result_of(book, "call_3")
    assert [item["text"] for item in outcome.reply["payload"]] == ["n = 1"]


def _png(width: int, height: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.effect_noise((width, height), 100).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_data_url_and_a_file_become_images_and_the_rest_is_sent_as_typed(ante: Ante) -> None:
    picture, file = _png(40, 30), _png(3000, 20)
    (ante.cwd / "wide.png").write_bytes(file)
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    broken = "data:image/png;base64," + "A" * 100
    ante.server.enqueue(Reply(text("seen")))
    outcome = ante.prompt(f"{{}} $x ![]({url}) and {broken} with @wide.png %d?")
    assert outcome.status == "ok", outcome.text
    content = ante.last_messages[-1]["content"]
    images = [item["image_url"]["url"] for item in content if item["type"] == "image_url"]
    assert images[0] == url and len(images) == 2
    wide = base64.b64decode(images[1].partition(",")[2])
    from PIL import Image

    assert max(Image.open(io.BytesIO(wide)).size) == 1568, "scaled to what vendors take"
    typed = "".join(item.get("text", "") for item in content)
    assert f"{{}} $x ![](attachment:image-1) and {broken} with @wide.png %d?" in typed
    assert url not in typed
    assert "1 pasted image" in outcome.text


def test_images_are_withheld_by_the_policy(ante: Ante) -> None:
    (ante.cwd / "plot.png").write_bytes(_png(10, 10))
    ante.server.enqueue(Reply(text("ok")))
    ante.prompt("look at @plot.png", "--data schema")
    content = ante.last_messages[-1]["content"]
    assert isinstance(content, str) or not [item for item in content if item["type"] == "image_url"]
    assert "withheld" in words_of(ante.last_messages[-1])
