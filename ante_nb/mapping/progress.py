"""The progress of a map: a bar in a notebook, a line in a terminal, nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from typing import Any

_TICK = 0.2
_WIDTH = 30


class Progress:
    """Shows how many items are done.

    Args:
        total: items in all.
        shell: the running IPython shell, if any.
        shown: whether anything is shown at all.
    """

    def __init__(self, total: int, shell: Any, shown: bool) -> None:
        self._total = total
        self._started = time.monotonic()
        self._last = 0.0
        self._handle: Any = None
        self._drawn = False
        kernel = shell is not None and getattr(shell, "kernel", None) is not None
        self._notebook = shown and kernel
        self._terminal = shown and not kernel and sys.stderr is not None and sys.stderr.isatty()

    def update(self, done: int, failed: int, *, last: bool = False) -> None:
        """Show the numbers; at most five times a second, and always the ``last``."""
        now = time.monotonic()
        if not (self._notebook or self._terminal) or (not last and now - self._last < _TICK):
            return
        self._last = now
        words = self.words(done, failed, now - self._started, last)
        if self._notebook:
            self._display(done, words)
        else:
            full = _WIDTH * done // max(self._total, 1)
            sys.stderr.write(
                f"\r[{'#' * full}{'.' * (_WIDTH - full)}] {words}\x1b[K" + ("\n" if last else "")
            )
            sys.stderr.flush()

    def words(self, done: int, failed: int, seconds: float, last: bool) -> str:
        """The numbers in words."""
        text = f"{done} of {self._total} items"
        if failed:
            text += f", {failed} failed"
        text += f", {seconds:.0f} s"
        if not last and done:
            text += f", about {seconds / done * (self._total - done):.0f} s left"
        elif last and failed:
            text += "; `.resume()` of the result runs the failed ones again"
        return text

    def _display(self, done: int, words: str) -> None:
        from IPython.display import display

        bundle = {
            "text/html": f'<div role="status"><progress max="{max(self._total, 1)}" value="{done}" '
            f'aria-label="progress"></progress> {words.replace("`", "")}</div>',
            "text/plain": words,
        }
        if self._handle is None:
            show: Any = display
            self._handle = show(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)
