"""When a WebSocket gives way to HTTP, and for how long."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ante_nb import errors as e
from ante_nb.redact import redact

Scope: TypeAlias = Literal["turn", "session"]
"""For how long a failure keeps the session on HTTP."""


class SocketFailure(Exception):
    """The WebSocket cannot be used; ``str()`` says why, in words for the notice and the log.

    It never reaches a person: HTTP takes over.

    Args:
        why: the reason.
        scope: whether the next turn may try again.
        counts: whether it is a sign of trouble, so that a pause comes before the next connection.
        status: the HTTP status that was answered, to the upgrade or in an error frame.
    """

    def __init__(
        self, why: str, scope: Scope = "turn", *, counts: bool = True, status: int | None = None
    ) -> None:
        super().__init__(redact(" ".join(why.split()))[:200])
        self.scope: Scope = scope
        self.counts = counts
        self.status = status

    @property
    def notice(self) -> str:
        """What the person is told."""
        span = "the rest of this turn" if self.scope == "turn" else "the rest of this session"
        return f"WebSocket: {self}; {span} goes over HTTP."


def of_error(problem: e.ProviderError) -> SocketFailure | None:
    """The failure to treat an error frame as; ``None``: HTTP would answer the same.

    Limits, an overloaded server, a used-up plan, a too long conversation or a filter have nothing to do
    with the transport. Whatever else the server says may be the WebSocket's own fault, and nobody shall
    see an error because of that: HTTP decides.
    """
    if isinstance(problem, e.AuthError | e.PermissionDeniedError) or problem.status in (401, 403):
        return SocketFailure(
            f"the server refuses it ({problem.status or problem.kind})", "session", status=problem.status
        )
    if isinstance(problem, e.RequestTooLargeError):
        return SocketFailure("the request is too large for it")
    own = (
        e.NotFoundError,
        e.ServerError,
        e.MalformedResponseError,
        e.StreamInterruptedError,
        e.NetworkError,
        e.IdleTimeoutError,
        e.RequestCancelledError,  # the person's own cancel closes the connection and gets no answer
    )
    if isinstance(problem, own) or type(problem) in (e.InvalidRequestError, e.ProviderError):
        return SocketFailure(problem.message.rstrip("."))
    return None
