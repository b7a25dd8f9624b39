"""A real OAuth server on 127.0.0.1, as strict as the vendors are; its rules: :mod:`support.oauth_ledger`.

::

    with OAuthServer() as server:
        entry = server.catalog_entry("openai")          # {"openai": {...}}: the `oauth` of a catalog.json
        place = server.allow(challenge.url)             # as a person who clicks Allow: the redirect
        server.ledger.expires_in = 2                    # knobs: see Ledger
        server.fail("token", status=500, body="oops")   # the next answer of an endpoint
        assert server.valid(access_token)
        assert not server.refusals

Endpoints: ``/oauth/authorize`` (a page with the buttons Allow and Deny), ``/oauth/code`` (the vendor's page
that shows ``code#state``), ``/oauth/token`` (form and JSON), ``/oauth/revoke``, OpenAI's device dialect
below ``/api/accounts/deviceauth`` with its page ``/codex/device``, RFC 8628 at ``/oauth/device`` with its
page ``/device``, and ``/.well-known/openid-configuration``.
"""

from __future__ import annotations

import contextlib
import html
import json
import secrets
import socket
import tempfile
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from support.oauth_ledger import CLIENTS, Client, Ledger, RefusedError, verifier_pair

if TYPE_CHECKING:
    from ante_nb.providers.auth.oauth_spec import OAuthSpec

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass
class Seen:
    """One request: ``endpoint`` is authorize, token, revoke, device_code, device_token, discovery ..."""

    endpoint: str
    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    body: dict[str, str]
    style: str = ""


@dataclass
class Failure:
    """What an endpoint answers instead. ``status`` 0 drops the connection; ``after`` does the work first."""

    status: int = 500
    body: Any = ""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False
    delay: float = 0.0


