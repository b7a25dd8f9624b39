"""``%ante providers``, ``%ante models``: what there is, and what a prompt would use."""

from __future__ import annotations

import datetime
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ante_nb.errors import AnteError, ConfigError
from ante_nb.notebook.printing import say, table

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from ante_nb.notebook.state import KernelState
    from ante_nb.providers.auth.keys import Credential
    from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec

LOCAL = "local"
_LIVE = "--live"
_HEAD = ("  model", "context", "output", "USD per 1M in/cached/out", "thinking", "images", "")


# ------------------------------------------------------------------------------------------ providers


def providers(state: KernelState, rest: str) -> None:
    """All providers: id, wire, how signed in, base URL in effect and where it comes from.

    Raises:
        ConfigError: an argument that is none.
    """
    if rest:
        raise ConfigError(
            "%ante providers takes no argument",
            "`%ante provider ID` chooses one, `%ante models ID` lists its models.",
        )
    now = _in_force(state)
    rows = [("  provider", "wire", "signed in", "base URL (source)")]
    for provider in own_rows(state):
        mark = "*" if now is not None and now.provider.id == provider.id else " "
        rows.append(
            (
                f"{mark} {provider.id}",
                provider.wire_style,
                signed_in(state, provider),
                base_of(state, provider),
            )
        )
    table(rows)
    say("`%ante provider ID` chooses, `%ante key ID` asks for a key, `%ante models ID` lists the models.")


def short_providers(state: KernelState) -> None:
    """``%ante provider``: ids, names and whether they are ready."""
    table((provider.id, f"{provider.display_name}; {ready(state, provider)}") for provider in own_rows(state))


def own_rows(state: KernelState) -> list[ProviderSpec]:
    """The providers without second names of the same one."""
    return [p for p in state.runtime.catalog().providers.values() if p.alias_of is None]


def _found(state: KernelState, provider: ProviderSpec) -> Credential | None:
    return state.runtime.keys.find(provider, os.environ)


def ready(state: KernelState, provider: ProviderSpec) -> str:
    """Whether the provider could be used, in a few words."""
    try:
        found = _found(state, provider)
    except AnteError as error:
        return str(error)
    return f"ready: {found.source}" if found is not None else signed_in(state, provider)


def signed_in(state: KernelState, provider: ProviderSpec) -> str:
    """Where the credential comes from, or what is missing."""
    if not state.runtime.settings().allows_provider(provider.id):
        return "not allowed by the administrator"
    try:
        found = _found(state, provider)
    except AnteError as error:
        return error.message
    if found is not None:
        other = f", as {provider.oauth_provider}" if found.oauth and provider.oauth_provider else ""
        return found.source + other
    if provider.auth is None:
        return "no authentication needed"
    names = " or ".join(provider.auth.env_keys)
    if names:
        return f"no key ({names})"
    sign_in = state.runtime.keys.sign_in_command(provider)
    return f"not signed in (`{sign_in}`)" if sign_in else "not signed in"


def base_of(state: KernelState, provider: ProviderSpec) -> str:
    """The base URL in effect and where it comes from, or what to set."""
    from ante_nb.providers.catalog import environment
    from ante_nb.providers.failure_words import safe_url

    settings = state.runtime.settings()
    if provider.id == LOCAL and settings.local.engine_url:
        return f"{safe_url(settings.local.engine_url)} ({settings.source})"
    try:
        found = _found(state, provider)
        oauth = found.oauth if found else provider.auth is not None and not provider.auth.env_keys
        if found is not None and oauth and provider.oauth_provider:
            provider = state.runtime.catalog().provider(provider.oauth_provider)
        url = environment.base_url(provider, os.environ, oauth=oauth)
    except AnteError as error:
        return error.message
    if url is not None:
        return f"{safe_url(url[0])} ({url[1]})"
    if provider.id == LOCAL:
        return "started on first use"
    names = [name for name in (provider.base_url_env, environment.GLOBAL_BASE_URL) if name]
    return f"none: set {' or '.join(names)}"


