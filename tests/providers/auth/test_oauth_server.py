"""The OAuth test server itself: it refuses what a vendor refuses."""

from __future__ import annotations

import json
import secrets
import urllib.error
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from support.oauth_ledger import CLIENTS, verifier_pair
from support.oauth_server import DEVICE_GRANT, OAuthServer


@pytest.fixture
def server():
    with OAuthServer() as running:
        yield running


def post(url: str, body: dict[str, str], style: str = "form") -> tuple[int, dict]:
    data = urlencode(body) if style == "form" else json.dumps(body)
    kind = "application/x-www-form-urlencoded" if style == "form" else "application/json"
    request = Request(url, data.encode(), {"content-type": kind})
    try:
        with urlopen(request, timeout=10) as answer:
            raw = answer.read()
            return answer.status, json.loads(raw) if raw else {}
    except urllib.error.HTTPError as problem:
        raw = problem.read()
        return problem.code, json.loads(raw) if raw else {}


class Talk:
    """One authorization with valid values; tests spoil single ones."""

    def __init__(self, server: OAuthServer, preset: str = "openai") -> None:
        self.server, self.client = server, CLIENTS[preset]
        self.verifier, challenge = verifier_pair()
        self.query = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": f"http://localhost:40001{self.client.redirect_path}",
            "scope": " ".join(self.client.scopes),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "state": secrets.token_urlsafe(32),
        }

    def place(self, **spoilt: str) -> dict[str, str]:
        place = self.server.allow(f"{self.server.url}/oauth/authorize?{urlencode(self.query | spoilt)}")
        assert place.startswith(self.query["redirect_uri"] + "?")
        return {name: values[0] for name, values in parse_qs(urlsplit(place).query).items()}

    def body(self, code: str, **spoilt: str) -> dict[str, str]:
        body = {
            "grant_type": "authorization_code",
            "client_id": self.client.client_id,
            "redirect_uri": self.query["redirect_uri"],
            "code": code,
            "code_verifier": self.verifier,
        }
        if self.client.sends_state:
            body["state"] = self.query["state"]
        return body | spoilt

    def token(self, body: dict[str, str], style: str | None = None) -> tuple[int, dict]:
        return post(f"{self.server.url}/oauth/token", body, style or next(iter(self.client.exchange)))

    def refresh(self, token: str) -> tuple[int, dict]:
        body = {"grant_type": "refresh_token", "refresh_token": token, "client_id": self.client.client_id}
        return self.token(body, next(iter(self.client.refresh)))


@pytest.mark.parametrize("preset", CLIENTS)
def test_a_whole_sign_in(server, preset):
    talk = Talk(server, preset)
    place = talk.place()
    assert place["state"] == talk.query["state"]
    status, tokens = talk.token(talk.body(place["code"]))
    assert status == 200 and server.valid(tokens["access_token"])
    status, fresh = talk.refresh(tokens["refresh_token"])
    assert status == 200 and fresh["refresh_token"] != tokens["refresh_token"]
    assert server.valid(fresh["access_token"]) and not server.valid("x")
    assert not server.refusals


def test_a_code_works_once_and_its_second_use_ends_the_tokens(server):
    talk = Talk(server)
    code = talk.place()["code"]
    tokens = talk.token(talk.body(code))[1]
    status, answer = talk.token(talk.body(code))
    assert (status, answer["error"]["code"]) == (400, "invalid_grant")
    assert not server.valid(tokens["access_token"])


@pytest.mark.parametrize(
    "spoilt",
    [
        {"code_verifier": "x" * 43},
        {"code_verifier": "short"},
        {"redirect_uri": "http://localhost:40002/auth/callback"},
        {"client_id": CLIENTS["antix"].client_id},
        {"client_id": "nobody"},
        {"code": "ac_guess"},
        {"grant_type": "password"},
    ],
    ids=lambda spoilt: "-".join(spoilt),
)
def test_wrong_exchanges_are_refused_and_cost_nothing(server, spoilt):
    talk = Talk(server)
    code = talk.place()["code"]
    assert talk.token(talk.body(code) | spoilt)[0] in (400, 401)
    assert server.refusals
    assert talk.token(talk.body(code))[0] == 200


@pytest.mark.parametrize(("preset", "style"), [("openai", "json"), ("anthropic", "form"), ("antix", "json")])
def test_the_vendors_body_format_is_insisted_on(server, preset, style):
    talk = Talk(server, preset)
    assert talk.token(talk.body(talk.place()["code"]), style)[0] == 400


def test_state_is_part_of_the_exchange_where_the_vendor_wants_it(server):
    talk = Talk(server, "anthropic")
    assert talk.token(talk.body(talk.place()["code"], state="another"))[0] == 400


