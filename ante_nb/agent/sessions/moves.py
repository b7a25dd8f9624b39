"""What a runtime does with sessions: another one, an old one, a copy, an earlier place in this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.agent.session import Session
from ante_nb.agent.sessions.lending import Lent
from ante_nb.errors import BusyError, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.agent.session import Node
    from ante_nb.agent.sessions.resuming import Resumed
    from ante_nb.agent.sessions.tree import Branch
    from ante_nb.agent.undo.log import UndoLog


class SessionMoves:
    """The part of :class:`~ante_nb.agent.runtime.Runtime` that changes where the next turn goes on.

    None of it may be called while a turn runs: that is a ``BusyError``.
    """

    if not TYPE_CHECKING:  # the attributes are slots of the class that this is a part of
        __slots__ = ()

    session: Session
    grants: list[str]
    lent: dict[str, Lent]
    unwritten: dict[str, Session]
    running: Any
    _undo: UndoLog | None

    if TYPE_CHECKING:

        def changed(self) -> None: ...

    def take_session(self, session: Session) -> None:
        """Go on with ``session``. The old one is given back, grants end with the session they were given for."""
        self._check_idle()
        old, self.session = self.session, session
        if old is not session and old.has_journal:
            self.give_back(old)
            # A call that names it later is no news to its model: this is still its process.
            self.lent.setdefault(old.id, Lent(old.id))
        self.grants.clear()
        if self._undo is not None:
            self._undo.news.clear()
        self.changed()

    def give_back(self, session: Session) -> None:
        """Let any process go on with a session that this one has left.

        One whose record lacks something (the disk is full) stays here until it can be written.
        """
        if session.journal.flush():
            self.unwritten.pop(session.id, None)
            session.journal.close()
        else:
            self.unwritten[session.id] = session

    def catch_up(self) -> None:
        """Write the records of sessions that could not be written when they were left."""
        for session in list(self.unwritten.values()):
            if session is not self.session and session.journal.flush():
                session.write_meta()
                session.journal.sync()
                self.give_back(session)

    def left_unwritten(self, name: str) -> Session | None:
        """A session that is here alone, for its record lacks something: by its id, the end of it, or its title."""
        words = name.strip().lower()
        found = [
            session
            for session in self.unwritten.values()
            if words and (session.id.lower().endswith(words) or session.title.lower() == words)
        ]
        return found[0] if len(found) == 1 else None

    def reset(self) -> None:
        """Start a new session; choices stay."""
        names = ("notebook", "kernel", "cwd")
        self.take_session(Session(meta={k: v for k, v in self.session.meta.items() if k in names}))

    def resume(self, name: str, *, notebook: Path | None = None) -> Resumed:
        """Go on with a recorded session, or with a copy of it where it may not be written to.

        Args:
            name: its id, the end of it, or its title.
            notebook: the file of the notebook that goes on with it.

        Raises:
            ConfigError: there is no such session, or it cannot be gone on with.
            BusyError: a turn is running.
        """
        from ante_nb.agent.sessions.listing import SessionInfo, find_session
        from ante_nb.agent.sessions.resuming import Resumed, resume

        self._check_idle()
        self.catch_up()
        kept = self.left_unwritten(name)
        if kept is not None:
            self.take_session(kept)
            return Resumed(kept, SessionInfo(kept.id, directory=kept.journal.directory))
        info = find_session(name)
        if info.id == self.session.id:
            return Resumed(self.session, info)
        found = resume(info.id, notebook=notebook, kernel=self.session.meta.get("kernel", ""))
        for key in ("kernel", "cwd", "notebook"):
            if key in self.session.meta:
                found.session.meta[key] = self.session.meta[key]
        self.take_session(found.session)
        return found

    def fork(self, back: str = "") -> Session:
        """Go on in a new session that holds what this one does; this one stays as it is.

        Args:
            back: how many turns to leave out, or the id of the first one to leave out.

        Raises:
            ConfigError: there is no such turn, or no turn at all.
            BusyError: a turn is running.
        """
        from ante_nb.agent.sessions.tree import before

        self._check_idle()
        if self.session.head is None:
            raise ConfigError("there is nothing to fork: no turn leads here", "Run a prompt first.")
        if back in ("", "0"):
            new = self.session.fork()
        else:
            node, _ = before(self.session, back)
            if node is None:
                raise ConfigError("nothing would be left to fork", "`%ante reset` begins an empty session.")
            new = self.session.fork(node)
        self.take_session(new)
        return new

    def rewind(self, back: str = "") -> list[Node]:
        """Take turns back from the conversation; they stay as a branch. Files and variables are not touched.

        Args:
            back: how many turns (empty: one), or the id of the first one to take back.

        Returns:
            The turns that were taken back, oldest first.

        Raises:
            ConfigError: there is no such turn.
            BusyError: a turn is running.
        """
        from ante_nb.agent.sessions.tree import before

        self._check_idle()
        node, taken = before(self.session, back)
        self.session.move(node)
        self.changed()
        return taken

    def switch_branch(self, number: str) -> Branch:
        """Go on from the end of another branch, by its number in the list.

        Raises:
            ConfigError: there is no such branch.
            BusyError: a turn is running.
        """
        from ante_nb.agent.sessions.tree import chosen

        self._check_idle()
        branch = chosen(self.session, number)
        self.session.move(branch.end.id)
        self.changed()
        return branch

    def _check_idle(self) -> None:
        if self.running is not None:
            raise BusyError("a turn is still running", "Wait for it to end, or interrupt it.")
