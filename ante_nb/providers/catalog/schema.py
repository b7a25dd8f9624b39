"""The shape of ``catalog.json`` and ``builtin.json``: pydantic models of their entries.

Both generations of the file are read: the one of the providers page (``name``, ``thinking``) and the
later one (``id``, ``effort``, ``supported_efforts``, ``extra_body`` ...). Every field is optional here,
because an entry with the key of a built-in is a patch; what a new provider must have is checked by
:func:`missing_fields`. ``null`` is kept: it clears a field.

This module imports pydantic and is imported only when a catalog is read.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from ante_nb.providers.auth.oauth_spec import is_loopback_host, is_secure_url
from ante_nb.providers.spec import LEVEL_ALIASES, Quirks, ThinkingLevel, WireStyle

if TYPE_CHECKING:
    from collections.abc import Mapping

RESERVED_BODY_FIELDS: dict[str, frozenset[str]] = {
    "AnthropicMessage": frozenset(
        [
            "model",
            "max_tokens",
            "messages",
            "system",
            "temperature",
            "tools",
            "stream",
            "thinking",
            "stop_sequences",
            "output_config",
            "cache_control",
        ]
    ),
    "OpenAiCompatible": frozenset(
        [
            "model",
            "messages",
            "reasoning_effort",
            "max_tokens",
            "stream",
            "stream_options",
            "temperature",
            "top_p",
            "top_k",
            "stop",
            "tools",
            "tool_choice",
            "thinking",
            "enable_thinking",
            "thinking_budget",
            "enable_search",
            "search_options",
        ]
    ),
    "OpenAiResponse": frozenset(
        [
            "model",
            "instructions",
            "input",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "max_output_tokens",
            "temperature",
            "reasoning",
            "stream",
            "include",
            "store",
        ]
    ),
    "Gemini": frozenset(["contents", "systemInstruction", "generationConfig", "tools", "toolConfig"]),
}
"""Request fields that ``extra_body`` may not set, by wire style (Ante's catalog reference)."""

REQUIRED_PROVIDER_FIELDS = ("base_url", "wire_style")


def _level(value: Any) -> Any:
    return LEVEL_ALIASES.get(value.strip().lower(), value) if isinstance(value, str) else value


def _weight(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _string_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Level = Annotated[ThinkingLevel, BeforeValidator(_level)]
Weight = Annotated[Literal["feather", "middle", "heavy"], BeforeValidator(_weight)]
Positive = Annotated[int, Field(gt=0)]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/\s]+\S*$")]
HeaderValue = Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")]
Date = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Entry(BaseModel):
    """Base of all entries: strict types; unknown fields are ignored here and reported by the caller."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)


class TokenSource(Entry):
    """Where a token comes from: ``env_key`` (one name, or several in order), ``oauth_preset``, or both."""

    env_key: Annotated[list[str], BeforeValidator(_string_list)] | None = None
    oauth_preset: Literal["anthropic", "openai", "antix"] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> TokenSource:
        if not self.env_key and self.oauth_preset is None:
            raise ValueError("missing field `env_key`")
        return self


class NamedTokenSource(TokenSource):
    """A token that is sent under a name, as a header or a query parameter."""

    name: str


class AuthEntry(Entry):
    """Exactly one of ``bearer``, ``header`` and ``query``."""

    bearer: TokenSource | None = None
    header: NamedTokenSource | None = None
    query: NamedTokenSource | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> AuthEntry:
        if sum(tag is not None for tag in (self.bearer, self.header, self.query)) != 1:
            raise ValueError("expected exactly one of `bearer`, `header`, `query`")
        return self


class PriceEntry(Entry):
    """US dollars per million tokens."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]
    cache_read: Annotated[float, Field(ge=0)] | None = None
    cache_write: Annotated[float, Field(ge=0)] | None = None
    as_of: Date = ""


class ControlEntry(Entry):
    """How a thinking level is sent; see :mod:`ante_nb.providers.thinking`."""

    style: Literal[
        "anthropic_adaptive",
        "anthropic_budget",
        "responses_effort",
        "gemini_level",
        "gemini_budget",
        "reasoning_effort",
        "thinking_type",
        "thinking_type_effort",
        "enable_thinking",
        "openrouter_reasoning",
        "chat_template_kwargs",
        "none",
    ]
    levels: dict[Level, Any] = Field(default_factory=dict)


class ModelEntry(Entry):
    """A model, or a patch of one."""

    id: str | None = Field(default=None, min_length=1, validation_alias=AliasChoices("id", "name"))
    display_name: str | None = None
    description: str | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Positive | None = None
    stop_sequences: list[str] | None = None
    max_tokens: Positive | None = None
    context_limit: Positive | None = None
    output_limit: Positive | None = None
    thinking: Level | None = Field(default=None, validation_alias=AliasChoices("effort", "thinking"))
    supported_efforts: list[Level] | None = None
    thinking_control: ControlEntry | None = None
    weight_class: Weight | None = None
    support_vision: bool | None = None
    support_tools: bool | None = None
    price: PriceEntry | None = None
    plan_priced: bool | None = None
    retires_on: Date | None = None
    successor: str | None = None
    stream_idle_timeout_secs: Annotated[float, Field(gt=0)] | None = None
    note: str | None = None


def _quirk_value(value: Any) -> Any:
    value = value["value"] if isinstance(value, dict) and "value" in value else value
    return tuple(value) if isinstance(value, list) else value


# The fields of the dataclass are the closed schema; written once, there.
QuirksEntry: type[BaseModel] = create_model(
    "QuirksEntry",
    __config__=ConfigDict(strict=True, extra="forbid"),
    **{  # type: ignore[call-overload]
        spec.name: (Annotated[get_type_hints(Quirks)[spec.name], BeforeValidator(_quirk_value)], spec.default)
        for spec in fields(Quirks)
    },
)


class ProviderEntry(Entry):
    """A provider, or a patch of one. The fields after ``quirks`` are mostly for the built-ins."""

    id: str | None = Field(default=None, validation_alias=AliasChoices("id", "name"))
    display_name: str | None = None
    base_url: HttpUrl | None = None
    wire_style: WireStyle | None = None
    auth: AuthEntry | None = None
    http_headers: dict[str, HeaderValue] | None = None
    extra_body: dict[str, Any] | None = None
    supports_web_search: bool | None = None
    stream_idle_timeout_secs: Annotated[float, Field(gt=0)] | None = None
    thinking_display: Literal["off", "concise", "detailed"] | None = None
    preferred_models: list[Any] | None = None
    """Validated one by one as ``ModelEntry``, so that a bad one costs only itself."""
    quirks: QuirksEntry | None = None  # type: ignore[valid-type]
    default_model: str | None = None
    base_url_env: str | None = None
    websocket: bool | None = None
    models_endpoint: str | None = None
    key_page: str | None = None
    key_prefix: str | None = None
    oauth_provider: str | None = None
    alias_of: str | None = None
    model_defaults: ModelEntry | None = None
    note: str | None = None


class FamilyEntry(Entry):
    """A rule that gives a model without a fitting row its thinking control."""

    wire_style: WireStyle
    provider: str | None = None
    match: str
    control: ControlEntry


def _secure(value: str) -> str:
    if not is_secure_url(value):
        raise ValueError("expected a URL with https:// (http:// on this machine only)")
    return value


def _loopback(value: str) -> str:
    if not is_loopback_host(value):
        raise ValueError("expected `localhost`, `127.0.0.1` or `::1`")
    return value


SecureUrl = Annotated[str, AfterValidator(_secure)]
Word = Annotated[str, Field(pattern=r"^[!-~]+$")]
Seconds = Annotated[float, Field(gt=0)]
BodyStyle = Literal["form", "json"]


class DeviceEntry(Entry):
    """Signing in with a device code, or a patch of it; see ``DeviceSpec``."""

    style: Literal["codex", "rfc8628"] | None = None
    code_url: SecureUrl | None = None
    token_url: SecureUrl | None = None
    verify_url: SecureUrl | None = None
    redirect_uri: SecureUrl | None = None
    expires_in: Seconds | None = None


class OAuthEntry(Entry):
    """A patch of a sign-in preset; the fields are those of ``OAuthSpec``."""

    display_name: str | None = None
    provider: str | None = None
    client_id: Word | None = None
    authorize_url: SecureUrl | None = None
    token_url: SecureUrl | None = None
    revoke_url: SecureUrl | None = None
    discovery_url: SecureUrl | None = None
    scopes: list[Word] | None = None
    redirect_host: Annotated[str, AfterValidator(_loopback)] | None = None
    redirect_ports: (
        Annotated[list[Annotated[int, Field(ge=0, le=65535)]], Field(min_length=1, max_length=20)] | None
    ) = None
    redirect_path: Annotated[str, Field(pattern=r"^/[^?#\s]*$")] | None = None
    manual_redirect_uri: SecureUrl | None = None
    authorize_params: dict[str, str] | None = None
    exchange_style: BodyStyle | None = None
    exchange_sends_state: bool | None = None
    refresh_style: BodyStyle | None = None
    token_headers: dict[Word, HeaderValue] | None = None
    device: DeviceEntry | None = None
    refresh_before: Annotated[float, Field(ge=0)] | None = None
    max_age: Seconds | None = None
    account_claim: str | None = None
    account_header: Word | None = None
    profile: Literal["anthropic"] | None = None
    unavailable: str | None = None
    note: str | None = None


def missing_device_fields(device: Mapping[str, Any]) -> list[str]:
    """The fields that a device sign-in must have and ``device`` lacks."""
    names = ["style", "code_url", "token_url", "verify_url"]
    if device.get("style") == "codex":
        names.append("redirect_uri")
    return [name for name in names if device.get(name) is None]


def known_fields(model: type[BaseModel]) -> set[str]:
    """Every key that ``model`` reads, aliases included."""
    names: set[str] = set()
    for name, info in model.model_fields.items():
        alias = info.validation_alias
        if isinstance(alias, AliasChoices):
            names.update(str(choice) for choice in alias.choices)
        names.add(name)
    return names


def missing_fields(row: Mapping[str, Any]) -> list[str]:
    """The fields that a new provider must have and ``row`` lacks."""
    return [name for name in REQUIRED_PROVIDER_FIELDS if row.get(name) is None]


_PATTERNS = {
    r"^https?://[^/\s]+\S*$": "a URL with http:// or https://",
    r"^[\x20-\x7e]*$": "printable ASCII",
    r"^\d{4}-\d{2}-\d{2}$": "a date as YYYY-MM-DD",
    r"^[!-~]+$": "printable ASCII without blanks",
    r"^/[^?#\s]*$": "a path that begins with /",
}


def explain(error: ValidationError) -> str:
    """What is wrong with an entry, in one line, with the words of Ante's own messages."""
    return "; ".join(dict.fromkeys(_explain_one(dict(item)) for item in error.errors(include_url=False)))


def _explain_one(item: dict[str, Any]) -> str:
    kind = item["type"]
    # Types that pydantic adds to the path (union members) are no keys of the file.
    path = [str(part) for part in item["loc"] if not str(part).startswith("function-")]
    if kind == "missing":
        where = ".".join(path[:-1])
        return f"missing field `{path[-1]}`" + (f" in `{where}`" if where else "")
    field = ".".join(path)
    if kind == "extra_forbidden":
        return f"unknown field `{field}`"
    if kind == "literal_error":
        allowed = str(item["ctx"]["expected"]).replace(" or ", ", ").replace("'", "`")
        if "`xhigh`" in allowed:
            allowed += ", `Disabled`, `Enabled`, `Deep`, `Max`"
        return f"unknown variant `{item['input']}` for `{field}`, expected one of {allowed}"
    if kind == "value_error":
        message = str(item["ctx"]["error"])
        return f"`{field}`: {message}" if field else message
    if kind == "string_pattern_mismatch":
        return f"invalid value for `{field}`: expected {_PATTERNS[item['ctx']['pattern']]}"
    return f"invalid value for `{field}`: {item['msg'][0].lower()}{item['msg'][1:]}"
