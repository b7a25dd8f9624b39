"""Identifiers: a prefix and a ULID, so that ids of one kind sort by time."""

from __future__ import annotations

import os
import threading
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """``prefix_`` and a ULID (48 bits of milliseconds, 80 random bits, Crockford base 32).

    Ids made in one process always sort in the order they were made. Source: github.com/ulid/spec.
    """
    global _last
    with _lock:
        value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
        if value <= _last:
            value = _last + 1
        _last = value
    return f"{prefix}_" + "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
