"""Resolution as tables: who wins, where each value came from, what each mistake says."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import pytest

from ante_nb import paths
from ante_nb.errors import AnteError, ConfigError, MissingCredentialError, SignInError, UnknownProviderError
from ante_nb.providers.auth import Credential, KeyRing
from ante_nb.providers.catalog import Overrides, load_catalog, resolve
from ante_nb.providers.spec import Choice, Secret
from ante_nb.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 22)
ANTHROPIC = {"ANTHROPIC_API_KEY": "sk-ant-1"}
OPENAI = {"OPENAI_API_KEY": "sk-1"}
COMPATIBLE = {"OPENAI_COMPATIBLE_API_KEY": "k", "OPENAI_COMPATIBLE_BASE_URL": "https://api.together.xyz/v1"}


class SignedIn:
    """Sign-ins that are there, as the OAuth records give them."""

    def __init__(self, *presets: str) -> None:
        self.presets = presets

    def token(self, preset: str) -> Credential | None:
        if preset not in self.presets:
            return None
        return Credential(Secret(f"token-{preset}"), f"sign-in {preset}", oauth=True)

    def command(self, preset: str) -> str:
        return f"%ante login {preset}"


class World:
    """A home directory and an environment, and `resolve` in it."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def write(self, name: str, content: object) -> None:
        self.home.mkdir(exist_ok=True)
        (self.home / name).write_text(json.dumps(content), encoding="utf-8")

    def __call__(
        self, env=None, *, cell=None, session=None, config=None, engine=False, sign_ins=None
    ) -> Choice:
        env = env or {}
        return resolve(
            load_catalog(self.home),
            load_settings(self.home, env),
            env,
            KeyRing(self.home, sign_ins),
            cell=Overrides(**cell) if cell else None,
            session=Overrides(**session) if session else None,
            config=Overrides(**config) if config else None,
            engine_available=lambda: engine,
            today=TODAY,
        )


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    monkeypatch.setattr(paths, "SYSTEM_SETTINGS", tmp_path / "system.json")
    return World(tmp_path / "ante")


# ------------------------------------------------------------------------------- provider and model

