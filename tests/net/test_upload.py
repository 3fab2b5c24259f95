"""The request's side: bodies on their way to a server, again to the next one, or held back."""

from __future__ import annotations

from sslbroker.net.link import Link
from sslbroker.settings import Failover, Limits, Storage

from ..memory import BrokerCase

POST = b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"
PUT = POST.replace(b"POST", b"PUT")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class GoAhead(BrokerCase):
    HEAD = b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

    def test_the_servers_go_ahead_reaches_the_client_and_releases_the_body(self) -> None:
        self.start()
        client = self.client()
        client.sends(self.HEAD)
        link = self.servers[0].link()
        self.assertIn(b"Expect: 100-continue", link.takes())
        link.sends(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 100 Continue\r\n"))
        client.sends(b"hello")
        self.assertEqual(link.takes(), b"hello")
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_body_that_does_not_wait_is_held_until_the_go_ahead(self) -> None:
        self.start()
        client = self.client()
        client.sends(self.HEAD + b"hello")
        link = self.servers[0].link()
        self.assertTrue(link.takes().endswith(b"\r\n\r\n"))
        link.sends(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(link.takes(), b"hello")
        link.sends(OK)

    def test_a_server_that_ignores_the_expectation_gets_the_body_after_a_second(self) -> None:
        self.start()
        client = self.client()
        client.sends(self.HEAD + b"hello")
        link = self.servers[0].link()
        link.takes()
        self.wait(0.9)
        self.assertEqual(link.takes(), b"")
        self.wait(0.2)
        self.assertEqual(link.takes(), b"hello")
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_final_status_instead_means_the_body_is_never_sent(self) -> None:
        self.start()
        client = self.client()
        client.sends(self.HEAD + b"hel")
        link = self.servers[0].link()
        link.takes()
        link.sends(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        self.wait(2)
        self.assertEqual(link.takes(), b"")
        self.assertTrue(link.closed)
        self.assertIn(b"HTTP/1.1 403 No", client.takes())
        self.assertTrue(client.closed)

    def test_the_client_sees_one_100_though_two_servers_said_it(self) -> None:
        self.start()
        client = self.client()
        client.sends(self.HEAD)
        first = self.servers[0].link()
        first.sends(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sends(b"hello")
        first.resets()
        second = self.servers[1].link()
        second.sends(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertTrue(second.takes().endswith(b"\r\n\r\nhello"))
        second.sends(OK)
        answer = client.takes()
        self.assertEqual(answer.count(b"100 Continue"), 1)
        self.assertTrue(answer.endswith(b"ok"))

    def test_a_refused_body_may_still_come_and_is_nobodys(self) -> None:
        self.start(storage=Storage(per_transaction=1000))
        client = self.client()
        client.sends(self.HEAD.replace(b": 5", b": 9000") + b"x" * 2000)
        link = self.servers[0].link()
        link.takes()
        self.assertEqual(self.broker.storage.used, 2000)
        link.sends(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nn")
        self.assertEqual(self.broker.storage.used, 0)
        client.sends(b"x" * 7000)
        link.sends(b"o")
        self.assertTrue(client.takes().endswith(b"\r\n\r\nno"))
        self.assertEqual((self.end, self.records.all[-1]["bytes_in"]), ("ok", 9000))
        client.sends(POST)
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_server_that_refuses_the_body_and_then_stalls_is_silent(self) -> None:
        for body in (b"", b"hel", b"hello"):
            self.start(failover=Failover(response_timeout=5.0))
            client = self.client()
            client.sends(self.HEAD + body)
            link = self.servers[0].link()
            link.sends(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nn")
            self.wait(5.5)
            self.assertTrue(client.closed)
            self.assertEqual(self.end, "relay:silent")
            self.tearDown()
            self.setUp()

    def test_a_client_that_rightly_sends_no_body_reads_its_answer_to_the_end(self) -> None:
        self.start(limits=Limits(idle=5.0))
        client = self.client()
        client.sends(self.HEAD)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            link.sends(b"x")
            self.wait(4)
        self.assertTrue(client.takes().endswith(b"xxxxx"))
        self.assertEqual(self.end, "ok")

    def test_the_wait_for_the_go_ahead_is_not_the_servers_silence(self) -> None:
        self.start(failover=Failover(response_timeout=0.3))
        client = self.client()
        client.sends(self.HEAD + b"hello")
        link = self.servers[0].link()
        link.takes()
        self.wait(1.1)
        self.assertEqual(link.takes(), b"hello")
        link.sends(OK)
        self.assertEqual(self.tries(), [("1", "ok")])


class Uploads(BrokerCase):
    def test_what_one_read_brought_leaves_in_one_write(self) -> None:
        self.start(servers=1, failover=Failover(reuse_for_unsafe=True))
        client = self.client()
        client.sends(PUT)
        link = self.servers[0].link()
        link.takes()
        link.sends(OK)
        written: list[bytes] = []
        self.patch(Link, "write", lambda _, data: written.append(data))
        client.sends(PUT)
        self.assertEqual(len(written), 1)
        self.assertTrue(written[0].endswith(b"\r\n\r\nhello"))

    def test_what_is_wrong_in_its_first_read_no_server_sees(self) -> None:
        self.start()
        client = self.client()
        client.sends(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 400 "))
        self.assertTrue(client.closed)
        self.assertEqual(self.tries(), [])

    def test_an_upload_under_way_moves_to_the_next_server(self) -> None:
        self.start()
        client = self.client()
        client.sends(PUT[:-3])
        first = self.servers[0].link()
        first.takes()
        first.resets()
        second = self.servers[1].link()
        self.assertTrue(second.takes().endswith(b"\r\n\r\nhe"))
        client.sends(PUT[-3:])
        self.assertEqual(second.takes(), b"llo")
        second.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_body_larger_than_its_share_streams_and_is_not_replayed(self) -> None:
        self.start(storage=Storage(per_transaction=1000))
        client = self.client()
        client.sends(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n" + b"x" * 2000)
        link = self.servers[0].link()
        link.takes()
        link.resets()
        self.assertIn(b"HTTP/1.1 502 ", client.takes())
        self.assertEqual(self.records.all[-1]["tries"][0]["next"], "too-large")
        self.assertEqual(self.servers[1].accepted, 0)

    def test_an_answer_before_the_end_of_the_request_took_no_negative_time(self) -> None:
        self.start()
        client = self.client()
        client.sends(PUT[:-3])
        link = self.servers[0].link()
        self.wait(1)
        link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
        self.wait(2)
        client.sends(PUT[-3:])
        self.assertEqual(link.takes()[-3:], b"llo")
        link.sends(b"ok")
        self.assertAlmostEqual(self.pool.members[0].figures.server_times.sum, 1.0)

    def test_an_upload_measures_its_server_from_when_it_is_whole(self) -> None:
        self.start(1)
        client = self.client()
        client.sends(POST[:-1])
        member = self.pool.members[0]
        self.wait(7)
        self.assertEqual(member.oldest(self.clock.seconds()), 0.0)
        client.sends(POST[-1:])
        self.wait(3)
        self.assertEqual(member.oldest(self.clock.seconds()), 3.0)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(member.response_time(self.clock.seconds()), 3.0)

    def test_a_client_may_pause_its_upload_while_it_is_answered(self) -> None:
        self.start(limits=Limits(idle=5.0))
        client = self.client()
        client.sends(PUT[:-3])
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            link.sends(b"1\r\nx\r\n")
            self.wait(4)
        self.assertFalse(client.closed)
        self.wait(6)
        self.assertTrue(client.closed)
        self.assertEqual(self.end, "frame:client-timeout")

    def test_the_time_in_which_the_server_does_not_read_is_not_the_clients(self) -> None:
        self.start(servers=1, limits=Limits(idle=5.0), failover=Failover(response_timeout=20.0))
        self.servers[0].behaviour = "silent"
        self.servers[0].starts_deaf = True
        client = self.client()
        client.sends(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n" + b"x" * 200000)
        self.servers[0].behaviour = "accept"
        link = self.servers[0].link()
        self.wait(15)
        link.reads_on()
        client.sends(b"x" * 200000)
        link.sends(OK)
        self.assertEqual(self.end, "ok")


class Backpressure(BrokerCase):
    def test_a_server_that_does_not_read_pauses_its_client(self) -> None:
        self.start()
        client = self.client()
        client.sends(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
        link = self.servers[0].link()
        link.stops_reading()
        for _ in range(100):
            client.sends(b"x" * 100000)
        self.assertGreater(len(client.transport.out), 9_000_000)  # type: ignore[union-attr]
        link.reads_on()
        self.assertEqual(len(link.takes().partition(b"\r\n\r\n")[2]), 10_000_000)
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_client_is_paused_while_no_link_is_ready(self) -> None:
        self.start(servers=1)
        self.servers[0].behaviour = "silent"
        client = self.client()
        client.sends(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
        client.sends(b"x" * 5000000)
        self.assertGreater(len(client.transport.out), 3_000_000)  # type: ignore[union-attr]
        self.assertLess(self.broker.storage.used, 1_200_000)
        self.servers[0].behaviour = "accept"
        link = self.servers[0].link()
        self.assertEqual(len(link.takes().partition(b"\r\n\r\n")[2]), 5_000_000)
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_clients_wait_while_the_storage_is_full_and_go_on_when_it_is_not(self) -> None:
        self.start(servers=1, storage=Storage(100_000, 1000, 100_000, per_transaction=90_000))
        self.servers[0].behaviour = "silent"
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"
        clients = [self.client() for _ in range(3)]
        for client in clients:
            client.sends(head)
        for client in clients:
            client.sends(b"x" * 200_000)
        self.assertLess(self.broker.storage.used, 100_000 + 3 * 65536)
        self.servers[0].behaviour = "accept"
        for client in clients:
            link = self.servers[0].link()
            self.assertEqual(len(link.takes().partition(b"\r\n\r\n")[2]), 200_000)
            link.sends(OK)
            self.assertTrue(client.takes().endswith(b"ok"))

    def test_the_last_words_of_a_client_go_into_a_tunnel_that_is_full(self) -> None:
        self.start(servers=1)
        client = self.client(secure=True)
        client.sends(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 101 Ok\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        link.takes()
        link.stops_reading()
        client.transport.write(b"x" * 100_000)  # type: ignore[union-attr]
        client.closes()
        self.wait(20)
        link.reads_on()
        self.assertEqual(len(link.takes()), 100_000)
        self.assertTrue(link.closed)
