"""Makes the credentials of this process known to the redactor, also those that no turn uses.

A tool may print the whole environment, and a vendor's error may repeat a header: what is masked must not
depend on which provider is chosen.
"""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from ante_nb.agent.tools.environment import is_secret_name
from ante_nb.errors import ConfigError
from ante_nb.redact import register

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ante_nb.providers.auth.keys import KeyRing
    from ante_nb.providers.catalog.load import Catalog

_SECRET_HEADER = re.compile(r"key|token|secret|auth|cookie|password|signature", re.IGNORECASE)
_SHORTEST = 8
_SHORTEST_WORD = 20
"""Characters from which a value without a digit is taken for a secret: names and words are shorter."""


def register_known(env: Mapping[str, str], catalog: Catalog, keys: KeyRing) -> None:
    """Register keys of the environment, the catalog and the key file, and logins in addresses.

    Args:
        env: usually ``os.environ``.
        catalog: names the variables that hold keys, and has addresses and headers of its own.
        keys: the stored keys; a system keyring is not asked, as that may ask the person.
    """
    names = {name for row in catalog.providers.values() if row.auth for name in row.auth.env_keys}
    for name, value in env.items():
        if name in names:
            _register(value.strip())
        elif "://" in value:
            register_login(value)
        if is_secret_name(name) and _looks_secret(value):
            _register(value)
    for row in catalog.providers.values():
        register_login(row.base_url or "")
        for name, value in row.http_headers.items():
            secret = value.rpartition(" ")[2]
            if _SECRET_HEADER.search(name) and _looks_secret(secret):
                _register(secret)
    with suppress(ConfigError):
        if keys.store.place() == "file":
            for ident in keys.store.providers():
                stored = keys.store.get(ident)
                _register(stored.value if stored else "")


def register_login(url: str) -> None:
    """Register the password of an address, as it is written, as it is meant, and as it is sent."""
    try:
        parts = urlsplit(url)
        user, password = parts.username or "", parts.password or ""
    except ValueError:
        return
    if not _looks_secret(password):
        return
    _register(password)
    _register(unquote(password))
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    register(base64.b64encode(pair).decode())


def _register(value: str) -> None:
    if len(value) >= _SHORTEST:
        register(value)
        register(quote(value, safe=""))


def _looks_secret(value: str) -> bool:
    """Whether masking ``value`` everywhere would not eat a plain word, a path or a name."""
    if len(value) < _SHORTEST or any(char.isspace() for char in value) or value.startswith(("/", "~", ".")):
        return False
    return len(value) >= _SHORTEST_WORD or any(char.isdigit() for char in value)
