"""The seam between the agent and the world it works in.

The agent knows no IPython. What it needs of its surroundings it asks of a ``Host``:
``notebook/host.py`` implements it for Jupyter, ``agent/headless.py`` for plain Python. Every method is
called on the agent's own event loop; a host that must act elsewhere (the kernel's main thread) crosses
over by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ante_nb.messages import Image, ToolCall, TurnEvent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PythonResult:
    """What running Python in the person's namespace gave.

    ``stdout`` and ``stderr`` as captured, ``value`` the text form of the last expression, ``displays``
    the ``text/plain`` of further rich output, ``images`` what was plotted. ``error`` is the traceback
    without colour codes, ``interrupted`` whether the person stopped it.
    """

    stdout: str = ""
    stderr: str = ""
    value: str | None = None
    displays: tuple[str, ...] = ()
    images: tuple[Image, ...] = ()
    error: str | None = None
    interrupted: bool = False
    variables: tuple[str, ...] = ()
    """Names that the code bound anew, rebound or deleted."""
    rich: tuple[Mapping[str, Any], ...] = ()
    """What was displayed, as MIME bundles for the person; the model gets ``displays`` and ``images``."""
    described: Mapping[str, str] = field(default_factory=dict)
    """The value of the last expression as the data policies ``schema`` and ``stats`` let it be seen."""
    error_class: str = ""
    """The name of the error's class: what may be told of it where its message may not."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A notebook cell: ``number`` counts from 1 in document order."""

    number: int
    kind: Literal["code", "markdown", "raw"]
    source: str
    outputs: str = ""
    id: str | None = None
    count: int | None = None
    """``In[count]``, where it was run."""
    shapes: str = ""
    """The outputs without any value: kinds, lines, characters, the class of an error."""
    images: tuple[tuple[str, str], ...] = ()
    """Images in the outputs or attached to the cell: media type and base64."""
    current: bool = False
    """Whether it is the cell of the running prompt."""
    note: str = ""
    """What is not known of it."""


@dataclass(frozen=True, slots=True)
class Notebook:
    """The cells, and how far they can be relied on: ``live`` from the front end's own model, ``saved`` from
    the file and what was run since, ``history`` from what was run alone."""

    cells: tuple[Cell, ...] = ()
    origin: Literal["live", "saved", "history"] = "history"
    note: str = ""


@dataclass(frozen=True, slots=True)
class CellEdit:
    """A change of the notebook, to be done by its front end.

    ``id`` names the cell; for an insertion the one above (``top``: none; empty: the prompt's own cell or
    what was inserted below it before). ``expected`` is the cell's text as the model saw it, ``kind`` the
    kind of the cell.
    """

    action: Literal["insert", "replace", "delete", "run"]
    id: str
    expected: str = ""
    source: str = ""
    kind: Literal["code", "markdown"] = "code"


@dataclass(frozen=True, slots=True)
class CellReport:
    """What became of it. ``queued``: it runs when the prompt's cell has ended; ``stale``: the cell is not
    what the model saw; ``unconfirmed``: sent, and nobody said what happened. Cell as it is now."""

    status: Literal["applied", "queued", "stale", "refused", "unconfirmed"]
    reason: str = ""
    id: str | None = None
    number: int | None = None
    source: str | None = None


ApprovalAnswer: TypeAlias = Literal["once", "session", "always", "deny"]


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A tool call that needs the person's word.

    ``summary`` is one line (``Bash: rm -r build``); ``detail`` the whole command, code or diff;
    ``reason`` why it is asked; ``grant`` the rule that "for this session" would add.
    """

    call: ToolCall
    summary: str
    detail: str = ""
    reason: str = ""
    grant: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """The person's answer; ``feedback`` is told to the model with a denial."""

    answer: ApprovalAnswer
    feedback: str = ""
    by: str = "person"
    """``person``, or ``unattended`` where there was nobody to ask."""