NOTHING: dict = {}
# settings.json, session, cell, environment -> provider (source), model (source)
CHOICES = [
    # nothing chosen
    (NOTHING, {}, {}, ANTHROPIC, ("anthropic", "built-in default"), ("claude-sonnet-4-6", "built-in default")),
    (NOTHING, {}, {}, OPENAI, ("openai", "first provider with a key"), ("gpt-5.4", "built-in default")),
    (NOTHING, {}, {}, {"DEEPSEEK_API_KEY": "k", "XAI_API_KEY": "k"}, ("xai", "first provider with a key"), ("grok-4-latest", "built-in default")),
    (NOTHING, {}, {}, {**OPENAI, **ANTHROPIC}, ("anthropic", "built-in default"), ("claude-sonnet-4-6", "built-in default")),
    (NOTHING, {}, {}, {"ANTHROPIC_API_KEY": "  ", **OPENAI}, ("openai", "first provider with a key"), ("gpt-5.4", "built-in default")),
    (NOTHING, {}, {}, {"ZAI_API_KEY": "k"}, ("zai", "first provider with a key"), ("glm-5.1", "built-in default")),
    (NOTHING, {}, {}, {"ANTIX_API_KEY": "k"}, ("antix", "first provider with a key"), ("claude-sonnet-4-6", "built-in default")),
    # a compatible server has no default model, so it is never chosen by itself without one
    ({"provider_model": {"openai-compatible": "m"}}, {}, {}, COMPATIBLE, ("openai-compatible", "first provider with a key"), ("m", "settings.json (last used)")),
    # provider alone
    (NOTHING, {}, {"provider": "openai"}, OPENAI, ("openai", "cell flag"), ("gpt-5.4", "built-in default")),
    (NOTHING, {"provider": "openai"}, {}, OPENAI, ("openai", "%ante"), ("gpt-5.4", "built-in default")),
    ({"provider_model": {"openai": "gpt-5-mini"}}, {}, {"provider": "openai"}, OPENAI, ("openai", "cell flag"), ("gpt-5-mini", "settings.json (last used)")),
    ({"provider": "openai", "model": "gpt-5.3-codex"}, {}, {"provider": "openai"}, OPENAI, ("openai", "cell flag"), ("gpt-5.3-codex", "settings.json")),
    ({"provider": "anthropic", "model": "claude-opus-4-6"}, {}, {"provider": "openai"}, OPENAI, ("openai", "cell flag"), ("gpt-5.4", "built-in default")),
    ({"model": "gpt-5-nano"}, {}, {"provider": "openai"}, OPENAI, ("openai", "cell flag"), ("gpt-5-nano", "settings.json")),
    (NOTHING, {"provider": "openai", "model": "gpt-5.4-pro"}, {"provider": "openai"}, OPENAI, ("openai", "cell flag"), ("gpt-5.4-pro", "%ante")),
    # model alone
    (NOTHING, {}, {"model": "gpt-5.4"}, OPENAI, ("openai", "cell flag"), ("gpt-5.4", "cell flag")),
    (NOTHING, {}, {"model": "gpt-5.4"}, {**ANTHROPIC, **OPENAI}, ("openai", "cell flag"), ("gpt-5.4", "cell flag")),
    (NOTHING, {}, {"model": "claude-haiku-4-5"}, {**ANTHROPIC, "ANTIX_API_KEY": "k"}, ("anthropic", "cell flag"), ("claude-haiku-4-5", "cell flag")),
    (NOTHING, {"provider": "antix"}, {"model": "claude-haiku-4-5"}, {**ANTHROPIC, "ANTIX_API_KEY": "k"}, ("antix", "%ante"), ("claude-haiku-4-5", "cell flag")),
    (NOTHING, {"provider": "openai-compatible"}, {"model": "gpt-5.4"}, {**OPENAI, **COMPATIBLE}, ("openai-compatible", "%ante"), ("gpt-5.4", "cell flag")),
    (NOTHING, {"provider": "openrouter"}, {"model": "a/b"}, {"OPENROUTER_API_KEY": "k", **COMPATIBLE}, ("openrouter", "%ante"), ("a/b", "cell flag")),
    (NOTHING, {}, {"model": "a/b"}, {**ANTHROPIC, **COMPATIBLE}, ("openai-compatible", "cell flag"), ("a/b", "cell flag")),
    (NOTHING, {}, {"model": "some-model"}, ANTHROPIC, ("anthropic", "built-in default"), ("some-model", "cell flag")),
    (NOTHING, {}, {"model": "tiny.gguf"}, ANTHROPIC, ("local", "cell flag"), ("tiny.gguf", "cell flag")),
    ({"model": "gpt-5.4"}, {}, {}, OPENAI, ("openai", "settings.json"), ("gpt-5.4", "settings.json")),
    # both
    (NOTHING, {}, {"provider": "openai", "model": "x"}, OPENAI, ("openai", "cell flag"), ("x", "cell flag")),
    # precedence of layers
    ({"provider": "gemini"}, {"provider": "openai"}, {"provider": "anthropic"}, ANTHROPIC, ("anthropic", "cell flag"), ("claude-sonnet-4-6", "built-in default")),
    ({"provider": "gemini"}, {"provider": "openai"}, {}, OPENAI, ("openai", "%ante"), ("gpt-5.4", "built-in default")),
    ({"provider": "gemini"}, {}, {}, {"GEMINI_API_KEY": "k"}, ("gemini", "settings.json"), ("gemini-3.1-pro-preview", "built-in default")),
    ({"provider": "openai", "model": "gpt-5-mini"}, {}, {}, OPENAI, ("openai", "settings.json"), ("gpt-5-mini", "settings.json")),
    # alias
    (NOTHING, {}, {"provider": "antix-api-key"}, {"ANTIX_API_KEY": "k"}, ("antix-api-key", "cell flag"), ("claude-sonnet-4-6", "built-in default")),
    # no key needed
    (NOTHING, {}, {"provider": "local"}, {}, ("local", "cell flag"), ("", "built-in default")),
    ({"local": {"model": "qwen"}}, {}, {"provider": "local"}, {}, ("local", "cell flag"), ("qwen", "settings.json")),
]  # fmt: skip


