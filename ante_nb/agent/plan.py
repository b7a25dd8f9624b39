"""What a turn is to do: made by :mod:`ante_nb.agent.planning`, run by :mod:`ante_nb.agent.loop`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.agent.limits import Budget
    from ante_nb.agent.permissions import Permissions
    from ante_nb.agent.replay.tape import Tape
    from ante_nb.agent.session import Node
    from ante_nb.agent.structured import AnswerTool
    from ante_nb.agent.tools.base import Tool
    from ante_nb.messages import Message
    from ante_nb.providers.spec import Choice


@dataclass(slots=True)
class Plan:
    """Everything a turn needs, resolved and frozen before it starts."""

    prompt: str
    choice: Choice
    system: str
    tools: dict[str, Tool]
    permissions: Permissions
    history: list[Message]
    node: Node
    budget: Budget
    opening: tuple[Message, ...]
    """The surroundings, where they are not known yet, then the prompt as typed with its attachments."""
    status: dict[str, tuple[str, str]] = field(default_factory=dict)
    attachments: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    max_steps: int = 50
    auto_compact: bool = True
    tool_choice: str = "auto"
    answer: AnswerTool | None = None
    """Where a ``schema`` was given: the tool whose call ends the turn."""
    tape: Tape | None = None
    """Where answers are recorded or replayed."""
    always: Callable[[str], None] = lambda rule: None
    granted: Callable[[str], None] = lambda rule: None
