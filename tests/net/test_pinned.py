"""What protocols of one's own may ask of the broker: pinned links, own answers, times, proofs."""

from __future__ import annotations

from sslbroker.settings import Failover, Limits

from ..memory import BrokerCase, Peer
from .lines import Lines


class LinesCase(BrokerCase):
    def begin(self, secure: bool = False, servers: int = 3, **settings: object) -> Peer:
        self.start(servers, protocol="lines", protocols=[Lines()], **settings)  # type: ignore[arg-type]
        return self.client(secure)

    def asks(self, client: Peer, line: bytes, link: Peer, answer: bytes = b"yes") -> bytes:
        client.sends(line + b"\n")
        self.assertEqual(link.takes(), line + b"\n")
        link.sends(answer + b"\n")
        return client.takes()


class Pinned(LinesCase):
    def pin(self) -> tuple[Peer, Peer]:
        client = self.begin()
        client.sends(b"pin\n")
        link = self.servers[0].link()
        link.sends(b"pinned\n")
        self.assertEqual((link.takes(), client.takes()), (b"pin\n", b"pinned\n"))
        return client, link

    def test_the_same_link_serves_the_client_and_nobody_else(self) -> None:
        client, link = self.pin()
        other = self.client()
        other.sends(b"read\n")
        other_link = self.servers[1].link()
        self.assertEqual(self.asks(client, b"read", link), b"yes\n")
        self.assertEqual(self.asks(client, b"write", link), b"yes\n")
        other_link.sends(b"other\n")
        self.assertEqual(other.takes(), b"other\n")
        self.assertEqual(sum(server.accepted for server in self.servers), 2)

    def test_a_link_that_is_no_longer_pinned_serves_others(self) -> None:
        client, link = self.pin()
        self.asks(client, b"unpin", link)
        self.assertEqual(self.pool.members[0].figures.links_idle, 1)
        other = self.client()
        for _ in range(3):
            other.sends(b"read\n")
            self.settle()
            if link.takes():
                break
            busy = next(server for server in self.servers if server.links)
            busy.link().sends(b"no\n")
        else:
            self.fail("the link was not used again")
        link.sends(b"free\n")
        self.assertTrue(other.takes().endswith(b"free\n"))

    def test_a_server_that_leaves_while_nothing_is_asked_ends_the_client(self) -> None:
        for ends in (Peer.closes, Peer.resets):
            client, link = self.pin()
            ends(link)
            self.assertTrue(client.closed)
            self.tearDown()

    def test_a_byte_that_nobody_asked_for_ends_both(self) -> None:
        client, link = self.pin()
        link.sends(b"!")
        self.assertTrue(client.closed)
        self.assertTrue(link.closed)

    def test_a_link_that_breaks_in_an_exchange_is_not_replaced(self) -> None:
        client, link = self.pin()
        client.sends(b"read\n")
        link.resets()
        self.assertEqual(client.takes(), b"!sorry\n")
        self.assertTrue(client.closed)
        self.assertEqual([server.accepted for server in self.servers], [1, 0, 0])
        self.assertEqual(self.records.all[-1]["tries"][0]["next"], "pinned")

    def test_what_was_pipelined_behind_it_is_not_done(self) -> None:
        client, link = self.pin()
        client.sends(b"read\nwrite\n")
        link.resets()
        self.assertEqual(client.takes(), b"!sorry\n")
        self.assertTrue(client.closed)
        self.assertEqual(len(self.records.all), 2)

    def test_an_answer_after_which_the_link_ends_is_the_clients_last(self) -> None:
        client, link = self.pin()
        self.assertEqual(self.asks(client, b"quit", link, b"!bye"), b"!bye\n")
        self.assertTrue(client.closed)

    def test_a_failing_answer_is_passed_on(self) -> None:
        client, link = self.pin()
        self.assertEqual(self.asks(client, b"read", link, b"!busy"), b"!busy\n")
        self.assertFalse(client.closed)
        self.assertEqual(self.asks(client, b"read", link), b"yes\n")

    def test_a_silent_server_ends_the_client(self) -> None:
        client, _ = self.pin()
        client.sends(b"read\n")
        self.wait(31)
        self.assertEqual(client.takes(), b"!sorry\n")
        self.assertTrue(client.closed)

    def test_the_clients_end_is_the_links(self) -> None:
        for ends in (Peer.closes, Peer.resets):
            client, link = self.pin()
            ends(client)
            self.assertTrue(link.closed)
            self.tearDown()

    def test_an_idle_client_is_ended_with_its_link(self) -> None:
        client, link = self.pin()
        self.wait(61)
        self.assertTrue(client.closed)
        self.assertTrue(link.closed)

    def test_a_client_that_leaves_in_an_exchange_leaves_no_link(self) -> None:
        client, link = self.pin()
        client.sends(b"write\n")
        client.resets()
        self.assertTrue(link.closed)

    def test_an_operator_who_makes_links_secure_does_not_break_a_pinned_one(self) -> None:
        client, link = self.pin()
        self.pool.set_link_mode(True)
        self.assertEqual(self.asks(client, b"read", link), b"yes\n")
        self.asks(client, b"unpin", link)
        self.assertTrue(link.closed)

    def test_a_server_that_is_taken_down_keeps_its_pinned_clients(self) -> None:
        client, link = self.pin()
        self.pool.set_server("10.0.0.1:80", "down")
        self.assertEqual(self.asks(client, b"read", link), b"yes\n")

    def test_a_pinned_client_waits_for_no_place(self) -> None:
        """Others may have the places and wait for what it holds at the server: its next word frees them."""
        client = self.begin(servers=1, limits_of_servers={"maximum_transactions": 1, "maximum_links": 2})
        client.sends(b"pin\n")
        link = self.servers[0].link()
        link.sends(b"pinned\n")
        others = [self.client(), self.client()]
        for other in others:
            other.sends(b"read\n")
        self.assertEqual(self.pool.figures.queued, 1)
        self.assertEqual(client.takes(), b"pinned\n")
        link.takes()
        self.assertEqual(self.asks(client, b"write", link), b"yes\n")
        self.assertEqual(self.pool.figures.queued, 1)
        second = self.servers[0].link()
        for _ in others:
            second.sends(b"yes\n")
        self.assertEqual([other.takes() for other in others], [b"yes\n"] * 2)

    def test_a_stop_ends_a_pinned_client_at_the_deadline(self) -> None:
        client, link = self.pin()
        self.frontends["plain"].drain()
        self.assertEqual(self.asks(client, b"read", link), b"yes\n")
        self.frontends["plain"].shut()
        self.assertTrue(client.closed)
        self.assertTrue(link.closed)

    def test_over_tls(self) -> None:
        client = self.begin(secure=True)
        client.sends(b"pin\n")
        link = self.servers[0].link()
        link.takes()
        link.sends(b"ok\n")
        self.assertEqual(client.takes(), b"ok\n")
        client.closes()
        self.assertTrue(link.closed)


