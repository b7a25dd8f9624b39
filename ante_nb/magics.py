"""``%ante`` and ``%%ante``: parse, then hand over.

``%load_ext ante_nb`` lands in :func:`load`; it imports neither a provider nor an HTTP client, opens no
socket and writes no file.
"""

from __future__ import annotations

from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class
from traitlets import HasTraits, Unicode
from traitlets.config import Config

from ante_nb.notebook import arguments, live_outputs
from ante_nb.notebook.completion import AnteMatcher
from ante_nb.notebook.kernel_version import warn_once
from ante_nb.notebook.state import kernel_state
from ante_nb.notebook.transformer import PromptTransformer


class _Choice(Unicode[str, str]):
    """Chooses whenever it is set, also to the value it has: ``%ante`` may have chosen another since."""

    def set(self, obj: HasTraits, value: str) -> None:
        if isinstance(obj, AnteMagics) and isinstance(value, str) and self.name is not None:
            obj.choose(self.name, value)
        super().set(obj, value)


@magics_class
class AnteMagics(Magics):
    """The coding agent of this kernel.

    What ``ipython_config.py`` sets here ranks below ``settings.json``; ``%config AnteMagics.model = ...``
    is the same as ``%ante model ...``.
    """

    provider = _Choice("", help="Provider id, e.g. 'anthropic' or 'local'.").tag(config=True)
    model = _Choice("", help="Model id.").tag(config=True)
    thinking = _Choice("", help="Thinking level: min low medium high xhigh max.").tag(config=True)
    mode = _Choice("", help="Permission mode: strict or auto.").tag(config=True)
    openai_transport = _Choice("", help="How OpenAI streams: http_sse or websocket_auto.").tag(config=True)

    data_policy = _Choice("", help="What of your data a model may see: schema, stats, sample or full.").tag(
        config=True
    )

    def __init__(self, shell: Any) -> None:
        self._loaded = False
        self._chosen: dict[str, str] | None = None
        super().__init__(shell=shell)
        names = ("provider", "model", "thinking", "mode", "openai_transport", "data_policy")
        kernel_state(shell).configured = {name: getattr(self, name) for name in names if getattr(self, name)}
        self._loaded = True

    def update_config(self, config: Config) -> None:
        """``%config`` calls this. What was configured before is not set again: it may be chosen otherwise."""
        self.config = Config()
        self._chosen = {}
        try:
            super().update_config(config)
        finally:
            self._chosen = None

    def choose(self, name: str, value: str) -> None:
        """A trait was set: the same as ``%ante name value``, once the magics are loaded."""
        if self._chosen is not None:  # traitlets sets a changed trait a second time before it tells of it
            if self._chosen.get(name) == value:
                return
            self._chosen[name] = value
        if self._loaded:
            from ante_nb.notebook.commands import choose

            choose(kernel_state(self.shell), name, value or None)

    @line_cell_magic
    def ante(self, line: str, cell: str | None = None) -> None:
        if cell is not None:
            from ante_nb.notebook.cell import run_cell_blocking

            run_cell_blocking(self.shell, line, cell)
            return
        from ante_nb.notebook.commands import run

        run(kernel_state(self.shell), line)


AnteMagics.ante.__doc__ = arguments.full_help()


def _sign_in_card(*args: Any, **state: Any) -> Any:
    """Imported when a card is shown: widgets take their time."""
    from ante_nb.widgets.sign_in_card import SignInCard

    return SignInCard(*args, **state)


def _approval_card(*args: Any, **state: Any) -> Any:
    from ante_nb.widgets.approval_card import ApprovalCard

    return ApprovalCard(*args, **state)


def _question_card(*args: Any, **state: Any) -> Any:
    from ante_nb.widgets.question_card import QuestionCard

    return QuestionCard(*args, **state)


def _panel_card(state: Any) -> Any:
    from ante_nb.widgets.panel import PanelCard

    return PanelCard(state)


_PANEL = "ante_nb.panel"
"""The comm target that a page with our extension opens; :data:`ante_nb.widgets.panel.TARGET`."""


def _serve_panels(shell: Any) -> None:
    """Answer pages that open a panel. The panel's code is imported by the first one."""
    manager = getattr(getattr(shell, "kernel", None), "comm_manager", None)
    if manager is None:
        return

    def opened(comm: Any, message: Any) -> None:
        from ante_nb.widgets import panel

        panel.opened(kernel_state(shell), comm, message)

    manager.register_target(_PANEL, opened)


def load(shell: Any) -> None:
    """Register the magics and the prompt transformer with ``shell``; a second call changes nothing."""
    if any(isinstance(t, PromptTransformer) for t in shell.input_transformers_cleanup):
        return
    shell.register_magics(AnteMagics(shell))
    live_outputs.serve(kernel_state(shell))
    kernel_state(shell).cards.update(sign_in=_sign_in_card, approval=_approval_card, question=_question_card)
    kernel_state(shell).cards["panel"] = _panel_card
    _serve_panels(shell)
    shell.input_transformers_cleanup.insert(0, PromptTransformer(shell))
    kernel_state(shell).made.look(shell.user_ns, getattr(shell, "user_ns_hidden", {}), None, 0)
    shell.events.register("post_run_cell", kernel_state(shell).note_result)
    if (completer := getattr(shell, "Completer", None)) is not None:
        completer.custom_matchers.append(AnteMatcher(shell))
    if kernel_state(shell).source is not None:  # else no cell runs that could show it
        warn_once(kernel_state(shell))


def unload(shell: Any) -> None:
    """Take back what :func:`load` did. The session and the choices stay until the kernel ends."""
    transformers = shell.input_transformers_cleanup
    transformers[:] = [t for t in transformers if not isinstance(t, PromptTransformer)]
    if (completer := getattr(shell, "Completer", None)) is not None:
        matchers = completer.custom_matchers
        matchers[:] = [matcher for matcher in matchers if not isinstance(matcher, AnteMatcher)]
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("ante", None)
    shell.magics_manager.registry.pop("AnteMagics", None)
    live_outputs.stop_serving(kernel_state(shell))
    manager = getattr(getattr(shell, "kernel", None), "comm_manager", None)
    if manager is not None:
        manager.targets.pop(_PANEL, None)
    try:
        shell.events.unregister("post_run_cell", kernel_state(shell).note_result)
    except ValueError:
        pass
