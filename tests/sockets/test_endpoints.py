"""Our endpoints: what Twisted promises of endpoints, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    NoProtocol,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IListeningPort,
    ISSLTransport,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
    ITCPTransport,
)
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from sslbroker.sockets.endpoints import ClientEndpoint, ServerEndpoint

from .ends import SERVER, Creator, Heard, client_context
from .test_connector import free_port
from .test_port import Builds


class OverSockets(TestCase):
    reactor: Any = real_reactor

    def bound(self, family: int = socket.AF_INET, host: str = "127.0.0.1") -> socket.socket:
        bound = socket.socket(family)
        self.addCleanup(bound.close)
        bound.bind((host, 0))
        return bound

    async def listen(self, bound: socket.socket, factory: Any, *more: Any) -> IListeningPort:
        port = await ServerEndpoint(self.reactor, bound, *more).listen(factory)
        self.addCleanup(port.stopListening)
        return port

    async def echoed(self, bound: socket.socket, secure: bool) -> Any:
        """One word there and back; gives the client's transport while it is connected."""
        server, client = Heard(), Heard()
        answered: Deferred[None] = Deferred()
        lost: Deferred[None] = Deferred()
        server.at["data"] = lambda: server.transport.write(b"pong")
        server.at["lost"] = lambda: lost.callback(None)
        client.at["data"] = lambda: answered.callback(None)
        factory = Builds(lambda: server)
        port = await self.listen(bound, factory, *[Creator(SERVER)] * secure)
        host, number = bound.getsockname()[:2]
        creator = Creator(client_context()) if secure else None
        endpoint = ClientEndpoint(self.reactor, host, number, creator)
        self.assertIs(await endpoint.connect(Builds(lambda: client)), client)
        client.transport.write(b"ping")
        await answered
        self.assertEqual((server.received, client.received), (b"ping", b"pong"))
        interface = ISSLTransport if secure else ITCPTransport
        for transport in (server.transport, client.transport):
            verifyObject(interface, transport)
        self.assertEqual(client.transport.getPeer(), port.getHost())
        self.assertEqual(server.transport.getPeer(), client.transport.getHost())
        client.transport.loseConnection()
        await lost
        self.assertEqual(server.events[-1], "lost ConnectionDone")
        return port.getHost()

    async def test_plain(self) -> None:
        self.assertIsInstance(await self.echoed(self.bound(), False), IPv4Address)

    async def test_secure(self) -> None:
        self.assertIsInstance(await self.echoed(self.bound(), True), IPv4Address)

    async def test_ipv6(self) -> None:
        self.assertIsInstance(await self.echoed(self.bound(socket.AF_INET6, "::1"), True), IPv6Address)

    async def test_the_socket_stays_its_owners(self) -> None:
        bound = self.bound()
        factory = Builds()
        port = await ServerEndpoint(self.reactor, bound, None, 5).listen(factory)
        await maybeDeferred(port.stopListening)
        self.assertEqual(factory.runs, ["start", "stop"])
        self.assertEqual(bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), 1)

    async def test_nobody_there(self) -> None:
        factory = Builds()
        connecting = ClientEndpoint(self.reactor, "127.0.0.1", free_port()).connect(factory)
        await self.assertFailure(connecting, ConnectionRefusedError)
        await deferLater(self.reactor, 0)  # the factory is told after the Deferred
        self.assertEqual((factory.runs, factory.built), (["start", "stop"], []))

    async def test_a_factory_that_makes_nothing_or_raises(self) -> None:
        await self.made_wrong(lambda: None, NoProtocol)
        await self.made_wrong(lambda: 1 // 0, ZeroDivisionError)

    async def made_wrong(self, make: Callable[[], object], kind: type[Exception]) -> None:
        server = Heard()
        lost: Deferred[None] = Deferred()
        server.at["lost"] = lambda: lost.callback(None)
        bound = self.bound()
        await self.listen(bound, Builds(lambda: server))
        host, number = bound.getsockname()
        factory = Builds(make)
        await self.assertFailure(ClientEndpoint(self.reactor, host, number).connect(factory), kind)
        await lost
        self.assertEqual(factory.runs, ["start", "stop"])

    async def test_an_address_that_cannot_be_called_from(self) -> None:
        bound = self.bound()
        host, number = bound.getsockname()
        endpoint = ClientEndpoint(self.reactor, host, number, bindAddress=(host, number))
        await self.assertFailure(endpoint.connect(Builds()), ConnectBindError)


class OnAClock(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = MemoryReactorClock()

    def test_they_provide_what_they_claim(self) -> None:
        with socket.socket() as bound:
            verifyObject(IStreamServerEndpoint, ServerEndpoint(self.clock, bound))
        verifyObject(IStreamClientEndpoint, ClientEndpoint(self.clock, "127.0.0.1", 1))

    def test_a_host_that_is_no_address(self) -> None:
        for more in ({}, {"bindAddress": ("shop.internal", 0)}):
            host = "127.0.0.1" if more else "shop.internal"
            endpoint = ClientEndpoint(self.clock, host, 80, **more)  # type: ignore[arg-type]
            self.failureResultOf(endpoint.connect(Builds()), ValueError)

    def test_a_socket_that_cannot_listen(self) -> None:
        closed = socket.socket()
        closed.close()
        self.failureResultOf(ServerEndpoint(self.clock, closed).listen(Builds()), OSError)

    def test_it_waits_no_longer_than_it_may(self) -> None:
        for ends in ("time", "cancel"):
            factory = Builds()
            with socket.create_server(("127.0.0.1", 0)) as listening:
                host, number = listening.getsockname()
                connecting = ClientEndpoint(self.clock, host, number, timeout=3.0).connect(factory)
                self.assertNoResult(connecting)
                if ends == "time":
                    self.clock.advance(3)
                    self.failureResultOf(connecting, TimeoutError)
                else:
                    connecting.cancel()
                    self.failureResultOf(connecting, ConnectingCancelledError)
            self.assertEqual((factory.runs, factory.built), (["start", "stop"], []))
            self.assertEqual(self.clock.getDelayedCalls(), [])
