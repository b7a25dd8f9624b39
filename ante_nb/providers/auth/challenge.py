"""What a sign-in asks of the person: the link to open, and where the answer goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

if TYPE_CHECKING:
    from ante_nb.providers.auth.oauth_spec import OAuthSpec, Way
    from ante_nb.providers.auth.pkce import Pkce

FlowState: TypeAlias = Literal["waiting", "exchanging", "done", "failed", "expired", "cancelled"]
UNHEARD_PORT = 53682
"""Named in the redirect where nothing listens and the vendor takes any port of this machine."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the person is asked to do.

    ``way``: ``browser`` (a listener waits on ``port``; pasting works too), ``paste`` (nothing listens),
    ``device`` (``user_code`` is typed at ``verify_url``). ``url`` is the link to open.
    """

    way: Way
    url: str = field(repr=False)
    user_code: str | None = field(default=None, repr=False)
    verify_url: str | None = None
    expires_at: float = 0.0
    """Unix time of the end, for showing."""
    deadline: float = 0.0
    """The same on the monotonic clock, which decides."""
    accepts_paste: bool = True
    listening: bool = False
    port: int | None = None


def redirect_uri(spec: OAuthSpec, port: int | None) -> str:
    """Where the vendor sends the browser: to the listener on ``port``, else to what can be pasted from.

    That is the vendor's page that shows the code, where it has one, else an address of this machine that
    nothing answers. Should somebody else's listener be there, it gets a code that is worth nothing without
    the verifier.
    """
    if port is None and spec.manual_redirect_uri:
        return spec.manual_redirect_uri
    shown = port or next((one for one in spec.redirect_ports if one), UNHEARD_PORT)
    host = f"[{spec.redirect_host}]" if ":" in spec.redirect_host else spec.redirect_host
    return f"http://{host}:{shown}{spec.redirect_path}"


def authorize_link(spec: OAuthSpec, pkce: Pkce, redirect: str) -> str:
    """The address to open in a browser (RFC 6749 section 4.1.1, RFC 7636 section 4.3)."""
    parts = urlsplit(spec.authorize_url or "")
    query = {
        **dict(parse_qsl(parts.query)),
        **spec.authorize_params,
        "response_type": "code",
        "client_id": spec.client_id or "",
        "redirect_uri": redirect,
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
        "state": pkce.state.value,
    }
    if spec.scopes:
        query["scope"] = " ".join(spec.scopes)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
