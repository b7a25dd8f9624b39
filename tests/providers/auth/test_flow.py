"""Whole sign-ins: browser, paste, device; limits, mistakes, and what must not be seen."""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from support.oauth_ledger import ACCOUNT
from support.oauth_server import OAuthServer
from support.raw_http import free_ports, get

from ante_nb.errors import ConfigError, SignInError
from ante_nb.providers.auth.flow import TIME_LIMIT, SignInFlow
from ante_nb.providers.catalog import load_catalog


@pytest.fixture
def server():
    with OAuthServer() as running:
        yield running


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def nap(seconds: float) -> None:
    await asyncio.sleep(0.01)


async def allow(server: OAuthServer, url: str) -> str:
    return await asyncio.to_thread(server.allow, url)


def state_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["state"][0]


def code_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["code"][0]


# ------------------------------------------------------------------------------------------ browser


@pytest.mark.parametrize("preset", ["openai", "anthropic", "antix"])
async def test_in_the_browser(server, preset):
    seen = []
    flow = SignInFlow(server.spec(preset))
    flow.on_change.append(lambda: seen.append(flow.state))
    challenge = await flow.start()
    assert (challenge.way, challenge.listening, challenge.accepts_paste) == ("browser", True, True)
    assert challenge.user_code is None and challenge.port
    place = await allow(server, challenge.url)
    status, headers, body = await get(place)
    assert status == 200 and "Signed in" in body and headers["connection"] == "close"
    record = await flow.result()
    assert server.valid(record.access_token.value) and record.refresh_token
    assert (record.preset, record.source, record.client_id) == (preset, "browser", flow.spec.client_id)
    assert (record.account_id == ACCOUNT) is (preset == "openai")
    assert flow.state == "done" and seen == ["waiting", "exchanging", "done"]
    assert not server.refusals
    with pytest.raises(OSError):  # nothing listens any more
        await asyncio.open_connection("127.0.0.1", challenge.port)


async def test_the_link(server):
    spec = server.spec("openai", authorize_url=f"{server.url}/oauth/authorize?tenant=a", redirect_host="127.0.0.1",
                       authorize_params={"originator": "ante_nb", "state": "not ours", "client_id": "not ours"})  # fmt: skip
    one, two = SignInFlow(spec), SignInFlow(spec)
    first, second = await one.start(), await two.start()
    query = parse_qs(urlsplit(first.url).query)
    assert query["response_type"] == ["code"] and query["code_challenge_method"] == ["S256"]
    assert query["client_id"] == [spec.client_id] and query["scope"] == [
        "openid profile email offline_access"
    ]
    assert query["redirect_uri"] == [f"http://127.0.0.1:{first.port}/auth/callback"]
    assert query["originator"] == ["ante_nb"] and query["tenant"] == ["a"]
    assert len(query["state"][0]) == 43 and query["state"] != parse_qs(urlsplit(second.url).query)["state"]
    assert "code_verifier" not in first.url
    await one.cancel()
    await two.cancel()


async def test_the_person_says_no(server):
    flow = SignInFlow(server.spec("openai"))
    challenge = await flow.start()
    status, _, body = await get(await asyncio.to_thread(server.deny, challenge.url))
    assert status == 400 and "&lt;b&gt;said&lt;/b&gt; no" in body and "<b>" not in body
    with pytest.raises(SignInError, match="denied") as caught:
        await flow.result()
    assert caught.value.code == "access_denied" and flow.state == "failed"
    assert not server.requests("token")


async def test_another_error_of_the_vendor(server):
    flow = SignInFlow(server.spec("openai", scopes=["openid"]))
    challenge = await flow.start()
    await get(await allow(server, challenge.url))
    with pytest.raises(SignInError) as caught:
        await flow.result()
    assert caught.value.code == "invalid_scope" and "scopes missing" in str(caught.value)


async def test_an_error_with_a_wrong_state_changes_nothing(server):
    flow = SignInFlow(server.spec("openai"))
    challenge = await flow.start()
    url = f"http://localhost:{challenge.port}/auth/callback?error=access_denied&state=guess"
    assert (await get(url))[0] == 400 and flow.state == "waiting"
    assert (await get(url.partition("&")[0]))[0] == 400 and flow.state == "waiting"
    assert (await get(await allow(server, challenge.url)))[0] == 200
    await flow.result()


