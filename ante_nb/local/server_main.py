"""The server process: runs one engine, tells its address, ends when nobody needs it.

Started by :mod:`ante_nb.local.shared` as ``python -P -c ... <package root> <launch as JSON>`` in a
session of its own, with its key in ``ANTE_LOCAL_KEY``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ante_nb.local.engines import Launch
from ante_nb.local.http_probe import get_json
from ante_nb.local.process import start_time
from ante_nb.local.server_engines import STARTERS
from ante_nb.local.state import Leases, read_state, write_state

if TYPE_CHECKING:
    from ante_nb.local.server_engines import Running


def main(text: str) -> None:
    """Serves until idle. ``text`` is the :class:`Launch` as JSON."""
    key = os.environ.pop("ANTE_LOCAL_KEY")
    launch = Launch.from_dict(json.loads(text))
    started = time.monotonic()
    running = STARTERS[launch.engine](launch, key)
    server = Server(launch, running, key)
    for number in (signal.SIGTERM, signal.SIGINT):  # after the engine, which may install its own
        signal.signal(number, lambda *_: server.leave())
    if not server.announce(time.monotonic() - started):
        server.leave()
    server.watch()


class Server:
    """One running engine and the files it is known by."""

    def __init__(self, launch: Launch, running: Running, key: str) -> None:
        self.launch, self.running, self.key = launch, running, key
        self.state = Path(launch.state)
        self.leases = Leases(self.state)

    def announce(self, seconds: float) -> bool:
        """Writes the state file; ``False`` where another server has taken this one's place meanwhile."""
        for _ in range(200):  # the starter writes first; one that was killed in between never does
            present = read_state(self.state)
            if present is not None:
                break
            time.sleep(0.05)
        if present is not None and present["pid"] != os.getpid():
            return False
        write_state(
            self.state,
            {
                "v": 1,
                "pid": os.getpid(),
                "start": start_time(os.getpid()),
                "status": "ready",
                "url": self.running.url,
                "key": self.key,
                "engine": self.launch.engine,
                "model": self.launch.model,
                "alias": self.launch.alias,
                "context": self.launch.context,
                "child": self.running.child,
                "load_seconds": round(seconds, 3),
            },
        )
        return True

    def watch(self) -> None:
        """Waits for the end: idle for long enough, the engine's death, or a state file not ours any more."""
        idle, last = self.launch.exit_idle, time.time()
        while True:
            time.sleep(min(1.0, idle / 4) if idle else 1.0)
            if not self.running.alive():
                self.leave(1)
            present = read_state(self.state)
            busy, used = self.leases.sweep()
            last = time.time() if busy else max(last, used)
            if present is None or present["pid"] != os.getpid():
                if not busy:
                    self.leave()
            elif idle and time.time() - last > idle:
                if self.serving():
                    last = time.time()
                else:
                    self.leave_if_unused()

    def serving(self) -> bool:
        """Whether a request runs, of whomever. Asked rarely: the question itself wakes a sleeping model."""
        props: Any = get_json(self.running.url, "/props", self.key)[1]
        if isinstance(props, dict) and props.get("is_sleeping"):
            return False
        slots: Any = get_json(self.running.url, "/slots", self.key)[1]
        return isinstance(slots, list) and any(
            slot.get("is_processing") for slot in slots if isinstance(slot, dict)
        )

    def leave_if_unused(self) -> None:
        """Ends under the lock that starters hold, so that nobody is handed an address that is about to go."""
        try:
            with FileLock(self.state.with_suffix(".lock"), timeout=0, mode=0o600):
                if not self.leases.sweep()[0]:
                    self.leave()
        except Timeout:
            pass

    def leave(self, code: int = 0) -> None:
        """Takes the state file away, if it is still this server's, and ends the process at once."""
        present = read_state(self.state)
        if present is not None and present["pid"] == os.getpid():
            self.state.unlink(missing_ok=True)
        self.running.stop()
        sys.stdout.flush()
        os._exit(code)  # the engines' own threads would hold a normal exit up
