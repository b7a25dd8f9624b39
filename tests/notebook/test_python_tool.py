"""The Python tool in a kernel: what it returns, and that it leaves no trace in the person's shell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support.ante import check_conversation, words_of
from support.chat_server import Reply, text, tool

if TYPE_CHECKING:
    from support.ante import Ante

PROBE = """
import sys
ip = get_ipython()
probe = lambda: (
    repr((_, __, ___)), repr((_i, _ii, _iii)) if False else '', sorted(Out), len(Out) == len(ip.displayhook.shell.user_ns['_oh']),
    repr(getattr(sys, 'last_value', None)), repr(getattr(sys, 'last_type', None)), repr(getattr(sys, 'last_traceback', None)),
    repr(getattr(sys, 'last_exc', None)),
    {name: [getattr(hook, '__qualname__', '') for hook in hooks] for name, hooks in ip.events.callbacks.items()},
    repr(sys.stdout), repr(sys.stderr), repr(sys.displayhook), repr(type(ip.display_pub)), repr(ip.display_trap.hook),
    repr(vars(ip).get('_showtraceback')), repr(ip.last_execution_succeeded),
)
hooked = []
from ante_nb.notebook.state import kernel_state
def on_run(*args): hooked.append(kernel_state(ip).in_tool)
ip.events.register('pre_run_cell', on_run)
ip.events.register('post_execute', on_run)
'an out value'
"""


def told(ante: Ante) -> str:
    """What the model was told about the last call."""
    messages = ante.server.chats[-1].body["messages"]
    check_conversation(messages)
    return [words_of(m) for m in messages if m["role"] == "tool"][-1]


def run(ante: Ante, code: str, flags: str = "--allow Python", **options: object) -> str:
    ante.server.enqueue(Reply(tool("Python", {"code": code}, id="c1")), Reply(text("ok")))
    outcome = ante.prompt("go", flags, **options)  # type: ignore[arg-type]
    assert outcome.status == "ok", outcome.text
    return told(ante)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("'fine'", ["'fine'"]),
        ("1 / 0", ["ZeroDivisionError"]),
        ("raise SystemExit", ["SystemExit"]),
        ("exit()", ["ignored", "kernel"]),
        ("quit()", ["ignored", "kernel"]),
        ("raise KeyboardInterrupt", ["nterrupt"]),
        ("def f(:", ["SyntaxError"]),
        ("%nosuchmagic", ["nosuchmagic"]),
        ("await nothing", ["NameError"]),
        ("import asyncio\nawait asyncio.sleep(0)\n'slept'", ["'slept'"]),
        ("_ = 5\n__ = 6\nOut[99] = 7\nIn.append('x')\n_", ["5"]),
        ("In = []\ndel Out\n'gone'", ["gone"]),
        ("import sys\nsys.stdout.write('written')\nsys.last_value = 5", ["written"]),
        ("!echo from the shell", ["from the shell"]),
        ("%%bash\necho in bash", ["in bash"]),
        ("%time 6 * 7", ["42"]),
        ("files = !echo one\nfiles", ["one"]),
        ("import sys\nprint('to err', file=sys.stderr)", ["to err"]),
        ("from IPython.display import display\ndisplay({'a': 1})\ndisplay('two')", ["{'a': 1}", "two"]),
        ("class Odd:\n    def __repr__(self): raise ValueError('no repr')\nOdd()", ["no repr"]),
        ("get_ipython().run_cell('1 + 1').result", ["2"]),
        ("get_ipython().events.callbacks['pre_run_cell']", ["[]"]),
        ("", ["no output"]),
        ("# nothing", ["no output"]),
        ("None", ["no output"]),
        ("x = 5;x;", []),
    ],
)  # fmt: skip
def test_no_trace_is_left(ante: Ante, code: str, words: list[str]) -> None:
    ante.kernel.run(PROBE)
    before = ante.kernel.run("before = probe(); hooked.clear(); count = get_ipython().execution_count")
    assert before.status == "ok", before.text
    inputs = ante.kernel.value("len(In)")
    result = run(ante, code)
    for word in words:
        assert word in result, result
    # The hooks ran for the prompt's own cell, and not for the code of the tool.
    assert ante.kernel.value("(len(hooked) >= 2, any(hooked))") == (True, False)
    ante.kernel.run("after = probe()")
    differing = ante.kernel.value("[n for n, (a, b) in enumerate(zip(before, after)) if a != b]")
    assert differing == [], ante.kernel.value(f"[(repr(before[n]), repr(after[n])) for n in {differing}]")
    assert ante.kernel.value("len(In)") == inputs + 2
    assert ante.kernel.value("get_ipython().execution_count - count") == 2
    ante.kernel.run(
        "ip.events.unregister('pre_run_cell', on_run); ip.events.unregister('post_execute', on_run)"
    )


def test_an_interrupt_leaves_no_trace_either(ante: Ante) -> None:
    ante.kernel.run(PROBE)
    ante.kernel.run("before = probe()")
    for code in ("import time\nopen('started', 'w').close()\ntime.sleep(300)",
                 "import asyncio\nopen('started', 'w').close()\nawait asyncio.sleep(300)"):  # fmt: skip
        (ante.cwd / "started").unlink(missing_ok=True)
        ante.server.enqueue(Reply(tool("Python", {"code": code}, id="c1")))
        ante.start("go", "--allow Python")
        ante.kernel.wait_for(lambda _: (ante.cwd / "started").exists())
        sent = ante.kernel.interrupt()
        outcome = ante.kernel.wait(30)
        assert outcome.status == "error" and outcome.ended - sent < 5
        ante.kernel.run("after = probe()")
        # The interrupted cell itself is the person's last failure, as any cell's error.
        differing = ante.kernel.value("[n for n, (a, b) in enumerate(zip(before, after)) if a != b]")
        assert set(differing) <= {4, 5, 6, 7, 15}, differing
        assert ante.kernel.value("str(getattr(sys, 'last_type', ''))").find("Turn") >= 0
        ante.check_usable()
    ante.kernel.run(
        "ip.events.unregister('pre_run_cell', on_run); ip.events.unregister('post_execute', on_run)"
    )


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_an_image_reaches_the_model_and_the_screen(ante: Ante) -> None:
    code = f"import base64\nfrom IPython.display import Image, display\ndisplay(Image(data=base64.b64decode('{PNG}')))"
    ante.server.enqueue(Reply(tool("Python", {"code": code}, id="c1")), Reply(text("a dot")))
    outcome = ante.prompt("plot", "--allow Python")
    assert outcome.status == "ok", outcome.text
    assert PNG in "".join(str(out.get("data", "")) for out in outcome.outputs)
    turn_images = ante.kernel.value(
        "[p.data for c in _ante.tool_calls for p in c.result.content if type(p).__name__ == 'Image']"
    )
    assert turn_images == [PNG]


def test_an_inline_figure_is_captured(ante: Ante) -> None:
    found = ante.kernel.value("__import__('importlib').util.find_spec('matplotlib') is not None")
    if not found:
        pytest.skip("matplotlib is not installed")
    run(ante, "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2, 3])")
    assert ante.kernel.value(
        "[p.media_type for c in _ante.tool_calls for p in c.result.content if type(p).__name__ == 'Image'][:1]"
    ) == ["image/png"]


def test_html_and_javascript_never_reach_the_cell_as_they_are(ante: Ante) -> None:
    code = (
        "from IPython.display import HTML, Javascript, Markdown, display, clear_output\n"
        "display(HTML('<script>evil()</script><b>bold</b>'))\ndisplay(Javascript('evil()'))\n"
        "display({'text/html': '<img src=x onerror=evil()>', 'text/plain': 'plain'}, raw=True)\n"
        "clear_output()\nHTML('<script>evil()</script>')"
    )
    ante.server.enqueue(Reply(text("Before."), tool("Python", {"code": code}, id="c1")), Reply(text("ok")))
    outcome = ante.prompt("show", "--allow Python")
    assert outcome.status == "ok", outcome.text
    for message in outcome.messages:
        data = message.content.get("data", {})
        assert "application/javascript" not in data
        # The code itself is shown as text, escaped.
        assert "<script" not in str(data.get("text/html", "")) and "<img src=x" not in str(
            data.get("text/html", "")
        )
        assert "<script" not in str(data.get("text/markdown", ""))
    assert "Before." in outcome.text and "plain" in told(ante)


def test_input_asks_the_person_or_fails(ante: Ante) -> None:
    told_now = run(ante, "name = input('who? ')\n'hello ' + name", stdin=["Ada"])
    assert "hello Ada" in told_now
    assert "StdinNotImplementedError" in run(ante, "input('who? ')")
    ante.check_usable()


def test_huge_output_is_cut_for_the_model(ante: Ante) -> None:
    started = time.monotonic()
    result = run(ante, "for n in range(200_000): print('line', n)\n'x' * 10_000_000")
    assert len(result) < 60_000
    assert time.monotonic() - started < 60
    shown = ante.kernel.cells[-1]
    assert sum(message.size for message in shown.messages) < 3_000_000


def test_live_output_is_shown_before_the_call_ends(ante: Ante) -> None:
    code = "import time, pathlib\nprint('early word', flush=True)\nfor _ in range(600):\n    time.sleep(0.05); print('.', end='')\n    if pathlib.Path('go').exists(): break"
    (ante.cwd / "go").unlink(missing_ok=True)
    ante.server.enqueue(Reply(tool("Python", {"code": code}, id="c1")), Reply(text("ok")))
    ante.start("go", "--allow Python")
    ante.kernel.wait_text("early word")
    (ante.cwd / "go").touch()
    assert ante.kernel.wait(60).status == "ok"


def test_variables_that_were_bound_rebound_and_deleted_are_named(ante: Ante) -> None:
    ante.kernel.run("a, b, c = 1, [2], 3")
    run(ante, "import math\na = 10\nb.append(3)\ndel c\n_private = 1\nd = 4")
    assert ante.kernel.value("sorted(_ante.variables)") == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "code",
    [
        "get_ipython().run_cell_magic('ante', '', 'again')",
        "import ante_nb\nante_nb.ask('again')",
        "import ante_nb\nawait ante_nb.ask_async('again')",
        "get_ipython().run_cell('%%ante\\nagain')",
        "import ante_nb\nante_nb.ask('again', session='new')",
    ],
)
def test_a_prompt_inside_a_tool_call_is_refused(ante: Ante, code: str) -> None:
    result = run(ante, code)
    assert any(word in result for word in ("refused", "still running", "already running")), result
    assert len(ante.server.chats) == 2
    ante.check_usable()


def test_a_flush_hook_of_the_inline_backend_still_runs_and_no_other(ante: Ante) -> None:
    """What ``%matplotlib inline`` registers, known by its module; matplotlib need not be there."""
    ante.kernel.run(
        "import base64\nfrom IPython.display import Image, display\n"
        f"def flush_figures(): display(Image(data=base64.b64decode('{PNG}')))\n"
        "flush_figures.__module__ = 'matplotlib_inline.backend_inline'\n"
        "others = []\ndef other(): others.append(1)"
    )
    ante.kernel.run("get_ipython().events.register('post_execute', flush_figures)")
    try:
        run(ante, "6 * 7")
        images = "[p.data for c in _ante.tool_calls for p in c.result.content if type(p).__name__ == 'Image']"
        assert ante.kernel.value(images) == [PNG]
        # A hook that the code itself registers stays, and was not called for it.
        run(ante, "get_ipython().events.register('post_execute', other)")
        assert ante.kernel.value("other in get_ipython().events.callbacks['post_execute']")
    finally:
        ante.kernel.run(
            "for hook in (flush_figures, other):\n    get_ipython().events.unregister('post_execute', hook)"
        )


def test_the_card_is_live_while_code_holds_the_thread(ante: Ante) -> None:
    waits = "while not os.path.exists('{}'): time.sleep(0.02)\n"
    code = f"import os, time\n{waits.format('first')}print('a line')\n{waits.format('second')}"
    ante.server.enqueue(Reply(tool("Python", {"code": code}, id="c1")), Reply(text("ok")))
    ante.start("go", "--allow Python")
    ante.kernel.wait_text("os.path.exists('second')")
    assert "(running)" in ante.kernel.cells[-1].text
    # Long enough without output: what comes then is drawn when it comes.
    time.sleep(1)
    (ante.cwd / "first").touch()
    outcome = ante.kernel.wait_for(lambda out: "\n  a line" in out.text, 20)
    assert "(running)" in outcome.text and not outcome.done, outcome.text
    (ante.cwd / "second").touch()
    assert ante.kernel.wait().status == "ok"
