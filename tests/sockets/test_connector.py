"""Our calls to an address: one connection or one failure for each, and the factory may call again at once."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionDone,
    ConnectionRefusedError,
    NotConnectingError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IConnector, IReadWriteDescriptor, ISSLTransport
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.protocol import ClientFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from sslbroker.sockets.connector import Connector
from sslbroker.sockets.port import Port

from .ends import SERVER, Creator, Heard, client_context
from .test_port import Builds


class Calls(ClientFactory[Any]):
    """Notes what it hears, and does at one of its callbacks what a test asks for."""

    def __init__(self, make: Callable[[], Any] = Heard) -> None:
        self.make = make
        self.built: list[Any] = []
        self.events: list[str] = []
        self.reasons: list[Any] = []
        self.at: dict[str, Callable[[], object]] = {}

    def doStart(self) -> None:
        self._note("start")

    def doStop(self) -> None:
        self._note("stop")

    def startedConnecting(self, connector: Any) -> None:
        self._note("calling")

    def buildProtocol(self, addr: Any) -> Any:
        self.peer = addr
        self.built.append(self.make())
        return self.built[-1]

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.reasons.append(reason.value)
        self._note("failed")

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self.reasons.append(reason.value)
        self._note("lost")

    def _note(self, name: str) -> None:
        self.events.append(name)
        action = self.at.pop(name, None)
        if action is not None:
            action()


def free_port(address: str = "127.0.0.1") -> int:
    """A port at which nobody listens."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as bound:
        bound.bind((address, 0))
        return int(bound.getsockname()[1])


class ConnectorCase(SynchronousTestCase):
    """A connector on a clock; what the reactor would do is done by hand."""

    def setUp(self) -> None:
        self.clock = MemoryReactorClock()
        self.factory = Calls()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(5)
        self.addCleanup(self.server.close)
        self.place = self.server.getsockname()

    def connector(self, host: str = "", port: int = 0, **how: Any) -> Connector:
        connector = Connector(self.clock, host or self.place[0], port or self.place[1], self.factory, **how)
        self.addCleanup(self.end, connector)
        return connector

    def end(self, connector: Connector) -> None:
        if connector.state == "connecting":
            connector.stopConnecting()
        elif connector.transport is not None:
            connector.transport.abortConnection()
        self.clock.advance(0)

    def connected(self, **how: Any) -> tuple[Connector, socket.socket]:
        """A call that has been taken, and the server's end of it."""
        connector = self.connector(**how)
        connector.connect()
        peer = self.server.accept()[0]
        peer.settimeout(5)
        self.addCleanup(peer.close)
        self.told(connector)
        return connector, peer

    def told(self, connector: Connector) -> None:
        """As the reactor tells that the call is over; what is raised ends it."""
        self.assertEqual(self.clock.writers, {connector})
        try:
            connector.doWrite()
        except Exception:
            self.clock.removeWriter(connector)
            connector.connectionLost(Failure())
            raise

    def quiet(self) -> None:
        """Nothing is left of the call."""
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.clock.readers, self.clock.writers), (set(), set()))