async def test_a_foreign_code_with_our_state_fails(server):
    """The state of a link may leak; a code of somebody else's sign-in does not fit the verifier."""
    ours, theirs = SignInFlow(server.spec("openai")), SignInFlow(server.spec("openai"))
    challenge = await ours.start()
    foreign = code_of(await allow(server, (await theirs.start()).url))
    said = urlencode({"code": foreign, "state": state_of(challenge.url)})
    status, _, body = await get(f"http://localhost:{challenge.port}/auth/callback?{said}")
    assert status == 400 and "did not accept" in body
    with pytest.raises(SignInError):
        await ours.result()
    await theirs.cancel()


async def test_browsers_that_open_more_connections(server):
    flow = SignInFlow(server.spec("openai"))
    challenge = await flow.start()
    silent = [await asyncio.open_connection("127.0.0.1", challenge.port) for _ in range(3)]
    place = await allow(server, challenge.url)
    assert (await get(place.replace("/auth/callback", "/favicon.ico")))[0] == 404
    assert (await get(place, "HEAD"))[0] == 405
    both = await asyncio.gather(get(place), get(place))
    assert sorted(status for status, _, _ in both) in ([200, 410], [200, 400])
    await asyncio.wait_for(flow.result(), 10)
    assert len(server.requests("token")) == 1
    for _, writer in silent:
        writer.transport.abort()


async def test_a_failing_token_endpoint(server):
    place = None
    for status, times, fine in ((500, 2, True), (500, 3, False), (0, 2, True), (401, 1, False)):
        server.fail("token", times=times, status=status, body={"detail": "<i>down</i>"})
        flow = SignInFlow(server.spec("openai"), sleep=nap)
        challenge = await flow.start()
        place = await allow(server, challenge.url)
        page = await get(place)
        assert page[0] == (200 if fine else 400)
        if fine:
            await flow.result()
        else:
            assert "&lt;i&gt;down" in page[2] and "<i>" not in page[2]
            with pytest.raises(SignInError, match="down"):
                await flow.result()


# -------------------------------------------------------------------------------------------- ports


async def test_registered_ports_and_an_older_flow(server):
    ports = free_ports(2)
    server.ledger.ports = ports
    spec = server.spec("openai", redirect_ports=list(ports))
    old, new = SignInFlow(spec), SignInFlow(spec, sleep=nap)
    assert (await old.start()).port == ports[0]
    challenge = await new.start()
    assert challenge.port == ports[0] and old.state == "cancelled"
    with pytest.raises(SignInError, match="took the port") as caught:
        await old.result()
    assert caught.value.code == "cancelled"
    assert (await get(await allow(server, challenge.url)))[0] == 200
    await new.result()


async def test_a_foreign_listener_has_the_first_port(server):
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        ports = (foreign.getsockname()[1], *free_ports(1))
        server.ledger.ports = ports
        flow = SignInFlow(server.spec("openai", redirect_ports=list(ports)), sleep=nap)
        challenge = await flow.start()
        assert challenge.port == ports[1]
        assert (await get(await allow(server, challenge.url)))[0] == 200
        await flow.result()


async def test_both_registered_ports_are_taken(server):
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = (one.getsockname()[1], two.getsockname()[1])
        server.ledger.ports = ports
        flow = SignInFlow(server.spec("openai", redirect_ports=list(ports)), sleep=nap)
        challenge = await flow.start()
        assert (challenge.way, challenge.listening, challenge.port) == ("paste", False, None)
        assert challenge.accepts_paste and "No port is free" in flow.message
        place = await allow(server, challenge.url)
        assert place.startswith(f"http://localhost:{ports[0]}/auth/callback?")
        await flow.paste(place)
        assert (await flow.result()).source == "paste"


# -------------------------------------------------------------------------------------------- paste

