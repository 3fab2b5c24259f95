"""A client's connection: its time limits, its ends, and what a client may do to it."""

from __future__ import annotations

from sslbroker.settings import Limits

from ..memory import BrokerCase, Peer

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class TimeLimits(BrokerCase):
    """Each limit of R3, alone; the numbers are the defaults of `settings.Limits`."""

    def test_a_handshake_that_does_not_end_is_cut(self) -> None:
        self.start()
        client = Peer(self)
        self.clients.append(client)
        far = self.secure_factory().buildProtocol(None)
        self.network.connect(client, far, "192.0.2.9", 443)
        client.sends(b"\x16\x03\x01")
        self.wait(9.9)
        self.assertFalse(client.closed)
        self.wait(0.2)
        self.assertTrue(client.closed)
        self.assertEqual(self.frontends["secure"].figures.tls_failed, 1)

    def test_a_connection_that_says_nothing_is_closed_in_silence(self) -> None:
        for secure in (False, True):
            self.start()
            client = self.client(secure)
            self.wait(59)
            self.assertFalse(client.closed)
            self.wait(2)
            self.assertTrue(client.closed)
            self.assertEqual(client.takes(), b"")
            self.assertEqual(self.records.all, [])
            self.tearDown()
            self.setUp()

    def test_a_head_that_comes_byte_by_byte_ends_with_408(self) -> None:
        self.start()
        client = self.client()
        for byte in GET[:11]:
            client.sends(bytes([byte]))
            self.wait(0.95)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 408 "))
        self.assertTrue(client.closed)
        self.assertEqual(self.end, "frame:client-timeout")
        self.assertEqual(self.records.all[-1]["status"], 408)

    def test_a_body_that_stops_ends_with_408_and_its_try_with_it(self) -> None:
        self.start()
        client = self.client()
        client.sends(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        link = self.servers[0].link()
        link.takes()
        self.wait(29)
        client.sends(b"l")
        self.wait(59)
        self.assertFalse(client.closed)
        self.wait(2)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 408 "))
        self.assertTrue(link.closed)
        self.assertTrue(client.closed)
        self.assertEqual(self.end, "frame:client-timeout")

    def test_a_client_that_stops_reading_is_cut(self) -> None:
        self.start()
        client = self.client()
        client.stops_reading()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500000)
        self.wait(59)
        self.assertEqual(len(self.frontends["plain"].connections), 1)
        self.wait(2)
        self.assertEqual(len(self.frontends["plain"].connections), 0)
        self.assertTrue(link.closed)

    def test_a_client_that_reads_slowly_is_not_cut(self) -> None:
        self.start()
        client = self.client()
        client.stops_reading()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300000)
        for _ in range(6):
            self.wait(50)
            client.transport.resumeProducing()  # type: ignore[union-attr]
            client.transport.other.step()  # type: ignore[union-attr]
            client.stops_reading()
        client.reads_on()
        self.assertEqual(len(client.takes().partition(b"\r\n\r\n")[2]), 300000)
        self.assertEqual(self.end, "ok")

    def test_no_limit_of_the_clients_runs_while_the_server_thinks(self) -> None:
        self.start(limits=Limits(idle=1, head=1, read=1))
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        self.wait(20)
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_client_that_does_not_close_after_us_is_cut(self) -> None:
        for secure in (False, True):
            self.start()
            client = self.client(secure)
            client.stays = True
            client.sends(b"BAD\r\n\r\n")
            self.assertTrue(client.takes().startswith(b"HTTP/1.1 400 "))
            if secure:
                client.transport.transport.pauseProducing()  # type: ignore[union-attr]
            self.wait(11)
            self.assertEqual(self.frontends["plain"].connections, set())
            self.assertEqual(self.frontends["secure"].connections, set())
            self.tearDown()
            self.setUp()


