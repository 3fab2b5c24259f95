"""Responses that break off and go on at another server (R13), through the whole broker."""

from __future__ import annotations

from sslbroker.settings import Failover

from ..memory import BrokerCase, Peer

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\n\r\n"
CONTENT = bytes(range(256)) * 40  # 10240 bytes
STRONG = b'ETag: "v1"\r\nContent-Type: a/b\r\n'


def whole(fields: bytes = STRONG, size: int = len(CONTENT)) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (fields, size)


def part(
    first: int, fields: bytes = STRONG, last: int = len(CONTENT) - 1, total: int = len(CONTENT)
) -> bytes:
    place = b"Content-Range: bytes %d-%d/%d\r\n" % (first, last, total)
    return b"HTTP/1.1 206 Partial\r\n%b%bContent-Length: %d\r\n\r\n" % (place, fields, last - first + 1)


class Resuming(BrokerCase):
    def breaks_off(
        self,
        at: int = 6000,
        head: bytes = b"",
        request: bytes = GET,
        *,
        secure: bool = False,
        content: bytes = CONTENT,
        refusing: int = 0,
        **more: object,
    ) -> None:
        """The first server's response breaks off after `at` bytes of content."""
        self.start(**more)  # type: ignore[arg-type]
        if refusing:
            self.servers[refusing].behaviour = "refuse"
        self.visitor = self.client(secure=secure)
        self.visitor.sends(request)
        first = self.servers[0].link()
        first.takes()
        first.sends((head or whole()) + content[:at])
        self.got = self.visitor.takes()
        first.resets()

    def content(self) -> bytes:
        """What the client has got of the content, after a head that it got once."""
        self.got += self.visitor.takes()
        head, _, content = self.got.partition(b"\r\n\r\n")
        self.assertEqual(head.count(b"HTTP/1.1"), 1)
        return content

    def asked(self, server: int = 1) -> tuple[Peer, bytes]:
        link = self.servers[server].link()
        return link, link.takes()

    def asked_next(self) -> tuple[Peer, bytes]:
        """Whichever server it is."""
        self.settle()
        (server,) = (number for number, server in enumerate(self.servers) if server.links)
        return self.asked(server)

    def assert_cut(self, why: str) -> None:
        self.assertTrue(self.visitor.closed)
        self.assertNotEqual(self.end, "ok")
        tries = self.records.all[-1]["tries"]
        self.assertIn(why, tries[-1].get("detail", ""), tries)
        self.assertNotEqual(self.content(), CONTENT)

    # --- it goes on ---

    def test_another_server_gives_the_rest(self) -> None:
        self.breaks_off()
        link, request = self.asked()
        self.assertTrue(request.startswith(b"GET /a HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\n"), request)
        self.assertIn(b'\r\nRange: bytes=1904-\r\nIf-Range: "v1"\r\n', request)
        link.sends(part(1904) + CONTENT[1904:])
        self.assertEqual(self.content(), CONTENT)
        self.assertFalse(self.visitor.closed)
        self.assertEqual(self.end, "ok")
        self.assertEqual(self.tries(), [("1", "truncated"), ("2", "ok")])
        record = self.records.all[-1]
        self.assertEqual(record["tries"][0]["next"], "resume")
        self.assertEqual((record["status"], record["bytes_out"]), (200, len(CONTENT)))
        self.assertIn("resume", record["timings"])
        self.assertEqual(self.pool.figures.failovers, {"resume": 1})

    def test_over_tls_too(self) -> None:
        self.breaks_off(secure=True)
        link, _ = self.asked()
        link.sends(part(1904) + CONTENT[1904:])
        self.assertEqual(self.content(), CONTENT)

    def test_the_clients_connection_and_the_new_link_are_used_again(self) -> None:
        self.breaks_off(servers=2)
        link, _ = self.asked()
        link.sends(part(1904) + CONTENT[1904:])
        self.content()
        self.servers[0].behaviour = "refuse"
        self.visitor.sends(GET)
        self.assertTrue(link.takes().startswith(b"GET /a"))
        link.sends(b"HTTP/1.1 204 No\r\n\r\n")
        self.assertTrue(self.visitor.takes().startswith(b"HTTP/1.1 204"))

    def test_at_every_byte_it_goes_on_without_a_seam(self) -> None:
        content = CONTENT[:300]
        for at in range(300):
            self.breaks_off(at, whole(size=300), content=content)
            link, request = self.asked()
            self.assertIn(b"\r\nRange: bytes=0-\r\n", request)
            for place in range(300):
                if not place:
                    link.sends(part(0, last=299, total=300))
                link.sends(content[place : place + 1])
            self.assertEqual(self.content(), content)
            self.assertEqual(self.end, "ok")
            self.tearDown()
            self.setUp()

    def test_a_fast_one_that_was_whole_in_one_read_needs_nothing(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(whole() + CONTENT)
        link.resets()
        self.assertTrue(client.takes().endswith(CONTENT))
        self.assertEqual(self.tries(), [("1", "ok")])

    def test_it_may_break_off_again_and_again(self) -> None:
        self.breaks_off(1000, failover=Failover(tries=9))
        for turn in range(1, 9):
            link, request = self.asked_next()
            begin = max(0, turn * 1000 - 4096)
            self.assertIn(b"Range: bytes=%d-\r\n" % begin, request)
            end = len(CONTENT) if turn == 8 else (turn + 1) * 1000
            link.sends(part(begin) + CONTENT[begin:end])
            if turn < 8:
                link.resets()
        self.assertEqual(self.content(), CONTENT)
        self.assertEqual(self.end, "ok")
        self.assertEqual(len(self.tries()), 9)

    def test_it_goes_on_after_a_stall(self) -> None:
        self.start()
        self.visitor = self.client()
        self.visitor.sends(GET)
        first = self.servers[0].link()
        first.sends(whole() + CONTENT[:5000])
        self.got = self.visitor.takes()
        self.wait(30.0)
        self.assertTrue(first.closed)
        link, _ = self.asked()
        link.sends(part(904) + CONTENT[904:])
        self.assertEqual(self.content(), CONTENT)
        self.assertEqual(self.tries(), [("1", "silent"), ("2", "ok")])

    def test_a_whole_response_serves_too_and_its_beginning_is_dropped(self) -> None:
        self.breaks_off()
        link, _ = self.asked()
        link.sends(whole() + CONTENT[:3000])
        self.assertEqual(self.content(), CONTENT[:6000])
        link.sends(CONTENT[3000:])
        self.assertEqual(self.content(), CONTENT)

    def test_a_part_that_the_client_asked_for_goes_on_in_its_place(self) -> None:
        request = GET.replace(b"\r\n\r\n", b"\r\nRange: bytes=100-9099\r\n\r\n")
        self.breaks_off(5000, part(100, last=9099), request, content=CONTENT[100:])
        link, asked = self.asked()
        self.assertIn(b"\r\nRange: bytes=1004-9099\r\n", asked)
        link.sends(part(1004, last=9099) + CONTENT[1004:9100])
        self.assertEqual(self.content(), CONTENT[100:9100])
        self.assertEqual(self.records.all[-1]["status"], 206)

    def test_a_chunked_response_ends_where_the_continuation_says(self) -> None:
        head = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % STRONG
        chunk = b"%x\r\n%b\r\n"
        self.breaks_off(head=head + chunk % (6000, CONTENT[:6000]), at=0)
        link, _ = self.asked()
        link.sends(part(1904) + CONTENT[1904:])
        self.got += self.visitor.takes()
        body = self.got.partition(b"\r\n\r\n")[2]
        self.assertEqual(body, chunk % (6000, CONTENT[:6000]) + chunk % (4240, CONTENT[6000:]) + b"0\r\n\r\n")

    def test_a_chunked_response_of_which_only_the_end_was_missing(self) -> None:
        head = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % STRONG
        self.breaks_off(head=head + b"%x\r\n%b\r\n" % (len(CONTENT), CONTENT), at=0)
        link, _ = self.asked()
        self.assertFalse(self.visitor.takes().endswith(b"0\r\n\r\n"))
        link.sends(part(len(CONTENT) - 4096) + CONTENT[-4096:])
        self.assertEqual(self.visitor.takes(), b"0\r\n\r\n")
        self.assertEqual(self.end, "ok")

    def test_interim_responses_of_the_next_server_are_not_passed_on(self) -> None:
        self.breaks_off()
        link, _ = self.asked()
        link.sends(b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + part(1904) + CONTENT[1904:])
        self.assertEqual(self.content(), CONTENT)

    def test_a_client_that_reads_slowly_pauses_the_next_server(self) -> None:
        content = CONTENT * 40
        self.breaks_off(1000, whole(size=len(content)), content=content)
        self.visitor.stops_reading()
        link, _ = self.asked()
        link.sends(part(0, last=len(content) - 1, total=len(content)) + content)
        self.settle()
        relay = next(iter(next(iter(self.frontends["plain"].connections)).relays.values()))
        assert relay.link is not None
        self.assertFalse(relay.link._reading)
        self.visitor.reads_on()
        self.assertEqual(self.content(), content)

    # --- others are asked ---

    def test_who_fails_or_has_another_version_is_passed_over(self) -> None:
        for answer, outcome in (
            (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "status"),
            (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "mismatch"),
            (part(1904, STRONG.replace(b"v1", b"v2")), "mismatch"),
            (part(1905), "mismatch"),
            (whole(STRONG.replace(b"a/b", b"a/c")), "mismatch"),
            (b"nonsense\r\n\r\n", "malformed"),
        ):
            self.breaks_off()
            link, _ = self.asked()
            link.sends(answer)
            link, _ = self.asked(2)
            link.sends(part(1904) + CONTENT[1904:])
            self.assertEqual(self.content(), CONTENT)
            self.assertEqual(self.tries(), [("1", "truncated"), ("2", outcome), ("3", "ok")])
            self.tearDown()
            self.setUp()

    def test_who_refuses_too(self) -> None:
        self.breaks_off(refusing=1)
        link, _ = self.asked(2)
        link.sends(part(1904) + CONTENT[1904:])
        self.assertEqual(self.content(), CONTENT)

    # --- it is cut ---

    def test_what_cannot_be_proved_is_cut(self) -> None:
        for head, why in (
            (whole(b'ETag: W/"v1"\r\n'), "a weak ETag"),
            (whole(b""), "no ETag"),
            (whole(b'ETag: "v1"\r\nTrailer: x\r\n'), "it promises trailers"),
        ):
            self.breaks_off(head=head)
            self.settle()
            self.assertEqual((self.servers[1].accepted, self.servers[2].accepted), (0, 0))
            self.assertEqual(self.records.all[-1]["tries"][0]["next"], "response-begun")
            self.assert_cut(why)
            self.assertEqual(self.end, "relay:truncated")
            self.tearDown()
            self.setUp()

    def test_what_had_content_or_another_method_is_cut(self) -> None:
        post = b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nhi"
        for request in (post, post.replace(b"POST", b"GET"), GET.replace(b"GET", b"DELETE")):
            self.breaks_off(request=request)
            self.settle()
            self.assertTrue(self.visitor.closed)
            self.assertEqual(self.end, "relay:truncated")
            self.tearDown()
            self.setUp()

    def test_where_it_is_turned_off_it_is_cut(self) -> None:
        self.breaks_off(failover=Failover(resume=False))
        self.assert_cut("it is not resumed")

    def test_other_bytes_with_the_same_validator_end_it_for_good(self) -> None:
        self.breaks_off()
        link, _ = self.asked()
        wrong = bytearray(CONTENT)
        wrong[5999] ^= 1
        link.sends(part(1904) + bytes(wrong[1904:]))
        self.assert_cut("other bytes")
        self.assertEqual(self.end, "resume:mismatch")
        self.assertEqual(self.servers[2].accepted, 0)
        self.assertEqual(self.content(), CONTENT[:6000])

    def test_a_continuation_that_is_longer_than_it_says_gives_no_byte_too_many(self) -> None:
        head = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % STRONG
        self.breaks_off(head=head + b"%x\r\n%b\r\n" % (6000, CONTENT[:6000]), at=0)
        link, _ = self.asked()
        place = part(1904).replace(b"Content-Length: 8336", b"Transfer-Encoding: chunked")
        link.sends(place + b"%x\r\n%b\r\n0\r\n\r\n" % (8337, CONTENT[1904:] + b"x"))
        self.assert_cut("more bytes than were left")

    def test_a_continuation_that_ends_too_early_is_asked_for_again(self) -> None:
        self.breaks_off()
        link, _ = self.asked()
        place = part(1904).replace(b"Content-Length: 8336", b"Transfer-Encoding: chunked")
        link.sends(place + b"%x\r\n%b\r\n0\r\n\r\n" % (5096, CONTENT[1904:7000]))
        link, request = self.asked(2)
        self.assertIn(b"Range: bytes=2904-\r\n", request)
        link.sends(part(2904) + CONTENT[2904:])
        self.assertEqual(self.content(), CONTENT)
        self.assertEqual(self.tries(), [("1", "truncated"), ("2", "truncated"), ("3", "ok")])

    def test_when_there_were_enough_tries_it_is_cut(self) -> None:
        self.breaks_off(failover=Failover(tries=2))
        link, _ = self.asked()
        link.resets()
        self.settle()
        self.assertTrue(self.visitor.closed)
        self.assertEqual(self.end, "resume:broken")
        self.assertEqual(self.servers[2].accepted, 0)

    def test_a_server_that_gives_a_byte_at_a_time_does_not_go_on_for_ever(self) -> None:
        self.breaks_off(100, failover=Failover(tries=4))
        for turn in range(1, 4):
            link, _ = self.asked_next()
            link.sends(part(0) + CONTENT[: 100 + turn])
            link.resets()
        self.settle()
        self.assertTrue(self.visitor.closed)
        self.assertEqual(self.content(), CONTENT[:103])

    def test_one_that_gets_on_may_outlive_more_servers_than_tries(self) -> None:
        content = CONTENT * 40
        self.breaks_off(66_000, whole(size=len(content)), content=content, failover=Failover(tries=2))
        at = 66_000
        for turn in range(1, 6):
            link, _ = self.asked_next()
            begin, end = at - 4096, at + 66_000 if turn < 5 else len(content)
            link.sends(part(begin, last=len(content) - 1, total=len(content)) + content[begin:end])
            self.got += self.visitor.takes()
            if turn < 5:
                link.resets()
            at = end
        self.assertEqual(self.content(), content)
        self.assertEqual(self.end, "ok")

    # --- and the client ---

    def test_a_client_that_leaves_meanwhile_ends_it(self) -> None:
        self.breaks_off()
        link, _ = self.asked()
        self.visitor.resets()
        self.settle()
        self.assertTrue(link.closed)
        self.assertEqual(self.end, "resume:client-gone")

    def test_a_request_that_came_meanwhile_is_served_after_it(self) -> None:
        self.breaks_off(servers=2)
        link, _ = self.asked()
        self.servers[0].behaviour = "refuse"
        self.visitor.sends(GET.replace(b"/a", b"/b"))
        link.sends(part(1904) + CONTENT[1904:])
        self.assertTrue(link.takes().startswith(b"GET /b"))
        link.sends(b"HTTP/1.1 204 No\r\n\r\n")
        self.got += self.visitor.takes()
        self.assertIn(CONTENT + b"HTTP/1.1 204 No\r\n", self.got)


class NothingIsKept(BrokerCase):
    def test_only_the_last_bytes_of_a_healthy_response(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(whole(size=len(CONTENT) * 2) + CONTENT)
        client.takes()
        relay = next(iter(next(iter(self.frontends["plain"].connections)).relays.values()))
        self.assertEqual(len(relay.download._tail), 4096)
        self.assertEqual(self.broker.storage.used, 0)
        self.assertIsNone(relay.download.resumption)
