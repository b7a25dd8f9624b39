"""One WebSocket: the only module that imports the WebSocket library.

Lets nothing but ``SocketFailure`` out. Proxies come from the environment as for HTTP (``HTTPS_PROXY``,
``ALL_PROXY``, ``NO_PROXY``; SOCKS with ``python-socks``), and so do certificates.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.protocol import State

from ante_nb.providers.transports import ledger
from ante_nb.providers.transports.http import MAX_WHOLE_BODY, USER_AGENT, is_loopback, tls_context
from ante_nb.providers.transports.websocket_failure import SocketFailure
from ante_nb.redact import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ante_nb.providers.transports.websocket_failure import Scope

CONNECT_TIMEOUT = 5.0
PING_INTERVAL = 20.0
PING_TIMEOUT = 30.0
SEND_TIMEOUT = 60.0
CLOSE_TIMEOUT = 0.5

_SESSION_STATUS = (401, 403, 404, 405, 426)
"""The key is refused; there is no WebSocket (426: Upgrade Required). Neither changes within a session."""
_SESSION_CLOSE = (1003, 1007, 1008, 1009)
"""The server takes no such data, refuses by policy, or the message is too big."""

# The library's own log would show headers at its debug level, and complains about broken connections.
_quiet = logging.getLogger("ante_nb.websockets")
_quiet.setLevel(logging.CRITICAL)


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc  # a key must not travel to a place that the person has not named


def socket_url(url: str, params: Mapping[str, str] | None = None) -> str:
    """The address of an HTTP endpoint as that of its WebSocket; ``params`` join the query."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode(params or {})]))
    scheme = "wss" if parts.scheme.lower() == "https" else "ws"
    return urlunsplit(parts._replace(scheme=scheme, query=query, fragment=""))


class Socket:
    """An open connection.

    Attributes:
        opened: when it was made, in seconds of the monotonic clock.
        headers: of the answer to the upgrade, names in lower case.
    """

    def __init__(self, connection: ClientConnection, url: str) -> None:
        self._connection = connection
        self._url = url
        self.opened = time.monotonic()
        self._used = (self.opened, time.time())
        answer = connection.response
        self.headers = {name.lower(): value for name, value in answer.headers.raw_items()} if answer else {}

    @classmethod
    async def open(cls, url: str, headers: Mapping[str, str], *, timeout: float = CONNECT_TIMEOUT) -> Socket:
        """Connect once.

        Args:
            url: ``ws://`` or ``wss://``.
            headers: sent with the upgrade.
            timeout: seconds for name, connection, TLS, proxy and upgrade together.

        Raises:
            SocketFailure: no connection.
        """
        secure = url.startswith("wss:")
        more = {name: value for name, value in headers.items() if name.lower() != "user-agent"}
        agent = next((value for name, value in headers.items() if name.lower() == "user-agent"), USER_AGENT)
        try:
            # Around the library's own limit: the certificates are read, and the proxy asked, before it.
            async with asyncio.timeout(timeout):
                connection = await _Connect(
                    url,
                    additional_headers=more,
                    user_agent_header=agent,
                    proxy=_proxy(url),
                    open_timeout=timeout,
                    ping_interval=PING_INTERVAL,
                    ping_timeout=PING_TIMEOUT,
                    close_timeout=CLOSE_TIMEOUT,
                    max_size=MAX_WHOLE_BODY,
                    logger=_quiet,
                    ssl=tls_context() if secure else None,
                )
        except InvalidStatus as problem:
            status = problem.response.status_code
            scope: Scope = "session" if status in _SESSION_STATUS else "turn"
            raise SocketFailure(
                f"the server answered HTTP {status} to the upgrade", scope, status=status
            ) from None
        except TimeoutError:
            raise SocketFailure(f"no connection within {timeout:g} s") from None
        except (OSError, WebSocketException, ValueError, ImportError, EOFError) as problem:
            # From None: the cause would show the headers, and with them the key.
            raise SocketFailure(f"no connection ({_said(problem)})") from None
        return cls(connection, url)

    @property
    def is_open(self) -> bool:
        return self._connection.state is State.OPEN

    @property
    def idle(self) -> float:
        """Seconds since it was last used; by the wall clock too, which goes on while a laptop sleeps."""
        monotonic, wall = self._used
        return max(time.monotonic() - monotonic, time.time() - wall)

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self.opened

    def touch(self) -> None:
        """It is in use now."""
        self._used = (time.monotonic(), time.time())

    async def answers(self, timeout: float) -> bool:
        """Whether the other side answers a ping within ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await (await self._connection.ping())
        except (TimeoutError, OSError, WebSocketException, RuntimeError):
            return False
        self.touch()
        return True

    async def send(self, frame: Mapping[str, Any]) -> None:
        """Send one JSON text frame. Raises ``SocketFailure``."""
        data = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        ledger.note(self._url, data, "websocket_auto")
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._connection.send(data.decode("utf-8"))
        except TimeoutError:
            raise SocketFailure(f"the request was not taken within {SEND_TIMEOUT:g} s") from None
        except (OSError, WebSocketException) as problem:
            raise _broken(problem) from None
        self.touch()

    async def receive(self, idle: float) -> dict[str, Any]:
        """The next frame. Raises ``SocketFailure``: closed, silent for ``idle`` seconds, not a JSON object."""
        try:
            async with asyncio.timeout(idle):
                data = await self._connection.recv()
        except TimeoutError:
            raise SocketFailure(f"nothing came for {idle:g} s") from None
        except (OSError, WebSocketException, UnicodeDecodeError) as problem:
            raise _broken(problem) from None
        if not isinstance(data, str):
            raise SocketFailure("a binary frame came")
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise SocketFailure("a frame came that is no JSON object")
        self.touch()
        return value

    def drop(self) -> None:
        """Break the connection at once: what is still on its way is for nobody."""
        transport = getattr(self._connection, "transport", None)
        if transport is not None:
            transport.abort()

    async def close(self) -> None:
        """Say goodbye, within half a second."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._connection.close()
        except (TimeoutError, OSError, WebSocketException):
            pass
        finally:
            self.drop()


def _proxy(url: str) -> str | None:
    """The proxy for ``url``: the library's order, and like HTTP ``ALL_PROXY`` and ``host:port`` alone."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(url) or proxy_bypass(f"{host}:{parts.port}" if parts.port else host):
        return None
    proxies = getproxies()
    own = ("wss", "socks", "https") if parts.scheme == "wss" else ("ws", "socks", "https", "http")
    for name in (*own, "all"):
        if proxy := proxies.get(name):
            if name == "socks" and proxy.startswith("http://"):
                return proxy.replace("http", "socks5h", 1)
            return proxy if "://" in proxy else f"http://{proxy}"
    return None


def _broken(problem: BaseException) -> SocketFailure:
    if isinstance(problem, ConnectionClosed):
        # Who closed first said why: the server, or our own end (1002, 1009: what came was not allowed).
        theirs, ours = problem.rcvd, problem.sent
        close = theirs if theirs is not None and problem.rcvd_then_sent is not False else ours
        code = close.code if close is not None else 1006
        reason = f" {close.reason}" if close is not None and close.reason else ""
        scope: Scope = "session" if code in _SESSION_CLOSE else "turn"
        return SocketFailure(f"the connection was closed ({code}{reason})", scope)
    return SocketFailure(f"the connection broke ({_said(problem)})")


def _said(problem: BaseException) -> str:
    return redact(" ".join(str(problem).split()))[:160] or type(problem).__name__
