"""HTTP for the whole package: the only module that imports the HTTP library.

``HttpClient`` keeps connections alive between the steps of a turn, takes proxies and certificates from
the environment (``HTTPS_PROXY``, ``NO_PROXY``, ``SSL_CERT_FILE``), follows no redirect to another origin,
and lets nothing but the errors of :mod:`ante_nb.errors` out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import socket
import ssl
import weakref
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import httpx2

from ante_nb import errors as e
from ante_nb._version import __version__
from ante_nb.offline import refuse_if_offline
from ante_nb.providers.failure_words import safe_url
from ante_nb.providers.transports import ledger
from ante_nb.redact import redact

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping

USER_AGENT = f"ante_nb/{__version__}"
CONNECT_TIMEOUT = 15.0
WRITE_TIMEOUT = 60.0
POOL_TIMEOUT = 15.0
DEFAULT_IDLE = 300.0
MAX_WHOLE_BODY = 64 * 1024 * 1024
MAX_REDIRECTS = 3
_KEEPALIVE_SECONDS = 120.0


class HttpResponse:
    """An answer whose body is still on its way.

    ``status``, ``headers`` (names in lower case) and ``content_type`` (without parameters) are there;
    the body comes from :meth:`chunks` or :meth:`read`, once.
    """

    def __init__(self, response: httpx2.Response, url: str, idle: float) -> None:
        self._response = response
        self._url = url
        self._idle = idle
        self.status: int = response.status_code
        self.headers: dict[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self.content_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def pieces(self) -> AsyncGenerator[bytes]:
        """The body as it arrives, decompressed; for whoever counts layers, within :meth:`mapped`."""
        stream: Any = self._response.aiter_bytes
        if self.headers.get("content-encoding", "identity") == "identity":
            # The plain path is two layers of generators less, which is a tenth of the cost of an event.
            stream = self._response.stream.__aiter__  # type: ignore[union-attr]
        pieces: AsyncGenerator[bytes] = stream()
        return pieces

    def mapped(self) -> contextlib.AbstractContextManager[None]:
        """Turns what reading :meth:`pieces` raises into the errors of :func:`mapped_errors`."""
        return mapped_errors(self._url, self._idle)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body as it arrives, decompressed."""
        with self.mapped():
            async with contextlib.aclosing(self.pieces()) as pieces:
                async for chunk in pieces:
                    yield chunk

    async def read(self, limit: int = MAX_WHOLE_BODY) -> bytes:
        """The whole body.

        Raises:
            MalformedResponseError: it is larger than ``limit`` bytes.
        """
        pieces: list[bytes] = []
        size = 0
        async with contextlib.aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise e.MalformedResponseError(
                        f"The answer of {safe_url(self._url)} is larger than {limit} bytes"
                    )
                pieces.append(chunk)
        return b"".join(pieces)


class HttpClient:
    """A pool of connections, one for every event loop it is used on.

    Args:
        base_url: where it talks to. For a loopback address no proxy is used and no certificate store
            is loaded (a third of the time to the first request of a local server).

    Raises:
        ConfigError: ``base_url`` is no HTTP URL.
    """

    def __init__(self, base_url: str) -> None:
        check_url(base_url)
        self._local = is_loopback(base_url) and base_url.lower().startswith("http://")
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = (
            weakref.WeakKeyDictionary()
        )

    def _client(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None or client.is_closed:
            client = httpx2.AsyncClient(
                verify=not self._local,
                trust_env=not self._local,
                follow_redirects=False,
                headers={"user-agent": USER_AGENT},
                limits=httpx2.Limits(keepalive_expiry=_KEEPALIVE_SECONDS),
            )
            _redact_library_log()
            self._clients[loop] = client
        return client

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        idle: float = DEFAULT_IDLE,
    ) -> AsyncIterator[HttpResponse]:
        """Send a request and hand over the answer once its headers are there, whatever its status.

        Args:
            method: ``GET``, ``POST`` ...
            url: absolute.
            headers: added to (and winning over) our own.
            params: joined to the query; for providers that take their key there.
            body: sent as JSON (UTF-8) unless ``None``.
            form: sent as an HTML form (``application/x-www-form-urlencoded``) in place of ``body``.
            idle: seconds without a byte after which it is given up.

        Raises:
            NetworkError, IdleTimeoutError, AuthError, ConfigError: see :func:`mapped_errors`.
        """
        refuse_if_offline(_host(url))
        content, sent = _body(body, form)
        sent.update({name.lower(): value for name, value in (headers or {}).items()})
        timeout = httpx2.Timeout(connect=CONNECT_TIMEOUT, read=idle, write=WRITE_TIMEOUT, pool=POOL_TIMEOUT)
        with mapped_errors(url, idle):
            client = self._client()
            ledger.note(url, content, "http_sse")
            response = await self._send(client, method, url, sent, params, content, timeout)
        try:
            yield HttpResponse(response, url, idle)
        finally:
            with contextlib.suppress(Exception):
                await response.aclose()

    async def _send(
        self,
        client: httpx2.AsyncClient,
        method: str,
        url: str,
        headers: dict[str, str],
        params: Mapping[str, str] | None,
        content: bytes | None,
        timeout: httpx2.Timeout,
    ) -> httpx2.Response:
        target = httpx2.URL(url)
        if params:
            target = target.copy_merge_params(dict(params))
        for _ in range(MAX_REDIRECTS + 1):
            request = client.build_request(method, target, headers=headers, content=content, timeout=timeout)
            response = await client.send(request, stream=True)
            if response.status_code not in (301, 302, 303, 307, 308) or "location" not in response.headers:
                return response
            place = target.join(response.headers["location"])
            await response.aclose()
            keeps_method = response.status_code in (307, 308) or method in ("GET", "HEAD")
            if place.origin != target.origin or not keeps_method:
                # A key must not travel to a host that the person has not named, nor a POST become a GET.
                raise e.NetworkError(
                    f"{safe_url(url)} redirects to {safe_url(str(place))}, which is not followed with a key",
                    "If that is the right server, set it as the base URL.",
                    status=response.status_code,
                    retryable=False,
                )
            if params:
                place = place.copy_merge_params(dict(params))
            target = place
        raise e.NetworkError(f"{safe_url(url)} redirects in a circle", "Check the base URL.", retryable=False)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        idle: float = DEFAULT_IDLE,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request and return status, headers and the whole body; errors as :meth:`stream`."""
        sending = self.stream(method, url, headers=headers, params=params, body=body, form=form, idle=idle)
        async with sending as response:
            return response.status, response.headers, await response.read()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


def _body(body: Any, form: Mapping[str, str] | None) -> tuple[bytes | None, dict[str, str]]:
    """The bytes of a request's body and the header that names their type."""
    if form is not None:
        kind = "application/x-www-form-urlencoded"
        return urlencode(dict(form), errors="replace").encode("ascii"), {"content-type": kind}
    if body is None:
        return None, {}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace"), {"content-type": "application/json"}