FORMS = {
    "url": lambda place: place,
    "without-scheme": lambda place: place.removeprefix("http://"),
    "broken-lines": lambda place: f"  {place[:50]}\n   {place[50:]}\r\n",
    "quoted": lambda place: f"`{place}`",
    "with-fragment": lambda place: f"{place}#_=_",
    "typographic-quotes": lambda place: f"\u201c{place}\u201d",
    "in-a-sentence": lambda place: f"({place}).",
    "source-of-a-page": lambda place: place.replace("&", "&amp;"),
    "bracketed-paste": lambda place: f"\x1b[200~{place}\x1b[201~",
    "invisible-marks": lambda place: f"\ufeff{place}\u200b",
    "query": lambda place: "?" + place.partition("?")[2],
    "fields": lambda place: place.partition("?")[2],
    "code-state": lambda place: f"{code_of(place)}#{state_of(place)}",
    "code": code_of,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("preset", ["openai", "anthropic"])
async def test_paste(server, preset, form):
    flow = SignInFlow(server.spec(preset), way="paste")
    challenge = await flow.start()
    assert (challenge.way, challenge.listening, challenge.port) == ("paste", False, None)
    await flow.paste(FORMS[form](await allow(server, challenge.url)))
    record = await flow.result()
    assert server.valid(record.access_token.value) and record.source == "paste"


async def test_the_vendors_page_that_shows_the_code(server):
    flow = SignInFlow(server.spec("anthropic"), listen=False)
    challenge = await flow.start()
    assert challenge.way == "paste"
    place = await allow(server, challenge.url)
    assert place.startswith(f"{server.url}/oauth/code?")
    shown = (await get(place, Connection="close"))[2].partition("id=code>")[2].partition("</code>")[0]
    await flow.paste(shown)
    assert server.valid((await flow.result()).access_token.value)


async def test_paste_works_beside_the_listener(server):
    flow = SignInFlow(server.spec("openai"))
    challenge = await flow.start()
    await flow.paste(await allow(server, challenge.url))
    assert (await flow.result()).source == "paste"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda place, link: "", "Nothing was pasted"),
        (lambda place, link: " \n ", "Nothing was pasted"),
        (lambda place, link: link, "link to open"),
        (lambda place, link: place.replace(state_of(place), "x" * 43), "another sign-in"),
        (lambda place, link: place[:-3], "another sign-in, or is cut off"),
        (lambda place, link: place.partition("&state")[0].partition("?")[0] + "?code=" + code_of(place), "no state"),
        (lambda place, link: f"{code_of(place)}#{'x' * 43}", "another sign-in"),
        (lambda place, link: f"{code_of(place)}#", "behind the #"),
        (lambda place, link: f"http://localhost/?error=access_denied&state={'x' * 43}", "another sign-in"),
        (lambda place, link: "https://www.example.com/", "holds no sign-in code"),
        (lambda place, link: place + "&code=twice-the-code", "holds no sign-in code"),
        (lambda place, link: "hello", "no sign-in code"),
        (lambda place, link: "código-de-acceso", "no sign-in code"),
        (lambda place, link: "x" * 20_000, "too long"),
        (lambda place, link: "not-the-code-at-all", "did not take this code"),
        (lambda place, link: f"?state={state_of(place)}&code={code_of(place)[:-2]}", "did not take this code"),
    ],
    ids=range(16),
)  # fmt: skip
async def test_a_useless_paste_is_one_line_and_the_flow_goes_on(server, make, words):
    flow = SignInFlow(server.spec("openai"))
    challenge = await flow.start()
    place = await allow(server, challenge.url)
    with pytest.raises(ConfigError, match=words) as caught:
        await flow.paste(make(place, challenge.url))
    text = str(caught.value)
    assert "\n" not in text and code_of(place) not in text and state_of(place) not in text
    assert flow.state == "waiting"
    assert (await get(place))[0] == 200  # the listener is still there
    assert server.valid((await flow.result()).access_token.value)


@pytest.mark.parametrize("key", ["sk-ant-api03-", "sk-proj-", "sk-or-v1-", "xai-", "AIza"])
async def test_an_api_key_goes_to_nobody(server, key):
    flow = SignInFlow(server.spec("openai"), way="paste")
    await flow.start()
    with pytest.raises(ConfigError, match=r"is an API key.*%ante key"):
        await flow.paste(f"{key}0123456789abcdefghij")
    assert flow.state == "waiting" and not server.requests("token")
    await flow.cancel()


async def test_a_pasted_denial(server):
    flow = SignInFlow(server.spec("openai"), way="paste")
    challenge = await flow.start()
    await flow.paste(await asyncio.to_thread(server.deny, challenge.url))
    assert flow.state == "failed"
    with pytest.raises(SignInError, match="denied"):
        await flow.result()


async def test_after_the_end_nothing_is_taken(server):
    flow = SignInFlow(server.spec("openai"))
    with pytest.raises(ConfigError, match="not begun"):
        await flow.paste("x")
    challenge = await flow.start()
    place = await allow(server, challenge.url)
    await flow.paste(place)
    with pytest.raises(ConfigError, match="over"):
        await flow.paste(place)
    with pytest.raises(ConfigError, match="started before"):
        await flow.start()
    assert await flow.result() is await flow.result()
    await flow.cancel()
    assert flow.state == "done" and len(server.requests("token")) == 1


