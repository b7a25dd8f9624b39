"""The undo log of a kernel or process: records turns, takes the last one back, and takes that back."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any

from ante_nb.agent.undo import namespace
from ante_nb.agent.undo.report import Report, UndoReport
from ante_nb.agent.undo.restore import restore
from ante_nb.agent.undo.store import Record
from ante_nb.agent.undo.workspace import Workspace
from ante_nb.errors import ConfigError, TurnError
from ante_nb.ids import new_id

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.agent.host import Host
    from ante_nb.agent.turn import Turn
    from ante_nb.agent.undo.namespace import NamespaceBefore, NamespaceChanges
    from ante_nb.agent.undo.recorder import Recorder

KEPT_NAMESPACES = 8
"""Records whose old variables are kept; what older ones held may be freed."""


class UndoLog:
    """Args:
    home: the data directory; ``None`` for ``ANTE_HOME``.
    """

    def __init__(self, home: Path | None = None) -> None:
        self._home = home
        self._workspaces: dict[str, Workspace] = {}
        self._namespaces: dict[str, NamespaceChanges] = {}
        self.mine: dict[str, str] = {}
        """Records of this process and the working directory of each, in order."""
        self.unsettled: dict[str, NamespaceBefore] = {}
        """Turns that ended too fast for their variables to be compared."""
        self.news: list[str] = []
        """What the model is to be told at the opening of the next turn."""
        self.skip: dict[str, frozenset[str]] = {}
        """By record: the files that are not looked at."""
        self.problem = ""
        """Why nothing is recorded, where that is so."""

    def recorder(self, turn: Turn, host: Host) -> Recorder:
        """What records one turn."""
        from ante_nb.agent.undo.recorder import Recorder

        return Recorder(self, turn, host)

    def workspace(self, root: Path) -> Workspace:
        path = os.path.realpath(root)
        if path not in self._workspaces:
            self._workspaces[path] = Workspace(root, self._home)
        return self._workspaces[path]

    def keep_namespace(self, record: str, changes: NamespaceChanges) -> None:
        """Keep what is needed to put the variables of a record back."""
        self.unsettled.pop(record, None)
        self._namespaces[record] = changes
        for old in list(self._namespaces)[:-KEPT_NAMESPACES]:
            del self._namespaces[old]

    # --------------------------------------------------------------------------------------- questions

    def settle(self, workspace: Workspace, space: dict[str, Any] | None) -> None:
        """Close what was left open: turns that were killed with their kernel, or interrupted twice."""
        if not workspace.store.exists():
            return
        for record in workspace.store.records():
            if record.state != "open" or (record.id not in self.mine and record.owner.alive()):
                continue
            before = self.unsettled.pop(record.id, None)
            if before is not None and space is not None:
                changes = before.compare(space)
                self.keep_namespace(record.id, changes)
                record.facts["variables"] = bool(changes)
            record.facts.setdefault("problems", []).append(
                "the turn did not end by itself; what changed since it began counts as its own"
            )
            if record.kind == "turn":
                workspace.finish(record, self.skip.get(record.id, frozenset()), late=True)
            else:
                record.state = "done"
                with workspace.store.transaction():
                    workspace.store.put_record(record)

    def records(self, root: Path, space: dict[str, Any] | None) -> list[Record]:
        """The records of a working directory that are not of a running turn, newest first.

        Raises:
            ConfigError: the store cannot be used.
        """
        workspace = self.workspace(root)
        try:
            self.settle(workspace, space)
            if not workspace.store.exists():
                return []
            return [record for record in workspace.store.records() if record.state != "open"]
        except (sqlite3.Error, OSError) as error:
            raise _unusable(workspace, error) from None

    def find(self, root: Path, space: dict[str, Any] | None, name: str = "") -> Record:
        """A turn by (the end of) its id, or the last one that is not undone: of this kernel if it has
        any in this directory, else of any kernel that has ended.

        Raises:
            TurnError: there is none.
        """
        records = [record for record in self.records(root, space) if record.kind == "turn"]
        if name:
            found = [record for record in records if record.id == name or record.id.endswith(name)]
            if not found:
                raise TurnError(
                    f"no turn {name} is recorded for this directory", "`%ante changes all` lists them."
                )
            return found[0]
        fresh = [record for record in records if record.state == "done"]
        own = [record for record in fresh if record.id in self.mine]
        others = [record for record in fresh if not record.owner.alive()]
        if own or others:
            return (own or others)[0]
        raise TurnError(
            "there is nothing to undo: no turn has changed a file or variable here",
            "Turns are recorded by working directory; `%ante changes all` lists them.",
        )

    def report(self, root: Path, record: Record) -> Report:
        """What a record changed.

        Raises:
            ConfigError: the store cannot be used.
        """
        workspace = self.workspace(root)
        try:
            files = sorted(workspace.store.changes(record.id).values(), key=lambda change: change.path)
        except (sqlite3.Error, OSError) as error:
            raise _unusable(workspace, error) from None
        variables = self._namespaces.get(record.id)
        lost = variables is None and bool(record.facts.get("variables"))
        return Report(record, files, variables, list(record.facts.get("problems", ())), lost)

    # ------------------------------------------------------------------------------------------- deeds

    def undo(
        self, root: Path, space: dict[str, Any] | None, name: str = "", skip: frozenset[str] = frozenset()
    ) -> UndoReport:
        """Take a turn back; see :meth:`find` for which. ``skip`` are files that are never restored.

        Raises:
            TurnError: there is none, or it is undone already.
            ConfigError: the store cannot be used.
        """
        record = self.find(root, space, name)
        if record.state == "undone":
            raise TurnError(f"{record.id} is undone already", "`%ante redo` takes the last undo back.")
        return self._reverse(root, space, record, "undo", skip)

    def redo(
        self, root: Path, space: dict[str, Any] | None, skip: frozenset[str] = frozenset()
    ) -> UndoReport:
        """Take the last undo back.

        Raises:
            TurnError: there is none.
            ConfigError: the store cannot be used.
        """
        for record in self.records(root, space):
            if record.kind == "undo" and record.state == "done":
                return self._reverse(root, space, record, "redo", skip)
        raise TurnError("there is no undo to take back", "`%ante undo` undoes the last turn.")

    def _reverse(
        self, root: Path, space: dict[str, Any] | None, record: Record, kind: str, skip: frozenset[str]
    ) -> UndoReport:
        workspace = self.workspace(root)
        back = Record(new_id("undo"), kind, record.title, undoes=record.id)
        back.facts["skip"] = sorted(skip | set(record.facts.get("skip", ())))
        variables = self._namespaces.get(record.id)
        try:
            files = restore(workspace, list(workspace.store.changes(record.id).values()), back)
            restored = None
            problems = [text for text in record.facts.get("problems", ()) if "did not end" not in text]
            if variables is not None and space is not None:
                restored, reverse = namespace.restore(space, variables)
                self.keep_namespace(back.id, reverse)
                back.facts["variables"] = bool(reverse)
                problems += [
                    f"{name}, if it was changed in place ({why})" for name, why in variables.unseen.items()
                ]
            elif record.facts.get("variables"):
                problems.append("the variables, for they were in a kernel that has ended or too long ago")
            report = UndoReport(record, files, restored, problems)
            with workspace.store.transaction():
                if report.count or files.already or not (files.left or (restored and restored.left)):
                    record.state = "undone"
                    workspace.store.put_record(record)
                    self._unundo(workspace, record)
                    workspace.store.put_record(back)
                else:
                    workspace.store.drop_record(back.id)
        except (sqlite3.Error, OSError) as error:
            raise _unusable(workspace, error) from None
        self.mine[back.id] = workspace.root
        if report.count:
            word = "undid" if kind == "undo" else "took back an undo of"
            self.news.append("\n".join([f"The person {word} changes of a turn of yours:", *report.lines()]))
        return report

    def _unundo(self, workspace: Workspace, record: Record) -> None:
        """A turn whose undo is taken back can be undone again."""
        if record.kind != "undo":
            return
        for turn in workspace.store.records():
            if turn.id == record.undoes:
                turn.state = "done"
                workspace.store.put_record(turn)


def _unusable(workspace: Workspace, error: Exception) -> ConfigError:
    return ConfigError(
        f"the undo store cannot be used: {error}",
        f"It is {workspace.store.path}; moving it away begins anew.",
    )
