"""Small blocking GET and POST to a server on this machine, without an HTTP client library.

For the server process itself and for questions asked from worker threads; model calls go through the
provider's transport.
"""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from ante_nb.offline import is_offline

_LIMIT = 16 << 20


def get_json(url: str, path: str, key: str | None, *, timeout: float = 10.0) -> tuple[int, Any]:
    """Status and parsed body of ``GET url + path``; ``(0, None)`` where nobody answers."""
    return _ask("GET", url, path, key, None, timeout)


def post_json(url: str, path: str, key: str | None, body: Any, *, timeout: float = 60.0) -> tuple[int, Any]:
    """Status and parsed body of a JSON POST; ``(0, None)`` where nobody answers."""
    return _ask("POST", url, path, key, json.dumps(body).encode(), timeout)


def _ask(
    method: str, url: str, path: str, key: str | None, body: bytes | None, timeout: float
) -> tuple[int, Any]:
    if is_offline():
        return 0, None
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        connection.request(method, parts.path.rstrip("/") + path, body, headers)
        answer = connection.getresponse()
        data = answer.read(_LIMIT)
        try:
            return answer.status, json.loads(data)
        except ValueError:
            return answer.status, None
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()
