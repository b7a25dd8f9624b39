"""Keeps sign-ins fresh: renewed before they run out and when a token is refused, by one kernel at a time.

A refresh token works once, and a vendor that sees it twice ends the whole sign-in. Therefore:

- in one process one renewal of a preset is under way at a time, over all processes one holds the lock;
- what is stored is read again under the lock: mostly somebody else has renewed by then;
- nothing is spent before it is sure that the new tokens can be stored;
- a renewal runs in a thread of its own, which an interrupted cell does not stop: the answer to a spent
  token is never thrown away;
- tokens that could not be stored all the same are kept in this process and stored as soon as that works.
"""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ante_nb.errors import ConfigError, SignInError
from ante_nb.log import logger
from ante_nb.providers.auth.keys import Credential
from ante_nb.providers.auth.store import LOCK_TIMEOUT
from ante_nb.providers.auth.vendor_profile import is_profile
from ante_nb.redact import register

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.providers.auth.oauth_spec import OAuthSpec
    from ante_nb.providers.auth.record import SignInRecord
    from ante_nb.providers.auth.store import SignInStore
    from ante_nb.providers.spec import Secret

SHORT_LOCK = 5.0
"""Seconds to wait for the lock while the token is still good."""
COOL_DOWN = 30.0
"""Seconds after a failure in which a token is used as it is, unless the vendor refuses it."""


@dataclass(slots=True)
class _Held:
    """A record in use, with its age by a clock that nobody sets."""

    record: SignInRecord
    age: float
    since: float


@dataclass(slots=True)
class _Unsaved:
    """Tokens that could not be stored, and the refresh token they were had for."""

    record: SignInRecord
    spent: Secret | None


