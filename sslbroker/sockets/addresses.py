"""What an address is called: by a socket, and by Twisted.

Decides nothing. Invariant: an address of a link (`fe80::…`) keeps the name of that link, without which it is
nowhere. Refuses names: they would have to be looked up.
"""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


def address_of(family: int, name: Any) -> IAddress:
    """The address of a socket of this `family`, from what `getsockname` or `getpeername` gives."""
    if family == socket.AF_INET:
        return IPv4Address("TCP", name[0], name[1])
    if family == socket.AF_INET6:
        host, port, flow, scope = name
        if scope and "%" not in host:
            host = socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
        return IPv6Address("TCP", host, port, flow, scope)
    return UNIXAddress(cast("bytes | str | None", name) or None)


def socket_name(host: str, port: int, family: int = socket.AF_UNSPEC) -> tuple[int, Any]:
    """The family of an IP address, and its name for a socket; `ValueError` when it is none of this family."""
    if port not in range(65536):
        raise ValueError(f"{port!r} is not a port")  # `getaddrinfo` would take it modulo 65536
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=_NUMERIC)
    except (OSError, UnicodeError):
        version = {int(socket.AF_INET): "v4", int(socket.AF_INET6): "v6"}.get(family, "")
        raise ValueError(f"{host!r} is not an IP{version} address") from None
    return found[0][0], found[0][4]
