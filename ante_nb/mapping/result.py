"""What a map gave: a turn for every item, in the order of the items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from ante_nb.messages import Usage

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ante_nb.agent.turn import Turn

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Failed:
    """An item without an answer: its number, what it was, and why."""

    index: int
    item: Any
    error: BaseException


class MapResult(Sequence["Turn"]):
    """The turns of a map, one for each item, in the items' order.

    Attributes:
        items: what was mapped over.
        turns: the turns; one that failed, was interrupted or was never begun has ``error``.
    """

    def __init__(self, items: list[Any], turns: list[Turn], run: Callable[..., None]) -> None:
        self.items = items
        self.turns = turns
        self._run = run

    @overload
    def __getitem__(self, index: int) -> Turn: ...
    @overload
    def __getitem__(self, index: slice) -> list[Turn]: ...
    def __getitem__(self, index: int | slice) -> Turn | list[Turn]:
        return self.turns[index]

    def __len__(self) -> int:
        return len(self.turns)

    @property
    def texts(self) -> list[str | None]:
        """The answers' texts; ``None`` for an item that failed."""
        return [None if turn.error else turn.text for turn in self.turns]

    @property
    def values(self) -> list[Any]:
        """The validated objects, where a ``schema`` was given; ``None`` for an item that failed."""
        return [turn.value for turn in self.turns]

    @property
    def failed(self) -> list[Failed]:
        """The items without an answer."""
        return [
            Failed(index, self.items[index], turn.error)
            for index, turn in enumerate(self.turns)
            if turn.error is not None
        ]

    @property
    def usage(self) -> Usage:
        """Tokens of all turns together."""
        return sum((turn.usage for turn in self.turns if turn.usage is not None), Usage())

    @property
    def cost(self) -> float | None:
        """US dollars of all turns together; ``None`` where the price of one is not known."""
        used = [turn for turn in self.turns if turn.steps]
        if any(turn.cost is None for turn in used):
            return None
        return sum(turn.cost or 0.0 for turn in used)

    def resume(self, *, executor: Executor | None = None, progress: bool | None = None) -> MapResult:
        """Run the items without an answer again, in place; the others are not asked again.

        Args:
            executor: another one than before.
            progress: whether a progress bar is shown; ``None`` as before.

        Raises:
            TurnError: interrupted; ``error.result`` has this result.
        """
        self._run(self, [failed.index for failed in self.failed], executor, progress)
        return self

    def __repr__(self) -> str:
        failed = self.failed
        lines = [f"<MapResult: {len(self) - len(failed)} of {len(self)} answered>"]
        for item in failed[:_SHOWN]:
            lines.append(f"  item {item.index} failed: {item.error}")
        if len(failed) > _SHOWN:
            lines.append(f"  ... and {len(failed) - _SHOWN} more")
        if failed:
            lines.append("  `.resume()` runs the failed ones again")
        return "\n".join(lines)
