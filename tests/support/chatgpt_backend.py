"""The ChatGPT subscription backend on loopback, over HTTP and WebSocket, as strict as the real one.

It takes the token of a sign-in only with its account header, refuses every field that it does not know with
``{"detail": ...}``, wants ``store``, ``stream`` and ``instructions`` as the vendor does, gives a turn state
and wants it back, and tells how much of the plan is used. Behind the same door: a web page of Cloudflare.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ante_nb.providers.auth.keys import KeyRing
from ante_nb.providers.catalog.load import load_catalog
from ante_nb.providers.catalog.resolve import Overrides, resolve
from ante_nb.providers.provider import Provider
from ante_nb.settings import load_settings
from support.oauth_ledger import ACCOUNT
from support.ws_server import ResponsesServer
from support.ws_talk import no_pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.signed_in import Person

FORBIDDEN = (
    "max_output_tokens", "temperature", "top_p", "metadata", "user", "truncation", "safety_identifier",
    "prompt_cache_retention", "previous_response_id",
)  # fmt: skip
CLOUDFLARE = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Enable JavaScript</body></html>"
)
MODELS = {
    "models": [{"slug": "gpt-5.4", "display_name": "GPT-5.4", "context_window": 272000}, {"slug": "gpt-9"}]
}
STATE = "x-codex-turn-state"


@dataclass
class ChatGPT(ResponsesServer):
    """``valid`` says whether a bearer token is good; the rest is what a test sets or reads.

    ``used``: percent of the plan's windows; ``failures``: answers (status, type, body) of the next requests,
    upgrades included; ``problems``: what was wrong with requests; ``turns``: (way, session, turn state) of
    those that were taken.
    """

    valid: Callable[[str], bool] = lambda token: True
    used: tuple[float, float] | None = None
    failures: list[tuple[int, str, bytes]] = field(default_factory=list)
    refused_tokens: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    turns: list[tuple[str, str, str]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/backend-api/codex"

    def authorized(self, headers: dict[str, str]) -> bool:
        return True  # `instead` has looked

    def instead(self, path: str, headers: dict[str, str]) -> tuple[int, str, bytes] | None:
        self.requests.append((path, headers))
        self._session, self._state = headers.get("session-id", ""), headers.get(STATE, "")
        if self.failures:
            return self.failures.pop(0)
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if not self.valid(token):
            self.refused_tokens.append(token)
            return _detail(401, "Unauthorized")
        for name, fine in {
            "chatgpt-account-id": lambda value: value == ACCOUNT,
            "originator": lambda value: value == "ante_nb",
            "user-agent": lambda value: value.startswith("ante_nb/"),
        }.items():
            if not fine(headers.get(name, "")):
                return self._wrong(f"header {name}: {headers.get(name)!r}")
        if path.startswith("/backend-api/codex/models?client_version="):
            return 200, "application/json", json.dumps(MODELS).encode()
        if path != "/backend-api/codex/responses":
            return self._wrong(f"no such path {path}")
        session = headers.get("session-id")
        if not session or any(headers.get(n) != session for n in ("thread-id", "x-client-request-id")):
            return self._wrong("session-id, thread-id, x-client-request-id")
        if "upgrade" in headers and headers.get("openai-beta") != "responses_websockets=2026-02-06":
            return self._wrong("OpenAI-Beta")
        return None

    def more_headers(self, headers: dict[str, str]) -> dict[str, str]:
        more = {"x-models-etag": 'W/"1"'}
        if STATE not in headers:
            self.states.append(f"state-{next(self._numbers)}")
            more[STATE] = self.states[-1]
        if self.used is not None and "upgrade" not in headers:
            for name, used, minutes in zip(("primary", "secondary"), self.used, (300, 10080), strict=True):
                more |= {
                    f"x-codex-{name}-used-percent": str(used),
                    f"x-codex-{name}-window-minutes": str(minutes),
                    f"x-codex-{name}-reset-after-seconds": "3600",
                }
        return more

    def _taken(self, way: str, connection: int, body: dict[str, Any], items: Any, before: Any) -> Any:
        metadata = body.pop("client_metadata", None) or {}
        if way == "http" and metadata:
            self._wrong("client_metadata over HTTP")
        for name in FORBIDDEN:
            if name in body:
                self._wrong(f"Unsupported parameter: {name}")
        if way == "http" and not self.streamed:
            self._wrong("Stream must be set to true")
        if body.get("store") is not False:
            self._wrong("Store must be set to false")
        if not body.get("instructions"):
            self._wrong("Instructions are required")
        events = super()._taken(way, connection, body, items, before)
        self.turns.append(
            (way, self._session, metadata.get(STATE, "") if way == "websocket" else self._state)
        )
        return events

    def frames_before(self) -> list[dict[str, Any]]:
        if self.used is None:
            return []
        windows = {
            name: {"used_percent": used, "window_minutes": minutes, "reset_at": 4102444800}
            for name, used, minutes in zip(("primary", "secondary"), self.used, (300, 10080), strict=True)
        }
        return [
            {"type": "codex.rate_limits", "plan_type": "plus", "rate_limits": {"allowed": True, **windows}}
        ]

    def _wrong(self, what: str) -> tuple[int, str, bytes]:
        self.problems.append(what)
        return _detail(400, what)


def _detail(status: int, what: str) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps({"detail": what}).encode()


def json_answer(status: int, body: Any) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(body).encode()


def provider_for(
    person: Person,
    backend: ResponsesServer,
    transport: str = "http_sse",
    *,
    row: str = "openai-subscription",
    env: dict[str, str] | None = None,
) -> Provider:
    """The provider as a turn gets it: the catalog's row at ``backend``, the stored sign-in, its renewal."""
    person.write(**{row: {"base_url": backend.url}})
    sign_ins = person.sign_ins()
    choice = resolve(
        load_catalog(person.home),
        load_settings(person.home, {}),
        env or {},
        KeyRing(person.home, sign_ins),
        cell=Overrides(row),
    )
    assert choice.oauth is not None
    choice = replace(choice, transport=transport)  # type: ignore[arg-type]
    return Provider(choice, renew=sign_ins.renewer(choice.oauth), sleep=no_pause)
