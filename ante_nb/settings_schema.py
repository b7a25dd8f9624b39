"""The keys of ``settings.json`` and of the administrator's file, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ante_nb.providers.spec import LEVEL_ALIASES, ThinkingLevel


def _level(value: Any) -> Any:
    return LEVEL_ALIASES.get(value.strip().lower(), value) if isinstance(value, str) else value


def mode_name(value: Any) -> Any:
    """A permission mode in lower case, ``default`` as the ``strict`` it is now called."""
    if not isinstance(value, str):
        return value
    name = value.strip().lower()
    return "strict" if name == "default" else name


Level = Annotated[ThinkingLevel, BeforeValidator(_level)]
Mode = Annotated[Literal["strict", "auto"], BeforeValidator(mode_name)]
Count = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False, frozen=True)


class PermissionRules(_Model):
    """Rules ``Tool`` or ``Tool(glob)``; what is malformed is reported by whoever parses them."""

    allow: list[str] = Field(default_factory=list)
    ask: list[str] = Field(default_factory=list)
    deny: list[str] = Field(default_factory=list)


class McpServer(_Model):
    """A server of the Model Context Protocol over stdio."""

    command: str
    args: list[str] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    enabled_tools: list[str] | None = None


class LocalSettings(_Model):
    """The ``local`` provider.

    ``engine_url`` is an OpenAI-compatible server to use instead of starting one, its key in the variable
    that ``engine_key_env`` names; ``llama_server`` the path of a ``llama-server``; ``sleep_idle`` and
    ``exit_idle`` the seconds after which a started server frees its memory and ends.
    """

    engine_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+\S*$")] | None = None
    engine_key_env: str | None = None
    engine: Literal["llama-server", "xllamacpp", "llama_cpp"] | None = None
    llama_server: str | None = None
    model: str | None = None
    context: Annotated[int, Field(gt=0)] | None = None
    model_directories: list[str] = Field(default_factory=list)
    gpu_layers: Annotated[int, Field(ge=-1)] | None = None
    threads: Annotated[int, Field(gt=0)] | None = None
    sleep_idle: Annotated[float, Field(ge=0)] | None = None
    exit_idle: Annotated[float, Field(ge=0)] | None = None
    start_timeout: Annotated[float, Field(gt=0)] | None = None
    memory_check: bool = True
    extra_args: list[str] = Field(default_factory=list)


class Allowed(_Model):
    """What may be used at most: model calls, tokens read and written, US dollars, seconds."""

    steps: Annotated[int, Field(gt=0)] | None = None
    tokens: Annotated[int, Field(gt=0)] | None = None
    cost: Annotated[float, Field(gt=0)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None


class LimitSettings(_Model):
    """Limits of every turn, and of a session as a whole."""

    turn: Allowed = Field(default_factory=Allowed)
    session: Allowed = Field(default_factory=Allowed)


class SettingsFile(_Model):
    """The keys of ``settings.json`` that are read; all others are kept as they are."""

    provider: str | None = None
    model: str | None = None
    provider_model: dict[str, str] = Field(default_factory=dict)
    thinking: Level | None = None
    model_thinking: dict[str, Level] = Field(default_factory=dict)
    model_effort: dict[str, Level] = Field(default_factory=dict)
    policy: Mode | None = None
    permission_mode: Mode | None = None
    permissions: PermissionRules = Field(default_factory=PermissionRules)
    data_policy: Literal["schema", "stats", "sample", "full"] | None = None
    openai_transport: Literal["http_sse", "websocket_auto"] | None = None
    credential_store: Literal["file", "keyring"] | None = None
    """Where keys and sign-ins are kept: files below ``auth/``, or the keyring of the system."""
    mcp_servers: dict[str, McpServer] = Field(default_factory=dict)
    local: LocalSettings = Field(default_factory=LocalSettings)
    system_prompt: str | None = None
    append_system_prompt: str | None = None
    tools: list[str] | None = None
    auto_compact: bool | None = None
    auto_memory: bool | None = None
    session_save: bool | None = None
    max_concurrent_subagents: Count | None = None
    max_steps: Annotated[int, Field(gt=0)] | None = None
    limits: LimitSettings = Field(default_factory=LimitSettings)


class SystemFile(_Model):
    """The administrator's file. Unknown keys are an error: a rule must not be lost to a typing mistake."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    forbid_yolo: bool = False
    providers: list[str] | None = None
    """The only provider ids that may be used; absent: all."""
