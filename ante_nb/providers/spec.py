"""What the catalog knows, as pure values: provider rows, model rows, and a resolved choice.

Wire format, provider and model are three things. A ``ProviderSpec`` is a vendor's endpoint (a row of
``builtin.json`` or of the user's catalog), a ``ModelSpec`` is a model, and ``wire_style`` names the
wire that the provider speaks. Quirks are fields with a closed schema, not subclasses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

WireStyle: TypeAlias = Literal["AnthropicMessage", "OpenAiCompatible", "OpenAiResponse", "Gemini"]
ThinkingLevel: TypeAlias = Literal["min", "low", "medium", "high", "xhigh", "max"]
LEVELS: tuple[ThinkingLevel, ...] = ("min", "low", "medium", "high", "xhigh", "max")

# The page's names beside the later scale; both are accepted everywhere, in any case.
LEVEL_ALIASES: dict[str, ThinkingLevel] = {
    "disabled": "min",
    "none": "min",
    "enabled": "medium",
    "deep": "high",
    **{level: level for level in LEVELS},
}


@dataclass(frozen=True, slots=True)
class Secret:
    """A credential that does not show in ``repr``, ``str`` or a log."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "********"


@dataclass(frozen=True, slots=True)
class AuthSpec:
    """How a request is signed: ``bearer``, ``header`` (``name: token``) or ``query`` (``?name=token``)."""

    kind: Literal["bearer", "header", "query"]
    name: str | None = None
    env_keys: tuple[str, ...] = ()
    """Environment variables in order; the first that is set and not empty wins."""
    oauth_preset: str | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, as public on ``as_of`` (ISO date)."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    as_of: str = ""


@dataclass(frozen=True, slots=True)
class ThinkingControl:
    """How a thinking level reaches this model.

    ``style`` names the field(s) that carry it; ``levels`` maps our level to what is sent. A level that
    is absent is rounded down to the nearest one present, below the lowest to the lowest. A value of
    ``None`` means: send nothing.
    """

    style: str
    levels: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model. ``None`` means unknown, never a guess."""

    id: str
    display_name: str | None = None
    description: str | None = None
    context_limit: int | None = None
    output_limit: int | None = None
    max_tokens: int | None = None
    """Output limit to ask for; unset leaves it to the wire (Anthropic needs one: then ``output_limit``)."""
    thinking: ThinkingLevel | None = None
    """The default level; unset sends nothing."""
    thinking_control: ThinkingControl | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: tuple[str, ...] = ()
    vision: bool | None = None
    tools: bool | None = None
    weight_class: Literal["feather", "middle", "heavy"] | None = None
    price: Price | None = None
    plan_priced: bool = False
    """Billed by a plan, not by tokens: the cost is shown as "plan"."""
    retires_on: str | None = None
    """ISO date from which the vendor no longer serves it."""
    successor: str | None = None
    stream_idle_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Quirks:
    """Deviations from the plain wire, each with its reason where it is set in the catalog."""

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    empty_content: Literal["null", "empty"] = "empty"
    """What an assistant message with tool calls but no text carries as ``content``."""
    merge_system: bool = True
    stream_options: bool = True
    reasoning_replay: Literal["never", "tool_loop", "always"] = "tool_loop"
    reasoning_field: str = "reasoning_content"
    reasoning_required: bool = False
    """Send the field even when there is nothing to say in it (DeepSeek)."""
    tool_stream: bool = False
    """Ask for streamed tool arguments (Z.ai)."""
    parallel_tool_calls: bool = False
    """Say so in the request, where the default is one call at a time (llama.cpp)."""
    cache_control: bool = False
    interleaved_thinking: bool = False
    """Ask by beta header for thinking between tool calls on models with a thinking budget (Anthropic)."""
    prompt_cache_key: bool = False
    """Send a per-session cache key (OpenAI)."""
    session_headers: tuple[str, ...] = ()
    """Headers that carry the session id, by which the vendor finds its cache (ChatGPT: ``session-id``)."""
    unsupported_params: tuple[str, ...] = ()
    """Body fields that the endpoint refuses, left out (ChatGPT: ``max_output_tokens``, ``temperature`` ...)."""
    stream_only: bool = False
    """Only streamed answers: ``complete`` reads a stream to its end (ChatGPT)."""
    instructions_required: bool = False
    """A request without a system prompt is refused, so a neutral one is sent (ChatGPT)."""
    system_in_input: bool = False
    """The system prompt is the first input message instead of ``instructions`` (xAI)."""
    websocket_beta: str = ""
    """Value of ``OpenAI-Beta`` for the upgrade to a WebSocket (ChatGPT)."""
    turn_state_header: str = ""
    """Response header whose value the later requests of the same turn send back (ChatGPT)."""
    plan_limits: bool = False
    """The answers tell how much of the plan is used (ChatGPT)."""
    reasoning_sampling: bool = False
    """Temperature and top_p are accepted beside reasoning (xAI); OpenAI refuses them."""


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One provider: an endpoint that speaks a wire."""

    id: str
    display_name: str
    wire_style: WireStyle
    # An address may hold a login, a header a key.
    base_url: str | None = field(default=None, repr=False)
    auth: AuthSpec | None = None
    """``None``: no authentication, always usable."""
    http_headers: dict[str, str] = field(default_factory=dict, repr=False)
    models: tuple[str, ...] = ()
    """Preferred model ids in order; empty accepts any id."""
    default_model: str | None = None
    base_url_env: str | None = None
    alias_of: str | None = None
    extra_body: dict[str, Any] = field(default_factory=dict)
    supports_web_search: bool = False
    websocket: bool = False
    stream_idle_timeout: float = 300.0
    """Seconds of silence (no usable event) after which a stream is given up."""
    thinking_display: Literal["off", "concise", "detailed"] | None = None
    models_endpoint: str | None = None
    """Path of the vendor's list of models, relative to the base URL."""
    key_page: str | None = None
    """Where a person gets a key."""
    key_prefix: str | None = None
    """What every key of this provider starts with; another key gets a notice."""
    oauth_provider: str | None = None
    """The provider that an OAuth sign-in of this one is sent to (``openai`` -> ``openai-subscription``)."""
    quirks: Quirks = Quirks()
    builtin: bool = True


