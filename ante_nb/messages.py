"""Parts, messages and events: the vocabulary that every room of the package shares.

Everything here is a pure value. Identity (session, turn and step ids, journal positions) belongs to
whoever stores a value; two messages with the same content are equal. ``to_dict`` and ``from_dict``
round-trip exactly through JSON.

Three groups:

- *Parts* make up a ``Message``: ``Text``, ``Image``, ``Thinking``, ``ToolCall``, ``ToolResult`` and
  ``Opaque`` (a block of the vendor's own that nobody here interprets, kept so that it can be replayed).
- *Stream events* come out of ``Provider.stream``: one model call as it happens. Every ``*End`` event
  carries the finished part, so no consumer puts deltas together again.
- *Turn events* (``StepStarted``, ``ToolStarted``, ...) are what the agent adds around them for whoever
  shows or records a turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Self, TypeAlias

# --------------------------------------------------------------------------------------------- parts

ProviderMetadata: TypeAlias = dict[str, Any]
"""What a vendor wants back unchanged (signature, encrypted reasoning, item id ...).

Always holds ``"provider"`` and ``"model"``, the ids that made it; the rest is the wire's own business.
"""


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text, exactly as it was written."""

    type: ClassVar[str] = "text"
    text: str
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An image: ``data`` is base64 without line breaks, ``media_type`` e.g. ``image/png``."""

    type: ClassVar[str] = "image"
    data: str
    media_type: str
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning of the model.

    ``signature`` is the vendor's proof that it wrote ``text``; ``redacted`` marks a block whose text
    the vendor withheld (its ciphertext is then in ``provider_metadata``).
    """

    type: ClassVar[str] = "thinking"
    text: str = ""
    signature: str | None = None
    redacted: bool = False
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool. ``invalid`` holds the raw argument text when it is not a JSON object."""

    type: ClassVar[str] = "tool_call"
    id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    invalid: str | None = None
    provider_metadata: ProviderMetadata | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to the tool call ``call_id``; ``content`` is what the model is shown."""

    type: ClassVar[str] = "tool_result"
    call_id: str
    content: tuple[Text | Image, ...] = ()
    is_error: bool = False
    provider_metadata: ProviderMetadata | None = None

    @property
    def text(self) -> str:
        """All text of the result, joined."""
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Opaque:
    """A block of the vendor's own (a server-side tool call, its result ...), replayed verbatim.

    ``kind`` is the vendor's type name; ``provider_metadata["block"]`` is the block itself.
    """

    type: ClassVar[str] = "opaque"
    kind: str
    provider_metadata: ProviderMetadata | None = None


Part: TypeAlias = Text | Image | Thinking | ToolCall | ToolResult | Opaque
_PARTS: dict[str, type[Any]] = {
    cls.type: cls for cls in (Text, Image, Thinking, ToolCall, ToolResult, Opaque)
}

Role: TypeAlias = Literal["user", "assistant", "tool"]


def part_to_dict(part: Part) -> dict[str, Any]:
    """A part as plain JSON values, defaults left out."""
    out: dict[str, Any] = {"type": part.type}
    for spec in fields(part):
        value = getattr(part, spec.name)
        if spec.name == "content" and isinstance(part, ToolResult):
            out["content"] = [part_to_dict(item) for item in part.content]
        elif spec.name in ("text", "arguments", "call_id", "id", "name", "data", "media_type", "kind") or (
            value != spec.default
        ):
            out[spec.name] = value
    return out


