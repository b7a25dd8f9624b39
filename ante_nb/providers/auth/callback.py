"""The loopback listener that the browser is sent back to (RFC 8252 section 7.3).

It listens on 127.0.0.1 and ::1 only, takes one answer, and reads nothing but the request line and the
headers of a GET. Whatever else connects (favicon requests, connections that a browser opens ahead and
never uses, scanners, pages that try DNS rebinding) gets an error or nothing and changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import html
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from ante_nb.providers.auth.oauth_spec import is_loopback_host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ante_nb.providers.auth.pkce import Pkce

CANCEL_PATH = "/cancel"
CANCEL_TRIES = 10
CANCEL_PAUSE = 0.2
"""The vendor's client asks the old listener to go, then tries its port so often, so many seconds apart."""
HEAD_LIMIT = 32 * 1024
HEAD_TIMEOUT = 20.0
MAX_CONNECTIONS = 64
LINGER = 2.0
"""Seconds that a page which is being sent may take after the end."""

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    410: "Gone",
    431: "Request Header Fields Too Large",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What the browser shows: plain texts, escaped when sent."""

    status: int
    title: str
    text: str


class Listener:
    """Waits for one redirect.

    Args:
        pkce: whose state the redirect must carry.
        path: the registered path of the redirect, exactly.
        ports: the registered ports in order of preference; 0 is any free one.
        on_answer: called with the query of the first redirect that carries the state; what it returns is
            shown in the browser.
        on_cancel: called when another client of the same vendor needs the port.
        pause: waits so many seconds (for tests).
    """

    def __init__(
        self,
        pkce: Pkce,
        path: str,
        ports: tuple[int, ...],
        on_answer: Callable[[dict[str, str]], Awaitable[Page]],
        on_cancel: Callable[[], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.port: int | None = None
        self._pkce, self._path, self._ports = pkce, path, ports
        self._on_answer, self._on_cancel, self._pause = on_answer, on_cancel, pause
        self._fixed = False
        self._used = False
        self._servers: list[asyncio.Server] = []
        self._busy: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._answering: set[asyncio.Task[None]] = set()

    # ---------------------------------------------------------------------------------------- life

    async def start(self) -> int | None:
        """Begin to listen; the port, or ``None`` where no registered one can be had."""
        for port in self._ports:
            sockets = await self._take(port)
            if sockets:
                self.port, self._fixed = sockets[0].getsockname()[1], port != 0
                for one in sockets:
                    server = await asyncio.start_server(self._connected, sock=one, limit=HEAD_LIMIT)
                    self._servers.append(server)
                return self.port
        return None

    async def _take(self, port: int) -> list[socket.socket]:
        sockets = _bind(port)
        if sockets or port == 0:
            return sockets
        # As the vendor's client does: an older sign-in gives way to the newer one.
        await _ask_to_go(port)
        for _ in range(CANCEL_TRIES):
            await self._pause(CANCEL_PAUSE)
            if sockets := _bind(port):
                return sockets
        return []

    async def close(self, linger: float = LINGER) -> None:
        """Stop listening and hang up; a page that is being sent gets ``linger`` seconds."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        own = asyncio.current_task()
        ending = [task for task in self._answering if task is not own]
        if ending:
            await asyncio.wait(ending, timeout=linger)
        for task, writer in list(self._busy.items()):
            if task is not own:
                task.cancel()
                writer.transport.abort()
        for server in servers:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.wait_closed(), 1)

    # ------------------------------------------------------------------------------------ requests

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._busy) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._busy[task] = writer
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._busy.pop(task, None)
        self._answering.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            try:
                async with asyncio.timeout(HEAD_TIMEOUT):
                    head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                await self._send(writer, Page(431, "Too large", "The request is too large."), "GET")
                return
            method, target, headers = _request(head)
            page = await self._page(method, target, headers)
            await self._send(writer, page, method)
            if page.status == 200 and target.partition("?")[0] == CANCEL_PATH:
                self._on_cancel()
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the browser has gone, or never said anything
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _page(self, method: str, target: str, headers: dict[str, list[str]]) -> Page:
        if not target.startswith("/") or not self._is_ours(headers.get("host", [])):
            return Page(400, "Bad request", "This address takes the answer of a sign-in and nothing else.")
        path, _, query = target.partition("?")
        if path == CANCEL_PATH and self._fixed and method == "GET":
            if {"sec-fetch-site", "origin", "referer"} & headers.keys():
                return Page(400, "Bad request", "A web page may not end a sign-in.")
            return Page(200, "Cancelled", "The sign-in was cancelled.")
        if path != self._path:
            return Page(404, "Not found", "There is nothing here.")
        if method != "GET":
            return Page(405, "Method not allowed", "Only GET is answered here.")
        return await self._callback(query)

    def _is_ours(self, hosts: list[str]) -> bool:
        """Whether the request was made for this machine by name: a rebound name says its own."""
        if len(hosts) != 1:
            return False
        try:
            parts = urlsplit(f"//{hosts[0]}")
            return is_loopback_host(parts.hostname or "") and parts.port == self.port
        except ValueError:
            return False

    async def _callback(self, query: str) -> Page:
        fields = one_each(query)
        if fields is None or not self._pkce.is_state(fields.get("state", "")):
            text = "This answer belongs to another sign-in. Open the newest link of the notebook again."
            return Page(400, "Not this sign-in", text)
        if not fields.get("code") and not fields.get("error"):
            return Page(400, "Incomplete", "The answer holds neither a code nor an error.")
        if self._used:
            return Page(410, "Already used", "This sign-in has already been answered. Close this page.")
        self._used = True
        task = asyncio.current_task()
        if task is not None:
            self._answering.add(task)
        return await self._on_answer(fields)

    async def _send(self, writer: asyncio.StreamWriter, page: Page, method: str) -> None:
        body = _html(page).encode()
        head = [
            f"HTTP/1.1 {page.status} {_REASONS[page.status]}",
            "Content-Type: text/html; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Connection: close",
            "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
            "base-uri 'none'; form-action 'none'",
            "Referrer-Policy: no-referrer",
            "X-Content-Type-Options: nosniff",
        ]
        if page.status == 405:
            head.append("Allow: GET")
        writer.write("\r\n".join([*head, "", ""]).encode("ascii") + (b"" if method == "HEAD" else body))
        await asyncio.wait_for(writer.drain(), LINGER)


