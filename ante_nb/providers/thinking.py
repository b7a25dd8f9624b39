"""Thinking levels: their names, how they are rounded for a model, and what is sent.

One internal scale, ``min low medium high xhigh max``; the names Disabled, Enabled, Deep and Max of the
older scale mean min, medium, high and max. Unset is no level: nothing is sent then, and this module is
not asked.

``ThinkingControl.style`` names the request field(s), ``ThinkingControl.levels`` holds for each level the
*value* that :func:`wire_level` returns. A wire turns the value into fields:

==========================  ==============================================================================
style                       value -> request fields
==========================  ==============================================================================
``anthropic_adaptive``      ``"high"`` -> ``thinking: {type: adaptive}, output_config: {effort: "high"}``
``anthropic_budget``        ``8192`` -> ``thinking: {type: enabled, budget_tokens: 8192}``
``responses_effort``        ``"high"`` -> ``reasoning: {effort: "high"}``
``gemini_level``            ``"high"`` -> ``generationConfig.thinkingConfig.thinkingLevel``
``gemini_budget``           ``8192``, ``0`` off, ``-1`` dynamic -> ``...thinkingConfig.thinkingBudget``
``reasoning_effort``        ``"high"`` -> ``reasoning_effort: "high"``
``thinking_type``           ``"enabled"`` or ``"disabled"`` -> ``thinking: {type: "enabled"}``
``thinking_type_effort``    ``{"type": "enabled", "effort": "high"}``, effort may be missing ->
                            ``thinking: {type: "enabled"}, reasoning_effort: "high"``
``enable_thinking``         ``true``/``false`` -> ``enable_thinking: true``; a string -> ``reasoning_effort``
                            (Qwen 3.8 grades by effort and switches off by ``enable_thinking: false``)
``openrouter_reasoning``    ``"high"``, ``"none"`` off -> ``reasoning: {effort: "high"}``
``chat_template_kwargs``    ``true``/``false`` -> ``chat_template_kwargs: {enable_thinking: true}``
``none``                    the model has no control: never anything
==========================  ==============================================================================

The value ``None`` means for every style: send nothing (thinking is off, or the vendor's default is it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ante_nb.errors import ConfigError
from ante_nb.providers.spec import LEVEL_ALIASES, LEVELS

if TYPE_CHECKING:
    from ante_nb.providers.spec import ModelSpec, ThinkingLevel, WireStyle

STYLE_WIRES: dict[str, WireStyle | None] = {
    "anthropic_adaptive": "AnthropicMessage",
    "anthropic_budget": "AnthropicMessage",
    "responses_effort": "OpenAiResponse",
    "gemini_level": "Gemini",
    "gemini_budget": "Gemini",
    "reasoning_effort": "OpenAiCompatible",
    "thinking_type": "OpenAiCompatible",
    "thinking_type_effort": "OpenAiCompatible",
    "enable_thinking": "OpenAiCompatible",
    "openrouter_reasoning": "OpenAiCompatible",
    "chat_template_kwargs": "OpenAiCompatible",
    "none": None,
}
"""The wire that each style belongs to; ``None`` fits every wire."""

ALLOWED_LEVELS = "min, low, medium, high, xhigh, max (or Disabled, Enabled, Deep, Max)"

ANTHROPIC_MIN_BUDGET = 1024
ANTHROPIC_MAX_BUDGET = 63_999
ANTHROPIC_ANSWER_RESERVE = 1024
"""Tokens of the output limit that a thinking budget leaves for the answer."""


def parse_level(text: str, where: str = "thinking level") -> ThinkingLevel:
    """The level that ``text`` names, in either spelling and any case.

    Args:
        text: what the person wrote.
        where: what it was written for, for the error (``--thinking``, ``MODEL_THINKING`` ...).

    Raises:
        ConfigError: no such level; the message lists the allowed ones.
    """
    level = LEVEL_ALIASES.get(text.strip().lower())
    if level is None:
        raise ConfigError(f"{where}: no level {text.strip()!r}", f"Allowed: {ALLOWED_LEVELS}.")
    return level


def round_level(model: ModelSpec, level: ThinkingLevel) -> ThinkingLevel | None:
    """The nearest level at or below ``level`` that the model has; below its lowest, the lowest.

    ``None`` where the model has no thinking control.
    """
    control = model.thinking_control
    if control is None or control.style == "none":
        return None
    rungs = [rung for rung in LEVELS if rung in control.levels]
    if not rungs:
        return None
    wanted = LEVELS.index(level)
    below = [rung for rung in rungs if LEVELS.index(rung) <= wanted]
    return below[-1] if below else rungs[0]


def wire_level(model: ModelSpec, level: ThinkingLevel) -> tuple[Any, ThinkingLevel | None]:
    """What is sent for ``level`` and the level that this really is.

    Args:
        model: the resolved model row; its ``thinking_control`` says how.
        level: the level asked for.

    Returns:
        ``(value, level_used)``; see the table above for ``value``. ``(None, None)`` where the model has
        no control. A budget is capped so that ``max_tokens`` (or the output limit) leaves room for the
        answer; where that leaves less than the vendor's minimum, thinking is off: ``(None, "min")``.
    """
    used = round_level(model, level)
    if used is None or model.thinking_control is None:
        return None, None
    value = model.thinking_control.levels[used]
    if model.thinking_control.style == "anthropic_budget" and value is not None:
        limit = model.max_tokens or model.output_limit
        if limit is not None:
            value = min(int(value), limit - ANTHROPIC_ANSWER_RESERVE, ANTHROPIC_MAX_BUDGET)
        if value < ANTHROPIC_MIN_BUDGET:
            return None, "min"
    return value, used


def levels_of(model: ModelSpec) -> tuple[ThinkingLevel, ...]:
    """The levels that make a difference for this model, lowest first; empty without a control.

    A level that sends the same as the one below it is left out (on/off models have two).
    """
    control = model.thinking_control
    if control is None or control.style == "none":
        return ()
    out: list[ThinkingLevel] = []
    last: Any = object()
    for rung in LEVELS:
        if rung in control.levels and control.levels[rung] != last:
            last = control.levels[rung]
            out.append(rung)
    return tuple(out)
