"""The provider over real sockets: answers, faults, retries, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.chat_server import (
    ChatServer,
    Reply,
    chunk,
    comment,
    drop,
    end,
    error,
    finish,
    raw,
    status,
    text,
    thinking,
    tool,
    tools,
    usage,
    wait,
    wait_for,
)

from ante_nb import errors as e
from ante_nb.messages import Done, Message, Notice, Retract, TextDelta, Thinking, ThinkingDelta, Usage
from ante_nb.providers.provider import Provider
from ante_nb.providers.spec import AuthSpec, Choice, ModelSpec, ProviderSpec, Quirks, Request, Secret
from ante_nb.providers.wires import wire_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SPEC = ProviderSpec(
    "openai-compatible",
    "OpenAI Compatible",
    "OpenAiCompatible",
    auth=AuthSpec("bearer", env_keys=("OPENAI_COMPATIBLE_API_KEY",)),
    models=("test-model",),
)
REQUEST = Request((Message.user("hi"),), step_id="step_1")
KEY = "sk-test-0123456789abcdef"


class Sleeper:
    """Takes note of the pauses and does not wait."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


@pytest.fixture
async def providers(server: ChatServer) -> AsyncIterator[Any]:
    """Makes providers and closes them."""
    made: list[Provider] = []

    def make(
        spec: ProviderSpec = SPEC, model: ModelSpec | None = None, base: str | None = None, **options: Any
    ) -> Provider:
        choice = Choice(
            spec,
            model or ModelSpec("test-model"),
            base or server.url,
            Secret(KEY),
            sources={"credential": "environment X"},
        )
        made.append(Provider(choice, **{"sleep": Sleeper(), **options}))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()


async def collect(provider: Provider, request: Request = REQUEST) -> list[Any]:
    return [event async for event in provider.stream(request)]


def last(events: list[Any]) -> Message:
    assert isinstance(events[-1], Done)
    assert sum(isinstance(event, Done) for event in events) == 1
    return events[-1].message


# --------------------------------------------------------------------------------------- good answers


async def test_a_streamed_answer(server: ChatServer, providers: Any) -> None:
    server.enqueue(
        Reply(
            thinking("let me see", pieces=3),
            text("Hello **world**", pieces=5),
            tools(tool("A", {"x": 1}, pieces=3, id="a"), tool("B", {}, id="b")),
            usage(prompt_tokens=11, completion_tokens=7),
        )
    )
    events = await collect(providers())
    message = last(events)
    assert (message.text, message.thinking) == ("Hello **world**", "let me see")
    assert [(call.id, call.name, call.arguments) for call in message.tool_calls] == [
        ("a", "A", {"x": 1}),
        ("b", "B", {}),
    ]
    assert events[-1].usage == Usage(11, 7)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == message.text
    [request] = server.chats
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["user-agent"].startswith("ante_nb/")
    assert request.headers["accept"] == "text/event-stream"
    assert request.body["stream"] is True


async def test_deltas_arrive_before_the_end(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply("first", wait_for("go"), "second"))
    seen = []
    async for event in providers().stream(REQUEST):
        if isinstance(event, TextDelta):
            seen.append(event.text)
            server.release("go")  # without it the server never goes on
    assert seen == ["first", "second"]


async def test_a_connection_serves_many_steps(server: ChatServer, providers: Any) -> None:
    provider = providers()
    for _ in range(5):
        await collect(provider)
        await provider.complete(REQUEST)
    assert server.connections == 1


