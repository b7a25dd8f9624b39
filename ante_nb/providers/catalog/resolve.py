"""From flags, session, environment, settings and defaults to one frozen choice.

Precedence, highest first: cell flag, session choice (``%ante``, widget and ``%config`` write the same
layer), kernelspec, environment, ``settings.json`` or the profile, ``ipython_config.py``, built-in default.
A provider and a model are chosen together: a model of a lower layer belongs to that layer's provider and is
not carried over to another one.
"""

from __future__ import annotations

import datetime
import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ante_nb.errors import ConfigError, MissingCredentialError, SignInError
from ante_nb.providers.catalog import environment
from ante_nb.providers.spec import Choice
from ante_nb.providers.thinking import parse_level, round_level

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ante_nb.providers.auth.keys import Credential, CredentialSource
    from ante_nb.providers.catalog.load import Catalog
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, ThinkingLevel
    from ante_nb.settings import Settings

DEFAULT_PROVIDER = "anthropic"
LOCAL = "local"

CELL = "cell flag"
SESSION = "%ante"
KERNELSPEC = "kernelspec"
CONFIG = "ipython_config.py"
DEFAULT = "built-in default"


@dataclass(frozen=True, slots=True)
class Overrides:
    """What one layer says; ``None`` leaves it to the layers below.

    ``thinking`` is a level in either spelling (see :mod:`ante_nb.providers.thinking`).
    """

    provider: str | None = None
    model: str | None = None
    thinking: str | None = None


def resolve(
    catalog: Catalog,
    settings: Settings,
    env: Mapping[str, str],
    keys: CredentialSource,
    *,
    cell: Overrides | None = None,
    session: Overrides | None = None,
    kernelspec: Overrides | None = None,
    config: Overrides | None = None,
    engine_available: Callable[[], bool] = lambda: False,
    last_used: Mapping[str, str] | None = None,
    today: datetime.date | None = None,
) -> Choice:
    """Everything a turn needs to call a model, with the source of each value.

    Args:
        catalog: from :func:`ante_nb.providers.catalog.load_catalog`.
        settings: from :func:`ante_nb.settings.load_settings`.
        env: the environment.
        keys: finds keys and sign-ins.
        cell, session, kernelspec, config: the flags of the cell, the session's choice, what the kernel was
            started with, ``ipython_config.py``.
        engine_available: whether a local engine and a model are there; asked only when it matters.
        last_used: the model last used with each provider in this process.
        today: the date for retirement notices, by default the present one.

    Returns:
        The choice. For ``local`` the base URL is the configured server or empty (one is to be started),
        and the model id is empty where the first model found is meant.

    Raises:
        UnknownProviderError: no such provider; the message has near matches.
        MissingCredentialError: no key; the message names the variable and the ways to go on.
        SignInError: the provider needs a sign-in that is not there.
        ConfigError: a variable, a level or a setting cannot be used.
    """
    settings.check()
    layers = [
        (CELL, cell or Overrides()),
        (SESSION, session or Overrides()),
        (KERNELSPEC, kernelspec or Overrides()),
        (settings.source, Overrides(settings.values.provider, settings.values.model)),
        (CONFIG, config or Overrides()),
    ]
    resolver = _Resolver(catalog, settings, env, keys, layers, engine_available, last_used or {})
    return resolver.choice(today or datetime.date.today())


@dataclass(frozen=True, slots=True)
class _Pick:
    provider: ProviderSpec
    provider_source: str
    model: str
    model_source: str


