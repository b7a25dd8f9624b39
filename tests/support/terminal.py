"""``jupyter console`` and IPython in a pseudo-terminal: type a cell, read what the terminal shows."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pexpect = pytest.importorskip("pexpect", reason="comes with IPython, except on Windows")

_CODE = r"\x1b(?:\[[0-9;?]*[A-Za-z]|[()][0-9A-Za-z]|[=>]|\][^\x07]*\x07)"
_ESCAPE = re.compile(_CODE + r"|\r")


def plain(text: str) -> str:
    """What is left of a terminal's stream for a person to read."""
    return _ESCAPE.sub("", text)


class Terminal:
    """A front end in a pseudo-terminal.

    Args:
        arguments: what follows the interpreter, e.g. ``["-m", "jupyter_console", "--kernel", "ante"]``.
        cwd: the working directory.
        env: variables added to the present environment.
    """

    def __init__(self, arguments: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self._arguments = arguments
        self._cwd = cwd
        self._env = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **(env or {})}
        self.count = 0
        self.shown: list[str] = []
        """What each cell has shown."""

    @classmethod
    def console(cls, kernel: str, cwd: Path, env: Mapping[str, str] | None = None) -> Self:
        """``jupyter console --kernel NAME``."""
        pytest.importorskip("jupyter_console", reason="needs jupyter-console (the dev extra)")
        # What Jupyter logs as it starts and ends belongs to it alone.
        return cls(
            ["-W", "ignore", "-m", "jupyter_console", "--kernel", kernel, "--no-confirm-exit"], cwd, env
        )

    @classmethod
    def ipython(cls, cwd: Path, env: Mapping[str, str] | None = None) -> Self:
        """``ipython`` as installed, without anything of ours."""
        return cls(["-m", "IPython", "--no-banner", "--no-confirm-exit"], cwd, env)

    def __enter__(self) -> Self:
        self.child = pexpect.spawn(
            sys.executable,
            self._arguments,
            cwd=str(self._cwd),
            env=self._env,
            encoding="utf-8",
            timeout=90,
            dimensions=(50, 2000),
        )
        try:
            self._ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Leave as a person does, so that the kernel of a console ends with it."""
        try:
            if self.child.isalive():
                self.child.sendcontrol("d")
                self.child.expect(pexpect.EOF, timeout=20)
        except pexpect.ExceptionPexpect:
            pass
        self.child.close(force=True)

    def _ready(self) -> str:
        """Wait for the next cell's prompt; what was shown before it."""
        self.count += 1
        self.expect(f"In [{self.count}]: ")
        return plain(self.child.before)

    def type(self, cell: str) -> None:
        """Type a cell and send it off; a cell magic ends with two empty lines, as IPython has it."""
        lines = cell.split("\n")
        for line in lines:
            self.child.send(line + "\r")
        if len(lines) > 1:
            self.child.send("\r\r")

    def run(self, cell: str) -> str:
        """Type a cell, wait for the next prompt; what the terminal has shown in between, with the typed lines."""
        self.type(cell)
        return self.wait()

    def wait(self) -> str:
        """Wait for the next cell's prompt; what was shown since the last one."""
        self.shown.append(self._ready())
        return self.shown[-1]

    def expect(self, words: str) -> None:
        """Wait until these words are shown, whatever colours are between them."""
        self.child.expect(f"(?:{_CODE})*".join(re.escape(letter) for letter in words))

    def answer(self, words: str) -> None:
        """Answer ``input()``."""
        self.child.send(words + "\r")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.child.sendintr()

    def kill(self) -> None:
        self.child.kill(signal.SIGKILL)
