"""The data policy: how much of the person's values may leave the machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast

from ante_nb.errors import ConfigError

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
    """The policy in force, and those of single variables (which may be closer or more open)."""

    default: DataPolicy = DEFAULT_POLICY
    variables: dict[str, DataPolicy] = field(default_factory=dict)

    def of(self, name: str) -> DataPolicy:
        """The policy of the variable ``name``."""
        return self.variables.get(name, self.default)

    def words(self) -> str:
        """The policy for a status line: ``sample, df schema``."""
        return ", ".join((self.default, *(f"{name} {policy}" for name, policy in self.variables.items())))

    @property
    def closest(self) -> DataPolicy:
        """The closest one there is: what holds for code, which may print any variable."""
        return min((self.default, *self.variables.values()), key=POLICIES.index)