class _Resolver:
    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        env: Mapping[str, str],
        keys: CredentialSource,
        layers: list[tuple[str, Overrides]],
        engine_available: Callable[[], bool],
        last_used: Mapping[str, str],
    ) -> None:
        self.catalog = catalog
        self.settings = settings
        self.env = env
        self.keys = keys
        self.layers = layers
        self.engine_available = engine_available
        self.last_used = last_used
        self.notices: list[str] = []
        self.key_errors: dict[str, ConfigError] = {}

    # ------------------------------------------------------------------------------------- choice

    def choice(self, today: datetime.date) -> Choice:
        pick = self.pick()
        provider = pick.provider
        self.check_allowed(provider)
        credential = self.find(provider)
        if credential is None and provider.auth is not None:
            raise self.missing(provider, pick.provider_source)
        sources = {"provider": pick.provider_source, "model": pick.model_source}
        if credential is not None:
            sources["credential"] = credential.source
            if credential.oauth and provider.oauth_provider:
                provider = self.signed_in(provider)
        if not pick.model and provider.id != LOCAL:
            raise _no_model(provider, pick.provider_source)
        model, more = environment.override_model(self.catalog.model_for(provider.id, pick.model), self.env)
        sources |= more
        if not pick.model:
            model = replace(model, display_name="first model found")
        url, sources["base_url"] = self.base_url(provider, oauth=credential is not None and credential.oauth)
        thinking, thinking_source = self.thinking(model)
        if thinking is not None:
            sources["thinking"] = thinking_source
        self.model_notices(provider, model, today)
        self.key_notices(provider, url, credential)
        if (
            thinking_source in (CELL, SESSION)
            and thinking is not None
            and round_level(model, thinking) is None
        ):
            self.notices.append(f"{model.id} has no thinking control: the level is not sent.")
        return Choice(
            provider=provider,
            model=model,
            base_url=url,
            credential=credential.secret if credential else None,
            thinking=thinking,
            sources=sources,
            notices=tuple(dict.fromkeys(self.notices)),
            credential_headers=credential.headers if credential else {},
            oauth=credential.preset if credential and credential.oauth else None,
        )

    # ----------------------------------------------------------------------- provider and model

    def pick(self) -> _Pick:
        for index, (source, layer) in enumerate(self.layers):
            if layer.provider:
                provider = self.catalog.provider(layer.provider.strip())
                if layer.model:
                    return _Pick(provider, source, layer.model.strip(), source)
                return _Pick(provider, source, *self.model_below(provider, index + 1))
            if layer.model:
                provider, found = self.provider_for(layer.model.strip(), index + 1)
                return _Pick(provider, found or source, layer.model.strip(), source)
        provider, source = self.automatic()
        return _Pick(provider, source, *self.default_model(provider, chosen=False))

    def model_below(self, provider: ProviderSpec, start: int) -> tuple[str, str]:
        """The model for a provider that was chosen alone: what a lower layer chose for it, else its own."""
        for source, layer in self.layers[start:]:
            fits = layer.provider == provider.id or (
                layer.provider is None and layer.model is not None and layer.model in provider.models
            )
            if fits and layer.model:
                return layer.model.strip(), source
        return self.default_model(provider)

    def default_model(self, provider: ProviderSpec, *, chosen: bool = True) -> tuple[str, str]:
        """The provider's last-used model, else its example model; ``""`` where it has none.

        What this process used last counts only for a provider that was ``chosen``.
        """
        if chosen and provider.id in self.last_used:
            return self.last_used[provider.id], "last used here"
        used = self.settings.values.provider_model.get(provider.id)
        if used:
            return used, f"{self.settings.source} (last used)"
        if provider.id == LOCAL and self.settings.local.model:
            return self.settings.local.model, self.settings.source
        return provider.default_model or "", DEFAULT

    def provider_for(self, model: str, start: int) -> tuple[ProviderSpec, str | None]:
        """The provider for a model that was chosen alone, and the source where it was not that choice.

        The provider of a lower layer, where it lists the model or lists none; else the first usable
        provider that lists it, else a usable one that lists none; else the lower layer's or the default.
        """
        chosen: ProviderSpec | None = None
        chosen_source: str | None = None
        for source, layer in self.layers[start:]:
            if layer.provider:
                chosen, chosen_source = self.catalog.provider(layer.provider.strip()), source
                break
        if chosen is not None and (model in chosen.models or not chosen.models):
            return chosen, chosen_source
        listing = [p for p in self.catalog.served_by(model) if self.settings.allows_provider(p.id)]
        for provider in listing:
            if self.usable(provider):
                return provider, None
        if listing:
            raise self.nobody_serves(model, listing, chosen)
        if chosen is not None:
            return chosen, chosen_source
        if _is_model_file(model):
            return self.catalog.provider(LOCAL), None
        for provider in self.catalog.providers.values():
            wildcard = (
                not provider.models and provider.id != LOCAL and self.settings.allows_provider(provider.id)
            )
            if wildcard and self.usable(provider):
                return provider, None
        return self.automatic(need_model=False)

    def automatic(self, *, need_model: bool = True) -> tuple[ProviderSpec, str]:
        """The default provider, else the first usable one in catalog order, else ``local``."""
        default = self.catalog.providers.get(DEFAULT_PROVIDER)
        if default is not None and self.settings.allows_provider(default.id) and self.usable(default):
            return default, DEFAULT
        lacking: list[str] = []
        for provider in self.catalog.providers.values():
            if provider.id == LOCAL or not self.settings.allows_provider(provider.id):
                continue
            has_model = bool(self.default_model(provider)[0])
            usable = self.usable(provider)
            if usable and (has_model or not need_model):
                return provider, "first provider with a key" if provider.auth else "first usable provider"
            if provider.auth and provider.alias_of is None and self.find(provider) is not None:
                lacking.append(f"{provider.id} has a key but no {'default model' if usable else 'base URL'}")
        if self.settings.allows_provider(LOCAL) and self.engine_available():
            return self.catalog.provider(LOCAL), ", ".join(lacking) or "no key found"
        trouble = "".join(f" ({error.message})" for error in dict.fromkeys(self.key_errors.values()))
        if lacking:
            first = lacking[0].split(maxsplit=1)[0]
            raise MissingCredentialError(
                f"no provider is ready: {', '.join(lacking)}{trouble}, and there is no local engine with a model",
                f"Choose provider and model: `%ante provider {first}`, then `%ante model ID`.",
            )
        raise MissingCredentialError(
            f"no provider is ready: no API key was found{trouble}, and no local engine with a model",
            "Type `%ante key anthropic` (or openai, gemini, ...), or set a variable like ANTHROPIC_API_KEY"
            " before the kernel starts, or go without a key: `%pip install 'ante_nb[local]'`, put a GGUF"
            " model in ~/.ante/models and use `--provider local`.",
        )

    # -------------------------------------------------------------------------------- credentials

    def find(self, provider: ProviderSpec) -> Credential | None:
        """The credential; a store that cannot be used is a notice, the other ways still count."""
        try:
            return self.keys.find(provider, self.env)
        except ConfigError as error:
            self.key_errors[provider.id] = error
            self.notices.append(str(error))
            return None

    def usable(self, provider: ProviderSpec) -> bool:
        """Whether the provider could be called: it is signed for and has an address."""
        credential = self.find(provider)
        if credential is None and provider.auth is not None:
            return False
        if credential is not None and credential.oauth and provider.oauth_provider:
            provider = self.catalog.provider(provider.oauth_provider)
        return (
            environment.base_url(provider, self.env, oauth=bool(credential and credential.oauth)) is not None
        )

    def signed_in(self, provider: ProviderSpec) -> ProviderSpec:
        """The provider that a sign-in of ``provider`` belongs to."""
        other = self.catalog.provider(provider.oauth_provider or "")
        self.check_allowed(other)
        self.notices.append(
            f"no API key for {provider.id}: your sign-in is used, requests go to {other.display_name} ({other.id})."
        )
        return other

    def missing(self, provider: ProviderSpec, source: str) -> ConfigError | SignInError:
        if provider.id in self.key_errors:
            error = self.key_errors[provider.id]
            return MissingCredentialError(error.message, error.hint)
        auth = provider.auth
        chosen = "" if source in (CELL, DEFAULT) else f" (chosen by {source})"
        sign_in = self.keys.sign_in_command(provider)
        keyless = "or go without a key: `--provider local`."
        if auth is None or not auth.env_keys:
            message = f"{provider.display_name} ({provider.id}) needs a sign-in and there is none{chosen}"
            twin = next((p for p in self.catalog.providers.values() if p.oauth_provider == provider.id), None)
            with_key = ""
            if twin is not None and twin.auth is not None and twin.auth.env_keys:
                with_key = f"use an API key: `--provider {twin.id}` with {twin.auth.env_keys[0]}, "
            first = f"Type `{sign_in}`, " if sign_in else "Signing in is not available here: "
            return SignInError(message, f"{first}{with_key}{keyless}", provider=provider.id)
        names = " or ".join(auth.env_keys)
        page = f" (get one at {provider.key_page})" if provider.key_page else ""
        also = f"sign in with `{sign_in}`, " if sign_in else ""
        return MissingCredentialError(
            f"no key for {provider.display_name} ({provider.id}){chosen}: {names} is not set and no key is stored",
            f"Type `%ante key {provider.id}`{page}, or set {auth.env_keys[0]} before the kernel starts, {also}{keyless}",
        )

    def nobody_serves(
        self, model: str, listing: list[ProviderSpec], chosen: ProviderSpec | None
    ) -> MissingCredentialError:
        names = ", ".join(provider.id for provider in listing)
        first = next((p for p in listing if p.auth and p.auth.env_keys), listing[0])
        anyway = (
            f", or send it to {chosen.id} anyway: `--provider {chosen.id} --model {model}`" if chosen else ""
        )
        return MissingCredentialError(
            f"{model} is served by {names}, and there is no key for any of them",
            f"Type `%ante key {first.id}`{anyway}, or go without a key: `--provider local`.",
        )

    def check_allowed(self, provider: ProviderSpec) -> None:
        if not self.settings.allows_provider(provider.id):
            allowed = ", ".join(self.settings.system.providers or ()) or "none"
            raise ConfigError(
                f"the administrator of this machine does not allow the provider {provider.id}",
                f"Allowed: {allowed}.",
            )

    # ------------------------------------------------------------------------------- other values

    def base_url(self, provider: ProviderSpec, *, oauth: bool) -> tuple[str, str]:
        if provider.id == LOCAL and self.settings.local.engine_url:
            return self.settings.local.engine_url.rstrip("/"), self.settings.source
        found = environment.base_url(provider, self.env, oauth=oauth)
        if found is not None:
            return found
        if provider.id == LOCAL:
            return "", "started on first use"
        names = " or ".join(name for name in (provider.base_url_env, environment.GLOBAL_BASE_URL) if name)
        raise ConfigError(
            f"{provider.display_name} ({provider.id}) has no base URL",
            f"Set {names} to your server's address, e.g. https://api.together.xyz/v1.",
        )

    def thinking(self, model: ModelSpec) -> tuple[ThinkingLevel | None, str]:
        for source, layer in self.layers:
            if source == self.settings.source:
                level = environment.thinking_variable(self.env)
                if level is not None:
                    return level, f"environment {environment.THINKING_VARIABLE}"
                level = self.settings.thinking_for(model.id)
                if level is not None:
                    return level, source
            elif layer.thinking:
                where = "--thinking" if source == CELL else f"thinking of {source}"
                return parse_level(layer.thinking, where), source
        return model.thinking, "catalog"

    # ------------------------------------------------------------------------------------ notices

    def model_notices(self, provider: ProviderSpec, model: ModelSpec, today: datetime.date) -> None:
        if model.id and provider.models and model.id not in provider.models:
            known = [*provider.models, *self.catalog.models]
            near = difflib.get_close_matches(model.id, known, n=2, cutoff=0.75)
            guess = f" Did you mean {' or '.join(near)}?" if near and not self.catalog.knows(model.id) else ""
            limits = "" if self.catalog.knows(model.id) else ", its limits and price are unknown"
            self.notices.append(
                f"{model.id} is not in the list of {provider.id}: it is passed through{limits}.{guess}"
            )
        if model.retires_on:
            instead = f": {model.successor} takes its place." if model.successor else "."
            if model.retires_on <= today.isoformat():
                self.notices.append(f"{model.id} was retired by its vendor on {model.retires_on}{instead}")
            else:
                self.notices.append(
                    f"{model.id} will be retired by its vendor on {model.retires_on}{instead}"
                )

    def key_notices(self, provider: ProviderSpec, url: str, credential: Credential | None) -> None:
        if credential is None:
            return
        open_text = url.startswith("http://") and not environment.is_loopback(url)
        if credential.oauth:
            if open_text:
                raise ConfigError(
                    f"the base URL of {provider.id} is plain http: the token of a sign-in is not sent there",
                    "Use https, or an API key.",
                )
            return
        prefix = provider.key_prefix
        if prefix and not credential.secret.value.startswith(prefix):
            self.notices.append(
                f"the key for {provider.id} ({credential.source}) does not start with {prefix}: "
                f"other keys are refused there."
            )
        if open_text:
            self.notices.append(f"the base URL of {provider.id} is plain http: the key travels unencrypted.")


def _is_model_file(model: str) -> bool:
    return model.lower().endswith(".gguf")


def _no_model(provider: ProviderSpec, source: str) -> ConfigError:
    name = f"--provider {provider.id} --model MODEL" if source == CELL else "%ante model ID"
    return ConfigError(
        f"{provider.display_name} ({provider.id}) has no default model",
        f"Name one: `{name}`, e.g. meta-llama/Llama-3-70b-chat-hf.",
    )
