"""What a vendor refuses of a request is left out once; headers side by side; lists of models."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import ChatServer, Reply, finish, wait
from support.four_wires import GEMINI, MESSAGES, WireServer

from ante_nb import errors as e
from ante_nb.messages import Done, Message, Notice, Text, Thinking, ToolCall, ToolResult
from ante_nb.providers.catalog.load import load_catalog
from ante_nb.providers.omissions import refused
from ante_nb.providers.provider import Provider
from ante_nb.providers.spec import Choice, ModelSpec, Request, Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from ante_nb.providers.spec import ProviderSpec

KEY = "key-of-a-test-0123456789"
ASK = Request((Message.user("hi"),), thinking="high", step_id="step_1")

# The vendors' words, as they come over HTTP.
NOT_VERIFIED = {
    "error": {
        "message": "Your organization must be verified to generate reasoning summaries. Please go to: ...",
        "type": "invalid_request_error",
        "param": "reasoning.summary",
        "code": "unsupported_value",
    }
}
NO_EFFORT = {
    "code": "Client specified an invalid argument",
    "error": "Model grok-4 does not support parameter reasoningEffort.",
}
NOT_ENCRYPTED = {
    "error": {
        "message": "Encrypted content is not supported with this model.",
        "type": "invalid_request_error",
        "param": "include",
    }
}
BAD_SIGNATURE = {
    "error": {"code": 400, "message": "Corrupted thought signature.", "status": "INVALID_ARGUMENT"}
}


@pytest.fixture
def vendor() -> Iterator[WireServer]:
    with WireServer() as server:
        yield server


@pytest.fixture
async def connect(vendor: WireServer, tmp_path: Path) -> AsyncIterator[Any]:
    """Connects to a provider of the catalog at the loopback server; closes what it made."""
    made: list[Provider] = []
    catalog = load_catalog(tmp_path)

    def make(provider_id: str, model: str, base: str = "", **changes: Any) -> Provider:
        spec: ProviderSpec = replace(catalog.providers[provider_id], **changes)
        row: ModelSpec = catalog.model_for(provider_id, model)
        made.append(Provider(Choice(spec, row, vendor.origin + base, Secret(KEY))))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()


async def collect(provider: Provider, request: Request = ASK) -> list[Any]:
    return [event async for event in provider.stream(request)]


def notes(events: list[Any]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


# --------------------------------------------------------------------------------------- left out


async def test_a_summary_that_is_refused_costs_the_summary_and_not_the_level(
    vendor: WireServer, connect: Any
) -> None:
    provider = connect("openai", "gpt-5.4")
    vendor.queue.append((400, NOT_VERIFIED))
    events = await collect(provider)
    assert isinstance(events[-1], Done) and events[-1].message.text == "hello"
    assert [post.body["reasoning"] for post in vendor.posts] == [
        {"effort": "high", "summary": "detailed"},
        {"effort": "high"},
    ]
    assert len(notes(events)) == 1 and "summaries" in notes(events)[0]
    # The next call is spared the refusal.
    assert notes(await collect(provider)) == []
    assert vendor.posts[-1].body["reasoning"] == {"effort": "high"}


async def test_a_model_without_levels_at_xai(vendor: WireServer, connect: Any) -> None:
    vendor.queue.append((400, NO_EFFORT))
    events = await collect(connect("xai", "grok-4-latest"))
    assert ["reasoning" in post.body for post in vendor.posts] == [True, False]
    assert "thinking setting" in notes(events)[0]


async def test_a_model_without_encrypted_reasoning(vendor: WireServer, connect: Any) -> None:
    vendor.queue.append((400, NOT_ENCRYPTED))
    events = await collect(connect("xai", "grok-4-latest"))
    assert ["include" in post.body for post in vendor.posts] == [True, False]
    assert vendor.posts[-1].body["reasoning"]["effort"] == "high"
    assert notes(events) == []


async def test_two_refusals_in_a_row(vendor: WireServer, connect: Any) -> None:
    vendor.queue.extend([(400, NOT_ENCRYPTED), (400, NO_EFFORT)])
    await collect(connect("xai", "grok-4-latest"))
    assert [("include" in post.body, "reasoning" in post.body) for post in vendor.posts] == [
        (True, True),
        (False, True),
        (False, False),
    ]


async def test_the_same_refusal_twice_is_an_error(vendor: WireServer, connect: Any) -> None:
    vendor.queue.extend([(400, NOT_VERIFIED)] * 2)
    with pytest.raises(e.InvalidRequestError, match="verified"):
        await collect(connect("openai", "gpt-5.4"))
    assert len(vendor.posts) == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "Unsupported parameter: 'reasoning.summary' is not supported with this model.",
            ["summary", "thinking"],
        ),
        ("Unsupported value: 'reasoning.effort' does not support 'minimal'", ["thinking"]),
        ("Invalid `signature` in `thinking` block", ["reasoning"]),
        ("Function call is missing a thought_signature in functionCall parts", ["reasoning"]),
        ("The reasoning_content in the thinking mode must be passed back to the API.", []),
        ("Invalid value for temperature", []),
    ],
)
def test_what_a_refusal_means(words: str, expected: list[str]) -> None:
    found: list[Any] = []
    while (omission := refused(e.InvalidRequestError(words, status=400), found)) is not None:
        found.append(omission)
    assert found == expected
    assert refused(e.InvalidRequestError(words, status=500), ()) is None
    assert refused(e.ContextOverflowError(words, status=400), ()) is None


# ------------------------------------------------------------------------------- thought signatures


def gemini_history(model: str) -> tuple[Message, ...]:
    """A tool loop as the Gemini decoder leaves it: signed thought, signed text, two calls, the first signed."""
    made = {"provider": "gemini", "model": model}
    parts = (
        Thinking("hm", provider_metadata={**made, "segments": [[2, "c2lnbmVk"]]}),
        Text("Let me see.", provider_metadata={**made, "segments": [[11, "c2lnbmVk"]]}),
        ToolCall(
            "a", "Read", {"path": "x"}, provider_metadata={**made, "call_id": "fc1", "signature": "c2lnbmVk"}
        ),
        ToolCall("b", "Read", {"path": "y"}, provider_metadata={**made, "call_id": "fc2"}),
    )
    results = tuple(ToolResult(call_id, (Text("words"),)) for call_id in ("a", "b"))
    return (
        Message.user("read x and y"),
        Message("assistant", parts, provider="gemini", model=model, wire=GEMINI),
        Message("tool", results),
    )


async def test_a_corrupt_thought_signature_is_replaced_once(vendor: WireServer, connect: Any) -> None:
    model = "gemini-3.1-pro-preview"
    provider = connect("gemini", model, "/v1beta")
    request = Request(gemini_history(model), step_id="step_2")
    vendor.queue.append((400, BAD_SIGNATURE))
    events = await collect(provider, request)
    assert isinstance(events[-1], Done) and len(notes(events)) == 1
    signed, plain = ([part for c in post.body["contents"] for part in c["parts"]] for post in vendor.posts)
    assert sum(part.get("thoughtSignature") == "c2lnbmVk" for part in signed) == 3
    assert [part.get("thoughtSignature") for part in plain if "functionCall" in part] == [
        "skip_thought_signature_validator",
        None,
    ]
    assert not any(part.get("thought") for part in plain)
    assert {"text": "Let me see."} in plain
    # Which answer belongs to which call stays as it was.
    ids = [
        [(part.get("functionCall") or part["functionResponse"])["id"] for part in parts if "text" not in part]
        for parts in (signed, plain)
    ]
    assert ids == [["fc1", "fc2", "fc1", "fc2"]] * 2
    # The conversation keeps its signatures, and a later call may use them.
    await collect(provider, request)
    assert "c2lnbmVk" in str(vendor.posts[-1].body)
    vendor.queue.extend([(400, BAD_SIGNATURE)] * 2)
    with pytest.raises(e.InvalidRequestError):
        await collect(provider, request)
    assert len(vendor.posts) == 5


# ------------------------------------------------------------------------------------------ headers


async def test_betas_of_the_catalog_and_the_wire_hold_side_by_side(vendor: WireServer, connect: Any) -> None:
    both = "oauth-2025-04-20,interleaved-thinking-2025-05-14"
    await collect(connect("anthropic-subscription", "claude-haiku-4-5"))
    assert vendor.posts[-1].headers["anthropic-beta"] == both
    await collect(connect("anthropic-subscription", "claude-sonnet-4-6"))
    assert vendor.posts[-1].headers["anthropic-beta"] == "oauth-2025-04-20"
    await collect(connect("anthropic", "claude-haiku-4-5"))
    assert vendor.posts[-1].headers["anthropic-beta"] == "interleaved-thinking-2025-05-14"
    await collect(connect("anthropic", "claude-haiku-4-5"), replace(ASK, thinking=None))
    assert "anthropic-beta" not in vendor.posts[-1].headers
    own = {
        "Anthropic-Beta": "mine, interleaved-thinking-2025-05-14",
        "Anthropic-Version": "2024-01-01",
        "X-Api-Key": "no",
    }
    await collect(connect("anthropic", "claude-haiku-4-5", http_headers=own))
    headers = vendor.posts[-1].headers
    assert headers["anthropic-beta"] == "mine,interleaved-thinking-2025-05-14"
    assert (headers["anthropic-version"], headers["x-api-key"]) == ("2024-01-01", KEY)


@pytest.mark.parametrize("provider_id", ["antix", "ali-coding-plan"])
async def test_gateways_are_asked_for_no_beta(vendor: WireServer, connect: Any, provider_id: str) -> None:
    await collect(connect(provider_id, "claude-haiku-4-5"))
    assert vendor.posts[-1].wire == MESSAGES and "anthropic-beta" not in vendor.posts[-1].headers


# -------------------------------------------------------------------------------------- late bodies


async def test_a_body_that_stays_open_costs_little(tmp_path: Path) -> None:
    with ChatServer() as server:
        server.enqueue(Reply("x", finish("stop"), wait(60)))
        spec = load_catalog(tmp_path).providers["openai-compatible"]
        provider = Provider(Choice(spec, ModelSpec("test-model"), server.url, Secret(KEY)))
        began = time.monotonic()
        events = await collect(provider)
        # Well below the ten seconds that a slow usage report was once waited for.
        assert time.monotonic() - began < 8
        assert events[-1].message.text == "x" and len(server.chats) == 1
        await provider.aclose()


# ------------------------------------------------------------------------------------ lists of models


@pytest.mark.parametrize(
    ("provider", "model", "base", "path"),
    [
        ("anthropic", "claude-sonnet-4-6", "", "/v1/models?limit=1000"),
        ("anthropic", "claude-sonnet-4-6", "/v1", "/v1/models?limit=1000"),
        ("antix", "claude-sonnet-4-6", "/v1/", "/v1/models?limit=1000"),
        ("gemini", "gemini-3.1-pro-preview", "/v1beta", "/v1beta/models?pageSize=1000"),
        ("zai", "glm-5.1", "/api/paas/v4", "/api/paas/v4/models"),
        ("deepseek", "deepseek-v4-flash", "", "/models"),
        ("openai", "gpt-5.4", "/v1?tenant=a", "/v1/models?tenant=a"),
    ],
)
async def test_where_the_list_is(
    vendor: WireServer, connect: Any, provider: str, model: str, base: str, path: str
) -> None:
    assert [row.id for row in await connect(provider, model, base).list_models()] == ["served-1"]
    [asked] = vendor.requests
    assert asked.path == path
    assert KEY in " ".join(asked.headers.values())
    assert ("anthropic-version" in asked.headers) == (provider in ("anthropic", "antix"))


async def test_no_list_is_said_without_a_model(vendor: WireServer, connect: Any) -> None:
    with pytest.raises(e.NotFoundError) as caught:
        await connect("openai", "gpt-5.4", "/v1", models_endpoint="/none").list_models()
    words = str(caught.value)
    assert "/v1/none" in words and "%ante models openai" in words and "gpt-5.4" not in words
