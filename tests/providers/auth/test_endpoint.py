"""Calls to the authorization server: what comes back, in every form."""

from __future__ import annotations

import logging
import time
import traceback

import pytest
from support.oauth_ledger import ACCOUNT, EMAIL, PLAN
from support.oauth_server import OAuthServer

from ante_nb.errors import ConfigError, SignInError
from ante_nb.providers.auth import endpoint
from ante_nb.providers.auth.endpoint import PermanentSignInError, TransientSignInError
from ante_nb.providers.auth.record import SignInRecord
from ante_nb.providers.spec import Secret
from ante_nb.redact import redact


@pytest.fixture
def server():
    with OAuthServer() as running:
        yield running


def record(server: OAuthServer, preset: str = "openai", **more: object) -> SignInRecord:
    tokens = server.ledger.new(preset)
    values = {
        "access_token": Secret(tokens["access_token"]),
        "refresh_token": Secret(tokens["refresh_token"]),
        "obtained_at": time.time(),
        **more,
    }
    return SignInRecord(preset, **values)


@pytest.mark.parametrize("preset", ["openai", "anthropic", "antix"])
async def test_refresh_in_the_vendors_format(server, preset):
    old = record(server, preset, account_id="kept", extra={"later": 1})
    begin = time.time()
    new = await endpoint.refresh(server.spec(preset), old)
    assert server.valid(new.access_token.value) and new.access_token != old.access_token
    assert new.refresh_token != old.refresh_token
    assert begin <= new.obtained_at <= time.time()
    assert new.expires_in == {"openai": 864000, "anthropic": 28800, "antix": 900}[preset]
    assert new.account_id == (ACCOUNT if preset == "openai" else "kept")
    assert new.extra == {"later": 1} and new.problem is None
    assert server.requests("token")[-1].style == ("form" if preset == "antix" else "json")
    assert not server.refusals


async def test_the_claims_of_openai(server):
    new = await endpoint.refresh(server.spec("openai"), record(server))
    assert (new.account_id, new.plan, new.email) == (ACCOUNT, PLAN, EMAIL)


async def test_a_record_keeps_its_client_and_the_endpoint_may_move(server):
    old = record(server, client_id="app_TestClientOpenAI00000000", token_url="https://gone.example/token")
    new = await endpoint.refresh(server.spec("openai", client_id="another"), old)
    assert server.valid(new.access_token.value)
    assert new.client_id == old.client_id and new.token_url == f"{server.url}/oauth/token"
    only = record(server, token_url=f"{server.url}/oauth/token", client_id=old.client_id)
    await endpoint.refresh(server.spec("openai", token_url=None, client_id=None), only)


async def test_what_an_answer_leaves_out_is_kept(server):
    old = record(server, email="e@x.org", plan="pro", id_token=Secret("id"), scopes=("a", "b"))
    server.fail("token", status=200, body={"access_token": "opaque-token-0001"})
    new = await endpoint.refresh(server.spec("openai"), old)
    assert new.access_token.value == "opaque-token-0001" and new.expires_in is None
    assert new.refresh_token == old.refresh_token and new.id_token == old.id_token
    assert (new.email, new.plan, new.scopes) == ("e@x.org", "pro", ("a", "b"))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (0, 0),
        (-5, 0),
        (True, None),
        ("soon", None),
        (None, None),
        (1e300, None),
    ],
)
async def test_expires_in_in_every_form(server, said, seconds):
    server.fail("token", status=200, body={"access_token": "opaque-token-0001", "expires_in": said})
    assert (await endpoint.refresh(server.spec("openai"), record(server))).expires_in == seconds


@pytest.mark.parametrize("offset", [-3600, 0, 3600, 86400 * 400])
async def test_the_vendors_clock_does_not_matter(server, offset):
    server.ledger.clock_offset = offset
    server.ledger.expires_in = -1  # only the JWT says how long
    new = await endpoint.refresh(server.spec("openai"), record(server))
    assert new.expires_in == 864000 and not new.due(300)


OPENAI = {
    "message": "Your refresh token has already been used.",
    "type": "invalid_request_error",
    "param": None,
}


