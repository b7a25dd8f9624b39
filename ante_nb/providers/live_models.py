"""The models that a server itself lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ante_nb import errors as e
from ante_nb.providers.failure_words import safe_url
from ante_nb.providers.failures import classify
from ante_nb.providers.spec import Request
from ante_nb.providers.transports.model_list import read_models

if TYPE_CHECKING:
    from ante_nb.providers.failures import Target
    from ante_nb.providers.signing import Signing
    from ante_nb.providers.spec import Choice, ModelSpec
    from ante_nb.providers.transports.http import HttpClient
    from ante_nb.providers.wires.base import Wire

# All on one page: Anthropic gives 20 models unless asked for more (at most 1000), Gemini 50.
_PARAMS = {"AnthropicMessage": {"limit": "1000"}, "Gemini": {"pageSize": "1000"}}


async def ask(
    client: HttpClient, choice: Choice, wire: Wire, signing: Signing, target: Target
) -> list[ModelSpec]:
    """The list of the choice's server, as far as it describes its models.

    Raises:
        NotFoundError: the server has no list.
        ProviderError: it refuses it, or it cannot be read.
    """
    spec, url = choice.provider, list_url(choice, wire)
    await signing.prepare()
    for last in (False, True):
        sent = signing.secret
        headers, params = signing.headers(wire.headers(Request(()), choice.model, spec))
        params = {**_PARAMS.get(spec.wire_style, {}), **params}
        status, answered, data = await client.request("GET", url, headers=headers, params=params, idle=30.0)
        if status != 401 or last or not await signing.replace(sent):
            break
    if status in (404, 405):
        raise e.NotFoundError(
            f"{target.name} has no list of models at {safe_url(url)} (HTTP {status})",
            f"Check the base URL (often it must end in /v1); `%ante models {spec.id}` shows what the"
            " catalog knows.",
            status=status,
        )
    if status != 200:
        raise classify(target, status, answered, data)
    return read_models(target, data)


def list_url(choice: Choice, wire: Wire) -> str:
    """The list's address: beside the endpoint on the Messages wire, whose base may lack ``/v1``."""
    base, _, query = choice.base_url.partition("?")
    if choice.provider.wire_style == "AnthropicMessage":
        base = wire.url(base, choice.model, stream=False).removesuffix("/messages")
    path, _, own = (choice.provider.models_endpoint or "/models").partition("?")
    query = "&".join(filter(None, (query, own)))
    url = base.rstrip("/") + path
    return f"{url}?{query}" if query else url
