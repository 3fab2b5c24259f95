"""What the glue needs of a transport beyond Twisted's interfaces.

Decides how much of what was written the peer has not taken yet, so that a slow reader can be told
from one that has stopped. Refuses to buffer: transports do.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Any, Protocol


class Transport(Protocol):
    """The part of a stream transport that the glue uses; TLS and plain ones provide it."""

    def write(self, data: bytes) -> None: ...
    def loseConnection(self) -> None: ...
    def abortConnection(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def registerProducer(self, producer: Any, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...
    def getPeer(self) -> Any: ...
    def getHost(self) -> Any: ...


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
