"""Proof key for code exchange (RFC 7636) and the state of one sign-in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from ante_nb.providers.spec import Secret

VERIFIER_BYTES = 64
"""86 characters of base64url, within the 43 to 128 of RFC 7636 section 4.1."""
STATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Pkce:
    """What one sign-in is bound to; verifier and state are independent of each other."""

    verifier: Secret
    state: Secret

    @classmethod
    def new(cls) -> Pkce:
        """Fresh random values."""
        verifier, state = secrets.token_urlsafe(VERIFIER_BYTES), secrets.token_urlsafe(STATE_BYTES)
        return cls(Secret(verifier), Secret(state))

    @property
    def challenge(self) -> str:
        """S256 of the verifier, base64url without padding."""
        return challenge(self.verifier.value)

    def is_state(self, given: str) -> bool:
        """Whether ``given`` is this sign-in's state, in constant time."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.state.value.encode())


def challenge(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
