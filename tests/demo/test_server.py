"""A server that listens, dies and comes back at the same address."""

# Twisted's test helpers have few annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import TestCase

from sslbroker.demo.server import FulfillmentServer
from sslbroker.demo.shop import Shop
from sslbroker.demo.trouble import Trouble
from sslbroker.errors import StartError

from .wire import Client


class Port:
    """A port whose closing takes until `closed` is fired."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.closed: Deferred[None] = Deferred()

    def getHost(self) -> Any:
        return type("Address", (), {"port": self.number})

    def stopListening(self) -> Deferred[None]:
        return self.closed


class Reactor(Clock):
    """Listens on ports that close slowly, or does not when `taken`."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[Port] = []
        self.taken = False

    def listenTCP(self, port: int, *_: object, interface: str) -> Port:
        assert interface == "127.0.0.1"
        if self.taken:
            raise CannotListenError(interface, port, OSError("Address already in use"))
        self.ports.append(Port(port or 50_000))
        return self.ports[-1]


class TestDeath(TestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.server = FulfillmentServer("server-1", Shop(), IReactorTime(self.reactor))
        self.server.listen_on(cast(IReactorTCP, self.reactor))

    def test_it_knows_its_address_at_once(self) -> None:
        self.assertEqual(self.server.address, "127.0.0.1:50000")

    def test_death_resets_connections_and_closes_the_port(self) -> None:
        client = Client(self.server)
        client.request("GET /chat/messages")
        self.server.trouble = Trouble.DEAD
        self.assertEqual(client.end, "aborted")
        self.assertIsNone(self.server._port)
        self.assertEqual(self.server.address, "127.0.0.1:50000")

    def test_it_comes_back_at_the_same_address(self) -> None:
        self.server.trouble = Trouble.DEAD
        self.reactor.ports[0].closed.callback(None)
        self.server.trouble = Trouble.NONE
        self.assertEqual([port.number for port in self.reactor.ports], [50_000, 50_000])

    def test_it_may_come_back_into_another_trouble(self) -> None:
        self.server.trouble = Trouble.DEAD
        self.reactor.ports[0].closed.callback(None)
        self.server.trouble = Trouble.SLOW
        self.assertEqual((len(self.reactor.ports), self.server.trouble), (2, Trouble.SLOW))

    def test_it_waits_for_its_old_port_to_close(self) -> None:
        self.server.trouble = Trouble.DEAD
        self.server.trouble = Trouble.NONE
        self.assertEqual(len(self.reactor.ports), 1)
        self.reactor.ports[0].closed.callback(None)
        self.assertEqual(len(self.reactor.ports), 2)

    def test_it_stays_dead_when_it_changes_its_mind_in_between(self) -> None:
        for trouble in (Trouble.DEAD, Trouble.NONE, Trouble.DEAD):
            self.server.trouble = trouble
        self.reactor.ports[0].closed.callback(None)
        self.assertEqual(len(self.reactor.ports), 1)

    def test_being_told_the_same_again_changes_nothing(self) -> None:
        self.server.trouble = Trouble.NONE
        self.assertEqual(len(self.reactor.ports), 1)
        self.server.trouble = Trouble.DEAD
        self.server.trouble = Trouble.DEAD
        self.reactor.ports[0].closed.callback(None)
        self.assertEqual(len(self.reactor.ports), 1)

    def test_it_stays_dead_when_its_port_was_taken(self) -> None:
        self.server.trouble = Trouble.DEAD
        self.reactor.ports[0].closed.callback(None)
        self.reactor.taken = True
        with self.assertRaises(StartError) as caught:
            self.server.trouble = Trouble.NONE
        self.assertIn("server-1 cannot listen on 127.0.0.1:50000", str(caught.exception))
        self.assertIs(self.server.trouble, Trouble.DEAD)
        self.reactor.taken = False
        self.server.trouble = Trouble.NONE
        self.assertEqual(len(self.reactor.ports), 2)

    def test_a_server_that_was_stopped_does_not_come_back(self) -> None:
        self.server.stop()
        self.reactor.ports[0].closed.callback(None)
        self.assertEqual(len(self.reactor.ports), 1)

    def test_stopping_waits_for_the_port(self) -> None:
        stopped = self.server.stop()
        self.assertNoResult(stopped)
        self.reactor.ports[0].closed.callback(None)
        self.successResultOf(stopped)
        self.successResultOf(self.server.stop())


class TestMemory(TestCase):
    def test_a_server_that_never_listened_may_die_and_come_back(self) -> None:
        server = FulfillmentServer("server-1", Shop(), Clock())
        server.trouble = Trouble.DEAD
        server.trouble = Trouble.NONE
        self.assertEqual(server.address, "127.0.0.1:0")

    def test_it_listens_on_loopback_only(self) -> None:
        reactor: Any = MemoryReactorClock()
        FulfillmentServer("server-1", Shop(), reactor).listen_on(reactor, 1234)
        self.assertEqual([entry[3] for entry in reactor.tcpServers], ["127.0.0.1"])


class TestSockets(TestCase):
    """The same with real sockets."""

    async def test_a_dead_server_refuses_and_a_mended_one_accepts(self) -> None:
        reactor = IReactorTCP(real_reactor)
        server = FulfillmentServer("server-1", Shop(), IReactorTime(real_reactor))
        server.listen_on(reactor)
        place = ("127.0.0.1", int(server.address.rpartition(":")[2]))
        socket.create_connection(place).close()
        server.trouble = Trouble.DEAD
        await server.stop()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(place)
        server.trouble = Trouble.NONE
        socket.create_connection(place).close()
        await server.stop()
