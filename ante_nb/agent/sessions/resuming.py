"""Going on with a session of an earlier process: whose it is, and whether it may be gone on with."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ante_nb.agent.sessions.listing import find_session
from ante_nb.agent.sessions.reading import load_session, read_meta
from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.agent.session import Session
    from ante_nb.agent.sessions.listing import SessionInfo


@dataclass(frozen=True, slots=True)
class Resumed:
    """A session to go on with. ``forked`` says why it is a copy, where it is one; ``notes`` what became of
    its record."""

    session: Session
    info: SessionInfo
    forked: str = ""
    notes: tuple[str, ...] = ()


def resume(name: str, home: Path | None = None, *, notebook: Path | None = None, kernel: str = "") -> Resumed:
    """A recorded session, taken for this process, or a copy of it that writes nothing before its first turn.

    It is a copy where another process has the session, and where it belongs to another notebook that is
    still there: this one was copied from it then. A notebook that was renamed keeps its session, also
    where a new one has got its old name.

    Args:
        name: the id, the end of it, or the title.
        home: the data directory; ``None`` for ``ANTE_HOME``.
        notebook: the file of the notebook that goes on with it, where there is one.
        kernel: the id of its kernel, which a restart does not change.

    Raises:
        ConfigError: there is no such session, or it cannot be gone on with.
    """
    info = find_session(name, home)
    if info.problem:
        raise ConfigError(info.problem, "`%ante sessions all` lists the others.")
    read = _size(info.directory / "events.jsonl")
    session = load_session(info.id, home)
    if not session.nodes:
        raise ConfigError(
            f"session {info.id} has no turn to go on from", "`%ante sessions all` lists the others."
        )
    reason = ""
    if belongs_elsewhere(info, notebook):
        assert info.notebook is not None
        reason = f"it belongs to {info.notebook.name}, which is still there"
    elif name_passed_on(info, notebook, kernel):
        assert notebook is not None
        reason = f"it belongs to another notebook, which was called {notebook.name} before"
    else:
        if not session.journal.lock():
            reason = "another kernel is using it"
        elif _size(session.journal.path) != read:
            # Whoever had it has written between the reading and the taking.
            session.journal.close()
            return resume(info.id, home, notebook=notebook, kernel=kernel)
    notes = list(session.damage)
    if session.cut_off:
        notes.append(
            f"its last turn was cut off ({_short(session.cut_off)}); the steps that had finished are kept"
        )
    if reason:
        session = session.fork()
    return Resumed(session, info, reason, tuple(notes))


def belongs_elsewhere(info: SessionInfo, notebook: Path | None) -> bool:
    """Whether the session is that of another notebook file: one that is there and names the session.

    A file that is gone was renamed or deleted; one that does not name the session is a new one of that name.
    """
    owner = info.notebook
    if notebook is None or owner is None or os.path.realpath(owner) == os.path.realpath(notebook):
        return False
    return mentions(owner, info.id)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def name_passed_on(info: SessionInfo, notebook: Path | None, kernel: str = "") -> bool:
    """Whether the session's notebook was renamed (or deleted) and ``notebook`` is a new one of its old name.

    So it is where the file has cells, none of them is one that the session's kernel has run, and none shows
    a turn of the session. A kernel that was only restarted is still that of the same notebook.
    """
    if notebook is None or info.notebook is None or (kernel and kernel == info.kernel):
        return False
    if os.path.realpath(info.notebook) != os.path.realpath(notebook):
        return False
    try:
        known = read_meta(info.directory, "kernel.json").get("cells")
    except ConfigError:
        return False
    ran = {name for name in known if is_cell_id(name)} if isinstance(known, list) else set()
    there = _cell_ids(notebook)
    return bool(ran and there) and not ran & there and not mentions(notebook, info.id)


def is_cell_id(name: object) -> bool:
    """Whether it is the id that a cell has in its file: some front ends tell the kernel another one."""
    return isinstance(name, str) and re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) is not None


def _cell_ids(path: Path) -> set[str]:
    try:
        cells = json.loads(path.read_bytes())["cells"]
        return {cell["id"] for cell in cells if isinstance(cell.get("id"), str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def mentions(path: Path, session_id: str) -> bool:
    """Whether a notebook file holds turns of the session."""
    try:
        return session_id.encode() in path.read_bytes()
    except OSError:
        return False


def _short(prompt: str) -> str:
    words = " ".join(prompt.split())
    return repr(words if len(words) <= 60 else f"{words[:59]}…")
