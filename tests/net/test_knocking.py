"""A server that takes no connections is knocked at until it does, and who came meanwhile goes on."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.core.members import Member
from sslbroker.errors import AttemptError, ConnectTimeout, LinkTLSFailed, NoSocket, Refused, Unreachable
from sslbroker.net.knocking import FIRST, JITTER, LONGEST, SHORT, Knocking
from sslbroker.net.link import Link
from sslbroker.settings import Failover, LinkLimits, Queue, Server

from ..memory import BrokerCase, Peer

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Called:
    """Links whose calls the test answers."""

    def __init__(self) -> None:
        self.knocking: Knocking
        self.calls: list[Deferred[Link]] = []
        self.given_up = 0
        self.kept: list[Link] = []

    def connect(self) -> Deferred[Link]:
        self.calls.append(Deferred(self._cancelled))
        return self.calls[-1]

    def _cancelled(self, call: Deferred[Link]) -> None:
        self.calls.remove(call)
        self.given_up += 1

    def keep(self, link: Link) -> None:
        self.kept.append(link)

    def fails(self, error: AttemptError) -> None:
        """As `Links` tells it."""
        self.knocking.heard(error)
        if self.calls:
            self.calls.pop(0).errback(error)

    def opens(self) -> Link:
        link = cast(Link, object())
        self.calls.pop(0).callback(link)
        self.knocking.heard(None)
        return link


class Knocks(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.member = Member(Server("10.0.0.1:80"), slow_start=10.0)
        self.links = Called()
        self.changes = 0
        self.jitter = 0.5
        self.knocking = self.links.knocking = Knocking(
            "shop", self.member, self.links, self.clock, self.changed, jitter=lambda: self.jitter
        )

    def changed(self) -> None:
        self.changes += 1

    def tearDown(self) -> None:
        self.knocking.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.links.calls, [])

    @property
    def barred(self) -> bool:
        return "unreachable" in self.member.bars

    def waits(self) -> float:
        """Seconds to the next knock, which is then made."""
        (timer,) = self.clock.getDelayedCalls()
        seconds = timer.getTime() - self.clock.seconds()
        self.clock.advance(seconds)
        self.assertEqual(len(self.links.calls), 1)
        return round(seconds, 6)

    def test_who_refuses_or_cannot_be_reached_is_barred_at_once(self) -> None:
        for error in (Refused("refused"), Unreachable("no route")):
            self.knocking.heard(error)
            self.assertEqual(self.member.bars, {"unreachable": error.detail})
            self.assertEqual(self.member.figures.unreachable, 1)
            self.tearDown()
            self.setUp()

    def test_who_fails_otherwise_is_not(self) -> None:
        for error in (ConnectTimeout(""), LinkTLSFailed(""), None):
            self.knocking.heard(error)
            self.assertEqual(self.member.bars, {})
            self.assertEqual(self.changes, 0)

    def test_the_first_knock_comes_soon_and_the_others_later_and_later(self) -> None:
        self.knocking.heard(Refused("refused"))
        pauses = []
        for _ in range(7):
            pauses.append(self.waits())
            self.links.fails(Refused("still refused"))
        self.assertEqual(pauses, [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
        self.assertEqual(self.member.bars, {"unreachable": "still refused"})
        self.assertEqual(self.member.figures.outages, 1)

    def test_each_time_is_a_little_shorter_or_longer(self) -> None:
        for jitter, seconds in ((0.0, FIRST * (1 - JITTER)), (1.0, FIRST * (1 + JITTER))):
            self.jitter = jitter
            self.knocking.heard(Refused("refused"))
            self.assertAlmostEqual(self.waits(), seconds)
            self.links.opens()

    def test_no_time_is_longer_than_the_longest_and_its_jitter(self) -> None:
        self.jitter = 1.0
        self.knocking.heard(Refused("refused"))
        for _ in range(20):
            self.assertLessEqual(self.waits(), LONGEST * (1 + JITTER))
            self.links.fails(Refused("refused"))

    def test_a_knock_that_is_answered_takes_the_bar_away_and_its_link_is_kept(self) -> None:
        self.knocking.heard(Refused("refused"))
        self.waits()
        link = self.links.opens()
        self.assertEqual((self.member.bars, self.member.figures.unreachable, self.changes), ({}, 0, 1))
        self.assertEqual(self.links.kept, [link])
        self.knocking.heard(Refused("again"))
        self.assertEqual(self.waits(), FIRST, "the times begin anew")
        self.assertEqual(self.member.figures.outages, 2)

    def test_so_does_one_that_fails_in_any_other_way(self) -> None:
        for error in (ConnectTimeout("2 s"), LinkTLSFailed("no certificate")):
            self.knocking.heard(Refused("refused"))
            self.waits()
            with capturedLogs() as events:
                self.links.fails(error)
            self.assertFalse(self.barred)
            (line,) = [formatEvent(event) for event in events]
            self.assertIn("can be reached again, after 0.05 s, though not used: ", line)

    def test_a_link_that_somebody_else_gets_ends_the_knocking(self) -> None:
        self.knocking.heard(Refused("refused"))
        self.waits()
        self.knocking.heard(None)
        self.assertFalse(self.barred)
        self.assertEqual(self.links.given_up, 1)
        self.knocking.heard(Refused("again"))
        self.clock.advance(0.01)
        self.knocking.heard(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_knock_that_was_never_called_tells_nothing_and_is_repeated(self) -> None:
        self.knocking.heard(Refused("refused"))
        self.waits()
        self.links.calls.pop().errback(Unreachable("no address"))
        self.assertEqual(self.member.bars, {"unreachable": "refused"})
        self.waits()
        self.links.fails(NoSocket("too many open files"))
        self.assertEqual(self.member.bars, {"unreachable": "refused"})
        self.assertEqual(self.waits(), 4 * FIRST)

    def test_where_a_server_has_all_the_links_that_it_may_have_it_is_not_called(self) -> None:
        self.member.most_links = 1
        self.member.figures.links_busy = 1
        self.knocking.heard(Refused("refused"))
        self.clock.advance(5.0)
        self.assertEqual(self.links.calls, [])
        self.member.figures.links_busy = 0
        self.clock.advance(1.0)
        self.assertEqual(len(self.links.calls), 1)

    def test_it_is_no_use_to_knock_at_one_that_would_not_be_tried(self) -> None:
        for bar in ("down", "unresolved", "link-unknown"):
            self.member.bar(bar)
            self.knocking.heard(Refused("refused"))
            self.assertFalse(self.barred)
            self.member.unbar(bar, 0.0)
            self.knocking.heard(Refused("refused"))
            self.member.bar(bar)
            self.clock.advance(FIRST)
            self.assertEqual((self.links.calls, self.member.bars), ([], {bar: ""}))
            self.member.unbar(bar, 0.0)

    def test_but_at_one_that_is_doubted(self) -> None:
        for bar in ("ejected", "resting", "unhealthy"):
            self.member.bar(bar)
        self.knocking.heard(Refused("refused"))
        self.waits()
        self.links.opens()
        self.assertFalse(self.barred)

    def test_one_that_was_gone_for_less_than_a_second_needs_no_slow_start(self) -> None:
        self.knocking.heard(Refused("refused"))
        self.clock.advance(SHORT - 0.01)
        self.knocking.heard(None)
        self.assertEqual(self.member.weight_at(self.clock.seconds()), 1.0)
        self.knocking.heard(Refused("refused"))
        self.clock.advance(SHORT)
        self.knocking.heard(None)
        self.assertEqual(self.member.weight_at(self.clock.seconds()), 0.1)

    def test_after_a_stop_nobody_is_called_or_barred(self) -> None:
        self.knocking.heard(Refused("refused"))
        self.waits()
        self.knocking.stop()
        self.assertEqual(self.links.given_up, 1)
        self.member.unbar("unreachable", 0.0)
        self.knocking.heard(Refused("refused"))
        self.assertEqual((self.member.bars, self.clock.getDelayedCalls()), ({}, []))


class Outage(BrokerCase):
    """Nobody can be reached: transactions wait for the first that returns."""

    def begin(self, servers: int = 1, **settings: Any) -> None:
        self.start(servers, **settings)
        for links in self.pool.links.values():
            assert links.knocking is not None
            links.knocking._jitter = lambda: 0.5
        self.refuse()

    def refuse(self) -> None:
        for server in self.servers:
            server.behaviour = "refuse"

    def asks(self, data: bytes = GET) -> Peer:
        client = self.client()
        client.sends(data)
        return client

    def comes_back(self, number: int = 0) -> Peer:
        """The server of that number takes connections again: the link of the knock."""
        self.servers[number].behaviour = "accept"
        self.wait(1.2)
        return self.servers[number].link()

    def test_a_transaction_goes_on_when_its_only_server_is_back(self) -> None:
        self.begin()
        client = self.asks()
        self.assertTrue(self.pool.outage())
        self.assertEqual(self.pool.figures.queued, 1)
        self.wait(2.0)
        link = self.comes_back()
        self.assertFalse(self.pool.outage())
        self.assertEqual(self.servers[0].accepted, 1, "the knock's link serves it")
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "refused"), ("1", "ok")])
        self.assertEqual(self.end, "ok")

    def test_a_server_that_is_back_in_milliseconds_costs_milliseconds(self) -> None:
        self.begin()
        client = self.asks()
        self.servers[0].behaviour = "accept"
        self.wait(0.051)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_who_comes_meanwhile_makes_no_try(self) -> None:
        self.begin()
        self.asks()
        others = [self.asks() for _ in range(5)]
        self.assertEqual(self.pool.figures.queued, 6)
        self.comes_back().sends(OK)
        while self.servers[0].links:
            self.servers[0].link().sends(OK)
        self.assertEqual([client.takes()[-2:] for client in others], [b"ok"] * 5)
        self.assertEqual(self.tries(), [("1", "ok")])

    def test_the_first_of_several_that_returns_serves_all_also_who_has_tried_it(self) -> None:
        self.begin(3)
        first = self.asks()  # it has tried all of them
        second = self.asks()
        link = self.comes_back(1)
        other = self.servers[1].link()
        link.sends(OK)
        other.sends(OK)
        self.assertTrue(first.takes().endswith(b"ok"))
        self.assertTrue(second.takes().endswith(b"ok"))
        self.assertEqual([member.open for member in self.pool.members], [False, True, False])
        self.assertEqual(self.tries(0), [("1", "refused"), ("2", "refused"), ("3", "refused"), ("2", "ok")])

    def test_who_is_not_stored_any_more_but_was_not_sent_goes_on_too(self) -> None:
        self.begin()
        client = self.asks(POST)
        knocked = self.comes_back()
        link = self.servers[
            0
        ].link()  # no request that may not be repeated goes on a link that is open already
        self.assertTrue(link.takes().endswith(b"hi"))
        self.assertEqual(knocked.takes(), b"")
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_nobody_waits_for_ever(self) -> None:
        self.begin(2, queue=Queue(timeout=3.0))
        tried, untried = self.asks(), self.asks()
        self.wait(2.9)
        self.assertEqual((tried.takes(), untried.takes()), (b"", b""))
        with capturedLogs():
            self.wait(0.2)
        self.assertTrue(tried.takes().startswith(b"HTTP/1.1 502 "))
        self.assertTrue(untried.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:queue-timeout")

    def test_the_queue_has_its_length(self) -> None:
        self.begin(queue=Queue(length=1))
        self.asks()
        self.assertTrue(self.asks().takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:queue-full")

    def test_while_another_server_can_be_reached_nobody_waits(self) -> None:
        self.begin(2)
        self.servers[1].behaviour = "accept"
        client = self.asks()
        link = self.servers[1].link()
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "refused"), ("2", "ok")])
        for _ in range(3):
            client.sends(GET)
            link.sends(OK)
            self.assertTrue(client.takes().endswith(b"ok"))
            self.assertEqual(self.tries(), [("2", "ok")])

    def test_an_operator_who_takes_the_last_one_out_ends_the_waiting(self) -> None:
        self.begin()
        self.asks()
        client = self.asks()
        self.pool.set_server("10.0.0.1:80", "down")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:no-server")
        self.wait(1.5)
        self.servers[0].behaviour = "accept"
        self.pool.set_server("10.0.0.1:80", "up")
        again = self.asks()
        self.servers[0].link().sends(OK)
        self.assertTrue(again.takes().endswith(b"ok"))

    def test_a_server_that_goes_while_it_is_used_is_found_out_by_who_needs_a_link(self) -> None:
        self.start(1)
        client = self.asks()
        link = self.servers[0].link()
        link.sends(OK)
        client.takes()
        self.refuse()
        link.closes()
        client.sends(GET)
        self.comes_back().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "refused"), ("1", "ok")])

    def test_where_no_links_are_kept_the_knocks_is_closed(self) -> None:
        self.begin(links=LinkLimits(idle=0))
        client = self.asks()
        knocked = self.comes_back()
        self.assertTrue(knocked.closed)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_stop_in_the_middle_of_a_knock_leaves_nothing(self) -> None:
        self.begin(failover=Failover(connect_timeout=1.0))
        client = self.asks()
        self.servers[0].behaviour = "wait"
        self.wait(0.06)
        self.assertEqual(self.pool.members[0].figures.links_connecting, 1)
        client.resets()
        self.pool.close()

    def test_a_server_whose_address_changes_is_knocked_at_where_it_is_now(self) -> None:
        self.begin()
        client = self.asks()
        links = self.pool.links[self.pool.members[0]]
        links._literal = "10.0.0.9"
        self.servers[0].address = "10.0.0.9:80"
        self.comes_back().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
