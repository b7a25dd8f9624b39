"""The vendors that the loopback server stands in for: where they listen and what they want to see.

Written from the vendors' documentation, not from the catalog, so that the two can disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Vendor:
    """One vendor's endpoint.

    ``path``: of the base URL on the vendor's own host. ``endpoint``: what the request's path must be.
    ``header``: that carries ``key``; ``Authorization: Bearer`` where it is ``authorization``.
    ``needs``: further headers and what each must hold.
    """

    id: str
    style: str
    path: str
    endpoint: str
    key: str
    header: str = "authorization"
    needs: dict[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    list_path: str | None = None
    sends_call_ids: bool = True
    vision: bool = True
    prefix: str = "call_"

    def call_id(self, number: int) -> str:
        return f"{self.prefix}{self.id.replace('-', '')}{number:06d}"


_VERSION = {"anthropic-version": "2023-06-01"}
_MESSAGES = "/v1/messages"
_GOOGLE = "/models/{model}:{method}"


def _anthropic(ident: str, path: str, endpoint: str, key: str, **more: Any) -> Vendor:
    more.setdefault("needs", _VERSION)
    return Vendor(ident, "AnthropicMessage", path, endpoint, key, prefix="toolu_", **more)


def _responses(ident: str, path: str, key: str, **more: Any) -> Vendor:
    return Vendor(ident, "OpenAiResponse", path, f"{path}/responses", key, **more)


def _chat(ident: str, path: str, key: str, **more: Any) -> Vendor:
    more.setdefault("list_path", f"{path}/models")
    return Vendor(ident, "OpenAiCompatible", path, f"{path}/chat/completions", key, **more)


def _google(ident: str, path: str, key: str, **more: Any) -> Vendor:
    return Vendor(ident, "Gemini", path, f"{path}{_GOOGLE}", key, "x-goog-api-key", prefix="", **more)


_CLAUDE = ("claude-sonnet-4-6", "claude-haiku-4-5")

VENDORS: dict[str, Vendor] = {
    vendor.id: vendor
    for vendor in (
        _anthropic(
            "anthropic", "/v1", _MESSAGES, "sk-ant-api03-loopback-0001", header="x-api-key", models=_CLAUDE,
            list_path="/v1/models",
        ),
        _anthropic(
            "anthropic-subscription", "/v1", _MESSAGES, "sk-ant-oat01-loopback-0002", models=_CLAUDE,
            needs={**_VERSION, "anthropic-beta": "oauth-2025-04-20"}, list_path="/v1/models",
        ),
        _anthropic("ali-coding-plan", "/apps/anthropic", "/apps/anthropic/v1/messages", "sk-sp-loopback-0003"),
        _anthropic(
            "antix", "/v1", _MESSAGES, "sk-antix-loopback-0004", models=_CLAUDE, list_path="/v1/models"
        ),
        _anthropic(
            "antix-subscription", "/v1", _MESSAGES, "eyJhbGciOi.loopback.0005", models=_CLAUDE,
            list_path="/v1/models",
        ),
        _responses("openai", "/v1", "sk-proj-loopback-0006", models=("gpt-5.4",), list_path="/v1/models"),
        _responses(
            "openai-subscription", "/backend-api/codex", "eyJhbGciOi.loopback.0007",
            needs={"originator": "ante_nb"},
        ),
        # Its ids are UUIDs: longer than Chat Completions takes.
        _responses(
            "xai", "/v1", "xai-loopback-0008", models=("grok-4.3",), list_path="/v1/models",
            prefix="call-4f9c0d1e-77aa-4c1e-9c55-0000000000-",
        ),
        _google("gemini", "/v1beta", "AIzaLoopback0009", list_path="/v1beta/models"),
        # Vertex in express mode gives calls no ids.
        _google("vertex-gemini", "/v1/publishers/google", "AQ.loopback-0010", sends_call_ids=False),
        _chat("openai-compatible", "/v1", "tgp-loopback-0011", models=("test-model",)),
        # Ids as its routes pass them on from the vendors behind it.
        _chat("openrouter", "/api/v1", "sk-or-v1-loopback-0012", prefix="tool_0_functions.Read:"),
        _chat("zai", "/api/paas/v4", "zai.loopback-0013", vision=False),
        _chat("deepseek", "", "sk-deepseek-loopback-0014", prefix="call_00_"),
        _chat("local", "/v1", ""),
        # Not of the page: the names under which the custom catalog's examples reach it.
        _chat("my-provider", "/v1", "sk-mine-loopback-0015"),
        _chat(
            "ali-coding-plan-oai", "/v1", "sk-sp-loopback-0003",
            needs={"user-agent": "ante-cli/1.0.0", "x-dashscope-useragent": "coding-agent"},
        ),
    )
}  # fmt: skip