def check_url(url: str) -> None:
    """Raises ``ConfigError`` unless ``url`` is an HTTP URL with a host."""
    try:
        parts = urlsplit(url.strip())
        fine = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise _bad_url(url)


def _bad_url(url: str) -> e.ConfigError:
    return e.ConfigError(
        f"The base URL {safe_url(url)!r} is not a valid address", "It must look like https://host/v1."
    )


def is_loopback(url: str) -> bool:
    """Whether ``url`` points to this machine."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def mapped_errors(url: str, idle: float | None = None) -> Iterator[None]:
    """Turns the HTTP library's exceptions into ours; the one place where that happens.

    Raises:
        ConfigError: the URL is no HTTP URL.
        AuthError: the key holds characters that no header can carry.
        IdleTimeoutError: no byte for the idle time.
        NetworkError: everything else between here and there, damaged compression too.
    """
    where = _host(url)
    try:
        yield
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as problem:
        raise _bad_url(url) from problem
    except (httpx2.LocalProtocolError, UnicodeEncodeError):
        # The cause would show the header, and with it the key.
        raise e.AuthError(
            "The key or a header holds characters that cannot be sent",
            "Enter the key again without quotes, blanks or line breaks.",
            retryable=False,
        ) from None
    except httpx2.ConnectTimeout as problem:
        raise e.NetworkError(
            f"No connection to {where} within {CONNECT_TIMEOUT:.0f} s", "Check the network and HTTPS_PROXY."
        ) from problem
    except httpx2.ReadTimeout as problem:
        raise idle_error(url, idle) from problem
    except httpx2.ProxyError as problem:
        raise e.NetworkError(
            f"The proxy did not let the request to {where} pass: {_said(problem)}",
            "Check HTTPS_PROXY and NO_PROXY.",
        ) from problem
    except httpx2.ConnectError as problem:
        raise _no_connection(where, problem) from problem
    except (httpx2.HTTPError, httpx2.StreamError, OSError) as problem:
        raise e.NetworkError(
            f"The connection to {where} broke: {_said(problem)}", "Check the network and try again."
        ) from problem


def idle_error(url: str, seconds: float | None = None) -> e.IdleTimeoutError:
    """The error for a server that has gone silent."""
    span = f" for {seconds:g} s" if seconds is not None else ""
    return e.IdleTimeoutError(
        f"{_host(url)} sent nothing{span}",
        "Try again; a model that thinks longer needs a larger stream_idle_timeout_secs in the catalog.",
    )


def _no_connection(where: str, problem: BaseException) -> e.NetworkError:
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return e.NetworkError(
                f"The certificate of {where} is not trusted: {cause.verify_message}",
                "Behind a company proxy, point SSL_CERT_FILE to its certificate.",
                retryable=False,
            )
        if isinstance(cause, socket.gaierror):
            return e.NetworkError(
                f"The name {where} cannot be found", "Check the base URL, the network and HTTPS_PROXY."
            )
        if isinstance(cause, ConnectionRefusedError):
            return e.NetworkError(f"Nothing answers at {where}", "Start the server or check the base URL.")
        cause = cause.__cause__ or cause.__context__
    return e.NetworkError(
        f"No connection to {where}: {_said(problem)}", "Check the network and the base URL."
    )


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "the server"
    host = parts.hostname or "the server"
    return f"{host}:{port}" if port else host


def _said(problem: BaseException) -> str:
    words = redact(" ".join(str(problem).split()))
    return words[:200] or type(problem).__name__


class _RedactUrls(logging.Filter):
    """The library logs whole URLs, and some providers take the key in the query."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


_REDACT_URLS = _RedactUrls()


def _redact_library_log() -> None:
    logging.getLogger("httpx2").addFilter(_REDACT_URLS)  # adding it twice changes nothing


def tls_context() -> ssl.SSLContext:
    """The certificates that HTTP trusts, for a connection that is not HTTP (``SSL_CERT_FILE`` counts)."""
    return httpx2.create_ssl_context()
