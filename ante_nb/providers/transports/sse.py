"""Server-sent events from bytes: one incremental reader for every wire.

Follows the parsing rules of the WHATWG HTML standard, section 9.2.6 ("Interpreting an event stream"):
LF, CR and CRLF end a line, one leading byte order mark is dropped, lines that start with a colon are
comments, several ``data`` lines are joined by LF, one space after the colon is not part of the value.
Two deliberate differences: an event that the end of the input cuts off before its blank line is handed
over by :meth:`SseReader.close` (whoever parses its data notices when it is incomplete), and a line
``error: {...}`` is an event named ``error``, as old llama.cpp servers send it.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_EVENT_BYTES = 64 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class SseEvent(NamedTuple):
    """One event: its ``event:`` field (empty if none) and its data."""

    name: str
    data: str


class EventTooLargeError(ValueError):
    """A single event is larger than the reader may hold."""


class SseReader:
    """Turns byte chunks, cut anywhere, into events.

    Args:
        max_event_bytes: the most that one event may take up; beyond it :meth:`feed` raises
            :class:`EventTooLargeError`, and the reader must not be used any more.
    """

    __slots__ = ("_data", "_limit", "_name", "_size", "_skip_lf", "_start", "_tail", "_tail_size")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._tail: list[bytes] = []
        """The unfinished last line, in pieces: joining at every chunk would be quadratic."""
        self._tail_size = 0
        self._data: list[bytes] = []
        self._name = b""
        self._size = 0
        self._skip_lf = False
        self._start = True

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that ``chunk`` completes.

        Raises:
            EventTooLargeError: one event exceeds the limit.
        """
        if not (self._start or self._skip_lf or self._tail or self._data or self._name):
            # Between events: nearly every chunk is one or more whole events, so this path counts.
            plain = chunk.replace(b"\r\n", b"\n") if chunk[-4:] == b"\r\n\r\n" else chunk
            if plain[-2:] == b"\n\n" and b"\r" not in plain and len(chunk) <= self._limit:
                return self._whole(plain)
        if self._start:
            chunk = self._strip_bom(chunk)
        if self._skip_lf and chunk:
            self._skip_lf = False
            if chunk[0] == 10:
                chunk = chunk[1:]
        if not chunk:
            return []
        if b"\n" not in chunk and b"\r" not in chunk:
            self._keep(chunk)
            return []
        if self._tail:
            self._tail.append(chunk)
            chunk = b"".join(self._tail)
            self._tail.clear()
            self._tail_size = 0
        last = chunk[-1]
        lines = chunk.splitlines()  # bytes: at CR, LF and CRLF alone
        if last == 13:
            self._skip_lf = True
        elif last != 10:
            self._keep(lines.pop())
        return self._lines(lines)

    def close(self) -> list[SseEvent]:
        """The event that the end of the input left without its blank line, if there is one."""
        lines = [b"".join(self._tail)] if self._tail else []
        self._tail.clear()
        self._tail_size = 0
        return self._lines([*lines, b""])

    def _whole(self, chunk: bytes) -> list[SseEvent]:
        """The events of a chunk that begins and ends between events; its lines end with LF."""
        events: list[SseEvent] = []
        for block in chunk[:-2].split(b"\n\n"):
            if block[:6] == b"data: ":
                name, data = "", block[6:]
            elif block[:7] == b"event: ":
                first, _, data = block.partition(b"\n")
                if data[:6] != b"data: ":
                    events += self._lines([*block.split(b"\n"), b""])
                    continue
                name, data = first[7:].decode("utf-8", "replace"), data[6:]
            else:
                events += self._lines([*block.split(b"\n"), b""])
                continue
            if b"\n" in data:
                events += self._lines([*block.split(b"\n"), b""])
            else:
                events.append(SseEvent(name, data.decode("utf-8", "replace")))
        return events

    def _strip_bom(self, chunk: bytes) -> bytes:
        if self._tail:
            chunk = b"".join(self._tail) + chunk
            self._tail.clear()
            self._tail_size = 0
        if len(chunk) < 3 and _BOM.startswith(chunk):
            if chunk:
                self._keep(chunk)
            return b""
        self._start = False
        return chunk.removeprefix(_BOM)

    def _keep(self, piece: bytes) -> None:
        self._tail.append(piece)
        self._tail_size += len(piece)
        self._check(self._tail_size)

    def _check(self, more: int) -> None:
        if self._size + more > self._limit:
            raise EventTooLargeError(f"one event is larger than {self._limit} bytes")

    def _lines(self, lines: list[bytes]) -> list[SseEvent]:
        events: list[SseEvent] = []
        data = self._data
        for line in lines:
            if not line:
                if data:
                    body = data[0] if len(data) == 1 else b"\n".join(data)
                    name = self._name.decode("utf-8", "replace") if self._name else ""
                    events.append(SseEvent(name, body.decode("utf-8", "replace")))
                    data.clear()
                self._name = b""
                self._size = 0
                continue
            field, colon, value = line.partition(b":")
            if not field and colon:
                continue
            if value[:1] == b" ":
                value = value[1:]
            if field == b"data":
                self._size += len(value) + 1
                self._check(0)
                data.append(value)
            elif field == b"event":
                self._size += len(value) - len(self._name)
                self._check(0)
                self._name = value
            elif field == b"error":
                self._size += len(value) + 6
                self._check(0)
                self._name = b"error"
                data.append(value)
        return events