@pytest.mark.parametrize("zipped", [False, True])
async def test_odd_slow_chunks_and_gzip(server: ChatServer, providers: Any, zipped: bool) -> None:
    lines = "".join(
        f"data:{json.dumps({'choices': [{'delta': {'content': part}}]}, ensure_ascii=False)}\r\n\r\n"
        for part in ("ža", "🐎b", "c")
    )
    data = (lines + 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\r\n\r\n').encode()
    pieces = [data[at : at + 7] for at in range(0, len(data), 7)]
    actions = [
        item
        for number, piece in enumerate(pieces)
        for item in ((raw(piece), wait(0.002)) if number % 5 else (raw(piece),))
    ]
    server.enqueue(Reply(*actions, end(), gzip=zipped))
    assert last(await collect(providers())).text == "ža🐎bc"


async def test_a_whole_answer_where_a_stream_was_asked_for(server: ChatServer, providers: Any) -> None:
    body = {"choices": [{"message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}]}
    server.enqueue(Reply(raw(json.dumps(body)), end(), content_type="application/json"))
    assert last(await collect(providers())).text == "whole"


async def test_complete(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply(status(503)), Reply(thinking("hm"), "hi", tool("A", {"x": 1}), gzip=True))
    done = await providers().complete(REQUEST)
    assert (done.message.text, done.message.thinking, done.stop_reason) == ("hi", "hm", "tool_calls")
    assert "stream" not in server.chats[-1].body


async def test_complete_where_only_streams_are_served(server: ChatServer, providers: Any) -> None:
    done = await providers(replace(SPEC, quirks=Quirks(stream_only=True))).complete(REQUEST)
    assert done.message.text == "echo: hi"
    assert server.chats[-1].body["stream"] is True


async def test_list_models(server: ChatServer, providers: Any) -> None:
    assert [model.id for model in await providers().list_models()] == ["test-model"]
    with pytest.raises(e.NotFoundError):
        await providers(replace(SPEC, models_endpoint="/nothing")).list_models()


async def test_the_body_may_stay_open_after_the_answer(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply("x", finish("stop"), raw("data: [DONE]\n\n"), wait(60)))
    assert last(await asyncio.wait_for(collect(providers()), 30)).text == "x"


@pytest.mark.parametrize("how", [drop(), drop("reset"), end()])
async def test_a_break_after_the_marker_is_an_answer(server: ChatServer, providers: Any, how: Any) -> None:
    server.enqueue(Reply("x", finish("stop"), wait(0.05), how))
    events = await collect(providers())
    assert last(events).text == "x"
    assert not any(isinstance(event, Retract) for event in events)


# --------------------------------------------------------------------------------------------- headers


async def test_catalog_headers_win_over_ours_but_not_over_authentication(
    server: ChatServer, providers: Any
) -> None:
    spec = replace(
        SPEC, http_headers={"User-Agent": "ante-cli/1.0.0", "Authorization": "Bearer no", "X-Own": "1"}
    )
    await collect(providers(spec))
    headers = server.chats[-1].headers
    assert (headers["user-agent"], headers["x-own"]) == ("ante-cli/1.0.0", "1")
    assert headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(("kind", "name"), [("header", "x-goog-api-key"), ("query", "key")])
async def test_keys_in_other_places(
    server: ChatServer, providers: Any, kind: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await collect(providers(replace(SPEC, auth=AuthSpec(kind, name))))
    request = server.chats[-1]
    assert "authorization" not in request.headers
    assert request.headers.get(name) == KEY if kind == "header" else request.path.endswith(f"?{name}={KEY}")
    assert KEY not in caplog.text
    assert "transport selected: http_sse" in caplog.text


async def test_a_key_that_no_header_can_carry_is_not_shown(server: ChatServer) -> None:
    for bad in ("sk-secretsecret\nx: y", "sk-secretsecret-é"):
        provider = Provider(Choice(SPEC, ModelSpec("m"), server.url, Secret(bad)))
        with pytest.raises(e.AuthError) as caught:
            await collect(provider)
        assert "secretsecret" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
        await provider.aclose()
    assert not server.chats


# ------------------------------------------------------------------------------------ faults and retries


async def test_429_then_200(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply(status(429, {"error": {"message": "slow down"}}, {"retry-after": "7"})))
    provider = providers()
    events = await collect(provider)
    assert last(events).text == "echo: hi"
    assert [event.kind for event in events if isinstance(event, Notice)] == ["retry"]
    assert not any(isinstance(event, Retract) for event in events)  # nothing had been shown
    assert provider._sleep.pauses == [7.0]


@pytest.mark.parametrize(
    "how", [drop(), drop("reset"), end(), error(message="lost", code=502), finish("network_error")]
)
async def test_an_answer_that_breaks_is_withdrawn_and_asked_for_again(
    server: ChatServer, providers: Any, how: Any
) -> None:
    server.enqueue(Reply(thinking("hm"), "partial", tool("A", {"x": 1}), how))
    events = await collect(providers())
    at = events.index(Retract("step_1"))
    assert isinstance(events[at + 1], Notice)
    assert not any(isinstance(event, Done) for event in events[:at])
    assert last(events).text == "echo: hi"
    assert not last(events).tool_calls


@pytest.mark.parametrize("how", [drop(), end()])
async def test_an_answer_that_always_breaks_is_an_error_with_what_had_come(
    server: ChatServer, providers: Any, how: Any
) -> None:
    server.handler = lambda _: Reply(thinking("hm"), "partial", tool("A", {}), how)
    provider = providers()
    events: list[Any] = []
    with pytest.raises(e.StreamInterruptedError) as caught:
        async for event in provider.stream(REQUEST):
            events.append(event)
    assert not any(isinstance(event, Done) for event in events)
    assert len(server.chats) == 6
    assert len(provider._sleep.pauses) == 5
    partial = caught.value.partial
    assert partial is not None
    assert (partial.text, partial.thinking, partial.tool_calls) == ("partial", "hm", ())
    assert (caught.value.provider, caught.value.model) == ("openai-compatible", "test-model")


async def test_request_retries_end(server: ChatServer, providers: Any) -> None:
    server.handler = lambda _: Reply(status(502, "<html><head><title>502 Bad Gateway</title></head></html>"))
    with pytest.raises(e.ServerError, match="502 Bad Gateway") as caught:
        await collect(providers())
    assert "<" not in str(caught.value)
    assert len(server.chats) == 5


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (status(401, {"error": {"message": f"bad key {KEY}"}}), e.AuthError),
        (status(402, {"error": {"message": "credits"}}), e.QuotaError),
        (status(403), e.PermissionDeniedError),
        (status(404), e.NotFoundError),
        (status(429, {"error": {"code": "insufficient_quota"}}), e.QuotaError),
        (status(429, {"error": {"message": "x"}}, {"retry-after": "500"}), e.RateLimitError),
        (status(500, "", {"x-should-retry": "false"}), e.ServerError),
        (status(400, {"error": {"message": "this model does not support tools"}}), e.ToolsRejectedError),
        (error(code="context_length_exceeded", message="too long"), e.ContextOverflowError),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
async def test_errors_that_another_try_does_not_help(
    server: ChatServer, providers: Any, action: Any, kind: Any, streamed: bool
) -> None:
    server.enqueue(Reply(action))
    with pytest.raises(kind) as caught:
        await (collect(providers()) if streamed else providers().complete(REQUEST))
    assert len(server.chats) == 1
    assert KEY not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(raw("<!doctype html><title>Log in</title>"), end(), content_type="text/html"), "web page"),
        (Reply(raw("data: {broken\n\n"), end()), "not JSON"),
        (Reply(raw('["x"'), end()), "no JSON"),
    ],
)
async def test_200_with_no_answer_in_it(server: ChatServer, providers: Any, reply: Reply, words: str) -> None:
    server.enqueue(reply)
    with pytest.raises(e.MalformedResponseError, match=words):
        await collect(providers())


async def test_200_with_a_json_error_body(server: ChatServer, providers: Any) -> None:
    body = json.dumps({"error": {"message": "The server is overloaded", "type": "overloaded_error"}})
    server.enqueue(Reply(raw(body), end(), content_type="application/json"))
    events = await collect(providers())
    assert "overloaded" in events[0].text
    assert last(events).text == "echo: hi"


async def test_damaged_compression_is_a_broken_stream(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply(raw(b"not gzip at all"), end(), headers={"content-encoding": "gzip"}))
    assert last(await collect(providers())).text == "echo: hi"


async def test_a_redirect_to_another_host_is_not_followed(server: ChatServer, providers: Any) -> None:
    with ChatServer() as other:
        server.enqueue(Reply(status(307, "", {"location": f"{other.url}/chat/completions"})))
        with pytest.raises(e.NetworkError, match="redirects to"):
            await collect(providers())
        assert not other.requests


async def test_a_redirect_on_the_same_host_is_followed(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply(status(308, "", {"location": "/v2/chat/completions"})))
    assert last(await collect(providers())).text == "echo: hi"
    assert server.chats[-1].path == "/v2/chat/completions"
    server.enqueue(Reply(status(302, "", {"location": "/v2/chat/completions"})))
    with pytest.raises(e.NetworkError):  # a POST would become a GET
        await collect(providers())
    server.handler = lambda _: Reply(status(307, "", {"location": "/v1/chat/completions"}))
    with pytest.raises(e.NetworkError, match="circle"):
        await collect(providers())


async def test_nothing_listens(server: ChatServer, providers: Any) -> None:
    origin = server.origin
    server.stop()
    provider = providers(base=f"{origin}/v1")
    with pytest.raises(e.NetworkError, match="Nothing answers at"):
        await collect(provider)
    assert len(provider._sleep.pauses) == 4


@pytest.mark.parametrize(
    "base", ["nonsense", "ftp://127.0.0.1/v1", "http://", "http://[::1", "http://h:99999"]
)
def test_a_base_url_that_is_none(providers: Any, base: str) -> None:
    with pytest.raises(e.ConfigError, match="not a valid address"):
        providers(base=base)


# ------------------------------------------------------------------------------------------------ idle


@pytest.mark.parametrize("noise", [(), (comment("keep-alive"), wait(0.1)) * 100])
async def test_silence_and_comments_alone_time_out(server: ChatServer, providers: Any, noise: Any) -> None:
    server.handler = lambda _: Reply("x", *noise, wait(30))
    provider = providers(replace(SPEC, stream_idle_timeout=0.4))
    started = asyncio.get_running_loop().time()
    with pytest.raises(e.IdleTimeoutError) as caught:
        await collect(provider)
    assert asyncio.get_running_loop().time() - started < 25  # six tries of 0.4 s and some load
    assert caught.value.partial is not None
    assert caught.value.partial.text == "x"


async def test_slow_but_usable_events_do_not_time_out(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply(*[item for _ in range(8) for item in (comment("x"), wait(0.2), "a")]))
    events = await collect(providers(replace(SPEC, stream_idle_timeout=3.0)))
    assert last(events).text == "a" * 8


# ---------------------------------------------------------------------------------- empty and downgraded


async def test_an_empty_answer_is_asked_for_twice_more(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply(thinking("hm")), Reply(""), Reply("words"))
    events = await collect(providers())
    assert events.count(Retract("step_1")) >= 1
    assert last(events).text == "words"
    server.reset()
    server.handler = lambda _: Reply("")
    events = await collect(providers())
    assert last(events).parts == ()
    assert [event.kind for event in events if isinstance(event, Notice)] == ["retry", "retry", "warning"]
    assert len(server.chats) == 3
    assert (await providers().complete(REQUEST)).message.parts == ()
    assert len(server.chats) == 6


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_empty_answer_with_a_reason_is_none_to_repeat(
    server: ChatServer, providers: Any, reason: str
) -> None:
    server.enqueue(Reply(finish(reason)))
    assert (await collect(providers()))[-1].stop_reason == reason
    assert len(server.chats) == 1


async def test_stream_options_are_left_out_once_refused(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply(status(400, {"error": {"message": "Unknown parameter: stream_options"}})))
    provider = providers()
    for _ in range(2):
        assert last(await collect(provider)).text == "echo: hi"
    assert ["stream_options" in request.body for request in server.chats] == [True, False, False]


async def test_thinking_is_left_out_once_refused_and_that_is_said(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply(status(400, {"error": {"message": "Unsupported parameter: 'reasoning_effort'"}})))
    events = await collect(providers(), replace(REQUEST, thinking="high"))
    assert ["reasoning_effort" in request.body for request in server.chats] == [True, False]
    assert "thinking setting" in next(event.text for event in events if isinstance(event, Notice))


async def test_signatures_are_left_out_once_refused(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply(status(400, {"error": {"message": "Invalid signature in thinking block"}})))
    thought = Thinking("hm", "bad", provider_metadata={"provider": SPEC.id, "model": "test-model"})
    answer = Message("assistant", (thought, *Message.user("x").parts), provider=SPEC.id, model="test-model")
    spec = replace(SPEC, quirks=Quirks(reasoning_replay="always"))
    await collect(providers(spec), replace(REQUEST, messages=(Message.user("a"), answer, Message.user("b"))))
    assert ["reasoning_content" in request.body["messages"][1] for request in server.chats] == [True, False]


async def test_a_request_refused_twice_is_an_error(server: ChatServer, providers: Any) -> None:
    server.handler = lambda _: Reply(status(400, {"error": {"message": "Unknown parameter: stream_options"}}))
    with pytest.raises(e.InvalidRequestError):
        await collect(providers())
    assert len(server.chats) == 2


# ------------------------------------------------------------------------------------------ cancellation


async def test_cancelled_at_any_point_the_provider_stays_usable(server: ChatServer, providers: Any) -> None:
    provider = providers()
    for stop_after in range(8):
        server.reset()
        server.enqueue(Reply(thinking("abc", size=1), text("defgh", size=1), wait(60)))
        seen = 0
        reached = asyncio.Event()

        async def consume(limit: int = stop_after, at: asyncio.Event = reached) -> None:
            nonlocal seen
            async for event in provider.stream(REQUEST):
                seen += isinstance(event, TextDelta | ThinkingDelta)
                if seen >= limit:
                    at.set()

        task = asyncio.create_task(consume())
        if stop_after:
            await asyncio.wait_for(reached.wait(), 30)
        else:
            await asyncio.to_thread(server.wait_for_requests, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(500):
            if server.chats[0].ended:
                break
            await asyncio.sleep(0.01)
        assert server.chats[0].disconnected
        assert last(await collect(provider)).text == "echo: hi"


async def test_cancelled_in_the_back_off(server: ChatServer, providers: Any) -> None:
    server.handler = lambda _: Reply(status(429, "", {"retry-after": "100"}))
    provider = providers(sleep=asyncio.sleep)
    task = asyncio.create_task(collect(provider))
    await asyncio.to_thread(server.wait_for_requests, 1)
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
    assert len(server.chats) == 1


async def test_closing_the_generator_closes_the_connection(server: ChatServer, providers: Any) -> None:
    server.enqueue(Reply("a", wait(60)))
    async with contextlib.aclosing(providers().stream(REQUEST)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    for _ in range(500):
        if server.chats[0].ended:
            break
        await asyncio.sleep(0.01)
    assert server.chats[0].disconnected


def test_a_provider_works_on_one_loop_after_the_other(server: ChatServer) -> None:
    provider = Provider(Choice(SPEC, ModelSpec("m"), server.url, Secret(KEY)))

    async def once() -> str:
        try:
            return (await provider.complete(REQUEST)).message.text
        finally:
            await provider.aclose()

    assert [asyncio.run(once()) for _ in range(2)] == ["echo: hi"] * 2


async def test_many_at_once(server: ChatServer, providers: Any) -> None:
    provider = providers()
    requests = [replace(REQUEST, messages=(Message.user(f"n{n}"),)) for n in range(20)]
    answers = await asyncio.gather(*(collect(provider, request) for request in requests))
    assert [last(events).text for events in answers] == [f"echo: n{n}" for n in range(20)]


async def test_own_chunks_with_strange_fields(server: ChatServer, providers: Any) -> None:
    server.enqueue(
        Reply(chunk(choices=[]), chunk(choices=[{"delta": None}]), chunk(prompt_filter_results=[1]), "x")
    )
    assert last(await collect(providers())).text == "x"


def test_wires_by_style() -> None:
    assert wire_for("OpenAiCompatible").style == "OpenAiCompatible"
    with pytest.raises(e.ConfigError, match="not there yet"):
        wire_for("Telegraph")


# ------------------------------------------------------------------------------------------------ proxies


async def test_a_proxy_of_the_environment_is_used(
    server: ChatServer, providers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.origin)
    assert last(await collect(providers(base="http://models.example/v1"))).text == "echo: hi"
    assert server.requests[-1].path == "http://models.example/v1/chat/completions"


async def test_no_proxy_for_this_machine(
    server: ChatServer, providers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    for base in (server.url, server.url.replace("127.0.0.1", "localhost")):
        assert last(await collect(providers(base=base))).text == "echo: hi"


async def test_a_proxy_that_refuses_is_named(
    server: ChatServer, providers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.origin)  # it knows no CONNECT
    with pytest.raises(e.NetworkError, match="proxy") as caught:
        await collect(providers(base="https://models.example/v1"))
    assert "HTTPS_PROXY" in str(caught.value)
