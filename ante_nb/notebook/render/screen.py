"""The outputs of one turn: which item goes where, and never more of them than the front end shows."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Item", "Publish", "Screen"]

Publish: TypeAlias = Callable[[dict[str, Any], dict[str, Any], "str | None", bool], None]
"""``publish(data, metadata, display_id, update)``: one display_data or update_display_data message."""

LIMIT = 40
"""JupyterLab hides a cell's outputs past the 50th; the person's own plots need room too."""
_SHARE_FROM = 24
_TEXT_UNTIL = 31
_CARDS_UNTIL = LIMIT - 2
_GROUP_BYTES = 40_000


@dataclass(slots=True)
class _Output:
    id: str
    items: list[Item] = field(default_factory=list)
    group: bool = False

    @property
    def void(self) -> bool:
        return not any(item.html for item in self.items)


@dataclass(slots=True, eq=False)
class Item:
    """A piece of the turn on the screen: ``plain`` is its text twin, ``None`` while it is unfinished."""

    html: str
    plain: str | None
    output: _Output = field(repr=False)


class Screen:
    """Places items into outputs: one each at first, later cards together, so that a long turn stays visible.

    Args:
        publish: see :data:`Publish`.
        spent: told the bytes of each update.
    """

    def __init__(self, publish: Publish, spent: Callable[[int], None]) -> None:
        self._publish = publish
        self._spent = spent
        self._outputs: list[_Output] = []

    @property
    def outputs(self) -> int:
        """How many outputs are used."""
        return len(self._outputs)

    @property
    def last(self) -> Item | None:
        """The last item that shows something."""
        for output in reversed(self._outputs):
            for item in reversed(output.items):
                if item.html:
                    return item
        return None

    def add(
        self,
        html: str,
        plain: str | None,
        *,
        text: bool = False,
        charge: bool = True,
        data: dict[str, Any] | None = None,
    ) -> Item:
        """Show a new item after all others.

        Args:
            html, plain: its two forms; ``html`` has passed the sanitizer.
            text: it is a piece of the answer, which gets an output of its own for longer.
            charge: count it as an update (finished text is accounted for elsewhere).
            data: further MIME types; such an item always gets an output of its own.
        """
        output, update = self._place(text=text, own=data is not None)
        item = Item(html, plain, output)
        output.items.append(item)
        self._send(output, update, charge, data)
        return item

    def update(self, item: Item, html: str, plain: str | None, *, charge: bool = True) -> None:
        """Show an item anew; nothing is sent when nothing changed."""
        if (item.html, item.plain) == (html, plain):
            return
        item.html, item.plain = html, plain
        self._send(item.output, True, charge, None)

    def withdraw(self, item: Item) -> None:
        """Empty an item. Its output, if nothing shows after it, is used again."""
        self.update(item, "", "")

    def _place(self, *, text: bool, own: bool) -> tuple[_Output, bool]:
        free = None
        for output in reversed(self._outputs):
            if not output.void:
                break
            free = output
        if free is not None:
            free.items.clear()
            return free, True
        used = len(self._outputs)
        if not own and self._outputs and used >= _SHARE_FROM:
            last = self._outputs[-1]
            fits = last.group and sum(len(item.html) for item in last.items) < _GROUP_BYTES
            if used >= (_TEXT_UNTIL if text else _CARDS_UNTIL) or (fits and not text):
                return last, True
        output = _Output(uuid.uuid4().hex, group=used >= _SHARE_FROM and not text)
        self._outputs.append(output)
        return output, False

    def _send(self, output: _Output, update: bool, charge: bool, data: dict[str, Any] | None) -> None:
        html = "".join(item.html for item in output.items)
        plain = [item.plain for item in output.items if item.plain is not None]
        bundle: dict[str, Any] = {"text/html": html, **(data or {})}
        if plain or not html:
            bundle["text/plain"] = "\n".join(plain) if len(plain) > 1 else "".join(plain)
        if charge:
            self._spent(len(html.encode("utf-8", "replace")) + sum(map(len, plain)))
        self._publish(bundle, {}, output.id, update)
