"""Whole brokers under attack, in memory: what a hostile client or server gets, and what the others see."""

from __future__ import annotations

import tracemalloc

from sslbroker.interfaces import Head
from sslbroker.net.client import PIPELINED
from sslbroker.protocols.http.backend import HTTP
from sslbroker.protocols.http.server_codec import INTERIM_RESPONSES
from sslbroker.settings import Failover

from ...memory import BrokerCase, Peer
from .transcript import vectors

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /mine HTTP/1.1\r\nHost: shop\r\n\r\n"
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(SECOND)
#: Bytes that one client's connection holds at most, besides storage and sockets: docs/conformance.md.
ONE_CLIENT = 200 * 1024

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


class HostileClients(BrokerCase):
    def test_no_server_sees_more_of_a_malformed_request_than_was_sound(self) -> None:
        self.start(servers=1, failover=Failover(tries=1))
        for vector in vectors("requests"):
            if vector.name.startswith(("ok-", "431-")) or vector.options:
                continue  # sound, or against limits that are not this broker's
            client = self.client()
            client.sends(vector.data + SECOND)
            client.takes()
            links = self.servers[0].links
            seen = b"".join(link.received for link in links)
            self.assertNotIn(b"/smuggled", seen, vector.name)
            self.assertLessEqual(seen.count(b"HTTP/1.1\r\n"), 1, vector.name)
            links.clear()
            client.resets()

    def test_content_that_a_server_does_not_read_meets_no_other_request(self) -> None:
        self.start(servers=1)
        for method in (b"GET", b"POST", b"PUT"):
            client = self.client()
            client.sends(
                method + b" / HTTP/1.1\r\nHost: shop\r\nTE: trailers\r\n" + LENGTH + b"\r\n" + SECOND
            )
            link = self.servers[0].link()
            self.assertIn(b"\r\nConnection: close\r\n", link.takes())
            link.sends(OK)  # and takes SECOND for a request of its own
            self.assertTrue(client.takes().endswith(b"ok"))
            link.sends(EVIL)
            other = self.client()
            other.sends(GET)
            self.assertTrue(self.servers[0].link().takes().startswith(b"GET /mine "))
            self.assertEqual(link.takes(), b"")
            other.resets()

    def test_an_answer_before_the_whole_request_ends_the_clients_connection(self) -> None:
        for status in (b"200 OK", b"413 Content Too Large"):
            self.start()
            client = self.client()
            client.sends(b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\nhello")
            link = self.servers[0].link()
            link.sends(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
            client.sends(SECOND)  # of the content still: no request
            self.assertEqual(client.takes().count(b"HTTP/1.1 "), 1)
            self.assertTrue(client.closed)
            self.assertNotIn(b"smuggled", link.takes())
            self.assertEqual(len(self.records.all), 1)
            self.tearDown()
            self.setUp()

    def test_content_that_was_held_back_for_continue_is_no_request(self) -> None:
        for status in (b"200 OK", b"417 Expectation Failed"):
            self.start()
            client = self.client()
            client.sends(
                b"POST / HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\n" + LENGTH + b"\r\n" + SECOND
            )
            link = self.servers[0].link()
            self.assertNotIn(b"smuggled", link.takes())
            link.sends(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(client.takes().count(b"HTTP/1.1 "), 1)
            self.assertTrue(link.closed)
            self.assertEqual(sum(server.accepted for server in self.servers), 1)
            self.tearDown()
            self.setUp()

    def test_an_upgrade_to_http_2_is_not_offered_and_what_follows_is_a_request_like_others(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.sends(
            b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n" + SECOND
        )
        link = self.servers[0].link()
        head = link.takes().lower()
        for word in (b"upgrade", b"h2c", b"http2-settings", b"smuggled"):
            self.assertNotIn(word, head)
        link.sends(OK)
        self.assertIn(b"\r\nX-Forwarded-For: 192.0.2.1\r\n", link.takes())
        link.sends(OK)

    def test_a_websocket_that_the_server_refuses_opens_no_tunnel(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.sends(
            b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 777\r\n\r\n" + SECOND
        )
        link = self.servers[0].link()
        link.takes()
        link.sends(
            b"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n"
        )
        answer = client.takes()
        self.assertIn(b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", answer)
        self.assertIn(b"\r\nX-Forwarded-For: 192.0.2.1\r\n", link.takes())  # read, and written anew
        link.sends(OK)
        self.assertEqual(len(self.records.all), 2)

    def test_what_connection_names_cannot_hide_who_the_client_is(self) -> None:
        self.start()
        client = self.client()
        client.sends(
            b"GET / HTTP/1.1\r\nHost: shop\r\nCookie: a=1\r\nConnection: Host, Via, Cookie, X-Forwarded-For, "
            b"X-Forwarded-Proto, Forwarded, close\r\n\r\n"
        )
        head = self.servers[0].link().takes()
        for line in (b"Host: shop", b"Cookie: a=1", b"X-Forwarded-For: 192.0.2.1", b"Via: 1.1 test-broker"):
            self.assertIn(b"\r\n" + line + b"\r\n", head)


class HostileServers(BrokerCase):
    def answer(self, request: bytes, *pieces: bytes) -> tuple[bytes, Peer]:
        """What a client reads when the only server answers with these pieces."""
        self.start(servers=1, failover=Failover(tries=1))
        client = self.client()
        client.sends(request)
        link = self.servers[0].link()
        for piece in pieces:
            link.sends(piece)
        return client.takes(), link

    def test_a_second_answer_reaches_nobody(self) -> None:
        for request, first in (
            (GET, OK),
            (GET.replace(b"GET", b"HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n"),
            (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
            (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n"),
            (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ):
            for pieces in ((first + EVIL,), (first, EVIL)):
                answer, link = self.answer(request, *pieces)
                self.assertEqual(answer.count(b"HTTP/1.1 "), 1)
                self.assertNotIn(b"evil", answer)
                self.assertTrue(link.closed, first)
                self.tearDown()
                self.setUp()

    def test_a_flood_of_interim_answers_ends_the_try(self) -> None:
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
        answer, _ = self.answer(GET, interim * INTERIM_RESPONSES)
        self.assertEqual(answer.count(b"HTTP/1.1 103 "), 1)
        self.assertEqual(answer.count(b"HTTP/1.1 102 "), 0)
        self.assertIn(b"HTTP/1.1 502 ", answer)

    def test_a_head_that_could_be_read_as_two_is_refused(self) -> None:
        for split in (b"\r", b"\n", b"\r\r\n", b"\n\n"):
            answer, link = self.answer(
                GET,
                b"HTTP/1.1 200 OK\r\nLocation: /a" + split + b"Set-Cookie: a=1\r\nContent-Length: 0\r\n\r\n",
            )
            self.assertTrue(answer.startswith(b"HTTP/1.1 502 "), answer)
            self.assertNotIn(b"Set-Cookie", answer)
            self.assertTrue(link.closed)
            self.tearDown()
            self.setUp()

    def test_a_switch_that_nobody_asked_for_opens_no_tunnel(self) -> None:
        answer, link = self.answer(
            GET, b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
        )
        self.assertTrue(answer.startswith(b"HTTP/1.1 502 "), answer)
        self.assertTrue(link.closed)


class WhatOneClientCanHold(BrokerCase):
    def test_pipelined_requests_are_left_in_the_socket_above_a_bound(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        (connection,) = self.frontends["plain"].connections
        for _ in range(40):
            client.sends(GET * 400)
        self.assertLess(connection.codec.held(), PIPELINED + 2**16)

    def test_a_head_is_held_up_to_its_limit(self) -> None:
        self.start()
        client = self.client()
        (connection,) = self.frontends["plain"].connections
        client.sends(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        most = 0
        while not client.closed:
            client.sends(b"x" * 100)
            most = max(most, connection.codec.held())
        self.assertLess(most, 32 * 1024)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 431 "))

    def test_the_heaviest_heads_cost_less_than_what_is_documented(self) -> None:
        start = b"POST / HTTP/1.1\r\nHost: a\r\n"
        fill = b"X-%03d: " + b"v" * 310 + b"\r\n"
        heaviest = {
            "fields": start + b"".join(fill % number for number in range(97)) + b"\r\n",
            "options": start + b"Connection: " + b",".join([b"a" * 1010] * 32) + b"\r\n\r\n",
            "upgrade": start + b"Connection: upgrade\r\nUpgrade: " + b"a," * 16000 + b"\r\n\r\n",
            "target": start.replace(b"/ ", b"/" + b"a" * 32000 + b" ") + b"\r\n",
            "trailers": start + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 32000,
        }
        for name, head in heaviest.items():
            codec = HTTP.client_codec(32 * 1024, 100)
            behind = b"" if name == "trailers" else b"G" * PIPELINED
            tracemalloc.start()
            try:
                events = codec.receive(head + behind)
                codec.receive(b"G" * 2**16 if behind else b"x" * 700)
                held = tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
            self.assertIsInstance(events[0], Head, name)
            self.assertLess(held, ONE_CLIENT, name)
