"""The WebSocket mode of OpenAI Responses against a server that remembers as the vendor does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.shared import ROOT
from support.ws_server import KEY, Dialogue, Fault, ResponsesServer, call, message, wait_until
from support.ws_talk import DIALOGUE, PROMPTS, Talk, check, make, over_http, whole_talk

from ante_nb import errors as e
from ante_nb.messages import Done, Message, Notice, Retract, Text, TextDelta
from ante_nb.providers.spec import Choice, Request, Secret
from ante_nb.providers.transports.websocket import WebSocketTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from ante_nb.providers.provider import Provider


@pytest.fixture
def server() -> Iterator[ResponsesServer]:
    with ResponsesServer(DIALOGUE) as running:
        yield running


@pytest.fixture
async def providers(server: ResponsesServer) -> AsyncIterator[Any]:
    made: list[Provider] = []

    def one(websocket: WebSocketTransport | None = None, **changes: Any) -> Provider:
        made.append(make(server, websocket, **changes))
        return made[-1]

    yield one
    for provider in made:
        await provider.aclose()


def sent(server: ResponsesServer) -> list[tuple[str, int, bool, int]]:
    return [(seen.way, seen.connection, seen.continued, len(seen.items)) for seen in server.seen]


# ------------------------------------------------------------------------------------------- one socket


async def test_one_socket_and_only_what_is_new(server: ResponsesServer, providers: Any) -> None:
    expected = await over_http(server)
    talk = await whole_talk(providers())
    check(server, talk, expected)
    assert sent(server) == [
        ("websocket", 1, False, 1),
        ("websocket", 1, True, 2),
        ("websocket", 1, True, 1),
        ("websocket", 1, True, 1),
        ("websocket", 1, True, 1),
    ]
    assert talk.transports == ["websocket_auto"] * 5 and talk.notices == []
    assert server.seen[1].body["instructions"] and server.seen[1].body["tools"]
    headers = server.upgrade_headers[0]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["user-agent"].startswith("ante_nb/") and "openai-beta" not in headers


async def test_the_default_is_http(server: ResponsesServer, providers: Any) -> None:
    for changes in ({"transport": "http_sse"}, {"provider": "openai-compatible"}):
        provider = providers(**changes)
        if provider.choice.provider.wire_style == "OpenAiResponse":
            await Talk(provider).step(messages=(Message.user("hi"),))
        assert not provider._may_use_websocket and provider.websocket is None
    assert server.ways() == ["http"] and server.upgrade_headers == []


async def test_complete_never_uses_it(server: ResponsesServer, providers: Any) -> None:
    for name in ("openai", "openai-subscription"):
        provider = providers(provider=name)
        done = await provider.complete(Talk(provider, tools=()).request(messages=(Message.user("hi"),)))
        assert isinstance(done, Done) and provider.transport == "http_sse"
    assert server.ways() == ["http"] * 2


async def test_subscription_and_xai(server: ResponsesServer, providers: Any) -> None:
    await whole_talk(providers(provider="openai-subscription"))
    assert server.ways() == ["websocket"] * 5
    headers = server.upgrade_headers[0]
    assert headers["openai-beta"] == "responses_websockets=2026-02-06"
    assert (headers["originator"], headers["session-id"]) == ("ante_nb", "ses_1")
    from ante_nb.providers.catalog.load import load_catalog

    assert load_catalog().provider("xai").websocket is False
    server.seen.clear()
    await Talk(providers(provider="xai", model="grok-4.5"), system="").turn("hi")
    assert set(server.ways()) == {"websocket"}


async def test_two_sessions_have_two_sockets(server: ResponsesServer, providers: Any) -> None:
    provider = providers()
    talks = [Talk(provider, f"ses_{n}") for n in range(2)]
    server.pause = 0.002
    await asyncio.gather(*(talk.turn(PROMPTS[0]) for talk in talks))
    await talks[0].turn(PROMPTS[1])
    connections = {seen.connection: seen.body["prompt_cache_key"] for seen in server.seen}
    assert len(connections) == 2 and set(connections.values()) == {"ses_0", "ses_1"}
    for seen in server.seen:
        assert connections[seen.connection] == seen.body["prompt_cache_key"]
    assert server.ways() == ["websocket"] * 8 and server.overlaps == 0


async def test_never_two_responses_in_flight(server: ResponsesServer, providers: Any) -> None:
    server.pause = 0.01
    provider = providers()
    request = Talk(provider).request(messages=(Message.user("hi"),))

    async def one() -> str:
        return "".join([x.text async for x in provider.stream(request) if isinstance(x, TextDelta)])

    await asyncio.gather(*(one() for _ in range(6)))
    assert server.overlaps == 0 and server.ways().count("websocket") == 1 and len(server.seen) == 6


async def test_a_socket_is_closed_with_a_word(server: ResponsesServer) -> None:
    provider = make(server)
    await whole_talk(provider)
    await provider.aclose()
    await asyncio.to_thread(wait_until, lambda: server.closes == [1000])
    await provider.aclose()


async def test_the_pool_outlives_the_provider(server: ResponsesServer, providers: Any) -> None:
    server.dialogue = Dialogue([[message("~", "Well.")]], free=True)
    pool = WebSocketTransport()
    talk = Talk(providers(pool))
    for model, continued in (("gpt-5.4", False), ("gpt-5.4", True), ("gpt-5.5", False)):
        await talk.provider.aclose()
        talk.provider = providers(pool, model=model)
        server.dialogue.strip = model == "gpt-5.5"  # another model's ids go, the words stay
        await talk.turn("hi")
        assert (server.seen[-1].connection, server.seen[-1].continued) == (1, continued)
    await pool.aclose()


# ----------------------------------------------------------------------------------------- continuation


def _changed(talk: Talk, what: str) -> None:
    if what == "tools":
        talk.tools = (replace(talk.tools[0], description="Run more code"),)
    elif what == "tool schema in place":
        talk.tools[0].parameters["properties"]["again"] = {"type": "string"}
    elif what == "instructions":
        talk.system += " Be brief."
    elif what == "thinking":
        talk.provider.choice = replace(talk.provider.choice, thinking="high")
    elif what == "extra body":
        spec = replace(talk.provider.choice.provider, extra_body={"service_tier": "flex"})
        talk.provider.choice = replace(talk.provider.choice, provider=spec)


@pytest.mark.parametrize(
    "what", ["tools", "tool schema in place", "instructions", "thinking", "extra body", "nothing"]
)
async def test_whatever_changed_sends_everything(server: ResponsesServer, providers: Any, what: str) -> None:
    talk = Talk(providers())
    spec = replace(talk.tools[0], parameters=json.loads(json.dumps(talk.tools[0].parameters)))
    talk.tools = (spec,)
    await talk.turn(PROMPTS[0])
    _changed(talk, what)
    await talk.turn(PROMPTS[1])
    changed = server.seen[3]
    assert (changed.way, changed.connection) == ("websocket", 1)
    assert changed.continued == (what == "nothing")
    assert server.refused == [] and server.seen[4].continued


async def test_another_branch_and_a_shorter_history_send_everything(
    server: ResponsesServer, providers: Any
) -> None:
    talk = Talk(providers())
    await talk.turn(PROMPTS[0])
    whole = list(talk.messages)
    talk.messages = whole[:0]
    await talk.turn("Another first prompt")  # the first cell was edited and run again
    assert [seen.continued for seen in server.seen] == [False, True, True] * 2
    talk.messages = list(whole)
    await talk.turn(PROMPTS[1])  # and back on the old branch
    assert [seen.continued for seen in server.seen[6:]] == [False, True]
    assert {seen.connection for seen in server.seen} == {1} and server.refused == []


async def test_the_same_request_again_sends_everything(server: ResponsesServer, providers: Any) -> None:
    provider = providers()
    request = Talk(provider).request(messages=(Message.user("hi"),))
    for _ in range(2):
        assert [x async for x in provider.stream(request)]
    assert [seen.continued for seen in server.seen] == [False, False]


async def test_an_answer_that_is_not_sent_back_as_it_came(server: ResponsesServer, providers: Any) -> None:
    server.dialogue = replace(DIALOGUE, answers=[[message("x", "Hello."), message("y", "World.")]] * 2)
    talk = Talk(providers())
    await talk.turn("hi")
    said = talk.messages[-1]
    talk.messages[-1] = replace(said, parts=(said.parts[0], replace(said.parts[1], text="Moon.")))
    talk.messages.append(Message.user("go on"))
    server.dialogue = replace(DIALOGUE, answers=[[message("x", "Hello."), message("y", "Moon.")]] * 2)
    await talk.step()
    assert [seen.continued for seen in server.seen] == [False, False] and server.refused == []


async def test_an_item_that_does_not_go_back_sends_everything() -> None:
    class Forgiving(Dialogue):
        def place(self, conversation: Any) -> int:
            return sum(item.get("type") == "function_call" for item in conversation)

    answers = [[message("a0", ""), call("a", "run_cell", {"code": "x"})], [message("b", "Done.")]]
    with ResponsesServer(Forgiving(answers)) as forgiving:
        talk = Talk(make(forgiving))
        await talk.turn(PROMPTS[0])  # the empty message is not repeated to the vendor
        assert (forgiving.ways(), talk.shown[-1]) == (["websocket"] * 2, "Done.")
        assert [seen.continued for seen in forgiving.seen] == [False, False]
        assert "msg_a0" not in str(forgiving.seen[1].items)
        await talk.provider.aclose()


async def test_what_the_server_forgot_is_sent_once_more_on_the_same_socket(
    server: ResponsesServer, providers: Any
) -> None:
    expected = await over_http(server)
    talk = Talk(providers())
    await talk.turn(PROMPTS[0])
    server.forget = True
    await talk.turn(PROMPTS[1])
    check(server, talk, expected)
    assert [seen.continued for seen in server.seen] == [False, True, True, False, True]
    assert {seen.connection for seen in server.seen} == {1} and talk.notices == []
    assert server.creates == 6


@pytest.mark.parametrize(("frame", "ways"), [(1, ["websocket"] * 6), (4, ["websocket"] * 2 + ["http"] * 2)])
async def test_what_the_server_forgets_in_its_answer(
    server: ResponsesServer, providers: Any, frame: int, ways: list[str]
) -> None:
    expected = await over_http(server)
    talk = Talk(providers())
    server.faults = [Fault(2, frame, "forgot")]
    for prompt in PROMPTS:
        await talk.turn(prompt)
    check(server, talk, expected)  # what was drawn of the broken answer is no part of it
    assert server.ways()[: len(ways)] == ways and server.faults == []


async def test_late_pieces_are_no_part_of_the_next_answer(server: ResponsesServer, providers: Any) -> None:
    expected = await over_http(server)
    talk = Talk(providers())
    where = {"output_index": 0, "item_id": "msg_b0", "content_index": 0}
    server.extra = [{"type": "response.output_text.delta", "delta": "late words", **where}]
    for prompt in PROMPTS:
        await talk.turn(prompt)
    check(server, talk, expected)
    assert [notice.kind for notice in talk.notices] == ["transport"]


async def test_late_frames_of_the_answer_before_are_passed_over(
    server: ResponsesServer, providers: Any
) -> None:
    expected = await over_http(server)
    talk = Talk(providers())
    server.extra = [
        {"type": "codex.rate_limits", "rate_limits": {}},
        {"type": "response.completed", "response": {"id": "resp_6", "status": "completed", "output": []}},
    ]
    for prompt in PROMPTS:
        await talk.turn(prompt)
    check(server, talk, expected)
    assert server.ways() == ["websocket"] * 5 and talk.notices == []


# ------------------------------------------------------------------------------- age, silence, one's own loop


async def test_an_old_socket_is_replaced_before_the_limit(server: ResponsesServer, providers: Any) -> None:
    expected = await over_http(server)
    pool = WebSocketTransport(rotate_after=0.0)
    talk = await whole_talk(providers(pool))
    check(server, talk, expected)
    assert [seen.connection for seen in server.seen] == [1, 2, 3, 4, 5]
    await pool.aclose()
    await asyncio.to_thread(wait_until, lambda: server.closes == [1000] * 5)


async def test_an_idle_socket_must_answer_a_ping(server: ResponsesServer, providers: Any) -> None:
    expected = await over_http(server)
    pool = WebSocketTransport(ping_after=-1.0)
    talk = await whole_talk(providers(pool))
    check(server, talk, expected)
    assert {seen.connection for seen in server.seen} == {1}
    await pool.aclose()


@pytest.mark.parametrize("ping_after", [-1.0, 1000.0])
async def test_a_dead_idle_socket(server: ResponsesServer, providers: Any, ping_after: float) -> None:
    expected = await over_http(server)
    pool = WebSocketTransport(ping_after=ping_after)
    talk = Talk(providers(pool))
    await talk.turn(PROMPTS[0])
    server.kill()
    await talk.turn(PROMPTS[1])
    check(server, talk, expected)
    await pool.aclose()


def test_every_event_loop_has_its_own_socket(server: ResponsesServer) -> None:
    pool = WebSocketTransport()
    talk = Talk(make(server, pool))

    async def one(prompt: str) -> None:
        await talk.turn(prompt)
        await pool.aclose()
        await talk.provider.aclose()

    for prompt in PROMPTS:
        asyncio.run(one(prompt))
    assert [seen.connection for seen in server.seen] == [1, 1, 1, 2, 2]
    assert server.refused == []


# ------------------------------------------------------------------------------------------- interrupts


async def test_an_interrupt_in_mid_stream_at_every_frame(server: ResponsesServer, providers: Any) -> None:
    expected = await over_http(server)
    server.pause = 0.001
    for stop in range(1, 12):
        talk = Talk(providers(), session=f"ses_{stop}")
        talk.messages.append(Message.user(PROMPTS[0]))
        talk.turns += 1
        await talk.step()
        step = len(talk.messages)
        talk.messages.clear()
        talk.messages.append(Message.user(PROMPTS[0]))
        count = 0
        async with contextlib.aclosing(talk.provider.stream(talk.request())) as events:
            async for _ in events:
                count += 1
                if count == min(stop, 9):
                    break
        assert step == 2
        talk.messages.clear()
        talk.shown.clear()
        server.seen.clear()
        for prompt in PROMPTS:
            await talk.turn(prompt)
        check(server, talk, replace(expected, runs=talk.runs))
        assert not server.seen[0].continued and server.ways() == ["websocket"] * 5


async def test_a_cancelled_task_leaves_the_next_turn_correct(server: ResponsesServer, providers: Any) -> None:
    expected = await over_http(server)
    server.pause = 0.02
    talk = Talk(providers())
    talk.messages.append(Message.user(PROMPTS[0]))
    task = asyncio.create_task(talk.step())
    await asyncio.to_thread(wait_until, lambda: bool(server.seen))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(wait_until, lambda: server.open == 0)
    server.pause = 0
    talk.messages.clear()
    server.seen.clear()
    for prompt in PROMPTS:
        await talk.turn(prompt)
    check(server, talk, expected)
    assert server.ways() == ["websocket"] * 5 and server.closes[0] is None


async def test_cancelled_while_it_connects(server: ResponsesServer, providers: Any) -> None:
    server.upgrades = ["hang"]
    talk = Talk(providers())
    task = asyncio.create_task(talk.turn(PROMPTS[0]))
    await asyncio.to_thread(wait_until, lambda: not server.upgrades)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    talk.messages.clear()
    await talk.turn(PROMPTS[0])
    assert server.ways() == ["websocket"] * 3
    gc.collect()


# ------------------------------------------------------------------------------------------- when HTTP


async def test_one_connect_attempt_and_a_cool_down(
    server: ResponsesServer, providers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    pool = WebSocketTransport(cool_down=30.0, clock=lambda: now[0])
    talk = Talk(providers(pool))
    server.upgrades = ["503", "503"]
    with caplog.at_level(logging.INFO, "ante_nb"):
        await talk.turn(PROMPTS[0])
        assert server.upgrades == ["503"] and server.ways() == ["http"] * 3
        [notice] = talk.notices
        assert notice.kind == "transport" and "HTTP 503" in notice.text and "this turn" in notice.text
        now[0] += 29
        await talk.turn(PROMPTS[1])
        assert server.upgrades == ["503"] and len(talk.notices) == 1
    assert "transport selected: http_sse provider=openai model=gpt-5.4 reason=" in caplog.text
    talk.messages.clear()
    now[0] += 2
    await talk.turn(PROMPTS[0])
    assert server.upgrades == [] and len(talk.notices) == 2
    talk.messages.clear()
    now[0] += 59  # the second failure doubles the pause
    await talk.turn(PROMPTS[0])
    assert "websocket" not in server.ways()
    talk.messages.clear()
    now[0] += 2
    caplog.clear()
    with caplog.at_level(logging.INFO, "ante_nb"):
        await talk.turn(PROMPTS[0])
    assert server.ways()[-3:] == ["websocket"] * 3
    assert "transport selected: websocket_auto provider=openai" in caplog.text
    await pool.aclose()


@pytest.mark.parametrize("status", ["401", "403", "426"])
async def test_a_refused_key_turns_the_session_to_http(
    server: ResponsesServer, providers: Any, status: str
) -> None:
    now = [0.0]
    pool = WebSocketTransport(clock=lambda: now[0])
    talk = Talk(providers(pool))
    server.upgrades = [status]
    for prompt in PROMPTS:
        await talk.turn(prompt)
        now[0] += 100_000
    assert server.ways() == ["http"] * 5 and len(server.upgrade_headers) == 1
    [notice] = talk.notices
    assert "this session" in notice.text and KEY not in notice.text
    await Talk(providers(pool), "ses_2").turn(PROMPTS[0])
    assert server.ways()[5:] == ["websocket"] * 3
    await pool.aclose()


async def test_a_wrong_key_is_the_error_that_http_gives(server: ResponsesServer, providers: Any) -> None:
    provider = providers()
    provider.choice = replace(provider.choice, credential=Secret("sk-wrong-0123456789abcdef"))
    with pytest.raises(e.AuthError) as caught:
        await Talk(provider).step(messages=(Message.user("hi"),))
    assert caught.value.status == 401 and "sk-wrong" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 529])
async def test_a_limit_is_retried_by_the_table_and_not_by_http(
    server: ResponsesServer, providers: Any, status: int
) -> None:
    expected = await over_http(server)
    server.faults = [Fault(2, 0, f"error {status}"), Fault(4, 3, f"error {status}")]
    talk = Talk(providers())
    for prompt in PROMPTS:
        await talk.turn(prompt)
    check(server, talk, expected)
    assert set(server.ways()) == {"websocket"} and {notice.kind for notice in talk.notices} == {"retry"}


async def test_a_wrong_request_is_the_error_that_http_gives(server: ResponsesServer, providers: Any) -> None:
    talk = Talk(providers())
    with pytest.raises(e.InvalidRequestError):
        await talk.step(
            messages=(Message.user("a"), Message("assistant", (Text("never said"),)), Message.user("b"))
        )
    assert len(server.refused) == 2  # once over each


async def test_retract_comes_before_http(server: ResponsesServer, providers: Any) -> None:
    server.faults = [Fault(1, 5, "eof")]
    provider = providers()
    talk = Talk(provider)
    events = [x async for x in provider.stream(talk.request(messages=(Message.user("hi"),)))]
    kinds = [type(x).__name__ for x in events]
    place = kinds.index("Retract")
    assert place > 0 and kinds[place + 1] == "Notice" and kinds[-1] == "Done"
    assert [type(x) for x in events].count(Retract) == 1
    assert [x.kind for x in events if isinstance(x, Notice)] == ["transport"]


async def test_no_key_follows_a_redirect(server: ResponsesServer, providers: Any) -> None:
    server.upgrades = ["redirect"]
    talk = Talk(providers())
    await talk.turn(PROMPTS[0])
    assert server.ways() == ["http"] * 3 and len(server.upgrade_headers) == 1


# ------------------------------------------------------------------------------------ recorded dialogues

RECORDED = sorted((ROOT / "reference/wire/fixtures").glob("*_ws_*.jsonl"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_recorded(server: ResponsesServer, providers: Any, path: Path) -> None:
    """What was recorded, frame by frame: the answer comes, or the vendor's own error."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    warm = any(line.get("frame", {}).get("generate") is False for line in lines)
    server.upgrades = [
        str(x["status"]) for x in lines if x.get("event") == "open" and x.get("status", 101) != 101
    ]
    scripts: list[list[dict[str, Any]]] = []
    for line in lines:
        if line["dir"] == ">":
            scripts.append([])
        elif scripts and "frame" in line:
            scripts[-1].append(line["frame"])
        elif scripts and line.get("event") == "close":
            scripts[-1].append(line)
    server.scripts = scripts[1:] if warm else scripts
    server.dialogue = replace(DIALOGUE, answers=[[message("hi", "Over HTTP.")]] * 9)
    talk = Talk(providers())
    talk.messages.append(Message.user("What is in my kernel?"))
    if path.stem == "chatgpt_ws_usage_limit":
        with pytest.raises(e.QuotaError):
            await talk.step()
        assert server.seen == []
        return
    said = await talk.step()
    if path.stem == "openai_ws_happy":
        assert [(x.name, x.arguments) for x in said.tool_calls] == [
            ("run_cell", {"code": "%whos"}),
            ("list_files", {}),
        ]
        assert said.thinking == "**Inspecting the kernel**\n\nI need the variables."
    else:
        assert said.text in ("There are 3 frames.", "Over HTTP.")


# -------------------------------------------------------------------------------------------- the kernel's


async def test_secrets_are_in_no_repr_and_no_log(
    server: ResponsesServer, providers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        provider = providers()
        server.faults = [Fault(2, 3, "reset")]
        await whole_talk(provider)
    assert KEY not in caplog.text and KEY not in repr(provider.websocket)


def test_a_choice_without_transport_is_http() -> None:
    from ante_nb.providers.catalog.load import load_catalog

    spec = load_catalog().provider("openai")
    assert Choice(spec, load_catalog().model_for("openai", "gpt-5.4"), "http://x").transport == "http_sse"
    assert Request(()).turn_id == ""
    assert call("a", "b", {})["call_id"] == "call_a"