def _in_force(state: KernelState) -> Choice | None:
    try:
        return state.runtime.choose()
    except AnteError:
        return None


# --------------------------------------------------------------------------------------------- models


def models(state: KernelState, rest: str) -> None:
    """The models of one provider or of all; with ``--live`` from the server's own list.

    Raises:
        ConfigError: an unknown flag or provider, or a provider without a list of its own.
        ProviderError: the server refuses its list.
        TurnError: interrupted.
    """
    words = rest.split()
    live = _LIVE in words
    names = [word for word in words if word != _LIVE]
    if len(names) > 1 or (names and names[0].startswith("-")):
        raise ConfigError(
            "%ante models takes one provider and `--live`", "E.g. `%ante models --live openrouter`."
        )
    catalog = state.runtime.catalog()
    named = catalog.provider(names[0]) if names else None
    if live:
        _show_live(state, named or chosen_provider(state))
        return
    now = _in_force(state)
    if named is not None:
        _show(state, named, now)
        return
    for provider in own_rows(state):
        say(f"{provider.id}: {provider.display_name}; {ready(state, provider)}")
        _show(state, provider, now)
        say()
    listed = {model for provider in catalog.providers.values() for model in provider.models}
    alone = [spec for model, spec in catalog.models.items() if model not in listed]
    if alone:
        say("under any compatible provider, e.g. `--provider openai-compatible`:")
        _table(alone, None)


def short_models(state: KernelState) -> None:
    """``%ante model``: the models of the provider in force, with their context."""
    choice = state.runtime.choose()
    if choice.provider.id == LOCAL:
        _show_local(state)
        return
    rows = []
    for model_id in choice.provider.models:
        spec = state.runtime.catalog().model_for(choice.provider.id, model_id)
        context = f"{spec.context_limit:,} tokens of context" if spec.context_limit else "context unknown"
        mark = "*" if model_id == choice.model.id else " "
        rows.append((f"{mark} {model_id}", "; ".join(filter(None, (context, retirement(spec))))))
    if choice.model.id not in choice.provider.models:
        rows.insert(0, (f"* {choice.model.id}", "passed through"))
    table(rows)
    if not choice.provider.models:
        say("this provider takes any model id")


def _show(state: KernelState, provider: ProviderSpec, now: Choice | None) -> None:
    if provider.id == LOCAL:
        _show_local(state)
        return
    catalog = state.runtime.catalog()
    current = now.model.id if now is not None and now.provider.id == provider.id else None
    specs = [catalog.model_for(provider.id, model_id) for model_id in provider.models]
    if current is not None and current not in provider.models:
        specs.insert(0, catalog.model_for(provider.id, current))
    _table(specs, current)
    if not provider.models:
        say(f"  takes any model id; `%ante models --live {provider.id}` asks the server")


def _show_local(state: KernelState) -> None:
    from ante_nb import paths
    from ante_nb.local import discovery, options

    settings = state.runtime.settings()
    if settings.local.engine_url:
        say("  a server of yours answers; `%ante models --live local` asks it")
    chosen = options.load(settings, os.environ)
    found = discovery.find_models(chosen.home, os.environ, chosen.model_directories)
    table(
        (f"  {model.id}", f"{model.size / 1e6:,.0f} MB", paths.display(model.path), model.flaw)
        for model in found
    )
    if not found and not settings.local.engine_url:
        say("  no GGUF model was found: put one in ~/.ante/models, then `%ante model NAME`")


def _table(specs: Iterable[ModelSpec], current: str | None) -> None:
    rows = [_row(spec, "*" if spec.id == current else " ") for spec in specs]
    if rows:
        table([_HEAD, *rows])


