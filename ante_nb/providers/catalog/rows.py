"""Catalog rows, plain dictionaries, as the frozen values of :mod:`ante_nb.providers.spec`.

A row is a dictionary with the field names of the catalog file; layers are merged with ``{**a, **b}``, and
``None`` clears a field. Nothing here validates: rows come out of :mod:`.schema`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ante_nb.providers.auth.oauth_spec import DeviceSpec, OAuthSpec
from ante_nb.providers.spec import (
    AuthSpec,
    ModelSpec,
    Price,
    ProviderSpec,
    Quirks,
    ThinkingControl,
)
from ante_nb.providers.thinking import STYLE_WIRES

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

    from ante_nb.providers.spec import ThinkingLevel, WireStyle

Row = dict[str, Any]

_BUDGETS = {"min": None, "low": 4096, "medium": 8192, "high": 24576, "xhigh": 32000, "max": 63999}


@dataclass(frozen=True, slots=True)
class Family:
    """How a level is sent to the models of one wire whose id matches ``pattern``."""

    wire_style: str
    provider: str | None
    pattern: re.Pattern[str]
    control: ThinkingControl

    def fits(self, wire_style: str, provider_id: str, model_id: str) -> bool:
        """Whether the rule is for this model: its id without the vendor before the slash, lower case."""
        if self.wire_style != wire_style or self.provider not in (None, provider_id):
            return False
        return self.pattern.fullmatch(model_id.rsplit("/", 1)[-1].lower()) is not None


def family_control(
    families: Iterable[Family], wire_style: str, provider_id: str, model_id: str
) -> ThinkingControl | None:
    """The control of the first family that fits, or ``None``."""
    for family in families:
        if family.fits(wire_style, provider_id, model_id):
            return family.control
    return None


def model_spec(
    model_id: str, row: Row, provider: ProviderSpec | None, families: Iterable[Family]
) -> ModelSpec:
    """The model row as a spec, with the thinking control that fits the provider's wire."""
    price = row.get("price")
    return ModelSpec(
        id=model_id,
        display_name=row.get("display_name"),
        description=row.get("description"),
        context_limit=row.get("context_limit"),
        output_limit=row.get("output_limit"),
        max_tokens=row.get("max_tokens"),
        thinking=row.get("thinking"),
        thinking_control=_control(model_id, row, provider, families),
        temperature=row.get("temperature"),
        top_p=row.get("top_p"),
        top_k=row.get("top_k"),
        stop_sequences=tuple(row.get("stop_sequences") or ()),
        vision=row.get("support_vision"),
        tools=row.get("support_tools"),
        weight_class=row.get("weight_class"),
        price=Price(**price) if price else None,
        plan_priced=bool(row.get("plan_priced")),
        retires_on=row.get("retires_on"),
        successor=row.get("successor"),
        stream_idle_timeout=row.get("stream_idle_timeout_secs"),
    )


def _control(
    model_id: str, row: Row, provider: ProviderSpec | None, families: Iterable[Family]
) -> ThinkingControl | None:
    declared = row.get("thinking_control")
    control = ThinkingControl(declared["style"], dict(declared["levels"])) if declared else None
    if provider is not None:
        wire = provider.wire_style
        if control is None or STYLE_WIRES[control.style] not in (None, wire):
            control = family_control(families, wire, provider.id, model_id)
    efforts: list[ThinkingLevel] | None = row.get("supported_efforts")
    if efforts is None:
        return control
    if not efforts:
        return ThinkingControl("none")
    if control is None or control.style == "none":
        if provider is None:
            return control
        control = _generic_control(provider.wire_style)
    return ThinkingControl(control.style, {effort: _effort_value(control, effort) for effort in efforts})


def _generic_control(wire: WireStyle) -> ThinkingControl:
    """For a model that has no control by its name, but whose user declares one."""
    styles = {
        "AnthropicMessage": "anthropic_budget",
        "OpenAiResponse": "responses_effort",
        "Gemini": "gemini_level",
        "OpenAiCompatible": "reasoning_effort",
    }
    return ThinkingControl(styles[wire])


def _effort_value(control: ThinkingControl, effort: str) -> Any:
    """What is sent for a declared effort: the family's value, else the level's own name."""
    if control.levels.get(effort) is not None:
        return control.levels[effort]
    match control.style:
        case "anthropic_budget" | "gemini_budget":
            return _BUDGETS[effort]
        case "anthropic_adaptive":
            return None if effort == "min" else effort
        case "thinking_type":
            return "disabled" if effort == "min" else "enabled"
        case "thinking_type_effort":
            return {"type": "disabled"} if effort == "min" else {"type": "enabled", "effort": effort}
        case "enable_thinking" | "chat_template_kwargs":
            return effort != "min"
        case _:
            return "minimal" if effort == "min" else effort


def provider_spec(provider_id: str, row: Row, *, models: tuple[str, ...], builtin: bool) -> ProviderSpec:
    """The provider row as a spec."""
    return ProviderSpec(
        id=provider_id,
        display_name=row.get("display_name") or provider_id,
        wire_style=row["wire_style"],
        base_url=row.get("base_url"),
        auth=_auth(row.get("auth")),
        http_headers=dict(row.get("http_headers") or {}),
        models=models,
        default_model=row.get("default_model") or (models[0] if models and not builtin else None),
        base_url_env=row.get("base_url_env"),
        alias_of=row.get("alias_of"),
        extra_body=dict(row.get("extra_body") or {}),
        supports_web_search=bool(row.get("supports_web_search")),
        websocket=bool(row.get("websocket")),
        stream_idle_timeout=row.get("stream_idle_timeout_secs") or 300.0,
        thinking_display=row.get("thinking_display"),
        models_endpoint=row.get("models_endpoint"),
        key_page=row.get("key_page"),
        key_prefix=row.get("key_prefix"),
        oauth_provider=row.get("oauth_provider"),
        quirks=Quirks(**(row.get("quirks") or {})),
        builtin=builtin,
    )


def _auth(row: Row | None) -> AuthSpec | None:
    if not row:
        return None
    kind = next(tag for tag in ("bearer", "header", "query") if row.get(tag))
    token = row[kind]
    return AuthSpec(
        kind=kind,  # type: ignore[arg-type]
        name=token.get("name"),
        env_keys=tuple(token.get("env_key") or ()),
        oauth_preset=token.get("oauth_preset"),
    )


def oauth_spec(preset: str, row: Row) -> OAuthSpec:
    """The sign-in row as a spec; a cleared field has its default."""
    given = {key: value for key, value in row.items() if value is not None and key != "note"}
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    given.setdefault("display_name", preset)
    given.setdefault("provider", preset)
    if device := given.pop("device", None):
        given["device"] = DeviceSpec(**{key: value for key, value in device.items() if value is not None})
    return OAuthSpec(preset, **given)
