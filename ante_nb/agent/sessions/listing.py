"""The sessions that there are, newest first, by notebook or working directory."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb import paths
from ante_nb.agent.sessions.reading import ID, load_session, read_meta
from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session in a list. ``started`` and ``updated`` are RFC 3339 in UTC; ``problem`` says why it cannot
    be gone on with, where that is so."""

    id: str
    title: str = ""
    first_prompt: str = ""
    turns: int = 0
    started: str = ""
    updated: str = ""
    notebook: Path | None = None
    cwd: Path | None = None
    kernel: str = ""
    model: str = ""
    forked_from: str = ""
    problem: str = ""
    directory: Path = field(default_factory=Path)

    @property
    def name(self) -> str:
        """What the person knows it by: its title, or how it began."""
        return self.title or " ".join(self.first_prompt.split())

    def in_use(self) -> bool:
        """Whether a running process writes to it."""
        return held(self.directory)


def list_sessions(
    home: Path | None = None,
    *,
    notebook: Path | None = None,
    cwd: Path | None = None,
    kernel: str = "",
    limit: int | None = None,
) -> list[SessionInfo]:
    """The recorded sessions, last used first.

    Args:
        home: the data directory; ``None`` for ``ANTE_HOME``.
        notebook: only those of this file, or of this ``kernel``.
        cwd: only those of this working directory.
        kernel: only those of this kernel (or of ``notebook``).
        limit: at most so many.
    """
    wanted = []
    for info in _all(paths.sessions(home)):
        if notebook is not None or kernel:
            mine = (notebook is not None and _same(info.notebook, notebook)) or (
                kernel and info.kernel == kernel
            )
            if not mine:
                continue
        if cwd is not None and not _same(info.cwd, cwd):
            continue
        wanted.append(info)
    wanted.sort(key=lambda info: (info.updated or info.started, info.id), reverse=True)
    return wanted[:limit]


def find_session(name: str, home: Path | None = None) -> SessionInfo:
    """A session by its id, the end of its id, or its title.

    Raises:
        ConfigError: there is none, or more than one.
    """
    every = list_sessions(home)
    words = name.strip()
    found = [info for info in every if info.id == words]
    found = found or [info for info in every if words and info.id.lower().endswith(words.lower())]
    found = found or [info for info in every if info.title and info.title.lower() == words.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(info.id for info in found[:4])
        raise ConfigError(f"{words!r} could be {len(found)} sessions: {ids}", "Write more of the id.")
    near = difflib.get_close_matches(
        words, [*(i.title for i in every if i.title), *(i.id for i in every)], n=2
    )
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    raise ConfigError(f"there is no session {words!r}", f"{guess}`%ante sessions all` lists them.")


def held(directory: Path) -> bool:
    """Whether a running process has the session of ``directory``."""
    lock = directory / "lock"
    if not lock.exists():
        return False
    from filelock import FileLock, Timeout

    probe = FileLock(lock, timeout=0, mode=0o600, thread_local=False)
    try:
        with probe:
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False


def _all(root: Path) -> Iterator[SessionInfo]:
    try:
        names = [entry.name for entry in os.scandir(root) if ID.fullmatch(entry.name)]
    except OSError:
        return
    for name in names:
        info = _info(root / name)
        if info is not None:
            yield info


def _info(directory: Path) -> SessionInfo | None:
    try:
        meta = read_meta(directory)
    except ConfigError as error:
        return SessionInfo(directory.name, problem=error.message, directory=directory)
    if not meta:
        return _from_journal(directory)
    return SessionInfo(
        directory.name,
        title=_text(meta, "title"),
        first_prompt=_text(meta, "first_user_message"),
        turns=meta["turns"] if isinstance(meta.get("turns"), int) else 0,
        started=_text(meta, "started"),
        updated=_text(meta, "updated"),
        notebook=_path(meta, "notebook"),
        cwd=_path(meta, "cwd"),
        kernel=_text(meta, "kernel"),
        model=_text(meta, "model"),
        forked_from=_text(meta, "forked_from"),
        directory=directory,
    )


def _from_journal(directory: Path) -> SessionInfo | None:
    """Where ``meta.json`` is missing or damaged: the journal is the record."""
    try:
        session = load_session(directory.name, directory.parent.parent)
    except ConfigError as error:
        there = (directory / "events.jsonl").exists()
        return SessionInfo(directory.name, problem=error.message, directory=directory) if there else None
    if not session.turns and not session.nodes:
        return None
    return SessionInfo(
        session.id,
        title=session.title,
        first_prompt=session.first_prompt,
        turns=session.turns,
        started=session.started,
        updated=session.started,
        forked_from=session.forked_from,
        directory=directory,
    )


def _text(meta: dict[str, Any], name: str) -> str:
    found = meta.get(name)
    return found if isinstance(found, str) else ""


def _path(meta: dict[str, Any], name: str) -> Path | None:
    found = _text(meta, name)
    return Path(found) if found else None


def _same(one: Path | None, other: Path) -> bool:
    return one is not None and os.path.realpath(one) == os.path.realpath(other)
