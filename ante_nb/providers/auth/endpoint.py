"""Calls to the vendor's authorization server: discovery, code exchange, refresh, revocation.

Bodies and answers are never logged, and everything secret that goes out or comes in is made known to
:mod:`ante_nb.redact` first, so that no text of a server can carry it into an error.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from ante_nb.errors import AnteError, ConfigError, SignInError
from ante_nb.providers.auth import jwt
from ante_nb.providers.auth.oauth_spec import is_loopback_host, is_secure_url
from ante_nb.providers.auth.record import SignInRecord
from ante_nb.providers.auth.refusals import (
    PERMANENT_CODES,
    REUSED,
    PermanentSignInError,
    TransientSignInError,
    parse,
    refused,
)
from ante_nb.providers.spec import Secret
from ante_nb.redact import register

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Literal

    from ante_nb.providers.auth.oauth_spec import OAuthSpec

__all__ = [
    "PERMANENT_CODES",
    "REUSED",
    "PermanentSignInError",
    "Reply",
    "TransientSignInError",
    "call",
    "discovery",
    "exchange",
    "exchange_patiently",
    "record_of",
    "refresh",
    "revoke",
]

IDLE = 30.0
"""Seconds without a byte after which a call is given up."""
TOTAL = 60.0
"""Seconds after which it is given up whatever it sends."""
REVOKE_TOTAL = 10.0
EXCHANGE_TRIES = 3
MAX_ANSWER = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: HTTP status, content type, headers, and the JSON value of the body or ``None``."""

    status: int
    kind: str
    headers: dict[str, str] = field(repr=False)
    data: Any = field(repr=False)


async def call(
    spec: OAuthSpec,
    what: str,
    url: str,
    values: Mapping[str, str] | None = None,
    style: Literal["form", "json"] = "form",
    total: float = TOTAL,
) -> Reply:
    """POST ``values`` (or GET where there are none) and read the answer, whatever its status.

    Args:
        spec: whose endpoint it is.
        what: ``refresh``, ``sign-in`` ...: for the messages.
        url: absolute; https, or http to this machine.
        values: the parameters, secrets in clear.
        style: how they are sent.
        total: seconds for all of it.

    Raises:
        TransientSignInError: no answer.
        ConfigError: the URL may not carry a token.
    """
    from ante_nb.providers.transports.http import HttpClient

    if not is_secure_url(url):
        raise ConfigError(
            f"The address for the {what} with {spec.display_name} must begin with https://",
            f"Correct `oauth.{spec.preset}` in catalog.json.",
        )
    for name in ("code", "code_verifier", "state", "refresh_token", "token", "device_code", "device_auth_id"):
        _known(values.get(name) if values else None)
    sent: dict[str, Any] = {"headers": {"accept": "application/json", **spec.token_headers}, "idle": IDLE}
    if values is not None:
        sent["form" if style == "form" else "body"] = dict(values)
    client = HttpClient(url)
    try:
        async with (
            asyncio.timeout(total),
            client.stream("GET" if values is None else "POST", url, **sent) as answer,
        ):
            body = await answer.read(MAX_ANSWER)
            return Reply(answer.status, answer.content_type, answer.headers, parse(body))
    except TimeoutError:
        message = f"{spec.display_name} did not answer the {what} within {total:.0f} s"
        raise TransientSignInError(message, "Check the network and try again.", retryable=True) from None
    except (SignInError, ConfigError):
        raise
    except AnteError as problem:
        message = f"The {what} with {spec.display_name} failed: {problem.message}"
        hint = problem.hint or "Check the network and try again."
        raise TransientSignInError(message, hint, retryable=True) from problem
    finally:
        await client.aclose()


async def exchange(
    spec: OAuthSpec,
    code: Secret,
    verifier: Secret,
    redirect_uri: str,
    state: Secret,
    *,
    source: str = "browser",
) -> SignInRecord:
    """The tokens for an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5).

    Raises:
        PermanentSignInError: the code is refused.
        TransientSignInError: nothing is decided; the same call may be made again.
        SignInError: the client or the request is wrong.
    """
    values = {
        "grant_type": "authorization_code",
        "client_id": spec.client_id or "",
        "code": code.value,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier.value,
    }
    if spec.exchange_sends_state:
        values["state"] = state.value
    reply = await call(spec, "sign-in", _token_url(spec), values, spec.exchange_style)
    return record_of(spec, reply, "sign-in", source=source)


