"""A call to an address: a socket that connects, then a transport.

Decides when a call has failed: refused, unreachable, or out of time. Invariant: the factory hears of one
connection or of one failure, and never within the call of `connect` that began it. Refuses to look names up.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.error import (
    ConnectBindError,
    NotConnectingError,
    TimeoutError,
    UserError,
    getConnectError,
)
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall, IProtocol, IReadWriteDescriptor
from twisted.internet.protocol import Protocol
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import implementer

from .addresses import address_of, socket_name
from .plain import PlainTransport
from .secure import SecureTransport

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, errno.EINTR})


@implementer(IConnector, IReadWriteDescriptor)
class Connector:
    """Connects `factory`, a client factory, to `host`:`port`; secure when there is a `creator`."""

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        factory: Any,
        timeout: float | None = 30.0,
        bind: tuple[str, int] | None = None,
        creator: Any = None,
    ) -> None:
        """`host` is an IP address, `timeout` seconds. `creator` provides `IOpenSSLClientConnectionCreator`.

        `bind` is the address to call from. Raises `ValueError` for a host that is no address, and for one
        from which the other cannot be called.
        """
        self.reactor = reactor
        self.host, self.port = host, port
        self.factory = factory
        self.timeout = timeout
        self.state = "disconnected"
        self.transport: Any = None
        self._family, self._name = socket_name(host, port)
        self._from = None if bind is None else socket_name(*bind, self._family)[1]
        self._creator = creator
        self._socket: socket.socket | None = None
        self._timers: list[IDelayedCall] = []
        self._started = False

    # --- IConnector ---

    def connect(self) -> None:
        """Raises `RuntimeError` while it connects or is connected."""
        if self.state != "disconnected":
            raise RuntimeError("can't connect in this state")
        self.state = "connecting"
        if not self._started:
            self._started = True
            self.factory.doStart()
        self._call()
        if self.timeout is not None:
            self._later(self.timeout, TimeoutError())
        self.factory.startedConnecting(self)

    def stopConnecting(self) -> None:
        """The factory hears of the failure `UserError`. Raises `NotConnectingError`."""
        if self.state != "connecting":
            raise NotConnectingError("we're not trying to connect")
        self._failed(UserError())

    def disconnect(self) -> None:
        if self.state == "connecting":
            self.stopConnecting()
        elif self.state == "connected":
            self.transport.loseConnection()

    def getDestination(self) -> IAddress:
        return address_of(self._family, self._name)

    # --- what the reactor calls, while it connects ---

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        return type(self.factory).__qualname__

    def doWrite(self) -> None:
        calling = self._socket
        if calling is None:
            return
        failed = calling.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            self._failed(getConnectError((failed, os.strerror(failed))))
        else:
            self._connected()

    doRead = doWrite

    def connectionLost(self, reason: Failure) -> None:
        """A reactor that saw the call fail before we did."""
        calling = self._socket
        if calling is None:
            return
        code = calling.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNABORTED
        self._failed(getConnectError((code, os.strerror(code))))

    # --- small things ---

    def _call(self) -> None:
        try:
            calling = self._socket = socket.socket(self._family, socket.SOCK_STREAM)
            calling.setblocking(False)
            if self._from is not None:
                calling.bind(self._from)
        except OSError as error:
            self._later(0, ConnectBindError(error.errno, error.strerror))
            return
        code = calling.connect_ex(self._name)
        if code in _UNDER_WAY:
            self.reactor.addWriter(self)
        elif code in (0, errno.EISCONN):
            self.reactor.addWriter(self)  # it can be written to: the next turn tells
        else:
            self._later(0, getConnectError((code, os.strerror(code))))

    def _later(self, seconds: float, error: Exception) -> None:
        self._timers.append(self.reactor.callLater(seconds, self._failed, error))

    def _failed(self, error: Exception) -> None:
        self.state = "disconnected"
        self._stop_calling()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._ended(self.factory.clientConnectionFailed, Failure(error))

    def _connected(self) -> None:
        self._stop_calling()
        connected, self._socket = self._socket, None
        assert connected is not None
        self.state = "connected"
        try:
            peer = address_of(self._family, connected.getpeername())
            protocol = self.factory.buildProtocol(peer)
            self.transport = transport = self._make(connected, protocol, peer)
        except BaseException:
            log.err()
            connected.close()
            self.state = "disconnected"
            self._ended(self.factory.clientConnectionFailed, Failure())
            return
        transport.ended = self._lost
        transport.calling = True
        if protocol is None:
            transport.loseConnection()
            return
        try:
            transport.start()
        except BaseException:
            log.err()
            transport.abortConnection()

    def _make(self, connected: socket.socket, protocol: IProtocol | None, peer: IAddress) -> PlainTransport:
        if protocol is None:  # the connection ends as soon as it can, and somebody must hear of that
            return PlainTransport(self.reactor, connected, Protocol(), peer)
        if self._creator is None:
            return PlainTransport(self.reactor, connected, protocol, peer)
        return SecureTransport(self.reactor, connected, protocol, peer, self._creator, True, self.factory)

    def _stop_calling(self) -> None:
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self._timers.clear()
        if self._socket is not None:
            self.reactor.removeWriter(self)

    def _lost(self, reason: Failure) -> None:
        self.state = "disconnected"
        self.transport = None
        self._ended(self.factory.clientConnectionLost, reason)

    def _ended(self, tell: Any, reason: Failure) -> None:
        tell(self, reason)
        if self.state == "disconnected":  # the factory has not called `connect`
            self._started = False
            self.factory.doStop()
