"""``%ante panel``: beside the notebook where the page has our extension, else below the cell, else as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.errors import BusyError, ConfigError
from ante_nb.notebook.printing import say

if TYPE_CHECKING:
    from ante_nb.notebook.state import KernelState

READY_TIMEOUT = 3.0
"""Seconds in which a card must have reported; the page may have to load its script first."""
INLINE = "--inline"
OPENED = "The panel is open beside the notebook."
_TWIN = "The Ante panel is here while its kernel runs. Run the cell again to see it; `%ante status` says the same as text."
_TWIN_CLASS = "ante-panel-twin"


async def run_panel(line: str) -> None:
    """``%ante panel``, awaited; the prompt transformer calls it.

    Raises:
        ConfigError: an argument that is none.
        BusyError: called by code of the Python tool.
    """
    from IPython import get_ipython

    from ante_nb.notebook.state import kernel_state

    state = kernel_state(get_ipython())
    inline = _asked(state, line)
    if state.is_silent:
        return
    why = "" if inline else await _beside(state)
    if why is None:
        say(OPENED)
        return
    if not await _below(state):
        _as_text(state, why)


def panel(state: KernelState, rest: str) -> None:
    """``%ante panel`` where the cell cannot be awaited, so that no page can say that it is there.

    Raises:
        ConfigError: an argument that is none.
        BusyError: called by code of the Python tool.
    """
    _asked(state, rest)
    alone = "write `%ante panel` as the only line of its cell" if state.is_kernel else ""
    _as_text(state, alone)


def _asked(state: KernelState, line: str) -> bool:
    """Whether it is to be shown below the cell."""
    words = line.split()
    if [word for word in words if word != INLINE]:
        raise ConfigError(
            f"%ante panel does not take {words[0]!r}", f"It takes nothing but {INLINE}: below the cell."
        )
    if state.in_tool:
        raise BusyError("the panel cannot be opened inside a tool call", "The person opens it, in a cell.")
    return bool(words)


async def _beside(state: KernelState) -> str | None:
    """Open it through the page's extension; ``None`` where it is open, else why it is not."""
    from ante_nb.notebook.cells.link import FrontEndLink, NoAnswer, NoFrontEnd

    try:
        reply = await FrontEndLink(state).request("panel")
    except (NoFrontEnd, NoAnswer) as error:
        return str(error)
    if reply.get("status") == "opened":
        return None
    return (
        "the extension in the page is of an older version of ante_nb: restart the Jupyter server and"
        " reload the page"
    )


async def _below(state: KernelState) -> bool:
    """Show it below the cell; whether a front end has shown it. Nothing is left where none has."""
    import html

    from ante_nb.log import logger
    from ante_nb.notebook.approval import can_ask
    from ante_nb.notebook.frontend import is_plain
    from ante_nb.notebook.sign_in_views import Display

    make = state.cards.get("panel")
    # Where nobody can type (nbclient, papermill) nobody clicks, and the card would be saved.
    if make is None or is_plain(state.shell) or not can_ask(state):
        return False
    twin, display = Display(state.shell), Display(state.shell)
    try:
        card: Any = make(state)
    except Exception:
        logger.exception("the panel could not be made")
        return False
    # An output of its own: a page whose kernel does not know the widget shows nothing else of the card's. The
    # script hides it as long as the panel is there.
    twin.put({"text/plain": _TWIN, "text/html": f'<p class="{_TWIN_CLASS}">{html.escape(_TWIN)}</p>'})
    display.put(*card.bundle("", ""))
    if await card.wait_ready(READY_TIMEOUT):
        return True
    card.dispose()
    for output in (twin, display):
        output.put({"text/plain": "", "text/html": ""})
    return False


def _as_text(state: KernelState, why: str) -> None:
    from ante_nb.notebook.commands import run

    say("There is no panel here" + (f": {why}." if why else ".") + " What it would show:")
    run(state, "status")
    run(state, "usage")
