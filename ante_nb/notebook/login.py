"""``%ante login``: what is asked for, and whether anything needs to be done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ante_nb.errors import AnteError, BusyError, ConfigError
from ante_nb.notebook import sign_in_wait
from ante_nb.notebook.printing import say
from ante_nb.notebook.sign_in_wait import Login, plan_words

if TYPE_CHECKING:
    from ante_nb.notebook.state import KernelState
    from ante_nb.providers.auth.oauth_spec import OAuthSpec

_WAYS = {"--device": "device", "--paste": "paste", "--browser": "browser"}
_NO_BROWSER, _AGAIN = "--no-browser", "--again"


async def run_login(line: str) -> None:
    """``%ante login``, awaited; the prompt transformer calls it."""
    from IPython import get_ipython

    from ante_nb.notebook.state import kernel_state

    state = kernel_state(get_ipython())
    # A front end that runs code behind the person's back must not start anything.
    request = None if state.is_silent else asked(state, line)
    if request is not None:
        await sign_in_wait.awaited(state, request)


def login(state: KernelState, rest: str) -> None:
    """``%ante login`` where the cell cannot be awaited: blocks this thread.

    Raises:
        ConfigError: no or an unknown provider, one without a sign-in, a way that it has not.
        SignInError: refused, expired, cancelled or interrupted.
    """
    request = asked(state, rest)
    if request is not None:
        sign_in_wait.blocking(state, request)


def asked(state: KernelState, rest: str) -> Login | None:
    """The request; ``None``, with a line, where there is nothing to do.

    Raises:
        ConfigError: as :func:`login`.
        BusyError: called by code of the Python tool.
    """
    words = rest.split()
    flags = [word for word in words if word.startswith("--")]
    names = [word for word in words if not word.startswith("--")]
    unknown = [flag for flag in flags if flag not in (*_WAYS, _NO_BROWSER, _AGAIN)]
    ways = [_WAYS[flag] for flag in flags if flag in _WAYS]
    presets = state.runtime.catalog().oauth
    if unknown or len(ways) > 1 or len(names) != 1:
        from ante_nb.notebook.keys import foreign, leaked

        if strange := foreign(state, names[1:]):
            raise leaked(strange, None)
        if unknown:
            what = f"%ante login has no flag {unknown[0]}"
        elif len(names) != 1:
            what = "`%ante login` needs one provider"
        else:
            what = "`%ante login` takes one way at a time"
        raise ConfigError(
            what,
            f"E.g. `%ante login {next(iter(presets), 'openai')}`; known: {', '.join(presets)}. "
            "--device, --paste or --browser chooses the way.",
        )
    if state.in_tool:
        raise BusyError("a sign-in inside a tool call is refused", "The person signs in, in a cell.")
    spec = spec_of(state, names[0])
    if _AGAIN not in flags and _already(state, spec):
        return None
    if not spec.client_id:
        raise ConfigError(
            spec.unavailable or f"{spec.display_name} has no client id for its sign-in",
            None if spec.unavailable else "Set client_id in the oauth object of catalog.json.",
        )
    way: Any = ways[0] if ways else None
    if way == "device" and spec.device is None:
        raise ConfigError(
            f"{spec.display_name} has no sign-in with a device code",
            f"Type `%ante login {spec.preset}`; --paste works from everywhere.",
        )
    return Login(spec, way, _NO_BROWSER in flags)


def spec_of(state: KernelState, word: str) -> OAuthSpec:
    """The sign-in of a provider or preset.

    Raises:
        ConfigError: there is none; the message says what to do instead.
    """
    from ante_nb.notebook.keys import named_provider

    catalog = state.runtime.catalog()
    if word.lower() in catalog.oauth:
        return catalog.oauth[word.lower()]
    provider = named_provider(state, [word])
    preset = provider.auth.oauth_preset if provider.auth else None
    if preset in catalog.oauth:
        return catalog.oauth[preset]
    if provider.auth is None:
        raise ConfigError(f"{provider.id} needs no sign-in", f"`%ante provider {provider.id}` chooses it.")
    raise ConfigError(
        f"{provider.id} has no sign-in: it takes an API key", f"Type `%ante key {provider.id}`."
    )


def _already(state: KernelState, spec: OAuthSpec) -> bool:
    """Whether nothing needs to be done, which is then said: Run All must not ask each time."""
    try:
        found = state.runtime.sign_ins.status(spec.preset)
    except AnteError as error:
        # What cannot be read is kept aside when the new sign-in is written.
        say(str(error))
        return False
    if (
        found is None
        or found.problem
        or (found.ends is not None and found.ends <= time.time() and not found.renewable)
    ):
        return False
    again = f"; `{spec.login()} {_AGAIN}` signs in anew" if spec.client_id else ""
    say(f"already signed in to {spec.display_name}{plan_words(found.plan)}, {found.place}{again}")
    return True
