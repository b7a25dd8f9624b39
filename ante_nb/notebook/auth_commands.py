"""``%ante logout`` and ``%ante auth``: who is signed in, and how that ends or moves."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ante_nb.errors import AnteError, BusyError, ConfigError, SignInError, TurnError
from ante_nb.notebook.printing import say, table

if TYPE_CHECKING:
    from ante_nb.notebook.state import KernelState
    from ante_nb.providers.auth.oauth_spec import OAuthSpec
    from ante_nb.providers.auth.record import SignInRecord
    from ante_nb.providers.auth.sign_ins import SignInStatus
    from ante_nb.providers.spec import ProviderSpec

_STORE = "store"
_BACKENDS = ("file", "keyring")
_NAMES = {"file": "files", "keyring": "the system keyring"}
_WAYS = {"browser": "browser", "device": "device code", "paste": "pasted code"}
_LEFT = "it stays valid there until it expires or you end the session on the vendor's page"
_HEAD = ("provider", "how", "as", "until", "from")


# --------------------------------------------------------------------------------------------- logout


def logout(state: KernelState, rest: str) -> None:
    """Revoke a sign-in where the vendor can, then delete the record.

    The record is deleted last: an interrupt on the way leaves it.

    Raises:
        ConfigError: no or an unknown provider, one without a sign-in, a store that cannot be written.
        SignInError: interrupted; the record is still there.
    """
    from ante_nb.notebook.login import spec_of
    from ante_nb.providers.auth.vendor_profile import is_profile

    words = rest.split()
    if len(words) != 1:
        raise ConfigError("`%ante logout` needs one provider", "`%ante auth` shows who is signed in.")
    if state.in_tool:
        raise BusyError("signing out inside a tool call is refused", "The person signs out, in a cell.")
    spec = spec_of(state, words[0])
    sign_ins = state.runtime.sign_ins
    store = sign_ins.store
    try:
        record = sign_ins.renewal.current(spec.preset)
    except AnteError as error:
        # Nothing to revoke with, and the person wants it gone.
        say(str(error))
        record = None
    if record is not None and is_profile(record):
        say(f"{record.source} is the vendor's own: sign out with the vendor's tool. Nothing was changed.")
        return
    if record is None and spec.preset not in store.presets():
        say(f"not signed in to {spec.display_name} here")
        return
    said = _revoke(state, spec, record) if record is not None else "nothing could be revoked"
    say(_deleted(state, spec, said))
    tell_news(state)


async def sign_out(state: KernelState, spec: OAuthSpec) -> str:
    """:func:`logout` for a button, on the agent's loop; what there is to say of it.

    Raises:
        ConfigError: the store cannot be used.
    """
    from ante_nb.providers.auth.vendor_profile import is_profile

    try:
        record = state.runtime.sign_ins.renewal.current(spec.preset)
    except AnteError:
        record = None  # nothing to revoke with, and the person wants it gone
    if record is not None and is_profile(record):
        return f"{record.source} is the vendor's own: sign out with the vendor's tool. Nothing was changed."
    if record is None and spec.preset not in state.runtime.sign_ins.store.presets():
        return f"not signed in to {spec.display_name} here"
    said = "nothing could be revoked"
    if record is not None and not _can_revoke(spec):
        said = f"the vendor has no way to revoke it ({_LEFT})"
    elif record is not None:
        try:
            revoked = await _ask_to_revoke(spec, record)
            said = "the vendor has revoked it" if revoked else f"the vendor did not revoke it, {_LEFT}"
        except AnteError as error:
            said = f"the vendor could not be told ({error.message}), {_LEFT}"
    return _deleted(state, spec, said)


def _deleted(state: KernelState, spec: OAuthSpec, said: str) -> str:
    """Delete the record; what there is to say of it."""
    store = state.runtime.sign_ins.store
    where = store.place(spec.preset)
    with store.lock(spec.preset):
        store.delete(spec.preset)
    state.runtime.sign_ins.renewal.forget(spec.preset)
    state.runtime.changed()
    return f"signed out of {spec.display_name}: {said}; deleted from {where}"


def _can_revoke(spec: OAuthSpec) -> bool:
    return spec.revoke_url is not None or spec.discovery_url is not None


async def _ask_to_revoke(spec: OAuthSpec, record: SignInRecord) -> bool:
    from ante_nb.providers.auth import endpoint

    whole = await endpoint.discovery(spec) if spec.revoke_url is None else spec
    return await endpoint.revoke(whole, record)


def _revoke(state: KernelState, spec: OAuthSpec, record: SignInRecord) -> str:
    """What became of the token at the vendor.

    Raises:
        SignInError: interrupted.
    """
    from ante_nb.notebook.waiting import wait_for

    if not _can_revoke(spec):
        return f"the vendor has no way to revoke it ({_LEFT})"
    try:
        revoked = wait_for(_ask_to_revoke(spec, record))
    except TurnError:
        raise SignInError(
            "interrupted: the sign-in is still stored here; the vendor may have revoked it already",
            f"`%ante logout {spec.preset}` again ends it for good.",
        ) from None
    except AnteError as error:
        return f"the vendor could not be told ({error.message}), {_LEFT}"
    return "the vendor has revoked it" if revoked else f"the vendor did not revoke it, {_LEFT}"


# ----------------------------------------------------------------------------------------------- auth


def auth(state: KernelState, rest: str) -> None:
    """Who is signed in, how, as whom, until when and from where; asks no network.

    Raises:
        ConfigError: an argument that is none, or a keyring that cannot be used.
    """
    words = rest.split()
    if words and words[0] == _STORE:
        _move(state, words[1:])
        return
    if words:
        raise ConfigError(
            "%ante auth takes no argument but `store file` or `store keyring`",
            "`%ante login PROVIDER` signs in, `%ante key PROVIDER` stores a key.",
        )
    rows = [*_sign_in_rows(state), *_key_rows(state)]
    table([_HEAD, *(row[:5] for row in rows)])
    # Below, not beside: a table has to be as wide as a cell.
    for ident, *_, note in rows:
        if note:
            say(f"{ident}: {note}")
    say(f"Keys and sign-ins are stored in {_where(state)}.")
    say("`%ante login ID` signs in, `%ante logout ID` signs out, `%ante key ID` stores a key.")
    tell_news(state)


def _where(state: KernelState) -> str:
    from ante_nb import paths

    chosen = state.runtime.settings().values.credential_store
    return _NAMES["keyring"] if chosen == "keyring" else paths.display(paths.auth())


def tell_news(state: KernelState) -> None:
    """Say what was repaired, moved or could not be stored, each line once."""
    for line in dict.fromkeys((*state.runtime.sign_in_news(), *state.runtime.keys.take_notices())):
        say(line)


def _sign_in_rows(state: KernelState) -> list[tuple[str, ...]]:
    """As :data:`_HEAD`, and what there is to say of it."""
    rows: list[tuple[str, ...]] = []
    for spec in state.runtime.catalog().oauth.values():
        try:
            found = state.runtime.sign_ins.status(spec.preset)
        except AnteError as error:
            store = state.runtime.sign_ins.store
            # What cannot be used may be the vendor's own profile, and nothing is stored then.
            place = store.place(spec.preset) if spec.preset in store.presets() else ""
            rows.append((spec.preset, "sign-in", "", "", place, str(error)))
            continue
        if found is not None:
            rows.append(_row(spec, found))
        elif spec.client_id:
            rows.append((spec.preset, "not signed in", "", "", "", ""))
        else:
            rows.append((spec.preset, "not available", "", "", "", f"`{spec.login()}` says why"))
    return rows


def _row(spec: OAuthSpec, found: SignInStatus) -> tuple[str, ...]:
    whom = " ".join(filter(None, (found.email, f"({found.plan})" if found.plan else "")))
    problems = []
    if found.problem:
        problems.append(f"cannot be renewed ({found.problem.replace('_', ' ')}): `{spec.login()}`")
    if found.unsaved:
        problems.append("later tokens are in this kernel only")
    how = found.source if found.source not in _WAYS else f"sign-in ({_WAYS[found.source]})"
    place = "sign-in store" if found.place.endswith(".json") else found.place
    return (spec.preset, how, whom or "unknown", _until(found), place, "; ".join(problems))


def _until(found: SignInStatus) -> str:
    """When the token ends, by the local clock, and whether it is renewed before."""
    if found.ends is None:
        return "is renewed" if found.renewable else "unknown"
    moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.ends))
    if found.ends <= time.time():
        return "expired, is renewed" if found.renewable else f"expired {moment}"
    return f"{moment}, is renewed" if found.renewable else moment


def _key_rows(state: KernelState) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    keys = state.runtime.keys
    try:
        keys.store.providers()
        readable = True
    except AnteError as error:
        # Once, and not with each provider: whether there is a key for it nobody can say.
        rows.append(("API keys", "cannot be read", "", "", "", str(error)))
        readable = False
    for provider in state.runtime.catalog().providers.values():
        if provider.alias_of is not None or provider.auth is None or not provider.auth.env_keys:
            continue
        try:
            found = keys.find_key(provider, os.environ, stored=readable)
        except AnteError as error:
            rows.append((provider.id, "API key", "", "", "", str(error)))
            continue
        if found is not None:
            rows.append((provider.id, "API key", "", "", found.source, _instead(state, provider)))
    return rows


def _instead(state: KernelState, provider: ProviderSpec) -> str:
    """What a key keeps from being used."""
    preset = provider.auth.oauth_preset if provider.auth else None
    if preset is None or provider.oauth_provider is None:
        return ""
    try:
        signed_in = state.runtime.sign_ins.status(preset) is not None
    except AnteError:
        return ""
    return (
        f"used before the sign-in, which `%ante provider {provider.oauth_provider}` uses" if signed_in else ""
    )


def _move(state: KernelState, words: list[str]) -> None:
    """Keep keys and sign-ins in files or in the system keyring from now on, and move what there is.

    Raises:
        ConfigError: no such store, a keyring that cannot be used; nothing was moved then.
    """
    from ante_nb import paths, settings
    from ante_nb.providers.auth.system_keyring import SystemKeyring

    if len(words) != 1 or words[0] not in _BACKENDS:
        raise ConfigError("`%ante auth store` needs `file` or `keyring`", "E.g. `%ante auth store keyring`.")
    if state.in_tool:
        raise BusyError("the store cannot be moved inside a tool call", "The person moves it, in a cell.")
    backend = words[0]
    if backend == "keyring":
        # As long as a sign-in may get: some keyrings take little.
        SystemKeyring(paths.home()).probe("ante_nb", 12_000)
    path = settings.save({"credential_store": backend})
    say(
        f"keys and sign-ins are kept in {_NAMES[backend]} from now on (credential_store in {paths.display(path)})"
    )
    runtime = state.runtime
    # Reading moves what is not where it should be.
    runtime.keys.store.providers()
    for preset in runtime.sign_ins.store.presets():
        try:
            runtime.sign_ins.store.load(preset)
        except AnteError as error:
            say(str(error))
    runtime.changed()
    tell_news(state)
