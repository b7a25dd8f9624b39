"""``ask()`` in a kernel: sync, awaited, concurrent; attachments of the notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
from support.ante import check_conversation, words_of
from support.chat_server import Reply, text, tool, wait_for

if TYPE_CHECKING:
    from support.ante import Ante


def test_ask_returns_its_turn_and_shows_it(ante: Ante) -> None:
    outcome = ante.kernel.run("import ante_nb\nturn = ante_nb.ask('hello', tools='none')\nturn.text")
    assert outcome.status == "ok", outcome.text
    assert "echo: hello" in outcome.text and ante.kernel.value("turn.text") == "echo: hello"
    quiet = ante.kernel.run("seen = []\nturn = ante_nb.ask('hello', tools='none', on_event=seen.append)")
    assert (quiet.status, quiet.outputs) == ("ok", []) and ante.kernel.value("len(seen) > 3")


def test_an_awaiting_tool_inside_a_blocking_ask_says_what_to_do(ante: Ante) -> None:
    call = Reply(tool("Python", {"code": "import asyncio\nawait asyncio.sleep(0)\n'awaited'"}, id="c1"))
    for code in ("ante_nb.ask('x', allow=['Python'])", "ante_nb.ask('x', allow=['Python'], on_event=print)"):
        ante.server.enqueue(call, Reply(text("ok")))
        outcome = ante.kernel.run(f"import ante_nb\n_ = {code}")
        assert outcome.status == "ok", outcome.text
        assert "use `await ante_nb.ask_async(...)`" in words_of(ante.last_messages[-1])
        check_conversation(ante.last_messages)
    ante.server.enqueue(call, Reply(text("ok")))
    assert ante.kernel.run("turn = await ante_nb.ask_async('x', allow=['Python'])").status == "ok"
    assert "awaited" in words_of(ante.last_messages[-1])


def test_two_at_once_are_refused_with_a_line(ante: Ante) -> None:
    ante.server.enqueue(Reply(wait_for("go"), text("first")))
    ante.server.release("go")
    outcome = ante.kernel.run(
        "import ante_nb, asyncio\n"
        "found = await asyncio.gather(ante_nb.ask_async('one', tools='none'), ante_nb.ask_async('two', tools='none'), return_exceptions=True)\n"
        "print([str(one) if isinstance(one, Exception) else one.text for one in found])"
    )
    assert outcome.status == "ok", outcome.text
    assert "first" in outcome.stdout and "another turn is still running in this kernel" in outcome.stdout
    assert len(ante.server.chats) == 1
    ante.check_usable()


def test_a_failed_ask_is_one_line_and_has_its_turn(ante: Ante) -> None:
    outcome = ante.kernel.run("import ante_nb\nante_nb.ask('x', model='m', thinking='enormous')")
    assert outcome.status == "error" and len(outcome.error.splitlines()) == 1, outcome.error
    caught = ante.kernel.run(
        "try:\n    ante_nb.ask('x', thinking='enormous')\nexcept ante_nb.AnteError as error:\n    print(error.turn.status)"
    )
    assert caught.stdout.strip() == "failed"


def test_nested_in_a_kernel_lets_the_tool_await(ante: Ante) -> None:
    """Last of this module's kernel: the patch stays."""
    ante.server.enqueue(
        Reply(tool("Python", {"code": "import asyncio\nawait asyncio.sleep(0.01)\n'awaited'"}, id="c1")),
        Reply(text("ok")),
    )
    outcome = ante.kernel.run("import ante_nb\nturn = ante_nb.ask('x', allow=['Python'], nested=True)")
    assert outcome.status == "ok", outcome.text
    assert "patches every event loop" in outcome.text
    assert "awaited" in words_of(ante.last_messages[-1])
    ante.check_usable()


def test_cells_of_the_saved_notebook_are_attached(ante: Ante) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Sales"),
            nbformat.v4.new_code_cell(
                "total = 41 + 1\ntotal",
                outputs=[nbformat.v4.new_output("execute_result", {"text/plain": "42"})],
            ),
        ]
    )
    path = ante.cwd / "sales.ipynb"
    nbformat.write(notebook, path)
    ante.kernel.run(f"import os; os.environ['JPY_SESSION_NAME'] = {str(path)!r}")
    try:
        outcome = ante.prompt("explain @cell:2, not @cell:9", "--tools none")
        assert outcome.status == "ok", outcome.text
        sent = words_of(ante.last_messages[-1])
        assert "total = 41 + 1" in sent and "42" in sent and sent.startswith("explain @cell:2, not @cell:9")
        path.write_text("{ torn")
        assert ante.prompt("explain @cell:2", "--tools none").status == "ok"
    finally:
        ante.kernel.run("del os.environ['JPY_SESSION_NAME']")


def test_variables_and_files_are_attached_and_listed(ante: Ante) -> None:
    (ante.cwd / "data.csv").write_text("a,b\n1,2\n")
    ante.kernel.run("frame = {'rows': 3}")
    outcome = ante.prompt("compare @frame and @data.csv, ask bob@frame", "--tools none")
    assert outcome.status == "ok", outcome.text
    sent = words_of(ante.last_messages[-1])
    assert "rows: 3" in sent and "a,b" in sent and sent.count("<attachment") == 2
    assert "data.csv" in outcome.text
