"""All that is sent while prompts run, message by message against the Jupyter message spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import Reply, drop, status, text, thinking, tool
from support.front import KERNELS, start
from support.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.chat_server import ChatServer
    from support.front import Front

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PLOT = f"""\
from IPython.display import display, Image, HTML
import base64, sys
print("out"); print("err", file=sys.stderr)
display(Image(base64.b64decode("{PNG}")))
display(HTML("<b>bold</b>"))
float("nan"), float("inf")"""


@pytest.fixture(params=KERNELS)
def front(
    request: pytest.FixtureRequest, chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> Iterator[Front]:
    with start(request.param, chat_server, isolated_home, tmp_path, Witness) as front:
        yield front


def test_a_conversation_with_everything_in_it(front: Front) -> None:
    kernel, server = front.kernel, front.server
    assert isinstance(kernel, Witness)
    (front.cwd / "notes.txt").write_text("one\ntwo\n")
    server.enqueue(
        Reply(
            thinking("Let me see ...", pieces=4),
            text("# A title\n\nWith *words*.\n\n" * 30, pieces=40, delay=0.002),
        ),
        Reply(tool("Read", {"file_path": "notes.txt"}, id="call_r")),
        Reply(text("I compute."), tool("Python", {"code": PLOT}, id="call_p")),
        Reply(
            tool("Edit", {"file_path": "notes.txt", "old_string": "two", "new_string": "three"}, id="call_e")
        ),
        Reply(tool("Bash", {"command": "echo \x1b[31mred\x1b[0m; exit 3"}, id="call_b")),
        Reply("All done.\n\n$$x^2$$\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"),
    )
    assert front.prompt("tell me").status == "ok"
    kernel.run(front.python("rows = [1, 2, 3]"))
    answered = front.prompt("now work on @notes.txt and @rows", "--allow Read", stdin=["y"] * 4)
    assert answered.status == "ok", answered.text
    assert (front.cwd / "notes.txt").read_text() == "one\nthree\n"
    for line in (
        "%ante",
        "%ante models anthropic",
        "%ante usage",
        "%ante changes",
        "%ante undo",
        "%ante help",
        "%ante doctor",
    ):
        assert kernel.run(line).status == "ok"
    kernel.check()
    assert {"display_data", "update_display_data", "stream", "input_request", "execute_reply"} <= set(
        kernel.seen
    )
    assert any("application/vnd.ante.turn+json" in out.get("data", {}) for out in answered.outputs)


def test_what_goes_wrong(front: Front) -> None:
    kernel, server = front.kernel, front.server
    assert isinstance(kernel, Witness)
    server.enqueue(Reply(status(400, {"error": {"message": "no \x1b[31msuch\x00 thing"}})))
    assert front.prompt("bad request").status == "error"
    server.enqueue(Reply(text("Half an ans"), drop("reset")), Reply(text("A whole answer.")))
    assert front.prompt("broken stream").status == "ok"
    server.enqueue(Reply(tool("Bash", {"command": "touch never"}, id="call_d")), Reply("As you wish."))
    assert front.prompt("denied, nobody is there").status == "ok"
    server.enqueue(Reply(tool("Python", {"code": "1 / 0"}, id="call_z")), Reply("Oh."))
    assert front.prompt("an error in a tool", "--allow Python").status == "ok"
    server.enqueue(Reply(text("on and on " * 3000, size=10, delay=0.02)))
    front.start("interrupt me")
    kernel.wait_text("on and on")
    kernel.interrupt()
    assert kernel.wait().status == "error"
    for line in ("%ante provider nonsense", "%ante model", "%%ante --nonsense\nhello", "%%ante\n   "):
        kernel.run(line)
    kernel.check()


def test_an_unasked_cell_through_the_api(front: Front) -> None:
    kernel = front.kernel
    assert isinstance(kernel, Witness)
    code = "import ante_nb\nturn = await ante_nb.ask_async('from code')\nturn.text"
    awaited = kernel.run(front.python(code))
    assert awaited.status == "ok", awaited.text
    blocking = kernel.run(front.python("print(ante_nb.ask('again').text)"))
    assert "echo: again" in blocking.text
    kernel.check()


def test_the_other_requests_of_a_front_end(front: Front) -> None:
    """kernel_info, completion, inspection, is_complete, history, comm_info: right, also while a turn runs."""
    from jupyter_kernel_test.msgspec_v5 import validate_message

    client = front.kernel.client
    front.server.enqueue(Reply(text("slowly " * 200, size=7, delay=0.01)))
    for running in (False, True):
        if running:
            front.start("talk slowly")
            front.kernel.wait_text("slowly")
            front.kernel.interrupt()
            front.kernel.wait()
        for send in (
            client.kernel_info,
            lambda: client.complete("%ante mo", 8),
            lambda: client.complete(front.python("import o"), len(front.python("import o"))),
            lambda: client.complete("%%ante --prov\nhello", 13),
            lambda: client.inspect("ante_nb", 4),
            lambda: client.is_complete("what is this?"),
            lambda: client.is_complete("%%ante\nwhat is this"),
            lambda: client.history(hist_access_type="tail", n=5),
            client.comm_info,
        ):
            reply = _reply(client, send())
            validate_message(reply)
            assert reply["content"].get("status") in ("ok", "complete", "incomplete", "invalid", "unknown"), (
                reply
            )


def _reply(client: Any, sent: str) -> dict[str, Any]:
    while True:
        reply = client.get_shell_msg(timeout=60)
        if reply["parent_header"].get("msg_id") == sent:
            return reply