@pytest.mark.parametrize(
    ("spoilt", "error"),
    [
        ({"state": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "x"}, "invalid_request"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
def test_wrong_authorizations_come_back_as_errors(server, spoilt, error):
    assert Talk(server).place(**spoilt)["error"] == error


@pytest.mark.parametrize(
    "redirect",
    [
        "http://localhost:40001/other",
        "http://evil.example:80/auth/callback",
        "https://localhost:40001/auth/callback",
        "http://localhost/auth/callback",
        "http://localhost:40001/auth/callback?x=1",
    ],
)
def test_an_unregistered_redirect_is_never_redirected_to(server, redirect):
    with pytest.raises(urllib.error.HTTPError) as problem:
        Talk(server).place(redirect_uri=redirect)
    assert problem.value.code == 400
    problem.value.close()


def test_registered_ports(server):
    server.ledger.ports = (40001,)
    assert "code" in Talk(server).place()
    server.ledger.ports = (1455, 1457)
    with pytest.raises(urllib.error.HTTPError) as problem:
        Talk(server).place()
    problem.value.close()


def test_a_refresh_token_used_twice_ends_the_family(server):
    talk = Talk(server)
    first = server.ledger.new("openai")
    second = talk.refresh(first["refresh_token"])[1]
    status, answer = talk.refresh(first["refresh_token"])
    assert (status, answer["error"]["code"]) == (401, "refresh_token_reused")
    assert not server.valid(second["access_token"])
    status, answer = talk.refresh(second["refresh_token"])
    assert (status, answer["error"]["code"]) == (401, "refresh_token_invalidated")


def test_a_grace_time_forgives_the_second_use(server):
    talk = Talk(server, "antix")
    first = server.ledger.new("antix")["refresh_token"]
    assert talk.refresh(first)[0] == talk.refresh(first)[0] == 200
    server.ledger.grace = 0
    other = server.ledger.new("antix")["refresh_token"]
    assert talk.refresh(other)[0] == 200
    assert talk.refresh(other) == (
        400,
        {"error": "invalid_grant", "error_description": "Your refresh token has already been used."},
    )


def test_an_old_refresh_token_has_expired(server):
    token = server.ledger.new("openai")["refresh_token"]
    server.ledger.refresh_lifetime = -1.0
    assert Talk(server).refresh(token)[1]["error"]["code"] == "refresh_token_expired"


def test_revoking_ends_the_family(server):
    tokens = server.ledger.new("openai")
    body = {"token": tokens["refresh_token"], "client_id": CLIENTS["openai"].client_id}
    assert post(f"{server.url}/oauth/revoke", body)[0] == 200
    assert not server.valid(tokens["access_token"])
    assert Talk(server).refresh(tokens["refresh_token"])[0] == 401


def test_lifetimes_and_the_vendors_clock(server):
    server.ledger.expires_in = 0
    tokens = server.ledger.new("openai")
    assert tokens["expires_in"] == 0 and not server.valid(tokens["access_token"])
    server.ledger.expires_in = -1
    assert "expires_in" not in server.ledger.new("openai")


def test_openais_device_dialect(server):
    entry = server.catalog_entry("openai")["openai"]["device"]
    server.device_pending = 2
    begun = post(entry["code_url"], {"client_id": CLIENTS["openai"].client_id}, "json")[1]
    assert begun["interval"] == "0"
    poll = {"device_auth_id": begun["device_auth_id"], "user_code": begun["user_code"]}
    assert [post(entry["token_url"], poll, "json")[0] for _ in range(2)] == [403, 403]
    status, answer = post(entry["token_url"], poll, "json")
    assert status == 200
    body = {
        "grant_type": "authorization_code",
        "client_id": CLIENTS["openai"].client_id,
        "redirect_uri": entry["redirect_uri"],
        "code": answer["authorization_code"],
        "code_verifier": answer["code_verifier"],
    }
    assert server.valid(post(f"{server.url}/oauth/token", body)[1]["access_token"])


def test_rfc8628(server):
    entry = server.catalog_entry("antix")["antix"]["device"]
    begun = post(entry["code_url"], {"client_id": "ante-cli"})[1]
    poll = {"grant_type": DEVICE_GRANT, "client_id": "ante-cli", "device_code": begun["device_code"]}
    assert post(entry["token_url"], poll)[1]["error"] == "authorization_pending"
    server.ledger.devices[begun["device_code"]].interval = 60
    assert post(entry["token_url"], poll)[1]["error"] == "slow_down"
    server.ledger.devices[begun["device_code"]].interval = 0
    server.allow_device(begun["user_code"])
    assert server.valid(post(entry["token_url"], poll)[1]["access_token"])
    assert post(entry["token_url"], poll)[1]["error"] == "invalid_grant"


def test_scripted_failures(server):
    talk = Talk(server, "antix")
    token = server.ledger.new("antix")["refresh_token"]
    server.fail("token", status=500, body={"x": 1})
    assert talk.refresh(token) == (500, {"x": 1})
    server.fail("token", status=0, after=True)
    with pytest.raises(OSError):  # the work is done, the answer is lost
        talk.refresh(token)
    assert server.ledger.families[0].refreshes == 1 and token in server.ledger.families[0].spent
