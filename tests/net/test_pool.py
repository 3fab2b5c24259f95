"""A pool chooses among its members, and does what an operator says."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from sslbroker.core.attempt import Attempt
from sslbroker.core.figures import OPEN, PACED
from sslbroker.errors import NoServer
from sslbroker.interfaces import Origin
from sslbroker.protocols.http.message import NONE, Request
from sslbroker.settings import Failover, Group, Sticky

from ..memory import BrokerCase, other_end

REQUEST = Request(b"GET", b"/", 1, [], b"a", NONE, 0)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
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
            other_end(used.transport).protocol.sends(OK)
            self.assertNotIn(b"Set-Cookie", client.takes())

    def test_whose_server_is_gone_is_told_of_another(self) -> None:
        self.start(servers=2, sticky=Sticky("SRV"))
        self.servers[0].behaviour = "refuse"
        client = self.client()
        key = self.pool.members[0].key.encode()
        client.sends(GET.replace(b"\r\n\r\n", b"\r\nCookie: SRV=" + key + b"\r\n\r\n"))
        self.servers[1].link().sends(OK)
        self.assertIn(b"Set-Cookie: SRV=" + self.pool.members[1].key.encode(), client.takes())

    def test_beside_a_try_that_takes_long_another_server_is_chosen_or_none(self) -> None:
        self.start(servers=2)
        one, other = self.pool.members
        first, second = Attempt(one, 0.0), Attempt(other, 0.0)
        self.assertIs(self.pool.choose_beside([first], REQUEST, Origin("a")), other)
        self.assertIsNone(self.pool.choose_beside([first, second], REQUEST, Origin("a")))

    def test_by_hash_it_is_the_next_for_that_client(self) -> None:
        self.start(servers=3, balance="hash")
        first = Attempt(self.choose([]), 0.0)
        self.assertIs(self.pool.choose_beside([first], REQUEST, Origin("192.0.2.1")), self.choose([first]))

    def test_a_balancer_that_takes_its_time_is_not_waited_for(self) -> None:
        self.start(servers=2)
        slow: Deferred[Any] = Deferred()

        class Thinks:
            def choose(self, members: Any, origin: Origin, key: bytes, now: float) -> Any:
                return slow

        self.pool._choosing._balancer = Thinks()
        self.assertIsNone(self.pool.choose_beside([], REQUEST, Origin("a")))
        self.assertTrue(slow.called)

    def test_where_second_tries_are_made_no_transaction_is_a_fast_one(self) -> None:
        for hedge in (False, True):
            self.start(failover=Failover(hedge=hedge))
            self.assertIs(self.pool.takes_fast_path, not hedge)
            self.tearDown()
            self.setUp()


class Figures(BrokerCase):
    def test_who_serves_nobody_writes_no_figures_and_tells_nothing_of_pacing(self) -> None:
        self.start(servers=1, groups=(Group("gold", (), 5),))
        (server,) = self.pool.figures.servers
        self.pool.start()  # as the parent of workers does, whose sums these are
        for held_back in range(1, 9):
            self.pool.figures.plain_share, self.pool.figures.held_back = 0.5, held_back
            server.window, server.pacing = 8, PACED
            with capturedLogs() as lines:
                self.clock.advance(0.25)
            self.assertEqual((self.pool.figures.plain_share, server.window, server.pacing), (0.5, 8, PACED))
            self.assertEqual(lines, [])
        self.pool.pace()  # as who serves does
        self.clock.advance(0.25)
        self.assertEqual((self.pool.figures.plain_share, server.window, server.pacing), (1.0, 0, OPEN))
        self.pool.close()


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
            other_end(used.transport).protocol.sends(OK)
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


class Health(BrokerCase):
    def test_an_unhealthy_server_is_barred_until_it_is_healthy_again(self) -> None:
        self.start(servers=2)
        one, other = self.pool.members
        self.pool.set_health(one.address, "/up: status 503")
        self.assertEqual(self.pool.describe()[one.address]["bars"], {"unhealthy": "/up: status 503"})
        client = self.client()
        client.sends(GET)
        self.servers[1].link().sends(OK)
        self.assertEqual(self.tries(), [("2", "ok")])
        self.pool.set_health(one.address, "")
        self.pool.set_health(other.address, "")  # says nothing new
        self.assertEqual((one.bars, other.bars), ({}, {}))
        self.assertRaises(KeyError, self.pool.set_health, "nowhere:1", "")
