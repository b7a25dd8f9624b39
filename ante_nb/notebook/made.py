"""Which cell made which variable, so that after a restart a person can be told what to run again."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST = 500
"""Variables that are written down."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The cell that bound a name last: its id where the front end sends one, its ``In[count]``; and the type."""

    cell: str | None
    count: int
    kind: str


class Made:
    """What is in the person's namespace and where it comes from; looked at after every cell."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self.origins: dict[str, Origin] = {}

    def look(self, space: Mapping[str, Any], hidden: Mapping[str, Any], cell: str | None, count: int) -> bool:
        """Note what a cell has bound; True where something is new, bound anew or gone.

        Args:
            space: the namespace.
            hidden: what the shell has put there.
            cell: the id of the cell that has run.
            count: its ``In[count]``.
        """
        now = {name: id(value) for name, value in own(space, hidden)}
        changed = [name for name, value in now.items() if self._seen.get(name) != value]
        gone = self._seen.keys() - now.keys()
        for name in gone:
            self.origins.pop(name, None)
        for name in changed:
            self.origins.pop(name, None)  # in the order in which the cells ran
            self.origins[name] = Origin(cell, count, type(space.get(name)).__name__)
        self._seen = now
        return bool(changed or gone)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values: the newest ``_MOST``."""
        kept = list(self.origins.items())[-_MOST:]
        return {name: {"cell": o.cell, "count": o.count, "type": o.kind} for name, o in kept}


def own(space: Mapping[str, Any], hidden: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """The names that the person's code has bound, without modules."""
    for name, value in list(space.items()):
        if name.startswith("_") or isinstance(value, ModuleType):
            continue
        if name in hidden and hidden[name] is value:
            continue
        yield name, value


def origins_of(data: Any) -> dict[str, Origin]:
    """The inverse of :meth:`Made.to_dict`; what is not of that form is left out."""
    found = {}
    for name, item in data.items() if isinstance(data, dict) else ():
        if isinstance(name, str) and isinstance(item, dict) and isinstance(item.get("count"), int):
            cell = item.get("cell")
            found[name] = Origin(
                cell if isinstance(cell, str) else None, item["count"], str(item.get("type", ""))
            )
    return found
