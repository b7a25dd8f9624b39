"""Signing in with a device code, in both dialects."""

from __future__ import annotations

import pytest
from support.oauth_ledger import ACCOUNT
from support.oauth_server import OAuthServer

from ante_nb.errors import ConfigError, SignInError
from ante_nb.providers.auth import device
from ante_nb.providers.auth.endpoint import TransientSignInError


@pytest.fixture
def server():
    with OAuthServer() as running:
        yield running


class Sleeper:
    """Notes what is waited, and does not wait."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        assert len(self.waits) < 100


@pytest.fixture
def sleep():
    return Sleeper()


@pytest.mark.parametrize("preset", ["openai", "antix"])
async def test_a_whole_sign_in(server, sleep, preset):
    server.device_pending = 3
    spec, allowed = server.spec(preset), []
    code = await device.begin(spec)
    assert code.user_code not in repr(code) and code.device_code.value not in repr(code)
    record = await device.wait(spec, code, sleep=sleep, on_allowed=lambda: allowed.append(1))
    assert server.valid(record.access_token.value) and record.source == "device" and allowed == [1]
    assert sleep.waits == [1.0] * 4
    assert (record.account_id == ACCOUNT) is (preset == "openai")
    assert not server.refusals


@pytest.mark.parametrize("status", [403, 404])
async def test_openais_signs_of_pending(server, sleep, status):
    server.device_pending, server.device_pending_status = 2, status
    spec = server.spec("openai")
    code = await device.begin(spec)
    server.fail("device_token", status=status, body="<html>Forbidden</html>", content_type="text/html")
    server.fail("device_token", status=status, body="")
    server.fail("device_token", status=status, body={"error": {"code": "access_denied"}})
    assert server.valid((await device.wait(spec, code, sleep=sleep)).access_token.value)
    assert len(sleep.waits) == 6


async def test_404_at_the_start_means_switched_off(server):
    server.device_enabled = False
    with pytest.raises(SignInError) as caught:
        await device.begin(server.spec("openai"))
    assert caught.value.code == "device_disabled" and "switched off" in str(caught.value)
    with pytest.raises(SignInError) as caught:
        await device.begin(server.spec("antix"))
    assert caught.value.code == "unauthorized_client"


async def test_slow_down_adds_five_seconds_for_good(server, sleep):
    spec = server.spec("antix")
    code = await device.begin(spec)
    server.fail("token", times=2, status=400, body={"error": "slow_down"})
    server.fail("token", status=400, body={"error": "authorization_pending"})
    server.fail("token", status=429)
    server.device_pending = 0
    await device.wait(spec, code, sleep=sleep)
    assert sleep.waits == [1, 6, 11, 11, 16]


async def test_slow_down_of_a_strict_server(server):
    import asyncio

    server.device_strict_interval = 0.5
    server.device_pending = 1
    spec = server.spec("antix")
    code = await device.begin(spec)
    waits = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 2:  # after the first slow_down: as slow as the server then wants it
            next(iter(server.ledger.devices.values())).interval = 0
        await asyncio.sleep(0)

    await device.wait(spec, code, sleep=sleep)
    assert waits[:3] == [1, 1, 6]


@pytest.mark.parametrize("preset", ["openai", "antix"])
async def test_denied(server, sleep, preset):
    spec = server.spec(preset)
    code = await device.begin(spec)
    server.deny_device(code.user_code)
    with pytest.raises(SignInError) as caught:
        await device.wait(spec, code, sleep=sleep)
    assert caught.value.code == "access_denied" and f"%ante login {preset}" in str(caught.value)
    assert len(sleep.waits) == 1


async def test_expired(server, sleep):
    server.device_lifetime = 0.01
    spec = server.spec("antix")
    code = await device.begin(spec)
    assert code.expires_in == 0.01
    with pytest.raises(SignInError) as caught:
        await device.wait(spec, code, sleep=sleep)
    assert caught.value.code == "expired_token"
    server.fail("device_token", status=400, body={"error": {"code": "expired_token"}})
    spec = server.spec("openai")
    with pytest.raises(SignInError) as caught:
        await device.wait(spec, await device.begin(spec), sleep=sleep)
    assert caught.value.code == "expired_token"


@pytest.mark.parametrize(("preset", "endpoint"), [("openai", "device_token"), ("antix", "token")])
async def test_failures_of_the_network_do_not_end_it(server, sleep, preset, endpoint):
    server.device_pending = 0
    spec = server.spec(preset)
    code = await device.begin(spec)
    server.fail(endpoint, times=2, status=0)
    server.fail(endpoint, status=502, body="<html>", content_type="text/html")
    server.fail(endpoint, status=408)
    assert server.valid((await device.wait(spec, code, sleep=sleep)).access_token.value)
    assert sleep.waits == [1, 2, 4, 4, 4]


async def test_a_passing_failure_of_the_exchange_does_not_end_it(server, sleep):
    """The person has said yes: the code that came of it is tried again, as after the browser."""
    server.device_pending = 0
    spec = server.spec("openai")
    code = await device.begin(spec)
    server.fail("token", status=503, body="busy", headers={"retry-after": "3"})
    server.fail("token", status=0)
    assert server.valid((await device.wait(spec, code, sleep=sleep)).access_token.value)
    assert sleep.waits == [1, 3, 1] and len(server.requests("device_token")) == 1
    server.fail("token", times=3, status=503, body="busy")
    with pytest.raises(TransientSignInError):
        await device.wait(spec, await device.begin(spec), sleep=sleep)


async def test_any_other_refusal_ends_it(server, sleep):
    spec = server.spec("openai")
    code = await device.begin(spec)
    server.fail("device_token", status=400, body={"error": {"code": "deviceauth_gone", "message": "Gone."}})
    with pytest.raises(SignInError, match=r"Gone\.") as caught:
        await device.wait(spec, code, sleep=sleep)
    assert caught.value.code == "deviceauth_gone"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("5", 5), (5, 5), (7.5, 7.5), ("0", 1), (0, 1), (None, 5), ("soon", 5), (-3, 5), (True, 5), (10**9, 60), ("nan", 5), ([], 5)],
)  # fmt: skip
async def test_intervals(server, said, seconds):
    body = {"device_auth_id": "d" * 20, "user_code": "ABCD-EFGH", "interval": said}
    server.fail("device_code", status=200, body=body)
    assert (await device.begin(server.spec("openai"))).interval == seconds


async def test_the_other_spelling_of_the_code(server):
    server.fail("device_code", status=200, body={"device_auth_id": "d" * 20, "usercode": "ABCD-EFGH"})
    code = await device.begin(server.spec("openai"))
    assert (code.user_code, code.interval, code.expires_in) == ("ABCD-EFGH", 5, 900)
    assert code.verify_url == f"{server.url}/codex/device"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "<html>",
        {"device_auth_id": "x"},
        {"device_auth_id": 5, "user_code": "AB-CD"},
        {"device_auth_id": "x", "user_code": "<script>"},
        {"device_auth_id": "x", "user_code": "A" * 60},
    ],
    ids=range(7),
)
async def test_answers_that_are_no_code(server, body):
    server.fail("device_code", status=200, body=body)
    with pytest.raises(TransientSignInError):
        await device.begin(server.spec("openai"))


@pytest.mark.parametrize("link", ["javascript:alert(1)", "http://evil.example/", "data:text/html,x", 5, None])
async def test_links_of_the_answer_are_https(server, link):
    body = {
        "device_code": "d" * 20,
        "user_code": "AB-CD",
        "verification_uri": link,
        "verification_uri_complete": link,
    }
    server.fail("device_code", status=200, body=body)
    code = await device.begin(server.spec("antix"))
    assert code.verify_url == f"{server.url}/device" and code.complete_url is None


async def test_allowed_without_a_code(server, sleep):
    spec = server.spec("openai")
    code = await device.begin(spec)
    server.fail("device_token", status=200, body={"authorization_code": "x"})
    with pytest.raises(SignInError, match="sent no code"):
        await device.wait(spec, code, sleep=sleep)


async def test_a_vendor_without_device_codes(server):
    with pytest.raises(ConfigError):
        await device.begin(server.spec("anthropic"))
