"""Proof keys and state."""

from __future__ import annotations

import re

from ante_nb.providers.auth.pkce import Pkce, challenge


def test_the_example_of_the_rfc():
    # RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_sizes_and_characters():
    pkce = Pkce.new()
    assert re.fullmatch(r"[A-Za-z0-9_-]{86}", pkce.verifier.value)  # 64 random bytes
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", pkce.state.value)  # 32 random bytes
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", pkce.challenge)
    assert pkce.challenge == challenge(pkce.verifier.value)


def test_nothing_repeats_and_state_is_not_made_of_the_verifier():
    many = [Pkce.new() for _ in range(50)]
    assert len({one.verifier.value for one in many} | {one.state.value for one in many}) == 100
    assert all(one.state.value not in one.verifier.value for one in many)


def test_the_state_is_compared_whole():
    pkce = Pkce.new()
    state = pkce.state.value
    assert pkce.is_state(state)
    for other in ("", state[:-1], state + "A", state.swapcase(), "é" * 43, "\ud800", Pkce.new().state.value):
        assert not pkce.is_state(other)


def test_the_state_is_compared_in_constant_time(monkeypatch):
    seen = []
    import hmac

    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: seen.append((a, b)) or real(a, b))
    pkce = Pkce.new()
    assert not pkce.is_state("guess")
    assert seen == [(b"guess", pkce.state.value.encode())]


def test_repr_shows_nothing():
    pkce = Pkce.new()
    assert pkce.verifier.value not in repr(pkce) and pkce.state.value not in repr(pkce)