class Connecting(ConnectorCase):
    def test_it_tells_of_nothing_within_the_call(self) -> None:
        connector = self.connector()
        connector.connect()
        self.assertEqual((self.factory.events, connector.state), (["start", "calling"], "connecting"))
        self.assertRaises(RuntimeError, connector.connect)

    def test_a_connection_carries_bytes_and_its_end_is_told(self) -> None:
        connector, peer = self.connected()
        heard = self.factory.built[0]
        self.assertEqual((connector.state, heard.events), ("connected", ["made"]))
        self.assertEqual(self.factory.peer, IPv4Address("TCP", *self.place))
        self.assertIs(connector.transport, heard.transport)
        self.assertTrue(heard.transport.calling)
        self.assertRaises(RuntimeError, connector.connect)
        heard.transport.write(b"ping")
        self.assertEqual(peer.recv(9), b"ping")
        connector.disconnect()
        heard.transport.connectionLost(Failure(heard.transport.doWrite()))
        self.assertEqual(heard.events, ["made", "lost ConnectionDone"])
        self.assertEqual(self.factory.events, ["start", "calling", "lost", "stop"])
        self.assertEqual((connector.state, connector.transport), ("disconnected", None))
        self.assertIsInstance(self.factory.reasons[0], ConnectionDone)
        self.quiet()

    def test_the_same_connector_calls_again_when_its_connection_is_lost(self) -> None:
        connector, peer = self.connected()
        self.factory.at["lost"] = connector.connect
        peer.close()
        transport = connector.transport
        transport.readConnectionLost(Failure(transport.doRead()))
        self.server.accept()[0].close()
        self.told(connector)
        self.assertEqual(self.factory.events, ["start", "calling", "lost", "calling"])
        self.assertEqual((len(self.factory.built), connector.state), (2, "connected"))

    def test_a_call_that_is_done_when_the_reactor_tells_once_more(self) -> None:
        connector, _peer = self.connected()
        connector.doWrite()
        connector.doRead()
        connector.connectionLost(Failure(CONNECTION_LOST))
        self.assertEqual((connector.fileno(), connector.state), (-1, "connected"))
        self.assertEqual((self.factory.built[0].events, self.factory.reasons), (["made"], []))

    def test_its_time_limit_is_over_once_it_is_connected(self) -> None:
        connector, _peer = self.connected(timeout=1)
        self.clock.advance(100)
        self.assertEqual((connector.state, self.factory.reasons), ("connected", []))

    def test_from_an_address(self) -> None:
        bound = ("127.0.0.1", free_port())
        _, peer = self.connected(bind=bound)
        self.assertEqual(peer.getpeername(), bound)

    def test_to_ipv6(self) -> None:
        self.server.close()
        self.server = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.addCleanup(self.server.close)
        host, port = self.server.getsockname()[:2]
        connector, peer = self.connected(host=host, port=port, bind=("::1", 0))
        self.assertEqual(connector.getDestination(), IPv6Address("TCP", "::1", port))
        self.assertEqual(self.factory.peer, connector.getDestination())
        self.assertEqual(connector.transport.getHost(), IPv6Address("TCP", *peer.getpeername()))

    def test_by_tls(self) -> None:
        connector, _peer = self.connected(creator=Creator(client_context()))
        self.assertTrue(ISSLTransport.providedBy(connector.transport))

    def test_it_provides_what_it_claims(self) -> None:
        connector = self.connector()
        for interface in (IConnector, IReadWriteDescriptor):
            verifyObject(interface, connector)
        self.assertEqual(connector.logPrefix(), "Calls")
        self.assertEqual(connector.getDestination(), IPv4Address("TCP", *self.place))


