"""What a server refuses of a request though the call can do without it: asked again once, without.

Every rule names the vendor's words; they come with status 400 (or 422) and no code that tells them apart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from ante_nb import errors as e
from ante_nb.messages import Opaque, Thinking, with_parts
from ante_nb.providers import handover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ante_nb.messages import Message, Part
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request

Omission: TypeAlias = Literal["stream_options", "include", "summary", "thinking", "reasoning"]
"""``summary``: summaries of the thinking; ``thinking``: the level; ``reasoning``: what was thought earlier."""

LASTING: frozenset[Omission] = frozenset(("stream_options", "include", "summary", "thinking"))
"""What a server will refuse again; earlier thinking may be fine the next time."""

NOTES: dict[Omission, str] = {
    "stream_options": "",
    "include": "",
    "summary": "The server gives this account no summaries of the thinking; asked again without them.",
    "thinking": "The server refuses the thinking setting; asked again without it.",
    "reasoning": "The server refuses the earlier thinking; asked again without it.",
}
"""What the person is told; empty where nothing is lost that they would miss."""

_SIGNED = ("signature", "segments")
_THINKING_WORDS = (
    "reasoning_effort",
    "reasoning.effort",
    "reasoningeffort",  # xAI: Model grok-4 does not support parameter reasoningEffort
    "enable_thinking",
    "chat_template_kwargs",
)


def refused(problem: e.ProviderError, omitted: Iterable[Omission]) -> Omission | None:
    """What of the request a 400 complains about; ``None`` where it is needed or was left out already."""
    if problem.status not in (400, 422) or type(problem) is not e.InvalidRequestError:
        return None
    words = f"{problem.code or ''} {problem.message}".lower()
    return next((found for found in _candidates(words) if found not in omitted), None)


def _candidates(words: str) -> list[Omission]:
    if "stream_options" in words:
        return ["stream_options"]
    # OpenAI and xAI, for models that do not reason or whose reasoning is not handed out.
    if "encrypted content is not supported" in words:
        return ["include"]
    # OpenAI: "Your organization must be verified to generate reasoning summaries."
    if "reasoning summar" in words:
        return ["summary"]
    if "reasoning.summary" in words:
        return ["summary", "thinking"]
    # Anthropic: "Invalid `signature` in `thinking` block"; Gemini: "Corrupted thought signature" and
    # "Function call is missing a thought_signature"; OpenAI: ciphertext of another organisation.
    if "invalid_encrypted_content" in words or (
        "signature" in words and ("thinking" in words or "thought" in words)
    ):
        return ["reasoning"]
    # DeepSeek: "The reasoning_content ... must be passed back" is our fault, not a level it lacks.
    if "must be passed back" not in words and any(name in words for name in _THINKING_WORDS):
        return ["thinking"]
    return []


def without(
    omitted: Iterable[Omission], request: Request, model: ModelSpec, provider: ProviderSpec
) -> tuple[Request, ModelSpec, ProviderSpec]:
    """The call with the omissions applied, ready for the wire's encoder."""
    omitted = set(omitted)
    quirks = provider.quirks
    if "stream_options" in omitted:
        quirks = replace(quirks, stream_options=False)
    if "include" in omitted:
        quirks = replace(quirks, unsupported_params=(*quirks.unsupported_params, "include"))
    if quirks is not provider.quirks:
        provider = replace(provider, quirks=quirks)
    if "summary" in omitted:
        provider = replace(provider, thinking_display="off")
    if "thinking" in omitted:
        request, model = replace(request, thinking=None), replace(model, thinking=None)
    if "reasoning" in omitted:
        strip = _unsigned if provider.wire_style == "Gemini" else _same
        stripped = tuple(_without_thinking(message, strip) for message in request.messages)
        request = replace(request, messages=handover.adapt(stripped, provider, model, provider.wire_style))
    return request, model, provider


def _without_thinking(message: Message, strip: Callable[[Part], Part]) -> Message:
    return with_parts(message, tuple(strip(part) for part in message.parts if not isinstance(part, Thinking)))


def _same(part: Part) -> Part:
    return part


def _unsigned(part: Part) -> Part:
    """The part without its thought signature: the Gemini wire then sends Google's stand-in where one is due."""
    metadata = part.provider_metadata
    if not metadata:
        return part
    kept = {name: value for name, value in metadata.items() if name not in _SIGNED}
    if isinstance(part, Opaque) and isinstance(kept.get("block"), dict):
        kept["block"] = {name: value for name, value in kept["block"].items() if name != "thoughtSignature"}
    return replace(part, provider_metadata=kept)