@pytest.mark.parametrize("row", CHOICES, ids=range(len(CHOICES)))
def test_choice(world, row):
    settings, session, cell, env, provider, model = row
    if settings:
        world.write("settings.json", settings)
    choice = world(env, session=session, cell=cell)
    assert (choice.provider.id, choice.sources["provider"]) == provider
    assert (choice.model.id, choice.sources["model"]) == model


def test_ipython_config_sits_below_settings(world):
    choice = world({**OPENAI, **ANTHROPIC}, config={"provider": "openai", "thinking": "low"})
    assert (choice.provider.id, choice.sources["provider"]) == ("openai", "ipython_config.py")
    assert (choice.thinking, choice.sources["thinking"]) == ("low", "ipython_config.py")
    world.write("settings.json", {"provider": "anthropic"})
    assert world(ANTHROPIC, config={"provider": "openai"}).provider.id == "anthropic"


def test_profile_is_named_as_the_source(world):
    (world.home / "profiles").mkdir(parents=True)
    world.write("settings.json", {"provider": "gemini"})
    (world.home / "profiles" / "work.json").write_text('{"provider": "openai"}', encoding="utf-8")
    choice = world({**OPENAI, "ANTE_PROFILE": "work"})
    assert (choice.provider.id, choice.sources["provider"]) == ("openai", "profile work")
    with pytest.raises(ConfigError, match=r"profile 'nope'.*There are: work"):
        world({**OPENAI, "ANTE_PROFILE": "nope"})


def test_local_is_the_last_resort(world):
    choice = world(engine=True)
    assert (choice.provider.id, choice.model.id, choice.base_url) == ("local", "", "")
    assert choice.credential is None and choice.sources["provider"] == "no key found"
    assert world(ANTHROPIC, engine=True).provider.id == "anthropic"


def test_local_says_what_the_others_lack(world):
    assert world(COMPATIBLE, engine=True).sources["provider"] == (
        "openai-compatible has a key but no default model"
    )
    key_only = {"OPENAI_COMPATIBLE_API_KEY": "k"}
    assert world(key_only, engine=True).sources["provider"] == "openai-compatible has a key but no base URL"
    with pytest.raises(MissingCredentialError, match=r"has a key but no default model.*`%ante model ID`"):
        world(COMPATIBLE)


def test_no_default_model_says_what_to_type_where_it_was_chosen(world):
    with pytest.raises(ConfigError, match="`%ante model ID`"):
        world(COMPATIBLE, session={"provider": "openai-compatible"})
    with pytest.raises(ConfigError, match="`--provider openai-compatible --model MODEL`"):
        world(COMPATIBLE, cell={"provider": "openai-compatible"})


def test_engine_is_asked_only_when_it_matters(world, tmp_path):
    def engine_available() -> bool:
        raise AssertionError("asked")

    args = (load_catalog(world.home), load_settings(world.home, {}), ANTHROPIC, KeyRing(world.home))
    assert resolve(*args, engine_available=engine_available).provider.id == "anthropic"


def test_a_custom_provider_without_auth_counts_as_usable(world):
    row = {"base_url": "http://127.0.0.1:1/v1", "wire_style": "OpenAiCompatible", "preferred_models": ["m"]}
    world.write("catalog.json", {"providers": {"mine": row}})
    choice = world()
    assert (choice.provider.id, choice.model.id, choice.credential) == ("mine", "m", None)
    assert choice.sources["provider"] == "first usable provider"


# -------------------------------------------------------------------------------------------- errors

