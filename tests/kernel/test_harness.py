"""The kernel driver itself: what it reports is what a notebook would show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.kernel import Kernel


def test_outputs_updates_input_and_interrupt(kernel: Kernel) -> None:
    outcome = kernel.run(
        "from IPython.display import display, HTML\nh = display(HTML('<b>1</b>'), display_id=True)\n6 * 7"
    )
    assert (outcome.status, outcome.text.splitlines()[-1], outcome.html) == ("ok", "42", "<b>1</b>")

    kernel.run("h.update(HTML('<b>2</b>'))")
    assert outcome.html == "<b>2</b>"

    asked = kernel.run("print(input('name? '))", stdin=["Ada"])
    assert asked.prompts == ["name? "] and asked.stdout == "Ada\n"

    unattended = kernel.run("input('name? ')")
    assert unattended.status == "error" and "StdinNotImplementedError" in unattended.error

    kernel.start("import time\nprint('go', flush=True)\ntime.sleep(60)")
    kernel.wait_text("go")
    kernel.interrupt()
    stopped = kernel.wait(timeout=30)
    assert stopped.status == "error" and "KeyboardInterrupt" in stopped.error
    assert kernel.value("6 * 7") == 42


def test_kernels_can_not_leave_the_machine(kernel: Kernel, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    # The attempt is meant, so it stays out of the log that fails the run.
    outcome = kernel.run(
        "import os, socket\n"
        "os.environ.pop('ANTE_TEST_NETWORK_LOG', None)\n"
        "try:\n    socket.create_connection(('192.0.2.1', 80), timeout=1)\n"
        "except OSError as error:\n    print(type(error).__name__)\n"
    )
    assert outcome.stdout == "OutsideNetworkError\n"
