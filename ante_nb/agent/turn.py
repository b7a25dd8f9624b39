"""The result of a turn: what ``ask()`` returns and ``-o`` binds. The public contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from ante_nb.agent.dry_run import Preview
    from ante_nb.errors import AnteError
    from ante_nb.messages import Message, StopReason, ToolResult, Usage
    from ante_nb.providers.transports.ledger import Sent

TurnStatus: TypeAlias = Literal["completed", "failed", "interrupted", "max_steps"]

REPLAYED = "replay"
"""``Turn.transport`` where the last answer came from a recording."""


@dataclass(slots=True)
class StepToolCall:
    """A tool call of a step and what came of it."""

    id: str
    name: str
    arguments: dict[str, Any]
    result: ToolResult | None = None
    status: str = "pending"
    seconds: float = 0.0
    data: str = ""
    """``sent`` where the result may carry values of the person's data, ``withheld`` where the policy kept
    them in."""


@dataclass(slots=True)
class Step:
    """One model call and its tool calls."""

    id: str
    message: Message
    tool_calls: list[StepToolCall] = field(default_factory=list)
    usage: Usage | None = None
    stop_reason: StopReason | None = None

    @property
    def text(self) -> str:
        return self.message.text

    @property
    def thinking(self) -> str:
        return self.message.thinking


@dataclass(frozen=True, slots=True)
class Changes:
    """What a turn changed, by what happened to it: paths relative to the working directory, variables."""

    files_new: tuple[str, ...] = ()
    files_changed: tuple[str, ...] = ()
    files_deleted: tuple[str, ...] = ()
    variables_new: tuple[str, ...] = ()
    variables_changed: tuple[str, ...] = ()
    variables_gone: tuple[str, ...] = ()


NO_CHANGES = Changes()


@dataclass(slots=True, repr=False)
class Turn:
    """One prompt and everything that came of it.

    ``status`` is ``completed``, ``failed``, ``interrupted`` or ``max_steps``; ``text`` the exact answer;
    ``value`` the validated object when a ``schema`` was given; ``usage`` the sum over the steps (input
    includes cache, output includes reasoning) or ``None`` if no server reported any; ``cost`` US dollars
    or ``None`` when unknown; ``messages`` the conversation up to and with this turn; ``files`` and
    ``variables`` what its tools changed; ``error`` what ended it, if anything did.
    """

    id: str
    session_id: str
    prompt: str = ""
    status: TurnStatus = "completed"
    value: Any = None
    usage: Usage | None = None
    cost: float | None = None
    cost_note: str | None = None
    """``plan`` or ``unknown`` where ``cost`` is ``None``."""
    stop_reason: StopReason | None = None
    provider: str = ""
    model: str = ""
    thinking_level: str | None = None
    transport: str = ""
    steps: list[Step] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: AnteError | None = None
    sent: list[Sent] = field(default_factory=list)
    """What went out to the provider, byte for byte (``%ante sent``)."""
    attached: frozenset[str] = frozenset()
    """The texts that were attached to the prompt."""
    replayed: int = 0
    """Steps whose answer came from a recording: nothing was sent, nothing billed."""
    divergences: list[str] = field(default_factory=list)
    """Where this run differs from what was recorded."""
    preview: Preview | None = None
    """What would have been sent, of a dry run."""
    changes: Changes = NO_CHANGES
    """``files`` and ``variables`` sorted into new, changed and gone."""

    @property
    def text(self) -> str:
        """The exact text of all steps, joined by a blank line."""
        return "\n\n".join(step.text for step in self.steps if step.text)

    @property
    def thinking(self) -> str:
        return "\n\n".join(step.thinking for step in self.steps if step.thinking)

    @property
    def tool_calls(self) -> list[StepToolCall]:
        return [call for step in self.steps for call in step.tool_calls]

    def __repr__(self) -> str:
        words = f"{len(self.steps)} step{'s' * (len(self.steps) != 1)}"
        return f"<Turn {self.id} {self.status} {self.provider}/{self.model}, {words}, {len(self.text)} characters>"
