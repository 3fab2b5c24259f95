"""What the glue needs to know of a transport beyond Twisted's interfaces.

Decides how much of what was written the peer has not taken yet, so that a slow reader can be told
from one that has stopped, and how one direction of a connection is ended. Refuses to buffer: transports do.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Any


def backlog(transport: Any) -> int:
    """Bytes written to `transport` that its peer has not acknowledged, as far as can be known.

    Counts the transport's own buffer and the kernel's send queue (SIOCOUTQ).
    """
    while hasattr(transport, "wrappedProtocol"):  # a TLS layer keeps nothing once it has shaken hands
        transport = transport.transport
    size = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    size += getattr(transport, "_tempDataLen", 0)
    socket = getattr(transport, "socket", None)
    if socket is not None:
        try:
            size += struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        except (OSError, ValueError):  # closed meanwhile
            return size
    return int(size)


def half_close(transport: Any, secure: bool) -> None:
    """End what we send, after everything written; what the peer sends still arrives.

    Over TLS that is a close_notify (RFC 8446 §6.1); most peers answer it by closing.
    """
    transport.unregisterProducer()
    if secure:
        transport.loseConnection()
    else:
        transport.loseWriteConnection()
