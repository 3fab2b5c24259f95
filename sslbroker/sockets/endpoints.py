"""Endpoints of Twisted whose connections are this package's transports.

Decides nothing. Invariant: what they promise is what `twisted.internet.interfaces` says of endpoints. Refuses
to look names up: a client's endpoint takes an IP address.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.endpoints import _WrappingFactory
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from .connector import Connector
from .port import Port


@implementer(IStreamServerEndpoint)
class ServerEndpoint:
    """Listens on a socket that is bound already, plain or secure."""

    def __init__(
        self,
        reactor: Any,
        listening: socket.socket,
        creator: IOpenSSLServerConnectionCreator | None = None,
        backlog: int = 1024,
    ) -> None:
        """`listening` stays its owner's: the endpoint listens on a duplicate."""
        self._reactor = reactor
        self._socket = listening
        self._creator = creator
        self._backlog = backlog

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        self._socket.listen(self._backlog)
        port = Port(self._reactor, self._socket.dup(), factory, self._creator)
        port.startListening()
        return port


@implementer(IStreamClientEndpoint)
class ClientEndpoint:
    """Connects to an IP address, plain or secure."""

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        creator: IOpenSSLClientConnectionCreator | None = None,
        timeout: float = 30.0,
        bindAddress: tuple[str, int] | None = None,
    ) -> None:
        """`timeout` is in seconds. `ValueError` for a host that is no address."""
        self._call = (reactor, host, port)
        self._rest = (timeout, bindAddress, creator)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        wrapped = _WrappingFactory(protocolFactory)
        try:
            Connector(*self._call, wrapped, *self._rest).connect()
        except Exception:
            return fail()
        return wrapped._onConnection
