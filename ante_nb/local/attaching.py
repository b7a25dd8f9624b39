"""Servers that somebody else runs: used only where the person names one, never started, never stopped.

A port tells nothing of who listens there. So nothing is asked by itself but the address in the settings or
in ``ANTE_LOCAL_PROVIDER_PORT``; :func:`scan` looks at Ante's ports when the person asks for that, and
sends no key.
"""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ante_nb.errors import ConfigError, LocalEngineError
from ante_nb.local import capabilities as caps
from ante_nb.local.http_probe import get_json
from ante_nb.providers.spec import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ante_nb.local.options import Options
    from ante_nb.local.shared import LocalServer

PORT_VARIABLE = "ANTE_LOCAL_PROVIDER_PORT"
PORTS = range(8080, 8180)
"""Where Ante looks for servers that run."""
_ATTACHED: list[str] = []


@dataclass(frozen=True, slots=True)
class FoundServer:
    """Something that answers at ``url``. ``status`` is ``ready``, ``loading``, ``wants a key`` or ``unknown``
    (it answers, but lists no models); ``own`` means that this package started it."""

    url: str
    status: str
    models: tuple[str, ...] = ()
    own: bool = False


def attached() -> str | None:
    """The address that :func:`attach` gave to this process, without ``/v1``."""
    return _ATTACHED[0] if _ATTACHED else None


def address(target: str | int) -> str:
    """The address that a port, ``host:port`` or URL means, without ``/v1``.

    Raises:
        ConfigError: it is none.
    """
    text = str(target).strip()
    if text.isdigit():
        text = f"127.0.0.1:{text}"
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        good = good and ("://" in text or parts.port is not None)  # a word alone is rather a model's name
    except ValueError:
        good = False
    if not good or parts.username or parts.query or any(char.isspace() for char in url):
        raise ConfigError(
            f"{str(target)!r} is no address of a server", "Give a port like 8080, or http://127.0.0.1:8080."
        )
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def configured(chosen: Options, env: Mapping[str, str]) -> str | None:
    """The server to use in place of an own one: attached, from the environment, or from the settings.

    Raises:
        ConfigError: the variable holds no port.
    """
    if _ATTACHED:
        return _ATTACHED[0]
    port = env.get(PORT_VARIABLE, "").strip()
    if port:
        if not (port.isdigit() and 0 < int(port) < 65536):
            raise ConfigError(f"{PORT_VARIABLE} is {port!r}", "Set it to a port number, or remove it.")
        return f"http://127.0.0.1:{port}"
    return chosen.engine_url


def attach(target: str | int, *, key: str | None = None) -> FoundServer:
    """Makes this process use the server at ``target``; blocks while it is asked.

    Args:
        target: a port of this machine, ``host:port`` or a URL.
        key: sent to it as a bearer token.

    Raises:
        ConfigError: no address.
        LocalEngineError: nobody answers there, it wants a key, or it speaks no Chat Completions.
    """
    url = address(target)
    found = look(url, key=key, timeout=15)
    if found is None:
        raise LocalEngineError(f"nobody answers at {url}", "Start the server, or give another port.")
    if found.status == "wants a key":
        raise LocalEngineError(f"the server at {url} wants a key", "Set ANTE_LOCAL_ENGINE_KEY.")
    if found.status == "unknown":
        raise LocalEngineError(
            f"what answers at {url} is no server of models", "It should answer GET /v1/models."
        )
    _ATTACHED[:] = [url]
    return found


def detach() -> str | None:
    """Takes :func:`attach` back; returns the address. The server itself is left alone."""
    return _ATTACHED.pop() if _ATTACHED else None


def look(url: str, *, key: str | None = None, timeout: float = 3.0) -> FoundServer | None:
    """What answers at ``url`` (without ``/v1``), ``None`` where nobody does."""
    status, body = get_json(url, "/v1/models", key, timeout=timeout)
    if status == 0:
        return None
    if status == 503:
        return FoundServer(url, "loading")
    if status in (401, 403):
        return FoundServer(url, "wants a key")
    names = _names(body) if status == 200 else None
    return FoundServer(url, "unknown") if names is None else FoundServer(url, "ready", tuple(names))


def _names(body: object) -> list[str] | None:
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        return None
    return [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]


def scan(ports: Iterable[int] = PORTS, *, own: Iterable[str | None] = ()) -> list[FoundServer]:
    """What answers HTTP on these ports of this machine; ``own`` are addresses of servers started here.

    Connects to each port once and sends ``GET /v1/models``, without a key, to those that are open.
    """
    mine = set(own)

    def one(port: int) -> FoundServer | None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=0.5):
                pass
        except OSError:
            return None
        url = f"http://127.0.0.1:{port}"
        found = look(url)
        if found is not None and url in mine:
            return FoundServer(url, found.status, found.models, own=True)
        return found

    with ThreadPoolExecutor(8) as pool:
        return [found for found in pool.map(one, ports) if found is not None]


async def connect(
    chosen: Options,
    url: str,
    model: str | None,
    env: Mapping[str, str],
    progress: Callable[[str], None] = lambda line: None,
) -> LocalServer:
    """A server that the person runs. It is never stopped, and nothing is started in its place.

    While it loads its model it is waited for.

    Raises:
        LocalEngineError: it does not answer, wants a key, or loads for longer than ``start_timeout``.
    """
    root = url.rstrip("/").removesuffix("/v1")
    key = env.get(chosen.engine_key_env, "").strip() or None
    began, told = time.monotonic(), 0.0
    while True:
        status, body = await asyncio.to_thread(get_json, root, "/v1/models", key, timeout=15)
        seconds = time.monotonic() - began
        if status != 503:
            break
        if seconds > chosen.start_timeout:
            raise LocalEngineError(
                f"the server at {root} still loads its model", "Try again, or look at its own output."
            )
        if seconds >= told:
            told = seconds + 5
            progress(f"the server at {root} loads its model, {seconds:.0f} s ...")
        await asyncio.sleep(0.5)
    if status in (401, 403):
        raise LocalEngineError(f"the server at {root} wants a key", f"Set {chosen.engine_key_env}.")
    if status != 200:
        words = "does not answer" if status == 0 else f"answers with status {status}"
        port = env.get(PORT_VARIABLE, "").strip()
        way = (
            "`%ante local detach` takes it back"
            if url in _ATTACHED
            else f"remove {PORT_VARIABLE}"
            if port and url == f"http://127.0.0.1:{port}"
            else "correct local.engine_url"
        )
        raise LocalEngineError(f"the server at {root} {words}", f"Start it, or {way}.")
    return await asyncio.to_thread(_server, chosen, root, key, model, _names(body) or [])


def _server(chosen: Options, root: str, key: str | None, model: str | None, ids: list[str]) -> LocalServer:
    from ante_nb.local.shared import LocalServer

    name = model if model and model != "local" else chosen.model if chosen.model in ids else None
    able = caps.ask(root, key)
    return LocalServer(
        f"{root}/v1",
        Secret(key) if key else None,
        name or (ids[0] if ids else "local"),
        able.context,
        "configured",
        able,
        True,
    )
