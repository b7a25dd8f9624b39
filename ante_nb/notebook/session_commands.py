"""``%ante sessions``, ``resume``, ``fork``, ``rewind``, ``branches``, ``rename`` and ``export``."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.errors import BusyError, ConfigError
from ante_nb.notebook.printing import say, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ante_nb.agent.session import Node, Session
    from ante_nb.agent.sessions import SessionInfo
    from ante_nb.notebook.state import KernelState

_LISTED = 30


def sessions(state: KernelState, rest: str) -> None:
    """The sessions of this notebook, or of the working directory where there is no notebook; or all.

    Raises:
        ConfigError: a word that means nothing here.
    """
    from ante_nb.agent.sessions import list_sessions
    from ante_nb.notebook.earlier import kernel_id

    word = rest.lower()
    if word not in ("", "all", "here"):
        raise ConfigError(f"%ante sessions: {rest!r} means nothing here", "`all` or `here` (this directory).")
    path = state.notebook_path
    if word == "all":
        found, where = list_sessions(), "on this machine"
    elif word == "here" or path is None:
        found, where = list_sessions(cwd=Path.cwd()), "of this directory"
    else:
        found, where = list_sessions(notebook=path, kernel=kernel_id(state)), "of this notebook"
    shown = [info for info in found if info.turns or info.problem]
    if not shown:
        say(f"no session {where} has a turn" + ("" if word == "all" else "; `%ante sessions all` lists all"))
        return
    say(f"{len(shown)} session{'s' * (len(shown) != 1)} {where}, last used first")
    present = state.runtime.session.id
    table([_row(info, present, word != "") for info in shown[:_LISTED]])
    if len(shown) > _LISTED:
        say(f"and {len(shown) - _LISTED} more, in {shown[0].directory.parent}")


def _row(info: SessionInfo, present: str, places: bool) -> tuple[str, ...]:
    note = ""
    if info.id == present:
        note = "this session"
    elif info.problem:
        note = info.problem
    elif info.in_use():
        note = "in use by another kernel"
    place = str(info.notebook.name if info.notebook else info.cwd or "") if places else ""
    turns = f"{info.turns} turn{'s' * (info.turns != 1)}" if not info.problem else ""
    return (info.id, _when(info.updated or info.started), turns, _short(info.name, 50), place, note)


def resume(state: KernelState, rest: str) -> None:
    """Go on with a session: by its id or title, else the one that this notebook had before.

    Raises:
        ConfigError: there is none, or it cannot be gone on with.
        BusyError: a turn is running.
    """
    from ante_nb.agent.sessions.tree import turns_of
    from ante_nb.agent.tasks import tasks_at, tasks_words
    from ante_nb.notebook.earlier import earlier, identify, kernel_id, lost, missing_of, news_for_model

    _check_tool(state, "resume")
    runtime, path = state.runtime, state.notebook_path
    if runtime.running is not None:
        raise BusyError("a turn is still running", "Wait for it to end, or interrupt it.")
    identify(state)
    name = rest.strip()
    if not name:
        info = earlier(path, kernel_id(state), runtime.session.id)
        if info is None:
            raise ConfigError(
                "no earlier session of this notebook is known",
                "`%ante sessions all` lists them; give one's id.",
            )
        name = info.id
    before = runtime.session
    found = runtime.resume(name, notebook=path)
    state.greeted = True
    session = found.session
    if session is before:
        say(f"session {session.id} is the present one")
        return
    turns = turns_of(session) if session.head is not None else []
    say(f"{'a copy of ' if found.forked else ''}session {found.info.id}: {_count(turns)}, {_last(turns)}")
    if found.forked:
        say(f"{found.forked}, so this kernel goes on in a copy: {session.id}")
    for note in found.notes:
        say(note)
    tasks = tasks_words(tasks_at(session, session.head))
    if tasks:
        say(tasks)
    say_unwritten(state, before)
    if found.info.id in runtime.lent:
        return  # of this kernel: nothing is lost, and its model knows where it is
    names = list(state.shell.user_ns)
    gone = lost(found.info.directory, names, path)
    if gone:
        say(gone)
    missing = missing_of(found.info.directory, names)
    runtime.undo.news.append(news_for_model(session, missing, Path.cwd()))


def say_unwritten(state: KernelState, left: Session) -> None:
    """Say that a session which was left is not wholly on the disk, where that is so."""
    if left.id in state.runtime.unwritten:
        say(f"{left.journal.problem}; what is missing of {left.id} is kept in this kernel and written later")


def fork(state: KernelState, rest: str) -> None:
    """Go on in a copy of this session, with all turns or without the last ones.

    Raises:
        ConfigError: there is no such turn.
        BusyError: a turn is running.
    """
    from ante_nb.agent.sessions.tree import turns_of
    from ante_nb.notebook.earlier import identify

    _check_tool(state, "fork")
    old = state.runtime.session
    new = state.runtime.fork(rest)
    identify(state)
    say(f"new session {new.id} with {_count(turns_of(new))}, {_last(turns_of(new))}")
    say(f"the old one stays as it is: `%ante resume {old.id}` goes back")
    say_unwritten(state, old)


def rewind(state: KernelState, rest: str) -> None:
    """Take the last turn, or several, back from the conversation.

    Raises:
        ConfigError: there is no such turn.
        BusyError: a turn is running.
    """
    from ante_nb.agent.sessions.tree import branches, turns_of

    _check_tool(state, "rewind")
    session = state.runtime.session
    taken = state.runtime.rewind(rest)
    say(
        f"taken back: {'; '.join(_short(node.prompt, 50) for node in taken[:5])}{'; …' if len(taken) > 5 else ''}"
    )
    left = turns_of(session) if session.head is not None else []
    say(
        f"the next prompt goes on after {_last(left)}"
        if left
        else "the next prompt begins the conversation anew"
    )
    number = next((n for n, branch in enumerate(branches(session), 1) if taken[-1] in branch.turns), None)
    back = f"`%ante branches {number}` goes back; " if number else ""
    say(f"{back}files and variables are as they are (`%ante undo` takes those back)")


def branches(state: KernelState, rest: str) -> None:
    """The branches of this session, or go on from the end of one of them.

    Raises:
        ConfigError: there is no such branch.
        BusyError: a turn is running.
    """
    from ante_nb.agent.sessions.tree import branches as all_branches

    session = state.runtime.session
    if rest:
        _check_tool(state, "branches")
        branch = state.runtime.switch_branch(rest)
        say(f"the next prompt goes on after {_last(list(branch.turns))}")
        return
    found = all_branches(session)
    if not found:
        say("this session has no turn yet")
        return
    rows = []
    for number, branch in enumerate(found, 1):
        own = branch.turns[branch.shared :] or branch.turns[-1:]
        words = " > ".join(_short(node.prompt, 30) for node in own[:4]) + (" > …" if len(own) > 4 else "")
        count = _count(branch.turns)
        common = "" if branch.present else f"{branch.shared} in common"
        rows.append((f"{'*' if branch.present else ' '} {number}", count, common, words))
    table(rows)
    say("* is where the next prompt goes on; `%ante branches N` goes on from another")


def rename(state: KernelState, rest: str) -> None:
    """Give this session a name.

    Raises:
        ConfigError: no name was given.
    """
    _check_tool(state, "rename")
    title = " ".join(rest.split())
    if not title or len(title) > 200:
        raise ConfigError(
            "%ante rename: the name is missing or too long", "Write it behind, up to 200 characters."
        )
    session = state.runtime.session
    if session.head is None and not session.nodes:
        session.title = title  # written with the first turn
    else:
        session.rename(title)
    say(f"session {session.id} is called {title!r}")
    state.runtime.changed()


def export(state: KernelState, rest: str) -> None:
    """Write the conversation into a file; its suffix says how.

    Raises:
        ConfigError: no file, an unknown kind of file, or one that is there already.
    """
    from ante_nb.agent.sessions import find_session, load_session
    from ante_nb.notebook.export import export_session

    _check_tool(state, "export")
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise ConfigError(f"%ante export: {error}", "Check the quotes.") from None
    force = "--force" in words
    names = [word for word in words if word != "--force"]
    if not 1 <= len(names) <= 2:
        raise ConfigError(
            "%ante export: which file?",
            "`%ante export talk.html`, `talk.md` or `talk.ipynb`; [SESSION] behind it.",
        )
    session = state.runtime.session
    if len(names) == 2:
        info = find_session(names[1])
        if info.problem:
            raise ConfigError(info.problem)
        session = load_session(info.id) if info.id != session.id else session
    path = Path(names[0]).expanduser()
    running = state.notebook_path
    if running is not None and path.resolve() == running.resolve():
        raise ConfigError("the running notebook is not written to", "Choose another name.")
    count = export_session(session, path, force=force)
    say(f"{count} turn{'s' * (count != 1)} written to {path}")


def _check_tool(state: KernelState, name: str) -> None:
    if state.in_tool:
        raise BusyError(f"%ante {name} inside a tool call is refused", "Run it in a cell of its own.")


def _count(turns: Sequence[Node]) -> str:
    return f"{len(turns)} turn{'s' * (len(turns) != 1)}"


def _last(turns: list[Node]) -> str:
    return f"the last one: {_short(turns[-1].prompt, 60)}" if turns else "empty"


def _short(text: str, limit: int) -> str:
    words = " ".join(text.split())
    return repr(words if len(words) <= limit else f"{words[: limit - 1]}…")


def _when(stamp: str) -> str:
    """How long ago, as a person says it."""
    try:
        then = datetime.fromisoformat(stamp)
    except ValueError:
        return ""
    seconds = (datetime.now(UTC) - then).total_seconds()
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {word}{'s' * (count != 1)} ago"
    return "just now"
