"""One OAuth sign-in as it is stored.

A token's life is kept as *obtained at* (by this machine's clock) and *lives for*, never as a moment of the
vendor's clock: a machine whose clock is an hour wrong then still renews in time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ante_nb.errors import ConfigError
from ante_nb.providers.spec import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
"""Version of the stored form; a record with a later one is refused."""

_TEXTS = ("account_id", "plan", "email", "token_url", "client_id", "problem")
_SECRETS = ("refresh_token", "id_token")


@dataclass(frozen=True, slots=True)
class SignInRecord:
    """A sign-in with one vendor. Times are in seconds, ``obtained_at`` is Unix time by the local clock.

    ``extra`` holds the stored keys that are not known here; they are written back as they were.
    """

    preset: str
    access_token: Secret
    obtained_at: float
    refresh_token: Secret | None = None
    id_token: Secret | None = None
    expires_in: float | None = None
    """Life of the access token from ``obtained_at`` on; ``None`` where it is not known."""
    account_id: str | None = None
    plan: str | None = None
    email: str | None = None
    scopes: tuple[str, ...] = ()
    token_url: str | None = None
    client_id: str | None = None
    source: str = "sign-in"
    """How it came here: ``browser``, ``device``, ``paste``, or the vendor's profile."""
    problem: str | None = None
    """The vendor's code of a refresh failure that is for good; only a new sign-in helps."""
    headers: dict[str, str] = field(default_factory=dict, hash=False)
    """Request headers that belong to it (the workspace of a vendor's profile)."""
    extra: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def age(self, now: float | None = None) -> float:
        """Seconds since the access token came; 0 where the clock was set back since."""
        return max(0.0, (time.time() if now is None else now) - self.obtained_at)

    def left(self, now: float | None = None) -> float | None:
        """Seconds that the access token still lives (negative: expired), ``None`` where not known."""
        return None if self.expires_in is None else self.expires_in - self.age(now)

    def due(self, before: float = 300.0, max_age: float | None = None, now: float | None = None) -> bool:
        """Whether to renew it now.

        Args:
            before: so many seconds before it expires; at most half of a short-lived token's life.
            max_age: renewed at this age whatever the expiry says.
            now: Unix time by the local clock, default the present.
        """
        left = self.left(now)
        if left is not None and self.expires_in is not None and left <= min(before, self.expires_in / 2):
            return True
        return max_age is not None and self.age(now) >= max_age

    def expired(self, now: float | None = None) -> bool:
        """Whether the access token's life is over by the local clock."""
        left = self.left(now)
        return left is not None and left <= 0

    def to_json(self) -> dict[str, Any]:
        """The stored form, **with the tokens in clear**: for the store only."""
        out: dict[str, Any] = {**self.extra, "version": VERSION, "preset": self.preset}
        out["access_token"] = self.access_token.value
        out["obtained_at"] = self.obtained_at
        for name in _SECRETS:
            secret: Secret | None = getattr(self, name)
            if secret is not None:
                out[name] = secret.value
        if self.expires_in is not None:
            out["expires_in"] = self.expires_in
        out["scopes"] = list(self.scopes)
        out["source"] = self.source
        for name in _TEXTS:
            value: str | None = getattr(self, name)
            if value is not None:
                out[name] = value
        if self.headers:
            out["headers"] = dict(self.headers)
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "the stored sign-in") -> SignInRecord:
        """The record of its stored form.

        Args:
            data: what :meth:`to_json` gave.
            where: the place that an error names.

        Raises:
            ConfigError: it was written by a later version, or a field is missing or of the wrong kind; no
                value is shown.
        """
        version = data.get("version")
        if isinstance(version, int) and not isinstance(version, bool) and version > VERSION:
            raise LaterVersionError(
                f"{where} was written by a later version of ante_nb (format {version}, known here: {VERSION})",
                "Upgrade with `%pip install -U ante_nb`, or sign in again.",
            )
        if version != VERSION:
            raise _wrong(where, "version")
        values: dict[str, Any] = {}
        for name in ("preset", "access_token"):
            if not isinstance(data.get(name), str) or not data[name]:
                raise _wrong(where, name)
        for name in (*_TEXTS, *_SECRETS, "source"):
            value = data.get(name)
            if value is None:
                continue
            if not isinstance(value, str):
                raise _wrong(where, name)
            if value:
                values[name] = Secret(value) if name in _SECRETS else value
        if not _number(data.get("obtained_at")):
            raise _wrong(where, "obtained_at")
        if data.get("expires_in") is not None:
            if not _number(data["expires_in"]):
                raise _wrong(where, "expires_in")
            values["expires_in"] = float(data["expires_in"])
        scopes = data.get("scopes") or []
        if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
            raise _wrong(where, "scopes")
        headers = data.get("headers") or {}
        if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
            raise _wrong(where, "headers")
        known = {"version", *cls.__dataclass_fields__} - {"extra"}
        return cls(
            preset=data["preset"],
            access_token=Secret(data["access_token"]),
            obtained_at=float(data["obtained_at"]),
            scopes=tuple(scopes),
            headers=dict(headers),
            extra={key: value for key, value in data.items() if key not in known},
            **values,
        )


class LaterVersionError(ConfigError):
    """The stored form is of a later version."""


def _number(value: Any) -> bool:
    # Not NaN, not infinite: json reads both.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _wrong(where: str, name: str) -> ConfigError:
    return ConfigError(f"{where} has no usable `{name}`", "Sign in again.")
