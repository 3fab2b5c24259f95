"""A client's connection: its time limits, its ends, and what a client may do to it."""

from __future__ import annotations

from sslbroker.settings import Limits

from ..memory import TRANSPORT, BrokerCase, Peer

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

    def test_each_head_of_a_pipeline_has_its_own_time(self) -> None:
        self.start()
        client = self.client()
        refused = b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 test-broker, 1.1 test-broker\r\n\r\n"
        client.sends(refused[:9])
        for _ in range(3):
            self.wait(8)
            client.sends(refused[9:] + refused[:9])
        self.assertEqual(client.takes().count(b"HTTP/1.1 508 "), 3)
        self.wait(11)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 408 "))

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
            self.assertEqual(self.end, "watch:client-gone")
            self.assertEqual(self.tries(), [("1", "client-gone")])
            self.tearDown()
            self.setUp()

    def test_a_client_that_goes_away_while_a_link_is_made(self) -> None:
        self.start(servers=1)
        self.servers[0].behaviour = "silent"
        client = self.client()
        client.sends(GET)
        client.resets()
        self.assertEqual(self.end, "link:client-gone")
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

    def test_who_takes_no_answers_gets_no_more_of_them(self) -> None:
        refused = b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 test-broker, 1.1 test-broker\r\n\r\n"
        for secure in (False, True):
            self.start()
            client = self.client(secure)
            client.stops_reading()
            for _ in range(20):
                client.sends(refused * 500)
            written = self.network.ends[-1].out
            self.assertLess(len(written), 250_000)
            client.reads_on()
            self.assertEqual(client.takes().count(b"HTTP/1.1 508 "), 10_000)
            self.assertEqual(self.frontends["secure" if secure else "plain"].figures.transactions, 10_000)
            self.tearDown()
            self.setUp()

    def test_who_takes_no_answer_is_not_served_the_next_request(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        for secure in (False, True):
            self.start(servers=1)
            client = self.client(secure)
            client.stops_reading()
            client.sends(GET + GET.replace(b"/a", b"/b"))
            link = self.servers[0].link()
            link.takes()
            link.sends(head % 65_494 + b"x" * 65_494)  # is whole as it fills the client's transport
            self.assertEqual(self.end, "ok")
            self.assertEqual(link.takes(), b"")
            client.reads_on()
            self.assertTrue(link.takes().startswith(b"GET /b"))
            client.stops_reading()
            link.sends(head % 2_000_000 + b"x" * 2_000_000)
            self.assertLess(len(self.network.ends[1].out), 250_000)
            self.assertGreater(len(link.transport.out), 1_000_000)  # type: ignore[union-attr]
            client.reads_on()
            self.assertEqual(client.takes().count(b"x"), 2_065_494)
            self.tearDown()
            self.setUp()

    def test_clients_of_all_listeners_share_the_open_files(self) -> None:
        self.start()
        self.broker.room = 2
        self.client()
        first = self.client(secure=True)
        self.assertIsNotNone(self.client().lost)
        self.assertIsNotNone(self.client(secure=True).lost)
        first.resets()
        self.assertIsNone(self.client().lost)

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

    def test_a_client_that_half_closes_gets_the_answers_to_all_it_has_asked(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.stays = True
        client.sends(GET + GET)
        client.half_closes()
        link = self.servers[0].link()
        link.sends(OK)
        self.assertEqual(client.takes().count(b"\r\n\r\nok"), 1)
        self.assertFalse(client.ended)
        link.sends(OK)
        self.assertEqual(client.takes().count(b"\r\n\r\nok"), 1)
        self.assertTrue(client.ended)

    def test_a_client_that_says_close_notify_gets_the_answers_to_all_it_has_asked(self) -> None:
        self.start(servers=1)
        client = self.client(secure=True)
        client.sends(GET + GET)
        client.closes()
        if TRANSPORT == "stock":  # which cannot
            self.assertEqual(self.end, "watch:client-gone")
            return
        link = self.servers[0].link()
        for _ in range(2):
            self.assertIsNone(client.lost)
            link.sends(OK)
            self.assertEqual(client.takes().count(b"\r\n\r\nok"), 1)
        self.assertTrue(client.closed)
        self.assertEqual(self.end, "ok")

    def test_half_a_request_after_a_whole_one_is_refused_at_the_end(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.sends(GET + GET[:9])
        client.half_closes()
        self.servers[0].link().sends(OK)
        answers = client.takes()
        self.assertEqual((answers.count(b"\r\n\r\nok"), answers.count(b"HTTP/1.1 400 ")), (1, 1))
        self.assertTrue(client.closed)

    def test_a_client_that_half_closes_and_reads_slowly_gets_everything(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.stops_reading()
        client.sends(GET + GET)
        client.half_closes()
        link = self.servers[0].link()
        big = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300000
        link.sends(big)
        client.reads_on()
        link.sends(big)
        self.assertEqual(client.takes().count(b"x"), 600_000)
        self.assertTrue(client.closed)
        self.assertEqual(len(self.records.all), 2)

    def test_a_half_close_that_is_told_twice_is_one(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.stays = True
        client.sends(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 101 Ok\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        link.takes()
        link.stays = True
        link.stops_reading()
        for _ in range(2):
            client.transport.write(b"x" * 50_000)  # type: ignore[union-attr]
        client.half_closes()
        link.reads_on()
        self.assertEqual(len(link.takes()), 100_000)
        self.assertTrue(link.ended)
        link.sends(b"the answer")
        self.assertTrue(client.takes().endswith(b"the answer"))

    def test_a_half_close_before_the_tunnel_reaches_the_server(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.stays = True
        client.sends(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        client.half_closes()
        link = self.servers[0].link()
        link.stays = True
        link.sends(b"HTTP/1.1 101 Ok\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        self.settle()
        self.assertTrue(link.ended)
        link.sends(b"the answer")
        self.assertTrue(client.takes().endswith(b"the answer"))

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

    def test_at_the_drains_deadline_a_client_that_drips_is_cut(self) -> None:
        for end in (b"", b"Connection: close\r\n"):
            self.start()
            client = self.client()
            client.stops_reading()
            client.sends(GET[:-2] + end + b"\r\n")
            self.servers[0].link().sends(OK.replace(b": 2", b": 60002") + b"x" * 60_000)
            self.assertEqual(self.end, "ok")
            self.frontends["plain"].drain()
            self.frontends["plain"].shut()
            self.settle()
            self.assertEqual(self.frontends["plain"].connections, set())
            self.tearDown()
            self.setUp()

    def test_a_drain_reaches_connections_in_every_state(self) -> None:
        self.start(servers=1)
        shaking = Peer(self)
        self.clients.append(shaking)
        self.network.connect(shaking, self.secure_factory().buildProtocol(None), "192.0.2.9", 443)
        half, paused, tunnel = self.client(), self.client(), self.client()
        half.sends(GET[:9])
        tunnel.sends(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        self.servers[0].link().sends(b"HTTP/1.1 101 Ok\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        paused.sends(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n")
        link = self.servers[0].link()
        link.stops_reading()
        paused.sends(b"x" * 900_000)
        for frontend in self.broker.frontends:
            frontend.drain()
        self.settle()
        self.assertEqual([len(frontend.connections) for frontend in self.broker.frontends], [3, 1])
        for frontend in self.broker.frontends:
            frontend.shut()
        self.settle()
        paused.reads_on()
        for client in (shaking, half, paused, tunnel):
            self.assertTrue(client.closed)
        self.wait(6)
        self.assertEqual([len(frontend.connections) for frontend in self.broker.frontends], [0, 0])
        ends = [record["end"] for record in self.records.all]
        self.assertEqual(sorted(ends), ["relay:shutdown", "watch:shutdown"])

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
        self.assertEqual(self.end, "watch:shutdown")
