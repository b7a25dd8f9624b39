"""What an authorization server says when it says no, as errors.

::

    SignInError                    neither of the below: a wrong client id, endpoint or request
    ├── PermanentSignInError       the refresh token or the code is dead; only a new sign-in helps
    └── TransientSignInError       network, overload, a proxy's page: the same request may work later

Bodies are read in every form that is seen: ``{"error": "invalid_grant", "error_description": ...}``
(RFC 6749 section 5.2), OpenAI's ``{"error": {"code", "message"}}``, ``{"detail": ...}``, HTML, nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ante_nb.errors import SignInError
from ante_nb.redact import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ante_nb.providers.auth.oauth_spec import OAuthSpec

REUSED = "refresh_token_reused"
PERMANENT_CODES = frozenset({"refresh_token_expired", REUSED, "refresh_token_invalidated", "invalid_grant"})
"""The credential itself is dead (OpenAI's codes of a 401; RFC 6749's of a 400)."""
SETUP_CODES = frozenset(
    {"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request"}
)
"""The client id or the request is wrong; the credential may be good."""
_PASSING = frozenset({401, 403, 404, 407, 408, 409, 421, 423, 425, 429})
_LONGEST = 200


class PermanentSignInError(SignInError):
    """The code or the refresh token is refused for good: sign in again."""


class TransientSignInError(SignInError):
    """Nothing is decided: the same request may work later."""


def said(data: Any, kind: str = "application/json") -> tuple[str | None, str]:
    """The error code and the words of an answer's body; empty words where it has none.

    Args:
        data: the parsed JSON body, ``None`` where it is no JSON.
        kind: the content type of a body that is no JSON.
    """
    if not isinstance(data, dict):
        return None, "it sent a web page" if "html" in kind else ""
    for inside in (data.get("error"), data.get("detail"), data):
        if not isinstance(inside, dict):
            continue
        code = _word(inside.get("code")) or _word(inside.get("error")) or _word(inside.get("type"))
        words = next(
            (inside[n] for n in ("error_description", "message", "detail") if isinstance(inside.get(n), str)),
            "",
        )
        if code or words:
            return code, clean(words)
    for name in ("error_description", "message", "detail", "error"):
        if isinstance(data.get(name), str):
            return None, clean(data[name])
    return None, ""


def clean(text: str) -> str:
    """A vendor's words in one printable line, without credentials (cut last, so that none is cut in half)."""
    line = " ".join(redact(text).split())
    line = "".join(char for char in line if char.isprintable())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "..."


def refused(
    spec: OAuthSpec, what: str, status: int, data: Any, kind: str, headers: Mapping[str, str]
) -> SignInError:
    """The error for an answer that is no success.

    Args:
        spec: who was asked.
        what: ``refresh``, ``sign-in`` ...: what was asked for.
        status: HTTP status.
        data: the parsed JSON body, or ``None``.
        kind: content type, without parameters.
        headers: names in lower case.
    """
    code, words = said(data, kind)
    reason = words or (code or "").replace("_", " ") or "no reason given"
    again = f"Sign in again: `{spec.login()}`."
    if code in PERMANENT_CODES and status < 500:
        if what == "refresh":
            message = f"The sign-in with {spec.display_name} is no longer valid: {reason}"
        else:
            message = f"{spec.display_name} did not accept the sign-in: {reason}"
        return PermanentSignInError(message, again, status=status, code=code, retryable=False)
    message = f"{spec.display_name} answered the {what} with HTTP {status}: {reason}"
    if code in SETUP_CODES and status < 500:
        hint = (
            f"Check `oauth.{spec.preset}` in catalog.json (client_id, endpoints, scopes), or use an API key."
        )
        return SignInError(message, hint, status=status, code=code, retryable=False)
    if status >= 500 or status in _PASSING:
        hint = "Try again in a moment; if it stays so, " + again[0].lower() + again[1:]
        if status == 403 and "html" in kind:
            hint = "A firewall is in between: check proxy and VPN, then try again."
        return TransientSignInError(
            message, hint, status=status, code=code, retry_after=_seconds(headers), retryable=True
        )
    return SignInError(message, again, status=status, code=code, retryable=False)


def parse(body: bytes) -> Any:
    """The JSON value of a body, ``None`` where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _word(value: object) -> str | None:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.:-]{1,80}", value):
        return redact(value)
    return None


def _seconds(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if re.fullmatch(r"\d{1,6}", value) else None
