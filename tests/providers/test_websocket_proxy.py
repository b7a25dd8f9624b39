"""The proxy of the environment carries the WebSocket as well."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest
from support.ws_server import ResponsesServer
from support.ws_talk import DIALOGUE, make, whole_talk


@pytest.mark.parametrize(
    ("variable", "scheme"), [("HTTP_PROXY", "http://"), ("ALL_PROXY", "http://"), ("HTTPS_PROXY", "")]
)
async def test_through_a_proxy(monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str) -> None:
    asked: list[bytes] = []

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
        sink.close()

    with ResponsesServer(DIALOGUE) as server:

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            inner, outer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(carry(reader, outer), carry(inner, writer))

        proxy = await asyncio.start_server(connect, "127.0.0.1", 0)
        monkeypatch.setenv(variable, f"{scheme}127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        provider = make(server)
        provider.choice = replace(provider.choice, base_url="http://model.test/v1")
        talk = await whole_talk(provider)
        assert talk.transports == ["websocket_auto"] * 5 and server.ways() == ["websocket"] * 5
        assert len(asked) == 1 and asked[0].startswith(b"CONNECT model.test:80 ")
        assert b"authorization" not in asked[0].lower()
        await provider.aclose()
        proxy.close()
        await proxy.wait_closed()
