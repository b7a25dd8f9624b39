"""How one vendor's sign-in works: endpoints, client id, scopes, dialect. Data, overridable by the user.

The built-in rows are the ``oauth`` object of ``builtin.json``; the ``oauth`` object of the user's
``catalog.json`` patches them field by field.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

Way: TypeAlias = Literal["browser", "device", "paste"]
"""How the vendor's answer comes back: to a loopback listener, by polling, or typed by the person."""


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """Signing in with a code that is typed on another device.

    ``codex``: OpenAI's own dialect, whose polling answers with an authorization code. ``rfc8628``: the
    device authorization grant, whose polling answers with the tokens.
    """

    style: Literal["codex", "rfc8628"]
    code_url: str
    token_url: str
    verify_url: str
    redirect_uri: str | None = None
    """What the code is exchanged with (``codex`` only)."""
    expires_in: float = 900.0


@dataclass(frozen=True, slots=True)
class OAuthSpec:
    """One OAuth preset. URLs are absolute; times are in seconds.

    ``client_id`` of ``None`` means that nobody has configured one: ``unavailable`` then says why and
    what works instead.
    """

    preset: str
    display_name: str
    provider: str
    """The provider id that the sign-in is sent to."""
    client_id: str | None = None
    authorize_url: str | None = None
    token_url: str | None = None
    revoke_url: str | None = None
    discovery_url: str | None = None
    """OpenID discovery document; endpoints that are not given are taken from it, its issuer must match."""
    scopes: tuple[str, ...] = ()
    redirect_host: str = "localhost"
    """The host as the vendor has it registered; the listener binds loopback addresses only."""
    redirect_ports: tuple[int, ...] = (0,)
    """Ports in order of preference; 0 is any free one."""
    redirect_path: str = "/callback"
    manual_redirect_uri: str | None = None
    """A page of the vendor that shows the code to be pasted."""
    authorize_params: dict[str, str] = field(default_factory=dict)
    exchange_style: Literal["form", "json"] = "form"
    exchange_sends_state: bool = False
    refresh_style: Literal["form", "json"] = "form"
    token_headers: dict[str, str] = field(default_factory=dict)
    device: DeviceSpec | None = None
    refresh_before: float = 300.0
    max_age: float | None = None
    """Age of the access token after which it is renewed whatever its expiry says."""
    account_claim: str | None = None
    """The JWT claim (an object) that names account and plan."""
    account_header: str | None = None
    """The request header that carries the account id."""
    profile: Literal["anthropic"] | None = None
    """The vendor's own credential profile that counts as a sign-in."""
    unavailable: str = ""

    def login(self) -> str:
        """What to type to sign in."""
        return f"%ante login {self.preset}"


def is_loopback_host(host: str) -> bool:
    """Whether ``host`` (without port and brackets) is this machine by name or address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_secure_url(url: str) -> bool:
    """Whether tokens may travel there: ``https``, or plain ``http`` that does not leave this machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if (
        not host
        or port == 0
        or not url.isascii()
        or not url.isprintable()
        or " " in url
        or "@" in parts.netloc
    ):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback_host(host))
