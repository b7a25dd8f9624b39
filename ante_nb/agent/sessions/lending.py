"""Another session for the length of one call: ``ask(session=...)``.

The present session, its grants and what is still to be told to its model stay as they are. The other
one is given back afterwards, so that any process may go on with it by its id.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.agent.session import Session
from ante_nb.errors import BusyError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ante_nb.agent.runtime import Runtime
    from ante_nb.agent.sessions.resuming import Resumed


@dataclass(slots=True)
class Lent:
    """What this process keeps of a session that calls were made with.

    ``id`` is the session's, or that of the copy that this process goes on with in its place.
    """

    id: str
    grants: list[str] = field(default_factory=list)
    news: list[str] = field(default_factory=list)
    """What its model has to be told with its next turn."""


def elsewhere(found: Resumed) -> str:
    """What the model has to know that goes on in another process of plain Python."""
    return f"This conversation goes on in another process.\nWorking directory: {Path.cwd()}"


@contextlib.contextmanager
def lent(
    runtime: Runtime,
    wanted: Any,
    *,
    notebook: Path | None = None,
    news: Callable[[Resumed], str] = elsewhere,
) -> Iterator[tuple[str, ...]]:
    """Has the runtime work on another session inside the ``with``.

    Args:
        runtime: whose session it is meanwhile.
        wanted: a ``Session``, ``"new"``, or a recorded session's id, the end of it or its title; ``None``
            leaves the present one.
        notebook: the file of the running notebook.
        news: what the model is told when a session of another process is gone on with.

    Yields:
        What there is to tell the person about it.

    Raises:
        ConfigError: there is no such session, or it cannot be gone on with.
        BusyError: a turn is running.
    """
    if wanted is None:
        yield ()
        return
    if runtime.running is not None:
        # Before anything is changed: the running turn looks at the runtime's session too.
        raise BusyError("another turn is still running", "Wait for it, or interrupt it.")
    session = _session(runtime, wanted, notebook, news)
    before = runtime.session
    if session is before:
        yield ()
        return
    # Grants end with the session that they were given for, and news are for its model alone.
    kept = runtime.lent.setdefault(session.id, Lent(session.id))
    grants, told = runtime.grants, runtime.undo.news
    runtime.session, runtime.grants, runtime.undo.news = session, kept.grants, kept.news
    runtime.away = True
    try:
        yield tuple(session.news)
    finally:
        runtime.session, runtime.grants, runtime.undo.news = before, grants, told
        runtime.away = False
        if session.has_journal:
            runtime.give_back(session)


def _session(runtime: Runtime, wanted: Any, notebook: Path | None, news: Callable[[Resumed], str]) -> Session:
    if isinstance(wanted, Session):
        return wanted
    meta = {key: runtime.session.meta[key] for key in _PLACE if key in runtime.session.meta}
    if wanted == "new":
        return Session(meta=meta)
    if not isinstance(wanted, str) or not wanted.strip():
        raise ConfigError(
            "session= takes the id of a session, a Session or 'new'",
            "Leave it out to go on with the current session; `%ante sessions all` lists the ids.",
        )
    return _recorded(runtime, wanted.strip(), notebook, news, meta)


_PLACE = ("kernel", "cwd", "notebook")


def _recorded(
    runtime: Runtime,
    name: str,
    notebook: Path | None,
    news: Callable[[Resumed], str],
    meta: dict[str, Any],
) -> Session:
    from ante_nb.agent.sessions.listing import find_session
    from ante_nb.agent.sessions.resuming import resume

    if name == runtime.session.id:
        return runtime.session
    runtime.catch_up()
    kept = runtime.left_unwritten(name)
    if kept is not None:
        return kept
    info = find_session(name)
    if info.id == runtime.session.id:
        return runtime.session
    kernel = meta.get("kernel", "")
    known = runtime.lent.get(info.id)
    copy = known.id if known is not None and known.id != info.id else ""
    if copy and (info.directory.with_name(copy) / "events.jsonl").exists():
        # The calls before this one went on in a copy; so does this one.
        found = resume(copy, notebook=notebook, kernel=kernel)
        note = f"this call goes on in {found.session.id}, this process's copy of {info.id}"
    else:
        found = resume(info.id, notebook=notebook, kernel=kernel)
        note = f"{found.forked}, so this call goes on in a copy: {found.session.id}" if found.forked else ""
    session = found.session
    session.news = [*([note] if note else ()), *found.notes]
    session.meta.update(meta)
    entry = runtime.lent.setdefault(info.id, Lent(info.id))
    entry.id = session.id
    if session.id not in runtime.lent:
        runtime.lent[session.id] = Lent(session.id)
    if known is None:
        runtime.lent[session.id].news.append(news(found))
    return session
