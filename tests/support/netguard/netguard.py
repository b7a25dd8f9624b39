"""Keeps tests off the network: only loopback and Unix sockets connect, only local names resolve.

The same file guards the test process (``tests/conftest.py``) and every Python process that a test
starts (``sitecustomize.py`` beside it, found through ``PYTHONPATH``). Attempts are written to
``ANTE_TEST_NETWORK_LOG``, so that code which swallows the error is found out too.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any

# Names that never resolve anywhere (RFC 2606, RFC 6761): asking for one is no attempt to get out.
_RESERVED = (".invalid", ".test", ".example")


class OutsideNetworkError(OSError):
    """A test tried to leave this machine."""


def is_local(host: object) -> bool:
    """Whether ``host`` (a name, an address, or nothing) is this machine."""
    if host is None or host == "":
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name.lower().rstrip(".") in ("localhost", "ip6-localhost", socket.gethostname().lower()):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0].strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse(what: str, host: object) -> OutsideNetworkError:
    text = f"{what} {host!r} by {os.path.basename(sys.argv[0] if sys.argv else '?')} ({os.getpid()})"
    log = os.environ.get("ANTE_TEST_NETWORK_LOG")
    if log:
        with open(log, "a", encoding="utf-8") as file:
            file.write(text + "\n")
    return OutsideNetworkError(f"tests may not leave this machine: {text}")


def install() -> None:
    """Put the guard in place; a second call does nothing."""
    if getattr(socket, "_ante_guarded", False):
        return
    socket._ante_guarded = True  # type: ignore[attr-defined]
    real_lookup = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **options: Any) -> Any:
        if is_local(host):
            return real_lookup(host, *rest, **options)
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        if name.lower().rstrip(".").endswith(_RESERVED):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        raise _refuse("lookup of", host)

    socket.getaddrinfo = lookup

    def guarded(name: str, what: str) -> None:
        real = getattr(socket.socket, name)

        def call(self: socket.socket, *args: Any) -> Any:
            address = args[-1]
            if self.family in (socket.AF_INET, socket.AF_INET6) and not is_local(address[0]):
                raise _refuse(what, address)
            return real(self, *args)

        setattr(socket.socket, name, call)

    guarded("connect", "connection to")
    guarded("connect_ex", "connection to")
    guarded("sendto", "datagram to")
