"""Every error that leaves the package.

::

    AnteError
    ├── ConfigError                 a setting, a flag, a catalog entry
    │   ├── UnknownProviderError
    │   ├── UnknownModelError
    │   └── MissingCredentialError
    ├── ProviderError               a model call failed; carries kind, status, partial answer
    │   ├── AuthError               401: the key or token was refused
    │   │   └── SignInError         an OAuth sign-in is missing, expired or revoked
    │   ├── PermissionDeniedError   403
    │   ├── NotFoundError           404: no such model or endpoint
    │   ├── InvalidRequestError     the vendor refused the request
    │   │   ├── ToolsRejectedError
    │   │   ├── ContextOverflowError
    │   │   └── RequestTooLargeError
    │   ├── RateLimitError          transient, retried
    │   ├── QuotaError              balance or plan used up, never retried
    │   ├── OverloadedError
    │   ├── ServerError
    │   ├── IdleTimeoutError        silence for longer than the idle limit
    │   ├── NetworkError            no connection, TLS, proxy, DNS
    │   ├── StreamInterruptedError  the stream ended before its terminal marker
    │   ├── MalformedResponseError  what came is not what the wire allows
    │   ├── ContentFilterError
    │   └── RequestCancelledError
    ├── ReplayError                 an answer is not recorded, and nothing else may be used
    ├── LocalEngineError            llama.cpp: no engine, no model, no memory, killed
    ├── ToolError                   a tool call failed; told to the model
    │   ├── ToolDeniedError
    │   └── ToolTimeoutError
    ├── TurnError                   a turn ended failed, interrupted or at its step limit
    │   └── LimitError              a limit on tokens, cost, steps or seconds was reached
    └── BusyError                   a second turn while one runs

An error is for the person at the notebook: ``message`` says what happened, ``hint`` what to do next;
``str()`` is both in one line. Details for the log go to ``__cause__`` and notes, never into the message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ante_nb.redact import redact
from ante_nb.visible import visible

if TYPE_CHECKING:
    from ante_nb.messages import Message

__all__ = [
    "AnteError",
    "AuthError",
    "BusyError",
    "ConfigError",
    "ContentFilterError",
    "ContextOverflowError",
    "IdleTimeoutError",
    "InvalidRequestError",
    "LimitError",
    "LocalEngineError",
    "MalformedResponseError",
    "MissingCredentialError",
    "NetworkError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProviderError",
    "QuotaError",
    "RateLimitError",
    "ReplayError",
    "RequestCancelledError",
    "RequestTooLargeError",
    "ServerError",
    "SignInError",
    "StreamInterruptedError",
    "ToolDeniedError",
    "ToolError",
    "ToolTimeoutError",
    "ToolsRejectedError",
    "TurnError",
    "UnknownModelError",
    "UnknownProviderError",
]


class AnteError(Exception):
    """Base of every error of the package.

    Args:
        message: what happened, one line.
        hint: what to do next, one line, or nothing.

    ``turn`` is the :class:`~ante_nb.agent.turn.Turn` that ended with this error, where there is one.
    """

    kind: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str | None = None) -> None:
        # Here, so that no traceback, repr or log of it can hold a key that somebody put into a message, nor
        # an escape sequence that a server put into its own.
        message = visible(redact(message))
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = visible(redact(" ".join(hint.split()))) if hint else None
        self.turn: Any = None

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        stop = "" if self.message.endswith((".", "!", "?", ":")) else "."
        return f"{self.message}{stop} {self.hint}"

    def _render_traceback_(self) -> list[str]:
        """One readable line in place of a traceback (IPython calls this)."""
        return [visible(redact(f"ante: {self}"))]


class ConfigError(AnteError):
    """A setting, a flag or a catalog entry is wrong."""

    kind = "config"


class UnknownProviderError(ConfigError):
    """No provider of that id is in the catalog."""


class UnknownModelError(ConfigError):
    """No provider lists that model."""


class MissingCredentialError(ConfigError):
    """The provider needs a key or a sign-in, and none was found."""

    kind = "auth"


class ProviderError(AnteError):
    """A model call failed.

    Args:
        message, hint: see :class:`AnteError`.
        provider, model: ids of who was called.
        status: HTTP status, if one was received.
        code: the vendor's own error code or type.
        retry_after: seconds that the vendor asks to wait, if it said so.
        request_id: the vendor's id of the request, for a support case.
        partial: what had arrived of the answer when it broke.
        retryable: overrides the retry table (``x-should-retry``).
    """

    kind = "unknown"

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        partial: Message | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.provider = provider
        self.model = model
        self.status = status
        # A vendor may repeat anything there.
        self.code = redact(code) if code else code
        self.retry_after = retry_after
        self.request_id = redact(request_id) if request_id else request_id
        self.partial = partial
        self.retryable = retryable


class AuthError(ProviderError):
    """The vendor refused the key or the token."""

    kind = "auth"


class SignInError(AuthError):
    """An OAuth sign-in is missing, expired or revoked."""

    kind = "oauth"


class PermissionDeniedError(ProviderError):
    """The key is valid but may not do this."""

    kind = "permission"


class NotFoundError(ProviderError):
    """The vendor knows no such model or endpoint."""

    kind = "not_found"


class InvalidRequestError(ProviderError):
    """The vendor refused the request as malformed or unsupported."""

    kind = "invalid_request"


class ToolsRejectedError(InvalidRequestError):
    """The model or server takes no tools."""


class ContextOverflowError(InvalidRequestError):
    """The conversation is longer than the model's context."""

    kind = "context_overflow"


class RequestTooLargeError(InvalidRequestError):
    """The request body is larger than the vendor takes."""

    kind = "request_too_large"


class RateLimitError(ProviderError):
    """Too many requests or tokens for the moment; retried."""

    kind = "rate_limit"


class QuotaError(ProviderError):
    """Balance, plan or day quota used up; never retried."""

    kind = "quota"


class OverloadedError(ProviderError):
    """The vendor is overloaded; retried."""

    kind = "overloaded"


class ServerError(ProviderError):
    """The vendor's server failed; retried."""

    kind = "server"


class IdleTimeoutError(ProviderError):
    """Nothing usable came for longer than the idle limit; retried."""

    kind = "timeout"


class NetworkError(ProviderError):
    """The connection could not be made or broke; retried."""

    kind = "network"


class StreamInterruptedError(ProviderError):
    """The stream ended before its terminal marker; retried."""

    kind = "stream_interrupted"


class MalformedResponseError(ProviderError):
    """The answer does not follow the wire format."""

    kind = "malformed_response"


class ContentFilterError(ProviderError):
    """The vendor's filter stopped the prompt or the answer."""

    kind = "content_filter"


class RequestCancelledError(ProviderError):
    """The model call was cancelled by the person."""

    kind = "cancelled"


class ReplayError(AnteError):
    """No answer is recorded, and recordings alone may be used."""

    kind = "replay"


class LocalEngineError(AnteError):
    """The local llama.cpp engine cannot start or has died."""

    kind = "local"


class ToolError(AnteError):
    """A tool call failed. The message goes to the model as the call's result."""

    kind = "tool"


class ToolDeniedError(ToolError):
    """The call was not allowed."""

    kind = "denied"


class ToolTimeoutError(ToolError):
    """The tool did not end in time."""

    kind = "tool_timeout"


class TurnError(AnteError):
    """A turn did not complete: ``turn.status`` says how."""

    kind = "turn"


class LimitError(TurnError):
    """What the turn or the session may use is used up; what was done is kept."""

    kind = "limit"


class BusyError(AnteError):
    """Another turn of this kernel is still running."""

    kind = "busy"
