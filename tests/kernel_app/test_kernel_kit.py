"""The Jupyter project's own kernel tests, run against ante-kernel with a loopback provider."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import jupyter_kernel_test
from support.ante import echo, point_at
from support.ante_kernel import surroundings
from support.chat_server import ChatServer

from ante_nb.kernel.cli import main


class _Installed:
    """Installs the kernelspec for a home of the class's own, where its provider is the loopback server."""

    kernel_name = "ante"
    _stack: ClassVar[contextlib.ExitStack]

    @classmethod
    def setUpClass(cls) -> None:
        cls._stack = contextlib.ExitStack()
        home = Path(cls._stack.enter_context(tempfile.TemporaryDirectory()))
        server = cls._stack.enter_context(ChatServer())
        server.handler = echo
        with surroundings(home, **point_at(server, home)):
            assert main(["install", "--user"]) == 0
            super().setUpClass()  # type: ignore[misc]

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()  # type: ignore[misc]
        cls._stack.close()


class TestAnteKernel(_Installed, jupyter_kernel_test.KernelTests):
    language_name = "markdown"
    file_extension = ".md"
    code_hello_world = "%%python\nprint('hello, world')"
    code_stderr = "%%python\nimport sys\nprint('oops', file=sys.stderr)"
    completion_samples: ClassVar[list[dict[str, Any]]] = [
        {"text": "%%python\nzi", "matches": {"zip"}},
        {"text": "%ante provide", "matches": {"provider", "providers"}},
        {"text": "%%ante --keep", "matches": {"--keep-going"}},
        {"text": "Look at @ce", "matches": {"@cell:"}},
        {"text": "Prose has no completions", "matches": set()},
    ]
    complete_code_samples: ClassVar[list[str]] = [
        "Why is March low?", "What?", "two\nlines", "%%python\nx = 1", "%ante status", "!ls", "a (b", "don't",
        "```\nfenced\n```",
    ]  # fmt: skip
    incomplete_code_samples: ClassVar[list[str]] = [
        "more to come \\", "```python\nx = 1", "%%python\nfor x in y:", "%%python", "%%python\nprint(",
    ]  # fmt: skip
    invalid_code_samples: ClassVar[list[str]] = ["%%python\nx = 2w", "%%python\nx = )"]
    code_page_something = "?print"
    code_generate_error = "%%python\n1/0"
    code_execute_result: ClassVar[list[dict[str, str]]] = [
        {"code": "%%python\n1+2+3", "result": "6"},
        {"code": "%%python\n[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
        {"code": "%%python\nimport asyncio\nawait asyncio.sleep(0.01, 7)", "result": "7"},
    ]
    code_display_data: ClassVar[list[dict[str, str]]] = [
        {"code": "Say hello.", "mime": "text/html"},
        {"code": "%%python\nfrom IPython.display import HTML, display\ndisplay(HTML('<b>a</b>'))", "mime": "text/html"},
    ]  # fmt: skip
    code_history_pattern = "%%python?1+2*"
    # Not "range": IPython numbers the present session 0 there, as its own kernel does.
    supported_history_operations = ("tail", "search")
    code_inspect_sample = "%%python\nzip"
    code_clear_output = "%%python\nfrom IPython.display import clear_output\nclear_output()"


class TestAnteKernelWelcome(_Installed, jupyter_kernel_test.IopubWelcomeTests):
    support_iopub_welcome = False
