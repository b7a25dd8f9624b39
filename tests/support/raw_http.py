"""Bytes over a loopback connection, as no HTTP library would send them."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit


async def send(port: int, data: bytes, host: str = "127.0.0.1") -> bytes:
    """Send ``data`` and return everything that comes until the other side hangs up."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(data)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.transport.abort()


async def get(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers (names in lower case) and body; ``Host`` as a browser would send it."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1"]
    sent = {"Host": parts.netloc, **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines += [f"{name}: {value}" for name, value in sent.items() if value]
    raw = await send(parts.port or 80, "\r\n".join([*lines, "", ""]).encode())
    return answer(raw)


def answer(raw: bytes) -> tuple[int, dict[str, str], str]:
    """A raw answer, taken apart."""
    head, _, body = raw.decode().partition("\r\n\r\n")
    first, *rest = head.split("\r\n")
    return int(first.split()[1]), {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in rest)}, body


def free_ports(count: int) -> tuple[int, ...]:
    """Ports that nobody listens on at the moment, on 127.0.0.1."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = tuple(one.getsockname()[1] for one in sockets)
    for one in sockets:
        one.close()
    return ports
