"""The user's catalog.json: both generations of the format, patches, mistakes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ante_nb.errors import UnknownProviderError
from ante_nb.providers.catalog import Catalog, load_catalog
from ante_nb.providers.thinking import wire_level

DATA = Path(__file__).parent / "data"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes catalog.json below a home of its own and loads it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / ".ante"

    def write(content: object) -> Catalog:
        home.mkdir(exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (home / "catalog.json").write_text(text, encoding="utf-8")
        return load_catalog(home)

    return write


def provider(**more: object) -> dict[str, object]:
    return {"base_url": "https://api.example.com/v1", "wire_style": "OpenAiCompatible", **more}


def test_page_example_ali(write):
    catalog = write((DATA / "page_ali_coding_plan_oai.json").read_text(encoding="utf-8"))
    assert catalog.problems == [] and catalog.report() is None
    spec = catalog.provider("ali-coding-plan-oai")
    assert spec.display_name == "Ali Coding Plan (OpenAI)"
    assert spec.base_url == "https://coding.dashscope.aliyuncs.com/v1"
    assert spec.wire_style == "OpenAiCompatible"
    assert spec.auth is not None and spec.auth.kind == "bearer"
    assert spec.auth.env_keys == ("ALI_CODING_PLAN_API_KEY",)
    assert spec.http_headers == {"User-Agent": "ante-cli/1.0.0", "X-DashScope-UserAgent": "coding-agent"}
    assert not spec.builtin
    # A known id under a provider without a list inherits its row, with the dialect of this wire.
    model = catalog.model_for("ali-coding-plan-oai", "qwen3.5-plus")
    assert model.context_limit == 1_000_000
    assert model.thinking_control is not None and model.thinking_control.style == "enable_thinking"


def test_page_example_my_provider(write):
    catalog = write((DATA / "page_my_provider.json").read_text(encoding="utf-8"))
    assert catalog.problems == []
    assert catalog.provider("my-provider").auth.env_keys == ("MY_PROVIDER_API_KEY",)
    model = catalog.model_for("my-provider", "my-model")
    assert (model.max_tokens, model.context_limit, model.thinking) == (32_000, 200_000, "medium")
    assert model.description == "Custom model"
    assert catalog.models["my-model"].context_limit == 200_000


def test_page_examples_are_the_pages(write):
    from support.shared import shared

    page = shared("providers-page.md").read_text(encoding="utf-8")
    for file in DATA.glob("page_*.json"):
        assert file.read_text(encoding="utf-8") in page


def test_missing_file_is_the_built_ins(tmp_path):
    catalog = load_catalog(tmp_path / "nothing")
    assert catalog.report() is None and len(catalog.providers) == 16


def test_later_schema(write):
    catalog = write(
        {
            "providers": {
                "gw": provider(
                    id="gw",
                    extra_body={"user": "me"},
                    supports_web_search=True,
                    stream_idle_timeout_secs=60,
                    thinking_display="concise",
                    auth={"query": {"name": "key", "env_key": "GW_KEY"}},
                    preferred_models=[
                        {"id": "m1", "effort": "high", "supported_efforts": ["min", "low", "high"], "weight_class": "Heavy"},
                        {"name": "m2", "support_vision": False, "supported_efforts": []},
                        "m3",
                    ],
                )
            },
            "models": {"m9": {"effort": "xhigh", "thinking": "Enabled", "context_limit": 9}},
        }
    )  # fmt: skip
    assert catalog.problems == []
    spec = catalog.provider("gw")
    assert (spec.extra_body, spec.supports_web_search) == ({"user": "me"}, True)
    assert (spec.stream_idle_timeout, spec.thinking_display) == (60, "concise")
    assert (spec.auth.kind, spec.auth.name) == ("query", "key")
    assert spec.models == ("m1", "m2", "m3") and spec.default_model == "m1"
    m1 = catalog.model_for("gw", "m1")
    assert (m1.thinking, m1.weight_class) == ("high", "heavy")
    assert m1.thinking_control.levels == {"min": "minimal", "low": "low", "high": "high"}
    assert wire_level(m1, "max") == ("high", "high")
    m2 = catalog.model_for("gw", "m2")
    assert m2.vision is False and wire_level(m2, "max") == (None, None)
    assert catalog.model_for("gw", "m9").thinking == "xhigh", "effort wins over thinking"


@pytest.mark.parametrize("level", ["Disabled", "enabled", "DEEP", "Max", "min", "xhigh"])
def test_thinking_spellings(write, level):
    catalog = write({"models": {"m": {"thinking": level}}})
    assert catalog.problems == []
    expected = {"disabled": "min", "enabled": "medium", "deep": "high"}.get(level.lower(), level.lower())
    assert catalog.models["m"].thinking == expected


def test_built_in_is_patched_field_by_field(write):
    catalog = write(
        {
            "providers": {
                "openai": {"base_url": "https://proxy.example.com/v1", "auth": None, "websocket": False},
                "deepseek": {"stream_idle_timeout_secs": None, "quirks": {"tool_stream": True}},
                "xai": {"websocket": True, "extra_body": {"x": 1}},
                "anthropic": {"preferred_models": [{"id": "claude-opus-4-6", "max_tokens": 1000}, {"id": "claude-new"}]},
            },
            "models": {"gpt-5.4": {"temperature": 0.5}, "gpt-5.4-pro": {"context_limit": None}},
        }
    )  # fmt: skip
    assert catalog.problems == []
    openai = catalog.provider("openai")
    assert openai.base_url == "https://proxy.example.com/v1" and openai.auth is None and not openai.websocket
    assert (openai.wire_style, openai.default_model, openai.builtin) == ("OpenAiResponse", "gpt-5.4", True)
    deepseek = catalog.provider("deepseek")
    assert deepseek.stream_idle_timeout == 300, "null clears"
    assert deepseek.quirks.tool_stream and deepseek.quirks.reasoning_required, "quirks merge key by key"
    assert catalog.provider("xai").websocket
    anthropic = catalog.provider("anthropic")
    assert anthropic.models[:2] == ("claude-haiku-4-5", "claude-sonnet-4-5")
    assert anthropic.models[-1] == "claude-new"
    opus = catalog.model_for("anthropic", "claude-opus-4-6")
    assert (opus.max_tokens, opus.context_limit, opus.price.input) == (1000, 1_000_000, 5)
    gpt = catalog.model_for("openai", "gpt-5.4")
    assert (gpt.temperature, gpt.context_limit) == (0.5, 1_050_000)
    assert catalog.model_for("openai", "gpt-5.4-pro").context_limit is None


def test_user_row_wins_over_a_providers_own_patch(write):
    catalog = write({"models": {"claude-sonnet-4-6": {"context_limit": 123}}})
    assert catalog.model_for("antix", "claude-sonnet-4-6").context_limit == 123


def test_local_stays_last(write):
    catalog = write({"providers": {"mine": provider()}})
    assert list(catalog.providers)[-2:] == ["mine", "local"]


MISTAKES = [
    ({"providers": {"my-provider": {"wire_style": "OpenAiCompatible"}}}, "providers.my-provider: missing field `base_url`"),
    ({"providers": {"p": {"base_url": "https://x"}}}, "providers.p: missing field `wire_style`"),
    ({"providers": {"p": provider(wire_style="Chat")}},
     "providers.p: unknown variant `Chat` for `wire_style`, expected one of `AnthropicMessage`,"
     " `OpenAiCompatible`, `OpenAiResponse`, `Gemini`"),
    ({"providers": {"p": provider(base_url="example.com")}}, "providers.p: invalid value for `base_url`: expected a URL with http:// or https://"),
    ({"providers": {"p": provider(auth={})}}, "providers.p: `auth`: expected exactly one of `bearer`, `header`, `query`"),
    ({"providers": {"p": provider(auth={"bearer": {}})}}, "providers.p: `auth.bearer`: missing field `env_key`"),
    ({"providers": {"p": provider(auth={"header": {"env_key": "K"}})}}, "providers.p: missing field `name` in `auth.header`"),
    ({"providers": {"p": provider(http_headers={"A": "x\r\nB: y"})}}, "providers.p: invalid value for `http_headers.A`: expected printable ASCII"),
    ({"providers": {"p": provider(quirks={"fast": True})}}, "providers.p: unknown field `quirks.fast`"),
    ({"providers": {"p": []}}, "providers.p: expected an object, found an array"),
    ({"providers": []}, "providers: expected an object, found an array"),
    ({"models": {"m": {"max_tokens": "many"}}}, "models.m: invalid value for `max_tokens`: input should be a valid integer"),
    ({"models": {"m": {"context_limit": 0}}}, "models.m: invalid value for `context_limit`: input should be greater than 0"),
    ({"providers": {"openai": {"base_url": None}}}, "providers.openai: missing field `base_url`"),
    ({"model": {}}, "model: ignoring unknown field, expected `providers`, `models` or `oauth`"),
    ({"providers": {"my-gateway": provider(extra_body={"model": "x", "user": "u"})}},
     "providers.my-gateway.extra_body: ignoring Ante-owned request field(s): model"),
    ({"providers": {"p": provider(preferred_models=[{"display_name": "x"}])}}, "providers.p.preferred_models.0: missing field `id`"),
    ({"providers": {"p": provider(base_ulr="x")}}, "providers.p: ignoring unknown field(s): base_ulr"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "problem"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_are_reported(write, content, problem):
    catalog = write(content)
    assert catalog.problems == [problem]
    assert catalog.report() == f"Skipped 1 entry in ~/.ante/catalog.json:\n  - {problem}"
    assert catalog.provider("openai").base_url == "https://api.openai.com/v1"


def test_unknown_thinking_names_the_allowed(write):
    (problem,) = write({"models": {"m": {"thinking": "Deeper"}}}).problems
    assert problem.startswith("models.m: unknown variant `Deeper`")
    for name in ("min", "low", "medium", "high", "xhigh", "max", "Disabled", "Enabled", "Deep", "Max"):
        assert f"`{name}`" in problem


def test_bad_entries_are_skipped_one_by_one(write):
    catalog = write(
        {
            "providers": {
                "bad": {},
                "good": provider(preferred_models=[{"max_tokens": 0, "id": "a"}, {"id": "b"}]),
            },
            "models": {"bad": 3, "fine": {"context_limit": 5}},
        }
    )
    assert "bad" not in catalog.providers and "bad" not in catalog.models
    assert catalog.provider("good").models == ("b",)
    assert catalog.models["fine"].context_limit == 5
    assert catalog.report().startswith("Skipped 3 entries in ~/.ante/catalog.json:\n  - ")


def test_reserved_fields_only_lose_themselves(write):
    catalog = write({"providers": {"g": provider(extra_body={"model": "x", "stream": 1, "user": "u"})}})
    assert catalog.provider("g").extra_body == {"user": "u"}
    assert catalog.problems[0].endswith("field(s): model, stream")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "must be a JSON object"),
        ("3", "found a number"),
        ('{\n  "providers": {,\n}', "line 2, column 17"),
        ("", "line 1, column 1"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_file_is_rejected_and_the_built_ins_work(write, text, words):
    catalog = write(text)
    report = catalog.report()
    assert report is not None and words in report
    assert report.startswith("~/.ante/catalog.json ")
    assert len(catalog.providers) == 16


def test_not_utf8(tmp_path):
    (tmp_path / "catalog.json").write_bytes(b'{"providers": "\xff"}')
    assert "UTF-8" in load_catalog(tmp_path).report()


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "catalog.json").write_bytes(b'\xef\xbb\xbf{"models": {"m": {"context_limit": 7}}}')
    assert load_catalog(tmp_path).models["m"].context_limit == 7


def test_read_again_only_when_changed(write, tmp_path):
    first = write({"models": {"m": {"context_limit": 1}}})
    assert load_catalog(tmp_path / ".ante") is first
    second = write({"models": {"m": {"context_limit": 22}}})
    assert second.models["m"].context_limit == 22
    os.remove(tmp_path / ".ante" / "catalog.json")
    assert "m" not in load_catalog(tmp_path / ".ante").models


@pytest.mark.parametrize(
    ("typed", "near"),
    [("opnai", "openai"), ("antropic", "anthropic"), ("open-router", "openrouter"), ("OpenAI", "openai")],
)
def test_unknown_provider_has_near_matches(write, typed, near):
    with pytest.raises(UnknownProviderError) as caught:
        write({}).provider(typed)
    assert typed in caught.value.message
    assert near in caught.value.hint and "%ante provider" in caught.value.hint