def one_each(query: str) -> dict[str, str] | None:
    """The fields of a query; ``None`` where a field comes twice (RFC 6749 section 3.1 forbids it)."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def _request(head: bytes) -> tuple[str, str, dict[str, list[str]]]:
    """Method, target and headers (names in lower case); a method of ``""`` where it is no HTTP."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return "", "", {}
    headers: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), []).append(value.strip())
    return words[0], words[1], headers


def _html(page: Page) -> str:
    title, text = html.escape(page.title), html.escape(page.text)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px system-ui,sans-serif;max-width:36em;margin:15vh auto;padding:0 1em}</style>"
        f"<h1>{title}</h1><p>{text}</p></html>\n"
    )


def _bind(port: int) -> list[socket.socket]:
    """Bound sockets on 127.0.0.1 and, where there is IPv6, on ::1 of the same port; none if it is taken.

    Both or none: a browser may try either for ``localhost``, and must not find another's listener.
    """
    for _ in range(8 if port == 0 else 1):
        try:
            first = _bound(socket.AF_INET, "127.0.0.1", port)
        except OSError:
            return []
        try:
            return [first, _bound(socket.AF_INET6, "::1", first.getsockname()[1])]
        except OSError as problem:
            if problem.errno not in (errno.EADDRINUSE, errno.EACCES, 10013, 10048):
                return [first]  # this machine has no IPv6
            first.close()
    return []


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # There SO_REUSEADDR would let two listeners share the port, and either get the code.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.setblocking(False)
        one.bind((address, port))
        # On Linux two sockets may be bound to a port with SO_REUSEADDR; only one of them can listen.
        one.listen(16)
    except BaseException:
        one.close()
        raise
    return one


async def _ask_to_go(port: int) -> None:
    """``GET /cancel`` to whoever listens there; whatever it answers."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                request = f"GET {CANCEL_PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode("ascii"))
                await writer.drain()
                await reader.read(1024)
            finally:
                writer.transport.abort()
