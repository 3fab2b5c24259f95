"""Who waits for a place at a server, or for a balancer that takes its time."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from twisted.internet.defer import CancelledError, Deferred, succeed

from sslbroker.core.members import Member
from sslbroker.errors import QueueFull, QueueTimeout
from sslbroker.interfaces import Origin
from sslbroker.settings import Failover, Queue, Sticky

from ..memory import BrokerCase, Peer, other_end

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class OwnBalancer(BrokerCase):
    """A balancer of the operator's own may take its time, and may be wrong."""

    def begin(self, result: Any, **settings: Any) -> Peer:
        settings.setdefault("servers", 2)
        self.start(**settings)

        class Own:
            def choose(self, members: Any, origin: Origin, key: bytes, now: float) -> Any:
                return result(members)

        self.pool.places._choosing._balancer = Own()
        return self.client()

    def test_a_deferred(self) -> None:
        asked: Deferred[Any] = Deferred()
        client = self.begin(lambda members: asked)
        client.sends(GET)
        self.assertEqual([server.accepted for server in self.servers], [0, 0])
        asked.callback(self.pool.members[1])
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_coroutine(self) -> None:
        async def last(members: Any) -> Any:
            return members[-1]

        client = self.begin(last)
        client.sends(GET)
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_whose_client_leaves_meanwhile_is_cancelled(self) -> None:
        asked: Deferred[Any] = Deferred()
        client = self.begin(lambda members: asked)
        client.sends(GET)
        client.resets()
        self.assertTrue(asked.called)
        self.assertEqual(self.end, "choose:client-gone")

    def test_what_is_no_member_is_a_mistake(self) -> None:
        async def later(members: Any) -> None:
            return None

        for wrong in (lambda members: None, lambda members: "10.0.0.1:80", lambda members: 7, later):
            client = self.begin(wrong)
            client.sends(GET)
            self.assertTrue(client.takes().startswith(b"HTTP/1.1 502 "))
            self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
            self.tearDown()

    def test_so_is_a_deferred_that_fails(self) -> None:
        asked: Deferred[Any] = Deferred()
        client = self.begin(lambda members: asked)
        client.sends(GET)
        asked.errback(KeyError("what"))
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 502 "))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_one_that_never_chooses_has_its_limit(self) -> None:
        client = self.begin(lambda members: Deferred())
        client.sends(GET)
        self.wait(5.1)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:queue-timeout")

    def test_one_that_will_not_be_cancelled_is_not_heard(self) -> None:
        async def stubborn(members: Any) -> Any:
            try:
                await Deferred()
            except CancelledError:
                return members[0]

        async def worse(members: Any) -> Any:
            try:
                await Deferred()
            except CancelledError:
                raise KeyError("what") from None

        for balancer in (stubborn, worse):
            client = self.begin(balancer)
            client.sends(GET)
            client.resets()
            self.assertEqual(self.end, "choose:client-gone")
            self.assertEqual([server.accepted for server in self.servers], [0, 0])
            self.tearDown()

    def test_a_place_that_was_taken_while_it_thought_is_waited_for(self) -> None:
        asked: list[Deferred[Any]] = []

        def later(members: Any) -> Any:
            asked.append(Deferred())
            return asked[-1]

        first = self.begin(later, limits_of_servers={"maximum_transactions": 1}, servers=1)
        second = self.client()
        first.sends(GET)
        second.sends(GET)
        for deferred in asked[:2]:
            deferred.callback(self.pool.members[0])
        self.assertEqual(self.pool.members[0].figures.outstanding, 1)
        self.assertEqual(self.pool.figures.queued, 1)
        link = self.servers[0].link()
        link.sends(OK)
        self.assertEqual(len(asked), 3)
        asked[2].callback(self.pool.members[0])
        link.sends(OK)
        self.assertEqual([c.takes()[-2:] for c in (first, second)], [b"ok", b"ok"])

    def test_who_waits_for_a_place_is_chosen_for_in_any_of_the_ways(self) -> None:
        async def coroutine(members: Any) -> Any:
            return members[0]

        for way in (coroutine, lambda members: succeed(members[0]), lambda members: members[0]):
            first = self.begin(way, limits_of_servers={"maximum_transactions": 1}, servers=1)
            second = self.client()
            first.sends(GET)
            second.sends(GET)
            link = self.servers[0].link()
            link.sends(OK)
            link.sends(OK)
            self.assertEqual([c.takes()[-2:] for c in (first, second)], [b"ok", b"ok"])
            self.tearDown()

    def test_who_leaves_while_it_thinks_of_him_takes_no_place(self) -> None:
        asked: list[Deferred[Any]] = []

        def later(members: Any) -> Any:
            asked.append(Deferred())
            return asked[-1]

        first = self.begin(later, limits_of_servers={"maximum_transactions": 1}, servers=1)
        second, third = self.client(), self.client()
        first.sends(GET)
        asked[0].callback(self.pool.members[0])
        second.sends(GET)
        third.sends(GET)
        self.assertEqual(self.pool.figures.queued, 2)
        link = self.servers[0].link()
        link.sends(OK)
        self.assertEqual(len(asked), 2)
        second.resets()  # it was asked for the second, so nobody else was
        self.assertEqual(len(asked), 3)
        asked[2].callback(self.pool.members[0])
        link.sends(OK)
        self.assertTrue(third.takes().endswith(b"ok"))

    def test_a_mistake_in_choosing_for_who_waits_is_nobody_elses(self) -> None:
        calls: list[int] = []

        def second_time(members: Any) -> Any:
            calls.append(1)
            if len(calls) > 1:
                raise KeyError("what")
            return members[0]

        first = self.begin(second_time, limits_of_servers={"maximum_transactions": 1}, servers=1)
        second = self.client()
        first.sends(GET)
        second.sends(GET)
        self.servers[0].link().sends(OK)
        self.assertTrue(first.takes().endswith(b"ok"))
        self.assertTrue(second.takes().startswith(b"HTTP/1.1 502 "))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_one_that_insists_on_a_server_without_a_place_only_waits(self) -> None:
        async def insists(members: Any) -> Any:
            return self.pool.members[0]

        first = self.begin(insists, limits_of_servers={"maximum_transactions": 1})
        first.sends(GET)
        link = self.servers[0].link()
        second, third = self.client(), self.client()
        second.sends(GET)
        third.sends(GET)
        self.pool.set_server("10.0.0.2:80", "up")
        self.assertEqual(self.pool.figures.queued, 2)
        for _ in range(3):
            link.sends(OK)
        self.assertEqual([c.takes()[-2:] for c in (first, second, third)], [b"ok"] * 3)

    def test_who_comes_while_another_is_served_has_his_turn(self) -> None:
        async def insists(members: Any) -> Any:
            return self.pool.members[0]

        self.begin(insists)
        turns: list[str] = []

        def choose(name: str) -> Deferred[Any]:
            choice = self.pool.places.choose((), Origin("192.0.2.1"), b"", "")
            assert isinstance(choice, Deferred)
            return choice.addCallback(lambda _: turns.append(name))

        self.pool.members[0].bar("down")
        choose("first").addCallback(lambda _: choose("first again"))  # it has failed at once
        self.assertEqual(self.pool.figures.queued, 1)
        self.pool.set_server("10.0.0.1:80", "up")
        self.assertEqual(turns, ["first", "first again"])


