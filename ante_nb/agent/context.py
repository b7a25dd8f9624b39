"""How much of the model's context a conversation takes, and what takes it.

No vendor's tokenizer is at hand, so tokens are estimated from the length of what is sent. As soon as a
vendor has counted a request, the estimate is scaled by what it said: the sum is then right to a few
per cent, the categories keep their proportions.
"""

from __future__ import annotations

import json
import operator
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ante_nb.messages import Image, Opaque, Text, Thinking, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ante_nb.agent.runtime import Runtime
    from ante_nb.messages import Message, Part, Usage
    from ante_nb.providers.spec import Choice, ToolSpec

BYTES_A_TOKEN = 3.7
"""Prose has about 4.5 bytes a token, code and JSON 3 to 3.5 (the vendors' own rule of thumb says 4)."""

IMAGE_TOKENS = 1_200
"""A picture of 1000 x 1000 pixels or so; vendors count between 260 and 1,600 for one."""

MESSAGE_TOKENS = 4
"""What surrounds a message on the wire."""

SUMMARY_MARK = "<summary>"
"""How a message begins that stands for a conversation that was compacted."""

CATEGORIES = (
    "system",
    "tools",
    "your prompts",
    "attachments",
    "answers",
    "thinking",
    "tool calls",
    "tool results",
    "summary",
)

_SURROUNDINGS = ("<environment>", "<changes>")


@dataclass(frozen=True, slots=True)
class ContextRow:
    """A category of the context, and its tokens."""

    name: str
    tokens: int


@dataclass(frozen=True, slots=True)
class ContextReport:
    """What the next request would take of the context.

    ``limit`` is the model's context in tokens (``None``: unknown), ``used`` the sum of all rows but
    ``free``. ``rows`` has every category of :data:`CATEGORIES`, also those with nothing in them, and
    ``free`` last where the limit is known. ``estimated`` is false once the sum rests on a count of the
    vendor's. ``compacts_at`` is where the conversation is compacted by itself (``None``: never).
    """

    limit: int | None
    used: int
    rows: tuple[ContextRow, ...]
    estimated: bool
    provider: str = ""
    model: str = ""
    compacts_at: int | None = None


