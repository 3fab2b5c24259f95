"""Hostile clients and servers, one transcript each: what they get, what it costs, and that others are served.

Each broker has a good client beside, on a link of its own to a good server, which is served before, while and
after. What the whole network may not leave behind (timers, links, stored bytes) is looked at by `BrokerCase`.
"""

from __future__ import annotations

import gzip
import tracemalloc
from dataclasses import replace
from typing import Any

from sslbroker.protocols.http.server_codec import INTERIM_RESPONSES
from sslbroker.settings import Failover, Limits, Storage

from ..memory import BrokerCase, Peer, other_end

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: shop\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LIMITS = Limits(handshake=3.0, head=3.0, idle=5.0, read=4.0, close=1.0)
#: Bytes that the broker keeps of one connection's peer, storage apart: two transports' buffers and reads, and
#: as much in the sockets of the network in memory.
KEPT = 600_000


def takes_some(peer: Peer) -> None:
    """What one turn brings, and no more."""
    transport: Any = peer.transport
    transport.reading = True
    other_end(transport).step()
    transport.reading = False


class Hostile(BrokerCase):
    def attacked(self, servers: int = 1, **how: Any) -> None:
        how.setdefault("failover", Failover(tries=1, response_timeout=5.0, connect_timeout=2.0))
        self.start(servers, limits=LIMITS, **how)
        self.good = self.client(peer="198.51.100.7")
        self.served()

    def served(self) -> None:
        """The good client gets its answer at once, on whatever connection it has."""
        if self.good.closed:
            self.good = self.client(peer="198.51.100.7")
        server = self.servers[-1]
        before = self.links_of(server)
        self.good.sends(GET.replace(b"/a", b"/good"))
        link = next(link for link in before + self.links_of(server) if b"/good" in link.received)
        link.takes()
        link.sends(OK)
        self.assertTrue(self.good.takes().endswith(b"\r\n\r\nok"))

    def links_of(self, server: Any) -> list[Peer]:
        self.settle()
        self.known = [*getattr(self, "known", []), *server.links]
        server.links.clear()
        return [link for link in self.known if link.lost is None]

    def hostile_link(self) -> Peer:
        """The link that the last transaction is on."""
        return next(link for link in reversed(self.links_of(self.servers[-1])) if b" /a " in link.received)

    def status(self, client: Peer) -> bytes:
        answer = client.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 "), answer)
        return answer[9:12]


