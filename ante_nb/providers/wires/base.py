"""The two pure halves of a wire: ``encode`` a request, decode a stream.

A wire does no I/O and reads no clock, so it is tested on recorded bytes cut at every position. A
transport turns bytes into ``WireEvent`` values and feeds them to a ``Decoder``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ante_nb.messages import Message, StreamEvent
    from ante_nb.providers.spec import ModelSpec, ProviderSpec, Request


class WireEvent(NamedTuple):
    """One parsed event: ``name`` is the SSE ``event:`` field (empty if none), ``data`` the parsed JSON.

    The ``[DONE]`` sentinel of Chat Completions arrives as ``name="[DONE]"`` and ``data=None``.
    """

    name: str
    data: Any


class Decoder(Protocol):
    """Turns the wire events of one model call into stream events.

    ``feed`` returns what the event adds; the last event it returns after the terminal marker is
    ``Done``. ``close`` is called once at the end of the input, whether the connection dropped or the
    body ended properly: it returns what is still to be said (``Done``, where the terminal marker was
    seen but ``Done`` was held back for a late usage event) and raises ``StreamInterruptedError``, with
    the partial message, when the marker is missing. A vendor's error event raises the typed error.

    A decoder that holds ``Done`` back may have a property ``ended``: the terminal marker was seen, so a
    connection that breaks now has lost nothing.
    """

    def feed(self, event: WireEvent) -> Iterable[StreamEvent]: ...

    def close(self) -> Iterable[StreamEvent]: ...

    def partial(self) -> Message:
        """What has come of the answer so far, without calls that were never finished."""
        ...

    @property
    def finished(self) -> bool:
        """Whether ``Done`` has been returned: nothing more is worth reading."""
        ...


class Wire(Protocol):
    """A wire format. One instance serves every provider that speaks it."""

    style: str

    def url(self, base_url: str, model: ModelSpec, *, stream: bool) -> str:
        """The endpoint below ``base_url`` (the join rule of this wire)."""
        ...

    def headers(self, request: Request, model: ModelSpec, provider: ProviderSpec) -> dict[str, str]:
        """Headers this wire needs beside authentication (``anthropic-version`` ...)."""
        ...

    def encode(
        self, request: Request, model: ModelSpec, provider: ProviderSpec, *, stream: bool
    ) -> dict[str, Any]:
        """The request body."""
        ...

    def decoder(self, model: ModelSpec, provider: ProviderSpec) -> Decoder:
        """A decoder for one streamed answer."""
        ...

    def decode_complete(
        self, body: dict[str, Any], model: ModelSpec, provider: ProviderSpec
    ) -> list[StreamEvent]:
        """The events of an answer that came whole; the last one is ``Done``."""
        ...