class Failing(ConnectorCase):
    def failed(self, connector: Connector, kind: type[Exception]) -> None:
        self.assertEqual(self.factory.events, ["start", "calling", "failed", "stop"])
        self.assertIsInstance(self.factory.reasons[-1], kind)
        self.assertEqual((connector.state, connector.fileno()), ("disconnected", -1))
        self.quiet()

    def test_refused_at_once(self) -> None:
        connector = self.late(0, errno.ECONNREFUSED)
        self.assertEqual(self.factory.reasons, [])
        self.clock.advance(0)
        self.failed(connector, ConnectionRefusedError)

    def test_refused_later_by_either_way_that_a_reactor_tells_of_it(self) -> None:
        for told in ("doWrite", "doRead", "connectionLost"):
            self.factory = Calls()
            connector = self.late(errno.ECONNREFUSED)
            getattr(connector, told)(*[Failure(CONNECTION_LOST)] * (told == "connectionLost"))
            self.failed(connector, ConnectionRefusedError)

    def test_a_reactor_tells_of_a_failure_that_the_kernel_does_not_know(self) -> None:
        connector = self.late(0)
        connector.connectionLost(Failure(CONNECTION_LOST))
        self.failed(connector, ConnectError)

    def late(self, code: int, returned: int = errno.EINPROGRESS) -> Connector:
        """A call to which the kernel answers `returned` at once, and the error `code` later."""
        connector = self.connector()

        class Calling(socket.socket):
            def connect_ex(self, name: Any) -> int:
                return returned

            def getsockopt(self, *_: Any) -> Any:
                return code

        self.patch(socket, "socket", Calling)
        try:
            connector.connect()
        finally:
            self.patch(socket, "socket", Calling.__base__)
        return connector

    def test_out_of_time(self) -> None:
        connector = self.late(0)
        self.clock.advance(29.9)
        self.assertEqual(self.factory.reasons, [])
        self.clock.advance(0.2)
        self.failed(connector, TimeoutError)

    def test_without_a_time_limit(self) -> None:
        connector = self.connector(timeout=None)
        connector.connect()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped(self) -> None:
        for stop in ("stopConnecting", "disconnect"):
            self.factory = Calls()
            connector = self.connector()
            self.assertRaises(NotConnectingError, connector.stopConnecting)
            connector.disconnect()
            connector.connect()
            getattr(connector, stop)()
            self.failed(connector, UserError)
            self.assertRaises(NotConnectingError, connector.stopConnecting)

    def test_stopped_by_its_factory_as_it_begins(self) -> None:
        connector = self.connector()
        self.factory.at["calling"] = connector.stopConnecting
        connector.connect()
        self.failed(connector, UserError)

    def test_called_again_from_the_failure(self) -> None:
        connector = self.late(0, errno.ECONNREFUSED)
        self.factory.at["failed"] = connector.connect
        self.clock.advance(0)
        self.assertEqual(self.factory.events, ["start", "calling", "failed", "calling"])
        self.server.accept()[0].close()
        self.told(connector)
        self.assertEqual((connector.state, self.factory.events[4:]), ("connected", []))

    def test_there_may_be_nothing_to_wait_for(self) -> None:
        connector = self.late(0, 0)
        self.assertEqual(self.clock.writers, {connector})

    def test_a_time_limit_of_an_earlier_call_does_not_end_a_later_one(self) -> None:
        connector = self.connector(timeout=5)
        connector.connect()
        self.clock.advance(3)
        self.factory.at["failed"] = connector.connect
        connector.stopConnecting()
        self.clock.advance(3)
        self.assertEqual(connector.state, "connecting")
        self.clock.advance(3)
        self.assertIsInstance(self.factory.reasons[-1], TimeoutError)

    def test_an_address_that_cannot_be_called_from(self) -> None:
        taken = self.server.getsockname()
        connector = self.connector(bind=taken)
        connector.connect()
        self.assertEqual(self.factory.reasons, [])
        self.clock.advance(0)
        self.failed(connector, ConnectBindError)

    def test_a_process_that_may_open_no_more_files(self) -> None:
        connector = self.connector()

        def refuse(*_: Any) -> Any:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(socket, "socket", refuse)
        connector.connect()
        self.clock.advance(0)
        self.failed(connector, ConnectBindError)

    def test_what_is_no_address_is_refused_before_anything_begins(self) -> None:
        for host in ("shop.internal", "", "256.1.1.1", "a" * 300, "::g"):
            self.assertRaises(ValueError, Connector, self.clock, host, 80, self.factory)
        for bind in (("shop.internal", 0), ("::1", 0)):
            self.assertRaises(ValueError, Connector, self.clock, "127.0.0.1", 80, self.factory, bind=bind)
        self.assertEqual(self.factory.events, [])


