"""The environment's say in a choice: ``MODEL_*`` variables and base URLs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ante_nb.errors import ConfigError
from ante_nb.providers.thinking import parse_level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ante_nb.providers.spec import ModelSpec, ProviderSpec, ThinkingLevel

GLOBAL_BASE_URL = "MODEL_BASE_URL"
THINKING_VARIABLE = "MODEL_THINKING"

_NUMBERS: dict[str, tuple[str, type, float, float]] = {
    "MODEL_TEMPERATURE": ("temperature", float, 0, math.inf),
    "MODEL_TOP_P": ("top_p", float, 0, 1),
    "MODEL_MAX_TOKENS": ("max_tokens", int, 1, math.inf),
    "MODEL_CONTEXT_LIMIT": ("context_limit", int, 1, math.inf),
}
"""Variable: field of the model row, type, smallest and largest value."""


def set_variable(env: Mapping[str, str], name: str | None) -> str | None:
    """The variable's value without blanks around it; ``None`` where unset or empty."""
    return env.get(name, "").strip() or None if name else None


def override_model(model: ModelSpec, env: Mapping[str, str]) -> tuple[ModelSpec, dict[str, str]]:
    """The model with the ``MODEL_*`` variables applied, and the source of each changed field.

    Raises:
        ConfigError: a variable is not the number it must be; the message names it.
    """
    changes: dict[str, Any] = {}
    for name, (field, kind, low, high) in _NUMBERS.items():
        text = set_variable(env, name)
        if text is not None:
            changes[field] = _number(name, text, kind, low, high)
    sources = {_NUMBERS[name][0]: f"environment {name}" for name in _NUMBERS if _NUMBERS[name][0] in changes}
    return (replace(model, **changes) if changes else model), sources


def _number(name: str, text: str, kind: type, low: float, high: float) -> float | int:
    what = "a whole number" if kind is int else "a number"
    span = f"from {low:g} to {high:g}" if high < math.inf else f"of at least {low:g}"
    try:
        value = kind(text.replace("_", "") if kind is int else text)
    except (ValueError, OverflowError):
        value = None
    if value is None or not math.isfinite(value) or not low <= value <= high:
        raise ConfigError(f"{name}={text!r} is not {what} {span}", f"Set {name} to one, or unset it.")
    return value  # type: ignore[no-any-return]


def thinking_variable(env: Mapping[str, str]) -> ThinkingLevel | None:
    """The level of ``MODEL_THINKING``. Raises ``ConfigError`` for a name that is none."""
    text = set_variable(env, THINKING_VARIABLE)
    return None if text is None else parse_level(text, THINKING_VARIABLE)


def base_url(provider: ProviderSpec, env: Mapping[str, str], *, oauth: bool) -> tuple[str, str] | None:
    """The base URL and where it came from; ``None`` where there is none.

    The provider's own variable wins over ``MODEL_BASE_URL``, which wins over the catalog. ``MODEL_BASE_URL``
    never applies to an OAuth sign-in (its token is for the vendor alone) nor to ``local``.

    Raises:
        ConfigError: a variable holds no URL.
    """
    names = [provider.base_url_env]
    if not oauth and provider.id != "local":
        names.append(GLOBAL_BASE_URL)
    for name in names:
        value = set_variable(env, name)
        if name is not None and value is not None:
            return check_url(value, name), f"environment {name}"
    if provider.base_url:
        return provider.base_url.rstrip("/"), "catalog"
    return None


def check_url(value: str, name: str) -> str:
    """``value`` without trailing slashes. Raises ``ConfigError`` where it is no http(s) URL."""
    try:
        parts = urlsplit(value)
        valid = (
            parts.scheme in ("http", "https") and bool(parts.hostname) and not any(c.isspace() for c in value)
        )
        _ = parts.port
    except ValueError:
        valid = False
    if not valid:
        # The value is not shown: a URL may carry a password.
        raise ConfigError(f"{name} is no URL", f"Set {name} to something like https://api.example.com/v1.")
    return value.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
