"""Which transport carries connections: our own, or Twisted's (`broker.transport`).

Decides nothing beyond that. Invariant: whichever it is, a protocol is given the same interfaces: of a secure
transport `getHandle()` is the OpenSSL connection, and that connection's `app_data` the transport, which has
`first`, the beginning of what came, and a place for the `refusal` that OpenSSL tells of. Refuses to bind, and
to know who connects.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from OpenSSL import SSL
from twisted.internet import unix
from twisted.internet.interfaces import IAddress, IConnector, IListeningPort
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure

from ..sockets.connector import Connector
from ..sockets.port import Port
from ..sockets.secure import FIRST

#: Connections that the kernel holds for us until we accept them.
BACKLOG = 1024


class Transports(Protocol):
    """What carries a broker's connections."""

    def listen(self, listening: socket.socket, factory: Any, creator: Any = None) -> IListeningPort:
        """Accept at a socket that listens, of which the port has a duplicate.

        With a `creator` (`IOpenSSLServerConnectionCreator`) by TLS.
        """

    def connect(self, host: str, port: int, factory: Any, timeout: float, creator: Any = None) -> IConnector:
        """Connect to an IP address, as `connectTCP` does; `timeout` is in seconds.

        With a `creator` (`IOpenSSLClientConnectionCreator`) by TLS.
        """


class OwnTransports:
    """Those of `sslbroker.sockets`."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def listen(self, listening: socket.socket, factory: Any, creator: Any = None) -> IListeningPort:
        port = Port(self._reactor, listening.dup(), factory, creator)
        port.startListening()
        return port

    def connect(self, host: str, port: int, factory: Any, timeout: float, creator: Any = None) -> IConnector:
        connector = Connector(self._reactor, host, port, factory, timeout, creator=creator)
        connector.connect()
        return connector


class StockTransports:
    """Those of the reactor, and `twisted.protocols.tls`."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def listen(self, listening: socket.socket, factory: Any, creator: Any = None) -> IListeningPort:
        if creator is not None:
            factory = Wrapping(creator, False, factory, clock=self._reactor)
        if listening.family == socket.AF_UNIX:
            return _at_a_path(self._reactor, listening, factory)
        port: IListeningPort = self._reactor.adoptStreamPort(listening.fileno(), listening.family, factory)
        return port

    def connect(self, host: str, port: int, factory: Any, timeout: float, creator: Any = None) -> IConnector:
        if creator is not None:
            factory = Wrapping(creator, True, factory, clock=self._reactor)
        connector: IConnector = self._reactor.connectTCP(host, port, factory, timeout)
        return connector


_KINDS: Mapping[str, Callable[[Any], Transports]] = {"own": OwnTransports, "stock": StockTransports}


def transports(kind: str, reactor: Any) -> Transports:
    """What the setting `broker.transport` names."""
    return _KINDS[kind](reactor)


def _at_a_path(reactor: Any, listening: socket.socket, factory: Any) -> IListeningPort:
    """The path and its mode belong to who bound it, and the socket to other processes too: Twisted would open
    it to everybody at first, and in the end remove the one and shut down the other."""
    port = unix.Port._fromListeningDescriptor(reactor, listening.fileno(), factory)
    port._bindPath = b"\0"  # a name without a file
    port._shouldShutdown = False
    port.backlog = BACKLOG
    port.startListening()
    return port  # type: ignore[no-any-return]


class _Layer(BufferingTLSTransport):
    first = b""
    refusal: Any = None

    def dataReceived(self, data: bytes) -> None:
        if len(self.first) < FIRST:
            self.first = (self.first + data[:FIRST])[:FIRST]
        super().dataReceived(data)  # type: ignore[no-untyped-call]

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        # Twisted looks for words of OpenSSL's, and a peer's close_notify within the handshake has none.
        if reason is not None and reason.check(SSL.ZeroReturnError):
            reason = None
        super()._tlsShutdownFinished(reason)  # type: ignore[no-untyped-call]


class Wrapping(TLSMemoryBIOFactory):
    """A factory behind Twisted's TLS."""

    protocol = _Layer

    def buildProtocol(self, addr: IAddress | None) -> Any:
        # The inherited one makes a connection around nothing when the factory refuses to make any.
        protocol = self.wrappedFactory.buildProtocol(addr)
        return None if protocol is None else self.protocol(self, protocol)