class Renewal:
    """The sign-ins of one person, as this process uses them.

    Args:
        store: where they are, for all processes.
        spec: the preset's endpoints. Raises ``ConfigError`` for one that is not known.
        elsewhere: a sign-in that somebody else keeps (the vendor's own profile); it is only read.
        wall: seconds since the epoch, may be wrong and may jump.
        monotonic: seconds, never going back.
    """

    def __init__(
        self,
        store: SignInStore,
        spec: Callable[[str], OAuthSpec],
        *,
        elsewhere: Callable[[OAuthSpec], SignInRecord | None] = lambda spec: None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self._spec = spec
        self._elsewhere = elsewhere
        self._wall = wall
        self._monotonic = monotonic
        self._guard = threading.RLock()
        self._held: dict[str, _Held] = {}
        self._unsaved: dict[str, _Unsaved] = {}
        self._flights: dict[str, Future[SignInRecord]] = {}
        self._not_before: dict[str, float] = {}
        self._news: dict[str, list[str]] = {}
        self._told: set[str] = set()

    # ------------------------------------------------------------------------------------ the outside

    async def fresh(self, preset: str, rejected: Secret | None = None) -> Credential:
        """The credential to use now, renewed where it has to be.

        Args:
            preset: ``openai``, ``anthropic``, ``antix``.
            rejected: the token that the vendor has just refused.

        Raises:
            SignInError: there is no sign-in, or it is over; the message says what to type. Or the vendor
                cannot be asked just now, after ``rejected``.
            ConfigError: the store cannot be used, after ``rejected``.
        """
        spec = self._spec(preset)
        with self._guard:
            held = self._held.get(preset)
        if held is None or rejected is not None or preset in self._unsaved:
            held = self._hold(await asyncio.to_thread(self._present, preset))
        record = held.record
        if rejected is None:
            if not self._due(held, spec) or self._monotonic() < self._not_before.get(preset, 0.0):
                return self.credential(record)
        elif record.access_token != rejected:
            return self.credential(record)  # another kernel has renewed it
        for _ in range(2):
            record = await self._flight(spec, rejected)
            if record.access_token != rejected:
                break  # else: it was one that began before the refusal
        return self.credential(record)

    def credential(self, record: SignInRecord) -> Credential:
        """What signs requests with ``record``."""
        spec = self._spec(record.preset)
        headers = dict(record.headers)
        if spec.account_header and record.account_id:
            headers[spec.account_header] = record.account_id
        source = record.source if is_profile(record) else f"sign-in with {spec.display_name}"
        return Credential(record.access_token, source, oauth=True, headers=headers, preset=record.preset)

    def current(self, preset: str, *, locked: bool = False) -> SignInRecord | None:
        """The sign-in as it is stored now, or the later tokens that could not be stored. Blocks.

        Raises:
            ConfigError: the store cannot be used.
        """
        kept = self._unsaved.get(preset)
        if kept is None:
            stored = self.store.load(preset)
            return stored if stored is not None else self._elsewhere(self._spec(preset))
        try:
            stored = self.store.load(preset)
            if stored is None or stored.refresh_token != kept.spent:
                # Signed in or out somewhere else since: that counts.
                self._unsaved.pop(preset, None)
                return stored
            self._save(kept.record, locked)
            self._unsaved.pop(preset, None)
        except (ConfigError, OSError):
            pass  # the next time
        return kept.record

    def remember(self, record: SignInRecord) -> None:
        """Go on with ``record``, which was just read or made."""
        self._hold(record)

    def forget(self, preset: str) -> None:
        """Signed out: drop what this process still knows."""
        with self._guard:
            for known in (self._held, self._unsaved, self._not_before, self._news):
                known.pop(preset, None)

    def unsaved(self, preset: str) -> bool:
        """Whether this process has tokens that could not be stored so far."""
        return preset in self._unsaved

    def tell(self, line: str) -> None:
        """Keep a line for the person (of the store: repaired, moved), whichever preset it is about."""
        self._tell("", line)

    def news(self, preset: str = "") -> list[str]:
        """What the person should be told of ``preset`` and of the store, each line once."""
        with self._guard:
            return self._news.pop("", []) + (self._news.pop(preset, []) if preset else [])

    def flush(self) -> None:
        """Store what could not be stored so far, if that works now. Blocks."""
        for preset in list(self._unsaved):
            self.current(preset)

    # --------------------------------------------------------------------------------- what is known

    def _hold(self, record: SignInRecord) -> _Held:
        for secret in (record.access_token, record.refresh_token, record.id_token):
            register(secret.value if secret else None)
        with self._guard:
            held = self._held.get(record.preset)
            if held is None or held.record.access_token != record.access_token:
                held = _Held(record, record.age(self._wall()), self._monotonic())
                self._held[record.preset] = held
            held.record = record
            return held

    def _present(self, preset: str) -> SignInRecord:
        record = self.current(preset)
        if record is None:
            self.forget(preset)
            raise self._signed_out(preset)
        return record

    def _now(self, held: _Held) -> float:
        """The wall clock's time, put right where it was set back since the token came."""
        age = max(held.record.age(self._wall()), held.age + self._monotonic() - held.since)
        return held.record.obtained_at + age

    def _due(self, held: _Held, spec: OAuthSpec) -> bool:
        return held.record.due(spec.refresh_before, spec.max_age, self._now(held))

    def _tell(self, preset: str, line: str) -> None:
        with self._guard:
            if line not in self._told:
                self._told.add(line)
                self._news.setdefault(preset, []).append(line)
        logger.warning("%s", line)

    def _signed_out(self, preset: str) -> SignInError:
        spec = self._spec(preset)
        return SignInError(
            f"You are not signed in with {spec.display_name} any more",
            f"Sign in again: `{spec.login()}`.",
            retryable=False,
        )

    def _over(self, spec: OAuthSpec, why: str) -> SignInError:
        return SignInError(
            f"The sign-in with {spec.display_name} is no longer valid ({why.replace('_', ' ')})",
            f"Sign in again: `{spec.login()}`.",
            code=why,
            retryable=False,
        )

    # --------------------------------------------------------------------------------------- renewing

    async def _flight(self, spec: OAuthSpec, rejected: Secret | None) -> SignInRecord:
        """Join the renewal that is under way, or begin one."""
        with self._guard:
            future = self._flights.get(spec.preset)
            if future is None or future.done():
                future = self._flights[spec.preset] = Future()
                future.set_running_or_notify_cancel()  # so that no waiter who is cancelled cancels it
                # No daemon: the interpreter waits for the answer before it ends.
                threading.Thread(
                    target=self._fly, args=(future, spec, rejected), name="ante-renewal", daemon=False
                ).start()
        try:
            return await asyncio.wrap_future(future)
        except (SignInError, ConfigError) as error:
            raise copy.copy(error) from None  # several wait for it, and each adds to its own

    def _fly(self, future: Future[SignInRecord], spec: OAuthSpec, rejected: Secret | None) -> None:
        try:
            record = self._renew(spec, rejected)
            self._hold(record)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(record)

    def _renew(self, spec: OAuthSpec, rejected: Secret | None) -> SignInRecord:
        with self._guard:
            held = self._held.get(spec.preset)
        # Who has a token that is good for a while does not wait for another kernel that hangs.
        waits = rejected is not None or held is None or held.record.expired(self._now(held))
        try:
            with self.store.lock(spec.preset, LOCK_TIMEOUT if waits else SHORT_LOCK):
                return self._renew_locked(spec, rejected)
        except ConfigError as error:
            if held is None or rejected is not None:
                raise
            # The token may well be good for a while.
            self._tell(spec.preset, f"The sign-in with {spec.display_name} was not renewed: {error}")
            self._cool(spec.preset)
            return held.record

    def _renew_locked(self, spec: OAuthSpec, rejected: Secret | None) -> SignInRecord:
        preset = spec.preset
        record = self.current(preset, locked=True)
        if record is None:
            self.forget(preset)
            raise self._signed_out(preset)
        held = self._hold(record)
        if record.access_token != rejected and (rejected is not None or not self._due(held, spec)):
            return record  # another kernel has renewed it
        alive = rejected is None and not record.expired(self._now(held))
        if record.problem:
            if alive:
                self._cool(preset)
                return record
            raise self._over(spec, record.problem)
        if record.refresh_token is None:
            if rejected is None:
                self._cool(preset)
                return record  # the vendor decides
            if is_profile(record):
                raise SignInError(
                    f"The token of the {record.source} is no longer valid",
                    "Sign in again with Anthropic's own tool: its profile is only read here.",
                    retryable=False,
                )
            raise self._over(spec, "it cannot be renewed")
        self.store.prepare(preset)
        from ante_nb.providers.auth.lost_answers import ask
        from ante_nb.providers.auth.refusals import PermanentSignInError

        try:
            new = replace(asyncio.run(ask(spec, record)), obtained_at=self._wall())
        except PermanentSignInError as error:
            return self._refused(spec, record, error, alive)
        except SignInError as error:
            self._cool(preset)
            if rejected is not None:
                raise
            logger.warning("the sign-in with %s was not renewed: %s", spec.display_name, error)
            return record
        try:
            self._save(new, locked=True)
        except (ConfigError, OSError) as error:
            self._unsaved[preset] = _Unsaved(new, record.refresh_token)
            words = error.message if isinstance(error, ConfigError) else str(error)
            self._tell(
                preset,
                f"The renewed sign-in with {spec.display_name} could not be stored ({words}). It holds in this"
                f" kernel and is stored as soon as that works; otherwise `{spec.login()}` in the next one.",
            )
        self._not_before.pop(preset, None)
        return new

    def _refused(
        self, spec: OAuthSpec, record: SignInRecord, error: SignInError, alive: bool
    ) -> SignInRecord:
        """The vendor says that the refresh token is dead: somebody else has used it, or it is over."""
        try:
            # On a disk that knows no locks between hosts another kernel may have been faster.
            stored = self.store.load(spec.preset)
        except ConfigError:
            stored = None
        if stored is not None and stored.refresh_token != record.refresh_token and not stored.problem:
            return stored
        over = replace(record, problem=error.code or "refused")
        try:
            self._save(over, locked=True)
        except (ConfigError, OSError) as problem:
            logger.warning("that a sign-in is over could not be stored: %s", problem)
        self._unsaved.pop(spec.preset, None)
        if not alive:
            raise error
        self._hold(over)
        self._tell(spec.preset, f"{error} Until its token runs out it still works.")
        return over

    def _save(self, record: SignInRecord, locked: bool) -> None:
        if locked:
            self.store.save(record)
            return
        with self.store.lock(record.preset, 0.2):
            self.store.save(record)

    def _cool(self, preset: str) -> None:
        self._not_before[preset] = self._monotonic() + COOL_DOWN


class Renewer:
    """One preset's :class:`~ante_nb.providers.signing.Renew`, for the provider that its token signs."""

    def __init__(self, renewal: Renewal, preset: str) -> None:
        self._renewal = renewal
        self._preset = preset

    async def __call__(self, rejected: Secret | None = None) -> Credential:
        return await self._renewal.fresh(self._preset, rejected)

    def news(self) -> list[str]:
        return self._renewal.news(self._preset)
