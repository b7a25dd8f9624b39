"""The claims of a JSON Web Token (RFC 7519), read without checking the signature.

They come over TLS from the vendor and serve for display, for the account id that goes back to the same
vendor, and for the token's lifetime; never to decide what somebody may do.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any

MAX_TOKEN = 64 * 1024
"""Characters; a longer token is not looked into."""


def claims(token: str | None) -> dict[str, Any]:
    """The claims, ``{}`` for what is no JWT. Padding of the parts may be there, missing or wrong."""
    if not token or len(token) > MAX_TOKEN:
        return {}
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    payload = parts[1].rstrip("=")
    try:
        raw = base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True)
        data = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def lifetime(found: dict[str, Any]) -> float | None:
    """Seconds between issue and expiry: a difference, so that nobody's clock matters."""
    begin, end = _number(found.get("iat")), _number(found.get("exp"))
    if begin is None or end is None or end <= begin:
        return None
    return end - begin


def claim_text(found: dict[str, Any], group: str | None, name: str) -> str | None:
    """A claim that is a text, of the object claim ``group`` or of the top level; printable, 200 at most."""
    inside = found.get(group) if group else found
    value = inside.get(name) if isinstance(inside, dict) else None
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > 200:
        return None
    return value.strip()


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 and math.isfinite(value) else None
