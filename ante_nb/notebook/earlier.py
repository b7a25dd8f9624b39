"""The session that a notebook had before its kernel was restarted: found, offered, and what is lost of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.agent.session import Session
    from ante_nb.agent.sessions import SessionInfo
    from ante_nb.notebook.made import Origin
    from ante_nb.notebook.state import KernelState

_TURN = re.compile(rb'\\?"session_id\\?":\s*\\?"(ses_[0-9A-Z]{26})\\?"')
_FEW = 6
_CELLS = 200
"""Cells of a kernel that are written down."""


def identify(state: KernelState) -> None:
    """Note in the session where it takes place: notebook, kernel, working directory."""
    meta = state.runtime.session.meta
    path = state.notebook_path
    if path is not None:
        meta["notebook"] = str(path)
    kernel = kernel_id(state)
    if kernel:
        meta["kernel"] = kernel
    meta["cwd"] = str(Path.cwd())


def kernel_id(state: KernelState) -> str:
    """The id that stays the same when the kernel is restarted; empty outside of a kernel."""
    if not state.is_kernel:
        return ""
    try:
        from ipykernel.connect import get_connection_file

        return Path(get_connection_file()).stem.removeprefix("kernel-")
    except Exception:
        return ""


def earlier(path: Path | None, kernel: str, present: str, home: Path | None = None) -> SessionInfo | None:
    """The last session of this notebook or kernel with a turn in it, or the one that its file names.

    Args:
        path: the notebook's file, as far as it is known.
        kernel: the kernel's id.
        present: the id of the present session, which is not meant.
        home: the data directory; ``None`` for ``ANTE_HOME``.
    """
    from ante_nb.agent.sessions import find_session, list_sessions
    from ante_nb.agent.sessions.resuming import name_passed_on
    from ante_nb.errors import ConfigError

    if path is None and not kernel:
        return None
    for info in list_sessions(home, notebook=path, kernel=kernel):
        if info.id == present or not (info.turns or info.problem):
            continue
        if not name_passed_on(info, path, kernel):
            return info
    # A copy, or a notebook that was renamed: its own turns name the session.
    for name in named_by(path):
        if name == present:
            continue
        try:
            return find_session(name, home)
        except ConfigError:
            continue  # of another machine, or deleted
    return None


def named_by(path: Path | None) -> list[str]:
    """The sessions whose turns a notebook file holds, the last one first."""
    try:
        raw = path.read_bytes() if path is not None else b""
    except OSError:
        return []
    # ULIDs sort by time.
    return sorted({found.decode() for found in _TURN.findall(raw)}, reverse=True)


def offer(state_names: Iterable[str], info: SessionInfo, path: Path | None) -> str:
    """The line that offers to go on with an earlier session.

    Args:
        state_names: what the kernel has in its namespace.
        info: the earlier session.
        path: the notebook's file, by which cells get their numbers.
    """
    turns = f"{info.turns} turn{'s' * (info.turns != 1)}"
    if info.problem:
        return f"this notebook has a session from before that cannot be gone on with: {info.problem}"
    line = (
        f"this notebook has a session from before its kernel was started ({turns}, {_short(info.name)}); "
        "this prompt begins a new one, `%ante resume` goes on with the old one"
    )
    gone = lost(info.directory, state_names, path)
    return f"{line}. {gone}" if gone else line


def lost(directory: Path, names: Iterable[str], path: Path | None) -> str:
    """What the kernel of a session had that this one has not, and which cells made it; or nothing."""
    missing = missing_of(directory, names)
    if not missing:
        return ""
    numbers = cell_numbers(path)
    groups: dict[str, list[str]] = {}
    for name, origin in missing.items():
        number = numbers.get(origin.cell or "")
        where = (
            f"cell {number}"
            if number
            else f"In[{origin.count}]"
            if origin.count
            else "made before the extension was loaded"
        )
        groups.setdefault(where, []).append(name)
    words = [
        f"{', '.join(some[:_FEW])}{', …' if len(some) > _FEW else ''} ({where})"
        for where, some in groups.items()
    ]
    shown = "; ".join(words[:_FEW]) + ("; …" if len(words) > _FEW else "")
    return f"This kernel does not have {shown}: run those cells again"


def missing_of(directory: Path, names: Iterable[str]) -> dict[str, Origin]:
    """The variables that the kernel of a session had and ``names`` do not hold."""
    from ante_nb.agent.sessions.reading import read_meta
    from ante_nb.errors import ConfigError
    from ante_nb.notebook.made import origins_of

    try:
        known = origins_of(read_meta(directory, "kernel.json").get("variables"))
    except ConfigError:
        return {}
    here = set(names)
    return {name: origin for name, origin in known.items() if name not in here}


def cell_numbers(path: Path | None) -> dict[str, int]:
    """The numbers of the cells of a notebook file by their ids, from 1."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"] if path is not None else []
        return {cell["id"]: number for number, cell in enumerate(cells, 1) if isinstance(cell.get("id"), str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def note_variables(state: KernelState, cell: str | None, count: int) -> None:
    """After a cell: which variables it has bound; written down where the session has a record."""
    try:
        changed = state.made.look(
            state.shell.user_ns, getattr(state.shell, "user_ns_hidden", {}), cell, count
        )
        session = state.session_if_any
        if session is None or not session.has_journal or not session.journal.is_open:
            return
        from ante_nb.agent.sessions.resuming import is_cell_id

        # The notebook's own ids: by them it is known again, whatever it is called by then.
        cells = [name for name in state.executed if is_cell_id(name)][-_CELLS:]
        if changed or "variables" not in session.beside or cells != session.beside.get("cells"):
            session.beside["variables"] = state.made.to_dict()
            session.beside["cells"] = cells
            session.write_beside()
    except Exception:
        # A hook that fails prints a traceback below every cell.
        logger.exception("the variables of a cell could not be noted")


def news_for_model(session: Session, missing: Iterable[str], cwd: Path) -> str:
    """What the model has to know that goes on in another kernel."""
    names = list(missing)
    lines = ["The kernel was restarted since the last turn."]
    if names:
        shown = ", ".join(names[:40]) + (", …" if len(names) > 40 else "")
        lines.append(f"Variables that it does not have any more: {shown}")
    lines.append(f"Working directory: {cwd}")
    return "\n".join(lines)


def _short(text: str, limit: int = 60) -> str:
    words = " ".join(text.split())
    return repr(words if len(words) <= limit else f"{words[: limit - 1]}…")


def tell_of_earlier(state: KernelState) -> Any:
    """A function for the agent's thread that gives the offer, or ``None`` where it was made or is not due."""
    if state.greeted or state.runtime.away:
        return None
    state.greeted = True
    session = state.runtime.session
    if not state.is_kernel or session.turns or session.nodes:
        return None
    path, kernel, present = state.notebook_path, kernel_id(state), session.id
    names = list(state.shell.user_ns)

    def look() -> str:
        info = earlier(path, kernel, present)
        return offer(names, info, path) if info is not None else ""

    return look
