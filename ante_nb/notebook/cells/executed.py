"""What was run: the record that stands in for the front end's model where that cannot be asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Executed:
    """A cell's source as it was run last, as ``In[count]``; ``id`` where the front end sends one."""

    source: str
    count: int
    id: str | None = None
