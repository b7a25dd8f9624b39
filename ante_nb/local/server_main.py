"""The server process: runs one engine, tells its address, ends when nobody needs it.

Started by :mod:`ante_nb.local.launching` as ``python -P -c ... <package root> <launch as JSON>`` in a
session of its own, with its key in ``ANTE_LOCAL_KEY``. It ends

- ``exit_idle`` seconds after the last request, also while kernels that used it live (0: never);
- when no kernel that used it lives any more, and ``sleep_idle`` seconds have passed since the last use:
  long enough to restart a kernel. Kernels need no exit hook for that: dead ones are seen to be dead;
- when its state file is gone or another server's, when its engine has died, and on SIGTERM.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ante_nb.local.engine import Launch
from ante_nb.local.http_probe import get_json
from ante_nb.local.process import own
from ante_nb.local.server_engines import STARTERS
from ante_nb.local.state import Leases, read_state, write_state

if TYPE_CHECKING:
    from ante_nb.local.server_engines import Running

_TICK = 1.0 if sys.platform == "linux" else 3.0  # elsewhere each look at a process starts a program
_SPARE = 30.0
"""Seconds past ``start_timeout`` after which a load that no kernel ends any more ends itself."""


def main(text: str) -> None:
    """Serves until idle. ``text`` is the :class:`Launch` as JSON."""
    key = os.environ.pop("ANTE_LOCAL_KEY")
    launch = Launch.from_dict(json.loads(text))
    started = time.monotonic()
    loaded = threading.Event()
    # A watch outside of Python: the engine may hold the interpreter while it loads.
    faulthandler.dump_traceback_later(launch.start_timeout + _SPARE, exit=True)
    threading.Thread(target=_leave_if_alone, args=(launch, loaded), daemon=True).start()
    running = STARTERS[launch.engine](launch, key)
    loaded.set()
    faulthandler.cancel_dump_traceback_later()
    server = Server(launch, running, key)
    for number in (signal.SIGTERM, signal.SIGINT):  # after the engine, which may install its own
        signal.signal(number, lambda *_: server.leave())
    if not server.announce(time.monotonic() - started):
        server.leave()
    server.watch()


def _leave_if_alone(launch: Launch, loaded: threading.Event) -> None:
    """Ends a start that nobody waits for any more."""
    leases, began = Leases(Path(launch.state)), time.time()
    while not loaded.wait(_TICK):
        use = leases.sweep(remove=False)
        if _alone(launch, use.busy, max(use.last, began), use.kernels):
            print("error: every kernel that waited for the model has gone", flush=True)
            os._exit(1)


def _alone(launch: Launch, busy: bool, used: float, kernels: int) -> bool:
    """Whether no kernel is left, for long enough that none is only being restarted."""
    grace = launch.sleep_idle or launch.exit_idle
    return bool(launch.exit_idle) and not busy and not kernels and time.time() - used > grace


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
        if present is not None and not _mine(present):
            return False
        pid, start = own()
        write_state(
            self.state,
            {
                "v": 1,
                "pid": pid,
                "start": start,
                "status": "ready",
                "url": self.running.url,
                "key": self.key,
                "engine": self.launch.engine,
                "model": self.launch.model,
                "alias": self.launch.alias,
                "context": self.launch.context,
                "child": self.running.child,
                "since": (present or {}).get("since", time.time()),
                "load_seconds": round(seconds, 3),
            },
        )
        return True

    def watch(self) -> None:
        """Waits for the end."""
        idle, last = self.launch.exit_idle, time.time()
        while True:
            time.sleep(min(_TICK, idle / 4) if idle else _TICK)
            if not self.running.alive():
                self.leave(1)
            present = read_state(self.state)
            busy, used, kernels, _ = self.leases.sweep()
            last = time.time() if busy else max(last, used)
            if present is None or not _mine(present):
                if not busy:
                    self.leave()
            elif (idle and time.time() - last > idle) or _alone(self.launch, busy, last, kernels):
                if self.serving():
                    last = time.time()
                else:
                    self.leave_if_unused(last)

    def serving(self) -> bool:
        """Whether a request runs, of whomever. Asked rarely: the question itself wakes a sleeping model."""
        props: Any = get_json(self.running.url, "/props", self.key)[1]
        if isinstance(props, dict) and props.get("is_sleeping"):
            return False
        slots: Any = get_json(self.running.url, "/slots", self.key)[1]
        return isinstance(slots, list) and any(
            slot.get("is_processing") for slot in slots if isinstance(slot, dict)
        )

    def leave_if_unused(self, used: float) -> None:
        """Ends under the lock that starters hold, so that nobody is handed an address that is about to go.

        ``used`` is the time of the last use as it was seen: a kernel may have come since.
        """
        try:
            with FileLock(self.state.with_suffix(".lock"), timeout=0, mode=0o600):
                use = self.leases.sweep()
                if not use.busy and use.last <= used:
                    self.leave()
        except (Timeout, NotImplementedError):
            pass
        except OSError:
            self.leave()  # a disk that cannot be written any more takes no new kernels either

    def leave(self, code: int = 0) -> None:
        """Takes the state file away, if it is still this server's, and ends the process at once."""
        try:
            present = read_state(self.state)
            if present is not None and _mine(present):
                self.state.unlink(missing_ok=True)
            self.running.stop()
            sys.stdout.flush()
        finally:
            os._exit(code)  # the engines' own threads would hold a normal exit up


def _mine(state: dict[str, Any]) -> bool:
    return (state["pid"], state["start"]) == own()
