"""A front end for one card: what JupyterLab's widget manager sends and sees, over the kernel's protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.kernel import Kernel, Outcome


class CardFront:
    """The last card that the running cell has opened.

    Args:
        kernel: with a running cell.
        name: the widget's class name.
        number: the how manieth card of the cell to wait for, from 1; 0: whichever is the last.
    """

    def __init__(self, kernel: Kernel, name: str = "SignInCard", number: int = 0) -> None:
        self.kernel = kernel
        self.name = name
        self._number = number
        self.outcome = kernel.wait_for(lambda outcome: self._opened(outcome) is not None)
        opened = self._opened(self.outcome)
        assert opened is not None, f"no card was opened: {self.outcome.text}"
        self.comm_id = opened["comm_id"]

    def _opened(self, outcome: Outcome) -> dict[str, Any] | None:
        found = [
            message.content
            for message in outcome.messages
            if message.kind == "comm_open"
            and str(message.content["data"].get("state", {}).get("_anywidget_id", "")).endswith(self.name)
        ]
        if self._number:
            return found[self._number - 1] if len(found) >= self._number else None
        return found[-1] if found else None

    @property
    def state(self) -> dict[str, Any]:
        """The synced state as the front end has it now."""
        state: dict[str, Any] = {}
        for message in self.outcome.messages:
            if message.content.get("comm_id") == self.comm_id:
                data = message.content["data"]
                if message.kind == "comm_open" or data.get("method") == "update":
                    state.update(data["state"])
        return state

    @property
    def closed(self) -> bool:
        return any(
            message.kind == "comm_close" and message.content["comm_id"] == self.comm_id
            for message in self.outcome.messages
        )

    def send(self, **content: Any) -> None:
        """A custom message of the card's script."""
        data = {"method": "custom", "content": content}
        message = self.kernel.client.session.msg("comm_msg", {"comm_id": self.comm_id, "data": data})
        self.kernel.client.shell_channel.send(message)

    def wait(self, **values: Any) -> dict[str, Any]:
        """Wait until the state has these values; returns the state."""
        self.kernel.wait_for(lambda _: all(self.state.get(key) == value for key, value in values.items()))
        state = self.state
        assert all(state.get(key) == value for key, value in values.items()), (state, self.outcome.text)
        return state
