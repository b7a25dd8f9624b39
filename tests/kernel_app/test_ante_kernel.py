"""ante-kernel itself: what a cell is, and the kernel around it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import Reply, status, text, wait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.ante import Ante


def reply_to(ante: Ante, message_id: str) -> dict[str, Any]:
    """The content of the reply on the shell channel."""
    while True:
        message = ante.kernel.client.get_shell_msg(timeout=60)
        if message["parent_header"].get("msg_id") == message_id:
            return dict(message["content"])


def complete(ante: Ante, code: str, cursor: int | None = None) -> list[str]:
    found = reply_to(ante, ante.kernel.client.complete(code, cursor))
    assert found["status"] == "ok"
    end = len(code) if cursor is None else cursor
    assert found["cursor_end"] == end
    return [code[: found["cursor_start"]] + match for match in found["matches"]]


@pytest.mark.parametrize(
    "words",
    ["Why is March low?", "{x} $x 100 % `a`, or what?", "  indented\n\n\ttabs \\n ''' \"\"\"", "don't ?"],
)
def test_a_cell_is_a_prompt_as_it_stands(ante: Ante, words: str) -> None:
    done = ante.kernel.run(words)
    assert done.status == "ok", done.text
    typed = ante.last_messages[-1]["content"]
    typed = typed if isinstance(typed, str) else typed[-1]["text"]
    assert typed.endswith(words)
    assert ante.turn("status") == "completed"
    record = [out for out in done.outputs if "application/vnd.ante.turn+json" in json.dumps(out)]
    assert record, "the turn's record is in the outputs"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("%%python\nx = 40\nx + 2", "42"),
        ("%%python\nimport asyncio\nawait asyncio.sleep(0.01)\nprint('awaited')", "awaited"),
        ("\n  %%python\n%time y = 1\ny", "1"),
        ("%%python\n%%capture out\nprint(1)", ""),
        ("!echo from the shell", "from the shell"),
        ("%ante usage", "tokens"),
        ("%%python\nget_ipython().run_cell('z = 5'); print(z)", "5"),
        ("", ""),
    ],
)
def test_ipythons_cells_never_reach_a_model(ante: Ante, cell: str, shown: str) -> None:
    done = ante.kernel.run(cell)
    assert (done.status, shown in done.text) == ("ok", True), done.text
    assert ante.server.chats == []


def test_a_silent_request_is_python(ante: Ante) -> None:
    ante.kernel.run("quiet = 7", silent=True)
    assert ante.kernel.value("quiet") == 7
    assert ante.kernel.run("Tell me more", silent=True).status == "error"
    assert ante.server.chats == []


def test_a_traceback_counts_lines_as_the_person_does(ante: Ante) -> None:
    failed = ante.kernel.run("%%python\nx = 1\n1/0")
    assert "----> 3 1/0" in failed.error
    assert "line 3" in failed.error


def test_history_keeps_what_was_typed(ante: Ante) -> None:
    ante.kernel.run("A prompt to find again")
    found = reply_to(ante, ante.kernel.client.history(hist_access_type="tail", n=1, raw=True))
    assert found["history"][-1][2] == "A prompt to find again"


def test_fix_is_about_code_not_prompts(ante: Ante) -> None:
    ante.kernel.run("%%python\nundefined_name + 1")
    ante.server.handler = lambda request: Reply(status(400, {"error": {"message": "no"}}))
    assert ante.kernel.run("A prompt that fails").status == "error"
    from support.ante import echo

    ante.server.handler = echo
    assert ante.kernel.run("%ante fix").status == "ok"
    sent = json.dumps(ante.last_messages)
    assert "undefined_name + 1" in sent and "NameError" in sent


def test_completion_in_a_prompt(ante: Ante) -> None:
    (ante.cwd / "sales.csv").write_text("a\n1\n")
    (ante.cwd / "src").mkdir(exist_ok=True)
    (ante.cwd / "src" / "main.py").write_text("")
    (ante.cwd / ".hidden").write_text("")
    ante.kernel.run("%%python\nsales_frame = 1\n_own = 2\nimport sys")
    assert complete(ante, "Compare @sal") == ["Compare @sales_frame", "Compare @sales.csv"]
    assert complete(ante, "see @src/") == ["see @src/main.py"]
    assert complete(ante, "see @src/m and more", 10) == ["see @src/main.py"]
    offered = complete(ante, "@")
    assert {"@cell:", "@src/", "@sales.csv", "@sales_frame"} <= set(offered)
    assert not {"@_own", "@sys", "@In", "@get_ipython", "@.hidden"} & set(offered)
    assert "@.hidden" in complete(ante, "@.h")
    assert complete(ante, "mail@sal") == []
    assert "@cell:1" in complete(ante, "@cell:")
    # In a cell with flags, and in a Python kernel with the magics, too.
    assert complete(ante, "%%ante --mode strict\n@sales_") == ["%%ante --mode strict\n@sales_frame"]


def test_completion_of_commands_flags_and_python(ante: Ante) -> None:
    assert sorted(complete(ante, "%ante mod")) == ["%ante mode", "%ante model", "%ante models"]
    assert complete(ante, "%ante provider openai-c") == ["%ante provider openai-compatible"]
    assert complete(ante, "%ante thinking x") == ["%ante thinking xhigh"]
    assert complete(ante, "%%ante --provider openai-c") == ["%%ante --provider openai-compatible"]
    assert complete(ante, "%%ante --tools Read,Gr") == ["%%ante --tools Read,Grep"]
    # Jedi takes half a minute to start on a busy machine.
    ante.kernel.run("%config IPCompleter.use_jedi = False")
    ante.kernel.run("%%python\nlong_name_here = {}")
    assert "%%python\nlong_name_here" in complete(ante, "%%python\nlong_na")


def test_inspection(ante: Ante) -> None:
    ante.kernel.run("%%python\nfigure_of_march = 12345")

    def inspect(code: str, cursor: int | None = None) -> dict[str, Any]:
        return reply_to(ante, ante.kernel.client.inspect(code, cursor))

    for code, cursor in [("what is @figure_of_march", None), ("figure_of_march is odd", 3)]:
        found = inspect(code, cursor)
        assert found["found"] and "12345" in found["data"]["text/plain"]
    assert not inspect("print the list", 3)["found"]
    assert inspect("%%python\nprint", None)["found"]


def test_the_agent_sees_cells_as_a_python_notebook_has_them(ante: Ante) -> None:
    shell = "get_ipython()"
    state = f"__import__('ante_nb.notebook.state').notebook.state.kernel_state({shell})"
    assert ante.kernel.value(f"{state}.as_python('Why?')") == "%%ante\nWhy?"
    assert ante.kernel.value(f"{state}.as_cell('x = 1')") == "%%python\nx = 1"


def test_interrupt_in_mid_turn(ante: Ante) -> None:
    from support.ante import check_conversation, echo

    ante.server.handler = lambda request: Reply(text("started "), wait(30), text("never"))
    ante.kernel.start("Go on for long")
    ante.kernel.wait_text("started")
    ante.kernel.interrupt()
    done = ante.kernel.wait(20)
    assert done.status == "error" and "interrupted" in done.error
    ante.server.handler = echo
    assert ante.kernel.run("Still there?").status == "ok"
    check_conversation(ante.last_messages)


def test_provider_and_model_of_the_kernelspec(own_kernel: Callable[..., Ante]) -> None:
    ante = own_kernel("--provider", "openai-compatible", "--model", "from-the-spec")
    assert ante.kernel.run("Hi").status == "ok"
    assert ante.server.chats[-1].body["model"] == "from-the-spec"
    shown = ante.kernel.run("%ante status").text
    assert "from-the-spec  (kernelspec)" in shown
    ante.kernel.run("%ante model chosen-here")
    ante.kernel.run("Hi again")
    assert ante.server.chats[-1].body["model"] == "chosen-here"


@pytest.mark.parametrize("restart", [False, True])
def test_shutdown_and_restart_in_mid_turn(
    own_kernel: Callable[..., Ante], restart: bool, tmp_path: Path
) -> None:
    ante = own_kernel()
    ante.server.handler = lambda request: Reply(text("started "), wait(60), text("never"))
    ante.kernel.start("Go on for long")
    ante.kernel.wait_text("started")
    begun = time.monotonic()
    if restart:
        ante.kernel.manager.restart_kernel()
        ante.kernel.client.wait_for_ready(timeout=60)
        from support.ante import echo

        ante.server.handler = echo
        ante.kernel.cells.clear()
        ante.kernel._running = None
        assert ante.kernel.run("Hello again").status == "ok"
    else:
        ante.kernel.manager.shutdown_kernel()
        assert not ante.kernel.alive
        assert time.monotonic() - begun < 30