@dataclass(frozen=True, slots=True)
class Sourced:
    """A value and where it came from, for the status line."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Everything a turn needs to call a model, resolved once and frozen.

    ``sources`` names for each of ``provider``, ``model``, ``thinking``, ``base_url``, ``credential``,
    ``temperature`` ... where its value came from (``cell flag``, ``%ante``, ``settings.json``,
    ``environment OPENAI_API_KEY``, ``built-in default`` ...).
    """

    provider: ProviderSpec
    model: ModelSpec
    base_url: str = field(repr=False)
    credential: Secret | None = None
    thinking: ThinkingLevel | None = None
    sources: dict[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    transport: Literal["http_sse", "websocket_auto"] = "http_sse"
    """How answers are to be streamed; ``websocket_auto`` counts only where ``provider.websocket`` is set."""
    credential_headers: dict[str, str] = field(default_factory=dict)
    """Headers that belong to the credential (ChatGPT: the account)."""
    oauth: str | None = None
    """The OAuth preset whose sign-in the credential is; such a token is renewed."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it: ``parameters`` is a JSON schema of type object."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One model call, in no vendor's terms.

    ``tool_choice``: ``auto``, ``none``, ``required`` or the name of one tool.
    ``session_id`` keys the vendor's prompt cache and the WebSocket; ``step_id`` names the call in events;
    ``turn_id`` tells which calls belong together: a WebSocket that failed is not tried again in its turn.
    """

    messages: tuple[Any, ...]
    system: str = ""
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = "auto"
    thinking: ThinkingLevel | None = None
    max_tokens: int | None = None
    session_id: str | None = None
    step_id: str = ""
    turn_id: str = ""