class Spoilt(ConnectorCase):
    """Whatever a factory or a protocol does, its connector goes on."""

    def test_a_factory_that_wants_no_connection(self) -> None:
        self.factory.make = lambda: None
        connector, peer = self.connected()
        transport = connector.transport
        transport.connectionLost(Failure(transport.doWrite()))
        self.assertEqual(peer.recv(1), b"")
        self.assertEqual(self.factory.events, ["start", "calling", "lost", "stop"])
        self.quiet()

    def test_a_factory_that_raises(self) -> None:
        self.factory.make = lambda: 1 // 0
        connector, peer = self.connected()
        self.assertEqual(peer.recv(1), b"")
        self.assertEqual(self.factory.events, ["start", "calling", "failed", "stop"])
        self.assertIsInstance(self.factory.reasons[0], ZeroDivisionError)
        self.assertEqual(connector.state, "disconnected")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.quiet()

    def test_a_factory_that_raises_and_calls_again(self) -> None:
        self.factory.make = lambda: 1 // 0
        connector = self.connector()
        self.factory.at["failed"] = connector.connect
        connector.connect()
        self.server.accept()[0].close()
        self.told(connector)
        self.assertEqual(self.factory.events, ["start", "calling", "failed", "calling"])
        self.assertEqual(connector.state, "connecting")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_tls_that_cannot_begin(self) -> None:
        creator: Any = Creator(client_context())
        creator.clientConnectionForTLS = lambda protocol: 1 // 0
        self.connected(creator=creator)
        self.assertEqual(self.factory.events, ["start", "calling", "failed", "stop"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.quiet()

    def test_a_protocol_that_raises_when_it_is_connected(self) -> None:
        self.factory.make = self.spoilt("made")
        _, peer = self.connected()
        self.clock.advance(0)
        self.assertRaises(ConnectionResetError, peer.recv, 1)
        self.assertEqual(self.factory.built[0].events, ["made", "lost ConnectionAborted"])
        self.assertEqual(self.factory.events, ["start", "calling", "lost", "stop"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.quiet()

    def test_a_protocol_that_raises_at_its_end_too_while_its_factory_calls_again(self) -> None:
        self.factory.make = self.spoilt("made", "lost")
        connector = self.connector()
        self.factory.at["lost"] = connector.connect
        connector.connect()
        self.server.accept()[0].close()
        self.told(connector)
        self.assertRaises(ZeroDivisionError, self.clock.advance, 0)
        self.assertEqual(self.factory.events, ["start", "calling", "lost", "calling"])
        self.assertEqual(connector.state, "connecting")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def spoilt(self, *callbacks: str) -> Callable[[], Heard]:
        def make() -> Heard:
            heard = Heard()
            for callback in callbacks:
                heard.at[callback] = lambda: 1 // 0
            return heard

        return make


class OnAReactor(TestCase):
    async def test_both_ends_are_ours_and_speak_tls(self) -> None:
        reactor: Any = real_reactor
        server, client = Heard(), Heard()
        answered: Deferred[None] = Deferred()
        lost: Deferred[None] = Deferred()
        server.at["data"] = lambda: server.transport.write(server.received[::-1])
        client.at["made"] = lambda: client.transport.write(b"ping")
        client.at["data"] = lambda: answered.callback(None)
        listening = socket.create_server(("127.0.0.1", 0))
        port = Port(reactor, listening, Builds(lambda: server), Creator(SERVER))
        port.startListening()
        factory = Calls(lambda: client)
        factory.at["stop"] = lambda: lost.callback(None)
        host, number = listening.getsockname()
        connector = Connector(reactor, host, number, factory, 5, creator=Creator(client_context()))
        connector.connect()
        await answered
        self.assertEqual(client.received, b"gnip")
        connector.disconnect()
        await lost
        self.assertEqual(client.events, ["made", "shaken", "lost ConnectionDone"])
        self.assertEqual(server.events, ["made", "shaken", "lost ConnectionDone"])
        await port.stopListening()

    async def test_the_reactor_tells_of_a_refusal(self) -> None:
        factory = Calls()
        stopped: Deferred[None] = Deferred()
        factory.at["stop"] = lambda: stopped.callback(None)
        Connector(real_reactor, "127.0.0.1", free_port(), factory, 5).connect()
        await stopped
        self.assertIsInstance(factory.reasons[0], ConnectionRefusedError)
