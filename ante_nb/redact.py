"""Takes credentials out of text, before it reaches an output, a log, the journal or a traceback.

Two nets: every credential that the package has in hand is registered by value, and text that looks
like a key of a known vendor, a bearer token or a JWT is replaced by its shape.
"""

from __future__ import annotations

import re
from typing import Any

MASK = "[redacted]"

# Key formats as the vendors print them; the prefix stays, so that a person sees which key it was.
_SHAPES = re.compile(
    r"""
    \b(?P<prefix>
        sk-ant-[a-z]+\d*- | sk-proj- | sk-or-(?:v\d-)? | sk-sp- | sk-antix- | sk- | xai- | AIza | gsk_ | ghp_ | gho_ | ghs_
        | github_pat_ | glpat- | hf_ | AKIA | ASIA | xox[abprs]-
    )[A-Za-z0-9_\-]{12,}
    | \beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*
    """,
    re.VERBOSE,
)
# What stands behind a name must have a digit: source code says `api_key = settings.api_key`, and a model
# that reads it masked cannot edit it.
_HEADERS = re.compile(
    r"""(?ix)
    ( (?:authorization|proxy-authorization)["']?\s*[:=]\s*["']?(?:bearer|basic)\s+
    | \bbearer\s+(?=[A-Za-z0-9_\-.=]{16,})
    | (?:x-api-key|x-goog-api-key|api[_-]?key|access[_-]?token|refresh[_-]?token|client[_-]?secret|code[_-]?verifier)
      ["']?\s*[:=]\s*["']? (?=[^\s"'&,;}\])<>]*\d)
    | [?&](?:key|api_key|token|access_token|code|state)= (?=[^\s"'&,;}\])<>]*\d)
    ) (?!\[redacted\]|[/~.])(?![{$%])(?P<value>[^\s"'&,;}\])<>]{8,})
    """,
)
_SECRETS: set[str] = set()


def register(secret: str | None) -> None:
    """Remember a credential by value. Values under 6 characters are ignored: they would eat plain words."""
    if secret and len(secret) >= 6:
        _SECRETS.add(secret)


def redact(text: str) -> str:
    """``text`` with every known credential, and everything that looks like one, masked."""
    for secret in sorted(_SECRETS, key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, MASK)
    text = _SHAPES.sub(lambda found: (found["prefix"] or "") + MASK, text)
    return _HEADERS.sub(lambda found: found[1] + MASK, text)


def redact_value(value: Any) -> Any:
    """The same for JSON-like values, at every depth (keys stay as they are)."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: redact_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(item) for item in value]
    return value
