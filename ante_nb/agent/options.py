"""What a cell or call says of its turn, and what is chosen for all following ones: pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ante_nb.errors import ConfigError

MODES = ("strict", "auto", "yolo")


@dataclass(slots=True)
class TurnOptions:
    """What one cell or one ``ask()`` says; ``None`` leaves it to the layers below."""

    provider: str | None = None
    model: str | None = None
    thinking: str | None = None
    tools: str | None = None
    mode: str | None = None
    allow: tuple[str, ...] = ()
    max_steps: int | None = None
    append: bool = False
    tool_choice: str | None = None
    schema: Any = None
    data_policy: str | None = None
    variables: tuple[str, ...] = ()
    """Variables to attach beside those that the prompt mentions."""
    fresh: bool = False
    """Whether a recorded answer is passed over, and this one recorded in its place."""
    item: str | None = None
    """Text that follows the prompt and is no part of it: one of many that it is put to."""
    mentions: bool = True
    """Whether ``@file`` and the like attach anything."""
    dry_run: bool = False
    """Whether nothing is sent, and ``Turn.preview`` says what would be."""
    max_tokens: float | None = None
    max_cost: float | None = None
    """US dollars."""
    max_seconds: float | None = None


@dataclass(slots=True)
class Choices:
    """The session layer: what was chosen for all following turns, the last act wins."""

    provider: str | None = None
    model: str | None = None
    thinking: str | None = None
    mode: str | None = None
    tools: str | None = None
    openai_transport: str | None = None
    data_policy: str | None = None


def parse_mode(text: str) -> str:
    """A permission mode in any case. Raises ``ConfigError`` with what is allowed."""
    value = text.strip().lower()
    value = "strict" if value == "default" else value
    if value not in MODES:
        raise ConfigError(f"there is no permission mode {text!r}", f"Use one of {', '.join(MODES)}.")
    return value
