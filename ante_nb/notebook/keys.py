"""``%ante key``: an API key goes from a password prompt to the key store, never through a cell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ante_nb.errors import AnteError, ConfigError, UnknownProviderError
from ante_nb.notebook.printing import say

if TYPE_CHECKING:
    from ante_nb.notebook.state import KernelState
    from ante_nb.providers.spec import ProviderSpec

_DELETE = "--delete"
_SHORTEST_WORD = 12
_SHORTEST_KEY = 16
"""Characters from which a word that is no provider may be a key."""


def key(state: KernelState, rest: str) -> None:
    """Ask for the key of a provider and store it, or delete the stored one.

    Raises:
        ConfigError: no or an unknown provider, one that takes no key, a key that cannot be used, a key
            in the cell, or a front end without a prompt.
        AnteError: interrupted.
    """
    words = rest.split()
    delete = _DELETE in words
    words = [word for word in words if word != _DELETE]
    if not words:
        raise ConfigError(
            "`%ante key` needs a provider",
            f"Type `%ante key {_example(state)}`, or `%ante key PROVIDER {_DELETE}`; `%ante providers` lists them.",
        )
    provider = named_provider(state, words)
    if strange := foreign(state, words[1:]):
        raise leaked(strange, provider)
    if len(words) > 1:
        raise ConfigError("`%ante key` takes one provider at a time", f"Type `%ante key {provider.id}`.")
    names = provider.auth.env_keys if provider.auth else ()
    if provider.auth is None:
        raise ConfigError(f"{provider.id} needs no key")
    if not names:
        raise _no_key_taken(state, provider)
    ident = provider.alias_of or provider.id
    if delete:
        _forget(state, ident)
    else:
        _enter(state, provider)
    for name in names:
        if os.environ.get(name, "").strip():
            say(f"{name} is set in the environment: while it is, it is used and the store is not asked.")
            break


def _example(state: KernelState) -> str:
    chosen = state.runtime.choices.provider
    return chosen if chosen else "anthropic"


def named_provider(state: KernelState, words: list[str]) -> ProviderSpec:
    """The named provider. An unknown word that may be a key is never repeated in the error."""
    from ante_nb.redact import redact

    word = words[0]
    try:
        return state.runtime.catalog().provider(word)
    except UnknownProviderError:
        long = len(word) >= _SHORTEST_KEY and any(char.isdigit() for char in word)
        if long or "=" in word or redact(word) != word:
            raise leaked(words, None) from None
        raise


def foreign(state: KernelState, words: list[str]) -> list[str]:
    """Those of ``words`` that are the id of no provider and no sign-in, so that each may be a key."""
    catalog = state.runtime.catalog()
    known = {*catalog.providers, *catalog.oauth}
    return [word for word in words if word.lower() not in known]


def leaked(words: list[str], provider: ProviderSpec | None) -> ConfigError:
    """The error for words in a cell that may be a key; they are masked from now on."""
    from ante_nb.redact import register

    for word in words:
        # Short words are no keys, and masking them would eat plain words.
        if len(word) >= _SHORTEST_WORD:
            register(word)
            register(word.rpartition("=")[2].strip("'\""))
    page = f" at {provider.key_page}" if provider is not None and provider.key_page else ""
    return ConfigError(
        "a key does not belong into a cell, and nothing was stored: if that was one, it is now in this"
        " notebook and in the input history",
        f"Revoke it{page}, delete the cell, then type `%ante key {provider.id if provider else 'PROVIDER'}`:"
        " a password prompt asks for the new one.",
    )


def _no_key_taken(state: KernelState, provider: ProviderSpec) -> ConfigError:
    sign_in = state.runtime.keys.sign_in_command(provider)
    twin = next(
        (p for p in state.runtime.catalog().providers.values() if p.oauth_provider == provider.id), None
    )
    ways = [f"sign in with `{sign_in}`"] if sign_in else []
    if twin is not None:
        ways.append(f"use a key with `%ante key {twin.id}` and `%ante provider {twin.id}`")
    if not provider.builtin:
        ways.append("name a variable as env_key in its auth entry of catalog.json")
    hint = " or ".join(ways)
    return ConfigError(
        f"{provider.id} takes no API key", f"{hint[0].upper()}{hint[1:]}." if hint else "`%ante providers`."
    )


def _enter(state: KernelState, provider: ProviderSpec) -> None:
    import getpass

    from IPython.core.error import StdinNotImplementedError

    from ante_nb.notebook.approval import can_ask
    from ante_nb.notebook.waiting import interruptible

    assert provider.auth is not None
    nobody = ConfigError(
        "nobody can type a key here: this front end has no password prompt",
        f"Set {provider.auth.env_keys[0]} before the kernel starts, or run this in a notebook or terminal.",
    )
    if not can_ask(state):
        raise nobody
    page = f" (from {provider.key_page})" if provider.key_page else ""
    try:
        with interruptible():
            # Looked up now: ipykernel puts its own in place while a cell runs.
            typed = getpass.getpass(f"API key for {provider.display_name}{page}: ")
    except StdinNotImplementedError:
        raise nobody from None
    except (KeyboardInterrupt, EOFError):
        raise AnteError("interrupted: no key was stored") from None
    for line in keep(state, provider, typed):
        say(line)


def keep(state: KernelState, provider: ProviderSpec, typed: str) -> list[str]:
    """Store what the person typed as the provider's key; what there is to say of it.

    Raises:
        ConfigError: nothing was typed, it cannot be a key, or the store cannot be used.
    """
    from ante_nb import paths
    from ante_nb.providers.auth.keys import check_key
    from ante_nb.redact import register

    if not typed.strip():
        raise ConfigError("nothing was typed: no key was stored", "Try again and paste the key.")
    register(typed.strip())
    ident = provider.alias_of or provider.id
    clean = check_key(typed, f"key for {ident}")
    store = state.runtime.keys.store
    store.set(ident, clean)
    said = [f"the key for {ident} is stored in {paths.display(store.path)}, which only you can read"]
    if provider.key_prefix and not clean.startswith(provider.key_prefix):
        said.append(
            f"it does not start with {provider.key_prefix} as every key of {provider.display_name} does:"
            f" it probably belongs elsewhere{f'; get one at {provider.key_page}' * bool(provider.key_page)}"
        )
    state.runtime.changed()
    return said


def _forget(state: KernelState, ident: str) -> None:
    say(forget(state, ident))


def forget(state: KernelState, ident: str) -> str:
    """Delete the stored key of a provider; what there is to say of it."""
    from ante_nb import paths

    store = state.runtime.keys.store
    where = paths.display(store.path)
    deleted = store.delete(ident)
    state.runtime.changed()
    if not deleted:
        return f"there is no key for {ident} in {where}"
    return f"the key for {ident} was deleted from {where}; the vendor still accepts it until it is revoked"
