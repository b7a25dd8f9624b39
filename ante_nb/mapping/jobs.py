"""One item of a map: a turn of its own, in whatever thread, process or machine the executor has."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.agent.headless import HeadlessHost
from ante_nb.agent.host import Approval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ante_nb.agent.execution import TurnHandle
    from ante_nb.agent.host import ApprovalRequest, Question
    from ante_nb.agent.runtime import Runtime
    from ante_nb.agent.turn import Turn

_running: dict[str, set[TurnHandle]] = {}
"""The turns of this process, by map: what an interrupt stops."""
_stopped: set[str] = set()
_lock = threading.Lock()
_idle: list[tuple[int, Runtime]] = []
"""Runtimes between two items, and the process that they belong to."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to know. No key is in it: a worker finds its own as every turn does.

    ``item`` is text that follows the prompt; without one ``prompt`` is the item's own, and nothing in it
    is taken for a mention.
    """

    map_id: str
    prompt: str
    item: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 8
    cwd: str = ""
    replay: str | None = None
    """What ``%ante record`` has chosen."""
    notebook: str | None = None
    grants: tuple[str, ...] = ()
    run: str = ""
    """Another one each time that the job is handed out: Dask takes equal calls for one."""


class UnattendedHost(HeadlessHost):
    """Plain Python with nobody to ask: what needs a person's word is denied.

    Args:
        mailbox: carries work and events to the worker's thread.
        cwd: where file tools and Bash act.
        notebook: the notebook that recordings are next to.
    """

    def __init__(self, mailbox: Any, cwd: Path, notebook: Path | None) -> None:
        super().__init__(mailbox, None)
        self._cwd = cwd
        self.notebook_path = notebook

    @property
    def cwd(self) -> Path:
        return self._cwd

    async def approve(self, request: ApprovalRequest) -> Approval:
        return Approval("deny", by="unattended")

    async def ask_user(self, questions: tuple[Question, ...]) -> list[list[str]] | None:
        return None


def run_job(job: Job) -> Turn:
    """Run the turn of one item to its end; never raises for what a turn can end in."""
    from ante_nb.agent.drive import NoView, drive_blocking
    from ante_nb.agent.execution import Mailbox, TurnHandle
    from ante_nb.agent.options import TurnOptions

    runtime = _runtime(job)
    cwd = Path(job.cwd) if job.cwd and Path(job.cwd).is_dir() else Path.cwd()
    wake = threading.Event()
    mailbox = Mailbox(wake.set)
    host = UnattendedHost(mailbox, cwd, Path(job.notebook) if job.notebook else None)
    turn = runtime.new_turn(job.prompt)
    options = TurnOptions(**job.options, item=job.item, mentions=job.item is not None)
    with _lock:
        if job.map_id in _stopped:
            _idle.append((os.getpid(), runtime))
            return _interrupted(turn)
        handle = TurnHandle(turn, lambda: runtime.run(turn, options, host), wake.set)
        _running.setdefault(job.map_id, set()).add(handle)
    try:
        drive_blocking(handle, mailbox, wake, NoView())
    finally:
        with _lock:
            _running.get(job.map_id, set()).discard(handle)
        runtime.session.journal.close()
        with _lock:
            _idle.append((os.getpid(), runtime))
    if handle.error is not None and turn.error is None:
        from ante_nb.errors import TurnError

        turn.status = "failed"
        turn.error = TurnError(f"the turn ended unexpectedly: {type(handle.error).__name__}: {handle.error}")
    if turn.error is not None:
        # Else an error and its turn name each other, and its cause may hold what cannot travel.
        turn.error.turn = None
        turn.error.__cause__ = turn.error.__context__ = None
        turn.error.__traceback__ = None
    return turn


def stop(map_id: str) -> None:
    """Stop what runs of a map in this process, and let nothing more of it begin."""
    with _lock:
        _stopped.add(map_id)
        handles = list(_running.get(map_id, ()))
    for handle in handles:
        handle.cancel()


def go_on(map_id: str) -> None:
    """Let a map that was stopped begin again."""
    with _lock:
        _stopped.discard(map_id)


def _runtime(job: Job) -> Runtime:
    """A runtime with a new session; its connection is kept from item to item."""
    from ante_nb.agent.runtime import Runtime

    with _lock:
        known = _idle.pop() if _idle else None
    # A forked worker has its parent's, whose connections belong to the parent.
    runtime = known[1] if known is not None and known[0] == os.getpid() else Runtime()
    runtime.reset()
    runtime.grants = list(job.grants)
    runtime.session.meta = {"map": job.map_id}
    runtime.unwatched = job.concurrency
    runtime.recording = job.replay
    return runtime


def _interrupted(turn: Turn) -> Turn:
    from ante_nb.errors import TurnError

    turn.status = "interrupted"
    turn.error = TurnError("interrupted", "`result.resume()` runs it.")
    return turn