async def exchange_patiently(
    spec: OAuthSpec,
    code: Secret,
    verifier: Secret,
    redirect_uri: str,
    state: Secret,
    *,
    source: str = "browser",
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> SignInRecord:
    """:func:`exchange`, again after a failure that decided nothing; ``sleep`` waits so many seconds."""
    for left in reversed(range(EXCHANGE_TRIES)):
        try:
            return await exchange(spec, code, verifier, redirect_uri, state, source=source)
        except TransientSignInError as problem:
            passing = problem.status is None or problem.status == 429 or problem.status >= 500
            if not passing or not left:
                raise
            await sleep(min(problem.retry_after or 1.0, 10.0))
    raise AssertionError("unreachable")


async def refresh(spec: OAuthSpec, record: SignInRecord) -> SignInRecord:
    """A new record for an old one. **Spends the refresh token** where the vendor rotates it.

    The client id is the record's own, to which the token is bound (RFC 6749 section 6); the endpoint is
    the preset's, which may have moved since.

    Raises:
        PermanentSignInError: the refresh token is dead; ``code`` says how (``refresh_token_reused`` ...).
        TransientSignInError: nothing is decided.
        SignInError: the client or the request is wrong, or the record has no refresh token.
    """
    if record.refresh_token is None:
        raise SignInError(
            f"The sign-in with {spec.display_name} cannot be renewed: it has no refresh token",
            f"Sign in again: `{spec.login()}`.",
            retryable=False,
        )
    url = spec.token_url or record.token_url
    if url is None and spec.discovery_url:
        spec = await discovery(spec)
        url = spec.token_url
    values = {
        "grant_type": "refresh_token",
        "client_id": record.client_id or spec.client_id or "",
        "refresh_token": record.refresh_token.value,
    }
    reply = await call(spec, "refresh", url or _token_url(spec), values, spec.refresh_style)
    return record_of(spec, reply, "refresh", source=record.source, before=record)


async def revoke(spec: OAuthSpec, record: SignInRecord) -> bool:
    """Tell the vendor that the tokens are no longer wanted (RFC 7009).

    Returns:
        Whether the vendor said yes; ``False`` where it has no such endpoint or could not be reached.
    """
    if not spec.revoke_url:
        return False
    token, hint = record.refresh_token, "refresh_token"
    if token is None:
        token, hint = record.access_token, "access_token"
    values = {"token": token.value, "token_type_hint": hint}
    if client_id := record.client_id or spec.client_id:
        values["client_id"] = client_id
    try:
        reply = await call(spec, "sign-out", spec.revoke_url, values, spec.refresh_style, REVOKE_TOTAL)
    except AnteError:
        return False
    return 200 <= reply.status < 300


async def discovery(spec: OAuthSpec) -> OAuthSpec:
    """``spec`` with the endpoints it lacks, from the vendor's discovery document.

    The document's issuer must be of the host that was asked (OpenID Connect Discovery 1.0, section 4.3),
    or a foreign document could send codes and tokens elsewhere.

    Raises:
        SignInError: the document cannot be had, or does not fit.
    """
    if spec.discovery_url is None:
        return spec
    reply = await call(spec, "discovery", spec.discovery_url)
    if reply.status != 200:
        raise refused(spec, "discovery", reply.status, reply.data, reply.kind, reply.headers)

    def wrong(why: str) -> SignInError:
        hint = f"Check `oauth.{spec.preset}.discovery_url` in catalog.json."
        return SignInError(f"The discovery document of {spec.display_name} {why}", hint, retryable=False)

    found = reply.data
    if not isinstance(found, dict):
        raise wrong("is no JSON object")
    if _origin(found.get("issuer")) != _origin(spec.discovery_url):
        raise wrong("names another issuer than the host it came from")
    methods = found.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise wrong("offers no S256 proof keys")
    local = is_loopback_host(urlsplit(spec.discovery_url).hostname or "")
    names = {
        "authorize_url": "authorization_endpoint",
        "token_url": "token_endpoint",
        "revoke_url": "revocation_endpoint",
    }
    given: dict[str, str] = {}
    for name, key in names.items():
        url = found.get(key)
        if getattr(spec, name) is not None or url is None:
            continue
        fine = isinstance(url, str) and is_secure_url(url)
        if not fine or (is_loopback_host(urlsplit(url).hostname or "") and not local):
            raise wrong(f"has an unusable `{key}`")
        given[name] = url
    return replace(spec, **given)  # type: ignore[arg-type]


def record_of(
    spec: OAuthSpec, reply: Reply, what: str, *, source: str, before: SignInRecord | None = None
) -> SignInRecord:
    """The record of a token answer; what it does not repeat is kept from the record ``before`` it.

    Raises:
        SignInError: the answer is no success (see :func:`ante_nb.providers.auth.refusals.refused`), or no
            token answer (``TransientSignInError``: a proxy may have answered).
    """
    now, data = time.time(), reply.data
    if reply.status != 200:
        raise refused(spec, what, reply.status, data, reply.kind, reply.headers)
    access = _token(data, "access_token")
    kind = data.get("token_type") if isinstance(data, dict) else None
    if access is None or not (kind is None or (isinstance(kind, str) and kind.lower() == "bearer")):
        message = f"{spec.display_name} answered the {what} with something that is no bearer token"
        raise TransientSignInError(message, f"Try again, or `{spec.login()}`.", status=200, retryable=True)
    id_token = _token(data, "id_token")
    found = [jwt.claims(token.value) for token in (id_token, access) if token is not None]
    if before is None:
        before = SignInRecord(spec.preset, access, now, scopes=spec.scopes)
    scope = data.get("scope")

    def text(group: str | None, name: str) -> str | None:
        return next((value for value in (jwt.claim_text(c, group, name) for c in found) if value), None)

    account = text(spec.account_claim, "chatgpt_account_id") if spec.account_claim else None
    if account is not None and not re.fullmatch(r"[!-~]+", account):
        account = None  # it goes into a header
    plan = text(spec.account_claim, "chatgpt_plan_type") if spec.account_claim else None
    return replace(
        before,
        access_token=access,
        obtained_at=now,
        refresh_token=_token(data, "refresh_token") or before.refresh_token,
        id_token=id_token or before.id_token,
        expires_in=_lifetime(data, jwt.claims(access.value)),
        account_id=account or before.account_id,
        plan=plan or before.plan,
        email=text(None, "email") or before.email,
        scopes=tuple(scope.split()) if isinstance(scope, str) and scope.strip() else before.scopes,
        token_url=spec.token_url or before.token_url,
        client_id=before.client_id or spec.client_id,
        source=source,
        problem=None,
    )


def _lifetime(data: dict[str, Any], claims: dict[str, Any]) -> float | None:
    """Seconds the access token lives: what the answer says or the JWT, whichever ends first."""
    value = data.get("expires_in")
    if isinstance(value, str) and re.fullmatch(r"\d{1,12}(\.\d*)?", value):
        value = float(value)  # some servers send it as a text
    spans = [jwt.lifetime(claims)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        spans.append(max(0.0, float(value)) if abs(value) < 1e12 and math.isfinite(value) else None)
    known = [span for span in spans if span is not None]
    return min(known) if known else None


def _token(data: Any, name: str) -> Secret | None:
    """A token that a header can carry, or ``None``."""
    value = data.get(name) if isinstance(data, dict) else None
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]{1,65536}", value):
        return None
    _known(value)
    return Secret(value)


def _known(value: str | None) -> None:
    # A short text that somebody pasted by mistake must not be masked in everything from then on.
    if value and len(value) >= 16:
        register(value)
        register(quote(value, safe=""))


def _token_url(spec: OAuthSpec) -> str:
    if not spec.token_url:
        raise ConfigError(
            f"No token endpoint is known for {spec.display_name}",
            f"Set `oauth.{spec.preset}.token_url` in catalog.json.",
        )
    return spec.token_url


def _origin(url: object) -> tuple[str, str, int | None] | None:
    if not isinstance(url, str) or not is_secure_url(url):
        return None
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    return parts.scheme, (parts.hostname or "").lower(), port
