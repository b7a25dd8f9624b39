"""What goes wrong on the way to each vendor, over real sockets: refusals, breaks, odd bytes, detours."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
from support.shared import shared
from support.vendor_answers import Answer
from support.vendor_server import VendorReply, VendorServer
from support.vendor_talk import SESSION, TOOLS, Sleeper, Talk, choice

from ante_nb import errors as e
from ante_nb.messages import Done, Message, Notice, Retract
from ante_nb.providers.provider import Provider
from ante_nb.providers.spec import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

WIRES = ("anthropic", "openai", "openrouter", "gemini")
BOTH = pytest.mark.parametrize("streamed", [True, False], ids=["stream", "complete"])
ANSWER = Answer("It says: ž🐎.", "I think: ž🐎.", (("Read", {"path": "ž🐎"}), ("Now", {})))
REQUEST = Request((Message.user("hi"),), system="x", tools=TOOLS, session_id=SESSION, step_id="step_1")


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with VendorServer() as running:
        yield running


@pytest.fixture
async def talk(server: VendorServer) -> AsyncIterator[Talk]:
    async with contextlib.aclosing(Talk(server)) as talk:
        talk.say("hi")
        yield talk


async def ask(talk: Talk, name: str, *replies: Any, streamed: bool) -> Message:
    """One call that must end well; its message."""
    talk.streamed = streamed
    del talk.messages[1:]
    talk.server.script(*replies, ANSWER)
    done = await talk.ask(talk.provider(name))
    assert done.message.text == ANSWER.text
    assert done.message.thinking == ANSWER.thinking
    assert [(call.name, call.arguments) for call in done.message.tool_calls] == list(ANSWER.calls)
    assert not talk.server.scripted
    assert talk.server.refusals == []
    return done.message


# ------------------------------------------------------------------------------------------ refusals

_GOOGLE_RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
BUSY: dict[str, tuple[str, VendorReply, float | None]] = {
    "anthropic": (
        "anthropic",
        VendorReply(
            status=429,
            headers={"retry-after": "7", "anthropic-ratelimit-input-tokens-remaining": "0"},
            body={"type": "error", "error": {"type": "rate_limit_error", "message": "30,000 tokens per minute"}},
        ),
        7.0,
    ),
    "anthropic 529": (
        "anthropic",
        VendorReply(
            status=529,
            headers={"x-should-retry": "true"},
            body={"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ),
        None,
    ),
    "a date in the past": (
        "anthropic",
        VendorReply(status=503, headers={"retry-after": formatdate(0, usegmt=True)}),
        0.0,
    ),
    "openai": (
        "openai",
        VendorReply(
            status=429,
            headers={"retry-after-ms": "850"},
            body={"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}},
        ),
        0.85,
    ),
    "openai in words": (
        "openai",
        VendorReply(
            status=429,
            body={"error": {"message": "Please try again in 2.5s.", "code": "rate_limit_exceeded"}},
        ),
        2.5,
    ),
    "zai": ("zai", VendorReply(status=429, body={"error": {"code": "1302", "message": "High concurrency"}}), None),
    "openrouter": (
        "openrouter",
        VendorReply(status=502, body={"error": {"code": 502, "message": "Provider returned error"}}, gzip=True),
        None,
    ),
    "gemini": (
        "gemini",
        VendorReply(
            status=429,
            body=[{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": [_GOOGLE_RETRY]}}],
        ),
        34.0,
    ),
    "a web page": (
        "gemini",
        VendorReply(status=502, body="<html><head><title>502 Bad Gateway</title></head><body>no</body></html>"),
        None,
    ),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("case", BUSY)
async def test_a_busy_vendor_is_asked_again_when_it_says(talk: Talk, case: str, streamed: bool) -> None:
    name, reply, expected = BUSY[case]
    await ask(talk, name, reply, streamed=streamed)
    if expected == 0.0:
        assert talk.sleeper.pauses == []
    elif expected is not None:
        assert talk.sleeper.pauses == [expected]
    else:
        assert len(talk.sleeper.pauses) == 1
        assert 0.3 < talk.sleeper.pauses[0] <= 0.5
    if streamed:
        [notice] = [event for event in talk.last if isinstance(event, Notice)]
        assert notice.kind == "retry"
        assert "<" not in notice.text
        assert not any(isinstance(event, Retract) for event in talk.last)


# Vendor of each recorded error, and what it is for us; retried ones end well on the next try.
ERRORS: dict[str, tuple[str, type[e.ProviderError]]] = {
    "anthropic_529": ("anthropic", e.OverloadedError),
    "anthropic_429": ("anthropic", e.RateLimitError),
    "anthropic_overflow": ("anthropic", e.ContextOverflowError),
    "anthropic_413": ("anthropic", e.RequestTooLargeError),
    "openai_overflow": ("openai", e.ContextOverflowError),
    "openai_429": ("openai", e.RateLimitError),
    "openai_quota": ("openai", e.QuotaError),
    "openai_503_slow": ("openai", e.OverloadedError),
    "chatgpt_store": ("openai-subscription", e.InvalidRequestError),
    "chatgpt_max_output": ("openai-subscription", e.InvalidRequestError),
    "chatgpt_429": ("openai-subscription", e.QuotaError),
    "deepseek_reasoning_missing": ("deepseek", e.InvalidRequestError),
    "deepseek_402": ("deepseek", e.QuotaError),
    "zai_1302": ("zai", e.RateLimitError),
    "zai_1113": ("zai", e.QuotaError),
    "openrouter_429": ("openrouter", e.RateLimitError),
    "openrouter_402": ("openrouter", e.QuotaError),
    "gemini_429": ("gemini", e.RateLimitError),
    "gemini_bad_key": ("gemini", e.AuthError),
    "gemini_overflow": ("gemini", e.ContextOverflowError),
    "llamacpp_overflow": ("local", e.ContextOverflowError),
    "llamacpp_loading": ("local", e.OverloadedError),
    "xai_400": ("xai", e.ContextOverflowError),
    "antix_402": ("antix", e.QuotaError),
}
RETRIED = (e.RateLimitError, e.OverloadedError)


@BOTH
@pytest.mark.parametrize("case", ERRORS)
async def test_recorded_errors(talk: Talk, case: str, streamed: bool) -> None:
    recorded = json.loads(shared("reference/wire/fixtures/http_errors.json").read_text(encoding="utf-8"))[
        case
    ]
    reply = VendorReply(status=recorded["status"], headers=recorded["headers"], body=recorded["body"])
    name, kind = ERRORS[case]
    if issubclass(kind, RETRIED) and case != "openrouter_429":  # its reset lies at a fixed date
        await ask(talk, name, reply, streamed=streamed)
        assert len(talk.server.calls) == 2
        return
    with contextlib.suppress(e.RateLimitError) if kind in RETRIED else pytest.raises(kind) as caught:
        await ask(talk, name, reply, streamed=streamed)
    if kind not in RETRIED:
        assert len(talk.server.calls) == 1
        assert caught.value.provider == name
        assert caught.value.hint
        del talk.messages[1:]
        talk.server.scripted.clear()
        await ask(talk, name, streamed=streamed)  # a refusal leaves everything usable


@BOTH
async def test_a_corrupted_signature_costs_the_thinking_and_not_the_turn(talk: Talk, streamed: bool) -> None:
    message = "Function call is missing a thought_signature in functionCall parts."
    body = {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}
    await ask(talk, "gemini", VendorReply(status=400, body=body), streamed=streamed)


# ---------------------------------------------------------------------------------------- odd bytes


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("chunks", ["odd", "one", "each"])
@pytest.mark.parametrize("name", WIRES)
async def test_however_the_bytes_come(talk: Talk, name: str, chunks: str, zipped: bool) -> None:
    delay = 0.001 if chunks == "odd" else 0.0
    reply = VendorReply(ANSWER, chunks=chunks, gzip=zipped, delay=delay)
    talk.server.script(reply)
    done = await talk.ask(talk.provider(name))
    assert (done.message.text, done.message.thinking) == (ANSWER.text, ANSWER.thinking)
    assert [call.arguments for call in done.message.tool_calls] == [{"path": "ž🐎"}, {}]
    assert not any(isinstance(event, Retract) for event in talk.last)
    talk.server.script(replace(reply, delay=0.0))
    talk.streamed = False
    del talk.messages[1:]
    assert (await talk.ask(talk.provider(name))).message.text == ANSWER.text


# ------------------------------------------------------------------------------------------- breaks


@pytest.mark.parametrize("then", ["close", "reset", "end", "error"])
@pytest.mark.parametrize("name", WIRES)
async def test_a_break_after_any_event_is_sent_again(talk: Talk, name: str, then: str) -> None:
    provider = talk.provider(name)
    talk.server.script(ANSWER)
    await talk.ask(provider)
    shown = 0
    for events in range(1, 40):
        talk.server.requests.clear()
        del talk.messages[1:]
        talk.server.script(VendorReply(ANSWER, events=events, then=then))
        done = await talk.ask(provider, ANSWER)
        if talk.server.scripted:  # the marker had been seen: the answer was whole
            talk.server.scripted.clear()
            assert not any(isinstance(event, Retract) for event in talk.last)
            break
        assert len(talk.server.calls) == 2
        assert (done.message.text, done.message.thinking) == (ANSWER.text, ANSWER.thinking)
        assert len(done.message.tool_calls) == 2
        assert sum(isinstance(event, Done) for event in talk.last) == 1
        withdrawn = Retract("step_1") in talk.last
        before = talk.last[: talk.last.index(Retract("step_1"))] if withdrawn else []
        assert not any(isinstance(event, Done) for event in before)
        shown += withdrawn
    else:
        raise AssertionError("the answer was never whole")
    assert shown >= 4
    assert talk.server.refusals == []


@pytest.mark.parametrize("name", WIRES)
async def test_a_whole_answer_that_breaks_is_asked_for_again(talk: Talk, name: str) -> None:
    for then in ("close", "reset", "error"):
        await ask(talk, name, VendorReply(ANSWER, events=1, then=then), streamed=False)
    assert len(talk.server.calls) == 6


@pytest.mark.parametrize("name", WIRES)
async def test_what_always_breaks_is_an_error_with_what_had_come(server: VendorServer, name: str) -> None:
    talk = Talk(server)
    provider = talk.provider(name)
    broken = VendorReply(Answer("Partial words.", "Thoughts."), events=8, then="end")
    if name == "gemini":
        broken = replace(broken, events=5)  # all but the last piece
    server.script(*[broken] * 6)
    with pytest.raises(e.StreamInterruptedError) as caught:
        async for event in provider.stream(REQUEST):
            assert not isinstance(event, Done)
    await talk.aclose()
    assert len(server.calls) == 6
    partial = caught.value.partial
    assert partial is not None
    assert partial.thinking == "Thoughts."
    assert not partial.tool_calls


# ------------------------------------------------------------------------------------------ detours


@BOTH
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", WIRES)
async def test_no_key_follows_a_redirect_to_another_host(
    server: VendorServer, name: str, code: int, streamed: bool
) -> None:
    with VendorServer() as other:
        server.script(VendorReply(status=code, headers={"location": f"{other.base(name)}/messages?x=1"}))
        provider = Provider(choice(server, name), sleep=Sleeper())
        with pytest.raises(e.NetworkError, match="redirects to") as caught:
            if streamed:
                [_ async for _ in provider.stream(REQUEST)]
            else:
                await provider.complete(REQUEST)
        await provider.aclose()
        assert not other.requests
        assert other.connections == 0
        assert choice(server, name).credential.value not in str(caught.value)  # type: ignore[union-attr]
    assert len(server.calls) == 1


@BOTH
@pytest.mark.parametrize("name", WIRES)
async def test_behind_a_proxy(
    server: VendorServer, name: str, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.origin)
    chosen = choice(server, name)
    base = chosen.base_url.replace(server.origin, "http://vendors.example")
    provider = Provider(replace(chosen, base_url=base))
    if streamed:
        done = [event async for event in provider.stream(REQUEST)][-1]
    else:
        done = await provider.complete(REQUEST)
    await provider.aclose()
    assert isinstance(done, Done)
    assert done.message.text == "Hello from loopback."
    assert server.calls[-1].path.startswith(f"http://vendors.example/{name}/")
    assert server.refusals == []