@dataclass(frozen=True, slots=True)
class Question:
    """A multiple-choice question of the model."""

    header: str
    question: str
    options: tuple[str, ...] = ()
    multiple: bool = False
    custom: bool = True
    """Whether an answer beside the options is taken; without options it always is."""


class ApprovalPresenter(Protocol):
    """Shows an approval request and gets the answer: stdin, a widget card, a panel.

    ``ready`` says, within at most ``timeout`` seconds, whether this presenter's answers can arrive in
    the present front end. The first registered presenter that is ready is asked; none means deny.
    """

    name: str

    async def ready(self, timeout: float) -> bool: ...

    async def ask(self, request: ApprovalRequest) -> Approval: ...


class QuestionPresenter(Protocol):
    """Shows the model's questions and gets the answers; ``ready`` as for :class:`ApprovalPresenter`."""

    name: str

    async def ready(self, timeout: float) -> bool: ...

    async def ask(self, questions: tuple[Question, ...]) -> list[list[str]] | None:
        """The answers, a list for each question; ``None`` where the person gave none."""
        ...


class Host(Protocol):
    """What the agent may ask of its surroundings."""

    @property
    def cwd(self) -> Path:
        """The working directory that file tools and Bash act in."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """The environment for child processes, without any credential."""
        ...

    @property
    def notebook_path(self) -> Path | None:
        """The running notebook's file, which no tool may edit on disk."""
        ...

    @property
    def has_python(self) -> bool:
        """Whether ``run_python`` works here."""
        ...

    async def run_python(
        self, code: str, on_output: Callable[[str], None], timeout: float | None = None
    ) -> PythonResult:
        """Run code in the person's namespace, one call at a time; ``on_output`` gets live output, and after
        ``timeout`` seconds it is ended with a ``TimeoutError``."""
        ...

    @property
    def namespace(self) -> dict[str, Any] | None:
        """The person's namespace itself, shell names and all; only to be touched from within ``variables``."""
        ...

    async def call(self, function: Callable[[], Any]) -> Any:
        """What the person's own function returns, called on the thread of their variables; a coroutine is
        awaited there."""
        ...

    async def variables(self, look: Callable[[dict[str, Any]], T]) -> T:
        """What ``look`` returns for the person's own variables, called on the thread that they live on.

        The mapping is a copy: names of the shell, of modules and with a leading underscore are left out.
        """
        ...

    @property
    def has_cells(self) -> bool:
        """Whether there is a notebook, or at least a history of inputs."""
        ...

    async def notebook(self, ids: tuple[str, ...] = ()) -> Notebook:
        """The notebook's cells; of those named by ``ids`` whole outputs and images."""
        ...

    async def edit_cell(self, edit: CellEdit) -> CellReport:
        """Change the notebook through its front end; never raises for what the front end refuses."""
        ...

    async def propose_cell(self, source: str) -> bool:
        """Propose the next code cell; whether that replaces one that was proposed in this turn."""
        ...

    async def approve(self, request: ApprovalRequest) -> Approval:
        """Ask the person; with nobody to ask, ``Approval("deny", by="unattended")``."""
        ...

    async def ask_user(self, questions: tuple[Question, ...]) -> list[list[str]] | None:
        """Ask the person questions; ``None`` with nobody to ask."""
        ...

    def show(self, event: TurnEvent) -> None:
        """Show or record an event. Never blocks, never raises."""
        ...


@dataclass(slots=True)
class ToolContext:
    """What a tool gets to work with, for the length of one call."""

    host: Host
    call: ToolCall
    state: Any
    """The session's :class:`~ante_nb.agent.tools.base.ToolState`: files read, task list, limits."""
    emit: Callable[[str], None] = field(default=lambda text: None)
    """Live output for the person."""
    cancelled: Callable[[], bool] = field(default=lambda: False)
    """Polled by tools that run in a worker thread."""
    bindings: dict[str, str] | None = None
    """What the names in the call's Python code are bound to, for the permissions' judgement of it."""
