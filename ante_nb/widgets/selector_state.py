"""What the selector shows: choices, their sources, and what there is to choose from, as plain JSON values.

Made anew from the kernel's state whenever that has changed; nothing of it is kept. Reads files, so it is
called on a worker thread.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from ante_nb.errors import AnteError
from ante_nb.notebook import provider_commands

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ante_nb.notebook.state import KernelState
    from ante_nb.providers.auth.keys import Credential
    from ante_nb.providers.spec import Choice, ModelSpec, ProviderSpec

LOCAL = provider_commands.LOCAL
MODES = {
    "strict": "reading is allowed, changing and running asks",
    "auto": "all but dangerous or unknown calls are allowed",
    "yolo": "everything is allowed without asking",
}
POLICIES = {
    "schema": "names, types and shapes only",
    "stats": "also null shares and ranges, no single values",
    "sample": "some values where they help",
    "full": "whatever a tool reads",
}
TRANSPORTS = {
    "http_sse": "HTTP with server-sent events",
    "websocket_auto": "WebSocket, HTTP where it fails",
}
_LEVEL_NAMES = {"min": "Disabled", "medium": "Enabled", "high": "Deep", "max": "Max"}
_SESSION = "%ante"
_DAY = "%Y-%m-%d %H:%M"


def selector_state(state: KernelState, live: Mapping[str, Sequence[ModelSpec]]) -> dict[str, Any]:
    """Everything the selector shows.

    Args:
        state: the kernel's state.
        live: models that a provider's server has told of, by provider id.
    """
    runtime = state.runtime
    settings = runtime.settings()
    choice: Choice | None = None
    problem = ""
    try:
        choice = runtime.choose(settings=settings)
    except AnteError as error:
        problem = str(error)
    provider = _provider(state, choice)
    ident = (provider.alias_of or provider.id) if provider is not None else ""
    asked = _asked(state, ident)
    found: dict[str, Any] = {
        "problem": problem,
        "notices": list(choice.notices) if choice is not None else [],
        "provider": _value(choice, "provider", runtime.choices.provider or ident, runtime.choices.provider)
        | {"in_use": ident},
        "model": _value(choice, "model", choice.model.id if choice else "", runtime.choices.model),
        "providers": _providers(state, choice),
        "models": _models(state, provider, choice, live),
        "thinking": _thinking(state, choice),
        "base_url": provider_commands.base_of(state, provider) if provider is not None else "",
        "credential": choice.sources.get("credential", "none needed") if choice is not None else "",
        "transport": _transport(state, choice),
        "can_list": _can_list(state, asked),
        "local": ident == LOCAL,
        "saved_in": settings.source,
    }
    found |= _rules(state)
    return found


def _provider(state: KernelState, choice: Choice | None) -> ProviderSpec | None:
    """The provider in force, even where it cannot be used yet; ``None`` where none is chosen."""
    if choice is not None:
        return choice.provider
    try:
        return provider_commands.chosen_provider(state)
    except AnteError:
        return None


def _asked(state: KernelState, ident: str) -> ProviderSpec | None:
    try:
        return state.runtime.catalog().provider(ident) if ident else None
    except AnteError:
        return None


def _value(choice: Choice | None, name: str, value: str, chosen: str | None) -> dict[str, Any]:
    source = choice.sources.get(name, "") if choice is not None else _SESSION if chosen else ""
    return {"value": value or chosen or "", "source": source, "chosen": chosen is not None}


# -------------------------------------------------------------------------------------------- providers


def _providers(state: KernelState, choice: Choice | None) -> list[dict[str, Any]]:
    """Those that can be used first, in the catalog's order otherwise."""
    rows = [_provider_row(state, provider) for provider in provider_commands.own_rows(state)]
    rank = {"environment": 0, "stored": 0, "signed in": 0, "open": 1, "broken": 2, "none": 3, "forbidden": 4}
    return sorted(rows, key=lambda row: rank[row["state"]])


def _provider_row(state: KernelState, provider: ProviderSpec) -> dict[str, Any]:
    auth = provider.auth
    row: dict[str, Any] = {
        "id": provider.id,
        "name": provider.display_name,
        "takes_key": bool(auth and auth.env_keys),
        "variable": auth.env_keys[0] if auth and auth.env_keys else "",
        "key_page": provider.key_page or "",
        "stored_key": False,
        "sign_in": _sign_in(state, provider),
        "signed_in": False,
    }
    if not state.runtime.settings().allows_provider(provider.id):
        return {**row, "state": "forbidden", "words": "not allowed by the administrator"}
    try:
        found = state.runtime.keys.find(provider, os.environ)
    except AnteError as error:
        return {**row, "state": "broken", "words": str(error)}
    if found is None:
        words = "no authentication needed" if auth is None else provider_commands.signed_in(state, provider)
        return {**row, "state": "open" if auth is None else "none", "words": words}
    return {**row, **_credential(state, found)}


def _credential(state: KernelState, found: Credential) -> dict[str, Any]:
    if found.oauth:
        return {"state": "signed in", "signed_in": True, "words": _signed_in(state, found)}
    if found.source.startswith("environment "):
        return {"state": "environment", "words": f"key from {found.source}"}
    return {"state": "stored", "stored_key": True, "words": f"stored key ({found.source})"}


