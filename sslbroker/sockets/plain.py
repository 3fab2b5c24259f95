"""A connection over a socket, to a protocol exactly what Twisted's TCP transport is.

Decides when a connection is read, and how it ends: by a close, by halves, or by a reset; `outgoing` decides
when bytes leave. Invariant: the protocol is never called within a call of its own, but for its producer's
`pauseProducing`; `connectionLost` is the last call, comes once, and not before the protocol has had what its
peer sent: a server may answer an upload and break it off before all of it was sent. Refuses to know what the
bytes are.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionLost
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

from .addresses import address_of
from .outgoing import Outgoing

#: Bytes of one read: what is a little more than 64 KiB with its head comes in one, and the allocator has room
#: for it at hand (from 128 KiB on it asks the kernel).
READ = 98304

#: Closing with this makes the kernel send a reset and forget what it has not sent (SO_LINGER).
_RESET = struct.pack("ii", 1, 0)

#: Why a write fails when the peer has gone: what it sent before can still be read, and after that its end.
_PEER_GONE = frozenset({errno.EPIPE, errno.ECONNRESET})


@implementer(
    IConsumer,
    IHalfCloseableDescriptor,
    ILoggingContext,
    IPushProducer,
    IReadWriteDescriptor,
    ISystemHandle,
    ITCPTransport,
)
class PlainTransport(Outgoing):
    """One connected socket and its protocol. `start` begins."""

    __slots__ = (
        "__weakref__",
        "_log_prefix",
        "_paused",
        "_peer",
        "_read_ended",
        "_write_ended",
        "_write_ending",
        "calling",
        "disconnecting",
        "ended",
        "fileno",
        "protocol",
    )

    def __init__(self, reactor: Any, connected: socket.socket, protocol: IProtocol, peer: IAddress) -> None:
        """`connected` is a socket that does not block, and belongs to the transport from now on."""
        super().__init__(reactor, connected)
        self.fileno = connected.fileno
        self.protocol: Any = protocol
        #: Called with the reason, after the protocol's `connectionLost`; None: nobody else wants to know.
        self.ended: Any = None
        #: We have called the peer: what it sends may answer what we could not send, and is waited for.
        self.calling = False
        self.disconnecting = False
        self._paused = False  # the protocol wants no more for now
        self._read_ended = False  # the peer sends no more
        self._write_ending = False
        self._write_ended = False
        self._peer = peer
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
            self._send(data)
            if self.unsent > self.bufferSize:
                self._hold()

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

    def stopConsuming(self) -> None:
        self.unregisterProducer()
        self.loseConnection()

    # --- IPushProducer, of what the peer sends ---

    def pauseProducing(self) -> None:
        self._paused = True
        self.reactor.removeReader(self)

    def resumeProducing(self) -> None:
        self._paused = False
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

    def doWrite(self) -> Any:
        if self._aborting:
            return None
        if self._broken:
            return self._cannot_write()
        if self._waiting and not self._send_waiting():
            return self._cannot_write() if self._broken else None
        self.reactor.removeWriter(self)
        if self._wants_more():
            self.producerPaused = False
            self.producer.resumeProducing()
        elif self._closing:
            return CONNECTION_DONE
        elif self._write_ending:
            self._end_writing()
        return None

    def _cannot_write(self) -> Any:
        """The peer has gone. Its end is told when everything has been read that it sent before."""
        if self._read_ended or self._closing or self._broken not in _PEER_GONE:
            return CONNECTION_LOST
        if self._paused and not self._has_left_an_answer():
            return CONNECTION_LOST
        self.reactor.removeWriter(self)
        return None

    def _has_left_an_answer(self) -> bool:
        """Is there anything that whom we have called sent, and the protocol has not had?

        Who called us, and has gone, gets no answer: nobody waits until more of what it sent is wanted.
        """
        try:
            return self.calling and bool(self.socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def readConnectionLost(self, reason: Failure) -> None:
        """The peer sends no more."""
        self._read_ended = True
        if not IHalfCloseableProtocol.providedBy(self.protocol):
            self.connectionLost(reason)
            return
        self._tell_read_ended()

    def _tell_read_ended(self) -> None:
        try:
            self.protocol.readConnectionLost()
        except BaseException:
            log.err()
            self.connectionLost(Failure())
        if self._broken and self.connected and not self._aborting:
            self.reactor.addWriter(self)  # nothing comes and nothing leaves: the next turn tells

    def writeConnectionLost(self, reason: Failure) -> None:
        """Which no reactor calls: an end of writing is our own doing."""

    def connectionLost(self, reason: Failure) -> None:
        if self.disconnected or self._waits_for_reader(reason):
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

    def _waits_for_reader(self, reason: Failure) -> bool:
        """Has a reactor seen the peer go while the protocol wants no more for now, and has not had all?"""
        over = self._read_ended or self._closing or self._aborting or not reason.check(ConnectionLost)
        if not self._paused or over or not self._has_left_an_answer():
            return False
        self._broken = self._broken or errno.ECONNRESET
        return True

    def _told(self, reason: Failure) -> Failure:
        """What the protocol is told when the socket ends for this `reason`."""
        return reason

    # --- ending ---

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
