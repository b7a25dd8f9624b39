"""The error table, what vendors say about waiting, and the retry rules."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.shared import shared

from ante_nb import errors as e
from ante_nb.providers import hints, retry
from ante_nb.providers.failures import LOADING, Target, classify, read_facts
from ante_nb.providers.spec import AuthSpec, ProviderSpec
from ante_nb.redact import register

NOW = 1795000000.0
PROVIDER = ProviderSpec(
    "zai",
    "Zai",
    "OpenAiCompatible",
    auth=AuthSpec("bearer", env_keys=("Z_AI_API_KEY",)),
    models=("glm-5.1", "glm-5.2"),
)
TARGET = Target(PROVIDER, "glm-51", "https://api.example.com/api", "environment Z_AI_API_KEY")

FIXTURES: dict[str, tuple[type[e.ProviderError], bool, float | None]] = {
    "anthropic_529": (e.OverloadedError, True, None),
    "anthropic_429": (e.RateLimitError, True, 7.0),
    "anthropic_overflow": (e.ContextOverflowError, False, None),
    "anthropic_413": (e.RequestTooLargeError, False, None),
    "openai_overflow": (e.ContextOverflowError, False, None),
    "openai_429": (e.RateLimitError, True, 0.85),
    "openai_quota": (e.QuotaError, False, None),
    "openai_503_slow": (e.OverloadedError, True, 2.0),
    "chatgpt_store": (e.InvalidRequestError, False, None),
    "chatgpt_max_output": (e.InvalidRequestError, False, None),
    "chatgpt_429": (e.QuotaError, False, 3600.0),
    "deepseek_reasoning_missing": (e.InvalidRequestError, False, None),
    "deepseek_402": (e.QuotaError, False, None),
    "zai_1302": (e.RateLimitError, True, None),
    "zai_1113": (e.QuotaError, False, None),
    "openrouter_429": (e.RateLimitError, True, 60.0),
    "openrouter_402": (e.QuotaError, False, None),
    "gemini_429": (e.RateLimitError, True, 34.0),
    "gemini_bad_key": (e.AuthError, False, None),
    "gemini_missing_signature": (e.InvalidRequestError, False, None),
    "gemini_overflow": (e.ContextOverflowError, False, None),
    "llamacpp_overflow": (e.ContextOverflowError, False, None),
    "llamacpp_loading": (e.OverloadedError, True, 1.0),
    "xai_400": (e.ContextOverflowError, False, None),
    "antix_402": (e.QuotaError, False, None),
}


def test_every_fixture_has_its_row() -> None:
    cases = json.loads(shared("reference/wire/fixtures/http_errors.json").read_text())
    assert set(cases) == set(FIXTURES)
    for name, case in cases.items():
        error = classify(TARGET, case["status"], case["headers"], case["body"], now=NOW)
        found = (type(error), retry.is_retryable(error), error.retry_after)
        assert found == FIXTURES[name], name
        assert error.status == case["status"]


ROWS: list[tuple[int | None, Any, type[e.ProviderError], bool]] = [
    (400, {"error": {"message": "bad"}}, e.InvalidRequestError, False),
    (401, {"error": {"message": "no"}}, e.AuthError, False),
    (402, {}, e.QuotaError, False),
    (403, {"error": {"message": "no"}}, e.PermissionDeniedError, False),
    (403, {"error": {"code": 403, "message": "x", "metadata": {"reasons": ["violence"]}}}, e.ContentFilterError, False),
    (404, "<html><title>Not Found</title></html>", e.NotFoundError, False),
    (405, "", e.NotFoundError, False),
    (408, "", e.ServerError, True),
    (409, "", e.ServerError, True),
    (410, "gone", e.NotFoundError, False),
    (413, "x", e.RequestTooLargeError, False),
    (413, "", e.ContextOverflowError, False),
    (400, "", e.ContextOverflowError, False),
    (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, e.InvalidRequestError, False),
    (425, "", e.ServerError, True),
    (429, "", e.RateLimitError, True),
    (429, {"error": {"message": "Rate limit exceeded: free-models-per-day"}}, e.QuotaError, False),
    (429, {"error": {"status": "RESOURCE_EXHAUSTED", "details": [{"quotaId": "RequestsPerDayPerProject"}]}}, e.QuotaError, False),
    (429, {"error": {"code": "rate_limit_exceeded", "message": "Request too large for x on tokens per min"}}, e.RequestTooLargeError, False),
    (429, {"error": {"type": "org_spend_limit_reached", "message": "x"}}, e.QuotaError, False),
    (429, {"error": {"code": "1308", "message": "x"}}, e.QuotaError, False),
    (500, "", e.ServerError, True),
    (501, "", e.ServerError, False),
    (502, "<html><head><title>502 Bad Gateway</title></head></html>", e.ServerError, True),
    (503, "", e.OverloadedError, True),
    (503, {"error": {"type": "model_not_priced"}}, e.ServerError, False),
    (504, "", e.ServerError, True),
    (505, "", e.ServerError, False),
    (521, "", e.ServerError, True),
    (529, "", e.OverloadedError, True),
    (400, {"error": {"message": "m does not support tools"}}, e.ToolsRejectedError, False),
    (404, {"error": {"message": "No endpoints found that support tool use.", "code": 404}}, e.ToolsRejectedError, False),
    (400, {"error": {"message": '"auto" tool choice is not supported without a parser'}}, e.ToolsRejectedError, False),
    (500, {"error": {"message": "tools param requires --jinja flag"}}, e.ToolsRejectedError, False),
    (400, {"error": {"message": "Incorrect API key provided"}}, e.AuthError, False),
    (400, {"error": {"code": "1211", "message": "no such model"}}, e.NotFoundError, False),
    (400, {"error": {"code": "1301", "message": "x"}}, e.ContentFilterError, False),
    (400, {"error": {"message": "This model's maximum context length is 8192 tokens"}}, e.ContextOverflowError, False),
    (None, {"error": {"message": "Provider disconnected", "code": 502}}, e.ServerError, True),
    (None, {"error": {"message": "bad", "code": 400}}, e.InvalidRequestError, False),
    (None, {"error": {"message": "bad", "code": "429"}}, e.RateLimitError, True),
    (None, {"error": "something"}, e.ServerError, True),
    (None, {"error": {"message": "Overloaded", "type": "overloaded_error"}}, e.OverloadedError, True),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "retried"), ROWS)
def test_table(status: int | None, body: Any, kind: type[e.ProviderError], retried: bool) -> None:
    error = classify(TARGET, status, {}, body, now=NOW)
    assert (type(error), retry.is_retryable(error)) == (kind, retried)
    assert "\n" not in str(error)
    assert (error.provider, error.model) == ("zai", "glm-51")


def test_the_vendor_has_the_last_word_on_retrying() -> None:
    assert not retry.is_retryable(classify(TARGET, 500, {"X-Should-Retry": "false"}, ""))
    assert retry.is_retryable(classify(TARGET, 400, {"x-should-retry": "true"}, "bad"))


def test_words_say_what_to_do() -> None:
    auth = str(classify(TARGET, 401, {}, {"error": {"message": "no"}}))
    assert "environment Z_AI_API_KEY" in auth
    assert "%ante key zai" in auth
    lost = str(classify(TARGET, 404, {}, ""))
    assert "glm-5.1" in lost
    assert "https://api.example.com/api/v1" in lost
    assert "/v1:" not in str(classify(Target(PROVIDER, "x", "https://h/v1"), 404, {}, ""))
    assert "--tools none" in str(
        classify(TARGET, 400, {}, {"error": {"message": "m does not support tools"}})
    )
    assert classify(TARGET, 500, {"x-request-id": "r1"}, "").request_id == "r1"


def test_credentials_in_vendor_texts_are_masked() -> None:
    register("very-private-token")
    for text in (
        "key very-private-token is wrong",
        "Incorrect API key provided: sk-proj-abcdefghijklmnopqrst",
    ):
        error = classify(
            Target(PROVIDER, "m", "https://user:pass@h/x?key=abcdefghijk"),
            404,
            {},
            {"error": {"message": text}},
        )
        shown = f"{error} {error!r} {error.message} {error.hint}"
        for secret in ("very-private-token", "abcdefghijk", "pass@"):
            assert secret not in shown


def test_long_vendor_texts_are_cut() -> None:
    assert len(str(classify(TARGET, 500, {}, {"error": {"message": "x" * 10_000}}))) < 700


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "message", "type", "details", "metadata", "status", "raw", "retryDelay", "resets_at"]),
            inner, max_size=4)
    ),
    max_leaves=10,
)  # fmt: skip


@given(
    st.none() | st.integers(200, 599),
    JSON,
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset"]), st.text(max_size=6)
    ),
)
def test_any_body_is_classified(status: int | None, body: Any, headers: dict[str, str]) -> None:
    error = classify(TARGET, status, headers, body, now=NOW)
    assert isinstance(error, e.ProviderError)
    assert error.retry_after is None or error.retry_after >= 0
    assert isinstance(read_facts(body).message, str)


# -------------------------------------------------------------------------------------------- hints


@pytest.mark.parametrize(
    ("headers", "body", "message", "seconds"),
    [
        ({"retry-after": "7"}, None, "", 7.0),
        ({"retry-after": "0.5"}, None, "", 0.5),
        ({"retry-after": "-3"}, None, "", 0.0),
        ({"retry-after": formatdate(NOW + 7, usegmt=True)}, None, "", 7.0),
        ({"retry-after": "Sun, 22 Nov 2020 12:00:07 GMT"}, None, "", 0.0),
        ({"retry-after": "soon"}, None, "", None),
        ({"retry-after": "nan"}, None, "", None),
        ({"retry-after-ms": "850", "retry-after": "9"}, None, "", 0.85),
        ({}, {"error": {"details": [{"retryDelay": "57.5s"}]}}, "", 57.5),
        ({"retry-after": "1"}, {"error": {"details": [{"retryDelay": "57.5s"}]}}, "", 1.0),
        ({}, {"error": {"retry_after": 3}}, "", 3.0),
        ({}, {"error": {"resets_in_seconds": 30}}, "", 30.0),
        ({}, {"error": {"resets_at": NOW + 40}}, "", 40.0),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}, None, "", 360.0),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "5"}, None, "", None),
        ({"x-ratelimit-reset": str((NOW + 60) * 1000)}, None, "", 60.0),
        ({"anthropic-ratelimit-input-tokens-reset": "2026-11-22T12:00:07Z", "anthropic-ratelimit-input-tokens-remaining": "0"}, None, "", None),
        ({}, None, "Please try again in 850ms.", 0.85),
        ({}, None, "try again in 2 minutes", 120.0),
        ({}, None, "Try again in 1.5s", 1.5),
        ({}, None, "try again later", None),
    ],
)  # fmt: skip
def test_hints(headers: dict[str, str], body: Any, message: str, seconds: float | None) -> None:
    now = NOW
    if "anthropic-ratelimit-input-tokens-reset" in headers:
        now, seconds = 1795348800.0 - 0.0, 7.0
    found = hints.retry_after(headers, body, message, now=now)
    assert found == pytest.approx(seconds) if seconds is not None else found is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h2m3s", 3723.0), ("1.2s", 1.2), ("12ms", 0.012), ("5", None), ("s", None)]
)
def test_go_durations(text: str, seconds: float | None) -> None:
    assert hints.go_duration(text) == pytest.approx(seconds) if seconds else hints.go_duration(text) is None


# -------------------------------------------------------------------------------------------- retry


def test_delays_double_with_jitter_up_to_eight_seconds() -> None:
    error = e.ServerError("x")
    assert [retry.delay(error, n, lambda low, high: high) for n in range(6)] == [0.5, 1, 2, 4, 8, 8]
    assert [retry.delay(error, n, lambda low, high: low) for n in range(2)] == [0.375, 0.75]
    assert retry.delay(e.RateLimitError("x", retry_after=7), 0) == 7


def test_budgets() -> None:
    def count(error: e.ProviderError, began: bool) -> int:
        budget = retry.Budget()
        tries = 0
        while budget.next(error, began=began) is not None:
            tries += 1
        return tries

    assert count(e.ServerError("x"), False) == 4
    assert count(e.StreamInterruptedError("x"), True) == 5
    assert count(e.OverloadedError("x", code=LOADING, retry_after=1), False) == 60
    assert count(e.RateLimitError("x", retry_after=121), False) == 0
    assert count(e.RateLimitError("x", retry_after=120), False) == 4
    assert count(e.QuotaError("x", retry_after=1), False) == 0
    assert count(e.InvalidRequestError("x"), False) == 0
    assert count(e.ContextOverflowError("x"), True) == 0
