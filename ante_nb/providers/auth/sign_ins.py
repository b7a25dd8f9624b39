"""The sign-ins of this person for whoever resolves a choice: which are there, and how they stay fresh."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ante_nb.errors import ConfigError
from ante_nb.providers.auth.renewal import Renewal, Renewer
from ante_nb.providers.auth.store import SignInStore
from ante_nb.providers.auth.vendor_profile import is_profile, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ante_nb.providers.auth.keys import Credential
    from ante_nb.providers.auth.oauth_spec import OAuthSpec
    from ante_nb.providers.auth.record import SignInRecord
    from ante_nb.providers.spec import Secret


@dataclass(frozen=True, slots=True)
class SignInStatus:
    """One sign-in, for a person. No token is in it."""

    preset: str
    display_name: str
    provider: str
    """The provider id that requests go to."""
    source: str
    """``browser``, ``device``, ``paste``, or the vendor's profile."""
    place: str
    """Where it is stored."""
    email: str | None
    plan: str | None
    ends: float | None
    """When the token runs out, in seconds since the epoch by the local clock; ``None``: not known."""
    renewable: bool
    """Whether it is renewed by itself."""
    problem: str | None
    """The vendor's code why it cannot be renewed any more."""
    unsaved: bool = False
    """Whether later tokens than the stored ones are in this process alone."""

    @property
    def over(self) -> bool:
        """Whether only a new sign-in helps."""
        return bool(self.problem) and self.ends is not None and self.ends <= time.time()


class StoredSignIns:
    """OAuth sign-ins by preset; implements :class:`~ante_nb.providers.auth.keys.SignIns`.

    Args:
        specs: the presets of the catalog as it is now.
        home: the data directory, default ``ANTE_HOME``.
        env: where a vendor's profile is looked for; default the environment.
    """

    def __init__(
        self,
        specs: Callable[[], Mapping[str, OAuthSpec]],
        home: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._specs = specs
        self._env = os.environ if env is None else env
        self._frozen: dict[str, OAuthSpec] = {}
        self.store = SignInStore(home, notify=self._notify)
        self.renewal = Renewal(self.store, self._frozen_spec, elsewhere=self._profile)

    def spec(self, preset: str) -> OAuthSpec:
        """The preset's endpoints as the catalog has them now.

        Raises:
            ConfigError: there is no such preset.
        """
        found = self._specs()
        if preset not in found:
            known = ", ".join(found) or "none"
            raise ConfigError(f"there is no sign-in named {preset!r}", f"Known: {known}.")
        self._frozen[preset] = found[preset]
        return found[preset]

    def token(self, preset: str) -> Credential | None:
        """The sign-in of ``preset`` as it is stored, whether its token is about to run out or not; ``None``
        where there is none. No network traffic.

        Raises:
            ConfigError: the store cannot be used, or the sign-in is over.
        """
        if preset not in self._specs():
            return None
        spec = self.spec(preset)  # the catalog counts from turn to turn, not within one
        record = self.renewal.current(preset)
        if record is None:
            self.renewal.forget(preset)
            return None
        if record.problem and record.expired():
            why = record.problem.replace("_", " ")
            raise ConfigError(
                f"the sign-in with {spec.display_name} is no longer valid ({why})",
                f"Sign in again: `{spec.login()}`.",
            )
        self.renewal.remember(record)
        return self.renewal.credential(record)

    def command(self, preset: str) -> str:
        """What to type to sign in."""
        return f"%ante login {preset}"

    def status(self, preset: str) -> SignInStatus | None:
        """What is known of the sign-in, ``None`` where there is none. Errors as :meth:`token`."""
        spec = self.spec(preset)
        record = self.renewal.current(preset)
        if record is None:
            return None
        left = record.left()
        return SignInStatus(
            preset=preset,
            display_name=spec.display_name,
            provider=spec.provider,
            source=record.source,
            place="the vendor's own file" if is_profile(record) else self.store.place(preset),
            email=record.email,
            plan=record.plan,
            ends=None if left is None else time.time() + left,
            renewable=record.refresh_token is not None and not record.problem,
            problem=record.problem,
            unsaved=self.renewal.unsaved(preset),
        )

    async def renew(self, preset: str, rejected: Secret | None = None) -> Credential:
        """The credential to use now; see :meth:`Renewal.fresh`."""
        return await self.renewal.fresh(preset, rejected)

    def renewer(self, preset: str) -> Renewer:
        """What keeps the provider's token fresh."""
        return Renewer(self.renewal, preset)

    def news(self) -> list[str]:
        """What the person should be told of the store, each line once."""
        return self.renewal.news()

    def _notify(self, line: str) -> None:
        self.renewal.tell(line)

    def _frozen_spec(self, preset: str) -> OAuthSpec:
        return self._frozen.get(preset) or self.spec(preset)

    def _profile(self, spec: OAuthSpec) -> SignInRecord | None:
        return read(spec, self._env) if spec.profile == "anthropic" else None