def _signed_in(state: KernelState, found: Credential) -> str:
    ends, renewed = None, False
    if found.preset is not None:
        try:
            status = state.runtime.sign_ins.status(found.preset)
        except AnteError:
            status = None
        if status is not None:
            ends, renewed = status.ends, status.renewable
    until = f" until {time.strftime(_DAY, time.localtime(ends))}" if ends is not None else ""
    return f"signed in{until}{', then renewed' if renewed and until else ''}"


def _sign_in(state: KernelState, provider: ProviderSpec) -> str:
    """The sign-in that the provider has and that can be used here, or nothing."""
    preset = provider.auth.oauth_preset if provider.auth else None
    spec = state.runtime.catalog().oauth.get(preset) if preset else None
    return spec.preset if spec is not None and spec.client_id else ""


def _can_list(state: KernelState, provider: ProviderSpec | None) -> bool:
    if provider is None:
        return False
    if provider.id == LOCAL:
        return bool(state.runtime.settings().local.engine_url)
    return bool(provider.models_endpoint) or not provider.builtin


# ----------------------------------------------------------------------------------------------- models


def _models(
    state: KernelState,
    provider: ProviderSpec | None,
    choice: Choice | None,
    live: Mapping[str, Sequence[ModelSpec]],
) -> list[dict[str, Any]]:
    if provider is None:
        return []
    if provider.id == LOCAL and provider.id not in live:
        return _local_models(state)
    catalog = state.runtime.catalog()
    specs = {model: catalog.model_for(provider.id, model) for model in provider.models}
    if choice is not None and choice.model.id:
        specs.setdefault(choice.model.id, choice.model)
    for spec in live.get(provider.id, ()):
        specs[spec.id] = provider_commands.merged(state, provider, spec)
    return [_model_row(spec) for spec in specs.values()]


def _model_row(spec: ModelSpec) -> dict[str, Any]:
    price = provider_commands.price_of(spec)
    note = provider_commands.retirement(spec)
    return {
        "id": spec.id,
        "context": _short(spec.context_limit),
        "price": f"${price} per 1M"
        if price[:1].isdigit()
        else "price unknown"
        if price == "unknown"
        else price,
        "vision": spec.vision,
        "note": note,
        "warn": bool(note),
    }


def _short(tokens: int | None) -> str:
    if not tokens:
        return "context unknown"
    if tokens >= 1_000_000:
        return f"{tokens / 1e6:.3g} M context"
    return f"{tokens / 1e3:.4g} k context"


def _local_models(state: KernelState) -> list[dict[str, Any]]:
    from ante_nb import local as room
    from ante_nb.notebook.local_overview import gigabytes

    settings = state.runtime.settings()
    servers = {server.path: server for server in room.servers(settings=settings)}
    rows = []
    for model in room.models(settings=settings):
        server = servers.get(model.path)
        loaded = "" if server is None else "loading" if server.status == "starting" else "loaded"
        notes = [model.problem] if model.problem else []
        notes += ["demo, no agent"] if model.demo else []
        notes += [f"{loaded}, {gigabytes(server.memory)} of memory"] if server is not None else []
        rows.append(
            {
                "id": model.id,
                "context": _short(model.context),
                "price": gigabytes(model.size),
                "vision": model.vision,
                "note": "; ".join(notes),
                "warn": bool(model.problem),
                "loaded": loaded,
            }
        )
    return rows


# ------------------------------------------------------------------------------------------ what else


def _options(meanings: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"value": value, "words": words} for value, words in meanings.items()]


def _thinking(state: KernelState, choice: Choice | None) -> dict[str, Any]:
    from ante_nb.providers.thinking import levels_of

    chosen = state.runtime.choices.thinking
    levels = levels_of(choice.model) if choice is not None else ()
    found = _value(choice, "thinking", choice.thinking or "" if choice is not None else "", chosen)
    return {
        **found,
        "options": [{"value": level, "words": _LEVEL_NAMES.get(level, "")} for level in levels],
    }


def _transport(state: KernelState, choice: Choice | None) -> dict[str, Any] | None:
    """``None`` where the provider has one transport only."""
    if choice is None or not choice.provider.websocket:
        return None
    found = _value(choice, "transport", choice.transport, state.runtime.choices.openai_transport)
    words = state.runtime.transport_words(choice)
    return {**found, "in_use": words if words != choice.transport else "", "options": _options(TRANSPORTS)}


def _rules(state: KernelState) -> dict[str, Any]:
    """Permission mode and data policy."""
    runtime = state.runtime
    settings = runtime.settings()
    out: dict[str, Any] = {}
    for name, meanings, chosen in (
        ("mode", MODES, runtime.choices.mode),
        ("data_policy", POLICIES, runtime.choices.data_policy),
    ):
        try:
            if name == "mode":
                value, source = runtime.mode(None, settings)
                words = MODES[value]
            else:
                policies, source = runtime.policies(None, settings)
                value = policies.default
                words = "; ".join(
                    filter(None, (POLICIES[value], policies.words() if policies.variables else ""))
                )
        except AnteError as error:
            value, source, words = "", "", str(error)
        options = _options(meanings)
        if name == "mode" and settings.forbid_yolo:
            options = [option for option in options if option["value"] != "yolo"]
        out[name] = {
            "value": value,
            "source": source,
            "chosen": chosen is not None,
            "words": words,
            "options": options,
        }
    return out
