"""Everything that can happen to a WebSocket, at every frame: the transcript is always the one of HTTP."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
from support.ws_server import STREAM_FAULTS, UPGRADE_FAULTS, Fault, ResponsesServer, frames
from support.ws_talk import DIALOGUE, PROMPTS, Talk, check, make, over_http, whole_talk

from ante_nb.providers.transports.websocket import WebSocketTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 300 if os.environ.get("ANTE_PROVE") else 10
SEED = int(os.environ.get("ANTE_SEED") or random.randrange(1 << 30))
LENGTHS = [len(frames(answer, "r", "m")) for answer in DIALOGUE.answers]
SESSION_FAULTS = ("401", "403", "404", "426", "close 1008", "close 1009", "error 401", "error 403", "utf8")
"""What keeps a session on HTTP (1007: the text was no UTF-8)."""


@pytest.fixture
def server() -> Iterator[ResponsesServer]:
    with ResponsesServer(DIALOGUE) as running:
        yield running


def pool() -> WebSocketTransport:
    return WebSocketTransport(connect_timeout=0.5, cool_down=0.0)


@pytest.mark.parametrize("kind", STREAM_FAULTS)
async def test_a_fault_at_every_frame_of_every_answer(server: ResponsesServer, kind: str) -> None:
    expected = await over_http(server)
    for answer, length in enumerate(LENGTHS):
        for frame in range(length + 1):
            if kind == "foreign" and frame in (0, length):
                continue  # the first frame that comes names the response, whoever's it is
            server.seen.clear()
            server.creates = 0
            server.faults = [Fault(answer + 1, frame, kind)]
            sockets = pool()
            provider = make(server, sockets)
            talk = await whole_talk(provider)
            check(server, talk, expected)
            late = frame == length  # after the end: nothing was lost
            assert late or server.faults == []
            turn, steps = (0, 3) if answer < 3 else (3, 2)
            if not late:
                [notice] = talk.notices
                assert notice.kind == "transport"
                assert talk.transports[answer : turn + steps] == ["http_sse"] * (turn + steps - answer)
                assert talk.transports[:answer] == ["websocket_auto"] * answer
            if answer < 3 and not late:
                after = "http_sse" if kind in SESSION_FAULTS else "websocket_auto"
                assert talk.transports[3:] == [after] * 2
            await provider.aclose()
            await sockets.aclose()


@pytest.mark.parametrize("kind", UPGRADE_FAULTS)
async def test_a_fault_of_the_upgrade(server: ResponsesServer, kind: str) -> None:
    expected = await over_http(server)
    server.upgrades = [kind]
    sockets = pool()
    provider = make(server, sockets)
    talk = await whole_talk(provider)
    check(server, talk, expected)
    assert talk.transports[:3] == ["http_sse"] * 3 and [x.kind for x in talk.notices] == ["transport"]
    after = "http_sse" if kind in SESSION_FAULTS else "websocket_auto"
    assert talk.transports[3:] == [after] * 2
    await provider.aclose()
    await sockets.aclose()


async def test_silence(server: ResponsesServer) -> None:
    from dataclasses import replace

    expected = await over_http(server)
    for frame in (0, 3):
        server.seen.clear()
        server.creates = 0
        server.faults = [Fault(2, frame, "silence")]
        provider = make(server)
        spec = replace(provider.choice.provider, stream_idle_timeout=0.4)
        provider.choice = replace(provider.choice, provider=spec)
        talk = await whole_talk(provider)
        check(server, talk, expected)
        assert talk.transports[0] == "websocket_auto" and talk.transports[1:3] == ["http_sse"] * 2
        await provider.aclose()


async def test_seeded_campaign(server: ResponsesServer) -> None:
    """Several faults in one session, also while HTTP has taken over, dead sockets and lost memory."""
    print(f"seed {SEED}: run again with ANTE_SEED={SEED}")
    expected = await over_http(server)
    chance = random.Random(SEED)
    for number in range(ROUNDS):
        server.seen.clear()
        server.creates = 0
        kinds = [kind for kind in STREAM_FAULTS if kind != "foreign"]
        server.faults = [
            Fault(create, chance.randrange(max(LENGTHS) + 1), chance.choice(kinds))
            for create in range(1, 6)
            if chance.random() < 0.5
        ]
        options = ["ok", "ok", *(kind for kind in UPGRADE_FAULTS if kind != "hang")]
        server.upgrades = [chance.choice(options) for _ in range(chance.randrange(3))]
        server.pause = chance.choice((0.0, 0.0, 0.001))
        what = f"round {number} of seed {SEED}: {server.upgrades} {server.faults}"
        sockets = WebSocketTransport(
            cool_down=0.0,
            rotate_after=chance.choice((0.0, 1000.0, 1000.0)),
            ping_after=chance.choice((-1.0, 1000.0)),
        )
        provider = make(server, sockets)
        talk = Talk(provider)
        try:
            for prompt in PROMPTS:
                if chance.random() < 0.2:
                    server.kill()
                server.forget = chance.random() < 0.2
                await talk.turn(prompt)
            check(server, talk, expected)
        except Exception as problem:
            problem.add_note(what)
            raise
        finally:
            server.forget = False
            await provider.aclose()
            await sockets.aclose()
