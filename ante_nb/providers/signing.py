"""What signs the requests to one provider: a key that stays, or a sign-in's token that is renewed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ante_nb.redact import register

if TYPE_CHECKING:
    from ante_nb.providers.auth.keys import Credential
    from ante_nb.providers.spec import Choice, Secret

_BETA = "anthropic-beta"


class Renew(Protocol):
    """Keeps a sign-in's token fresh; :class:`~ante_nb.providers.auth.renewal.Renewer` is the one in use."""

    async def __call__(self, rejected: Secret | None = None) -> Credential:
        """The credential to use now.

        Args:
            rejected: the token that the vendor has just refused; without it, one that is good for a
                while is handed out as it is.

        Raises:
            SignInError: the person has to sign in again.
            ProviderError: the vendor cannot be asked just now, and there is no token to go on with.
        """
        ...

    def news(self) -> list[str]:
        """What the person should be told of it, each line once."""
        ...


class Signing:
    """Headers and query of the requests of one choice.

    Attributes:
        secret: the key or the token in use; ``None`` where the provider wants none.
    """

    def __init__(self, choice: Choice, renew: Renew | None = None) -> None:
        self._provider = choice.provider
        self._renew = renew
        self.secret: Secret | None = None
        self._more: dict[str, str] = {}
        self.use(choice.credential, choice.credential_headers)

    def use(self, secret: Secret | None, headers: dict[str, str]) -> None:
        """Sign with ``secret`` from now on; ``headers`` belong to it."""
        self.secret = secret
        self._more = {name.lower(): value for name, value in headers.items()}
        register(secret.value if secret else None)

    async def prepare(self) -> list[str]:
        """Before a request: renew what is about to run out. Returns what the person should be told.

        Errors as :meth:`Renew.__call__`.
        """
        if self._renew is None:
            return []
        fresh = await self._renew()
        self.use(fresh.secret, fresh.headers)
        return self._renew.news()

    async def replace(self, rejected: Secret | None) -> bool:
        """After a refusal: whether there is another credential than ``rejected`` now.

        Errors as :meth:`Renew.__call__`.
        """
        if self._renew is None or rejected is None:
            return False
        fresh = await self._renew(rejected)
        self.use(fresh.secret, fresh.headers)
        return fresh.secret != rejected

    def headers(self, of_wire: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and query: the catalog's headers win over ours, authentication over all.

        Args:
            of_wire: what the wire needs beside authentication.
        """
        provider = self._provider
        headers = {name.lower(): value for name, value in of_wire.items()}
        own = {name.lower(): value for name, value in provider.http_headers.items()}
        if _BETA in headers and _BETA in own:
            own[_BETA] = _joined(own[_BETA], headers[_BETA])
        headers.update(own)
        if self.secret is None:
            return headers, {}
        headers.update(self._more)
        auth = provider.auth
        if auth is not None and auth.kind == "query":
            return headers, {auth.name or "key": self.secret.value}
        if auth is not None and auth.kind == "header":
            headers[(auth.name or "x-api-key").lower()] = self.secret.value
        else:
            headers["authorization"] = f"Bearer {self.secret.value}"
        return headers, {}


def _joined(*lists: str) -> str:
    """Comma lists as one, each item once: the betas of the catalog and of the wire hold side by side."""
    items = (item.strip() for text in lists for item in text.split(","))
    return ",".join(dict.fromkeys(item for item in items if item))
