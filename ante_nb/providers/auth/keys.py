"""API keys: from the environment, then from the key store, then an OAuth sign-in.

The store is ``<home>/auth/api_keys.json``, ``{"openai": "sk-..."}`` by provider id, or the system keyring
(see :mod:`ante_nb.providers.auth.vault`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ante_nb.errors import ConfigError
from ante_nb.providers.auth.vault import Vault
from ante_nb.providers.spec import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ante_nb.providers.auth.secret_file import Notify
    from ante_nb.providers.auth.vault import Backend
    from ante_nb.providers.spec import ProviderSpec


@dataclass(frozen=True, slots=True)
class Credential:
    """What signs a request, and where it came from (``environment OPENAI_API_KEY``, ``key store`` ...)."""

    secret: Secret
    source: str
    oauth: bool = False
    headers: dict[str, str] = field(default_factory=dict, hash=False)
    """More headers that belong to it (the account of a subscription)."""
    preset: str | None = None
    """The OAuth preset that it is a sign-in of."""


class SignIns(Protocol):
    """OAuth records by preset (``openai``, ``anthropic``, ``antix``)."""

    def token(self, preset: str) -> Credential | None:
        """The stored sign-in of that preset, or ``None``. Does no network traffic."""
        ...

    def command(self, preset: str) -> str:
        """What to type to sign in."""
        ...


class CredentialSource(Protocol):
    """Finds what signs a provider's requests; :class:`KeyRing` is the one in use."""

    def find(self, provider: ProviderSpec, env: Mapping[str, str]) -> Credential | None:
        """The credential of ``provider``, or ``None``. Raises ``ConfigError`` for an unusable store."""
        ...

    def sign_in_command(self, provider: ProviderSpec) -> str | None:
        """What to type to sign in to ``provider``, or ``None`` where that is not possible."""
        ...

    def take_notices(self) -> tuple[str, ...]:
        """What the person should be told of the stores, each line once."""
        ...


class KeyRing:
    """Environment, then key store, then OAuth record.

    Args:
        home: the data directory, default ``ANTE_HOME``.
        sign_ins: the OAuth records, where sign-in is available.
        backend: where pasted keys are kept, ``file`` or ``keyring``; default: what settings.json says.
    """

    def __init__(
        self, home: Path | None = None, sign_ins: SignIns | None = None, backend: Backend | None = None
    ) -> None:
        self._notices: list[str] = []
        self._told: set[str] = set()
        self.store = KeyStore(home, backend, self.notify)
        self.sign_ins = sign_ins

    def notify(self, line: str) -> None:
        """Keep a line for the person; may be called from any thread."""
        self._notices.append(line)

    def take_notices(self) -> tuple[str, ...]:
        """What the person should be told of the stores (a repaired mode, a move), each line once."""
        taken: list[str] = []
        while self._notices:
            line = self._notices.pop(0)
            if line not in self._told:
                self._told.add(line)
                taken.append(line)
        return tuple(taken)

    def find(self, provider: ProviderSpec, env: Mapping[str, str]) -> Credential | None:
        found = self.find_key(provider, env)
        if found is not None or provider.auth is None:
            return found
        if provider.auth.oauth_preset and self.sign_ins is not None:
            return self.sign_ins.token(provider.auth.oauth_preset)
        return None

    def find_key(
        self, provider: ProviderSpec, env: Mapping[str, str], *, stored: bool = True
    ) -> Credential | None:
        """The API key of ``provider``, or ``None``; no sign-in is looked at.

        Args:
            provider: whose key it is.
            env: the environment, which is asked first.
            stored: whether the key store is asked, too.

        Raises:
            ConfigError: the key, or the store, cannot be used.
        """
        auth = provider.auth
        if auth is None:
            return None
        for name in auth.env_keys:
            value = env.get(name, "").strip()
            if value:
                return Credential(Secret(check_key(value, name)), f"environment {name}")
        if not (stored and auth.env_keys):
            return None
        key = self.store.get(provider.alias_of or provider.id) or self.store.get(provider.id)
        if key is None:
            return None
        return Credential(key, "system keyring" if self.store.place() == "keyring" else "key store")

    def sign_in_command(self, provider: ProviderSpec) -> str | None:
        if self.sign_ins is None or provider.auth is None or provider.auth.oauth_preset is None:
            return None
        return self.sign_ins.command(provider.auth.oauth_preset)


def check_key(value: str, where: str) -> str:
    """``value`` without surrounding blanks.

    Raises:
        ConfigError: it is empty or cannot be sent as a header (blanks, control or non-ASCII characters);
            the message names ``where`` it came from and never shows the value.
    """
    key = value.strip()
    if not key:
        raise ConfigError(f"{where}: the key is empty", "Paste the whole key.")
    if any(not "!" <= char <= "~" for char in key):
        raise ConfigError(
            f"{where}: the key holds a blank, a line break or a character that is not ASCII",
            "Copy it again, without quotes or text around it.",
        )
    return key


class KeyStore:
    """The pasted keys.

    Args:
        home: the data directory, default ``ANTE_HOME``.
        backend: ``file`` or ``keyring``, default: what settings.json says.
        notify: called with a line for the person when something was repaired or moved.
    """

    def __init__(
        self, home: Path | None = None, backend: Backend | None = None, notify: Notify | None = None
    ) -> None:
        self._home = home
        self._backend = backend
        self._notify = notify

    @property
    def path(self) -> Path:
        return self._vault().file.path

    def get(self, provider_id: str) -> Secret | None:
        """The stored key, or ``None``. Raises ``ConfigError`` where the store cannot be used."""
        value = self._read().get(provider_id)
        return Secret(check_key(value, self._vault().where)) if value else None

    def providers(self) -> tuple[str, ...]:
        """The ids that have a stored key."""
        return tuple(key for key, value in self._read().items() if value)

    def set(self, provider_id: str, key: str) -> None:
        """Store ``key``. Raises ``ConfigError`` for an unusable key or store."""
        clean = check_key(key, f"key for {provider_id}")
        vault = self._vault()
        with vault.locked():
            # Unlike a sign-in, a store that cannot be read is not replaced: it has other keys too.
            vault.write({**self._read(held=True), provider_id: clean})

    def delete(self, provider_id: str) -> bool:
        """Forget the key; ``False`` where there was none."""
        vault = self._vault()
        with vault.locked():
            data = self._read(held=True)
            if provider_id not in data:
                return False
            del data[provider_id]
            vault.write(data)
            return True

    def place(self) -> Backend | None:
        """Where the keys are; ``None``: there are none."""
        return self._vault().place()

    def _vault(self) -> Vault:
        # Anew each time: ANTE_HOME and the settings are what they are now.
        return Vault(
            "api_keys",
            self._home,
            self._backend,
            notify=self._notify,
            advice="Repair or remove it, then type `%ante key PROVIDER`.",
        )

    def _read(self, held: bool = False) -> dict[str, str]:
        vault = self._vault()
        data = vault.read(held=held) or {}
        if not all(isinstance(value, str) for value in data.values()):
            raise ConfigError(
                f"{vault.where} must be a JSON object of provider ids and keys", vault.file.advice
            )
        return data
