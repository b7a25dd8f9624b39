"""The connection to the provider, kept from turn to turn where it fits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ante_nb.offline import refuse_if_offline

if TYPE_CHECKING:
    from ante_nb.agent.plan import Plan
    from ante_nb.agent.runtime import Runtime
    from ante_nb.providers.spec import Choice
    from ante_nb.settings import Settings


class Connection:
    """The provider of the last turn, and the WebSockets of the sessions, which outlive it: the provider
    changes with model and level."""

    def __init__(self) -> None:
        self._provider: Any = None
        self._key: Any = None
        self._sockets: Any = None
        self._closes_at_exit = False
        self._closing: set[asyncio.Task[None]] = set()

    def provider(self, runtime: Runtime, choice: Choice) -> Any:
        """The provider for ``choice``: the last turn's where it fits, else a new one."""
        settings = runtime.settings() if choice.provider.id == "local" else None
        key = (
            choice.provider,
            choice.model,
            choice.base_url,
            # A sign-in stays the same when its token is renewed.
            (choice.oauth, choice.credential_headers) if choice.oauth else choice.credential,
            choice.thinking,
            choice.transport,
            settings and settings.local,
        )
        if not self._closes_at_exit:
            from ante_nb.agent.loop_thread import on_exit

            self._closes_at_exit = True
            on_exit(runtime.aclose)
        if self._provider is None or self._key != key:
            old, self._provider, self._key = self._provider, connect(runtime, choice, settings), key
            if choice.transport == "websocket_auto":
                self._provider.websocket = self._websockets()
            if old is not None:
                task = asyncio.get_running_loop().create_task(old.aclose())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
        elif choice.oauth:
            self._provider.choice = choice
        return self._provider

    async def aclose(self) -> None:
        """Close everything; a further turn makes a new one."""
        provider, self._provider, self._key = self._provider, None, None
        sockets, self._sockets = self._sockets, None
        if provider is not None:
            await provider.aclose()
        if sockets is not None:
            await sockets.aclose()
        if self._closing:
            await asyncio.wait(list(self._closing))

    def _websockets(self) -> Any:
        """The connections of the WebSocket mode, made when the first is needed."""
        if self._sockets is None:
            from ante_nb.providers.transports.websocket import WebSocketTransport

            self._sockets = WebSocketTransport()
        return self._sockets


def connect(runtime: Runtime, choice: Choice, settings: Settings | None = None) -> Any:
    """A provider of its own for ``choice``, which renews the token of a sign-in; close it after use.

    Args:
        runtime: has the sign-ins.
        choice: from ``runtime.choose()``.
        settings: for ``local``; those on disk where left out.
    """
    refuse_if_offline(choice.provider.display_name or choice.provider.id)
    if choice.provider.id == "local":
        from ante_nb.local import LocalProvider

        return LocalProvider(choice, settings or runtime.settings())
    from ante_nb.providers.provider import Provider

    renew = runtime.sign_ins.renewer(choice.oauth) if choice.oauth else None
    if runtime.unwatched:
        from ante_nb.agent.pace import pace_of

        return Provider(choice, renew=renew, sleep=pace_of(choice, runtime.unwatched).sleep)
    return Provider(choice, renew=renew)


def model_of(connection: Connection, runtime: Runtime, plan: Plan) -> Any:
    """What makes the model calls of a turn: the provider, behind a tape where answers are recorded."""

    def connected() -> Any:
        return connection.provider(runtime, plan.choice)

    make = connected
    if runtime.unwatched:
        from ante_nb.agent.pace import pace_of
        from ante_nb.agent.replay.answers import WholeAnswers

        make = lambda: WholeAnswers(connected, pace_of(plan.choice, runtime.unwatched))  # noqa: E731
    if plan.tape is None:
        return make()
    from ante_nb.agent.replay.tape import TapedModel

    return TapedModel(plan.tape, make)
