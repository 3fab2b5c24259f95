"""A connection over a socket, to a protocol exactly what Twisted's TCP transport is.

Decides when bytes leave. Small writes leave at the end of the reactor's turn, with those of others, where the
reactor tells of that (`reactor.DirectEPollReactor.turn`): who reads them is woken once for several. Larger
ones leave at once, in the call that writes them. What the kernel does not take waits here: so a write needs
no turn of its own and no change of the reactor's interest. Invariant: bytes leave in the order in which they
were written; the protocol is never called within a call of its own, but for its producer's `pauseProducing`;
`connectionLost` is the last call, and comes once. Refuses to look names up, and to know what the bytes are.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    ILoggingContext,
    IProtocol,
    IPushProducer,
    IReadWriteDescriptor,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import implementer

#: Bytes of one read: what is a little more than 64 KiB with its head comes in one, and the allocator has room
#: for it at hand (from 128 KiB on it asks the kernel).
READ = 98304

#: Bytes that wait here before the producer must pause, unless somebody sets a transport's `bufferSize`.
HIGH_WATER = 65536

#: Bytes of a write that leaves at once: what waking its reader costs is little beside it.
LARGE = 16384

#: Bytes that are offered to the kernel at once: more it does not take, and copying them together costs.
SEND = 131072

#: Closing with this makes the kernel send a reset and forget what it has not sent (SO_LINGER).
_RESET = struct.pack("ii", 1, 0)


@implementer(
    IConsumer,
    IHalfCloseableDescriptor,
    ILoggingContext,
    IPushProducer,
    IReadWriteDescriptor,
    ISystemHandle,
    ITCPTransport,
)
class PlainTransport:
    """One connected socket and its protocol. `start` begins."""

    __slots__ = (
        "__weakref__",
        "_aborting",
        "_broken",
        "_closing",
        "_log_prefix",
        "_offset",
        "_over",
        "_peer",
        "_turn",
        "_waiting",
        "_write_ended",
        "_write_ending",
        "bufferSize",
        "connected",
        "disconnected",
        "disconnecting",
        "ended",
        "fileno",
        "producer",
        "producerPaused",
        "protocol",
        "reactor",
        "socket",
        "streamingProducer",
        "unsent",
    )

    def __init__(self, reactor: Any, connected: socket.socket, protocol: IProtocol, peer: IAddress) -> None:
        """`connected` is a socket that does not block, and belongs to the transport from now on."""
        self.reactor = reactor
        self.socket = connected
        self.fileno = connected.fileno
        self.protocol: Any = protocol
        #: Called with the reason, after the protocol's `connectionLost`; None: nobody else wants to know.
        self.ended: Any = None
        self.connected = True
        self.disconnected = False
        self.disconnecting = False
        self.producer: Any = None
        self.producerPaused = False
        self.streamingProducer = False
        self.bufferSize = HIGH_WATER
        self.unsent = 0  # bytes that the kernel has not taken
        self._waiting: list[bytes] = []  # those bytes, after the first `_offset`
        self._offset = 0
        self._aborting = False
        self._broken = 0  # why the kernel has refused a write (errno): the next turn of the reactor tells
        self._closing = False  # the socket is to be closed when nothing waits
        self._over = False  # nothing can be written any more: no producer is waited for
        self._write_ending = False
        self._write_ended = False
        self._peer = peer
        self._turn: list[Any] | None = getattr(reactor, "turn", None)
        self._log_prefix = ""

    def start(self) -> None:
        """Give the connection to the protocol, and read."""
        self.reactor.addReader(self)
        self.protocol.makeConnection(self)

    # --- ITransport ---

    def write(self, data: bytes) -> None:
        """Send `data` now, or as soon as the kernel takes it.

        Raises `TypeError` for anything but bytes.
        """
        if not isinstance(data, bytes):
            raise TypeError("Data must be bytes")
        if self.connected and data and not self._write_ended and not self._aborting:
            self._transmit(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        try:
            data = b"".join(iovec)
        except TypeError:
            raise TypeError("Data must be bytes") from None
        self.write(data)

    def loseConnection(self) -> None:
        """Close when everything written is sent; a producer that is paused or pulled is waited for."""
        if not self.connected or self.disconnecting or self._aborting:
            return
        if self._write_ended:
            self.connectionLost(Failure(CONNECTION_DONE))
        else:
            self.disconnecting = True
            self._close()

    def abortConnection(self) -> None:
        """Reset the connection; what was not sent is lost. The protocol hears of it in the next turn."""
        if self.disconnected or self._aborting:
            return
        self._aborting = True
        # At once: whatever closes the socket now, even the end of the process, resets.
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.reactor.removeReader(self)
        self.reactor.removeWriter(self)
        self.reactor.callLater(0, self.connectionLost, Failure(ConnectionAborted()))

    def getPeer(self) -> Any:
        return self._peer

    def getHost(self) -> Any:
        return address_of(self.socket.family, self.socket.getsockname())

    def getHandle(self) -> Any:
        return self.socket

    def logPrefix(self) -> str:
        if not self._log_prefix:
            protocol = self.protocol
            named = ILoggingContext.providedBy(protocol)
            self._log_prefix = protocol.logPrefix() if named else type(protocol).__name__
        return self._log_prefix

    # --- ITCPTransport ---

    def loseWriteConnection(self) -> None:
        """End what we send, when everything written is sent; what the peer sends still arrives."""
        if self.connected and not self._write_ended:
            self._write_ending = True
            self.reactor.addWriter(self)

    def getTcpNoDelay(self) -> bool:
        return bool(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._set(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)

    def getTcpKeepAlive(self) -> bool:
        return bool(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._set(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    def _set(self, level: int, option: int, enabled: bool) -> None:
        with suppress(OSError):  # it is no TCP socket, or reset already; without the option it works as well
            self.socket.setsockopt(level, option, enabled)

    # --- IConsumer ---

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Raises `RuntimeError` while another producer is registered."""
        if self.producer is not None:
            raise RuntimeError(
                f"Cannot register producer {producer}, because producer {self.producer} was never "
                "unregistered."
            )
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer = producer
        self.streamingProducer = streaming
        if not streaming:
            self.reactor.addWriter(self)  # what was written before may be sent already: then this turn asks
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None
        if self.connected and self._closing and not self._aborting:
            self.reactor.addWriter(self)

    def stopConsuming(self) -> None:
        self.unregisterProducer()
        self.loseConnection()

    # --- IPushProducer, of what the peer sends ---

    def pauseProducing(self) -> None:
        self.reactor.removeReader(self)

    def resumeProducing(self) -> None:
        if self.connected and not self._closing and not self._aborting:
            self.reactor.addReader(self)

    def stopProducing(self) -> None:
        self.loseConnection()

    # --- names in no interface, which Twisted's transports have too ---

    def stopReading(self) -> None:
        self.pauseProducing()

    def startReading(self) -> None:
        self.resumeProducing()

    # --- what the reactor calls ---

    def doRead(self) -> Any:
        if self._aborting:
            return None
        try:
            data = self.socket.recv(READ)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return self._end_of_reading()
        self._received(data)
        return None

    def _received(self, data: bytes) -> None:
        """What one read has brought."""
        self.protocol.dataReceived(data)

    def _end_of_reading(self) -> Any:
        """Nothing more will come. A write that failed has been told of a reset in a read's place."""
        return CONNECTION_DONE if self._broken in (0, errno.EPIPE) else CONNECTION_LOST

    def end_turn(self) -> None:
        """Send what was written in this turn of the reactor."""
        if not self._waiting or self._aborting or self.disconnected:
            return
        pulls = self.producer is not None and not self.streamingProducer
        if not self._send_waiting() or self.producerPaused or pulls:
            self.reactor.addWriter(self)  # which goes on sending, and asks the producer for more

    def doWrite(self) -> Any:
        if self._aborting:
            return None
        if self._broken:
            return CONNECTION_LOST
        if self._waiting and not self._send_waiting():
            return CONNECTION_LOST if self._broken else None
        self.reactor.removeWriter(self)
        if self._wants_more():
            self.producerPaused = False
            self.producer.resumeProducing()
        elif self._closing:
            return CONNECTION_DONE
        elif self._write_ending:
            self._end_writing()
        return None

    def readConnectionLost(self, reason: Failure) -> None:
        """The peer sends no more."""
        if not IHalfCloseableProtocol.providedBy(self.protocol):
            self.connectionLost(reason)
            return
        try:
            self.protocol.readConnectionLost()
        except BaseException:
            log.err()
            self.connectionLost(Failure())

    def writeConnectionLost(self, reason: Failure) -> None:
        """Which no reactor calls: an end of writing is our own doing."""

    def connectionLost(self, reason: Failure) -> None:
        if self.disconnected:
            return
        self.disconnected = True
        self.connected = False
        producer, self.producer = self.producer, None
        if producer is not None:
            try:
                producer.stopProducing()
            except BaseException:
                log.err()
        self.reactor.removeReader(self)
        self.reactor.removeWriter(self)
        self._waiting.clear()
        if not self._aborting:
            with suppress(OSError):  # closing alone resets, if the peer has sent what nobody has read
                self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        protocol, self.protocol = self.protocol, None
        reason = self._told(reason)
        try:
            protocol.connectionLost(reason)
        finally:
            ended, self.ended = self.ended, None
            if ended is not None:
                ended(reason)

    def _told(self, reason: Failure) -> Failure:
        """What the protocol is told when the socket ends for this `reason`."""
        return reason

    # --- sending ---

    def _wants_more(self) -> bool:
        """Is the producer to be asked, now that nothing waits?"""
        paused = self.producerPaused or not self.streamingProducer
        return self.producer is not None and paused and not self._over

    def _transmit(self, data: bytes | memoryview) -> None:
        """Give `data` to the kernel; what it does not take waits, and holds the producer when it is much."""
        self._send(data)
        if self.unsent > self.bufferSize:
            self._hold()

    def _send(self, data: bytes | memoryview) -> None:
        """The same, without a word to the producer. What is kept of a buffer that changes is a copy."""
        size = len(data)
        if self._waiting or self._broken:
            self._waiting.append(bytes(data))
            self.unsent += size
            return
        if size < LARGE and self._turn is not None:
            self._waiting.append(bytes(data))
            self.unsent = size
            self._turn.append(self)
            return
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            sent = 0
            self._broken = error.errno or errno.EIO
        if sent == size:
            if self.producer is not None and not self.streamingProducer:
                self.reactor.addWriter(self)  # which asks it for more
            return
        self._waiting.append(bytes(data))
        self._offset = sent
        self.unsent = size - sent
        if not self._aborting:
            self.reactor.addWriter(self)

    def _hold(self) -> None:
        """Pause who pushes."""
        if self.producer is not None and self.streamingProducer:
            self.producerPaused = True
            self.producer.pauseProducing()

    def _send_waiting(self) -> bool:
        """Send of what waits as much as the kernel takes; True: that was all."""
        waiting = self._waiting
        if len(waiting) > 1:
            self._join()
        data: bytes | memoryview = waiting[0]
        if self._offset:
            data = memoryview(data)[self._offset :]
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            return False
        except OSError as error:
            self._broken = error.errno or errno.EIO
            return False
        self.unsent -= sent
        if sent < len(data):
            self._offset += sent
            return False
        self._offset = 0
        del waiting[0]
        return not waiting

    def _join(self) -> None:
        """What waits in many small pieces leaves in one large one."""
        waiting, size, count = self._waiting, -self._offset, 0
        while count < len(waiting) and size < SEND:
            size += len(waiting[count])
            count += 1
        if count > 1:
            pieces: list[Any] = [memoryview(waiting[0])[self._offset :], *waiting[1:count]]
            waiting[:count] = [b"".join(pieces)]
            self._offset = 0

    def _close(self) -> None:
        """Close the socket as soon as nothing waits."""
        self._closing = True
        if not self._aborting:
            self.reactor.removeReader(self)
            self.reactor.addWriter(self)

    def _end_writing(self) -> None:
        self._write_ending = False
        self._write_ended = True
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        self._tell_write_ended()

    def _tell_write_ended(self) -> None:
        if IHalfCloseableProtocol.providedBy(self.protocol):
            try:
                self.protocol.writeConnectionLost()
            except BaseException:
                log.err()
                self.connectionLost(Failure())


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
