"""``%ante changes``, ``%ante undo`` and ``%ante redo``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.errors import BusyError, ConfigError, TurnError
from ante_nb.notebook.printing import say, table

if TYPE_CHECKING:
    from ante_nb.agent.undo.report import Report, UndoReport
    from ante_nb.agent.undo.store import Record
    from ante_nb.notebook.state import KernelState


def changes(state: KernelState, rest: str) -> None:
    """What a turn changed (the last one that is not undone), or a list of all recorded turns.

    Raises:
        AnteError: there is no such turn; the undo store cannot be used.
    """
    log, root, space = state.runtime.undo, Path.cwd(), state.shell.user_ns
    _check_free(state, "changes")
    if rest.lower() == "all":
        _list(state)
        return
    try:
        record = log.find(root, space, rest)
    except TurnError:
        if rest:
            raise
        say("no turn in this directory has changed a file or variable that is not undone")
        return
    report: Report = log.report(root, record)
    say(_title(state, record))
    for line in report.lines():
        say(f"  {line}")
    say(f"`%ante {'redo' if record.state == 'undone' else 'undo'}` takes it back")


def undo(state: KernelState, rest: str) -> None:
    """Take a turn back.

    Raises:
        AnteError: there is none; the undo store cannot be used.
    """
    _check_free(state, "undo")
    log, root = state.runtime.undo, Path.cwd()
    _tell(state, log.undo(root, state.shell.user_ns, rest, _skip(state)), "undone", "`%ante redo`")


def redo(state: KernelState, rest: str) -> None:
    """Take the last undo back.

    Raises:
        AnteError: there is none; the undo store cannot be used.
    """
    if rest:
        raise ConfigError(f"%ante redo: {rest!r} is too much", "It takes the last undo back.")
    _check_free(state, "redo")
    log, root = state.runtime.undo, Path.cwd()
    _tell(state, log.redo(root, state.shell.user_ns, _skip(state)), "done again", "`%ante undo`")


def _check_free(state: KernelState, name: str) -> None:
    if state.in_tool:
        raise BusyError(f"%ante {name} inside a tool call is refused", "Run it in a cell of its own.")
    if state.runtime.running is not None:
        raise BusyError("a turn is still running in this kernel", "Wait for it to end, or interrupt it.")


def _skip(state: KernelState) -> frozenset[str]:
    from ante_nb.agent.undo.recorder import skipped

    return skipped(state.notebook_path, state.runtime.undo.workspace(Path.cwd()))


def _title(state: KernelState, record: Record) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.started))
    whose = "" if record.id in state.runtime.undo.mine else ", in another kernel"
    words = f"{record.title[:80]!r} " if record.title else ""
    return f"turn {words}of {when}{whose} ({record.id}{', undone' if record.state == 'undone' else ''})"


def _tell(state: KernelState, report: UndoReport, word: str, back: str) -> None:
    title = _title(state, report.record).replace(", undone)", ")")
    done = report.count or report.files.already
    say(f"{word}: {title}" if done else f"nothing was {word}: {title}")
    for line in report.lines():
        say(f"  {line}")
    if report.count:
        say(f"{back} takes this back")


def _list(state: KernelState) -> None:
    log, root = state.runtime.undo, Path.cwd()
    records = [record for record in log.records(root, state.shell.user_ns) if record.kind == "turn"]
    if not records:
        say("no turn in this directory has changed a file or variable")
        return
    rows = []
    for record in records:
        count = len(log.report(root, record).files)
        when = time.strftime("%m-%d %H:%M", time.localtime(record.started))
        what = f"{count} path{'s' * (count != 1)}" + (", variables" if record.facts.get("variables") else "")
        note = ", undone" if record.state == "undone" else ""
        rows.append((record.id, f"{when}  {what}{note}  {record.title[:60]}"))
    table(rows)
