"""One :class:`KernelState` per kernel: what magics, widgets and the kernel share, none holds a copy."""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb.notebook.made import Made

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.agent.host import ApprovalPresenter, QuestionPresenter
    from ante_nb.agent.runtime import Runtime
    from ante_nb.agent.session import Session
    from ante_nb.notebook.cells.executed import Executed
    from ante_nb.notebook.live_outputs import LiveOutputs


@dataclass(slots=True)
class Failure:
    """The last cell that ended in an error: its source and the error."""

    source: str
    error: BaseException


@dataclass(slots=True, weakref_slot=True)
class KernelState:
    """The state of one kernel.

    ``presenters`` are asked in order which of them can get an approval answered now; stdin is the last.
    The same holds for ``question_presenters`` and the model's questions.
    """

    shell: Any
    configured: dict[str, str] = field(default_factory=dict)
    """What ``ipython_config.py`` says, kept until the runtime is made."""
    kernelspec: dict[str, str] = field(default_factory=dict)
    """The provider and model that ante-kernel was started with, kept likewise."""
    as_python: Callable[[str], str] = str
    """The source of a cell of this kernel as a Python kernel with the magics would have it."""
    as_cell: Callable[[str], str] = str
    """The way back. In a Python kernel both change nothing."""
    presenters: list[ApprovalPresenter] = field(default_factory=list)
    cards: dict[str, Callable[..., Any]] = field(default_factory=dict)
    """What makes a card, by its name; empty where there are no widgets."""
    question_presenters: list[QuestionPresenter] = field(default_factory=list)
    desk: Any = None
    """What the panels of this kernel share; made when the first one is shown."""
    executed: dict[str, Executed] = field(default_factory=dict)
    """What was run in this kernel, each cell as it was run last: by cell id, or by ``In[n]`` without one."""
    silent_page: str = ""
    """The client whose page did not answer when its cells were asked for."""
    made: Made = field(default_factory=Made)
    """Which cell made which variable."""
    greeted: bool = False
    """Whether an earlier session of the notebook was looked for."""
    missed_cards: str = ""
    """The client whose page did not report the last card: the next one waits for it a shorter time."""
    outputs: LiveOutputs | None = None
    """What the running prompt has shown, where pages can be told of it."""
    last_failure: Failure | None = None
    in_tool: bool = False
    """Whether code of the Python tool runs now; a turn must not start inside of it."""
    version_warned: bool = False
    """Whether this kernel's version of ipykernel was warned of."""
    _runtime: Runtime | None = None

    @property
    def runtime(self) -> Runtime:
        """Session, choices, connection; made on first use, so that loading the extension imports little."""
        if self._runtime is None:
            from ante_nb.agent.options import Choices
            from ante_nb.agent.runtime import Runtime

            self._runtime = Runtime(kernelspec=Choices(**self.kernelspec), config=Choices(**self.configured))
        return self._runtime

    @property
    def session_if_any(self) -> Session | None:
        """The present session, where the runtime was made already."""
        return self._runtime.session if self._runtime is not None else None

    @property
    def is_kernel(self) -> bool:
        """Whether a Jupyter kernel runs the shell (else: IPython in a terminal)."""
        return getattr(self.shell, "kernel", None) is not None

    @property
    def notebook_path(self) -> Path | None:
        """The running notebook's file, as far as the front end tells it."""
        told = os.environ.get("JPY_SESSION_NAME") or self.shell.user_ns.get("__vsc_ipynb_file__")
        if not isinstance(told, str) or not told.endswith(".ipynb"):
            return None
        return Path(told).absolute()

    @property
    def cell_id(self) -> str | None:
        """The id of the running cell, where the front end sends one."""
        found = self.request.get("metadata", {}).get("cellId")
        return found if isinstance(found, str) and found else None

    @property
    def source(self) -> str | None:
        """The running cell as the front end sent it; ``None`` in a terminal."""
        found = self.request.get("content", {}).get("code")
        return found if isinstance(found, str) else None

    @property
    def is_silent(self) -> bool:
        """Whether a front end runs code behind the person's back (VS Code does): no prompt may start so."""
        return bool(self.request.get("content", {}).get("silent", False))

    @property
    def request(self) -> dict[str, Any]:
        """The message that the running cell came with; empty in a terminal."""
        if not self.is_kernel:
            return {}
        try:
            return self.shell.get_parent() or {}
        except Exception:
            return {}

    def note_result(self, result: Any) -> None:
        """``post_run_cell`` hook: remember what was run, and the last failure, for ``%ante fix``."""
        self._note_source(result)
        error = getattr(result, "error_before_exec", None) or getattr(result, "error_in_exec", None)
        source = getattr(getattr(result, "info", None), "raw_cell", None) or ""
        source = self.as_python(source)
        own = source.lstrip().startswith(("%%ante", "%ante"))
        if error is not None and not own and not isinstance(error, KeyboardInterrupt):
            self.last_failure = Failure(source, error)

    def _note_source(self, result: Any) -> None:
        from ante_nb.notebook.cells.executed import Executed
        from ante_nb.notebook.earlier import note_variables

        info, count = getattr(result, "info", None), getattr(result, "execution_count", None)
        source = getattr(info, "raw_cell", None)
        if (
            self.in_tool
            or not source
            or not isinstance(count, int)
            or not getattr(info, "store_history", False)
        ):
            return
        cell = getattr(info, "cell_id", None) or self.cell_id
        self.executed[cell or f"In[{count}]"] = Executed(source, count, cell)
        note_variables(self, cell, count)


_states: weakref.WeakKeyDictionary[Any, KernelState] = weakref.WeakKeyDictionary()


def kernel_state(shell: Any) -> KernelState:
    """The state of the kernel that ``shell`` belongs to; made on first use."""
    state = _states.get(shell)
    if state is None:
        state = _states[shell] = KernelState(shell)
    return state
