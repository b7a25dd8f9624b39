"""The WebSocket mode of OpenAI Responses: one connection per session, one response at a time.

:class:`WebSocketTransport` knows for every session whether a WebSocket is to be used now: not for the
rest of a turn in which it failed, not for a while after that, never again in a session whose key was
refused. :class:`Exchange` is one request and its answer. Sources: OpenAI's guide to the WebSocket mode,
and the providers page of Ante for when HTTP takes over.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ante_nb.providers.transports.continuation import Baseline, baseline, full_frame, next_frame
from ante_nb.providers.transports.websocket_failure import SocketFailure
from ante_nb.providers.transports.websocket_socket import CONNECT_TIMEOUT, Socket, socket_url
from ante_nb.providers.wires.base import WireEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
    from types import TracebackType

ROTATE_AFTER = 55 * 60.0
"""Seconds of age after which a new connection is made; the server ends one after 60 minutes."""
PING_AFTER = 15.0
"""Seconds without use after which a connection must answer a ping first."""
PING_WAIT = 3.0
COOL_DOWN = 30.0
"""Seconds after a failure until the next connection; doubles with every further one."""
MAX_COOL_DOWN = 600.0
MAX_OPEN = 8
"""Connections kept open; the session that was not used for longest loses its own."""

LIMIT_CODE = "websocket_connection_limit_reached"
NOT_FOUND_CODE = "previous_response_not_found"
_ENDS = ("response.completed", "response.incomplete")


@dataclass(slots=True)
class _Line:
    """What is known of one session."""

    socket: Socket | None = None
    address: tuple[str, dict[str, str]] | None = None
    baseline: Baseline | None = None
    last_id: str | None = None
    """The response before, of which late frames may still come."""
    loop: asyncio.AbstractEventLoop | None = None
    busy: bool = False
    used: float = 0.0
    http_turn: str = ""
    http_for_good: str = ""
    """Why this session stays on HTTP."""
    failures: int = 0
    not_before: float = 0.0

    def drop(self) -> None:
        socket, self.socket, self.baseline = self.socket, None, None
        if socket is not None:
            socket.drop()


class WebSocketTransport:
    """The connections of all sessions.

    Args:
        rotate_after, ping_after, cool_down, connect_timeout: seconds, see the constants of this module.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        *,
        rotate_after: float = ROTATE_AFTER,
        ping_after: float = PING_AFTER,
        cool_down: float = COOL_DOWN,
        connect_timeout: float = CONNECT_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rotate_after = rotate_after
        self.ping_after = ping_after
        self.connect_timeout = connect_timeout
        self._cool_down = cool_down
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def begin(self, session_id: str, turn_id: str) -> tuple[Exchange | None, str]:
        """An exchange on the session's connection, or ``None`` and why it is HTTP's turn.

        The session is taken until the exchange's context is left: there are never two responses in
        flight on one connection, and a call that comes meanwhile goes over HTTP.
        """
        line = self._lines.setdefault(session_id, _Line())
        loop = asyncio.get_running_loop()
        if line.http_for_good:
            return None, line.http_for_good
        if turn_id and line.http_turn == turn_id:
            return None, "it failed in this turn"
        if line.socket is None and self._clock() < line.not_before:
            return None, "it failed a moment ago"
        if line.loop is not loop:
            self._move(line, loop)
        if line.busy:
            return None, "another response of the session is in flight"
        line.busy, line.used = True, self._clock()
        self._make_room(line)
        return Exchange(self, line), ""

    def give_up(self, session_id: str, turn_id: str, problem: SocketFailure) -> None:
        """The session goes on over HTTP for as long as ``problem`` says."""
        line = self._lines.setdefault(session_id, _Line())
        line.http_turn = turn_id
        if problem.scope == "session":
            line.http_for_good = str(problem)
        if problem.counts:
            pause = min(self._cool_down * 2.0**line.failures, MAX_COOL_DOWN)
            line.failures = min(line.failures + 1, 16)
            line.not_before = self._clock() + pause

    def close_later(self, socket: Socket) -> None:
        """Close a connection in the background."""
        task = asyncio.get_running_loop().create_task(socket.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        loop = asyncio.get_running_loop()
        sockets = []
        for line in self._lines.values():
            if line.loop is loop and line.socket is not None:
                sockets.append(line.socket)
                line.socket = line.baseline = None
        waiting = [task for task in self._closing if task.get_loop() is loop]
        await asyncio.gather(*(socket.close() for socket in sockets), *waiting, return_exceptions=True)

    @staticmethod
    def _move(line: _Line, loop: asyncio.AbstractEventLoop) -> None:
        """A connection belongs to its event loop; another one needs its own."""
        old = line.loop
        alive = old is not None and not old.is_closed()
        if alive and line.busy:
            return
        socket, line.socket, line.baseline = line.socket, None, None
        if alive and old is not None and socket is not None:
            with contextlib.suppress(RuntimeError):
                old.call_soon_threadsafe(socket.drop)
        line.loop, line.busy = loop, False

    def _make_room(self, mine: _Line) -> None:
        """Sub-agents and finished sessions leave connections behind."""
        idle = [
            line
            for line in self._lines.values()
            if line is not mine and line.socket is not None and not line.busy and line.loop is mine.loop
        ]
        idle.sort(key=lambda line: line.used)
        for line in idle[: max(0, len(idle) - MAX_OPEN + 1)]:
            if line.socket is not None:
                self.close_later(line.socket)
            line.socket = line.baseline = None


class Exchange:
    """One request and its answer. Leave the context by :meth:`settle`, else the connection is broken off.

    The server has no word to cancel a response, so a connection whose answer nobody read to its end is of
    no more use.
    """

    def __init__(self, transport: WebSocketTransport, line: _Line) -> None:
        self._transport = transport
        self._line = line
        self._settled = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give the session back."""
        if not self._settled:
            self._line.drop()
        self._line.busy = False

    async def ready(
        self, url: str, headers: Mapping[str, str], params: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Have an open connection: the session's own where it is fit, else a new one, tried once.

        Args:
            url: the HTTP endpoint.
            headers, params: as HTTP sends them, authentication included.

        Returns:
            The headers of the answer to the upgrade, where there was one now.

        Raises:
            SocketFailure: no connection.
        """
        line, transport = self._line, self._transport
        address = (socket_url(url, params), dict(headers))
        socket = line.socket
        if socket is not None:
            if not socket.is_open:
                line.drop()
            elif line.address != address or socket.age > transport.rotate_after:
                line.socket = line.baseline = None
                transport.close_later(socket)
            elif socket.idle > transport.ping_after and not await socket.answers(PING_WAIT):
                line.drop()
        if line.socket is None:
            line.baseline = line.last_id = None
            line.address = address
            line.socket = await Socket.open(*address, timeout=transport.connect_timeout)
            return line.socket.headers
        return {}

    async def events(self, body: Mapping[str, Any], idle: float) -> AsyncGenerator[WireEvent]:
        """Send ``body`` (of the HTTP request) and hand out the frames of its answer, without end.

        Only what the server has not seen is sent; where it has forgotten the rest, all of it, once.

        Raises:
            SocketFailure: the connection broke, went silent for ``idle`` seconds, or talks nonsense.
        """
        line = self._line
        socket = line.socket
        assert socket is not None, "ready() comes first"
        frame = next_frame(body, line.baseline)
        continued = "previous_response_id" in frame
        line.baseline = None  # until this answer is complete
        await socket.send(frame)
        mine: str | None = None
        pieces = False
        while True:
            data = await socket.receive(idle)
            kind = data.get("type")
            if not isinstance(kind, str) and "error" not in data:
                raise SocketFailure("a frame came that is no event")
            response_id = _response_id(data)
            if response_id is not None and response_id != mine:
                if mine is None and response_id == line.last_id:
                    continue
                if mine is not None:
                    raise SocketFailure("frames of another response came")
                mine = response_id
            if kind in ("error", "response.failed"):
                code = _code(data)
                if code == NOT_FOUND_CODE and continued:
                    if pieces:
                        raise SocketFailure("the server forgot the conversation in mid-answer")
                    continued, mine = False, None
                    await socket.send(full_frame(body))
                    continue
                if code == LIMIT_CODE:
                    raise SocketFailure("the connection has reached the server's time limit", counts=False)
            elif "output_index" in data or "item_id" in data or kind in _ENDS:
                if mine is None:  # late, and of another answer: pieces do not say of which
                    raise SocketFailure("a piece of an answer came before its beginning")
                pieces = True
            yield WireEvent(kind if isinstance(kind, str) else "", data)

    def settle(
        self, body: Mapping[str, Any], output: Iterable[Mapping[str, Any]], response_id: str | None
    ) -> None:
        """The answer is complete, and the connection stays.

        Args:
            body: the whole request.
            output: the items of the answer as the vendor sent them.
            response_id: what the next request may go on from; ``None`` where it may not.
        """
        line = self._line
        self._settled = True
        line.failures, line.not_before = 0, 0.0
        line.last_id = response_id
        line.baseline = None if response_id is None else baseline(body, output, response_id)


def _response_id(data: dict[str, Any]) -> str | None:
    response = data.get("response")
    value = response.get("id") if isinstance(response, dict) else None
    return value if isinstance(value, str) and value else None


def _code(data: dict[str, Any]) -> Any:
    response = data.get("response")
    holder = response if isinstance(response, dict) else data
    error = holder.get("error")
    return error.get("code") if isinstance(error, dict) else data.get("code")