class OAuthServer:
    """The server, in threads. Use it as a context manager.

    ``device_pending``: polls that are answered "pending" before the sign-in allows itself; ``None`` waits
    for :meth:`allow_device`. ``device_pending_status``: 403 or 404 (OpenAI's dialect). ``delay``: seconds
    before every answer of the token endpoint. ``issuer``: what discovery says, by default the base URL.
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.seen: list[Seen] = []
        self.refusals: list[str] = []
        self.device_pending: int | None = None
        self.device_pending_status = 403
        self.device_enabled = True
        self.device_lifetime = 900.0
        self.device_interval: Any = None
        """What is answered as ``interval``; by default ``"0"`` (a string, as OpenAI does) or 0."""
        self.device_strict_interval = 0.0
        """Polling faster than this many seconds is answered ``slow_down`` (RFC 8628)."""
        self.delay = 0.0
        self.issuer: str | None = None
        self._failures: dict[str, deque[Failure]] = defaultdict(deque)
        self._asked: dict[str, tuple[Client, dict[str, str]]] = {}
        self._device_codes: dict[str, dict[str, str]] = {}
        server = self

        class Handler(_Handler):
            oauth = server

        self._http = _QuietServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> OAuthServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    # ------------------------------------------------------------------------------- for the tests

    def catalog_entry(self, preset: str, **more: Any) -> dict[str, dict[str, Any]]:
        """The ``oauth`` object of a catalog.json that sends ``preset`` here; ``more`` overrides fields."""
        client = CLIENTS[preset]
        entry: dict[str, Any] = {
            "client_id": client.client_id,
            "authorize_url": f"{self.url}/oauth/authorize",
            "token_url": f"{self.url}/oauth/token",
            "revoke_url": f"{self.url}/oauth/revoke",
            "discovery_url": None,
            "scopes": list(client.scopes),
            "redirect_host": "localhost",
            "redirect_ports": [0],
            "redirect_path": client.redirect_path,
            "device": None,
        }
        if preset == "openai":
            entry["device"] = {
                "style": "codex",
                "code_url": f"{self.url}/api/accounts/deviceauth/usercode",
                "token_url": f"{self.url}/api/accounts/deviceauth/token",
                "verify_url": f"{self.url}/codex/device",
                "redirect_uri": f"{self.url}/deviceauth/callback",
            }
        elif preset == "anthropic":
            entry["exchange_style"] = entry["refresh_style"] = "json"
            entry["exchange_sends_state"] = True
            entry["manual_redirect_uri"] = f"{self.url}/oauth/code"
        else:
            entry["discovery_url"] = f"{self.url}/.well-known/openid-configuration"
            entry["device"] = {
                "style": "rfc8628",
                "code_url": f"{self.url}/oauth/device",
                "token_url": f"{self.url}/oauth/token",
                "verify_url": f"{self.url}/device",
            }
        return {preset: {**entry, **more}}

    def spec(self, preset: str, **more: Any) -> OAuthSpec:
        """The preset as a catalog.json with :meth:`catalog_entry` makes it."""
        from ante_nb.providers.catalog import load_catalog

        with tempfile.TemporaryDirectory() as home:
            text = json.dumps({"oauth": self.catalog_entry(preset, **more)})
            (Path(home) / "catalog.json").write_text(text, encoding="utf-8")
            catalog = load_catalog(Path(home))
        assert catalog.report() is None, catalog.report()
        return catalog.oauth[preset]

    def valid(self, access_token: str) -> bool:
        """Whether a model server would take the token now."""
        return self.ledger.valid(access_token)

    def fail(self, endpoint: str, times: int = 1, **how: Any) -> None:
        """Answer the next ``times`` requests of ``endpoint`` with :class:`Failure` of ``how``."""
        self._failures[endpoint].extend(Failure(**how) for _ in range(times))

    def requests(self, endpoint: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.endpoint == endpoint]

    def allow(self, authorize_url: str) -> str:
        """Open the link and click Allow; returns where the browser is sent."""
        return self._decide(authorize_url, "allow")

    def deny(self, authorize_url: str) -> str:
        return self._decide(authorize_url, "deny")

    def allow_device(self, user_code: str) -> None:
        self.ledger.decide_device(user_code, True)

    def deny_device(self, user_code: str) -> None:
        self.ledger.decide_device(user_code, False)

    def _decide(self, authorize_url: str, what: str) -> str:
        opener = build_opener(_NoRedirect)
        with opener.open(authorize_url, timeout=10) as page:
            if page.status in (302, 303):
                return page.headers["location"]  # refused at once
            ticket = page.read().decode().partition('name="ticket" value="')[2].partition('"')[0]
        form = urlencode({"ticket": ticket, "decision": what}).encode()
        with opener.open(Request(f"{self.url}/oauth/decision", form), timeout=10) as answer:
            return answer.headers["location"]

    # --------------------------------------------------------------------------------- endpoints

    def authorize(self, request: Seen) -> Answer:
        query = request.query
        # An unknown client or redirect is never redirected to (RFC 6749 section 4.1.2.1).
        client = self.ledger.client(query.get("client_id", ""))
        redirect = query.get("redirect_uri", "")
        self.ledger.check_redirect(client, redirect, (f"{self.url}/oauth/code",))
        try:
            self.ledger.check_authorize(client, query)
        except RefusedError as refused:
            self.refusals.append(str(refused))
            said = {"error": refused.code, "error_description": refused.why, "state": query.get("state", "")}
            return Answer(302, b"", {"location": f"{redirect}?{urlencode(said)}"})
        ticket = secrets.token_urlsafe(16)
        self._asked[ticket] = (client, query)
        return _page(
            f"<h1>Sign in to {client.preset}</h1><form method=post action=/oauth/decision>"
            f'<input type=hidden name="ticket" value="{ticket}">'
            "<button name=decision value=allow>Allow</button> <button name=decision value=deny>Deny</button>"
            "</form>"
        )

    def decision(self, request: Seen) -> Answer:
        client, query = self._asked.pop(request.body["ticket"])
        if request.body.get("decision") == "allow":
            said = {"code": self.ledger.new_code(client, query)}
        else:
            said = {"error": "access_denied", "error_description": "The person <b>said</b> no"}
        said["state"] = query["state"]
        return Answer(302, b"", {"location": f"{query['redirect_uri']}?{urlencode(said)}"})

    def code_page(self, request: Seen) -> Answer:
        shown = f"{request.query.get('code', '')}#{request.query.get('state', '')}"
        return _page(f"<p>Paste this:</p><code id=code>{html.escape(shown)}</code>")

    def token(self, request: Seen) -> Answer:
        body, style = request.body, request.style
        client = self.ledger.client(body.get("client_id", ""))
        if request.query:
            raise RefusedError("invalid_request", "parameters belong into the body")
        grant = body.get("grant_type")
        if grant == "authorization_code":
            _need(style in client.exchange, f"this endpoint takes {'/'.join(client.exchange)}")
            return _json(self.ledger.exchange(client, body))
        if grant == "refresh_token":
            _need(style in client.refresh, f"this endpoint takes {'/'.join(client.refresh)}")
            return _json(self.ledger.refresh(client, body))
        if grant == DEVICE_GRANT:
            _need(style == "form", "this endpoint takes form")
            return self._device_grant(client, body)
        raise RefusedError("unsupported_grant_type", "what grant_type?")

    def revoke(self, request: Seen) -> Answer:
        self.ledger.client(request.body.get("client_id", ""))
        _need(bool(request.body.get("token")), "token is missing")
        self.ledger.revoke(request.body["token"])
        return Answer(200, b"", {})

    def codex_code(self, request: Seen) -> Answer:
        _need(request.style == "json", "JSON only")
        client = self.ledger.client(request.body.get("client_id", ""))
        if not self.device_enabled:
            return Answer(404, b"", {})
        name, device = self.ledger.new_device(client, self.device_lifetime, 0)
        interval = "0" if self.device_interval is None else self.device_interval
        return _json({"device_auth_id": name, "user_code": device.user_code, "interval": interval})

    def codex_token(self, request: Seen) -> Answer:
        _need(request.style == "json", "JSON only")
        name = request.body.get("device_auth_id", "")
        device = self.ledger.devices.get(name)
        if device is None or device.user_code != request.body.get("user_code"):
            raise RefusedError("invalid_request", "no such device code")
        self._poll(device)
        if device.state == "denied":
            raise RefusedError("access_denied", "the person said no")
        if device.state != "allowed":
            return Answer(self.device_pending_status, b'{"detail":"pending"}', {})
        if name not in self._device_codes:
            verifier, challenge = verifier_pair()
            query = {
                "redirect_uri": f"{self.url}/deviceauth/callback",
                "code_challenge": challenge,
                "state": secrets.token_urlsafe(32),
                "scope": " ".join(CLIENTS["openai"].scopes),
            }
            code = self.ledger.new_code(CLIENTS["openai"], query)
            self._device_codes[name] = {
                "authorization_code": code, "code_challenge": challenge, "code_verifier": verifier,
            }  # fmt: skip
        return _json(self._device_codes[name])

    def rfc_code(self, request: Seen) -> Answer:
        _need(request.style == "form", "form only")
        client = self.ledger.client(request.body.get("client_id", ""))
        if not self.device_enabled:
            raise RefusedError("unauthorized_client", "not for this client")
        interval = 0 if self.device_interval is None else self.device_interval
        name, device = self.ledger.new_device(client, self.device_lifetime, self.device_strict_interval)
        page = f"{self.url}/device"
        return _json({
            "device_code": name, "user_code": device.user_code, "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={device.user_code}",
            "expires_in": self.device_lifetime, "interval": interval,
        })  # fmt: skip

    def _device_grant(self, client: Client, body: dict[str, str]) -> Answer:
        device = self.ledger.devices.get(body.get("device_code", ""))
        if device is None or device.preset != client.preset or device.state == "used":
            raise RefusedError("invalid_grant", "no such device code")
        now = time.monotonic()
        early = device.last_poll is not None and now - device.last_poll < device.interval
        device.last_poll = now
        if early:
            device.interval += 5
            raise RefusedError("slow_down", "too fast")
        self._poll(device)
        if device.state == "denied":
            raise RefusedError("access_denied", "the person said no")
        if now > device.ends:
            raise RefusedError("expired_token", "too late")
        if device.state != "allowed":
            raise RefusedError("authorization_pending", "not yet")
        return _json(self.ledger.device_tokens(client, device))

    def _poll(self, device: Any) -> None:
        device.polls += 1
        if self.device_pending is not None and device.polls > self.device_pending:
            device.state = "allowed" if device.state == "pending" else device.state

    def device_page(self, request: Seen) -> Answer:
        given = {**request.query, **request.body}
        if request.method == "POST":
            self.ledger.decide_device(given.get("user_code", ""), given.get("decision") != "deny")
            return _page("<p>Done. You can close this page.</p>")
        code = html.escape(given.get("user_code", ""))
        return _page(
            f'<form method=post><input name=user_code value="{code}">'
            "<button name=decision value=allow>Allow</button> <button name=decision value=deny>Deny</button>"
            "</form>"
        )

    def discovery(self, request: Seen) -> Answer:
        return _json({
            "issuer": self.url if self.issuer is None else self.issuer,
            "authorization_endpoint": f"{self.url}/oauth/authorize",
            "token_endpoint": f"{self.url}/oauth/token",
            "revocation_endpoint": f"{self.url}/oauth/revoke",
            "device_authorization_endpoint": f"{self.url}/oauth/device",
            "code_challenge_methods_supported": ["S256"],
        })  # fmt: skip

    # -------------------------------------------------------------------------------------- inside

    def failure(self, endpoint: str) -> Failure | None:
        waiting = self._failures[endpoint]
        return waiting.popleft() if waiting else None

    def refused(self, request: Seen, refused: RefusedError) -> Answer:
        if refused.code not in ("authorization_pending", "slow_down", "access_denied", "expired_token"):
            self.refusals.append(f"{request.endpoint}: {refused}")
        if request.endpoint in ("authorize", "device_page"):
            return _page(f"<p>{html.escape(str(refused))}</p>", 400)
        with contextlib.suppress(RefusedError):
            if self.ledger.client(request.body.get("client_id", "")).nested_errors:
                said = {"message": refused.why, "type": "invalid_request_error", "param": None}
                return _json({"error": {**said, "code": refused.code}}, refused.status)
        return _json({"error": refused.code, "error_description": refused.why}, refused.status)


ROUTES = {
    ("GET", "/oauth/authorize"): ("authorize", OAuthServer.authorize),
    ("POST", "/oauth/decision"): ("decision", OAuthServer.decision),
    ("GET", "/oauth/code"): ("code_page", OAuthServer.code_page),
    ("POST", "/oauth/token"): ("token", OAuthServer.token),
    ("POST", "/oauth/revoke"): ("revoke", OAuthServer.revoke),
    ("POST", "/api/accounts/deviceauth/usercode"): ("device_code", OAuthServer.codex_code),
    ("POST", "/api/accounts/deviceauth/token"): ("device_token", OAuthServer.codex_token),
    ("POST", "/oauth/device"): ("device_code", OAuthServer.rfc_code),
    ("GET", "/codex/device"): ("device_page", OAuthServer.device_page),
    ("POST", "/codex/device"): ("device_page", OAuthServer.device_page),
    ("GET", "/device"): ("device_page", OAuthServer.device_page),
    ("POST", "/device"): ("device_page", OAuthServer.device_page),
    ("GET", "/.well-known/openid-configuration"): ("discovery", OAuthServer.discovery),
}


@dataclass
class Answer:
    """What goes back."""

    status: int
    body: bytes
    headers: dict[str, str]


def _json(value: Any, status: int = 200) -> Answer:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return Answer(status, json.dumps(value).encode(), headers)


def _page(body: str, status: int = 200) -> Answer:
    text = f"<!doctype html><meta charset=utf-8><title>OAuth test server</title>{body}"
    return Answer(status, text.encode(), {"content-type": "text/html; charset=utf-8"})


def _need(fine: bool, why: str) -> None:
    if not fine:
        raise RefusedError("invalid_request", why)


def _pairs(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    _need(len({name for name, _ in pairs}) == len(pairs), "a parameter is given twice")
    return dict(pairs)


class _NoRedirect(HTTPRedirectHandler):
    def http_error_302(self, req: Any, fp: Any, *rest: Any) -> Any:
        return fp

    http_error_303 = http_error_302


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    oauth: OAuthServer
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:
        """The requests are in ``seen``."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        endpoint, method = ROUTES.get((self.command, parts.path), ("", None))
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        seen = Seen(
            endpoint, self.command, parts.path, {k.lower(): v for k, v in self.headers.items()}, {}, {}
        )
        self.oauth.seen.append(seen)
        failure = self.oauth.failure(endpoint)
        try:
            seen.query = _pairs(parts.query)
            self._body(seen, raw)
            if endpoint == "token":
                time.sleep(self.oauth.delay)
            if failure and not failure.after:
                return self._fail(failure)
            answer = Answer(404, b"", {}) if method is None else method(self.oauth, seen)
        except RefusedError as refused:
            answer = self.oauth.refused(seen, refused)
        except (KeyError, ValueError) as problem:
            answer = self.oauth.refused(seen, RefusedError("invalid_request", repr(problem)))
        if failure and failure.after:
            return self._fail(failure)
        return self._send(answer)

    def _body(self, seen: Seen, raw: bytes) -> None:
        kind = self.headers.get_content_type() if self.headers.get("content-type") else ""
        if kind == "application/x-www-form-urlencoded":
            seen.style, seen.body = "form", _pairs(raw.decode("ascii"))
        elif kind == "application/json":
            value = json.loads(raw)
            _need(isinstance(value, dict), "an object is wanted")
            _need(all(isinstance(v, str) for v in value.values()), "all values are strings")
            seen.style, seen.body = "json", value
        else:
            _need(not raw, f"no body of type {kind!r}")

    def _fail(self, failure: Failure) -> None:
        time.sleep(failure.delay)
        if failure.status == 0:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = failure.body if isinstance(failure.body, str) else json.dumps(failure.body)
        headers = {"content-type": failure.content_type, **failure.headers}
        self._send(Answer(failure.status, body.encode(), headers))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