def _row(spec: ModelSpec, mark: str) -> tuple[str, ...]:
    from ante_nb.providers.thinking import levels_of

    return (
        f"{mark} {' '.join(spec.id.split())}",
        _size(spec.context_limit),
        _size(spec.output_limit),
        price_of(spec),
        " ".join(levels_of(spec)) or "-",
        {True: "yes", False: "no", None: "unknown"}[spec.vision],
        retirement(spec),
    )


def _size(tokens: int | None) -> str:
    return f"{tokens:,}" if tokens else "unknown"


def price_of(spec: ModelSpec) -> str:
    """The price of a model for a person: three numbers, ``plan``, ``free`` or ``unknown``."""
    if spec.plan_priced:
        return "plan"
    price = spec.price
    if price is None:
        return "unknown"
    if price.input == price.output == 0:
        return "free"
    cached = f"{price.cache_read:g}" if price.cache_read is not None else "-"
    return f"{price.input:g} / {cached} / {price.output:g}"


def retirement(spec: ModelSpec) -> str:
    """When the vendor ends the model, and what follows; empty where it does not."""
    if not spec.retires_on:
        return ""
    past = spec.retires_on <= datetime.date.today().isoformat()
    when = f"retired on {spec.retires_on}" if past else f"retires on {spec.retires_on}"
    return f"{when}, then {spec.successor}" if spec.successor else when


# ----------------------------------------------------------------------------------------------- live


def chosen_provider(state: KernelState) -> ProviderSpec:
    """The provider in force, even where no model was chosen for it yet."""
    runtime = state.runtime
    try:
        return runtime.choose().provider
    except AnteError:
        layers = (runtime.choices, runtime.settings().values, runtime.config)
        chosen = next((layer.provider for layer in layers if layer.provider), None)
        if chosen is None:
            raise
        return runtime.catalog().provider(chosen)


def _show_live(state: KernelState, provider: ProviderSpec) -> None:
    from ante_nb.notebook.waiting import wait_for

    if provider.id == LOCAL and not state.runtime.settings().local.engine_url:
        _show_local(state)
        return
    provider, ask = live_models(state, provider)
    found = wait_for(ask)
    now = _in_force(state)
    current = now.model.id if now is not None and now.provider.id == provider.id else None
    say(f"{provider.id}: {len(found)} model{'s' * (len(found) != 1)}, from the server's own list")
    _table((merged(state, provider, spec) for spec in found), current)


def live_models(
    state: KernelState, provider: ProviderSpec
) -> tuple[ProviderSpec, Coroutine[Any, Any, list[ModelSpec]]]:
    """The provider that is really asked, and what asks it for its models, by id, on the agent's loop.

    Raises:
        ConfigError: no credential, or a provider without a list of its own.
    """
    from ante_nb.agent.connection import connect
    from ante_nb.agent.options import TurnOptions

    runtime = state.runtime
    settings = runtime.settings()
    # No model is called, but a choice has one.
    model = None if provider.id == LOCAL else provider.default_model or "any"
    choice = runtime.choose(TurnOptions(provider=provider.id, model=model), settings)
    provider = choice.provider
    if provider.builtin and not provider.models_endpoint:
        raise ConfigError(
            f"{provider.display_name} ({provider.id}) has no list of models of its own",
            f"`%ante models {provider.id}` shows what the catalog knows.",
        )

    async def ask() -> list[ModelSpec]:
        connection = connect(runtime, choice, settings)
        try:
            found: list[ModelSpec] = await connection.list_models()
            return sorted(found, key=lambda spec: spec.id)
        finally:
            await connection.aclose()

    return provider, ask()


def merged(state: KernelState, provider: ProviderSpec, live: ModelSpec) -> ModelSpec:
    """What the server says of a model, over what the catalog knows of it."""
    known = state.runtime.catalog().model_for(provider.id, live.id)
    return replace(
        known,
        context_limit=live.context_limit or known.context_limit,
        output_limit=live.output_limit or known.output_limit,
    )
