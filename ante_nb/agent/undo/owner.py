"""Which process a record belongs to, and whether that process still runs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """``born`` tells a process from a later one with the same number, where the system says it."""

    host: str
    pid: int
    born: str

    @classmethod
    def here(cls) -> Owner:
        return cls(platform.node(), os.getpid(), _born(os.getpid()))

    def alive(self) -> bool:
        """Whether the process runs. One on another machine counts as ended: nobody here can ask."""
        if self.host != platform.node():
            return False
        if self.pid == os.getpid():
            return self.born == _born(self.pid)
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        return self.born == _born(self.pid)

    def dump(self) -> str:
        return json.dumps([self.host, self.pid, self.born])

    @classmethod
    def load(cls, text: str) -> Owner:
        return cls(*json.loads(text))


def _born(pid: int) -> str:
    """The start time of a process in clock ticks since boot (Linux: proc(5), field 22); else empty."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    # The second field is the name in parentheses, and may hold spaces itself.
    fields = text.rpartition(")")[2].split()
    # A zombie has ended: its kernel does not run any more.
    return "" if fields[:1] == ["Z"] else fields[19] if len(fields) > 19 else ""
