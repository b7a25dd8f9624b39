"""A conversation made fit for the model that it goes to next: another provider, model or wire.

One pure function. It never changes what a model of the same provider and id wrote, except where the
conversation itself is broken (a call without a result, a result without a call).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ante_nb.messages import Image, Message, Opaque, Text, Thinking, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ante_nb.messages import Part
    from ante_nb.providers.spec import ModelSpec, ProviderSpec

ORPHAN = "No result: the call was interrupted before it ended."
"""The result that a tool call without one is given."""

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MISTRAL = re.compile(r"(^|/)(mistral|ministral|magistral|codestral|devstral|pixtral)", re.IGNORECASE)


def adapt(
    messages: Iterable[Message], target_provider: ProviderSpec, target_model: ModelSpec, wire_style: str
) -> tuple[Message, ...]:
    """The messages as the target can take them.

    - Thinking, opaque blocks and the metadata of other parts stay only where the target itself made
      them (a signature is worth nothing to anyone else); a model's readable answer always stays.
    - Tool-call ids become what the wire accepts, unique in the conversation, the same every time.
    - A call without a result gets an error result; a result without a call, or a second one, goes.
    - Images become a note where the model has no vision.
    - Assistant messages with nothing to say go.

    Args:
        messages: the conversation; not changed.
        target_provider, target_model, wire_style: where it goes.
    """
    kept: list[Message] = []
    for message in messages:
        parts = tuple(_parts(message, target_provider, target_model))
        if message.role == "assistant" and not any(
            isinstance(part, Text | ToolCall | Opaque) for part in parts
        ):
            continue
        if parts:
            kept.append(replace(message, parts=parts))
    return tuple(_paired(kept, _Ids(target_provider, target_model, wire_style)))


# --------------------------------------------------------------------------------------------- parts


def _parts(message: Message, provider: ProviderSpec, model: ModelSpec) -> Iterable[Part]:
    for part in message.parts:
        own = _made_by(part, message, provider, model)
        if isinstance(part, Thinking | Opaque):
            if own:
                yield part
            continue
        if not own and part.provider_metadata is not None:
            part = replace(part, provider_metadata=None)
        if isinstance(part, Text) and not part.text and part.provider_metadata is None:
            continue
        if model.vision is False:
            if isinstance(part, Image):
                yield _note(part)
                continue
            if isinstance(part, ToolResult) and any(isinstance(item, Image) for item in part.content):
                content = tuple(_note(item) if isinstance(item, Image) else item for item in part.content)
                part = replace(part, content=content)
        yield part


def _made_by(part: Part, message: Message, provider: ProviderSpec, model: ModelSpec) -> bool:
    metadata = part.provider_metadata or {}
    maker, name = metadata.get("provider", message.provider), metadata.get("model", message.model)
    return maker is not None and maker in (provider.id, provider.alias_of) and name == model.id


def _note(image: Image) -> Text:
    return Text(f"[{image.media_type} image left out: this model cannot see images]")


# ----------------------------------------------------------------------------------- calls and results


def _paired(messages: list[Message], ids: _Ids) -> list[Message]:
    """Every call followed by exactly one result, every result after its call."""
    out: list[Message] = []
    open_calls: dict[str, str] = {}
    """The ids of the last assistant message that wait for a result, old to new."""

    def close() -> None:
        if open_calls:
            results = tuple(ToolResult(new, (Text(ORPHAN),), is_error=True) for new in open_calls.values())
            last = out[-1]
            if last.role == "tool":
                out[-1] = replace(last, parts=(*last.parts, *results))
            else:
                out.append(Message("tool", results))
            open_calls.clear()

    for message in messages:
        results: list[Part] = []
        others: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                new = open_calls.pop(part.call_id, None)
                if new is not None:
                    results.append(part if new == part.call_id else replace(part, call_id=new))
            else:
                others.append(part)
        if message.role == "assistant":
            close()
            calls: list[Part] = []
            for part in others:
                if isinstance(part, ToolCall):
                    new = ids.take(part.id)
                    # Two calls of one message under one id: the second cannot be told apart, so its
                    # result can only be the one that is made up here.
                    key = part.id if part.id not in open_calls else new
                    open_calls[key] = new
                    part = part if new == part.id else replace(part, id=new)
                calls.append(part)
            out.append(replace(message, parts=tuple(calls)))
            continue
        if results:
            if message.role == "tool" and not others:
                out.append(replace(message, parts=tuple(results)))
            else:
                out.append(Message("tool", tuple(results)))
        if others:
            close()
            out.append(
                replace(message, parts=tuple(others))
                if message.role == "user"
                else Message("user", tuple(others))
            )
    close()
    return out


class _Ids:
    """New ids for tool calls where the old ones will not do."""

    def __init__(self, provider: ProviderSpec, model: ModelSpec, wire_style: str) -> None:
        self._fits, self._make = _id_rule(provider, model, wire_style)
        self._used: set[str] = set()

    def take(self, old: str) -> str:
        """``old`` where it fits and is new in the conversation, else one made from it."""
        new, number = old, 0
        while new in self._used or not self._fits(new):
            new = self._make(f"{old}\0{number}")
            number += 1
        self._used.add(new)
        return new


def _id_rule(
    provider: ProviderSpec, model: ModelSpec, wire_style: str
) -> tuple[Callable[[str], bool], Callable[[str], str]]:
    """Whether an id is accepted, and how another is made from a seed.

    Mistral takes exactly nine letters and digits, OpenAI at most 40 characters on Chat Completions and
    64 on Responses, Anthropic ``[a-zA-Z0-9_-]`` up to 64. Gemini has ids of its own or none.
    """
    if wire_style == "OpenAiCompatible" and (_MISTRAL.search(model.id) or "mistral" in provider.id.lower()):
        return re.compile(r"[A-Za-z0-9]{9}").fullmatch, lambda seed: _digest(seed, 9)  # type: ignore[return-value]
    longest = 40 if wire_style == "OpenAiCompatible" else 64
    pattern = re.compile(rf"[A-Za-z0-9_-]{{1,{longest}}}")
    if wire_style in ("OpenAiCompatible", "Gemini"):
        pattern = re.compile(rf"[\x21-\x7e]{{1,{longest}}}")
    return lambda new: pattern.fullmatch(new) is not None, lambda seed: f"call_{_digest(seed, 24)}"


def _digest(seed: str, length: int) -> str:
    number = int.from_bytes(hashlib.sha256(seed.encode("utf-8", "replace")).digest())
    out = []
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        out.append(_ALPHABET[rest])
    return "".join(out)
