"""A sign-in's stored form, and its clock."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.errors import ConfigError
from ante_nb.providers.auth.record import LaterVersionError, SignInRecord
from ante_nb.providers.spec import Secret

NOW = 1_800_000_000.0
RECORD = SignInRecord(
    preset="openai",
    access_token=Secret("at-5d1e"),
    obtained_at=NOW,
    refresh_token=Secret("rt-77aa"),
    id_token=Secret("id-90ff"),
    expires_in=864000.0,
    account_id="acc_1",
    plan="plus",
    email="a@b.c",
    scopes=("openid", "offline_access"),
    token_url="https://auth.example/oauth/token",
    client_id="app_1",
    source="device",
    problem="refresh_token_reused",
    headers={"x-workspace": "w1"},
    extra={"later_field": {"kept": [1, None]}},
)

texts = st.text(min_size=1, max_size=30)
secrets = st.none() | texts.map(Secret)
records = st.builds(
    SignInRecord,
    preset=texts,
    access_token=texts.map(Secret),
    obtained_at=st.floats(0, 4e9),
    refresh_token=secrets,
    id_token=secrets,
    expires_in=st.none() | st.floats(-1e6, 1e9),
    account_id=st.none() | texts,
    plan=st.none() | texts,
    email=st.none() | texts,
    scopes=st.lists(texts, max_size=4).map(tuple),
    token_url=st.none() | texts,
    client_id=st.none() | texts,
    source=texts,
    problem=st.none() | texts,
    headers=st.dictionaries(texts, texts, max_size=2),
    extra=st.dictionaries(texts.map("x_".__add__), st.none() | st.integers() | texts, max_size=3),
)


@given(records)
def test_round_trip_through_json_text(record):
    assert SignInRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_everything_is_stored_and_nothing_is_shown():
    stored = RECORD.to_json()
    assert stored["version"] == 1 and stored["later_field"] == {"kept": [1, None]}
    assert SignInRecord.from_json(stored) == RECORD
    shown = repr(RECORD) + str(RECORD) + f"{RECORD}"
    for secret in ("at-5d1e", "rt-77aa", "id-90ff"):
        assert secret not in shown and secret in json.dumps(stored)
    assert replace(RECORD, problem=None).to_json().get("problem") is None


def test_a_later_version_is_refused_politely():
    with pytest.raises(LaterVersionError) as caught:
        SignInRecord.from_json({**RECORD.to_json(), "version": 2}, "~/.ante/auth/oauth_openai.json")
    text = str(caught.value)
    assert "oauth_openai.json was written by a later version" in text and "pip install -U" in text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"version": None}, "version"),
        ({"version": "1"}, "version"),
        ({"version": 0}, "version"),
        ({"preset": ""}, "preset"),
        ({"access_token": None}, "access_token"),
        ({"access_token": 5}, "access_token"),
        ({"refresh_token": ["rt-77aa"]}, "refresh_token"),
        ({"email": 3}, "email"),
        ({"obtained_at": "yesterday"}, "obtained_at"),
        ({"obtained_at": True}, "obtained_at"),
        ({"obtained_at": float("nan")}, "obtained_at"),
        ({"expires_in": float("inf")}, "expires_in"),
        ({"expires_in": {}}, "expires_in"),
        ({"scopes": "openid"}, "scopes"),
        ({"scopes": [1]}, "scopes"),
        ({"headers": [1]}, "headers"),
        ({"headers": {"a": 1}}, "headers"),
    ],
)
def test_a_wrong_field_is_named_and_no_value_shown(change, named):
    with pytest.raises(ConfigError) as caught:
        SignInRecord.from_json({**RECORD.to_json(), **change}, "the file")
    assert f"the file has no usable `{named}`" in str(caught.value)
    assert "at-5d1e" not in str(caught.value) and "rt-77aa" not in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from([*RECORD.to_json(), "y"]), st.none() | st.integers() | st.text() | st.lists(st.text())
    )
)
def test_whatever_the_file_holds_only_config_errors_come(change):
    try:
        SignInRecord.from_json({**RECORD.to_json(), **change})
    except ConfigError:
        pass


@pytest.mark.parametrize(
    ("life", "age", "due", "expired"),
    [
        (3600, 0, False, False),
        (3600, 3299, False, False),
        (3600, 3301, True, False),
        (3600, 3600, True, True),
        (900, 599, False, False),
        (900, 601, True, False),
        # Half of its life at the latest, else a token of five minutes would be renewed at every request.
        (300, 100, False, False),
        (300, 151, True, False),
        (0, 0, True, True),
        (None, 10**9, False, False),
    ],
)
def test_when_a_token_is_due(life, age, due, expired):
    record = replace(RECORD, expires_in=life)
    assert record.due(300, now=NOW + age) is due
    assert record.expired(NOW + age) is expired


def test_a_token_is_renewed_at_its_greatest_age():
    record = replace(RECORD, expires_in=None)
    assert not record.due(max_age=691200, now=NOW + 691199)
    assert record.due(max_age=691200, now=NOW + 691200)


@pytest.mark.parametrize("wrong", [-3600.0, 3600.0, -86400.0 * 365])
def test_a_clock_that_is_wrong_throughout_does_not_matter(wrong):
    record = replace(RECORD, obtained_at=NOW + wrong, expires_in=3600.0)
    assert record.left(NOW + wrong + 600) == 3000.0
    assert not record.due(now=NOW + wrong + 600) and record.due(now=NOW + wrong + 3500)


def test_a_clock_that_was_set_back_makes_the_token_fresh_not_eternal():
    record = replace(RECORD, expires_in=3600.0)
    assert record.left(NOW - 7200) == 3600.0 and not record.due(now=NOW - 7200)
    assert record.age(NOW - 1) == 0.0


def test_the_present_is_the_default():
    record = replace(RECORD, obtained_at=time.time() - 50, expires_in=100.0)
    assert 0 < record.left() <= 50 and record.due() and not record.expired()
