"""A pool chooses among its members, lets transactions wait for a place, and does what an operator says."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from sslbroker.core.transaction import Attempt
from sslbroker.errors import NoServer
from sslbroker.interfaces import Origin
from sslbroker.protocols.http.message import NONE, Request
from sslbroker.settings import Failover, Queue, Sticky

from ..memory import BrokerCase, Peer

REQUEST = Request(b"GET", b"/", 1, [], b"a", NONE, 0)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Choosing(BrokerCase):
    def choose(self, attempts: list[Attempt]) -> Any:
        return self.pool.choose(attempts, REQUEST, Origin("192.0.2.1"), "")

    def test_a_try_goes_to_a_server_not_used_yet_while_there_is_one(self) -> None:
        self.start(servers=3)
        attempts: list[Attempt] = []
        for _ in range(4):
            attempts.append(Attempt(self.choose(attempts), 0.0))
        used = [attempt.member for attempt in attempts]
        self.assertEqual(used[:3], self.pool.members)
        self.assertIn(used[3], self.pool.members)

    def test_least_connections_is_another_law(self) -> None:
        self.start(servers=2, balance="least-connections")
        self.pool.members[0].figures.outstanding = 1
        self.assertIs(self.choose([]), self.pool.members[1])
        self.pool.members[0].figures.outstanding = 0

    def test_a_pool_without_servers_has_no_choice(self) -> None:
        self.start(servers=0)
        self.assertRaises(NoServer, self.choose, [])
        client = self.client()
        client.sends(GET)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:no-server")

    def test_by_hash_a_client_stays_at_its_server(self) -> None:
        self.start(servers=3, balance="hash")
        chosen = set()
        for number in range(30):
            address = Origin(f"192.0.2.{number}")
            first, again = (self.pool.choose([], REQUEST, address, "") for _ in range(2))
            self.assertIs(first, again)
            chosen.add(first)
        self.assertEqual(chosen, set(self.pool.members))

    def test_a_client_that_comes_back_with_its_cookie_goes_to_its_server(self) -> None:
        self.start(servers=3, sticky=Sticky("SRV"))
        client = self.client()
        client.sends(GET)
        self.servers[0].link().sends(OK)
        answer = client.takes()
        key = self.pool.members[0].key.encode()
        self.assertIn(b"Set-Cookie: SRV=" + key + b";", answer)
        for _ in range(3):
            client.sends(GET.replace(b"\r\n\r\n", b"\r\nCookie: SRV=" + key + b"\r\n\r\n"))
            (used,) = self.pool.links[self.pool.members[0]].busy
            used.transport.other.protocol.sends(OK)
            self.assertNotIn(b"Set-Cookie", client.takes())

    def test_whose_server_is_gone_is_told_of_another(self) -> None:
        self.start(servers=2, sticky=Sticky("SRV"))
        self.servers[0].behaviour = "refuse"
        client = self.client()
        key = self.pool.members[0].key.encode()
        client.sends(GET.replace(b"\r\n\r\n", b"\r\nCookie: SRV=" + key + b"\r\n\r\n"))
        self.servers[1].link().sends(OK)
        self.assertIn(b"Set-Cookie: SRV=" + self.pool.members[1].key.encode(), client.takes())


class OwnBalancer(BrokerCase):
    """A balancer of the operator's own may take its time, and may be wrong."""

    def begin(self, result: Any) -> Peer:
        self.start(servers=2)

        class Own:
            def choose(self, members: Any, origin: Origin, key: bytes, now: float) -> Any:
                return result(members)

        self.pool._choosing._balancer = Own()
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


class Waiting(BrokerCase):
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
        used.transport.other.protocol.sends(OK)
        self.settle()

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
        self.assertTrue(used.transport.other.protocol.takes().endswith(b"hi"))
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

    def test_a_server_taken_down_lets_those_who_wait_go_elsewhere_or_tells_them(self) -> None:
        self.begin(servers=1, maximum_transactions=1)
        self.asks()
        waits = self.asks()
        self.pool.set_server("10.0.0.1:80", "down")
        self.assertTrue(waits.takes().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.end, "choose:no-server")

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
        self.servers[0].behaviour = "refuse"
        self.answer(0)
        for client in clients[1:]:
            self.assertTrue(client.received.startswith(b"HTTP/1.1 502 "))


class Operated(BrokerCase):
    def test_a_server_that_is_down_gets_nobody_new(self) -> None:
        self.start(servers=2)
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        self.pool.set_server("10.0.0.1:80", "down")
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        for _ in range(3):
            client.sends(GET)
            (used,) = self.pool.links[self.pool.members[1]].busy
            used.transport.other.protocol.sends(OK)
            client.takes()
        self.pool.set_server("10.0.0.1:80", "up")
        self.assertEqual(self.pool.describe()["10.0.0.1:80"]["state"], "up")

    def test_a_server_that_drains_gets_those_only_who_are_stuck_to_it(self) -> None:
        self.start(servers=2, sticky=Sticky("SRV"))
        self.pool.set_server("10.0.0.1:80", "drain")
        chosen = {self.pool.choose([], REQUEST, Origin("a"), "") for _ in range(10)}
        self.assertEqual(chosen, {self.pool.members[1]})
        first = self.pool.members[0]
        self.assertIs(self.pool.choose([], REQUEST, Origin("a"), first.key), first)

    def test_a_weight(self) -> None:
        self.start(servers=2)
        self.pool.set_server("10.0.0.1:80", weight=3)
        chosen = [self.pool.choose([], REQUEST, Origin("a"), "") for _ in range(40)]
        self.assertEqual(chosen.count(self.pool.members[0]), 30)
        self.assertEqual(self.pool.describe()["10.0.0.1:80"]["weight"], 3)

    def test_what_cannot_be_is_refused_in_words(self) -> None:
        self.start(servers=1)
        for wrong in ({"state": "gone"}, {"weight": 0}, {"weight": 2.5}, {"weight": True}):
            error = self.assertRaises(ValueError, self.pool.set_server, "10.0.0.1:80", **wrong)
            self.assertIn("expected", str(error))
        self.assertRaises(KeyError, self.pool.set_server, "10.0.0.2:80", "up")
        self.assertRaises(KeyError, self.pool.clear_pin, "10.0.0.2:80")