def part_from_dict(data: dict[str, Any]) -> Part:
    """The inverse of :func:`part_to_dict`. Raises ``ValueError`` for an unknown ``type``."""
    cls = _PARTS.get(data.get("type", ""))
    if cls is None:
        raise ValueError(f"unknown part type {data.get('type')!r}")
    values = {spec.name: data[spec.name] for spec in fields(cls) if spec.name in data}
    if cls is ToolResult:
        values["content"] = tuple(part_from_dict(item) for item in data.get("content", ()))
    return cls(**values)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    ``role`` is ``user``, ``assistant`` or ``tool`` (a message that holds only ``ToolResult`` parts).
    The system prompt is no message; it travels beside them. ``provider``, ``wire`` and ``model`` say
    who wrote an assistant message.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    provider: str | None = None
    wire: str | None = None
    model: str | None = None

    @property
    def text(self) -> str:
        """The text parts joined, without thinking."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def thinking(self) -> str:
        """The thinking parts joined by a blank line."""
        return "\n\n".join(part.text for part in self.parts if isinstance(part, Thinking) and part.text)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolResult))

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"role": self.role, "parts": [part_to_dict(part) for part in self.parts]}
        for name in ("provider", "wire", "model"):
            if getattr(self, name) is not None:
                out[name] = getattr(self, name)
        return out

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(
            role=data["role"],
            parts=tuple(part_from_dict(part) for part in data.get("parts", ())),
            provider=data.get("provider"),
            wire=data.get("wire"),
            model=data.get("model"),
        )

    @classmethod
    def user(cls, text: str, *more: Part) -> Self:
        """A user message with one text part, and ``more`` parts after it."""
        return cls("user", (Text(text), *more))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more model calls, on one scale for every vendor.

    ``input`` is the whole prompt including ``cache_read`` and ``cache_write``; ``output`` includes
    ``reasoning``.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def to_dict(self) -> dict[str, int]:
        return {spec.name: getattr(self, spec.name) for spec in fields(self)}


StopReason: TypeAlias = Literal[
    "stop", "tool_calls", "length", "content_filter", "refusal", "pause", "context_overflow"
]
"""Why a model call ended, on one scale. ``pause``: the vendor wants the conversation sent again as it is."""

# ------------------------------------------------------------------------------------- stream events


@dataclass(frozen=True, slots=True)
class TextStart:
    index: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class TextEnd:
    index: int
    part: Text


@dataclass(frozen=True, slots=True)
class ThinkingStart:
    index: int


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingEnd:
    index: int
    part: Thinking


@dataclass(frozen=True, slots=True)
class ToolCallStart:
    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    index: int
    arguments: str
    """A further piece of the argument text (JSON)."""


@dataclass(frozen=True, slots=True)
class ToolCallEnd:
    index: int
    part: ToolCall


@dataclass(frozen=True, slots=True)
class UsageUpdate:
    """Tokens of this model call so far; replaces an earlier ``UsageUpdate`` of the same call."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the person should know that is no error.

    ``kind``: ``retry``, ``transport``, ``model``, ``key``, ``local``, ``attachment``, ``compaction``,
    ``warning``. A notice with the same ``kind`` may replace the last one on screen.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Retract:
    """Everything that this step has streamed is void and is about to be sent again."""

    step_id: str


@dataclass(frozen=True, slots=True)
class Done:
    """The model call is complete: the terminal marker of the wire was seen."""

    message: Message
    stop_reason: StopReason
    usage: Usage | None = None
    """``None`` where the server reported no usage."""


StreamEvent: TypeAlias = (
    TextStart
    | TextDelta
    | TextEnd
    | ThinkingStart
    | ThinkingDelta
    | ThinkingEnd
    | ToolCallStart
    | ToolCallDelta
    | ToolCallEnd
    | UsageUpdate
    | Notice
    | Retract
    | Done
)

# --------------------------------------------------------------------------------------- turn events


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn begins. ``status`` maps a label (``provider``, ``model`` ...) to ``(value, source)``."""

    turn_id: str
    status: dict[str, tuple[str, str]]
    attachments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepStarted:
    step_id: str
    number: int


@dataclass(frozen=True, slots=True)
class StepEnded:
    step_id: str
    usage: Usage | None
    stop_reason: StopReason


@dataclass(frozen=True, slots=True)
class Steered:
    """What the person said while the turn ran enters the conversation, before the next step."""

    text: str


@dataclass(frozen=True, slots=True)
class Compacted:
    """The conversation was made shorter, from ``before`` to ``after`` tokens.

    ``summary`` stands for what was said before; empty where only ``results`` old tool results were left out.
    """

    summary: str
    before: int
    after: int
    results: int = 0


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """The person is asked whether a tool call may run."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool call was allowed and runs now."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """Live output of a running tool call, for the person only."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """A tool call has its result. ``status``: ``ok``, ``error``, ``denied``, ``interrupted``.

    ``display`` is what the person sees instead of the result's text where a tool has something better
    (a diff, a task list): ``{"kind": "diff", "path": ..., "diff": ...}`` and the like.
    """

    call: ToolCall
    result: ToolResult
    status: Literal["ok", "error", "denied", "interrupted"] = "ok"
    seconds: float = 0.0
    display: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn is over; ``turn`` is the public :class:`ante_nb.agent.turn.Turn`."""

    turn: Any


TurnEvent: TypeAlias = (
    StreamEvent
    | TurnStarted
    | StepStarted
    | StepEnded
    | Steered
    | Compacted
    | ApprovalAsked
    | ToolStarted
    | ToolOutput
    | ToolEnded
    | TurnEnded
)


def tag(provider: str, model: str, **payload: Any) -> ProviderMetadata:
    """``provider_metadata`` for a part: the payload, tagged with who made it."""
    return {"provider": provider, "model": model, **payload}


def with_parts(message: Message, parts: tuple[Part, ...]) -> Message:
    """The same message with other parts."""
    return replace(message, parts=parts)