class Limited(BrokerCase):
    """Servers that have limits."""

    def begin(self, *, queue: Queue | None = None, servers: int = 2, **limits: int) -> None:
        self.start(servers, limits_of_servers=limits, queue=queue or Queue())

    def asks(self, data: bytes = GET) -> Peer:
        client = self.client()
        client.sends(data)
        return client

    @property
    def busy(self) -> list[int]:
        return [member.figures.outstanding for member in self.pool.members]

    def answer(self, number: int) -> None:
        """The server of that number answers on a link that waits for it."""
        (used,) = list(self.pool.links[self.pool.members[number]].busy)[:1]
        other_end(used.transport).protocol.sends(OK)
        self.settle()


class Waiting(Limited):
    """For a place, or for a server that can be reached."""

    def test_above_the_limits_transactions_wait_in_their_order(self) -> None:
        self.begin(maximum_transactions=1)
        clients = [self.asks() for _ in range(4)]
        self.assertEqual((self.busy, self.pool.figures.queued), ([1, 1], 2))
        self.answer(1)
        self.assertEqual((self.busy, self.pool.figures.queued), ([1, 1], 1))
        self.answer(1)
        self.answer(1)
        self.answer(0)
        self.assertEqual([client.takes()[-2:] for client in clients], [b"ok"] * 4)
        self.assertEqual((self.busy, self.pool.figures.queued), ([0, 0], 0))

    def test_nobody_who_comes_later_is_served_first(self) -> None:
        self.begin(servers=1, maximum_transactions=1)
        first, second = self.asks(), self.asks()
        self.answer(0)
        third = self.asks()
        self.answer(0)
        self.assertEqual([c.takes()[-2:] for c in (first, second, third)], [b"ok", b"ok", b""])

    def test_who_waits_too_long_is_told(self) -> None:
        self.begin(servers=1, maximum_transactions=1, queue=Queue(timeout=3.0))
        self.asks()
        late = self.asks()
        self.wait(2.9)
        self.assertEqual(late.takes(), b"")
        self.wait(0.2)
        self.assertTrue(late.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:queue-timeout")

    def test_who_is_one_too_many_is_told_at_once(self) -> None:
        self.begin(servers=1, maximum_transactions=1, queue=Queue(length=1))
        self.asks()
        self.asks()
        self.assertTrue(self.asks().takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:queue-full")

    def test_who_leaves_meanwhile_takes_no_place(self) -> None:
        self.begin(servers=1, maximum_transactions=1)
        self.asks()
        self.asks().resets()
        self.assertEqual(self.pool.figures.queued, 0)
        last = self.asks()
        self.answer(0)
        self.answer(0)
        self.assertTrue(last.takes().endswith(b"ok"))

    def test_a_body_that_comes_meanwhile_is_stored(self) -> None:
        self.begin(servers=1, maximum_transactions=1)
        self.asks()
        client = self.asks(POST[:-1])
        client.sends(POST[-1:])
        self.answer(0)
        self.settle()
        (used,) = self.pool.links[self.pool.members[0]].busy
        self.assertTrue(other_end(used.transport).protocol.takes().endswith(b"hi"))
        self.answer(0)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_next_try_waits_for_a_server_that_was_not_used(self) -> None:
        self.begin(maximum_transactions=1)
        self.servers[0].behaviour = "refuse"
        first = self.asks()  # by way of the first server to the second
        self.assertEqual(self.busy, [0, 1])
        second = self.asks()
        self.assertEqual(self.pool.figures.queued, 1)
        self.answer(1)
        self.answer(1)
        self.assertEqual([c.takes()[-2:] for c in (first, second)], [b"ok", b"ok"])

    def test_who_waits_for_one_server_holds_up_nobody_who_may_go_elsewhere(self) -> None:
        self.start(
            2, limits_of_servers={"maximum_transactions": 1}, sticky=Sticky("SRV"), queue=Queue(length=300)
        )
        cookie = b"\r\nCookie: SRV=" + self.pool.members[0].key.encode() + b"\r\n\r\n"
        stuck = GET.replace(b"\r\n\r\n", cookie)
        self.asks(stuck)
        for _ in range(150):
            self.asks(stuck)
        self.assertEqual(self.pool.figures.queued, 150)
        free = [self.asks(), self.asks()]
        self.assertEqual(self.pool.figures.queued, 151)
        self.answer(1)
        self.answer(1)
        self.assertEqual([client.takes()[-2:] for client in free], [b"ok", b"ok"])
        self.assertEqual((self.busy, self.pool.figures.queued), ([1, 0], 150))

    def test_a_long_queue_at_many_servers_costs_each_one_look(self) -> None:
        self.start(
            40, limits_of_servers={"maximum_transactions": 1}, sticky=Sticky("SRV"), queue=Queue(length=400)
        )
        *full, free = self.pool.members
        for member in full:
            member.began(member, 0.0)
        for number in range(400):
            waits = self.pool.places.choose((), Origin("192.0.2.1"), b"", full[number % len(full)].key)
            assert isinstance(waits, Deferred)
            waits.addErrback(lambda _: None)
        with patch.object(Member, "has_place", autospec=True, side_effect=Member.has_place) as looks:
            self.pool.places.freed()
        self.assertEqual((self.pool.figures.queued, free.outstanding), (400, 0))
        self.assertLess(looks.call_count, 3 * len(self.pool.members))
        self.wait(6)
        for member in full:
            member.ended(member)

    def test_a_server_taken_down_lets_those_who_wait_go_elsewhere_or_tells_them(self) -> None:
        self.begin(servers=1, maximum_transactions=1)
        self.asks()
        waits = self.asks()
        self.pool.set_server("10.0.0.1:80", "down")
        self.assertTrue(waits.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:no-server")

    def test_so_does_one_that_drains(self) -> None:
        self.begin(servers=1, maximum_transactions=1)
        first, waits = self.asks(), self.asks()
        self.pool.set_server("10.0.0.1:80", "drain")
        self.assertTrue(waits.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:no-server")
        self.answer(0)
        self.assertTrue(first.takes().endswith(b"ok"))

    def test_a_limit_of_the_pool_is_one_beside_those_of_its_servers(self) -> None:
        self.start(3, maximum_transactions=2, limits_of_servers={"maximum_transactions": 2})
        clients = [self.asks() for _ in range(4)]
        self.assertEqual((self.busy, self.pool.figures.queued), ([1, 1, 0], 2))
        self.answer(0)
        self.assertEqual((sum(self.busy), self.pool.figures.queued), (2, 1))
        while sum(self.busy):
            self.answer(next(number for number, busy in enumerate(self.busy) if busy))
        self.assertEqual([client.takes()[-2:] for client in clients], [b"ok"] * 4)

    def test_what_is_said_where_the_pool_is_at_its_limit(self) -> None:
        self.start(2, maximum_transactions=1, queue=Queue(length=1, timeout=3.0))
        self.asks()
        choice = self.pool.choose((), None, Origin("192.0.2.1"), "")
        assert isinstance(choice, Deferred)
        with self.assertRaises(QueueFull) as full:
            self.pool.choose((), None, Origin("192.0.2.1"), "")
        self.assertEqual(full.exception.detail, "the pool is at its limit, and 1 transactions wait")
        self.wait(3.1)
        self.assertEqual(
            self.failureResultOf(choice, QueueTimeout).value.detail, "no place in the pool within 3 s"
        )
        self.answer(0)

    def test_another_try_takes_the_place_of_the_one_that_failed(self) -> None:
        self.start(2, maximum_transactions=1)
        self.servers[0].behaviour = "refuse"
        client = self.asks()
        self.assertEqual(self.busy, [0, 1])
        self.answer(1)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_limit_of_links_counts_those_that_are_idle_or_being_made(self) -> None:
        self.begin(servers=1, maximum_links=1)
        self.servers[0].behaviour = "wait"
        first = self.asks()
        second = self.asks()
        self.assertEqual((self.pool.figures.queued, self.servers[0].accepted), (1, 0))
        self.servers[0].behaviour = "accept"
        self.settle()
        self.answer(0)
        self.answer(0)
        self.assertEqual([c.takes()[-2:] for c in (first, second)], [b"ok", b"ok"])
        self.assertEqual(self.servers[0].accepted, 1)

    def test_a_fresh_link_takes_the_place_of_an_idle_one(self) -> None:
        self.begin(servers=1, maximum_links=1)
        self.asks()
        self.answer(0)
        self.assertEqual(self.pool.members[0].figures.links_idle, 1)
        client = self.asks(POST)
        self.answer(0)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.servers[0].accepted, 2)
        self.assertLessEqual(self.pool.members[0].figures.links, 1)

    def test_many_who_wait_and_fail_at_once_are_no_recursion(self) -> None:
        self.start(
            1,
            limits_of_servers={"maximum_transactions": 1},
            queue=Queue(length=2000),
            failover=Failover(tries=1),
        )
        clients = [self.asks(POST) for _ in range(800)]
        self.servers[0].behaviour = "timeout"
        self.answer(0)
        for client in clients[1:]:
            self.assertTrue(client.received.startswith(b"HTTP/1.1 504 "))

    def test_who_has_less_time_waits_no_longer(self) -> None:
        self.begin(servers=1, maximum_transactions=1)
        self.asks()
        failed: list[str] = []

        def waits(until: float) -> None:
            choice = self.pool.choose((), None, Origin("192.0.2.1"), "", until)
            assert isinstance(choice, Deferred)
            choice.addCallbacks(lambda _: None, lambda failure: failed.append(failure.value.detail))

        now = self.clock.seconds()
        for until in (now - 1.0, now + 2.0, now + 60.0):
            waits(until)
        self.wait(0.0)
        self.assertEqual(failed, ["no place at any server within 0 s"])
        self.wait(1.9)
        self.assertEqual(len(failed), 1)
        self.wait(0.2)
        self.assertEqual(failed[1:], ["no place at any server within 2 s"])
        self.wait(3.0)
        self.assertEqual(failed[2:], ["no place at any server within 5 s"])

    def test_when_no_server_could_be_reached_the_error_says_why(self) -> None:
        self.begin(queue=Queue(timeout=3.0, length=1))
        for member, bar in zip(self.pool.members, ("unreachable", "down"), strict=True):
            member.bar(bar, "refused")
        choice = self.pool.choose((), None, Origin("192.0.2.1"), "")
        assert isinstance(choice, Deferred)
        with self.assertRaises(QueueFull) as full:
            self.pool.choose((), None, Origin("192.0.2.1"), "")
        self.assertEqual(full.exception.detail, "no server can be reached, and 1 transactions wait")
        self.wait(3.1)
        error = self.failureResultOf(choice, QueueTimeout).value
        self.assertEqual(
            error.detail,
            "no server could be reached within 3 s: "
            "10.0.0.1:80: unreachable: refused; 10.0.0.2:80: down: refused",
        )
        self.assertEqual(error.status, 503)

    def test_a_balancer_that_takes_its_time_may_choose_who_is_doubted_when_all_are(self) -> None:
        self.begin()
        asked: list[Deferred[Any]] = []

        class Own:
            def choose(self, members: Any, origin: Origin, key: bytes, now: float) -> Any:
                asked.append(Deferred())
                return asked[-1]

        self.pool.places._choosing._balancer = Own()
        for member in self.pool.members:
            member.bar("ejected")
        client = self.asks()
        asked[0].callback(self.pool.members[1])
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
