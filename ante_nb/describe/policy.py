"""The data policy: how much of the person's values may leave the machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

DataPolicy: TypeAlias = Literal["schema", "stats", "sample", "full"]

POLICIES: tuple[DataPolicy, ...] = ("schema", "stats", "sample", "full")
"""From the closest to the most open: names, types and shapes; counts and ranges too; some values too;
everything."""

DEFAULT_POLICY: DataPolicy = "sample"


def allows(policy: str, wanted: DataPolicy) -> bool:
    """Whether ``policy`` lets through what needs ``wanted``."""
    return POLICIES.index(cast("DataPolicy", policy)) >= POLICIES.index(wanted)


def parse_policy(word: str, where: str) -> DataPolicy:
    """``word`` as a policy.

    Raises:
        ConfigError: it is none; the message says ``where`` it stands and which there are.
    """
    found = word.strip().lower()
    if found not in POLICIES:
        raise ConfigError(
            f"{where}: there is no data policy {word!r}", f"It is one of {', '.join(POLICIES)}."
        )
    return found


@dataclass(slots=True)
class Policies:
    """The policy in force, and those of single variables (which may be closer or more open).

    ``derived`` are variables that code of the model has made while one was closer than the rest: they may
    hold its values under another name, and follow the closest policy unless they have one of their own.
    """

    default: DataPolicy = DEFAULT_POLICY
    variables: dict[str, DataPolicy] = field(default_factory=dict)
    derived: set[str] = field(default_factory=set)

    def of(self, name: str) -> DataPolicy:
        """The policy of the variable ``name``."""
        return self.variables.get(name, self.closest if name in self.derived else self.default)

    def derive(self, mentioned: Iterable[str], bound: Iterable[str] = ()) -> None:
        """Take note of code: the names in it, and those that it has bound.

        What is bound may come from anywhere (a function may read any variable); what is only mentioned
        may be changed in place, with values of what is mentioned beside it.
        """
        if self.closest == self.default:
            return
        names = set(mentioned)
        if any(name in self.derived or self.variables.get(name) == self.closest for name in names):
            self.derived |= names
        self.derived.update(bound)

    def words(self) -> str:
        """The policy for a status line: ``sample, df schema``."""
        return ", ".join((self.default, *(f"{name} {policy}" for name, policy in self.variables.items())))

    @property
    def closest(self) -> DataPolicy:
        """The closest one there is: what holds for code, which may print any variable."""
        return min((self.default, *self.variables.values()), key=POLICIES.index)
