"""The sign-in presets: what is built in, and what a person's catalog.json changes."""

from __future__ import annotations

import json

import pytest
from support.oauth_server import OAuthServer

from ante_nb.providers.auth.oauth_spec import OAuthSpec, is_secure_url
from ante_nb.providers.catalog import Catalog, load_catalog


@pytest.fixture
def write(tmp_path):
    def write(oauth: object) -> Catalog:
        (tmp_path / "catalog.json").write_text(json.dumps({"oauth": oauth}), encoding="utf-8")
        return load_catalog(tmp_path)

    return write


def test_every_preset_of_a_provider_is_there(tmp_path):
    catalog = load_catalog(tmp_path)
    used = {row.auth.oauth_preset for row in catalog.providers.values() if row.auth and row.auth.oauth_preset}
    assert used == set(catalog.oauth) == {"openai", "anthropic", "antix"}
    for preset, spec in catalog.oauth.items():
        assert isinstance(spec, OAuthSpec) and spec.preset == preset
        assert catalog.providers[spec.provider].auth.oauth_preset == preset


def test_openai_is_the_published_flow(tmp_path):
    spec = load_catalog(tmp_path).oauth["openai"]
    assert spec.authorize_url == "https://auth.openai.com/oauth/authorize"
    assert spec.token_url == "https://auth.openai.com/oauth/token"
    assert spec.revoke_url == "https://auth.openai.com/oauth/revoke"
    assert (spec.redirect_host, spec.redirect_ports, spec.redirect_path) == (
        "localhost",
        (1455, 1457),
        "/auth/callback",
    )
    assert spec.scopes == ("openid", "profile", "email", "offline_access")
    assert spec.authorize_params["originator"] == "ante_nb"
    assert (spec.exchange_style, spec.refresh_style, spec.exchange_sends_state) == ("form", "json", False)
    assert (spec.refresh_before, spec.max_age) == (300, 8 * 86400)
    assert spec.account_claim == "https://api.openai.com/auth" and spec.account_header == "ChatGPT-Account-ID"
    assert (
        spec.device.style == "codex"
        and spec.device.redirect_uri == "https://auth.openai.com/deviceauth/callback"
    )


def test_nothing_of_anthropics_client_is_built_in(tmp_path):
    spec = load_catalog(tmp_path).oauth["anthropic"]
    assert spec.client_id is spec.authorize_url is spec.token_url is spec.revoke_url is spec.device is None
    assert spec.discovery_url is spec.manual_redirect_uri is None
    assert spec.scopes == () and spec.authorize_params == {} and spec.token_headers == {}
    assert spec.profile == "anthropic"
    for way_out in ("API key", "~/.config/anthropic", "client id", "catalog.json"):
        assert way_out in spec.unavailable


def test_antix_renews_its_short_tokens_late(tmp_path):
    spec = load_catalog(tmp_path).oauth["antix"]
    assert spec.client_id == "ante-cli" and spec.refresh_before == 60
    assert spec.discovery_url == "https://antix.antigma.ai/.well-known/openid-configuration"


def test_a_patch_changes_its_fields_only(write):
    catalog = write(
        {"openai": {"client_id": "mine", "redirect_ports": [8000], "device": {"expires_in": 60.0}}}
    )
    assert catalog.report() is None
    spec, base = catalog.oauth["openai"], load_catalog(None).oauth["openai"]
    assert (spec.client_id, spec.redirect_ports, spec.device.expires_in) == ("mine", (8000,), 60)
    assert spec.token_url == base.token_url and spec.device.code_url == base.device.code_url
    assert catalog.oauth["antix"] == load_catalog(None).oauth["antix"]


def test_null_clears(write):
    catalog = write(
        {
            "openai": {
                "device": None,
                "revoke_url": None,
                "max_age": None,
                "scopes": None,
                "redirect_ports": None,
            }
        }
    )
    spec = catalog.oauth["openai"]
    assert catalog.report() is None
    assert spec.device is spec.revoke_url is spec.max_age is None
    assert spec.scopes == () and spec.redirect_ports == (0,)
    cleared = write({"antix": {"display_name": None, "provider": None}}).oauth["antix"]
    assert (cleared.display_name, cleared.provider) == ("antix", "antix")


def test_a_client_of_ones_own_for_anthropic(write):
    catalog = write({
        "anthropic": {
            "client_id": "my-client",
            "authorize_url": "https://login.corp.example/authorize",
            "token_url": "https://login.corp.example/token",
            "scopes": ["inference"],
        }
    })  # fmt: skip
    spec = catalog.oauth["anthropic"]
    assert catalog.report() is None and spec.client_id == "my-client" and spec.scopes == ("inference",)
    assert (spec.exchange_style, spec.exchange_sends_state) == ("json", True)


