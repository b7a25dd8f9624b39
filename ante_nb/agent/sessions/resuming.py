"""Going on with a session of an earlier process: whose it is, and whether it may be gone on with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ante_nb.agent.sessions.listing import find_session
from ante_nb.agent.sessions.reading import load_session
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


def resume(name: str, home: Path | None = None, *, notebook: Path | None = None) -> Resumed:
    """A recorded session, taken for this process, or a copy of it that writes nothing before its first turn.

    It is a copy where another process has the session, and where it belongs to another notebook that is
    still there: this one was copied from it then. A notebook that was renamed keeps its session.

    Args:
        name: the id, the end of it, or the title.
        home: the data directory; ``None`` for ``ANTE_HOME``.
        notebook: the file of the notebook that goes on with it, where there is one.

    Raises:
        ConfigError: there is no such session, or it cannot be gone on with.
    """
    info = find_session(name, home)
    if info.problem:
        raise ConfigError(info.problem, "`%ante sessions all` lists the others.")
    session = load_session(info.id, home)
    if not session.nodes:
        raise ConfigError(
            f"session {info.id} has no turn to go on from", "`%ante sessions all` lists the others."
        )
    reason = ""
    if belongs_elsewhere(info, notebook):
        assert info.notebook is not None
        reason = f"it belongs to {info.notebook.name}, which is still there"
    elif not session.journal.lock():
        reason = "another kernel is using it"
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


def mentions(path: Path, session_id: str) -> bool:
    """Whether a notebook file holds turns of the session."""
    try:
        return session_id.encode() in path.read_bytes()
    except OSError:
        return False


def _short(prompt: str) -> str:
    words = " ".join(prompt.split())
    return repr(words if len(words) <= 60 else f"{words[:59]}…")