async def test_the_browser_comes_while_a_doubtful_paste_is_tried(server):
    flow = SignInFlow(server.spec("openai"))
    challenge = await flow.start()
    place = await allow(server, challenge.url)
    server.delay = 0.3
    pasting = asyncio.create_task(flow.paste("not-the-code-at-all"))
    while flow.state != "exchanging":
        await asyncio.sleep(0.01)
    coming = asyncio.create_task(get(place))
    with pytest.raises(ConfigError):
        await pasting
    assert (await coming)[0] == 200
    assert (await flow.result()).source == "browser"


# --------------------------------------------------------------------------------- limits and ends


async def test_five_minutes(server):
    clock = Clock()
    flow = SignInFlow(server.spec("openai"), clock=clock)
    challenge = await flow.start()
    assert TIME_LIMIT == 300 and challenge.deadline == 1300.0
    place = await allow(server, challenge.url)
    clock.now += 299
    await asyncio.sleep(1.2)
    assert flow.state == "waiting"
    clock.now += 1.5
    with pytest.raises(SignInError, match="time") as caught:
        await asyncio.wait_for(flow.result(), 20)
    assert caught.value.code == "expired" and flow.state == "expired"
    with pytest.raises(OSError):
        await get(place)
    with pytest.raises(ConfigError, match="over"):
        await flow.paste(place)
    assert not server.requests("token")


async def test_the_limit_does_not_cut_an_exchange(server):
    clock = Clock()
    flow = SignInFlow(server.spec("openai"), clock=clock)
    challenge = await flow.start()
    server.delay = 1.5
    pasting = asyncio.create_task(flow.paste(await allow(server, challenge.url)))
    while flow.state != "exchanging":
        await asyncio.sleep(0.01)
    clock.now += 1000
    await pasting
    assert server.valid((await flow.result()).access_token.value)


async def test_cancel(server):
    flow = SignInFlow(server.spec("openai"))
    challenge = await flow.start()
    waiting = asyncio.create_task(flow.result())
    await asyncio.sleep(0)
    await flow.cancel()
    with pytest.raises(SignInError, match="cancelled") as caught:
        await waiting
    assert caught.value.code == "cancelled" and flow.state == "cancelled"
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", challenge.port)


@pytest.mark.parametrize("how", ["paste", "browser"])
async def test_cancel_while_the_tokens_are_fetched(server, how):
    flow = SignInFlow(server.spec("openai"))
    challenge = await flow.start()
    place = await allow(server, challenge.url)
    server.delay = 2
    task = asyncio.create_task(flow.paste(place) if how == "paste" else get(place))
    while flow.state != "exchanging":
        await asyncio.sleep(0.01)
    await asyncio.wait_for(flow.cancel(), 10)
    await asyncio.wait({task})
    task.exception()
    with pytest.raises(SignInError):
        await flow.result()
    assert flow.state == "cancelled"


async def test_giving_up_to_wait_gives_up_nothing_else(server):
    flow = SignInFlow(server.spec("openai"))
    challenge = await flow.start()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flow.result(), 0.05)
    place = await allow(server, challenge.url)
    server.delay = 0.3
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flow.paste(place), 0.05)
    assert server.valid((await flow.result()).access_token.value)


async def test_a_broken_callback_breaks_nothing(server, caplog):
    seen = []
    flow = SignInFlow(server.spec("openai"))
    flow.on_change += [lambda: 1 / 0, lambda: seen.append(flow.state)]
    challenge = await flow.start()
    await flow.paste(await allow(server, challenge.url))
    await flow.result()
    assert seen[-1] == "done" and "a callback of the sign-in failed" in caplog.text


# -------------------------------------------------------------------------------- what is not there


async def test_anthropic_says_why_and_what_else(tmp_path):
    flow = SignInFlow(load_catalog(tmp_path).oauth["anthropic"])
    with pytest.raises(ConfigError, match="API key") as caught:
        await flow.start()
    assert "own apps only" in str(caught.value) and flow.state == "failed"
    with pytest.raises(SignInError):
        await flow.result()


@pytest.mark.parametrize("field", ["token_url", "authorize_url"])
async def test_a_missing_endpoint_is_named(server, field):
    flow = SignInFlow(replace(server.spec("anthropic"), **{field: None}))
    with pytest.raises(ConfigError, match=rf"oauth\.anthropic\.{field}"):
        await flow.start()