@pytest.mark.parametrize(
    ("status", "body", "kind", "error", "code"),
    [
        (401, {"error": {**OPENAI, "code": "refresh_token_reused"}}, "json", PermanentSignInError, "refresh_token_reused"),
        (401, {"error": {**OPENAI, "code": "refresh_token_expired"}}, "json", PermanentSignInError, "refresh_token_expired"),
        (401, {"error": {"code": "refresh_token_invalidated"}}, "json", PermanentSignInError, "refresh_token_invalidated"),
        (401, {"code": "refresh_token_expired"}, "json", PermanentSignInError, "refresh_token_expired"),
        (401, {"error": "refresh_token_reused"}, "json", PermanentSignInError, "refresh_token_reused"),
        (400, {"error": "invalid_grant", "error_description": "no"}, "json", PermanentSignInError, "invalid_grant"),
        (401, {"error": {**OPENAI, "code": "something_new"}}, "json", TransientSignInError, "something_new"),
        (401, {"detail": "Unauthorized"}, "json", TransientSignInError, None),
        (401, "", "json", TransientSignInError, None),
        (403, "<html><body>Just a moment...</body></html>", "html", TransientSignInError, None),
        (429, {"error": "slow_down"}, "json", TransientSignInError, "slow_down"),
        (500, "oops", "plain", TransientSignInError, None),
        (502, {"error": "invalid_grant"}, "json", TransientSignInError, "invalid_grant"),
        (503, "<html>", "html", TransientSignInError, None),
        (200, "<html>Log in to the hotel's network</html>", "html", TransientSignInError, None),
        (200, "", "json", TransientSignInError, None),
        (200, [], "json", TransientSignInError, None),
        (200, {"access_token": "bad token\n"}, "json", TransientSignInError, None),
        (200, {"access_token": "x" * 20, "token_type": "DPoP"}, "json", TransientSignInError, None),
        (400, {"error": "invalid_client"}, "json", SignInError, "invalid_client"),
        (400, {"detail": [{"msg": "x"}]}, "json", SignInError, None),
        (400, {"error": 7, "detail": None}, "json", SignInError, None),
    ],
)  # fmt: skip
async def test_refusals_of_a_refresh(server, status, body, kind, error, code):
    types = {"json": "application/json", "html": "text/html; charset=utf-8", "plain": "text/plain"}
    server.fail("token", status=status, body=body, content_type=types[kind])
    with pytest.raises(SignInError) as caught:
        await endpoint.refresh(server.spec("openai"), record(server))
    assert type(caught.value) is error
    assert caught.value.code == code and caught.value.status == status
    assert caught.value.retryable is (error is TransientSignInError)
    assert caught.value.hint and "\n" not in str(caught.value) and "<" not in str(caught.value)
    if error is PermanentSignInError:
        assert "%ante login openai" in str(caught.value)


async def test_the_real_reuse_of_a_refresh_token(server):
    old = record(server)
    await endpoint.refresh(server.spec("openai"), old)
    with pytest.raises(PermanentSignInError) as caught:
        await endpoint.refresh(server.spec("openai"), old)
    assert caught.value.code == endpoint.REUSED
    assert "already been used" in str(caught.value)


async def test_retry_after_is_passed_on(server):
    server.fail("token", status=429, headers={"retry-after": "7"})
    with pytest.raises(TransientSignInError) as caught:
        await endpoint.refresh(server.spec("openai"), record(server))
    assert caught.value.retry_after == 7


async def test_no_network(server):
    spec, old = server.spec("openai"), record(server)
    server.fail("token", status=0)
    with pytest.raises(TransientSignInError):
        await endpoint.refresh(spec, old)
    with OAuthServer() as gone:
        dead = gone.spec("openai")
    with pytest.raises(TransientSignInError) as caught:
        await endpoint.refresh(dead, old)
    assert "Nothing answers" in str(caught.value)


async def test_a_server_that_is_silent(server, monkeypatch):
    server.fail("token", delay=2)
    monkeypatch.setattr(endpoint, "IDLE", 0.2)
    with pytest.raises(TransientSignInError):
        await endpoint.refresh(server.spec("openai"), record(server))
    server.fail("token", delay=2)
    with pytest.raises(TransientSignInError) as caught:
        await endpoint.call(server.spec("openai"), "refresh", f"{server.url}/oauth/token", {}, total=0.1)
    assert "within" in str(caught.value)


async def test_an_answer_without_end_is_not_read(server):
    server.fail("token", status=200, body="x" * (endpoint.MAX_ANSWER + 1))
    with pytest.raises(TransientSignInError):
        await endpoint.refresh(server.spec("openai"), record(server))


async def test_a_redirect_elsewhere_is_not_followed(server):
    with OAuthServer() as other:
        place = f"{other.url}/oauth/token"
        server.fail("token", times=2, status=307, headers={"location": place})
        with pytest.raises(TransientSignInError):
            await endpoint.refresh(server.spec("openai"), record(server))
        assert not other.seen


@pytest.mark.parametrize(
    "url", ["http://auth.example/token", "http://localhost.example/token", "ftp://127.0.0.1/t", "https://u@h/t", "x"]
)  # fmt: skip
async def test_tokens_only_travel_by_https(server, url):
    from dataclasses import replace

    with pytest.raises(ConfigError) as caught:
        await endpoint.refresh(replace(server.spec("openai"), token_url=url), record(server))
    assert "https://" in str(caught.value)


