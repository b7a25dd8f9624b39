"""The wire formats, by the style that a catalog row names."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from ante_nb.errors import ConfigError

if TYPE_CHECKING:
    from ante_nb.providers.wires.base import Wire

_HOMES = {
    "AnthropicMessage": "ante_nb.providers.wires.anthropic_messages",
    "Gemini": "ante_nb.providers.wires.gemini",
    "OpenAiCompatible": "ante_nb.providers.wires.openai_chat",
    "OpenAiResponse": "ante_nb.providers.wires.openai_responses",
}


def wire_for(style: str) -> Wire:
    """The wire of that style.

    Raises:
        ConfigError: there is no such style, or this version does not speak it yet.
    """
    home = _HOMES.get(style)
    try:
        if home is not None:
            return cast("Wire", import_module(home).wire)
    except ModuleNotFoundError as problem:
        if problem.name != home:
            raise
    raise ConfigError(
        f"The wire format {style} is not there yet",
        "Use a provider that speaks another one, e.g. `--provider openai-compatible` or `--provider local`.",
    )