class HostileClients(Hostile):
    def test_a_head_that_drips_is_ended_with_408(self) -> None:
        self.attacked()
        client = self.client()
        for byte in GET[:6]:
            client.sends(bytes([byte]))
            self.served()
            self.wait(0.55)
        self.assertEqual(self.status(client), b"408")
        self.assertTrue(client.closed)

    def test_a_handshake_that_drips_or_stops_is_cut(self) -> None:
        self.attacked()
        for hello in (b"", b"\x16\x03\x01\x02\x00\x01"):
            client = self.client()
            tls = Peer(self)
            self.network.connect(tls, self.secure_factory().buildProtocol(None), "192.0.2.9", 443)
            for byte in hello:
                tls.sends(bytes([byte]))
                self.served()
                self.wait(0.6)
            self.wait(3.1)
            self.assertTrue(tls.closed)
            self.assertEqual(tls.received, b"")
            client.resets()
        self.assertEqual(self.frontends["secure"].figures.tls_failed, 2)

    def test_a_body_that_stops_is_ended_with_408_and_one_that_drips_holds_nobody_up(self) -> None:
        self.attacked()
        client = self.client()
        client.sends(POST + b"Content-Length: 100\r\n\r\nhello")
        for _ in range(10):
            client.sends(b".")
            self.wait(4)
            self.served()
        self.assertFalse(client.closed)
        self.assertEqual(self.broker.storage.figures.unsent, 0)
        self.wait(1.5)
        self.assertEqual(self.status(client), b"408")
        self.assertEqual(self.end, "frame:client-timeout")
        self.assertTrue(self.hostile_link_is_gone())

    def hostile_link_is_gone(self) -> bool:
        return not [link for link in self.links_of(self.servers[-1]) if b" /a " in link.received]

    def test_a_reader_that_stops_costs_a_buffer_and_is_cut(self) -> None:
        self.attacked()
        client = self.client()
        client.sends(GET)
        client.stops_reading()
        link = self.hostile_link()
        link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n")
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(40):
                link.transport.write(b"x" * 100_000)  # type: ignore[union-attr]
            self.settle()
            far = len(link.transport.out)  # type: ignore[union-attr]
            grown = tracemalloc.get_traced_memory()[0] - before - far
        finally:
            tracemalloc.stop()
        self.assertGreater(far, 3_500_000)
        self.assertLess(grown, KEPT)
        self.served()
        self.wait(4.5)
        self.served()
        self.assertEqual(self.records.all[-2]["end"], "frame:client-timeout")
        client.reads_on()
        self.assertTrue(client.closed)
        self.assertTrue(link.closed)

    def test_a_slow_reader_is_not_cut_and_holds_nobody_up(self) -> None:
        self.attacked()
        client = self.client()
        client.sends(GET)
        link = self.hostile_link()
        client.stops_reading()
        link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000)
        for _ in range(5):
            takes_some(client)
            self.wait(3.9)
            self.served()
        client.reads_on()
        self.assertEqual(len(client.takes().partition(b"\r\n\r\n")[2]), 2_000_000)

    def test_endless_heads_targets_and_trailers(self) -> None:
        self.attacked()
        endless = {
            b"431": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 50_000,
            b"414": b"GET /" + b"a" * 100_000,
            b"400": CHUNKED + b"1;" + b"x" * 1000,
        }
        for status, request in endless.items():
            client = self.client()
            client.sends(request)
            self.assertEqual(self.status(client), status)
            self.assertTrue(client.closed)
            self.served()
        client = self.client()
        client.sends(CHUNKED + b"1\r\nx\r\n0\r\n")
        for _ in range(400):
            client.sends(b"X: " + b"y" * 100 + b"\r\n")
        self.assertEqual(self.status(client), b"431")
        self.assertTrue(self.hostile_link_is_gone())
        self.served()

    def test_a_body_beyond_its_limit_gets_413(self) -> None:
        limits = replace(LIMITS, body_size=100)
        self.start(1, limits=limits, failover=Failover(tries=1))
        expects = b"Expect: 100-continue\r\n"
        for head in (b"Content-Length: 101\r\n", b"Content-Length: 101\r\n" + expects):
            for body in (b"", b"x" * 101):  # is not waited for; has come
                client = self.client()
                client.sends(POST + head + b"\r\n" + body)
                answer = client.takes()
                self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
                self.assertIn(b"\r\nConnection: close\r\n", answer)
                self.assertTrue(client.closed)
                self.assertEqual((self.end, self.tries()), ("frame:bad-request", []))
        for first in (b"", b"64\r\n" + b"x" * 100 + b"\r\n"):
            client = self.client()
            client.sends(CHUNKED + first)
            link = self.servers[0].link()
            client.sends(b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n" + GET)
            self.assertEqual(self.status(client), b"413")
            self.assertTrue(client.closed)
            self.assertNotIn(b"\r\n0\r\n\r\n", link.received)
            self.assertTrue(link.closed)
        client = self.client()
        client.sends(POST + b"Content-Length: 100\r\n\r\n" + b"x" * 100)
        self.servers[0].link().sends(OK)
        self.assertEqual(self.status(client), b"200")

    def test_a_tunnel_has_no_size(self) -> None:
        self.start(1, limits=replace(LIMITS, body_size=10))
        client = self.client()
        client.sends(GET.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"))
        link = self.servers[0].link()
        link.takes()
        link.sends(b"HTTP/1.1 101 Ok\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        client.sends(b"x" * 1000)
        self.assertEqual(link.takes(), b"x" * 1000)

    def test_chunk_extensions_are_bounded_by_the_content(self) -> None:
        self.attacked()
        client = self.client()
        client.sends(CHUNKED)
        for _ in range(1000):
            client.sends(b"1;" + b"e" * 200 + b"\r\nx\r\n")
        self.assertEqual(self.status(client), b"400")
        self.assertTrue(self.hostile_link_is_gone())
        self.served()

    def test_chunks_of_a_byte_cost_the_server_no_more_than_they_hold(self) -> None:
        self.attacked()
        client = self.client()
        client.sends(CHUNKED + b"1\r\nx\r\n" * 30_000)
        link = self.hostile_link()
        self.assertLess(len(link.takes()), 40_000)  # joined, by reads
        self.assertLess(self.broker.storage.used, 40_000)
        self.served()
        client.sends(b"0\r\n\r\n")
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_pipelined_requests_without_end_wait_in_the_clients_socket(self) -> None:
        self.attacked()
        client = self.client()
        client.sends(GET * 20_000)
        self.assertGreater(len(client.transport.out), 400_000)  # type: ignore[union-attr]
        link = self.hostile_link()
        for _ in range(50):
            link.takes()
            link.sends(OK)
        self.assertEqual(client.takes().count(b"HTTP/1.1 200"), 50)
        self.served()

    def test_hundreds_of_idle_connections_leave_a_place_for_others(self) -> None:
        self.attacked()
        idle = [self.client() for _ in range(300)]
        self.wait(2)
        self.served()
        timers = len(self.clock.getDelayedCalls())
        self.assertLess(timers, 2 * len(idle))
        self.wait(3.5)
        self.assertTrue(all(client.closed for client in idle))
        self.served()

    def test_a_reset_at_every_byte_of_a_request(self) -> None:
        self.attacked()
        request = POST + b"Content-Length: 5\r\n\r\nhello"
        for cut in range(len(request) + 1):
            client = self.client()
            client.sends(request[:cut])
            client.resets()
            self.settle()
            self.assertEqual(self.frontends["plain"].figures.open, 1)
        self.served()
        self.assertTrue(self.hostile_link_is_gone())

    def test_an_end_at_every_byte_of_a_request_is_answered_or_taken_for_one(self) -> None:
        self.attacked()
        request = POST + b"Content-Length: 5\r\n\r\nhello"
        for cut in range(1, len(request)):
            client = self.client()
            client.sends(request[:cut])
            client.half_closes()
            self.assertEqual(self.status(client), b"400", request[:cut])
        self.served()

    def test_a_storm_of_uploads_leaves_the_storage_to_those_who_go_on(self) -> None:
        self.attacked(storage=Storage(100_000, 1000, 100_000, per_transaction=50_000))
        self.servers[0].behaviour = "silent"
        clients = [self.client() for _ in range(20)]
        for client in clients:
            client.sends(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 200_000)
        used = self.broker.storage.used
        self.assertLess(used, 100_000 + len(clients) * 98_304)
        for client in clients:
            client.resets()
        self.servers[0].behaviour = "accept"
        self.wait(3)  # who was called is given up
        self.assertEqual(self.broker.storage.used, 0)
        self.served()


class HostileServers(Hostile):
    def asked(self, request: bytes = GET, secure: bool = False) -> tuple[Peer, Peer]:
        """A client, and the link on which its request is."""
        client = self.client(secure)
        client.sends(request)
        link = self.hostile_link()
        link.takes()
        return client, link

    def test_a_head_that_drips_is_silence(self) -> None:
        for head in (OK, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20):
            self.attacked()
            client, link = self.asked()
            for byte in head[:20]:
                self.assertFalse(client.closed)
                link.sends(bytes([byte]))
                self.wait(0.24)
            self.served()
            self.wait(0.3)
            self.assertEqual(self.status(client), b"504")
            self.assertTrue(link.closed)
            record = self.records.all[-1]
            self.assertEqual(record["end"], "watch:silent")
            self.assertEqual(record["tries"][0]["detail"], "no whole head of a final answer within 5 s")
            self.tearDown()
            self.setUp()

    def test_a_head_without_end_is_malformed_at_its_limit(self) -> None:
        self.attacked()
        client, link = self.asked()
        sent = 0
        link.sends(b"HTTP/1.1 200 OK\r\n")
        while not link.closed:
            link.sends(b"X-%d: " % sent + b"y" * 1000 + b"\r\n")
            sent += 1
        self.assertLessEqual(sent, 66)
        self.assertEqual(self.status(client), b"502")
        self.assertEqual(self.tries(), [("1", "malformed")])
        self.served()

    def test_interim_answers_renew_no_limit(self) -> None:
        for interim in (b"103 Early Hints\r\nLink: </a>", b"100 Continue", b"102 Processing"):
            self.attacked()
            client, link = self.asked()
            for _ in range(4):
                link.sends(b"HTTP/1.1 " + interim + b"\r\n\r\n")
                self.wait(1.2)
                self.assertFalse(client.closed)
                self.served()
            self.wait(0.4)
            self.assertIn(b"HTTP/1.1 504 ", client.takes())
            self.assertEqual(self.tries(), [("1", "silent")])
            self.assertTrue(link.closed)
            self.tearDown()
            self.setUp()

    def test_a_go_ahead_gives_the_server_its_time_from_the_body_on(self) -> None:
        self.attacked()
        client, link = self.asked(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        link.sends(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wait(4)
        client.sends(b"hello")
        self.wait(4)
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_flood_of_interim_answers_is_malformed(self) -> None:
        self.attacked()
        client, link = self.asked()
        link.sends(b"HTTP/1.1 103 Early Hints\r\n\r\n" * (INTERIM_RESPONSES + 1))
        answer = client.takes()
        self.assertEqual(answer.count(b" 103 "), 1)
        self.assertIn(b"HTTP/1.1 502 ", answer)
        self.served()

    def test_a_size_line_or_trailers_that_drip_are_a_stall(self) -> None:
        for start in (b"2\r\nok\r\n", b"2\r\nok\r\n0\r\nX-A: "):
            self.attacked()
            client, link = self.asked()
            link.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + start)
            for _ in range(10):
                self.assertFalse(client.closed)
                link.sends(b"0")
                self.wait(0.48)
            self.wait(0.5)
            self.assertTrue(client.closed)
            self.assertNotIn(b"0\r\n\r\n", client.takes())
            self.assertEqual(self.end, "relay:silent")
            self.served()
            self.tearDown()
            self.setUp()

    def test_extensions_and_trailers_without_end_are_cut(self) -> None:
        for piece in (b"1;" + b"e" * 250 + b"\r\nx\r\n", b"0\r\n" + b"X: y\r\n" * 200):
            self.attacked()
            client, link = self.asked()
            link.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\nok\r\n")
            for _ in range(100):
                link.sends(piece)
            self.assertTrue(link.closed)
            self.assertTrue(client.closed)
            self.assertNotIn(b"0\r\n\r\n", client.takes())
            self.assertEqual(self.end, "relay:truncated")
            self.served()
            self.tearDown()
            self.setUp()

    def test_chunks_of_a_byte_reach_the_client_joined_by_reads(self) -> None:
        self.attacked()
        client, link = self.asked()
        link.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        link.sends(b"1\r\nx\r\n" * 20_000)
        self.assertLess(len(client.takes()), 21_000)
        link.sends(b"0\r\n\r\n")
        self.assertTrue(client.takes().endswith(b"0\r\n\r\n"))

    def test_an_answer_before_its_request_serves_nobody_else(self) -> None:
        self.attacked()
        (idle,) = self.links_of(self.servers[0])
        idle.sends(OK.replace(b"ok", b"no"))
        self.assertTrue(idle.closed)
        self.served()

    def test_an_answer_before_the_end_of_an_upload_and_an_end(self) -> None:
        for secure in (False, True):
            self.attacked()
            client, link = self.asked(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000, secure)
            link.transport.write(  # type: ignore[union-attr]
                b"HTTP/1.1 413 Too Large\r\nContent-Length: 200000\r\n\r\n" + b"n" * 200_000
            )
            link.closes()
            client.sends(b"x" * 100_000)
            answer = client.takes()
            self.assertTrue(answer.startswith(b"HTTP/1.1 413 "))
            self.assertEqual(len(answer.partition(b"\r\n\r\n")[2]), 200_000)
            self.assertEqual(self.end, "ok")
            self.served()
            self.tearDown()
            self.setUp()

    def test_a_compressed_bomb_passes_as_it_is(self) -> None:
        self.attacked()
        bomb = gzip.compress(b"\0" * 30_000_000)
        client, link = self.asked()
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
        link.sends(head + bomb)
        self.assertEqual(client.takes().partition(b"\r\n\r\n")[2], bomb)
        self.assertEqual(self.records.all[-1]["bytes_out"], len(bomb))
        client, link = self.asked(
            POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
        )
        self.assertLess(self.broker.storage.used, 2 * len(bomb))
        link.sends(OK)
        self.served()

    def test_a_body_without_end_ends_with_its_client(self) -> None:
        self.attacked()
        client, link = self.asked()
        link.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(200):
            link.sends(b"ffff\r\n" + b"x" * 65535 + b"\r\n")
            client.takes()
        self.served()
        client.resets()
        self.settle()
        self.assertTrue(link.closed)
        self.served()

    def test_a_reset_at_every_byte_of_an_answer(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
        self.attacked()
        for cut in range(len(answer)):
            client, link = self.asked()
            link.sends(answer[:cut])
            link.resets()
            if not cut:  # the good client's, so a stale one: a fresh one is tried, too
                self.hostile_link().resets()
            got = client.takes()
            self.assertFalse(got.endswith(b"hello"))
            if cut < answer.index(b"hello"):
                self.assertTrue(got.startswith(b"HTTP/1.1 502 "), (cut, got))
            else:
                self.assertTrue(client.closed)
        self.served()

    def test_a_server_that_reads_slowly_is_not_silent_and_one_that_stops_is(self) -> None:
        self.attacked(servers=1)
        self.servers[0].starts_deaf = True
        client = self.client()
        client.sends(POST + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        link = next(link for link in reversed(self.links_of(self.servers[0])) if not link.received)
        for _ in range(6):
            self.wait(4.9)
            before = len(link.received)
            takes_some(link)
            self.assertGreater(len(link.received), before)
            self.assertFalse(client.closed)
        self.wait(11)
        self.assertEqual(self.records.all[-1]["end"], "watch:silent")


class HostileFailures(Hostile):
    """A failing answer is kept while another server is tried: it may have no end, at nobody's cost."""

    FAILING = b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n"

    def failed(self, *servers: int) -> tuple[Peer, Peer, Peer]:
        """A client whose first server has begun a failing answer, that link, and the next one."""
        self.start(2, limits=LIMITS, failover=Failover(tries=2, response_timeout=5.0))
        client = self.client()
        client.sends(GET)
        first = self.servers[0].link()
        first.sends(self.FAILING)
        return client, first, self.servers[1].link()

    def test_one_without_end_is_dropped_when_it_is_too_large(self) -> None:
        client, first, second = self.failed()
        for _ in range(20):
            first.sends(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
        self.assertLess(self.broker.storage.used, 70_000)
        self.assertTrue(first.closed)
        second.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.broker.storage.used, 0)

    def test_one_that_drips_ends_with_the_transaction(self) -> None:
        client, first, second = self.failed()
        for _ in range(4):
            first.sends(b"1\r\nx\r\n")
            self.wait(1)
        second.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertTrue(first.closed)

    def test_one_that_drips_renews_no_limit_of_the_next_try(self) -> None:
        client, first, second = self.failed()
        for _ in range(12):
            first.sends(b"1\r\nx\r\n")
            self.wait(0.5)
        self.assertEqual(self.status(client), b"504")
        self.assertTrue(first.closed)
        self.assertTrue(second.closed)

    def test_the_last_one_that_drips_is_the_clients(self) -> None:
        client, first, second = self.failed()
        first.sends(b"1\r\nx\r\n")
        second.sends(self.FAILING + b"1\r\ny\r\n")
        self.assertTrue(client.takes().endswith(b"1\r\ny\r\n"))
        self.assertTrue(first.closed)
        second.sends(b"0\r\n\r\n")
        self.assertTrue(client.takes().endswith(b"0\r\n\r\n"))
