"""The links to one server, without any relay."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectionRefusedError,
    NoRouteError,
    TimeoutError,
    getConnectError,
)
from twisted.internet.interfaces import IConnector
from twisted.internet.protocol import ClientFactory
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.core.members import Member
from sslbroker.errors import AttemptError, ConnectTimeout, NoSocket, Refused, Unreachable
from sslbroker.net.knocking import Knocking
from sslbroker.net.link import Link
from sslbroker.net.link_modes import LinkMode
from sslbroker.net.links import Links
from sslbroker.net.lookup import Answer, NoSuchName
from sslbroker.net.names import Names
from sslbroker.net.transports import StockTransports
from sslbroker.protocols.http.backend import HTTP
from sslbroker.settings import LinkLimits, Pool, Server
from sslbroker.settings import Names as NamesSettings


class Transport(StringTransport):
    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.keep_alive = enabled


class OneServersLinks(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = MemoryReactorClock()
        self.member = Member(Server("[::1]:80"))
        self.links = self.make()

    def make(self, **limits: float) -> Links:
        settings = Pool("p", (self.member.settings,), links=LinkLimits(**limits))  # type: ignore[arg-type]
        names = Names(NamesSettings(), self.clock)
        links = Links(
            self.member, settings, HTTP.server_codec, self.clock, StockTransports(self.clock), names, None
        )
        links.mode = cast(LinkMode, SimpleNamespace(secure=False, called=lambda: None))
        return links

    def opened(self) -> Link:
        """The server accepts the oldest call."""
        factory = self.clock.tcpClients.pop(0)[2]
        assert isinstance(factory, ClientFactory)
        link = factory.buildProtocol(None)
        assert isinstance(link, Link)
        link.makeConnection(Transport())
        return link

    def figures(self) -> tuple[int, int, int, int]:
        f = self.member.figures
        return f.links_connecting, f.links_idle, f.links_busy, f.links_draining

    def test_links_apart_are_made_alike_and_count_nowhere(self) -> None:
        self.links = self.make(idle=5)
        self.links.connect()
        kept = self.opened()
        settings = Pool("p", (self.member.settings,), links=LinkLimits(idle=0))
        apart = self.links.apart(settings)
        self.assertIs(apart.mode, self.links.mode)
        apart.start()
        link = self.successResultOf(self.after_opening(apart.connect()))
        self.assertIs(link.links, apart)
        self.assertEqual(list(self.links.busy), [kept])
        self.assertEqual((self.member.figures.links, self.member.figures.links_opened), (1, 1))
        link.drop()
        apart.close()
        self.assertEqual(list(self.links.busy), [kept])

    def after_opening(self, connecting: Deferred[Link]) -> Deferred[Link]:
        self.opened()
        return connecting

    def test_it_calls_the_address_with_the_connect_timeout(self) -> None:
        self.links.connect()
        host, port, factory, timeout, _ = self.clock.tcpClients[0]
        self.assertEqual((host, port, factory, timeout), ("::1", 80, self.links, 2.0))
        self.assertEqual(self.figures(), (1, 0, 0, 0))

    def test_the_first_link_goes_to_who_waits_longest(self) -> None:
        first, second = self.links.connect(), self.links.connect()
        link = self.opened()
        self.assertIs(self.successResultOf(first), link)
        self.assertNoResult(second)

    def test_who_stops_waiting_leaves_a_link_for_the_next(self) -> None:
        waiting = self.links.connect()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        link = self.opened()
        self.assertEqual(self.figures(), (0, 1, 0, 0))
        self.assertIs(self.links.take(), link)

    def test_failures_are_told_in_our_words(self) -> None:
        for error, expected in (
            (ConnectionRefusedError(), Refused),
            (TimeoutError(), ConnectTimeout),
            (NoRouteError(), Unreachable),
            (ConnectBindError(errno.EMFILE, "Too many open files"), NoSocket),
            (getConnectError((errno.EADDRNOTAVAIL, "no port is left")), NoSocket),
            (OSError("anything else"), Unreachable),
        ):
            waiting = self.links.connect()
            self.links.clientConnectionFailed(None, Failure(error))  # type: ignore[arg-type]
            self.failureResultOf(waiting, expected)
        self.assertEqual(self.figures(), (0, 0, 0, 0))

    def fails(self, error: Exception) -> None:
        self.links.clientConnectionFailed(None, Failure(error))  # type: ignore[arg-type]

    def test_a_failure_that_nobody_waits_for_is_forgotten(self) -> None:
        waiting = self.links.connect()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.fails(TimeoutError())
        self.assertEqual(self.figures(), (0, 0, 0, 0))

    def test_the_late_failure_of_one_who_has_gone_fails_nobody_else(self) -> None:
        gone = self.links.connect()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        waiting = self.links.connect()
        self.fails(TimeoutError())
        self.assertNoResult(waiting)
        self.clock.tcpClients.pop(0)
        link = self.opened()
        self.assertIs(self.successResultOf(waiting), link)

    def test_those_who_come_and_go_do_not_pile_calls_up(self) -> None:
        self.links = self.make(idle=2)
        for _ in range(10):
            gone = self.links.connect()
            gone.cancel()
            self.failureResultOf(gone, CancelledError)
        self.assertEqual(self.figures(), (3, 0, 0, 0))
        waiting = [self.links.connect() for _ in range(3)]
        self.assertEqual(self.figures(), (5, 0, 0, 0))
        self.fails(TimeoutError())
        self.fails(TimeoutError())
        del self.clock.tcpClients[:2]
        for one in waiting:
            self.assertNoResult(one)
            link = self.opened()
            self.assertIs(self.successResultOf(one), link)

    def test_an_address_that_cannot_be_used_is_unreachable_and_leaves_nothing(self) -> None:
        def connect_tcp(*arguments: object) -> None:
            raise OSError("no such interface")

        self.clock.connectTCP = connect_tcp  # type: ignore[method-assign]
        failure = self.failureResultOf(self.links.connect(), Unreachable)
        self.assertEqual(str(failure.value), "link:unreachable (no such interface)")
        self.assertEqual((self.figures(), len(self.links._waiting)), ((0, 0, 0, 0), 0))

    def test_a_link_that_is_lost_is_forgotten(self) -> None:
        for end in ("idle", "draining"):
            self.links.connect()
            link = self.opened()
            self.links.keep(link)
            if end == "draining":
                link.close()
            link.connectionLost()
            link.drop()
            link.close()
            self.assertEqual(self.figures(), (0, 0, 0, 0))
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_link_used_last_is_taken_first(self) -> None:
        for _ in range(2):
            self.links.connect()
        first, second = self.opened(), self.opened()
        self.links.keep(first)
        self.links.keep(second)
        self.assertIs(self.links.take(), second)

    def test_no_more_idle_links_than_allowed_are_kept(self) -> None:
        self.links = self.make(idle=1)
        for _ in range(2):
            self.links.connect()
        first, second = self.opened(), self.opened()
        self.links.keep(first)
        self.links.keep(second)
        self.assertEqual(self.figures(), (0, 1, 0, 1))
        self.assertTrue(second.transport.disconnecting)

    def test_an_idle_link_is_closed_after_its_time(self) -> None:
        self.links.connect()
        link = self.opened()
        self.links.keep(link)
        self.clock.advance(49)
        self.assertFalse(link.transport.disconnecting)
        self.clock.advance(2)
        self.assertTrue(link.transport.disconnecting)

    def test_a_byte_on_an_idle_link_ends_it(self) -> None:
        self.links.connect()
        link = self.opened()
        self.links.keep(link)
        link.dataReceived(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        self.assertTrue(link.transport.disconnected or link.transport.disconnecting)
        self.assertIsNone(self.links.take())

    def test_a_link_that_does_not_close_is_dropped(self) -> None:
        self.links.connect()
        link = self.opened()
        link.close()
        self.assertEqual(self.figures(), (0, 0, 0, 1))
        self.clock.advance(2)
        link.connectionLost()
        self.assertEqual(self.figures(), (0, 0, 0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_close_nothing_is_kept(self) -> None:
        self.links.connect()
        idle = self.opened()
        self.links.keep(idle)
        self.links.close()
        self.assertTrue(idle.transport.disconnecting)
        self.links.connect()
        late = self.opened()
        self.links.keep(late)
        self.assertTrue(late.transport.disconnecting)

    def test_who_knocks_hears_what_comes_of_each_call_of_the_server(self) -> None:
        heard: list[object] = []

        class Knocks:
            def heard(self, error: AttemptError | None) -> None:
                heard.append(None if error is None else error.cause.value)

            def stop(self) -> None:
                heard.append("stop")

        links = self.links
        links.knocking = cast(Knocking, Knocks())
        for error in (ConnectionRefusedError(), NoRouteError(), TimeoutError()):
            waiting = links.connect()
            self.fails(error)
            self.failureResultOf(waiting)
        links.connect()
        self.opened()
        for number in (errno.EMFILE, errno.ENETUNREACH):
            waiting = links.connect()
            self.fails(getConnectError((number, "why")))
            self.failureResultOf(waiting)
        links.close()
        self.assertEqual(
            heard, ["refused", "unreachable", "connect-timeout", None, "internal", "unreachable", "stop"]
        )


class ANamedServersLinks(SynchronousTestCase):
    """A server whose address is a name."""

    def setUp(self) -> None:
        self.clock = MemoryReactorClock()
        self.asked: list[Deferred[Answer]] = []
        self.member = Member(Server("shop.internal:80"))
        self.names = Names(NamesSettings(), self.clock, lookup=self.look_up)
        settings = Pool("p", (self.member.settings,))
        transports = StockTransports(self.clock)
        self.links = Links(self.member, settings, HTTP.server_codec, self.clock, transports, self.names, None)
        self.links.mode = cast(LinkMode, SimpleNamespace(secure=False, called=lambda: None))
        self.links.start()

    def look_up(self, host: str) -> Deferred[Answer]:
        self.assertEqual(host, "shop.internal")
        self.asked.append(Deferred())
        return self.asked[-1]

    def tearDown(self) -> None:
        self.links.close()
        self.names.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @property
    def called(self) -> list[str]:
        return [call[0] for call in self.clock.tcpClients]

    def test_a_link_that_is_wanted_before_the_name_resolves_waits_for_that(self) -> None:
        self.links.connect()
        self.assertEqual((self.called, self.links.calls), ([], 1))
        self.asked[0].callback(Answer(("10.0.0.7",), 60.0))
        self.assertEqual(self.called, ["10.0.0.7"])
        self.assertEqual(list(self.links.addresses), ["10.0.0.7"])

    def test_its_addresses_take_turns(self) -> None:
        self.asked[0].callback(Answer(("10.0.0.7", "10.0.0.8"), 60.0))
        calls = [self.links.connect() for _ in range(4)]
        self.assertEqual(sorted(self.called), ["10.0.0.7", "10.0.0.7", "10.0.0.8", "10.0.0.8"])
        for call in list(self.clock.tcpClients):
            call[2].clientConnectionFailed(cast(IConnector, None), Failure(ConnectionRefusedError()))
        for call in self.clock.tcpClients[4:]:  # each tries its other address
            call[2].clientConnectionFailed(cast(IConnector, None), Failure(ConnectionRefusedError()))
        for failed in calls:
            self.failureResultOf(failed, Refused)

    def test_a_name_that_does_not_resolve_is_a_server_that_is_down(self) -> None:
        waiting = self.links.connect()
        self.asked[0].errback(NoSuchName("no such name"))
        error = self.failureResultOf(waiting, Unreachable).value
        self.assertIn("no such name", str(error))
        self.assertFalse(self.member.open)
        self.assertIn("no such name", self.member.bars["unresolved"])
        self.assertRaises(Unreachable, self.links.reach, 0, ClientFactory(), 1.0)

    def test_until_it_does(self) -> None:
        self.asked[0].errback(NoSuchName("no such name"))
        freed: list[int] = []
        self.links.freed = lambda: freed.append(1)
        self.clock.advance(2.0)
        self.asked[1].callback(Answer(("10.0.0.7",), 60.0))
        self.assertTrue(self.member.open)
        self.assertEqual(freed, [1])
        self.links.connect()
        self.assertEqual(self.called, ["10.0.0.7"])

    def test_a_server_of_unknown_mode_gets_no_link(self) -> None:
        self.links.mode = cast(LinkMode, SimpleNamespace(secure=None, called=lambda: None))
        self.asked[0].callback(Answer(("10.0.0.7",), 60.0))
        error = self.failureResultOf(self.links.connect(), Unreachable).value
        self.assertIn("whether it speaks TLS", str(error))
