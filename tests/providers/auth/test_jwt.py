"""Claims without verification."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.providers.auth import jwt
from ante_nb.redact import redact

ACCESS = (
    "eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTUwMDM2MDAsImh0dHBzOi8vYXBpLm9wZW5haS5jb20vYXV0aCI6eyJjaGF0Z3B0X2FjY29"
    "1bnRfaWQiOiJhY2NfZml4IiwiY2hhdGdwdF9wbGFuX3R5cGUiOiJwbHVzIn19.x"
)
AUTH = "https://api.openai.com/auth"


def token(claims: object, pad: str = "") -> str:
    raw = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return "e30." + base64.urlsafe_b64encode(raw).rstrip(b"=").decode() + pad + ".sig"


def test_a_vendors_token():
    claims = jwt.claims(ACCESS)
    assert claims["exp"] == 1795003600
    assert jwt.claim_text(claims, AUTH, "chatgpt_account_id") == "acc_fix"
    assert jwt.claim_text(claims, AUTH, "chatgpt_plan_type") == "plus"
    assert jwt.lifetime(claims) is None  # no iat: the vendor's clock alone says nothing


@pytest.mark.parametrize("pad", ["", "=", "==", "==="])
@pytest.mark.parametrize("text", ["a", "ab", "abc", "abcd"])
def test_padding_may_be_there_missing_or_wrong(text, pad):
    assert jwt.claims(token({"x": text}, pad)) == {"x": text}


def test_base64url_characters():
    claims = {"x": "ÿ?>~" * 9}
    assert "-" in token(claims) + token({"y": "?>?>?>"}) or "_" in token(claims)
    assert jwt.claims(token(claims)) == claims


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "sk-ant-oat01-opaque",
        "a.b",
        "a.b.c.d",
        "..",
        "e30.!!!!.x",
        "e30.A.x",
        token([1]),
        token("text"),
        token(b"\xff\xfe"),
        token(b"{"),
        token(b"[" * 50_000),
        "e30." + "A" * 70_000 + ".x",
    ],
    ids=range(14),
)
def test_what_is_no_jwt_has_no_claims(text):
    assert jwt.claims(text) == {}


@given(st.text() | st.text("abcAB01-_=.", max_size=60))
def test_nothing_raises(text):
    claims = jwt.claims(text)
    assert isinstance(claims, dict)
    jwt.lifetime(claims)


@pytest.mark.parametrize(
    ("claims", "seconds"),
    [
        ({"iat": 100, "exp": 1000}, 900),
        ({"iat": 100.5, "exp": 1000}, 899.5),
        ({"iat": 1000, "exp": 100}, None),
        ({"iat": "100", "exp": 1000}, None),
        ({"iat": True, "exp": 1000}, None),
        ({"iat": 0, "exp": 10**400}, None),
        ({"iat": float("nan"), "exp": 5}, None),
        ({"exp": 1000}, None),
        ({}, None),
    ],
)
def test_a_lifetime_is_a_difference(claims, seconds):
    assert jwt.lifetime(claims) == seconds


def test_claim_texts_are_printable_texts():
    claims = {"a": " x ", "b": 5, "c": "\x1b[31m", "d": "y" * 201, "g": {"a": "z"}, "h": "no object"}
    assert jwt.claim_text(claims, None, "a") == "x"
    assert [jwt.claim_text(claims, None, name) for name in "bcde"] == [None] * 4
    assert jwt.claim_text(claims, "g", "a") == "z"
    assert jwt.claim_text(claims, "h", "a") is None


def test_a_jwt_is_masked_in_texts():
    assert ACCESS not in redact(f"the token {ACCESS} was refused")
