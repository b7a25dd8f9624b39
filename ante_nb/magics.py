"""``%ante`` and ``%%ante``: parse, then hand over.

``%load_ext ante_nb`` lands in :func:`load`; it imports neither a provider nor an HTTP client, opens no
socket and writes no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class
from traitlets import Unicode, observe

from ante_nb.notebook import arguments
from ante_nb.notebook.state import kernel_state
from ante_nb.notebook.transformer import PromptTransformer

if TYPE_CHECKING:
    from ante_nb.agent.turn import Turn


@magics_class
class AnteMagics(Magics):
    """The coding agent of this kernel.

    What ``ipython_config.py`` sets here ranks below ``settings.json``; ``%config AnteMagics.model = ...``
    is the same as ``%ante model ...``.
    """

    provider = Unicode("", help="Provider id, e.g. 'anthropic' or 'local'.").tag(config=True)
    model = Unicode("", help="Model id.").tag(config=True)
    thinking = Unicode("", help="Thinking level: min low medium high xhigh max.").tag(config=True)
    mode = Unicode("", help="Permission mode: strict or auto.").tag(config=True)

    def __init__(self, shell: Any) -> None:
        self._loaded = False
        super().__init__(shell=shell)
        config = kernel_state(shell).runtime.config
        for name in ("provider", "model", "thinking", "mode"):
            setattr(config, name, getattr(self, name) or None)
        self._loaded = True

    @observe("provider", "model", "thinking", "mode")
    def _configured(self, change: Any) -> None:
        if self._loaded:
            from ante_nb.notebook.commands import choose

            choose(kernel_state(self.shell), change["name"], change["new"] or None)

    @line_cell_magic
    def ante(self, line: str, cell: str | None = None) -> None:
        if cell is not None:
            _run_cell_blocking(self.shell, line, cell)
            return
        from ante_nb.notebook.commands import run

        run(kernel_state(self.shell), line)


AnteMagics.ante.__doc__ = arguments.full_help()


def load(shell: Any) -> None:
    """Register the magics and the prompt transformer with ``shell``; a second call changes nothing."""
    if any(isinstance(t, PromptTransformer) for t in shell.input_transformers_cleanup):
        return
    shell.register_magics(AnteMagics(shell))
    shell.input_transformers_cleanup.insert(0, PromptTransformer(shell))
    shell.events.register("post_run_cell", kernel_state(shell).note_result)


def unload(shell: Any) -> None:
    """Take back what :func:`load` did. The session and the choices stay until the kernel ends."""
    transformers = shell.input_transformers_cleanup
    transformers[:] = [t for t in transformers if not isinstance(t, PromptTransformer)]
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("ante", None)
    shell.magics_manager.registry.pop("AnteMagics", None)
    try:
        shell.events.unregister("post_run_cell", kernel_state(shell).note_result)
    except ValueError:
        pass


# ------------------------------------------------------------------------- what a rewritten cell calls


async def run_cell(line: str, body: str) -> None:
    """A ``%%ante`` cell, awaited."""
    from IPython import get_ipython

    shell = get_ipython()
    state = kernel_state(shell)
    prompt, flags = _parsed(line, body)
    if prompt is None or state.is_silent:
        return
    from ante_nb.notebook.runner import run_awaited

    turn = await run_awaited(
        state, prompt, arguments.options_of(flags), verbose=flags.verbose, cell=state.cell_id
    )
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


def _run_cell_blocking(shell: Any, line: str, body: str) -> None:
    prompt, flags = _parsed(line, body)
    if prompt is None:
        return
    from ante_nb.notebook.runner import run_blocking

    state = kernel_state(shell)
    turn = run_blocking(state, prompt, arguments.options_of(flags), verbose=flags.verbose, cell=state.cell_id)
    _end(shell, turn, flags)


def _parsed(line: str, body: str) -> tuple[str | None, Any]:
    """The prompt and the flags; no prompt where there is nothing to send."""
    flags = arguments.parse(line)
    if flags.help:
        print(arguments.cell_help())
        return None, flags
    # IPython ends every cell with a line break that nobody typed.
    prompt = body[:-1] if body.endswith("\n") else body
    if not prompt.strip():
        print("ante: the prompt is empty. Write it below the first line; `%%ante -h` shows the flags.")
        return None, flags
    return prompt, flags


def _end(shell: Any, turn: Turn, flags: Any) -> None:
    """Bind the turn, then raise what ended it, so that Run All, nbclient and papermill stop."""
    shell.user_ns["_ante"] = turn
    if flags.output:
        shell.user_ns[flags.output] = turn
    if turn.error is None:
        return
    if flags.keep_going:
        from ante_nb.redact import redact

        print(redact(f"ante: {turn.error}"))
        return
    raise turn.error
