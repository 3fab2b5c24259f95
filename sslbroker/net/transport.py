"""What the glue needs to know of a transport beyond Twisted's interfaces.

Decides how much of what was written has not left, and how much the peer has not taken yet, so that a slow
reader can be told from one that has stopped; how one direction of a connection is ended; and whether the peer
has ended its own in good order. Refuses to buffer: transports do.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure


def unsent(transport: Any) -> int:
    """Bytes written to `transport` that the kernel has not taken yet."""
    try:
        return transport.unsent  # type: ignore[no-any-return]
    except AttributeError:  # it is Twisted's
        transport = _below(transport)
    size = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return size + int(getattr(transport, "_tempDataLen", 0))


def backlog(transport: Any) -> int:
    """Bytes written to `transport` that its peer has not acknowledged, as far as can be known.

    Counts the transport's own buffer and the kernel's send queue (SIOCOUTQ).
    """
    transport = _below(transport)
    size = unsent(transport)
    socket = getattr(transport, "socket", None)
    if socket is not None:
        try:
            size += struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        except (OSError, ValueError):  # closed meanwhile
            return size
    return size


def _below(transport: Any) -> Any:
    """The socket's transport: Twisted's TLS, a layer above, keeps nothing once it has shaken hands."""
    while hasattr(transport, "wrappedProtocol"):
        transport = transport.transport
    return transport


def half_close(transport: Any) -> None:
    """End what we send, after everything written; what the peer sends still arrives.

    Over TLS that is a close_notify (RFC 8446 §6.1); most peers answer it by closing.
    """
    transport.unregisterProducer()
    if isinstance(transport, TLSMemoryBIOProtocol):  # it would end the socket's half, and not TLS's
        transport.loseConnection()
    else:
        transport.loseWriteConnection()


def ended_in_order(transport: Any, secure: bool, reason: Failure) -> bool:
    """Has the peer of a connection that is lost for this `reason` ended it, not just broken it off?

    Over TLS its close_notify alone says so (RFC 8446 §6.1), whatever became of ours. OpenSSL notes a fatal
    alert in the same place, which is an error and not an end: anybody on the way can cause one.
    """
    if secure:
        return has_ended(transport) and not isinstance(reason.value, SSL.Error)
    return isinstance(reason.value, ConnectionDone)


def broken_off(transport: Any, secure: bool, reason: Failure) -> bool:
    """Is it certain that the peer of a connection that is lost for this `reason` has not ended it?

    Many peers over TLS leave without a close_notify, and by a reset where they have not read all: of an end
    without one nobody can tell. A record that is none, or an alert, is no end.
    """
    if secure:
        return isinstance(reason.value, SSL.Error)
    return not ended_in_order(transport, secure, reason)


def has_ended(transport: Any) -> bool:
    """Has the peer of this TLS connection said that it sends no more, in good order or by a fatal alert?

    The connection is lost soon, but perhaps not in the same turn of the reactor.
    """
    return bool(transport.getHandle().get_shutdown() & SSL.RECEIVED_SHUTDOWN)