ERRORS = [
    ({"provider": "opnai"}, {}, UnknownProviderError, ["opnai", "Did you mean openai", "%ante provider"]),
    ({}, {}, MissingCredentialError, ["no provider is ready", "%ante key anthropic", "ANTHROPIC_API_KEY", "--provider local"]),
    ({"provider": "openai"}, {}, MissingCredentialError, ["OPENAI_API_KEY", "%ante key openai", "--provider local"]),
    ({"provider": "zai"}, {}, MissingCredentialError, ["Z_AI_API_KEY or ZAI_API_KEY", "%ante key zai"]),
    ({"provider": "openai-subscription"}, {}, SignInError, ["sign-in", "--provider openai", "OPENAI_API_KEY", "--provider local"]),
    ({"provider": "antix-subscription"}, {}, SignInError, ["sign-in", "ANTIX_API_KEY"]),
    ({"model": "gpt-5.4"}, ANTHROPIC, MissingCredentialError, ["gpt-5.4 is served by openai", "%ante key openai"]),
    ({"provider": "openai-compatible", "model": "m"}, {"OPENAI_COMPATIBLE_API_KEY": "k"}, ConfigError, ["no base URL", "OPENAI_COMPATIBLE_BASE_URL or MODEL_BASE_URL"]),
    ({"provider": "openai-compatible"}, COMPATIBLE, ConfigError, ["no default model", "--model"]),
    ({"thinking": "deeper"}, ANTHROPIC, ConfigError, ["--thinking", "deeper", "min, low, medium, high, xhigh, max", "Disabled, Enabled, Deep, Max"]),
    ({}, {**ANTHROPIC, "MODEL_THINKING": "lots"}, ConfigError, ["MODEL_THINKING", "lots", "xhigh"]),
    ({}, {**ANTHROPIC, "MODEL_TEMPERATURE": "warm"}, ConfigError, ["MODEL_TEMPERATURE", "'warm'"]),
    ({}, {**ANTHROPIC, "MODEL_TEMPERATURE": "-1"}, ConfigError, ["MODEL_TEMPERATURE"]),
    ({}, {**ANTHROPIC, "MODEL_TEMPERATURE": "nan"}, ConfigError, ["MODEL_TEMPERATURE"]),
    ({}, {**ANTHROPIC, "MODEL_TOP_P": "1.5"}, ConfigError, ["MODEL_TOP_P", "from 0 to 1"]),
    ({}, {**ANTHROPIC, "MODEL_MAX_TOKENS": "0"}, ConfigError, ["MODEL_MAX_TOKENS", "whole number"]),
    ({}, {**ANTHROPIC, "MODEL_MAX_TOKENS": "1.5"}, ConfigError, ["MODEL_MAX_TOKENS"]),
    ({}, {**ANTHROPIC, "MODEL_CONTEXT_LIMIT": "1M"}, ConfigError, ["MODEL_CONTEXT_LIMIT"]),
    ({}, {**ANTHROPIC, "ANTHROPIC_BASE_URL": "api.example.com"}, ConfigError, ["ANTHROPIC_BASE_URL is no URL"]),
    ({}, {**ANTHROPIC, "MODEL_BASE_URL": "ftp://x"}, ConfigError, ["MODEL_BASE_URL is no URL"]),
]  # fmt: skip


@pytest.mark.parametrize("row", ERRORS, ids=range(len(ERRORS)))
def test_error(world, row):
    cell, env, kind, words = row
    with pytest.raises(kind) as caught:
        world(env, cell=cell)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text


def test_missing_key_says_who_chose_the_provider(world):
    world.write("settings.json", {"provider": "openai"})
    with pytest.raises(MissingCredentialError, match=r"chosen by settings\.json"):
        world()


def test_no_error_shows_a_key(world):
    secret = "sk-very secret"
    with pytest.raises(MissingCredentialError) as caught:
        world({"OPENAI_API_KEY": secret}, cell={"provider": "openai"})
    assert "very" not in str(caught.value) and "OPENAI_API_KEY: the key holds a blank" in str(caught.value)
    with pytest.raises(MissingCredentialError, match="OPENAI_API_KEY: the key holds a blank") as caught:
        world({"OPENAI_API_KEY": secret})
    assert "very" not in str(caught.value)


