"""Credentials are taken out of text, and nothing else is."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb import log, redact
from ante_nb.errors import AnteError, ProviderError
from ante_nb.redact import MASK, redact_value

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = [
    "sk-proj-abcdefghijklmnopqrstuvwxyz",
    "sk-ant-api03-ABCDEFGHIJKLMNOP_qrst-uvwx",
    "sk-or-v1-0123456789abcdef0123456789abcdef",
    "sk-sp-0123456789abcdef",
    "sk-0123456789abcdefABCDEF",
    "xai-0123456789abcdefABCDEF",
    "AIzaSyA-0123456789abcdefghijklmnopqrstu",
    "gsk_0123456789abcdefABCDEF",
    "ghp_0123456789abcdefABCDEF0123456789abcd",
    "github_pat_11ABCDEFG0123456789_abcdefghij",
    "glpat-0123456789abcdefABCD",
    "hf_0123456789abcdefABCDEFGHIJ",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-012345678901-abcdefghijkl",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    before = set(redact._SECRETS)
    yield
    redact._SECRETS.clear()
    redact._SECRETS.update(before)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "around", ["{}", "key={}", '"{}"', "({}).", "https://u:{}@host/", "export K={}\n", "a {} b"]
)
def test_a_key_of_a_known_vendor_is_masked(key: str, around: str) -> None:
    out = redact.redact(around.format(key))
    assert key not in out and MASK in out
    assert key[-10:] not in out


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdef0123456789abcdef",
        '"authorization": "Basic dXNlcjpwYXNzd29yZA=="',
        "bearer abcdef0123456789abcdef0123",
        "x-api-key: 0123456789abcdef",
        '{"api_key": "0123456789abcdef"}',
        "GET /v1/models?key=0123456789abcdef HTTP/1.1",
        "https://host/callback?code=0123456789abcdef&state=fedcba9876543210",
        "refresh_token=0123456789abcdef",
        "client_secret: 0123456789abcdef",
    ],
)
def test_a_header_or_parameter_that_carries_a_secret_is_masked(text: str) -> None:
    out = redact.redact(text)
    assert "0123456789abcdef" not in out and "dXNlcjpwYXNz" not in out and "fedcba98" not in out
    assert redact.redact(out) == out


@pytest.mark.parametrize(
    "text",
    [
        "the bearer of this letter",
        "Bearer tokens are explained below.",
        "a disk-based approach, a risk-free one, task-0123",
        "sk-learn, sk-image and desk-top",
        "api_key = os.environ['X']",
        "api_key=settings.providers.api_key, token=token",
        'headers = {"x-api-key": self.credential}',
        "curl -H 'Authorization: Bearer $MY_LONG_TOKEN'",
        'f"Authorization: Bearer {self.token}"',
        'f"{base}?key={self.api_key}"',
        "key=short",
        "print(key)",
        "The state= parameter of OAuth",
        "",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert redact.redact(text) == text


def test_a_registered_value_is_masked_wherever_it_stands_and_short_ones_are_not_registered() -> None:
    redact.register("plain-looking value")
    redact.register("short")
    redact.register(None)
    redact.register("plain-looking value and more")
    assert redact.redact("x plain-looking value and more y plain-looking valuez short") == (
        f"x {MASK} y {MASK}z short"
    )


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=10) | st.just("sk-0123456789abcdefABCDEF"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(values)
def test_values_keep_their_shape_at_every_depth(value: Any) -> None:
    out = redact_value(value)
    assert "sk-0123456789" not in json.dumps(out)
    assert json.loads(json.dumps(out)) == json.loads(
        json.dumps(value).replace("sk-0123456789abcdefABCDEF", "sk-" + MASK)
    )


@given(st.text(max_size=200))
def test_twice_is_the_same_as_once(text: str) -> None:
    once = redact.redact(text)
    assert redact.redact(once) == once


def test_errors_hold_no_secret_in_any_form() -> None:
    key = KEYS[0]
    for error in (AnteError(f"no {key}", f"try {key}"), ProviderError(f"no {key}", model="m", status=401)):
        forms = [str(error), repr(error), *map(str, error.args), *error._render_traceback_(), error.message]
        assert all(key not in form for form in forms) and "\n" not in str(error)


def test_the_log_is_redacted_with_its_traces_and_stays_in_its_directory(
    monkeypatch: pytest.MonkeyPatch, isolated_home: Any
) -> None:
    handler = log._DailyFile()
    handler.setFormatter(log._RedactingFormatter("%(message)s"))
    try:
        raise ValueError(KEYS[1])
    except ValueError as error:
        record = logging.LogRecord(
            "ante_nb",
            logging.INFO,
            __file__,
            1,
            "key %s",
            (KEYS[0],),
            (type(error), error, error.__traceback__),
        )
    handler.emit(record)
    handler.close()
    (path,) = (isolated_home / ".ante" / "logs").glob("*/ante.*")
    assert (isolated_home / ".ante" / "logs" / path.name).read_text() == path.read_text()
    content = path.read_text()
    assert KEYS[0] not in content and KEYS[1] not in content and content.count(MASK) == 2
    assert path.stat().st_mode & 0o777 == 0o600
