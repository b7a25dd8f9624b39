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


@dataclass(frozen=True, slots=True)
class Cell:
    """A notebook cell: ``number`` counts from 1 in document order."""

    number: int
    kind: Literal["code", "markdown", "raw"]
    source: str
    outputs: str = ""
    id: str | None = None


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


class ApprovalPresenter(Protocol):
    """Shows an approval request and gets the answer: stdin, a widget card, a panel.

    ``ready`` says, within at most ``timeout`` seconds, whether this presenter's answers can arrive in
    the present front end. The first registered presenter that is ready is asked; none means deny.
    """

    name: str

    async def ready(self, timeout: float) -> bool: ...

    async def ask(self, request: ApprovalRequest) -> Approval: ...


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

    async def run_python(self, code: str, on_output: Callable[[str], None]) -> PythonResult:
        """Run code in the person's namespace, one call at a time; ``on_output`` gets live output."""
        ...

    async def variables(self, look: Callable[[dict[str, Any]], T]) -> T:
        """What ``look`` returns for the person's own variables, called on the thread that they live on.

        The mapping is a copy: names of the shell, of modules and with a leading underscore are left out.
        """
        ...

    async def cells(self) -> list[Cell]:
        """The notebook's cells; empty where there is no notebook."""
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