class BadClients(BrokerCase):
    def test_what_is_no_request_gets_400_and_the_connection_ends(self) -> None:
        for secure in (False, True):
            self.start()
            client = self.client(secure)
            client.sends(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + GET)
            answer = client.takes()
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1)
            self.assertTrue(client.closed)
            record = self.records.all[-1]
            self.assertEqual((record["end"], record["status"]), ("frame:bad-request", 400))
            self.assertEqual([server.accepted for server in self.servers], [0, 0, 0])
            self.tearDown()
            self.setUp()

    def test_a_chunk_that_breaks_the_framing_ends_the_try_and_gets_400(self) -> None:
        self.start()
        client = self.client()
        client.sends(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        link = self.servers[0].link()
        link.takes()
        client.sends(b"zz\r\n")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 400 "))
        self.assertTrue(link.closed)
        self.assertFalse(link.takes().endswith(b"0\r\n\r\n"))
        self.assertEqual(self.end, "frame:bad-request")

    def test_connect_is_refused(self) -> None:
        self.start()
        client = self.client()
        client.sends(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 405 "))

    def test_a_client_that_goes_away_ends_its_try(self) -> None:
        for secure in (False, True):
            self.start()
            client = self.client(secure)
            client.sends(GET)
            link = self.servers[0].link()
            client.resets()
            self.assertTrue(link.closed)
            self.assertEqual(self.end, "relay:client-gone")
            self.assertEqual(self.tries(), [("1", "client-gone")])
            self.tearDown()
            self.setUp()

    def test_a_client_that_goes_away_while_a_link_is_made(self) -> None:
        self.start(servers=1)
        self.servers[0].behaviour = "silent"
        client = self.client()
        client.sends(GET)
        client.resets()
        self.assertEqual(self.end, "relay:client-gone")
        self.servers[0].behaviour = "accept"
        self.settle()
        self.assertEqual(len(self.pool.links[self.pool.members[0]].idle), 1)

    def test_too_many_connections_are_refused(self) -> None:
        for secure in (False, True):
            self.start(limits=Limits(connections=2))
            self.client(secure)
            self.client(secure)
            self.assertIsNotNone(self.client(secure).lost)
            self.assertEqual(self.frontends["secure" if secure else "plain"].figures.refused, 1)
            self.tearDown()
            self.setUp()

    def test_endless_pipelining_is_not_read(self) -> None:
        self.start()
        client = self.client()
        for _ in range(40):
            client.sends(GET * 300)
        self.assertGreater(len(client.transport.out), 100_000)  # type: ignore[union-attr]

    def test_a_response_before_the_request_has_ended_closes_the_connection(self) -> None:
        self.start()
        client = self.client()
        client.sends(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n" + b"x" * 1000)
        link = self.servers[0].link()
        link.takes()
        link.sends(b"HTTP/1.1 413 Big\r\nContent-Length: 3\r\n\r\nbig")
        self.assertTrue(client.takes().endswith(b"big"))
        self.assertTrue(client.closed)
        self.assertTrue(link.closed)


class Ends(BrokerCase):
    def test_a_client_that_half_closes_gets_its_answer(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        client.half_closes()
        link = self.servers[0].link()
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertTrue(client.closed)

    def test_a_body_cut_short_by_a_half_close_is_refused(self) -> None:
        self.start()
        client = self.client()
        client.sends(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        link = self.servers[0].link()
        client.half_closes()
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 400 "))
        self.assertTrue(link.closed)

    def test_connection_close_is_kept(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        link = self.servers[0].link()
        self.assertNotIn(b"Connection", link.takes())
        link.sends(OK)
        self.assertIn(b"\r\nConnection: close\r\n", client.takes())
        self.assertTrue(client.closed)
        self.assertFalse(link.closed)

    def test_http_1_0_is_closed_and_never_chunked(self) -> None:
        self.start()
        client = self.client()
        client.sends(b"GET / HTTP/1.0\r\n\r\n")
        link = self.servers[0].link()
        self.assertIn(b"HTTP/1.1\r\nHost: 10.0.0.1\r\n", link.takes())
        link.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        answer = client.takes()
        self.assertNotIn(b"chunked", answer)
        self.assertTrue(answer.endswith(b"\r\n\r\nok"))
        self.assertTrue(client.closed)

    def test_a_draining_listener_serves_what_is_under_way_and_closes(self) -> None:
        self.start()
        busy, idle = self.client(), self.client()
        busy.sends(GET)
        link = self.servers[0].link()
        empty = self.frontends["plain"].drain()
        self.settle()
        self.assertFalse(idle.closed)
        link.sends(OK)
        self.assertIn(b"\r\nConnection: close\r\n", busy.takes())
        self.assertTrue(busy.closed)
        self.assertNoResult(empty)
        idle.sends(GET)
        self.servers[1].link().sends(OK)
        self.assertIn(b"\r\nConnection: close\r\n", idle.takes())
        self.successResultOf(empty)

    def test_at_the_drains_deadline_everything_ends(self) -> None:
        self.start()
        busy, idle, secure = self.client(), self.client(), self.client(secure=True)
        busy.sends(GET)
        link = self.servers[0].link()
        for frontend in self.broker.frontends:
            frontend.drain()
            frontend.shut()
        self.assertTrue(busy.closed)
        self.assertTrue(idle.closed)
        self.assertTrue(secure.closed)
        self.assertTrue(link.closed)
        self.assertEqual(self.end, "relay:shutdown")
