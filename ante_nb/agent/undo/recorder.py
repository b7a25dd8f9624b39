"""Records one turn: called before each tool runs, and when the turn has ended. Never fails the turn."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from ante_nb.agent.tools.base import FILES
from ante_nb.agent.turn import Changes
from ante_nb.agent.undo.namespace import NamespaceBefore
from ante_nb.agent.undo.report import Report, file_words, variable_words
from ante_nb.agent.undo.store import Record
from ante_nb.log import logger
from ante_nb.messages import Notice
from ante_nb.redact import redact

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.agent.host import Host
    from ante_nb.agent.tools.base import Footprint
    from ante_nb.agent.turn import Turn
    from ante_nb.agent.undo.log import UndoLog
    from ante_nb.agent.undo.namespace import NamespaceChanges
    from ante_nb.agent.undo.workspace import Workspace

HURRY = 0.3
"""Seconds for comparing after an interrupt; what takes longer is compared when it is asked for."""
_NAME = re.compile(r"[^\W\d]\w*")
_FAILURES = (sqlite3.Error, OSError, ValueError)


class Recorder:
    """Args:
    log: the undo log of this kernel.
    turn: the turn; its ``changes``, ``files`` and ``variables`` are filled at the end.
    host: the surroundings.
    """

    def __init__(self, log: UndoLog, turn: Turn, host: Host) -> None:
        self._log = log
        self._turn = turn
        self._host = host
        self._record = Record(turn.id, "turn", redact(" ".join(turn.prompt.split()))[:120])
        self._workspace: Workspace | None = None
        self._walked = False
        self._saved = False
        self._before: NamespaceBefore | None = None
        self._mentioned: set[str] | None = set()
        self._lock = asyncio.Lock()
        self._stopped = threading.Event()

    async def before(self, footprint: Footprint, code: str) -> None:
        """Keep what a call may change, before it runs.

        Args:
            footprint: what the call touches; :data:`FILES` among its writes is any file.
            code: the arguments in words; the variables that it names may be changed in place.
        """
        writes = footprint.writes
        if not writes:
            return
        async with self._lock:
            if "kernel" in writes:
                self._mention(code)
                await self._keep_variables()
            if FILES in writes and not self._walked:
                await self._files(self._walk)
            names = sorted(name[len(FILES) :] for name in writes if name.startswith(FILES) and name != FILES)
            for name in names:
                await self._files(self._save, name)

    def _mention(self, code: str) -> None:
        if self._mentioned is not None:
            self._mentioned.update(_NAME.findall(code))

    async def _keep_variables(self) -> None:
        space = getattr(self._host, "namespace", None)
        if self._before is not None or space is None:
            return
        try:
            self._before = await self._host.variables(lambda own: NamespaceBefore(space))
        except Exception:
            logger.exception("the variables could not be recorded")

    async def _files(self, work: Any, *arguments: Any) -> None:
        try:
            await asyncio.to_thread(work, *arguments)
        except asyncio.CancelledError:
            # The thread goes on; it looks at this.
            self._stopped.set()
            raise
        except _FAILURES as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        logger.warning("a turn is not recorded for undo: %s", error)
        text = f"`%ante undo` will not restore the files of this turn: {error}"
        if self._log.problem != str(error):
            self._log.problem = str(error)
            self._host.show(Notice("warning", text))

    def _room(self) -> Workspace:
        if self._workspace is None:
            root = self._host.cwd
            self._workspace = self._log.workspace(root)
            self._log.mine[self._record.id] = self._workspace.root
            self._log.skip[self._record.id] = skipped(self._host.notebook_path, self._workspace)
        return self._workspace

    def _walk(self) -> None:
        workspace = self._room()
        self._walked = True
        workspace.begin(self._record, self._log.skip[self._record.id], self._stopped.is_set)
        self._saved = True

    def _save(self, path: str) -> None:
        workspace = self._room()
        if workspace.name_of(path) is None:
            problems = self._record.facts.setdefault("problems", [])
            text = f"{os.path.relpath(path, workspace.root)}, which is ignored or never recorded"
            if text not in problems:
                problems.append(text)
            return
        workspace.save(self._record, path)
        self._saved = True

    # ----------------------------------------------------------------------------------------- the end

    async def finish(self) -> None:
        """Compare, close the record and tell the turn. Returns soon where the turn was interrupted."""
        if not (self._saved or self._before is not None):
            return
        hurry = HURRY if self._turn.status == "interrupted" else None
        record = self._record
        variables: NamespaceChanges | None = None
        try:
            if self._before is not None:
                before, space = self._before, self._host.namespace or {}
                # Until it is done: what `%ante undo` goes by if this is cut short.
                self._log.unsettled[record.id] = before
                look = self._host.variables(lambda own: before.compare(space, self._mentioned))
                variables = found = await asyncio.wait_for(look, hurry)
                record.facts["variables"] = bool(variables)
                self._log.keep_namespace(record.id, found)
            files = await asyncio.wait_for(asyncio.to_thread(self._close), hurry)
        except (TimeoutError, asyncio.CancelledError):
            logger.info("the changes of %s are compared later", self._turn.id)
            return
        except _FAILURES as error:
            self._tell(error)
            return
        except Exception:
            logger.exception("the changes of a turn could not be compared")
            return
        finally:
            self._stopped.set()
        report = Report(record, files, variables, record.facts.get("problems", []))
        self._fill(report)

    def _close(self) -> list[Any]:
        workspace = self._room()
        if not self._saved and not self._record.facts.get("variables"):
            return []
        if not self._saved:
            with workspace.store.transaction():
                workspace.store.put_record(self._record)
        changes = workspace.finish(self._record, self._log.skip[self._record.id])
        workspace.store.prune()
        return changes

    def _fill(self, report: Report) -> None:
        """The public result: names of files and variables, without what was changed and put back."""
        turn = self._turn
        files = dict(file_words(report.files))
        found = [change.path for change in report.files if not change.path.endswith("/")]
        workspace = self._workspace
        if workspace is not None and self._saved:
            known = [name for name in turn.files if workspace.name_of(_real(workspace, name)) is not None]
            turn.files[:] = [name for name in turn.files if name not in known or name in found]
        turn.files.extend(name for name in found if name not in turn.files)
        variables = report.variables
        if variables is not None:
            turn.variables[:] = list(dict.fromkeys([*variables.new, *variables.changed, *variables.gone]))
        turn.changes = Changes(
            files_new=tuple(files.get("files new", ())),
            files_changed=tuple(files.get("files changed", ())),
            files_deleted=tuple(files.get("files deleted", ())),
            variables_new=tuple(variables.new) if variables else (),
            variables_changed=tuple(variables.changed) if variables else (),
            variables_gone=tuple(variables.gone) if variables else (),
        )
        words = [*file_words(report.files), *variable_words(variables)]
        if words:
            lines = [f"{word}: {', '.join(names[:40])}" for word, names in words]
            self._log.news.append("\n".join(["The last turn changed:", *lines]))


def _real(workspace: Workspace, name: str) -> str:
    return os.path.realpath(workspace.absolute(name))


def skipped(notebook: Path | None, workspace: Workspace) -> frozenset[str]:
    """The running notebook, as the records of a workspace name it."""
    if notebook is None:
        return frozenset()
    path = os.path.realpath(notebook)
    prefix = workspace.root.rstrip("/") + "/"
    return frozenset({path[len(prefix) :] if path.startswith(prefix) else path})
