"""One pace for many turns at once: when a vendor asks for a pause, all that ask the same vendor pause.

Within a process the number of calls under way is halved by every such pause and grows again by one with
each that goes well; other processes of this machine learn of the pause by a small file in
``<home>/run/pace``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import time
from typing import TYPE_CHECKING

from ante_nb import paths
from ante_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ante_nb.providers.spec import Choice

_LOOK = 0.05
"""Seconds between two looks at whether it goes on."""
_LONGEST = 300.0
"""Seconds; a later time in the file is a clock that was set, not a pause."""
_paces: dict[str, Pace] = {}


class Pace:
    """The calls to one vendor with one credential. Used on the agent's loop alone.

    Args:
        path: the file that tells other processes.
        most: calls under way at most.
    """

    def __init__(self, path: Path, most: int = 8) -> None:
        self._path = path
        self.most = most
        self.now = most
        """How many calls may be under way at present."""
        self._running = 0
        self._until = 0.0
        self._stamp: tuple[int, int] | None = None
        self.pauses = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A call may go: no pause is on, and there is room for it."""
        while True:
            left = self._left()
            if left <= 0 and self._running < min(self.now, self.most):
                break
            await asyncio.sleep(min(max(left, _LOOK), 1.0) if left > 0 else _LOOK)
        self._running += 1
        pauses = self.pauses
        try:
            yield
        finally:
            self._running -= 1
        if self.pauses == pauses:
            self.now = min(self.most, self.now + 1)

    async def sleep(self, seconds: float) -> None:
        """A call is to be tried again after ``seconds``: all wait that long."""
        self.pauses += 1
        self.now = max(1, self.now // 2)
        until = time.time() + seconds
        if until > self._until:
            self._until = until
            self._tell(until)
        # In steps, for another process may make it longer.
        while (left := self._left()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left, 1.0))
        # Not all in the same instant.
        await asyncio.sleep(random.uniform(0, min(0.25, seconds / 4)))

    def _left(self) -> float:
        """Seconds that the pause still lasts."""
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp != self._stamp:
                self._stamp = stamp
                until = float(self._path.read_text(encoding="ascii"))
                if until - time.time() <= _LONGEST:
                    self._until = max(self._until, until)
        except (OSError, ValueError):  # nobody paused, or it is just being written
            pass
        return self._until - time.time()

    def _tell(self, until: float) -> None:
        try:
            paths.ensure(self._path.parent)
            draft = self._path.with_suffix(f".{os.getpid()}.tmp")
            draft.write_text(f"{until:.3f}", encoding="ascii")
            draft.replace(self._path)
        except OSError as error:
            logger.warning("other processes cannot be told of a pause: %s", error)


def pace_of(choice: Choice, most: int) -> Pace:
    """The pace of everything that this process asks of the choice's vendor with its credential."""
    secret = choice.credential.value if choice.credential else ""
    key = f"{choice.provider.id}\n{choice.base_url}\n{secret}".encode("utf-8", "surrogatepass")
    # A digest of a key with other words, cut short: nothing that could be turned back.
    name = hashlib.sha256(b"pace\n" + key).hexdigest()[:20]
    pace = _paces.get(name)
    if pace is None:
        pace = _paces[name] = Pace(paths.run() / "pace" / name, most)
    pace.most = most
    pace.now = min(pace.now, most) or 1
    return pace
