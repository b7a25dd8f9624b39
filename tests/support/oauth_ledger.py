"""What the OAuth test server knows: registered clients, codes, token families, device codes.

As strict as the vendors: a code works once (a second use takes back what it gave), a refresh token works
once (a second use, after the grace time, ends its whole family), everything is bound to the client, the
redirect and the PKCE challenge it began with.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

ACCOUNT = "acc_fix"
EMAIL = "person@example.com"
PLAN = "plus"
OPENAI_CLAIM = "https://api.openai.com/auth"


class RefusedError(Exception):
    """A request that the vendor would refuse: ``code`` is the OAuth error."""

    def __init__(self, code: str, why: str, status: int = 400) -> None:
        super().__init__(f"{code}: {why}")
        self.code, self.why, self.status = code, why, status


@dataclass(frozen=True)
class Client:
    """One registered client, and what its vendor insists on."""

    preset: str
    client_id: str
    redirect_path: str
    scopes: tuple[str, ...]
    lifetime: int
    exchange: frozenset[str] = frozenset({"form"})
    refresh: frozenset[str] = frozenset({"form"})
    sends_state: bool = False
    jwt: bool = True
    nested_errors: bool = False
    grace: float = 0.0


CLIENTS = {
    "openai": Client(
        "openai", "app_TestClientOpenAI00000000", "/auth/callback",
        ("openid", "profile", "email", "offline_access"), 864000,
        refresh=frozenset({"form", "json"}), nested_errors=True,
    ),
    "anthropic": Client(
        "anthropic", "test-client-of-the-person", "/callback", ("test:inference",), 28800,
        exchange=frozenset({"json"}), refresh=frozenset({"json"}), sends_state=True, jwt=False,
    ),
    "antix": Client("antix", "ante-cli", "/callback", (), 900, grace=30.0),
}  # fmt: skip


@dataclass
class Family:
    """The tokens that one sign-in gave: one refresh token is current, the others are spent."""

    preset: str
    scopes: tuple[str, ...]
    current: str = ""
    spent: dict[str, float] = field(default_factory=dict)
    """Refresh token -> monotonic time until which a second use is forgiven."""
    access: dict[str, float] = field(default_factory=dict)
    """Access token -> monotonic time of its end."""
    born: float = field(default_factory=time.monotonic)
    dead: str | None = None
    refreshes: int = 0


@dataclass
class _Code:
    preset: str
    redirect_uri: str
    challenge: str
    state: str
    scopes: tuple[str, ...]
    ends: float
    family: Family | None = None


@dataclass
class Device:
    """One device sign-in."""

    preset: str
    user_code: str
    ends: float
    state: str = "pending"
    polls: int = 0
    last_poll: float | None = None
    interval: float = 0.0
    family: Family | None = None


class Ledger:
    """All state; every method is safe to call from any thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.families: list[Family] = []
        self.devices: dict[str, Device] = {}
        self._codes: dict[str, _Code] = {}
        self.expires_in: int | None = None
        """Overrides the vendor's lifetime of an access token, in seconds; -1 leaves ``expires_in`` out."""
        self.grace: float | None = None
        """Overrides the seconds for which a spent refresh token still works."""
        self.refresh_lifetime: float = 1e9
        self.code_lifetime: float = 600.0
        self.clock_offset: float = 0.0
        """How far the vendor's clock is ahead of ours, in seconds."""
        self.ports: tuple[int, ...] | None = None
        """The registered loopback ports; ``None`` takes any."""
        self.extra_claims: dict[str, Any] = {}

    # ---------------------------------------------------------------------------------- authorize

    def client(self, client_id: str) -> Client:
        for client in CLIENTS.values():
            if client.client_id == client_id:
                return client
        raise RefusedError("invalid_client", "no such client", 401)

    def check_redirect(self, client: Client, uri: str, pages: tuple[str, ...]) -> None:
        """Refuses a redirect that is not registered: a page of the vendor, or loopback and its path."""
        if uri in pages:
            return
        try:
            parts = urlsplit(uri)
            port = parts.port
        except ValueError:
            raise RefusedError("invalid_request", "redirect_uri is no URI") from None
        if parts.scheme != "http" or parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise RefusedError("invalid_request", "redirect_uri is not registered")
        if parts.path != client.redirect_path or parts.query or parts.fragment or parts.username:
            raise RefusedError("invalid_request", "redirect_uri is not registered")
        if port is None or (self.ports is not None and port not in self.ports):
            raise RefusedError("invalid_request", "the port of redirect_uri is not registered")

    def check_authorize(self, client: Client, query: dict[str, str]) -> None:
        if query.get("response_type") != "code":
            raise RefusedError("unsupported_response_type", "response_type must be code")
        if query.get("code_challenge_method") != "S256":
            raise RefusedError("invalid_request", "code_challenge_method must be S256")
        if not re.fullmatch(r"[A-Za-z0-9_-]{43}", query.get("code_challenge", "")):
            raise RefusedError("invalid_request", "code_challenge is no S256 challenge")
        if not re.fullmatch(r"[A-Za-z0-9_-]{22,128}", query.get("state", "")):
            raise RefusedError("invalid_request", "state must be random: 22 characters at least")
        asked = set(query.get("scope", "").split())
        if missing := set(client.scopes) - asked:
            raise RefusedError("invalid_scope", f"scopes missing: {' '.join(sorted(missing))}")

    def new_code(self, client: Client, query: dict[str, str]) -> str:
        code = "ac_" + secrets.token_urlsafe(24)
        scopes = tuple(query.get("scope", "").split())
        with self.lock:
            self._codes[code] = _Code(
                client.preset, query["redirect_uri"], query["code_challenge"], query["state"], scopes,
                time.monotonic() + self.code_lifetime,
            )  # fmt: skip
        return code

    # -------------------------------------------------------------------------------------- token

    def exchange(self, client: Client, body: dict[str, str]) -> dict[str, Any]:
        with self.lock:
            code = self._codes.get(body.get("code", ""))
            if code is None:
                raise RefusedError("invalid_grant", "no such code")
            if code.family is not None:
                code.family.dead = "refresh_token_invalidated"
                raise RefusedError("invalid_grant", "the code was used before")
            if code.preset != client.preset:
                raise RefusedError("invalid_grant", "the code belongs to another client")
            if time.monotonic() > code.ends:
                raise RefusedError("invalid_grant", "the code has expired")
            if body.get("redirect_uri") != code.redirect_uri:
                raise RefusedError("invalid_grant", "redirect_uri is not the one of the authorization")
            if client.sends_state and body.get("state") != code.state:
                raise RefusedError("invalid_grant", "state is not the one of the authorization")
            verifier = body.get("code_verifier", "")
            if not re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier):
                raise RefusedError("invalid_grant", "code_verifier has the wrong length or characters")
            if not hmac.compare_digest(challenge_of(verifier), code.challenge):
                raise RefusedError("invalid_grant", "code_verifier does not fit")
            if verifier == code.state:
                raise RefusedError("invalid_grant", "state and code_verifier must be independent")
            code.family = self._family(client, code.scopes)
            return self._issue(client, code.family)

    def refresh(self, client: Client, body: dict[str, str]) -> dict[str, Any]:
        token = body.get("refresh_token", "")
        with self.lock:
            family = next(
                (
                    family
                    for family in self.families
                    if family.preset == client.preset and (token == family.current or token in family.spent)
                ),
                None,
            )
            if family is None or not token:
                raise _dead(client, "refresh_token_invalidated")
            if family.dead:
                raise _dead(client, family.dead)
            if time.monotonic() - family.born > self.refresh_lifetime:
                raise _dead(client, "refresh_token_expired")
            if token != family.current and time.monotonic() > family.spent[token]:
                family.dead = "refresh_token_invalidated"
                raise _dead(client, "refresh_token_reused")
            family.refreshes += 1
            return self._issue(client, family)

    def revoke(self, token: str) -> None:
        """RFC 7009: ends the family; an unknown token is fine."""
        with self.lock:
            for family in self.families:
                if token and (token == family.current or token in family.spent or token in family.access):
                    family.dead = "refresh_token_invalidated"

    def new(self, preset: str) -> dict[str, Any]:
        """A token answer as after a whole sign-in, for tests that begin there."""
        client = CLIENTS[preset]
        with self.lock:
            return self._issue(client, self._family(client, client.scopes))

    def valid(self, access_token: str) -> bool:
        """Whether a model server would take the token now."""
        with self.lock:
            return any(
                access_token in family.access
                and not family.dead
                and time.monotonic() < family.access[access_token]
                for family in self.families
            )

    def expire_access(self) -> None:
        """End every access token that is out; the refresh tokens stay good."""
        with self.lock:
            for family in self.families:
                family.access = dict.fromkeys(family.access, 0.0)

    # ------------------------------------------------------------------------------------- device

    def new_device(self, client: Client, lifetime: float, interval: float) -> tuple[str, Device]:
        letters = "BCDFGHJKLMNPQRSTVWXZ"
        user_code = "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(2))
        device = Device(client.preset, user_code, time.monotonic() + lifetime, interval=interval)
        name = "dev_" + secrets.token_urlsafe(24)
        with self.lock:
            self.devices[name] = device
        return name, device

    def decide_device(self, user_code: str, allow: bool) -> None:
        with self.lock:
            for device in self.devices.values():
                if device.user_code == user_code.strip().upper() and device.state == "pending":
                    device.state = "allowed" if allow else "denied"
                    return
        raise RefusedError("invalid_request", "no such code")

    def device_tokens(self, client: Client, device: Device) -> dict[str, Any]:
        with self.lock:
            device.state = "used"
            device.family = self._family(client, client.scopes)
            return self._issue(client, device.family)

    # --------------------------------------------------------------------------------------- parts

    def _family(self, client: Client, scopes: tuple[str, ...]) -> Family:
        family = Family(client.preset, scopes)
        self.families.append(family)
        return family

    def _issue(self, client: Client, family: Family) -> dict[str, Any]:
        now = time.monotonic()
        lifetime = client.lifetime if self.expires_in is None else self.expires_in
        span = client.lifetime if lifetime < 0 else lifetime
        if family.current:
            grace = client.grace if self.grace is None else self.grace
            family.spent[family.current] = now + grace
        family.current = "rt_" + secrets.token_urlsafe(32)
        wall = int(time.time() + self.clock_offset)
        answer: dict[str, Any] = {"refresh_token": family.current, "token_type": "Bearer"}
        if lifetime >= 0:
            answer["expires_in"] = lifetime
        claims: dict[str, Any] = {"iat": wall, "exp": wall + span, "jti": secrets.token_hex(8)}
        if client.preset == "openai":
            claims["aud"] = ["https://api.openai.com/v1"]
            claims[OPENAI_CLAIM] = {"chatgpt_account_id": ACCOUNT, "chatgpt_plan_type": PLAN}
            answer["id_token"] = jwt({**claims, "aud": [client.client_id], "email": EMAIL})
        elif client.preset == "antix":
            claims.update(aud=client.client_id, sub="user_fix")
        else:
            answer["scope"] = " ".join(family.scopes)
        claims.update(self.extra_claims)
        access = jwt(claims) if client.jwt else "sk-ant-oat01-" + secrets.token_urlsafe(40)
        family.access[access] = now + span
        answer["access_token"] = access
        return answer


def _dead(client: Client, code: str) -> RefusedError:
    why = {
        "refresh_token_reused": "Your refresh token has already been used.",
        "refresh_token_expired": "Your refresh token has expired.",
    }.get(code, "Your refresh token has been invalidated.")
    return RefusedError(code, why, 401) if client.nested_errors else RefusedError("invalid_grant", why)


def challenge_of(verifier: str) -> str:
    """S256 of RFC 7636."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def verifier_pair() -> tuple[str, str]:
    """A fresh verifier and its challenge."""
    verifier = secrets.token_urlsafe(48)
    return verifier, challenge_of(verifier)


def jwt(claims: dict[str, Any]) -> str:
    """An unsigned JWT (RFC 7519 section 6), base64url without padding, with a signature part of noise."""

    def part(value: Any) -> str:
        raw = json.dumps(value, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part(claims)}.{secrets.token_urlsafe(16)}"