def test_administrator_limits_providers(world, tmp_path):
    (tmp_path / "system.json").write_text('{"providers": ["openai", "local"], "forbid_yolo": true}')
    assert world({**ANTHROPIC, **OPENAI}).provider.id == "openai"
    with pytest.raises(ConfigError, match=r"does not allow the provider anthropic.*openai, local"):
        world(ANTHROPIC, cell={"provider": "anthropic"})
    assert world({**ANTHROPIC, "ANTIX_API_KEY": "k"}, engine=True).provider.id == "local"
    with pytest.raises(ConfigError, match="openai-subscription"):
        world(cell={"provider": "openai"}, sign_ins=SignedIn("openai"))


def test_an_administrators_file_that_cannot_be_read_blocks(world, tmp_path):
    (tmp_path / "system.json").write_text('{"providres": []}')
    with pytest.raises(ConfigError, match=r"administrator.*`providres`: is not known"):
        world(ANTHROPIC)


# ------------------------------------------------------------------------------------------ base URLs

GATEWAY = {"MODEL_BASE_URL": "https://gw.example.com/v1/"}
URLS = [
    ("anthropic", ANTHROPIC, "https://api.anthropic.com/v1", "catalog"),
    ("anthropic", {**ANTHROPIC, **GATEWAY}, "https://gw.example.com/v1", "environment MODEL_BASE_URL"),
    ("anthropic", {**ANTHROPIC, **GATEWAY, "ANTHROPIC_BASE_URL": "https://a.example.com"}, "https://a.example.com", "environment ANTHROPIC_BASE_URL"),
    ("openai", {**OPENAI, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, "http://127.0.0.1:9/v1", "environment OPENAI_BASE_URL"),
    ("openai", {**OPENAI, "OPENAI_BASE_URL": ""}, "https://api.openai.com/v1", "catalog"),
    ("deepseek", {"DEEPSEEK_API_KEY": "k", "DEEPSEEK_BASE_URL": "https://d/v1"}, "https://d/v1", "environment DEEPSEEK_BASE_URL"),
    ("openai-compatible", COMPATIBLE, "https://api.together.xyz/v1", "environment OPENAI_COMPATIBLE_BASE_URL"),
    ("openai-compatible", {"OPENAI_COMPATIBLE_API_KEY": "k", **GATEWAY}, "https://gw.example.com/v1", "environment MODEL_BASE_URL"),
    ("gemini", {"GEMINI_API_KEY": "k", **GATEWAY}, "https://gw.example.com/v1", "environment MODEL_BASE_URL"),
    ("xai", {"XAI_API_KEY": "k", "OPENAI_BASE_URL": "https://o"}, "https://api.x.ai/v1", "catalog"),
    ("local", GATEWAY, "", "started on first use"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "env", "url", "source"), URLS, ids=range(len(URLS)))
def test_base_url(world, provider, env, url, source):
    choice = world(env, cell={"provider": provider, "model": "m"})
    assert (choice.base_url, choice.sources["base_url"]) == (url, source)


def test_model_base_url_never_gets_a_sign_in(world):
    choice = world(GATEWAY, cell={"provider": "openai"}, sign_ins=SignedIn("openai"))
    assert choice.base_url == "https://chatgpt.com/backend-api/codex"
    choice = world(GATEWAY, cell={"provider": "antix-subscription"}, sign_ins=SignedIn("antix"))
    assert choice.base_url == "https://antix.antigma.ai/v1"


def test_local_uses_the_configured_server(world):
    world.write("settings.json", {"local": {"engine_url": "http://127.0.0.1:8080/v1/"}})
    choice = world(GATEWAY, cell={"provider": "local"})
    assert (choice.base_url, choice.sources["base_url"]) == ("http://127.0.0.1:8080/v1", "settings.json")


def test_plain_http_is_said(world):
    choice = world({**OPENAI, "OPENAI_BASE_URL": "http://gw.example.com/v1"}, cell={"provider": "openai"})
    assert any("plain http" in notice for notice in choice.notices)
    choice = world({**OPENAI, "OPENAI_BASE_URL": "http://localhost:9/v1"}, cell={"provider": "openai"})
    assert not choice.notices


# ----------------------------------------------------------------------------------------- credentials


def test_environment_then_store_then_sign_in(world):
    ring = KeyRing(world.home)
    both = SignedIn("openai")
    choice = world(cell={"provider": "openai"}, sign_ins=both)
    assert (choice.provider.id, choice.credential.value) == ("openai-subscription", "token-openai")
    assert choice.sources["credential"] == "sign-in openai"
    assert any("openai-subscription" in notice for notice in choice.notices)
    ring.store.set("openai", "sk-stored")
    choice = world(cell={"provider": "openai"}, sign_ins=both)
    assert (choice.provider.id, choice.credential.value) == ("openai", "sk-stored")
    assert choice.sources["credential"] == "key store"
    choice = world(OPENAI, cell={"provider": "openai"}, sign_ins=both)
    assert (choice.credential.value, choice.sources["credential"]) == ("sk-1", "environment OPENAI_API_KEY")
    assert "sk-1" not in repr(choice)


def test_the_alias_takes_a_key_only(world):
    with pytest.raises(MissingCredentialError, match="ANTIX_API_KEY"):
        world(cell={"provider": "antix-api-key"}, sign_ins=SignedIn("antix"))
    KeyRing(world.home).store.set("antix", "sk-antix-1")
    assert world(cell={"provider": "antix-api-key"}).credential.value == "sk-antix-1"


def test_sign_in_hint_where_it_is_possible(world):
    with pytest.raises(SignInError, match="%ante login openai"):
        world(cell={"provider": "openai-subscription"}, sign_ins=SignedIn())
    with pytest.raises(MissingCredentialError, match="%ante login openai"):
        world(cell={"provider": "openai"}, sign_ins=SignedIn())


def test_a_broken_store_does_not_hide_the_environment(world):
    (world.home / "auth").mkdir(parents=True)
    (world.home / "auth" / "api_keys.json").write_text("{ sk-leak")
    assert world(ANTHROPIC).credential.value == "sk-ant-1"
    choice = world(OPENAI)
    assert choice.provider.id == "openai"
    assert any("api_keys.json is no valid JSON" in notice for notice in choice.notices)
    assert not any("sk-leak" in notice for notice in choice.notices)


# ------------------------------------------------------------------------------- model values, thinking


def test_model_variables(world):
    env = {**ANTHROPIC, "MODEL_TEMPERATURE": "0.2", "MODEL_TOP_P": "0.9", "MODEL_MAX_TOKENS": "32_000", "MODEL_CONTEXT_LIMIT": "1000"}  # fmt: skip
    world.write("catalog.json", {"models": {"claude-sonnet-4-6": {"temperature": 1, "max_tokens": 5}}})
    choice = world(env)
    model = choice.model
    assert (model.temperature, model.top_p, model.max_tokens, model.context_limit) == (0.2, 0.9, 32_000, 1000)
    assert choice.sources["max_tokens"] == "environment MODEL_MAX_TOKENS"
    assert choice.sources["temperature"] == "environment MODEL_TEMPERATURE"


THINKING = [
    ({}, {}, {}, {}, None, None),
    ({"thinking": "Deep"}, {}, {}, {}, "high", "cell flag"),
    ({"thinking": "none"}, {}, {}, {}, "min", "cell flag"),
    ({}, {"thinking": "max"}, {}, {}, "max", "%ante"),
    ({"thinking": "low"}, {"thinking": "max"}, {"MODEL_THINKING": "deep"}, {"thinking": "xhigh"}, "low", "cell flag"),
    ({}, {"thinking": "max"}, {"MODEL_THINKING": "deep"}, {"thinking": "xhigh"}, "max", "%ante"),
    ({}, {}, {"MODEL_THINKING": "deep"}, {"thinking": "xhigh"}, "high", "environment MODEL_THINKING"),
    ({}, {}, {"MODEL_THINKING": "none"}, {}, "min", "environment MODEL_THINKING"),
    ({}, {}, {}, {"thinking": "xhigh"}, "xhigh", "settings.json"),
    ({}, {}, {}, {"thinking": "xhigh", "model_thinking": {"claude-sonnet-4-6": "Enabled"}}, "medium", "settings.json"),
    ({}, {}, {}, {"model_thinking": {"claude-sonnet-4-6": "Enabled"}, "model_effort": {"claude-sonnet-4-6": "low"}}, "low", "settings.json"),
    ({}, {}, {}, {"model_thinking": {"gpt-5.4": "Deep"}}, None, None),
]  # fmt: skip


@pytest.mark.parametrize("row", THINKING, ids=range(len(THINKING)))
def test_thinking_precedence(world, row):
    cell, session, env, settings, level, source = row
    world.write("settings.json", settings)
    choice = world({**ANTHROPIC, **env}, cell=cell, session=session)
    assert (choice.thinking, choice.sources.get("thinking")) == (level, source)


def test_a_models_own_default_level(world):
    world.write("catalog.json", {"models": {"claude-sonnet-4-6": {"thinking": "Enabled"}}})
    choice = world(ANTHROPIC)
    assert (choice.thinking, choice.sources["thinking"]) == ("medium", "catalog")


# --------------------------------------------------------------------------------------------- notices

NOTICES = [
    ({"provider": "anthropic", "model": "claude-sonnet-4-5"}, ANTHROPIC, ["will be retired by its vendor on 2026-11-30", "claude-sonnet-4-6"]),
    ({"provider": "gemini", "model": "gemini-3.1-flash-lite-preview"}, {"GEMINI_API_KEY": "k"}, ["was retired by its vendor on 2026-05-25", "gemini-3.1-flash-lite "]),
    ({"provider": "openai", "model": "gpt-5-nano"}, OPENAI, ["2026-12-11", "gpt-6-luna"]),
    ({"provider": "openai", "model": "gpt-5.44"}, OPENAI, ["passed through", "limits and price are unknown", "Did you mean gpt-5.4"]),
    ({"provider": "openrouter", "model": "deepseek/deepseek-reasoner"}, {"OPENROUTER_API_KEY": "k"}, ["passed through"]),
    ({"provider": "ali-coding-plan"}, {"ALI_CODING_PLAN_API_KEY": "sk-abc"}, ["does not start with sk-sp-", "environment ALI_CODING_PLAN_API_KEY"]),
    ({"provider": "openai", "model": "gpt-4o", "thinking": "max"}, OPENAI, ["gpt-4o has no thinking control"]),
]  # fmt: skip


@pytest.mark.parametrize("row", NOTICES, ids=range(len(NOTICES)))
def test_notice(world, row):
    cell, env, words = row
    notices = world(env, cell=cell).notices
    for word in words:
        assert sum(word in notice for notice in notices) == 1, notices
    assert not any("sk-abc" in notice for notice in notices)


@pytest.mark.parametrize(
    ("cell", "env"),
    [
        ({"provider": "anthropic"}, ANTHROPIC),
        ({"provider": "openai-compatible", "model": "meta-llama/Llama-3-70b-chat-hf"}, COMPATIBLE),
        ({"provider": "ali-coding-plan"}, {"ALI_CODING_PLAN_API_KEY": "sk-sp-1"}),
        ({"provider": "local", "model": "x.gguf"}, {}),
    ],
)
def test_nothing_to_notice(world, cell, env):
    assert world(env, cell=cell).notices == ()


def test_known_model_under_another_provider_keeps_its_limits(world):
    choice = world(OPENAI, cell={"provider": "openai", "model": "qwen-plus"})
    assert choice.model.context_limit == 1_000_000
    (notice,) = choice.notices
    assert "unknown" not in notice


def test_every_error_is_the_packages_own(world):
    for pid in load_catalog(world.home).providers:
        try:
            world(cell={"provider": pid})
        except AnteError as error:
            assert error.hint, pid
