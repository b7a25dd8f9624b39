"""A prompt cell: flags and prompt in, a turn run, its result bound, its error raised.

The prompt transformer rewrites a ``%%ante`` cell into an awaited call of :func:`run_cell`; where a cell
cannot be awaited, the magic calls :func:`run_cell_blocking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.notebook import arguments
from ante_nb.notebook.state import kernel_state

if TYPE_CHECKING:
    from ante_nb.agent.turn import Turn
    from ante_nb.notebook.state import KernelState


async def run_cell(line: str, body: str) -> None:
    """A ``%%ante`` cell, awaited."""
    from IPython import get_ipython

    shell = get_ipython()
    state = kernel_state(shell)
    from ante_nb.notebook.frontend import is_plain

    if is_plain(shell):  # what ends a cell in a terminal, empty or indented lines, is no part of it
        body = body.rstrip()
    prompt, flags = _parsed(line, body, typed=body in (state.source or ""))
    if prompt is None or state.is_silent or _took_summary(state, prompt, flags):
        return
    from ante_nb.notebook.kernel_version import warn_once
    from ante_nb.notebook.runner import run_awaited

    warn_once(state)
    options = _options(shell, flags)
    turn = await run_awaited(state, prompt, options, verbose=flags.verbose, cell=state.cell_id)
    _end(shell, turn, flags)


async def run_fix(line: str) -> None:
    """``%ante fix``, awaited."""
    from IPython import get_ipython

    from ante_nb.notebook.commands import fix_prompt
    from ante_nb.notebook.runner import run_awaited

    shell = get_ipython()
    state = kernel_state(shell)
    flags = arguments.parse("")
    turn = await run_awaited(state, fix_prompt(state, line), arguments.options_of(flags), cell=state.cell_id)
    _end(shell, turn, flags)


def run_fix_blocking(shell: Any, line: str) -> None:
    """``%ante fix`` where the cell cannot be awaited (it is not the only line of its cell)."""
    from ante_nb.notebook.commands import fix_prompt
    from ante_nb.notebook.runner import run_blocking

    state = kernel_state(shell)
    flags = arguments.parse("")
    turn = run_blocking(state, fix_prompt(state, line), arguments.options_of(flags), cell=state.cell_id)
    _end(shell, turn, flags)


def run_cell_blocking(shell: Any, line: str, body: str) -> None:
    """A ``%%ante`` cell, blocking this thread."""
    state = kernel_state(shell)
    prompt, flags = _parsed(line, body)
    if prompt is None or _took_summary(state, prompt, flags):
        return
    from ante_nb.notebook.runner import run_blocking

    options = _options(shell, flags)
    turn = run_blocking(state, prompt, options, verbose=flags.verbose, cell=state.cell_id)
    _end(shell, turn, flags)


def _parsed(line: str, body: str, *, typed: bool = False) -> tuple[str | None, Any]:
    """The prompt and the flags; no prompt where there is nothing to send.

    IPython ends every cell with a line break, which is taken back unless it was ``typed``.
    """
    flags = arguments.parse(line)
    if flags.help:
        print(arguments.cell_help())
        return None, flags
    prompt = body if typed else body.removesuffix("\n")
    if not prompt.strip():
        print("ante: the prompt is empty. Write it below the first line; `%%ante -h` shows the flags.")
        return None, flags
    return prompt, flags


def _took_summary(state: KernelState, prompt: str, flags: Any) -> bool:
    """Whether the cell is no prompt but the conversation's summary."""
    if flags.summary:
        from ante_nb.notebook.context_commands import edit_summary

        edit_summary(state, prompt)
    return bool(flags.summary)


def _options(shell: Any, flags: Any) -> Any:
    """The flags as turn options; ``--schema`` names an object of the person's namespace.

    Raises:
        ConfigError: there is no such object.
    """
    options = arguments.options_of(flags)
    if flags.schema is not None:
        from ante_nb.errors import ConfigError

        first, *rest = flags.schema.split(".")
        found = shell.user_ns.get(first)
        for name in rest:
            found = getattr(found, name, None)
        if found is None:
            raise ConfigError(
                f"--schema: there is no {flags.schema} in this kernel",
                "Run the cell that defines it first; a pydantic model, dataclass, TypedDict or dict will do.",
            )
        options.schema = found
    return options


def _end(shell: Any, turn: Turn, flags: Any) -> None:
    """Bind the turn, then raise what ended it, so that Run All, nbclient and papermill stop."""
    if turn.preview is not None:
        from ante_nb.notebook.context_commands import show_preview

        show_preview(turn.preview, verbose=flags.verbose)
        return
    shell.user_ns["_ante"] = turn
    if flags.output:
        shell.user_ns[flags.output] = turn
    if turn.error is None:
        return
    if flags.keep_going:
        from ante_nb.redact import redact
        from ante_nb.visible import visible

        print(visible(redact(f"ante: {turn.error}")))
        return
    raise turn.error