async def test_endpoints_by_discovery(server):
    flow = SignInFlow(server.spec("antix", token_url=None, authorize_url=None))
    challenge = await flow.start()
    await get(await allow(server, challenge.url))
    assert (await flow.result()).token_url == f"{server.url}/oauth/token"
    server.issuer = "https://evil.example"
    other = SignInFlow(server.spec("antix", token_url=None, authorize_url=None))
    with pytest.raises(SignInError, match="another issuer"):
        await other.start()
    assert other.state == "failed"


# ------------------------------------------------------------------------------------------- device


@pytest.mark.parametrize("preset", ["openai", "antix"])
async def test_device(server, preset):
    seen = []
    flow = SignInFlow(server.spec(preset), way="device", sleep=nap)
    flow.on_change.append(lambda: seen.append(flow.state))
    challenge = await flow.start()
    assert (challenge.way, challenge.listening, challenge.accepts_paste) == ("device", False, False)
    assert challenge.user_code and challenge.verify_url.startswith(server.url)
    assert challenge.deadline > 0 and challenge.expires_at > 0
    with pytest.raises(ConfigError):
        await flow.paste("x" * 20)
    while not server.seen[-1].body.get("user_code", server.seen[-1].body.get("device_code")):
        await asyncio.sleep(0.01)
    server.allow_device(challenge.user_code)
    record = await flow.result()
    assert server.valid(record.access_token.value) and record.source == "device"
    assert seen[0] == "waiting" and seen[-2:] == ["exchanging", "done"]


async def test_device_ends(server):
    denied = SignInFlow(server.spec("openai"), way="device", sleep=nap)
    server.deny_device((await denied.start()).user_code)
    with pytest.raises(SignInError) as caught:
        await denied.result()
    assert caught.value.code == "access_denied" and denied.state == "failed"

    clock = Clock()
    late = SignInFlow(server.spec("openai"), way="device", sleep=nap, clock=clock)
    assert (await late.start()).deadline == 1900.0  # its own fifteen minutes
    clock.now += 901
    with pytest.raises(SignInError):
        await asyncio.wait_for(late.result(), 20)
    assert late.state == "expired"
    polls = len(server.requests("device_token"))
    await asyncio.sleep(0.1)
    assert len(server.requests("device_token")) == polls

    server.device_lifetime = 0.01
    expired = SignInFlow(server.spec("antix"), way="device", sleep=asyncio.sleep)
    await expired.start()
    with pytest.raises(SignInError):
        await expired.result()
    assert expired.state == "expired"

    server.device_enabled = False
    off = SignInFlow(server.spec("openai"), way="device")
    with pytest.raises(SignInError, match="switched off"):
        await off.start()

    none = SignInFlow(server.spec("anthropic"), way="device")
    with pytest.raises(ConfigError, match="no sign-in with a device code"):
        await none.start()


# ------------------------------------------------------------------------------------------ secrets


async def test_no_secret_is_seen(server, caplog):
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []

    def note(*things: object) -> None:
        for thing in things:
            texts.extend([repr(thing), str(thing)])
            if isinstance(thing, BaseException):
                texts.append("".join(traceback.format_exception(thing)))

    flow = SignInFlow(server.spec("openai"))
    flow.on_change.append(lambda: note(flow, flow.state, flow.message))
    challenge = await flow.start()
    place = await allow(server, challenge.url)
    secrets = [code_of(place), state_of(place), flow._pkce.verifier.value]
    note(challenge, flow, flow._pkce)
    with pytest.raises(ConfigError) as caught:
        await flow.paste(place.replace(state_of(place), state_of(place)[::-1]))
    note(caught.value)
    await get(place)
    record = await flow.result()
    note(record)
    secrets += [record.access_token.value, record.refresh_token.value, record.id_token.value]

    # A vendor that repeats code and verifier in its refusal, to the browser and to the notebook.
    bad = SignInFlow(server.spec("openai"))
    challenge = await bad.start()
    place = await allow(server, challenge.url)
    mine = [code_of(place), bad._pkce.verifier.value]
    secrets += mine
    server.fail("token", status=400, body={"error": "invalid_grant", "error_description": " ".join(mine)})
    texts.append((await get(place))[2])
    note(bad, bad.message)
    with pytest.raises(SignInError) as failed:
        await bad.result()
    note(failed.value)

    device = SignInFlow(server.spec("openai"), way="device", sleep=nap)
    server.device_pending = 0
    note(await device.start(), device, await device.result())
    secrets += [seen.body["device_auth_id"] for seen in server.requests("device_token")]
    texts.append(caplog.text)
    everything = "\n".join(texts)
    assert len(secrets) >= 9
    for secret in secrets:
        assert secret not in everything
