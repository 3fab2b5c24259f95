"""What becomes of a link, and what its end means for the try on it."""

from __future__ import annotations

from sslbroker.net.link import Link
from sslbroker.settings import Failover

from ..memory import BrokerCase

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class GoingBack(BrokerCase):
    """R8: a link goes back only when both messages ended exactly and nobody said close."""

    def idle(self) -> list[Link]:
        self.settle()
        return [link for links in self.pool.links.values() for link in links.idle]

    def after(self, answer: bytes, request: bytes = GET) -> int:
        self.start(servers=1)
        self.client().sends(request)
        self.servers[0].link().sends(answer)
        kept = len(self.idle())
        self.tearDown()
        self.setUp()
        return kept

    def test_after_an_exact_answer(self) -> None:
        self.assertEqual(self.after(OK), 1)

    def test_not_after_close(self) -> None:
        self.assertEqual(self.after(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")), 0)

    def test_not_after_a_1_0_answer(self) -> None:
        self.assertEqual(self.after(OK.replace(b"1.1", b"1.0")), 0)

    def test_not_with_bytes_left_unread(self) -> None:
        self.assertEqual(self.after(OK + b"\r\n"), 0)

    def test_not_when_the_answer_came_before_the_request_was_sent(self) -> None:
        post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhe"
        self.assertEqual(self.after(OK, post), 0)

    def test_not_while_a_part_of_the_request_has_not_left(self) -> None:
        self.start(servers=1, failover=Failover(reuse_for_unsafe=True))
        self.servers[0].behaviour = "silent"
        client = self.client()
        client.sends(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 120000\r\n\r\n" + b"x" * 120000)
        self.servers[0].behaviour = "accept"
        self.servers[0].starts_deaf = True
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.idle(), [])

    def test_not_once_the_server_has_closed_it(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.sends(GET)
        self.servers[0].link().sends(OK)
        (link,) = self.idle()
        # In one turn of the reactor: the server's end, and a client's next request.
        link.readConnectionLost()
        client.sends(GET)
        self.servers[0].link().sends(OK)
        self.assertEqual(self.tries(), [("1", "ok")])

    def test_after_a_failing_answer_that_ended_exactly(self) -> None:
        self.assertEqual(self.after(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), 1)

    def test_not_after_one_of_which_something_is_missing(self) -> None:
        self.assertEqual(self.after(b"HTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\n"), 0)

    def test_a_stale_link_is_told_from_an_empty_answer(self) -> None:
        self.start(servers=1, failover=Failover(tries=2))
        client = self.client()
        client.sends(GET)
        first = self.servers[0].link()
        first.sends(OK)
        client.takes()
        self.closes_while_asked(first, client, GET)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "stale"), ("1", "ok")])


class Silence(BrokerCase):
    def test_a_slow_client_is_not_the_servers_silence(self) -> None:
        self.start(failover=Failover(response_timeout=1.0))
        client = self.client()
        client.sends(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        link = self.servers[0].link()
        self.wait(20)
        client.sends(b"llo")
        self.assertTrue(link.takes().endswith(b"hello"))
        self.wait(0.9)
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_client_that_reads_slowly_is_not_the_servers_silence(self) -> None:
        self.start(failover=Failover(response_timeout=1.0))
        client = self.client()
        client.stops_reading()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300000)
        self.wait(20)
        client.reads_on()
        self.assertEqual(self.end, "ok")

    def test_a_server_that_does_not_take_the_request_is_silent(self) -> None:
        self.start(failover=Failover(response_timeout=1.0, tries=2))
        client = self.client()
        client.sends(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n")
        link = self.servers[0].link()
        link.stops_reading()
        client.sends(b"x" * 400000)
        self.wait(1.5)
        second = self.servers[1].link()
        self.assertGreater(len(second.takes()), 100_000)
        client.sends(b"x" * 500000)
        second.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "silent"), ("2", "ok")])

    def test_a_head_that_comes_byte_by_byte_is_silence(self) -> None:
        self.start(failover=Failover(response_timeout=1.0, tries=2))
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        for byte in OK[:6]:
            self.wait(0.19)
            link.sends(bytes([byte]))
        self.assertTrue(link.closed)
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "silent"), ("2", "ok")])

    def test_a_body_that_comes_byte_by_byte_is_not(self) -> None:
        self.start(failover=Failover(response_timeout=1.0))
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            self.wait(0.9)
            link.sends(b"x")
        self.assertTrue(client.takes().endswith(b"x" * 20))

    def test_no_timer_of_the_link_runs_in_a_tunnel(self) -> None:
        self.start(failover=Failover(response_timeout=1.0))
        client = self.client()
        client.sends(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 101 Ok\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        self.wait(30)
        self.assertFalse(client.closed)
        self.assertFalse(link.closed)
