"""What changed and what was put back, in words for the person and for the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ante_nb.agent.undo.entries import Entry
    from ante_nb.agent.undo.namespace import NamespaceChanges, NamespaceRestored
    from ante_nb.agent.undo.restore import Restored
    from ante_nb.agent.undo.store import Change, Record

MOST = 12
"""Names of one kind in a line."""


@dataclass(slots=True)
class Report:
    """What a record changed. ``problems`` say what is not known or cannot be taken back."""

    record: Record
    files: list[Change] = field(default_factory=list)
    variables: NamespaceChanges | None = None
    problems: list[str] = field(default_factory=list)
    lost_variables: bool = False
    """Whether variables changed in a kernel that is gone."""

    def __bool__(self) -> bool:
        return bool(self.files or self.variables or self.lost_variables)

    def lines(self) -> list[str]:
        out = [f"{word}: {few(names)}" for word, names in file_words(self.files)]
        out += [f"{word}: {few(names)}" for word, names in variable_words(self.variables)]
        if self.lost_variables:
            out.append("variables changed too, in a kernel that has ended")
        if self.variables is not None:
            for name, why in list(self.variables.unseen.items())[:MOST]:
                out.append(f"not known: whether {name} was changed in place ({why})")
        out += [f"not covered: {problem}" for problem in self.problems]
        return out


@dataclass(slots=True)
class UndoReport:
    """What an undo or a redo did."""

    record: Record
    files: Restored
    variables: NamespaceRestored | None
    problems: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.files.count + (self.variables.count if self.variables else 0)

    def lines(self) -> list[str]:
        files, variables = self.files, self.variables
        pairs = [
            ("files put back", files.rewritten),
            ("files made again", files.recreated),
            ("files removed", files.removed),
            ("as they were already", files.already),
        ]
        if variables is not None:
            pairs += [("variables put back", variables.restored), ("variables removed", variables.removed)]
        out = [f"{word}: {few(names)}" for word, names in pairs if names]
        left = [*files.left, *(variables.left if variables is not None else [])]
        out += [f"left as it is: {name}, for {why}" for name, why in left[: 3 * MOST]]
        if len(left) > 3 * MOST:
            out.append(f"left as they are: {len(left) - 3 * MOST} more")
        return out + [f"not covered: {problem}" for problem in self.problems]


def file_words(changes: list[Change]) -> list[tuple[str, list[str]]]:
    """Files by what happened to them; a directory is only named where nothing in it is."""
    kinds: dict[str, list[str]] = {"files new": [], "files changed": [], "files deleted": []}
    names = [change.path for change in changes]
    for change in changes:
        if change.path.endswith("/") and any(
            other != change.path and other.startswith(change.path) for other in names
        ):
            continue
        word = (
            "files new"
            if change.before is None
            else "files deleted"
            if change.after is None
            else "files changed"
        )
        kinds[word].append(change.path)
    return [(word, found) for word, found in kinds.items() if found]


def variable_words(changes: NamespaceChanges | None) -> list[tuple[str, list[str]]]:
    if changes is None:
        return []
    kinds = [
        ("variables new", changes.new),
        ("variables changed", changes.changed),
        ("variables gone", changes.gone),
    ]
    return [
        (word, [f"{name} ({changes.kind_of(name)})" for name in sorted(names)])
        for word, names in kinds
        if names
    ]


def few(names: list[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def sizes(change: Change) -> str:
    """The size of a file before and after, for a list."""

    def one(entry: Entry | None) -> str:
        return "none" if entry is None else "directory" if entry.is_directory else f"{entry.size:,} bytes"

    return f"{one(change.before)} -> {one(change.after)}"
