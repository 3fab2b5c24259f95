"""Twisted's reactors with our sockets under `listenTCP`, `connectTCP`, `listenSSL` and `connectSSL`.

For Twisted's own tests, which ask a reactor for their connections (`twisted_suite`). Decides nothing but how
the arguments of Twisted's methods become ours. Refuses names: all it knows is that `localhost` is 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import CannotListenError
from twisted.internet.pollreactor import PollReactor
from twisted.internet.protocol import Factory
from twisted.internet.selectreactor import SelectReactor
from twisted.protocols.tls import TLSMemoryBIOFactory

from sslbroker.sockets.connector import Connector
from sslbroker.sockets.port import Port
from sslbroker.sockets.reactor import DirectEPollReactor


class Creator:
    """What Twisted's methods take, old context factories too, as what our transports take."""

    def __init__(self, context: Any, is_client: bool) -> None:
        self._make = TLSMemoryBIOFactory(context, is_client, Factory())._creatorCallable  # it knows them all

    def clientConnectionForTLS(self, transport: Any) -> Any:
        return self._make(transport)

    serverConnectionForTLS = clientConnectionForTLS


class OwnSockets:
    """In front of a reactor's class: its connections are ours."""

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Port:
        return self._listen(_bound(port, interface, backlog), factory)

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> Port:
        creator = Creator(contextFactory, False)
        return self._listen(_bound(port, interface, backlog), factory, creator)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Port:
        return self._listen(socket.fromfd(fileDescriptor, addressFamily, socket.SOCK_STREAM), factory)

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> Connector:
        return self._connect(host, port, factory, timeout, bindAddress)

    def connectSSL(
        self,
        host: str,
        port: int,
        factory: Any,
        contextFactory: Any,
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> Connector:
        creator = Creator(contextFactory, True)
        return self._connect(host, port, factory, timeout, bindAddress, creator)

    def _listen(self, listening: socket.socket, factory: Any, creator: Any = None) -> Port:
        port = Port(self, listening, factory, creator)
        port.startListening()
        return port

    def _connect(self, host: str, port: int, *rest: Any) -> Connector:
        connector = Connector(self, "127.0.0.1" if host == "localhost" else host, port, *rest)
        connector.connect()
        return connector


class OwnDirectEPoll(OwnSockets, DirectEPollReactor):
    pass


class OwnEPoll(OwnSockets, EPollReactor):
    pass


class OwnPoll(OwnSockets, PollReactor):
    pass


class OwnSelect(OwnSockets, SelectReactor):
    pass


class _OwnAsyncio(OwnSockets, AsyncioSelectorReactor):
    pass


def OwnAsyncio(case: Any = None) -> _OwnAsyncio:
    """One with a loop of its own: asyncio would share one between all."""
    before, loop = asyncio.get_event_loop_policy().new_event_loop(), asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    if case is not None:
        case.addCleanup(loop.close)
        case.addCleanup(before.close)
        case.addCleanup(asyncio.set_event_loop, before)
    return _OwnAsyncio(loop)


def _bound(port: int, interface: str, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(socket.getaddrinfo(interface or "0.0.0.0", port, family, socket.SOCK_STREAM)[0][4])
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise CannotListenError(interface, port, error) from None
    return listening