class OwnAnswers(LinesCase):
    def test_no_server_is_asked(self) -> None:
        client = self.begin()
        client.sends(b"own\nown\n")
        self.assertEqual(client.takes(), b"myself\nmyself\n")
        self.assertEqual([server.accepted for server in self.servers], [0, 0, 0])
        self.assertEqual(self.end, "ok")
        record = self.records.all[-1]
        self.assertEqual((record["server"], record["tries"]), (None, []))

    def test_not_even_when_there_is_none(self) -> None:
        client = self.begin(servers=1)
        self.pool.set_server("10.0.0.1:80", "down")
        client.sends(b"own\nread\n")
        self.assertEqual(client.takes(), b"myself\n!sorry\n")
        self.assertEqual(self.end, "choose:no-server")
        self.assertIn("by the operator", str(self.pool.describe()))

    def test_thousands_are_no_recursion(self) -> None:
        client = self.begin()
        client.sends(b"own\n" * 5000)
        self.assertEqual(client.takes(), b"myself\n" * 5000)


class AnswerTimes(LinesCase):
    def test_a_request_may_have_more_time_than_others(self) -> None:
        client = self.begin(failover=Failover(response_timeout=1.0))
        client.sends(b"slow 100\n")
        link = self.servers[0].link()
        self.wait(99)
        link.sends(b"done\n")
        self.assertEqual(client.takes(), b"done\n")

    def test_which_has_an_end(self) -> None:
        client = self.begin(failover=Failover(response_timeout=1.0))
        client.sends(b"slow 100\n")
        self.wait(101)
        self.assertEqual(client.takes(), b"!sorry\n")
        self.assertEqual(self.end, "watch:silent")

    def test_or_none(self) -> None:
        client = self.begin(failover=Failover(response_timeout=1.0), limits=Limits(idle=5.0))
        client.sends(b"slow 0\n")
        link = self.servers[0].link()
        self.wait(10_000)
        link.sends(b"done\n")
        self.assertEqual(client.takes(), b"done\n")


class Proofs(LinesCase):
    def test_what_a_server_did_not_do_another_may(self) -> None:
        client = self.begin()
        client.sends(b"write\n")
        self.servers[0].link().sends(b"!untouched\n")
        second = self.servers[1].link()
        self.assertEqual(second.takes(), b"write\n")
        second.sends(b"done\n")
        self.assertEqual(client.takes(), b"done\n")
        self.assertEqual(self.records.all[-1]["tries"][0]["next"], "nothing-done")

    def test_what_it_may_have_done_must_not(self) -> None:
        client = self.begin()
        client.sends(b"write\n")
        self.servers[0].link().sends(b"!busy\n")
        self.assertEqual(client.takes(), b"!busy\n")
        self.assertEqual(self.records.all[-1]["tries"][0]["next"], "method")

    def test_when_nobody_does_it_the_last_answer_counts(self) -> None:
        client = self.begin()
        client.sends(b"write\n")
        for server in self.servers:
            server.link().sends(b"!untouched\n")
        self.assertEqual(client.takes(), b"!untouched\n")
