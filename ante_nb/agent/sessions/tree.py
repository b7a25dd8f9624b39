"""The tree of a session as a person moves in it: turns back, branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from ante_nb.agent.session import Node, Session


@dataclass(frozen=True, slots=True)
class Branch:
    """The way to the end of a branch. ``shared`` is how many turns it has in common with the present one."""

    end: Node
    turns: tuple[Node, ...]
    shared: int
    present: bool


def turns_of(session: Session, node: str | None = None) -> list[Node]:
    """The turns on the way to ``node`` (or to where the next turn goes on), without summaries."""
    return [entry for entry in session.path(node) if entry.cell]


def branches(session: Session) -> list[Branch]:
    """All branches, in the order they were begun; one that is gone on from in its middle is one, too."""
    here = session.path() if session.head is not None else []
    ids = [entry.id for entry in here]
    ends = session.leaves()
    if session.head is not None and all(end.id != session.head for end in ends):
        ends.append(session.nodes[session.head])
    found = []
    for end in ends:
        way = turns_of(session, end.id)
        shared = sum(entry.id in ids for entry in way)
        found.append(Branch(end, tuple(way), shared, end.id == session.head))
    return found


def before(session: Session, words: str) -> tuple[str | None, list[Node]]:
    """Where to go on from to take turns back, and the turns that this takes back.

    Args:
        words: how many turns (empty: one), or the id of the first turn to take back, or the end of it.

    Raises:
        ConfigError: there is no such turn.
    """
    way = turns_of(session) if session.head is not None else []
    if not way:
        raise ConfigError("there is no turn to take back", "This session has none on the present branch.")
    words = words.strip()
    if not words or words.isdigit():
        count = int(words or 1)
        if not 1 <= count <= len(way):
            raise ConfigError(
                f"{count} turns cannot be taken back: this branch has {len(way)}", "Count from the last one."
            )
        taken = way[-count:]
    else:
        at = next((n for n, entry in enumerate(way) if entry.turn_id.lower().endswith(words.lower())), None)
        if at is None:
            raise ConfigError(
                f"there is no turn {words!r} on this branch",
                "Give a number of turns, or the id of a turn (`_ante.id`); `%ante branches` shows the others.",
            )
        taken = way[at:]
    return taken[0].parent, taken


def chosen(session: Session, words: str) -> Branch:
    """A branch by its number in :func:`branches`, from 1.

    Raises:
        ConfigError: there is no such branch.
    """
    every = branches(session)
    if words.isdigit() and 1 <= int(words) <= len(every):
        return every[int(words) - 1]
    raise ConfigError(f"there is no branch {words!r}", f"Give a number from 1 to {len(every)}.")
