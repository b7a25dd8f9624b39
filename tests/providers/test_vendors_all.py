"""Every provider id over a real socket, against a server as strict as its vendor."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.vendor_answers import Answer
from support.vendor_server import VendorServer
from support.vendor_talk import Talk, choice, png, usage_of
from support.vendors import VENDORS

from ante_nb.errors import AuthError
from ante_nb.messages import TextDelta, ThinkingDelta
from ante_nb.providers.provider import Provider
from ante_nb.providers.spec import Request, Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PROVIDERS = (
    "anthropic",
    "anthropic-subscription",
    "openai",
    "openai-compatible",
    "openai-subscription",
    "gemini",
    "vertex-gemini",
    "openrouter",
    "xai",
    "zai",
    "deepseek",
    "ali-coding-plan",
    "antix",
    "antix-subscription",
    "local",
)
CALLS = (("Read", {"path": "naïve 🐎.txt"}), ("Now", {}))


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer() as running:
        yield running


@pytest.fixture(params=[True, False], ids=["stream", "complete"])
async def talk(server: VendorServer, request: pytest.FixtureRequest) -> AsyncIterator[Talk]:
    talk = Talk(server, request.param)
    yield talk
    await talk.aclose()


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_tool_loop_with_thinking_and_images(talk: Talk, name: str) -> None:
    server, provider = talk.server, talk.provider(name)
    talk.say("What is in naïve 🐎.txt?", png())

    first = await talk.ask(provider, Answer("Looking. ", "I need the file. 🐎", CALLS))
    assert (first.message.text, first.message.thinking) == ("Looking. ", "I need the file. 🐎")
    assert [(call.name, call.arguments) for call in first.message.tool_calls] == list(CALLS)
    assert first.stop_reason == "tool_calls"
    assert (first.message.provider, first.message.model) == (name, provider.choice.model.id)

    talk.results(image=png(9), fails=True)
    await talk.ask(provider, Answer(thinking="Once more.", calls=CALLS[:1]))
    talk.results()
    last = await talk.ask(provider, Answer("It says: naïve.", "Now I know."))
    assert (last.message.text, last.stop_reason) == ("It says: naïve.", "stop")
    assert last.usage == usage_of(Answer().tokens, name)
    talk.say("Thanks.")
    await talk.ask(provider, Answer("You are welcome."))

    assert server.refusals == []
    assert not server.scripted
    assert len(server.calls) == 4
    pictures = json.dumps(server.calls[-1].body).count("iVBORw0KGgo")
    assert pictures == (2 if VENDORS[name].vision else 0)
    if talk.streamed or name == "openai-subscription":
        assert all(request.headers["accept"] == "text/event-stream" for request in server.calls)
    assert all(request.headers["user-agent"].startswith("ante_nb/") for request in server.calls)
    if talk.streamed:
        thought = "".join(event.text for event in talk.last if isinstance(event, ThinkingDelta))
        spoken = "".join(event.text for event in talk.last if isinstance(event, TextDelta))
        assert (spoken, thought) == ("You are welcome.", "")
        assert sum(isinstance(event, TextDelta) for event in talk.last) == 3


@pytest.mark.parametrize("level", [None, "min", "low", "medium", "high", "xhigh", "max"])
@pytest.mark.parametrize("name", PROVIDERS)
async def test_every_level_is_taken(server: VendorServer, name: str, level: Any) -> None:
    talk = Talk(server)
    talk.say("hi")
    done = await talk.ask(talk.provider(name, thinking=level), Answer("hello"))
    await talk.aclose()
    assert done.message.text == "hello"
    assert server.refusals == []
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("anthropic", "claude-haiku-4-5"),
        ("anthropic-subscription", "claude-haiku-4-5"),
        ("antix", "gpt-5.4"),
        ("gemini", "gemini-3.1-flash-lite-preview"),
        ("ali-coding-plan", "qwen3-coder-plus"),
        ("antix-api-key", "claude-sonnet-4-6"),
        ("openrouter", "deepseek/deepseek-v4-pro"),
    ],
)
async def test_other_models_and_the_alias(talk: Talk, name: str, model: str) -> None:
    provider = talk.provider(name, model)
    talk.say("Read a.")
    await talk.ask(provider, Answer("", "Which?", CALLS))
    talk.results()
    done = await talk.ask(provider, Answer("Done.", "So."))
    assert done.message.text == "Done."
    assert talk.server.refusals == []


async def test_calls_that_were_never_signed_go_on(talk: Talk) -> None:
    for name in ("anthropic", "ali-coding-plan", "openai", "gemini"):
        talk.messages.clear()
        provider = talk.provider(name)
        talk.say("Read a.")
        await talk.ask(provider, Answer("", "Which?", CALLS, signed=False))
        talk.results()
        assert (await talk.ask(provider, Answer("Done."))).message.text == "Done."
    assert talk.server.refusals == []


@pytest.mark.parametrize("name", [name for name in PROVIDERS if VENDORS[name].list_path])
async def test_lists_of_models(server: VendorServer, name: str) -> None:
    provider = Provider(choice(server, name))
    listed = [model.id for model in await provider.list_models()]
    await provider.aclose()
    assert listed == list(VENDORS[name].models or ("loopback-model",))
    assert server.refusals == []


@pytest.mark.parametrize("name", [name for name in PROVIDERS if VENDORS[name].key])
async def test_a_wrong_key_is_refused_in_the_vendors_words(server: VendorServer, name: str) -> None:
    wrong = replace(choice(server, name), credential=Secret("sk-wrong-0123456789"))
    talk = Talk(server)
    talk.say("hi")
    provider = Provider(wrong)
    with pytest.raises(AuthError) as caught:
        await provider.complete(Request(tuple(talk.messages), session_id="s", system="x"))
    await provider.aclose()
    assert "sk-wrong" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    assert len(server.calls) == 1
