"""Putting files back as they were before a record, each one only if it is still as the record left it."""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ante_nb.agent.undo.entries import read, same
from ante_nb.agent.undo.store import Change
from ante_nb.agent.undo.workspace import NAMED_CAP
from ante_nb.log import logger

if TYPE_CHECKING:
    from ante_nb.agent.undo.entries import Entry
    from ante_nb.agent.undo.store import Record
    from ante_nb.agent.undo.workspace import Workspace


@dataclass(slots=True)
class Restored:
    """What came of putting files back: names by what was done, and what was left with the reason."""

    removed: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    recreated: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.removed) + len(self.rewritten) + len(self.recreated)


def restore(workspace: Workspace, changes: list[Change], undo: Record) -> Restored:
    """Undo ``changes``; ``undo`` records it, so that it can be taken back in the same way.

    The record is on disk before the first file is touched.

    Raises:
        sqlite3.Error, OSError: the store cannot be used.
    """
    out = Restored()
    plan: list[Change] = []
    store = workspace.store
    skip = set(undo.facts.get("skip", ()))
    with store.transaction():
        store.put_record(undo)
        for change in changes:
            reason = _obstacle(workspace, change, skip)
            if reason is None:
                plan.append(change)
                store.put_change(undo.id, Change(change.path, change.after, change.before))
            elif reason == "":
                out.already.append(change.path)
            else:
                out.left.append((change.path, reason))
    done = [change for change in _in_order(plan) if _apply(workspace, change, out)]
    with store.transaction():
        store.drop_changes(undo.id, {change.path for change in plan} - {change.path for change in done})
        for change in done:
            # Seen anew: times and inode are others now.
            entry = workspace.state(change.path, change.before)
            store.put_change(undo.id, Change(change.path, change.after, entry))
        undo.state = "done"
        store.put_record(undo)
    return out


def _obstacle(workspace: Workspace, change: Change, skip: set[str]) -> str | None:
    """Why a path cannot be put back; ``None`` if it can, empty if it is as it was already."""
    before, after = change.before, change.after
    path = workspace.absolute(change.path)
    if change.path in skip:
        return "it is the running notebook"
    parent = Path(path).parent
    if os.path.realpath(parent) != str(parent):
        return "a directory above it is a link now"
    now, data = read(path, NAMED_CAP)
    if now is not None and now.is_directory != change.path.endswith("/"):
        # What stands there is a change of its own, and goes first where it can.
        return None if after is None else "something else stands in its place now"
    if same(now, before) and not same(now, after):
        return ""
    if not same(now, after):
        if now is None:
            return "it was deleted since" if before is not None else ""
        return "it was changed since the turn"
    if now is not None and data is None and not now.is_directory:
        return f"it is too large ({now.size / 1e6:,.0f} MB) for its present state to be kept"
    if before is not None and not before.is_directory and (
        before.digest is None or workspace.store.content(before.digest) is None
    ):  # fmt: skip
        return f"its old content was not kept ({before.size / 1e6:,.1f} MB)"
    if data is not None and now is not None and now.digest is not None:
        workspace.store.put_content(now.digest, data)
    return None


def _in_order(plan: list[Change]) -> list[Change]:
    """Files go, then directories from the deepest; directories come, then files."""

    def key(change: Change) -> tuple[int, int, str]:
        directory = change.path.endswith("/")
        depth = change.path.count("/")
        if change.before is None:
            return (1, -depth, change.path) if directory else (0, 0, change.path)
        return (2, depth, change.path) if directory else (3, 0, change.path)

    return sorted(plan, key=key)


def _apply(workspace: Workspace, change: Change, out: Restored) -> bool:
    path = Path(workspace.absolute(change.path))
    before = change.before
    try:
        if before is None:
            if not change.path.endswith("/"):
                path.unlink()
            else:
                try:
                    path.rmdir()
                except OSError:
                    out.left.append((change.path, "it is not empty"))
                    return False
            out.removed.append(change.path)
            return True
        if before.is_directory:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(before.mode)
        else:
            data = workspace.store.content(before.digest or "")
            assert data is not None, "checked when it was planned"
            path.parent.mkdir(parents=True, exist_ok=True)
            put(path, before, data)
    except OSError as error:
        logger.warning("%s could not be put back: %s", path, error)
        out.left.append((change.path, f"the system refuses: {error.strerror or error}"))
        return False
    (out.recreated if change.after is None else out.rewritten).append(change.path)
    return True


def put(path: Path, entry: Entry, data: bytes) -> None:
    """Make ``path`` what ``entry`` says, in one step; a crash leaves the old state or the new one.

    Raises:
        OSError: the system refuses.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        if entry.is_link:
            temporary.symlink_to(os.fsdecode(data))
        else:
            old = _links(path)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(handle)
                os.fchmod(handle, entry.mode)
            if old:
                # Replacing it would leave its other names with the new content.
                path.write_bytes(data)
                path.chmod(entry.mode)
                temporary.unlink()
                return
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _links(path: Path) -> bool:
    """Whether a regular file has other names as well."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink > 1
