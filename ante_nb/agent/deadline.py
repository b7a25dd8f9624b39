"""Ends Python code that runs longer than it was given."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ante_nb.agent.host import PythonResult


class CodeTimeoutError(TimeoutError):
    """Raised in code that has used up its time."""


class Deadline:
    """A limit on one run of code.

    Args:
        seconds: how long it may take; ``None`` for no limit.
        end: ends the code, called on a thread of its own.
    """

    def __init__(self, seconds: float | None, end: Callable[[], None]) -> None:
        self._seconds = seconds
        self._end = end
        self.passed = False

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The code runs within this block."""
        if self._seconds is None:
            yield
            return
        timer = threading.Timer(self._seconds, self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self.passed = True
        self._end()

    def told(self, result: PythonResult) -> PythonResult:
        """``result``, with the time-out in place of the interrupt that ended the code."""
        if not self.passed or not (result.interrupted or result.error):
            return result
        line = f"TimeoutError: the code was ended after {self._seconds:g} s"
        return replace(result, interrupted=False, error=line, error_class="TimeoutError")


def raise_in(thread: threading.Thread) -> None:
    """Raise :class:`CodeTimeoutError` in a thread, at its next bytecode: a call into C is not ended."""
    ident = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(CodeTimeoutError))
