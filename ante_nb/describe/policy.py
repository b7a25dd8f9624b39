"""The data policy: how much of the person's values may leave the machine."""

from __future__ import annotations

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


def stricter(one: DataPolicy, other: DataPolicy) -> DataPolicy:
    """The closer of two policies."""
    return min(one, other, key=POLICIES.index)


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