@pytest.mark.parametrize(
    ("patch", "problem"),
    [
        ({"token_url": "http://evil.example/t"}, "oauth.openai: `token_url`: expected a URL with https:// (http:// on this machine only)"),
        ({"authorize_url": "javascript:alert(1)"}, "oauth.openai: `authorize_url`: expected a URL with https:// (http:// on this machine only)"),
        ({"revoke_url": "https://user:pw@host/"}, "oauth.openai: `revoke_url`: expected a URL with https:// (http:// on this machine only)"),
        ({"device": {"code_url": "http://x.example"}}, "oauth.openai: `device.code_url`: expected a URL with https:// (http:// on this machine only)"),
        ({"redirect_host": "0.0.0.0"}, "oauth.openai: `redirect_host`: expected `localhost`, `127.0.0.1` or `::1`"),
        ({"redirect_host": "evil.example"}, "oauth.openai: `redirect_host`: expected `localhost`, `127.0.0.1` or `::1`"),
        ({"redirect_ports": [70000]}, "oauth.openai: invalid value for `redirect_ports.0`: input should be less than or equal to 65535"),
        ({"redirect_ports": []}, "oauth.openai: invalid value for `redirect_ports`: list should have at least 1 item after validation, not 0"),
        ({"redirect_path": "callback"}, "oauth.openai: invalid value for `redirect_path`: expected a path that begins with /"),
        ({"exchange_style": "xml"}, "oauth.openai: unknown variant `xml` for `exchange_style`, expected one of `form`, `json`"),
        ({"device": {"style": "sms"}}, "oauth.openai: unknown variant `sms` for `device.style`, expected one of `codex`, `rfc8628`"),
        ({"client_id": 5}, "oauth.openai: invalid value for `client_id`: input should be a valid string"),
        ({"client_id": "a b"}, "oauth.openai: invalid value for `client_id`: expected printable ASCII without blanks"),
        ({"token_headers": {"X-A": "b\r\nX-B: c"}}, "oauth.openai: invalid value for `token_headers.X-A`: expected printable ASCII"),
        ({"device": {"token_url": None}}, "oauth.openai: missing field `token_url` in `device`"),
        ({"device": {"redirect_uri": None}}, "oauth.openai: missing field `redirect_uri` in `device`"),
        (["client_id"], "oauth.openai: expected an object, found an array"),
        ("app_x", "oauth.openai: expected an object, found a string"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_reported_and_costs_itself_only(write, patch, problem):
    catalog = write({"openai": patch if not isinstance(patch, dict) else {"display_name": "Changed", **patch},
                     "antix": {"client_id": "fine"}})  # fmt: skip
    assert catalog.problems == [problem]
    assert catalog.oauth["openai"] == load_catalog(None).oauth["openai"]
    assert catalog.oauth["antix"].client_id == "fine"
    assert catalog.providers["openai"].base_url == "https://api.openai.com/v1"


def test_unknown_presets_fields_and_sections(write):
    assert write({"google": {"client_id": "x"}}).problems == [
        "oauth.google: unknown preset, expected one of `openai`, `anthropic`, `antix`"
    ]
    catalog = write({"antix": {"client_secret": "x", "client_id": "y"}})
    assert catalog.problems == ["oauth.antix: ignoring unknown field(s): client_secret"]
    assert catalog.oauth["antix"].client_id == "y"
    assert write([1]).problems == ["oauth: expected an object, found an array"]


def test_a_device_sign_in_can_be_added(write):
    device = {
        "style": "rfc8628",
        "code_url": "https://antix.example/device",
        "token_url": "https://antix.example/token",
        "verify_url": "https://antix.example/verify",
    }
    assert write({"antix": {"device": device}}).oauth["antix"].device.verify_url == device["verify_url"]
    catalog = write({"antix": {"device": {"style": "rfc8628"}}})
    assert catalog.oauth["antix"].device is None
    assert catalog.problems == [
        "oauth.antix: missing field `code_url` in `device`, missing field `token_url` in `device`, "
        "missing field `verify_url` in `device`"
    ]


@pytest.mark.parametrize("preset", ["openai", "anthropic", "antix"])
def test_the_test_server_is_a_catalog_entry(write, preset):
    with OAuthServer() as server:
        catalog = write(server.catalog_entry(preset))
        assert catalog.report() is None
        assert catalog.oauth[preset] == server.spec(preset)
        assert catalog.oauth[preset].token_url == f"{server.url}/oauth/token"


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://a.example/x?y=1", True),
        ("http://127.0.0.1:80/x", True),
        ("http://[::1]:80/x", True),
        ("http://LOCALHOST/x", True),
        ("http://127.0.0.1.evil.example/", False),
        ("http://localhost.evil.example/", False),
        ("http://169.254.1.1/", False),
        ("https://", False),
        ("https://a:99999/", False),
        ("https://a@b/", False),
        ("https://a b/", False),
        ("https://ä.example/", False),
        ("//a.example/", False),
        ("file:///etc/passwd", False),
    ],
)
def test_where_tokens_may_travel(url, fine):
    assert is_secure_url(url) is fine