def text_tokens(text: str) -> float:
    """The estimated tokens of a text."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return size / BYTES_A_TOKEN


class Gauge:
    """Measures conversations for one model.

    Args:
        choice: the model they are sent to; ``None`` where none can be used yet.
        system: the system prompt.
        tools: what the model is told of its tools.
    """

    def __init__(self, choice: Choice | None, system: str, tools: Sequence[ToolSpec]) -> None:
        self.choice = choice
        self._head = {
            "system": text_tokens(system) + MESSAGE_TOKENS,
            "tools": sum(
                text_tokens(tool.name + tool.description + json.dumps(tool.parameters)) + 8 for tool in tools
            ),
        }
        self._ratio: float | None = None
        self._known: dict[int, tuple[Message, dict[str, float]]] = {}
        self._seen: list[Message] = []
        self._total = dict(self._head)
        self._lock = threading.Lock()

    @property
    def key(self) -> tuple[str, str]:
        """Provider and model."""
        return _key(self.choice)

    @property
    def limit(self) -> int | None:
        """The model's context in tokens."""
        if self.choice is None:
            return None
        model = self.choice.model
        if model.context_limit is None and self.choice.provider.id == "local":
            from ante_nb.local.provider import known_context

            return known_context(model.id)
        return model.context_limit

    @property
    def scale(self) -> float:
        """What an estimate is to be multiplied by."""
        return self._ratio or 1.0

    @property
    def estimated(self) -> bool:
        """Whether no request has been counted by the vendor yet."""
        return self._ratio is None

    def measured(self, messages: Iterable[Message], usage: Usage | None) -> None:
        """Take note of what the vendor counted for a request with these messages."""
        if usage is None or usage.input <= 0:
            return
        estimate = sum(self._estimate(messages).values())
        # A server that counts only what it had not cached is not to be believed.
        if estimate and 0.25 <= usage.input / estimate <= 4:
            self._ratio = usage.input / estimate

    def inherit(self, other: Gauge) -> None:
        """Take over what another gauge of the same model has learnt."""
        if other.key == self.key:
            self._ratio = other._ratio

    def used(self, messages: Iterable[Message]) -> int:
        """The tokens of a request with these messages, system prompt and tools included."""
        return round(sum(self._estimate(messages).values()) * (self._ratio or 1.0))

    def tokens(self, messages: Iterable[Message]) -> int:
        """The tokens of these messages alone."""
        ratio = self._ratio or 1.0
        return round(ratio * sum(sum(self._message(message).values()) for message in messages))

    def report(self, messages: Iterable[Message], compacts_at: int | None = None) -> ContextReport:
        """The report on a request with these messages."""
        ratio = self._ratio or 1.0
        found = self._estimate(messages)
        rows = [ContextRow(name, round(found.get(name, 0.0) * ratio)) for name in CATEGORIES]
        used = sum(row.tokens for row in rows)
        limit = self.limit
        if limit is not None:
            rows.append(ContextRow("free", max(0, limit - used)))
        return ContextReport(limit, used, tuple(rows), self.estimated, *self.key, compacts_at)

    def _estimate(self, messages: Iterable[Message]) -> dict[str, float]:
        given = list(messages)
        with self._lock:  # the panel asks from the kernel's thread
            return dict(self._counted(given))

    def _counted(self, given: list[Message]) -> dict[str, float]:
        # A conversation mostly grows at its end: only what is new there is looked at.
        start = len(self._seen)
        if start > len(given) or not all(map(operator.is_, self._seen, given)):
            start, self._total = 0, dict(self._head)
        for message in given[start:]:
            found = self._known.get(id(message))
            # The message is kept beside its numbers, so that its address is not another one's later.
            if found is None or found[0] is not message:
                found = self._known[id(message)] = (message, self._message(message))
            for name, tokens in found[1].items():
                self._total[name] = self._total.get(name, 0.0) + tokens
        self._seen = given
        if len(self._known) > 2 * len(given) + 1_000:
            self._known.clear()
        return self._total

    def _message(self, message: Message) -> dict[str, float]:
        found: dict[str, float] = {}
        for part in message.parts:
            name = _category(part, message.role)
            found[name] = found.get(name, 0.0) + self._part(part)
        if message.parts:
            found[name] += MESSAGE_TOKENS
        return found

    def _part(self, part: Part) -> float:
        if isinstance(part, Text):
            return text_tokens(part.text)
        if isinstance(part, Image):
            return IMAGE_TOKENS
        if isinstance(part, ToolCall):
            return text_tokens(part.name + json.dumps(part.arguments, default=str) + (part.invalid or "")) + 8
        if isinstance(part, ToolResult):
            return 8 + sum(self._part(item) for item in part.content)
        made = part.provider_metadata or {}
        if made and (made.get("provider"), made.get("model")) != self.key:
            return 0.0  # another model's thinking is not sent
        if isinstance(part, Thinking) and part.text:
            return text_tokens(part.text)
        # Encrypted reasoning, a vendor's own block: base64 or JSON, of which a part is counted.
        return text_tokens(json.dumps(made, default=str)) / 2


def _category(part: Part, role: str) -> str:
    if isinstance(part, ToolResult) or role == "tool":
        return "tool results"
    if isinstance(part, ToolCall | Opaque):
        return "tool calls"
    if isinstance(part, Thinking):
        return "thinking"
    if role == "assistant":
        return "answers"
    if isinstance(part, Image) or part.text.startswith("<attachment "):
        return "attachments"
    if part.text.startswith(SUMMARY_MARK):
        return "summary"
    return "system" if part.text.startswith(_SURROUNDINGS) else "your prompts"


def report(runtime: Runtime) -> ContextReport:
    """What the next request of this session would take, whether a turn runs or not.

    Never raises: without a usable model the limit is unknown.
    """
    gauge = gauge_for(runtime)
    live = runtime.live_messages
    messages = live if live is not None else runtime.session.conversation(runtime.session.head)
    return gauge.report(messages, compacts_at(runtime, gauge))


def compacts_at(runtime: Runtime, gauge: Gauge) -> int | None:
    """The tokens from which the conversation is compacted by itself; ``None`` where it is not."""
    from ante_nb.agent.compaction import room

    if gauge.limit is None or gauge.key[0] == "local" or runtime.settings().values.auto_compact is False:
        return None
    return room(gauge.limit)


def gauge_for(runtime: Runtime) -> Gauge:
    """The gauge for the model that a turn would use now, with what the last turn has learnt of it."""
    from ante_nb.errors import AnteError

    last = runtime.gauge
    if last is not None and runtime.live_messages is not None:
        return last
    choice: Choice | None
    try:
        choice = runtime.choose()
    except AnteError:
        choice = None
    if last is not None and last.key == _key(choice):
        return last
    from ante_nb.agent.planning import usual_tools

    system, tools = usual_tools(runtime, choice)
    made = Gauge(choice, system, tools)
    if last is not None:
        made.inherit(last)
    return made


def _key(choice: Any) -> tuple[str, str]:
    return (choice.provider.id, choice.model.id) if choice is not None else ("", "")
