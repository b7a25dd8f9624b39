"""Signing in with a code that is typed on any other device; the kernel asks until it is allowed.

Two dialects: OpenAI's own (``codex``), where asking ends with an authorization code and its verifier, and
the device authorization grant (``rfc8628``), where it ends with the tokens.
"""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

from ante_nb.errors import ConfigError, SignInError
from ante_nb.providers.auth.endpoint import Reply, TransientSignInError, call, exchange_patiently, record_of
from ante_nb.providers.auth.oauth_spec import is_secure_url
from ante_nb.providers.auth.refusals import refused, said
from ante_nb.providers.spec import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ante_nb.providers.auth.oauth_spec import DeviceSpec, OAuthSpec
    from ante_nb.providers.auth.record import SignInRecord

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DEFAULT_INTERVAL = 5.0
SHORTEST_INTERVAL = 1.0
LONGEST_INTERVAL = 60.0
SLOWER = 5.0
"""Seconds that ``slow_down`` adds to the interval for good (RFC 8628 section 3.5)."""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What the person types, where, and what the kernel asks with. Times are in seconds."""

    device_code: Secret
    user_code: str = field(repr=False)
    verify_url: str
    complete_url: str | None = field(repr=False)
    """The page with the code filled in already, where the vendor gives one."""
    interval: float
    expires_in: float


async def begin(spec: OAuthSpec) -> DeviceCode:
    """Ask for a code.

    Raises:
        SignInError: the vendor has it switched off (``code`` is ``device_disabled``), or refused.
        TransientSignInError: no usable answer.
        ConfigError: the vendor has no such way.
    """
    device = _device(spec)
    values = {"client_id": spec.client_id or ""}
    if device.style == "rfc8628" and spec.scopes:
        values["scope"] = " ".join(spec.scopes)
    style: Any = "json" if device.style == "codex" else "form"
    reply = await call(spec, "device code", device.code_url, values, style)
    if reply.status == 404:
        raise SignInError(
            f"{spec.display_name} has signing in with a device code switched off",
            "Use the browser or paste the answer instead; for ChatGPT it can be allowed in its security settings.",
            status=404,
            code="device_disabled",
            retryable=False,
        )
    if reply.status != 200:
        raise refused(spec, "device code", reply.status, reply.data, reply.kind, reply.headers)
    data = reply.data if isinstance(reply.data, dict) else {}
    code = data.get("device_auth_id" if device.style == "codex" else "device_code")
    user_code = data.get("user_code", data.get("usercode"))
    if not isinstance(code, str) or not code or not _is_user_code(user_code):
        raise TransientSignInError(
            f"{spec.display_name} answered the device code with something that is none",
            "Try again, or use the browser.",
            status=200,
            retryable=True,
        )
    page, complete = device.verify_url, None
    if device.style == "rfc8628":
        page = _link(data.get("verification_uri")) or page
        complete = _link(data.get("verification_uri_complete"))
    life = _seconds(data.get("expires_in"))
    return DeviceCode(
        Secret(code),
        user_code,
        page,
        complete,
        _interval(data.get("interval")),
        min(life, 3600.0) if life else device.expires_in,
    )


async def wait(
    spec: OAuthSpec,
    code: DeviceCode,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    on_allowed: Callable[[], None] = lambda: None,
) -> SignInRecord:
    """Ask until the person has allowed it. Whoever calls limits the time.

    Args:
        spec, code: what :func:`begin` was called with and gave.
        sleep: waits so many seconds.
        on_allowed: called when the person has said yes and the tokens are fetched.

    Raises:
        SignInError: denied (``code`` ``access_denied``), expired (``expired_token``) or refused.
    """
    device = _device(spec)
    interval = code.interval
    while True:
        await sleep(interval)
        try:
            reply = await _ask(spec, device, code)
        except TransientSignInError:
            # RFC 8628 section 3.5: slower after a network failure, but no end of it.
            interval = min(interval * 2, LONGEST_INTERVAL)
            continue
        if reply.status == 200:
            on_allowed()
            return await _finish(spec, device, reply, sleep)
        verdict = _verdict(device, reply)
        if verdict == "slow_down":
            interval = min(interval + SLOWER, LONGEST_INTERVAL)
        elif verdict != "pending":
            raise _ended(spec, verdict, reply)


async def _ask(spec: OAuthSpec, device: DeviceSpec, code: DeviceCode) -> Reply:
    if device.style == "codex":
        values = {"device_auth_id": code.device_code.value, "user_code": code.user_code}
        return await call(spec, "device sign-in", device.token_url, values, "json")
    values = {
        "grant_type": GRANT,
        "client_id": spec.client_id or "",
        "device_code": code.device_code.value,
    }
    return await call(spec, "device sign-in", device.token_url, values, "form")


def _verdict(device: DeviceSpec, reply: Reply) -> str:
    """``pending``, ``slow_down``, or the code it ended with."""
    code, _ = said(reply.data, reply.kind)
    if device.style == "codex" and reply.status in (403, 404):
        return "pending"  # whatever the body says: OpenAI has no other sign for it
    if code in ("authorization_pending", "deviceauth_authorization_pending"):
        return "pending"
    if code == "slow_down" or reply.status == 429:
        return "slow_down"
    if reply.status >= 500 or reply.status == 408:
        return "pending"  # the server is unwell, not the sign-in
    return code or "refused"


def _ended(spec: OAuthSpec, verdict: str, reply: Reply) -> SignInError:
    again = f"Start again: `{spec.login()}`."
    if verdict == "access_denied":
        message = f"The sign-in with {spec.display_name} was denied"
        return SignInError(message, again, status=reply.status, code=verdict, retryable=False)
    if verdict in ("expired_token", "expired"):
        message = f"The code for {spec.display_name} has expired"
        return SignInError(message, again, status=reply.status, code="expired_token", retryable=False)
    return refused(spec, "device sign-in", reply.status, reply.data, reply.kind, reply.headers)


async def _finish(
    spec: OAuthSpec, device: DeviceSpec, reply: Reply, sleep: Callable[[float], Awaitable[None]]
) -> SignInRecord:
    if device.style == "rfc8628":
        return record_of(spec, reply, "sign-in", source="device")
    data = reply.data if isinstance(reply.data, dict) else {}
    code, verifier = data.get("authorization_code"), data.get("code_verifier")
    if not (isinstance(code, str) and code and isinstance(verifier, str) and verifier):
        message = f"{spec.display_name} allowed the sign-in but sent no code"
        raise SignInError(message, f"Start again: `{spec.login()}`.", status=200, retryable=False)
    redirect = device.redirect_uri
    if not redirect:
        raise ConfigError(f"`oauth.{spec.preset}.device.redirect_uri` is missing", "Add it to catalog.json.")
    # The vendor made the verifier; there is no state, for no browser comes back here.
    return await exchange_patiently(
        spec, Secret(code), Secret(verifier), redirect, Secret(""), source="device", sleep=sleep
    )


def _device(spec: OAuthSpec) -> DeviceSpec:
    if spec.device is None:
        raise ConfigError(
            f"{spec.display_name} has no sign-in with a device code",
            "Use the browser, or paste the answer.",
        )
    return spec.device


def _is_user_code(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 -]{1,40}", value) is not None


def _link(value: object) -> str | None:
    return value if isinstance(value, str) and is_secure_url(value) else None


def _seconds(value: object) -> float | None:
    """A positive number, also written as a text (OpenAI sends ``"5"``)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _interval(value: object) -> float:
    if value in (0, "0"):
        return SHORTEST_INTERVAL
    found = _seconds(value)
    return DEFAULT_INTERVAL if found is None else min(max(found, SHORTEST_INTERVAL), LONGEST_INTERVAL)
