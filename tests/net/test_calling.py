"""Calls to servers with one address and with several."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectionRefusedError,
    NoRouteError,
    NotConnectingError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from sslbroker.net.calling import APART, Connect, call, rotated

ADDRESSES = ("10.0.0.1", "2001:db8::2", "10.0.0.3")


class Connection(Protocol):
    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def connectionMade(self) -> None:
        self.caller.connected.callback(None)


class Caller(ClientFactory[Any]):
    """Remembers what it hears."""

    noisy = False

    def __init__(self) -> None:
        self.built: list[Protocol] = []
        self.failed: list[BaseException | None] = []
        self.lost = 0
        self.connected: Deferred[None] = Deferred()
        self.over: Deferred[None] = Deferred()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        self.built.append(Connection(self))
        return self.built[-1]

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.failed.append(reason.value)

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self.lost += 1

    def doStop(self) -> None:
        super().doStop()
        self.over.callback(None)


def to(reactor: Any, port: int) -> Connect:
    return lambda address, factory, timeout: reactor.connectTCP(address, port, factory, timeout)


def to_80(reactor: Any) -> Connect:
    return to(reactor, 80)


class Rotation(SynchronousTestCase):
    def test_each_turn_begins_with_the_next_address(self) -> None:
        self.assertEqual([rotated("abc", turn)[0] for turn in range(4)], ["a", "b", "c", "a"])
        self.assertEqual(rotated("abc", 4), ("b", "c", "a"))

    def test_nothing_to_rotate(self) -> None:
        self.assertEqual((rotated((), 3), rotated(("a",), 3)), ((), ("a",)))


class OneAddress(SynchronousTestCase):
    def test_it_is_the_reactors_own_call(self) -> None:
        clock, factory = MemoryReactorClock(), Caller()
        call(clock, to_80(clock), ("10.0.0.1",), factory, 2.0)
        self.assertEqual(clock.tcpClients, [("10.0.0.1", 80, factory, 2.0, None)])
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_it_can_be_given_up(self) -> None:
        clock = MemoryReactorClock()
        call(clock, to_80(clock), ("10.0.0.1",), Caller(), 2.0).cancel()
        self.assertTrue(clock.connectors[0].stoppedConnecting)

    def test_giving_up_what_is_over_does_nothing(self) -> None:
        clock = MemoryReactorClock()
        under_way = call(clock, to_80(clock), ("10.0.0.1",), Caller(), 2.0)
        clock.connectors[0].stopConnecting = _not_connecting
        under_way.cancel()


class SeveralAddresses(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = MemoryReactorClock()
        self.factory = Caller()

    def call(self, *addresses: str, timeout: float = 2.0) -> None:
        self.under_way = call(self.clock, to_80(self.clock), addresses or ADDRESSES, self.factory, timeout)

    @property
    def tried(self) -> list[str]:
        return [client[0] for client in self.clock.tcpClients]

    def fails(self, number: int, error: Exception | None = None) -> None:
        factory = self.clock.tcpClients[number][2]
        factory.clientConnectionFailed(self.clock.connectors[number], Failure(error or NoRouteError()))

    def accepts(self, number: int) -> Any:
        return self.clock.tcpClients[number][2].buildProtocol(None)

    def given_up(self) -> list[bool]:
        return [connector.stoppedConnecting for connector in self.clock.connectors]

    def heard(self) -> tuple[int, list[type]]:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return len(self.factory.built), [type(error) for error in self.factory.failed]

    def test_the_next_address_has_its_turn_a_little_later(self) -> None:
        self.call()
        self.assertEqual(self.tried, ["10.0.0.1"])
        self.clock.advance(APART)
        self.assertEqual(self.tried, ["10.0.0.1", "2001:db8::2"])
        self.clock.advance(APART)
        self.assertEqual(self.tried, list(ADDRESSES))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_all_have_one_time_limit(self) -> None:
        self.call()
        self.clock.pump([APART, APART])
        self.assertEqual([client[3] for client in self.clock.tcpClients], [2.0, 2.0 - APART, 2.0 - 2 * APART])

    def test_the_next_address_is_tried_at_once_after_a_failure(self) -> None:
        self.call()
        self.clock.advance(APART / 2)
        self.fails(0)
        self.assertEqual(self.tried, ["10.0.0.1", "2001:db8::2"])
        self.clock.advance(APART * 0.9)
        self.assertEqual(len(self.tried), 2)
        self.clock.advance(APART * 0.1)
        self.assertEqual(len(self.tried), 3)

    def test_the_first_connection_wins_and_the_others_are_given_up(self) -> None:
        self.call()
        self.clock.advance(APART)
        self.assertIs(self.accepts(1), self.factory.built[0])
        self.assertEqual(self.given_up(), [True, False])
        self.assertEqual(self.heard(), (1, []))

    def test_a_second_connection_in_the_same_turn_is_not_built(self) -> None:
        self.call()
        self.clock.advance(APART)
        self.accepts(0)
        self.assertIsNone(self.accepts(1))
        self.clock.tcpClients[1][2].clientConnectionLost(self.clock.connectors[1], Failure(UserError()))
        self.assertEqual((self.heard(), self.factory.lost), ((1, []), 0))

    def test_failures_of_those_given_up_are_not_told(self) -> None:
        self.call()
        self.clock.advance(APART)
        self.accepts(1)
        self.fails(0, UserError())
        self.assertEqual(self.heard(), (1, []))

    def test_the_end_of_the_winner_is_told(self) -> None:
        self.call()
        self.accepts(0)
        self.clock.tcpClients[0][2].clientConnectionLost(self.clock.connectors[0], Failure(UserError()))
        self.assertEqual(self.factory.lost, 1)
        self.successResultOf(self.factory.over)

    def test_a_winner_whose_protocol_cannot_be_built_is_a_failure(self) -> None:
        self.call()
        self.accepts(0)  # the reactor calls the next line when what it called has raised
        self.fails(0, ValueError())
        self.assertEqual(self.factory.failed[0].__class__, ValueError)
        self.assertEqual(self.tried, ["10.0.0.1"])
        self.successResultOf(self.factory.over)

    def test_when_all_failed_the_most_telling_reason_is_told_once(self) -> None:
        for errors, told in (
            ((NoRouteError, ConnectionRefusedError, TimeoutError), ConnectionRefusedError),
            ((TimeoutError, NoRouteError, NoRouteError), TimeoutError),
            ((NoRouteError, NoRouteError, UserError), UserError),
        ):
            self.setUp()
            self.call()
            for number, error in enumerate(errors):
                self.fails(number, error())
            self.assertEqual(self.heard(), (0, [told]))
            self.successResultOf(self.factory.over)

    def test_no_address_is_tried_after_the_time_limit(self) -> None:
        self.call(timeout=APART * 1.5)
        self.clock.pump([APART, APART / 2])
        self.fails(0, TimeoutError())
        self.fails(1, TimeoutError())
        self.assertEqual(self.heard(), (0, [TimeoutError]))
        self.assertEqual(len(self.tried), 2)

    def test_it_can_be_given_up(self) -> None:
        self.call()
        self.clock.advance(APART)
        self.under_way.cancel()
        self.under_way.cancel()
        self.assertEqual(self.given_up(), [True, True])
        self.assertEqual(self.heard(), (0, [UserError]))

    def test_giving_up_what_is_over_does_nothing(self) -> None:
        self.call()
        self.accepts(0)
        self.under_way.cancel()
        self.assertEqual(self.heard(), (1, []))

    def test_a_call_that_cannot_begin_says_so(self) -> None:
        self.clock.connectTCP = _raises  # type: ignore[method-assign]
        self.assertRaises(ZeroDivisionError, self.call)
        self.assertEqual(self.heard(), (0, []))
        self.successResultOf(self.factory.over)

    def test_a_later_address_that_cannot_be_called_is_one_more_failure(self) -> None:
        self.call()
        self.clock.connectTCP = _raises  # type: ignore[method-assign]
        self.clock.advance(APART)
        self.assertEqual(self.factory.failed, [])
        self.fails(0)
        self.assertEqual(self.heard(), (0, [NoRouteError]))


class RealSockets(TestCase):
    """On loopback: 127.0.0.2 refuses, 127.0.0.1 accepts."""

    async def test_the_address_that_accepts_is_found(self) -> None:
        reactor: Any = real_reactor
        server = Factory.forProtocol(Protocol)
        server.noisy = False
        port = reactor.listenTCP(0, server, interface="127.0.0.1")
        factory = Caller()
        call(reactor, to(reactor, port.getHost().port), ("127.0.0.2", "127.0.0.1"), factory, 5.0)
        await factory.connected.addTimeout(5, reactor)
        transport: Any = factory.built[0].transport
        self.assertEqual(transport.getPeer().host, "127.0.0.1")
        transport.loseConnection()
        await factory.over
        self.assertEqual((len(factory.built), factory.failed, factory.lost), (1, [], 1))
        await port.stopListening()

    async def test_all_refuse(self) -> None:
        reactor: Any = real_reactor
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            factory = Caller()
            call(reactor, to(reactor, taken.getsockname()[1]), ("127.0.0.2", "127.0.0.1"), factory, 5.0)
            await factory.over
        self.assertEqual([type(error) for error in factory.failed], [ConnectionRefusedError])


def _not_connecting() -> None:
    raise NotConnectingError


def _raises(*arguments: object) -> Any:
    raise ZeroDivisionError
