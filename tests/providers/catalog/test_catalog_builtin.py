"""The packaged catalog against the providers page, row by row."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import date
from importlib import resources

import pytest

from ante_nb.providers.catalog import Catalog, load_catalog
from ante_nb.providers.catalog.schema import (
    DeviceEntry,
    FamilyEntry,
    ModelEntry,
    OAuthEntry,
    ProviderEntry,
    QuirksEntry,
    known_fields,
)
from ante_nb.providers.spec import LEVELS, Quirks
from ante_nb.providers.thinking import STYLE_WIRES, levels_of, wire_level

RAW = json.loads(
    resources.files("ante_nb.providers.catalog").joinpath("builtin.json").read_text(encoding="utf-8")
)


@pytest.fixture
def catalog(tmp_path) -> Catalog:
    return load_catalog(tmp_path)


PROVIDERS = [
    # id, wire, auth kind, variables, OAuth preset, default model, base-URL variable, websocket
    ("anthropic", "AnthropicMessage", "header", ("ANTHROPIC_API_KEY",), "anthropic", "claude-sonnet-4-6", "ANTHROPIC_BASE_URL", False),
    ("anthropic-subscription", "AnthropicMessage", "bearer", (), "anthropic", "claude-sonnet-4-6", None, False),
    ("openai", "OpenAiResponse", "bearer", ("OPENAI_API_KEY",), "openai", "gpt-5.4", "OPENAI_BASE_URL", True),
    ("openai-compatible", "OpenAiCompatible", "bearer", ("OPENAI_COMPATIBLE_API_KEY",), None, None, "OPENAI_COMPATIBLE_BASE_URL", False),
    ("openai-subscription", "OpenAiResponse", "bearer", (), "openai", "gpt-5.4", None, True),
    ("gemini", "Gemini", "header", ("GEMINI_API_KEY",), None, "gemini-3.1-pro-preview", None, False),
    ("vertex-gemini", "Gemini", "header", ("VERTEX_GEMINI_API_KEY",), None, "gemini-3.1-pro-preview", None, False),
    ("openrouter", "OpenAiCompatible", "bearer", ("OPENROUTER_API_KEY",), None, "anthropic/claude-sonnet-4.6", "OPENROUTER_BASE_URL", False),
    ("xai", "OpenAiResponse", "bearer", ("XAI_API_KEY",), None, "grok-4-latest", None, False),
    ("zai", "OpenAiCompatible", "bearer", ("Z_AI_API_KEY", "ZAI_API_KEY"), None, "glm-5.1", None, False),
    ("deepseek", "OpenAiCompatible", "bearer", ("DEEPSEEK_API_KEY",), None, "deepseek-v4-flash", "DEEPSEEK_BASE_URL", False),
    ("ali-coding-plan", "AnthropicMessage", "bearer", ("ALI_CODING_PLAN_API_KEY",), None, "qwen3.5-plus", None, False),
    ("antix", "AnthropicMessage", "bearer", ("ANTIX_API_KEY",), "antix", "claude-sonnet-4-6", "ANTIX_BASE_URL", False),
    ("antix-subscription", "AnthropicMessage", "bearer", (), "antix", "claude-sonnet-4-6", None, False),
    ("antix-api-key", "AnthropicMessage", "bearer", ("ANTIX_API_KEY",), None, "claude-sonnet-4-6", "ANTIX_BASE_URL", False),
    ("local", "OpenAiCompatible", None, (), None, None, None, False),
]  # fmt: skip


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row[0])
def test_provider_row(catalog, row):
    pid, wire, kind, variables, preset, model, base_env, websocket = row
    spec = catalog.providers[pid]
    assert (spec.wire_style, spec.default_model, spec.base_url_env) == (wire, model, base_env)
    assert spec.websocket is websocket
    assert spec.builtin
    if kind is None:
        assert spec.auth is None
    else:
        assert spec.auth is not None
        assert (spec.auth.kind, spec.auth.env_keys, spec.auth.oauth_preset) == (kind, variables, preset)
    if pid not in ("openai-compatible", "local"):
        assert spec.base_url is not None and spec.base_url.startswith("https://")
        assert model in spec.models


def test_order_is_the_pages_with_local_last(catalog):
    assert [p for p in catalog.providers if p != "antix-api-key"] == [
        row[0] for row in PROVIDERS if row[0] != "antix-api-key"
    ]
    assert list(catalog.providers)[-1] == "local"


PAGE_MODELS = {
    "anthropic": "claude-haiku-4-5 claude-sonnet-4-5 claude-sonnet-4-6 claude-opus-4-6",
    "openai": "gpt-5.4 gpt-5.4-pro gpt-5.3-codex gpt-5-mini gpt-5-nano",
    "gemini": "gemini-3.1-flash-lite-preview gemini-3.1-pro-preview",
    "vertex-gemini": "gemini-3.1-pro-preview",
    "xai": "grok-4-latest",
    "zai": "glm-5.1",
    "openrouter": "anthropic/claude-opus-4.6 anthropic/claude-sonnet-4.6 google/gemini-3.1-pro-preview"
    " openai/gpt-5.4-pro deepseek/deepseek-v4-flash deepseek/deepseek-v4-pro",
    "deepseek": "deepseek-v4-flash deepseek-v4-pro",
    "ali-coding-plan": "qwen3.5-plus qwen3.6-plus kimi-k2.5 glm-5.1 MiniMax-M2.5 qwen3-max-2026-01-23"
    " qwen3-coder-plus qwen3-coder-next",
    "antix": "gemini-3.1-flash-lite-preview gemini-3.1-pro-preview qwen3.6-plus claude-haiku-4-5"
    " claude-sonnet-4-6 gpt-5.4 gpt-5.3-codex",
}


@pytest.mark.parametrize("pid", PAGE_MODELS)
def test_every_model_of_the_page_is_listed_first(catalog, pid):
    wanted = PAGE_MODELS[pid].split()
    assert list(catalog.providers[pid].models[: len(wanted)]) == wanted


@pytest.mark.parametrize(
    ("model", "context"),
    [
        ("qwen3.6-plus", 1_000_000),
        ("qwen3.5-plus", 1_000_000),
        ("qwen-plus", 1_000_000),
        ("kimi-k2.5", 262_144),
        ("MiniMax-M2.5", 200_000),
    ],
)
def test_standalone_models_under_any_provider(catalog, model, context):
    assert catalog.models[model].context_limit == context
    assert catalog.models[model].description
    for pid in ("openai-compatible", "openrouter", "local"):
        assert catalog.model_for(pid, model).context_limit == context


@pytest.mark.parametrize(
    ("provider", "model", "context", "output"),
    [
        ("anthropic", "claude-haiku-4-5", 200_000, 64_000),
        ("anthropic", "claude-sonnet-4-5", 200_000, 64_000),
        ("anthropic", "claude-sonnet-4-6", 1_000_000, 128_000),
        ("anthropic", "claude-opus-4-6", 1_000_000, 128_000),
        ("antix", "claude-sonnet-4-6", 200_000, 128_000),
        ("antix-api-key", "claude-sonnet-4-6", 200_000, 128_000),
        ("openai", "gpt-5.4", 1_050_000, 128_000),
        ("openai-subscription", "gpt-5.4", 272_000, 128_000),
        ("openai", "gpt-5.3-codex", 400_000, 128_000),
        ("gemini", "gemini-3.1-pro-preview", 1_048_576, 65_536),
        ("xai", "grok-4-latest", 256_000, 64_000),
        ("zai", "glm-5.1", 200_000, 128_000),
        ("deepseek", "deepseek-v4-flash", 1_048_576, 393_216),
        ("openrouter", "openai/gpt-5.4-pro", 1_050_000, 128_000),
        ("xai", "grok-4.7", 500_000, None),
    ],
)
def test_limits(catalog, provider, model, context, output):
    spec = catalog.model_for(provider, model)
    assert (spec.context_limit, spec.output_limit) == (context, output)


# What is sent for min, low, medium, high, xhigh, max.
N = None
D = {"type": "disabled"}
E = {"type": "enabled"}
DIALECTS = [
    ("anthropic", "claude-sonnet-4-6", "anthropic_adaptive", [N, "low", "medium", "high", "high", "high"]),
    ("anthropic", "claude-opus-4-6", "anthropic_adaptive", [N, "low", "medium", "high", "high", "max"]),
    ("anthropic", "claude-haiku-4-5", "anthropic_budget", [N, 4096, 8192, 24576, 32000, 62976]),
    ("anthropic", "claude-haiku-4-5-20251001", "anthropic_budget", [N, 4096, 8192, 24576, 32000, 63999]),
    ("anthropic", "claude-opus-5-5", "anthropic_adaptive", [N, "low", "medium", "high", "xhigh", "max"]),
    ("anthropic", "claude-opus-4-8", "anthropic_adaptive", [N, "low", "medium", "high", "xhigh", "max"]),
    ("openai", "gpt-5.4", "responses_effort", ["none", "low", "medium", "high", "xhigh", "xhigh"]),
    ("openai", "gpt-5.4-pro", "responses_effort", ["medium", "medium", "medium", "high", "xhigh", "xhigh"]),
    ("openai", "gpt-5.3-codex", "responses_effort", ["low", "low", "medium", "high", "xhigh", "xhigh"]),
    ("openai", "gpt-5-mini", "responses_effort", ["minimal", "low", "medium", "high", "high", "high"]),
    ("openai", "gpt-6-astra", "responses_effort", ["low", "low", "medium", "high", "xhigh", "max"]),
    ("openai", "gpt-4o", "none", [N] * 6),
    ("xai", "grok-4-latest", "responses_effort", ["low", "low", "medium", "high", "high", "high"]),
    ("xai", "grok-4.6", "responses_effort", ["low", "low", "medium", "high", "xhigh", "xhigh"]),
    ("xai", "grok-4-0709", "none", [N] * 6),
    ("gemini", "gemini-3.1-pro-preview", "gemini_level", ["low", "low", "medium", "high", "high", "high"]),
    ("gemini", "gemini-3.1-flash-lite", "gemini_level", ["minimal", "low", "medium", "high", "high", "high"]),
    ("gemini", "gemini-2.5-flash", "gemini_budget", [0, 4096, 8192, 24576, 24576, 24576]),
    ("zai", "glm-5.1", "thinking_type", ["disabled", *["enabled"] * 5]),
    ("zai", "glm-5.3", "thinking_type_effort", [D, E, E, *[{**E, "effort": "high"}] * 2, {**E, "effort": "max"}]),
    ("deepseek", "deepseek-v4-pro", "thinking_type_effort",
     [D, {**E, "effort": "low"}, *[{**E, "effort": "high"}] * 3, {**E, "effort": "max"}]),
    ("openrouter", "anthropic/claude-sonnet-4.6", "openrouter_reasoning", ["none", "low", "medium", "high", "xhigh", "xhigh"]),
    ("openrouter", "minimax/minimax-m3", "none", [N] * 6),
    ("ali-coding-plan", "qwen3.5-plus", "anthropic_budget", [N, 4096, 8192, 24576, 32000, 62976]),
    ("ali-coding-plan", "MiniMax-M2.5", "none", [N] * 6),
    ("ali-coding-plan", "qwen3-coder-plus", "none", [N] * 6),
    ("openai-compatible", "qwen3.5-plus", "enable_thinking", [False, *[True] * 5]),
    ("openai-compatible", "Qwen/Qwen3.8-72B", "enable_thinking", [False, "low", "medium", "medium", "xhigh", "xhigh"]),
    ("openai-compatible", "kimi-k2.5", "thinking_type", ["disabled", *[N] * 5]),
    ("openai-compatible", "moonshotai/Kimi-K3", "reasoning_effort", ["max"] * 6),
    ("openai-compatible", "MiniMax-M2.5", "none", [N] * 6),
    ("openai-compatible", "deepseek-ai/DeepSeek-V4", "thinking_type_effort",
     [D, {**E, "effort": "low"}, *[{**E, "effort": "high"}] * 3, {**E, "effort": "max"}]),
    ("openai-compatible", "mistral-large", "reasoning_effort", [N, "low", "medium", "high", "high", "high"]),
    ("openai-compatible", "claude-sonnet-4-6", "reasoning_effort", [N, "low", "medium", "high", "high", "high"]),
    ("local", "Qwen3-4B-Q4_K_M.gguf", "chat_template_kwargs", [False, *[True] * 5]),
    ("local", "gpt-oss-20b", "reasoning_effort", ["low", "low", "medium", "high", "high", "high"]),
]  # fmt: skip


@pytest.mark.parametrize("row", DIALECTS, ids=lambda row: f"{row[0]}:{row[1]}")
def test_thinking_dialect(catalog, row):
    provider, model, style, values = row
    spec = catalog.model_for(provider, model)
    assert spec.thinking_control is not None
    assert spec.thinking_control.style == style
    assert [wire_level(spec, level)[0] for level in LEVELS] == values


def test_levels_that_make_a_difference(catalog):
    assert levels_of(catalog.model_for("zai", "glm-5.1")) == ("min", "low")
    assert levels_of(catalog.model_for("openai", "gpt-5.4-pro")) == ("medium", "high", "xhigh")
    assert levels_of(catalog.model_for("ali-coding-plan", "MiniMax-M2.5")) == ()


def test_every_listed_model_has_a_control_for_its_wire(catalog):
    for provider in catalog.providers.values():
        for mid in provider.models:
            control = catalog.model_for(provider.id, mid).thinking_control
            assert control is not None, mid
            assert STYLE_WIRES[control.style] in (None, provider.wire_style), (provider.id, mid)


def test_prices_belong_to_the_vendor(catalog):
    price = catalog.model_for("anthropic", "claude-sonnet-4-6").price
    assert price is not None
    assert (price.input, price.output, price.cache_read, price.cache_write) == (3, 15, 0.3, 3.75)
    assert catalog.model_for("openai-compatible", "claude-sonnet-4-6").price is None
    assert catalog.model_for("antix", "claude-sonnet-4-6").price is None
    assert catalog.model_for("deepseek", "deepseek-v4-flash").price is None
    local = catalog.model_for("local", "anything.gguf").price
    assert local is not None and local.input == local.output == 0


@pytest.mark.parametrize("pid", ["anthropic-subscription", "openai-subscription", "ali-coding-plan"])
def test_plans_are_priced_by_plan(catalog, pid):
    for mid in (*catalog.providers[pid].models, "some-other-model"):
        spec = catalog.model_for(pid, mid)
        assert spec.plan_priced and spec.price is None


def test_every_price_has_a_date_and_every_retirement_too():
    rows = [
        *RAW["models"].values(),
        *(m for p in RAW["providers"].values() for m in p.get("preferred_models", [])),
    ]
    prices = [row["price"] for row in rows if row.get("price")]
    assert len(prices) >= 15
    for price in prices:
        assert date.fromisoformat(price["as_of"]) <= date(2026, 11, 22)
    for row in rows:
        if row.get("retires_on"):
            date.fromisoformat(row["retires_on"])


@pytest.mark.parametrize(
    ("model", "day", "successor"),
    [
        ("claude-sonnet-4-5", "2026-11-30", "claude-sonnet-4-6"),
        ("gpt-5-mini", "2026-12-11", "gpt-6.1-terra"),
        ("gemini-3.1-flash-lite-preview", "2026-05-25", "gemini-3.1-flash-lite"),
        ("grok-4-latest", "2026-05-15", "grok-4.7"),
    ],
)
def test_retirements(catalog, model, day, successor):
    spec = catalog.models[model]
    assert (spec.retires_on, spec.successor) == (day, successor)
    assert successor in catalog.models


def test_quirks_have_reasons_and_match_the_dataclass():
    assert set(QuirksEntry.model_fields) == {field.name for field in dataclasses.fields(Quirks)}
    seen = 0
    for provider in RAW["providers"].values():
        for quirk in provider.get("quirks", {}).values():
            assert set(quirk) == {"value", "reason"}
            assert len(quirk["reason"].split()) >= 5
            seen += 1
    assert seen >= 15


def test_quirks_reach_the_spec(catalog):
    assert catalog.providers["deepseek"].quirks.reasoning_required
    assert catalog.providers["zai"].quirks.tool_stream
    assert catalog.providers["openrouter"].quirks.empty_content == "null"
    assert catalog.providers["openai-subscription"].quirks.session_headers[0] == "session-id"
    assert catalog.providers["openai-subscription"].quirks.stream_only
    assert catalog.providers["local"].quirks.parallel_tool_calls


def test_the_packaged_file_has_no_field_that_nobody_reads():
    assert set(RAW) == {"notes", "providers", "oauth", "models", "thinking_families"}
    for row in RAW["providers"].values():
        assert row.keys() <= known_fields(ProviderEntry)
        for model in row.get("preferred_models", []):
            assert model.keys() <= known_fields(ModelEntry)
            assert model["id"] in RAW["models"], "a listed model has a row"
    for row in RAW["models"].values():
        assert row.keys() <= known_fields(ModelEntry)
    for row in RAW["oauth"].values():
        assert row.keys() <= known_fields(OAuthEntry)
        assert row.get("device", {}).keys() <= known_fields(DeviceEntry)
    for row in RAW["thinking_families"]:
        assert row.keys() <= known_fields(FamilyEntry)
        re.compile(row["match"])


def test_unknown_model_is_a_bare_spec(catalog):
    spec = catalog.model_for("openai", "gpt-99")
    assert spec.id == "gpt-99"
    assert spec.context_limit is spec.output_limit is spec.price is spec.thinking is spec.vision is None
