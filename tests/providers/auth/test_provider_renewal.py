"""Model calls go on when a token runs out or is refused, over HTTP and over WebSocket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.chatgpt_backend import ChatGPT, provider_for
from support.oauth_server import OAuthServer
from support.signed_in import Person
from support.ws_server import Dialogue, Fault, call, message
from support.ws_talk import DIALOGUE, Talk, whole_talk

from ante_nb import errors as e
from ante_nb.messages import Message
from ante_nb.providers.auth import lost_answers
from ante_nb.providers.auth.keys import KeyRing
from ante_nb.providers.catalog.load import load_catalog
from ante_nb.providers.catalog.resolve import Overrides, resolve
from ante_nb.providers.spec import Request
from ante_nb.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAYS = ["http_sse", "websocket_auto"]


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    monkeypatch.setattr(lost_answers, "PAUSES", (0.02, 0.02))
    with OAuthServer() as server:
        yield Person(server, tmp_path / "home")


@pytest.fixture
def backend(person: Person) -> Iterator[ChatGPT]:
    with ChatGPT(DIALOGUE, valid=person.server.valid) as running:
        yield running


def asked(person: Person) -> int:
    return len(person.server.requests("token"))


@pytest.mark.parametrize("way", WAYS)
async def test_a_refused_token_is_renewed_and_nobody_sees_it(
    person: Person, backend: ChatGPT, way: str
) -> None:
    person.sign_in()
    person.server.ledger.expire_access()
    provider = provider_for(person, backend, way)
    talk = await whole_talk(provider)
    assert talk.notices == [] and set(talk.transports) == {way}
    assert talk.messages[-1].text == "And z is 4."
    assert (len(backend.refused_tokens), asked(person)) == (1, 1)
    assert backend.problems == [] and backend.refused == []
    await provider.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_a_token_that_is_refused_between_two_steps(person: Person, backend: ChatGPT, way: str) -> None:
    person.sign_in()
    provider = provider_for(person, backend, way)
    talk = Talk(provider)
    await talk.turn("What is in my kernel?")
    person.server.ledger.expire_access()
    if way == "websocket_auto":
        backend.faults.append(Fault(backend.creates + 1, 1, "error 401"))  # an open connection is refused
    await talk.turn("And z?")
    assert talk.notices == [] and set(talk.transports) == {way}
    assert talk.messages[-1].text == "And z is 4." and asked(person) == 1
    await provider.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_a_token_that_runs_out_is_renewed_before_it_is_refused(
    person: Person, backend: ChatGPT, way: str
) -> None:
    person.sign_in(age=864000 - 200)
    provider = provider_for(person, backend, way)
    talk = await whole_talk(provider)
    assert talk.notices == [] and asked(person) == 1
    assert backend.refused_tokens == []
    await provider.aclose()


async def test_tokens_run_out_in_a_long_turn(person: Person) -> None:
    """As Antix's tokens of 15 minutes do in an hour; here they live for ten seconds."""
    person.server.ledger.expires_in = 10
    person.sign_in()
    steps = 12
    answers = [[call(f"{number}", "run_cell", {"code": "x"})] for number in range(steps)]
    with ChatGPT(Dialogue([*answers, [message("end", "Done.")]]), valid=person.server.valid) as backend:
        provider = provider_for(person, backend)
        talk = Talk(provider)
        inner = provider.stream

        def slow(request: Request) -> Any:
            async def events() -> Any:
                await asyncio.sleep(1.0)  # a tool that takes its time
                async for event in inner(request):
                    yield event

            return events()

        provider.stream = slow  # type: ignore[method-assign]
        await talk.turn("go")
        assert talk.messages[-1].text == "Done." and len(backend.seen) == steps + 1
        assert asked(person) >= 2
        assert backend.refused_tokens == [] and person.server.refusals == []
        await provider.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_a_token_that_is_refused_twice_is_an_error_that_says_what_to_type(
    person: Person, backend: ChatGPT, way: str
) -> None:
    old = person.sign_in()
    backend.valid = lambda token: False
    provider = provider_for(person, backend, way)
    with pytest.raises(e.SignInError) as caught:
        await whole_talk(provider)
    text = str(caught.value)
    assert "`%ante login openai`" in text and "\n" not in text and "401" in text
    for token in (*backend.refused_tokens, old.access_token.value):
        assert token not in f"{text} {caught.value!r}"
    assert asked(person) == 1 and caught.value.kind == "oauth"
    assert len(set(backend.refused_tokens)) == 2  # the old one and the new one
    assert len(backend.refused_tokens) == (2 if way == "http_sse" else 3)  # and HTTP was asked as well
    await provider.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_a_sign_in_that_is_over_says_so_at_the_next_call(
    person: Person, backend: ChatGPT, way: str
) -> None:
    person.sign_in()
    [family] = person.server.ledger.families
    family.dead = "refresh_token_invalidated"
    provider = provider_for(person, backend, way)
    for _ in range(2):
        with pytest.raises(e.SignInError, match=r"no longer valid.*`%ante login openai`"):
            await whole_talk(provider)
    assert asked(person) == 1
    await provider.aclose()


async def test_a_vendor_that_cannot_renew_now(person: Person, backend: ChatGPT) -> None:
    person.sign_in()
    person.server.ledger.expire_access()
    person.server.fail("token", times=3, status=503)
    provider = provider_for(person, backend)
    with pytest.raises(e.SignInError, match="HTTP 503") as caught:
        await whole_talk(provider)
    assert "\n" not in str(caught.value)
    talk = await whole_talk(provider)  # the next turn finds it well again
    assert talk.messages[-1].text == "And z is 4."
    await provider.aclose()


async def test_calls_side_by_side_renew_once(person: Person, backend: ChatGPT) -> None:
    backend.dialogue = Dialogue([[message("hi~", "Hello.")]], free=True)
    person.sign_in()
    person.server.ledger.expire_access()
    person.server.delay = 0.2
    provider = provider_for(person, backend)

    async def one(number: int) -> str:
        request = Request((Message.user("hi"),), system="You help.", session_id=f"ses_{number}")
        return (await provider.complete(request)).message.text

    assert await asyncio.gather(*(one(number) for number in range(6))) == ["Hello."] * 6
    assert asked(person) == 1
    await provider.aclose()


async def test_the_list_of_models_renews_too(person: Person, backend: ChatGPT) -> None:
    person.sign_in()
    person.server.ledger.expire_access()
    provider = provider_for(person, backend)
    assert [model.id for model in await provider.list_models()] == ["gpt-5.4", "gpt-9"]
    assert asked(person) == 1 and backend.problems == []
    backend.valid = lambda token: False
    with pytest.raises(e.SignInError, match="%ante login openai"):
        await provider.list_models()
    await provider.aclose()


async def test_the_token_goes_to_no_other_host(person: Person, backend: ChatGPT) -> None:
    person.sign_in()
    with ChatGPT() as elsewhere:
        env = {"MODEL_BASE_URL": elsewhere.url, "OPENAI_BASE_URL": elsewhere.url}
        provider = provider_for(person, backend, env=env)
        await whole_talk(provider)
        assert elsewhere.requests == [] and backend.requests
        await provider.aclose()
    person.write(**{"openai-subscription": {"base_url": "http://models.example.com/v1"}})
    ring = KeyRing(person.home, person.sign_ins())
    with pytest.raises(e.ConfigError, match="plain http"):
        resolve(
            load_catalog(person.home),
            load_settings(person.home, {}),
            {},
            ring,
            cell=Overrides("openai-subscription"),
        )