async def test_no_refresh_token(server):
    with pytest.raises(SignInError) as caught:
        await endpoint.refresh(server.spec("openai"), record(server, refresh_token=None))
    assert "%ante login openai" in str(caught.value) and not server.seen


@pytest.mark.parametrize("preset", ["openai", "antix"])
async def test_revoke(server, preset):
    old = record(server, preset, client_id=server.spec(preset).client_id)
    assert await endpoint.revoke(server.spec(preset), old)
    assert not server.valid(old.access_token.value)
    seen = server.requests("revoke")[0]
    assert seen.body["token_type_hint"] == "refresh_token"
    assert not seen.query


async def test_revoke_where_it_cannot_be(server):
    old = record(server)
    assert not await endpoint.revoke(server.spec("openai", revoke_url=None), old)
    server.fail("revoke", status=500)
    assert not await endpoint.revoke(server.spec("openai"), old)
    server.fail("revoke", status=0)
    assert not await endpoint.revoke(server.spec("openai"), old)
    assert await endpoint.revoke(server.spec("openai"), record(server, refresh_token=None))
    assert server.requests("revoke")[-1].body["token_type_hint"] == "access_token"


async def test_discovery_fills_what_is_missing(server):
    spec = server.spec("antix", authorize_url=None, token_url=None, revoke_url=f"{server.url}/mine")
    found = await endpoint.discovery(spec)
    assert found.authorize_url == f"{server.url}/oauth/authorize"
    assert found.token_url == f"{server.url}/oauth/token"
    assert found.revoke_url == f"{server.url}/mine"
    new = await endpoint.refresh(spec, record(server, "antix"))  # finds the endpoint by itself
    assert server.valid(new.access_token.value)


@pytest.mark.parametrize(
    "issuer", ["https://evil.example", "http://127.0.0.1:1", "http://localhost", "", None, 5, "https://x@y"]
)
async def test_discovery_of_another_issuer(server, issuer):
    server.fail("discovery", status=200, body={"issuer": issuer, "token_endpoint": f"{server.url}/x"})
    with pytest.raises(SignInError) as caught:
        await endpoint.discovery(server.spec("antix", token_url=None))
    assert "another issuer" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"token_endpoint": "http://evil.example/token"}, "token_endpoint"),
        ({"token_endpoint": 5}, "token_endpoint"),
        ({"code_challenge_methods_supported": ["plain"]}, "S256"),
    ],
)
async def test_discovery_documents_that_do_not_fit(server, change, words):
    server.fail("discovery", status=200, body={"issuer": server.url, **change})
    with pytest.raises(SignInError, match=words):
        await endpoint.discovery(server.spec("antix", token_url=None))


async def test_discovery_that_is_not_there(server):
    server.fail("discovery", status=404, content_type="text/html", body="<h1>no</h1>")
    with pytest.raises(TransientSignInError):
        await endpoint.discovery(server.spec("antix", token_url=None))
    server.fail("discovery", status=200, body="[]")
    with pytest.raises(SignInError, match="no JSON object"):
        await endpoint.discovery(server.spec("antix", token_url=None))


async def test_no_secret_in_errors_logs_and_reprs(server, caplog):
    """A server that repeats everything it was sent, in every place of its answer."""
    caplog.set_level(logging.DEBUG)
    old = record(server)
    secrets = [old.access_token.value, old.refresh_token.value]
    texts = [repr(old)]
    new = await endpoint.refresh(server.spec("openai"), old)
    secrets += [new.access_token.value, new.refresh_token.value, new.id_token.value]
    texts.append(repr(new))
    secret = new.refresh_token.value
    bodies = [
        {"error": {"code": "refresh_token_reused", "message": f"token {secret} was used"}},
        {"error": secret[:60], "error_description": f"x{secret}y"},
        {"detail": {"message": secret}},
        {"error": "invalid_grant", "error_description": "z" * 190 + secret},
        {"error": {"code": secret, "message": ""}},
    ]
    for body in bodies:
        server.fail("token", status=401, body=body)
        with pytest.raises(SignInError) as caught:
            await endpoint.refresh(server.spec("openai"), new)
        problem = caught.value
        texts += [
            str(problem),
            repr(problem),
            repr(vars(problem)),
            "".join(traceback.format_exception(problem)),
        ]
        texts += problem._render_traceback_()
    reply = await endpoint.call(
        server.spec("openai"), "refresh", f"{server.url}/oauth/token", {"refresh_token": secret}
    )
    texts += [repr(reply), caplog.text]
    everything = "\n".join(texts)
    for one in secrets:
        assert one not in everything and one[5:25] not in everything
    assert all(one not in redact(f"<{one}>") for one in secrets)
