"""The outputs of the running prompt's cell, for a page that was reloaded or opened while it runs.

JupyterLab forgets a running cell with its page: nothing that comes later reaches the notebook, and what was
not saved is gone. So the kernel keeps what it has shown, and a page that asks for it (our extension does, when
it opens a notebook) gets it, and then every update, until the turn has ended.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ante_nb.log import logger

if TYPE_CHECKING:
    import asyncio

    from ante_nb.notebook.state import KernelState

TARGET = "ante_nb.running"
PROTOCOL = 1


class LiveOutputs:
    """A display publisher that remembers; used on the kernel's thread.

    Args:
        publisher: the shell's own.
        cell: the id of the cell, ``None`` where the front end has sent none; then no page can be served.
        page: the client that sent the cell: its page shows the outputs already.
    """

    def __init__(self, publisher: Any, cell: str | None, page: str) -> None:
        self._publisher = publisher
        self._cell = cell
        self._page = page
        self._shown: dict[str, dict[str, Any]] = {}
        self._pages: list[Any] = []

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, Any],
        update: bool = False,
    ) -> None:
        """As ``DisplayPublisher.publish``."""
        self._publisher.publish(data, metadata or {}, transient=transient, update=update)
        name = transient.get("display_id") or f"#{len(self._shown)}"
        self._shown[name] = {"id": name, "data": data, "metadata": metadata or {}}
        self._tell({"outputs": [self._shown[name]]})

    def attach(self, comm: Any, page: str) -> None:
        """Serve a page; the one that sent the cell, or none that could know it, is sent away."""
        if self._cell is None or page == self._page:
            comm.close()
            return
        comm.on_close(lambda message: self._forget(comm))
        self._pages.append(comm)
        comm.send({"v": PROTOCOL, "cell": self._cell, "outputs": list(self._shown.values())})

    def end(self, count: int | None) -> None:
        """The turn has ended; ``count`` is the cell's execution count."""
        self._tell({"ended": True, "count": count})
        self._pages.clear()

    def _forget(self, comm: Any) -> None:
        self._pages = [known for known in self._pages if known is not comm]

    def _tell(self, message: dict[str, Any]) -> None:
        for comm in list(self._pages):
            try:
                comm.send(message)
            except Exception:
                logger.exception("a page could not be told of an output")
                self._forget(comm)


def serve(state: KernelState) -> None:
    """Answer pages that ask for the running cell, from now on."""
    manager: Any = getattr(getattr(state.shell, "kernel", None), "comm_manager", None)
    if manager is None:
        return

    def opened(comm: Any, message: dict[str, Any]) -> None:
        asked = message.get("content", {}).get("data", {})

        def attach() -> None:
            if state.outputs is None or asked.get("v") != PROTOCOL:
                comm.close()
            else:
                state.outputs.attach(comm, str(asked.get("client", "")))

        if threading.current_thread() is threading.main_thread():
            attach()
        else:  # a subshell
            loop: asyncio.AbstractEventLoop = state.shell.kernel.io_loop.asyncio_loop
            loop.call_soon_threadsafe(attach)

    manager.register_target(TARGET, opened)


def stop_serving(state: KernelState) -> None:
    """Take :func:`serve` back."""
    manager: Any = getattr(getattr(state.shell, "kernel", None), "comm_manager", None)
    if manager is not None:
        manager.targets.pop(TARGET, None)
