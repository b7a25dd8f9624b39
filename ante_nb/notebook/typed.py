"""A prompt on stdin that ends by itself once its answer is not needed any more.

While a person may type, something else may finish what was asked for (a browser, another device). A read of
stdin cannot be cancelled, neither ipykernel's nor a terminal's, but a signal ends both: the main thread is
sent the SIGINT that an interrupt would send, and the handler here knows whose it is.
"""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_IN_FLIGHT = 2.0
"""Seconds to wait for a signal of ours that has not arrived yet, so that it hits nobody else."""


class TypedAnswer:
    """One question, or several in a row; :meth:`stop` ends the one that is open and all later ones.

    Args:
        read: asks with a prompt and returns the answer; called on the main thread.
    """

    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._stopped = False
        self._reading = False
        self._sent = False
        self._arrived = False

    def stop(self) -> None:
        """End the question; from any thread, any number of times."""
        with self._lock:
            self._stopped = True
            if self._reading and not self._sent:
                self._sent = True
                _signal_main_thread()

    def ask(self, prompt: str) -> str | None:
        """The answer, or ``None`` once stopped.

        Raises:
            KeyboardInterrupt: the person interrupted.
            EOFError: the person ended the input.
            RuntimeError: not on the main thread, where alone a signal can end the read.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("only the main thread can be interrupted while it reads")
        self._sent = self._arrived = False
        before = signal.signal(signal.SIGINT, self._on_sigint)
        try:
            try:
                with self._lock:
                    if self._stopped:
                        return None
                    self._reading = True
                return self._read(prompt)
            finally:
                # From here on a signal of ours raises nothing.
                self._reading = False
        except KeyboardInterrupt:
            # Not told by its type: ipykernel raises one of its own in place of what a handler raises.
            if self._arrived:
                return None
            raise
        finally:
            try:
                self._settle()
            finally:
                signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)

    def _settle(self) -> None:
        with self._lock:
            # Nobody is between looking and sending any more.
            waiting = self._sent
        end = time.monotonic() + _IN_FLIGHT
        while waiting and not self._arrived and time.monotonic() < end:
            time.sleep(0.001)

    def _on_sigint(self, signum: int, frame: Any) -> None:
        if self._sent and not self._arrived:
            self._arrived = True
            if not self._reading:
                return  # the answer came at the same moment
        raise KeyboardInterrupt


def _signal_main_thread() -> None:
    """Have the main thread run its SIGINT handler, also out of a system call."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:  # Windows: the handler runs between two of ipykernel's polls
        import _thread

        _thread.interrupt_main()
