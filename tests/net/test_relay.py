"""Whole transactions through the broker, in memory, as transcripts."""

from __future__ import annotations

from sslbroker.settings import Failover

from ..memory import BrokerCase

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"
PUT = POST.replace(b"POST", b"PUT")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ERROR = b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"
CIRCLE = b"HTTP/1.1 508 Loop\r\nSslbroker-Loop: 1\r\nContent-Length: 4\r\n\r\noops"


class PlainTransactions(BrokerCase):
    def test_a_request_goes_to_a_server_and_its_answer_comes_back(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        request = link.takes()
        self.assertTrue(request.startswith(b"GET /a HTTP/1.1\r\nHost: shop\r\n"), request)
        self.assertIn(b"\r\nX-Forwarded-For: 192.0.2.1\r\n", request)
        link.sends(OK)
        answer = client.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer)
        self.assertTrue(answer.endswith(b"\r\n\r\nok"), answer)
        self.assertEqual(self.end, "ok")
        self.assertEqual(self.tries(), [("1", "ok")])

    def test_over_tls_too(self) -> None:
        self.start()
        client = self.client(secure=True)
        client.sends(GET)
        link = self.servers[0].link()
        self.assertIn(b"\r\nX-Forwarded-Proto: https\r\n", link.takes())
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"\r\n\r\nok"))
        self.assertTrue(self.records.all[-1]["secure"])

    def test_the_link_and_the_clients_connection_are_used_again(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.takes()
        for _ in range(3):
            link.sends(OK)
            client.takes()
            client.sends(GET)
            self.assertTrue(link.takes().startswith(b"GET /a"))
        link.sends(OK)
        self.assertEqual(self.servers[0].accepted, 1)
        self.assertEqual(self.records.all[-1]["tries"][0]["reused"], True)

    def test_pipelined_requests_are_served_in_order(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.sends(GET + GET.replace(b"/a", b"/b"))
        link = self.servers[0].link()
        self.assertTrue(link.takes().startswith(b"GET /a"))
        link.sends(OK)
        self.assertTrue(link.takes().startswith(b"GET /b"))
        link.sends(OK.replace(b"ok", b"no"))
        self.assertTrue(client.takes().endswith(b"no"))
        self.assertEqual(len(self.records.all), 2)

    def test_a_thousand_pipelined_requests_that_are_refused_do_not_recurse(self) -> None:
        self.start()
        client = self.client()
        client.sends(b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 test-broker, 1.1 test-broker\r\n\r\n" * 1000)
        self.assertEqual(client.takes().count(b"HTTP/1.1 508"), 1000)

    def test_a_body_is_passed_on_while_it_arrives(self) -> None:
        self.start()
        client = self.client()
        client.sends(POST[:-3])
        link = self.servers[0].link()
        self.assertTrue(link.takes().endswith(b"\r\n\r\nhe"))
        client.sends(POST[-3:])
        self.assertEqual(link.takes(), b"llo")
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_a_chunked_answer_without_length_streams(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        self.assertTrue(client.takes().endswith(b"\r\n\r\n3\r\nabc\r\n"))
        link.sends(b"0\r\n\r\n")
        self.assertEqual(client.takes(), b"0\r\n\r\n")
        self.assertEqual(self.end, "ok")

    def test_an_answer_delimited_by_close_becomes_chunked(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\n\r\nabc")
        link.closes()
        self.assertTrue(client.takes().endswith(b"3\r\nabc\r\n0\r\n\r\n"))
        self.assertEqual(self.end, "ok")
        self.assertFalse(client.closed)

    def test_an_answer_delimited_by_close_that_is_reset_is_cut_visibly(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\n\r\nabc")
        link.resets()
        self.assertFalse(client.takes().endswith(b"0\r\n\r\n"))
        self.assertTrue(client.closed)
        self.assertEqual(self.end, "relay:truncated")


class Upgrades(BrokerCase):
    ASK = b"GET /s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    YES = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

    def test_after_101_bytes_go_both_ways_untouched(self) -> None:
        for secure in (False, True):
            self.start()
            client = self.client(secure)
            client.sends(self.ASK)
            link = self.servers[0].link()
            self.assertIn(b"Upgrade: websocket\r\n", link.takes())
            link.sends(self.YES + b"\x00first")
            self.assertTrue(client.takes().endswith(b"\r\n\r\n\x00first"))
            client.sends(b"\x81\x00\r\n\r\n")
            self.assertEqual(link.takes(), b"\x81\x00\r\n\r\n")
            self.wait(600)
            link.sends(b"GET / HTTP/1.1\r\n")
            self.assertEqual(client.takes(), b"GET / HTTP/1.1\r\n")
            link.closes()
            self.assertTrue(client.closed)
            self.assertEqual(self.end, "ok")
            self.tearDown()
            self.setUp()

    def test_what_the_client_said_before_101_goes_into_the_tunnel(self) -> None:
        self.start()
        client = self.client()
        client.sends(self.ASK + b"early")
        link = self.servers[0].link()
        link.takes()
        link.sends(self.YES)
        self.assertEqual(link.takes(), b"early")

    def test_the_clients_last_words_reach_the_server(self) -> None:
        self.start()
        client = self.client()
        client.sends(self.ASK)
        link = self.servers[0].link()
        link.sends(self.YES)
        link.takes()
        client.transport.write(b"bye")  # type: ignore[union-attr]
        client.closes()
        self.assertEqual(link.takes(), b"bye")
        self.assertTrue(link.closed)

    def test_an_idle_tunnel_ends_at_its_own_limit(self) -> None:
        self.start()
        client = self.client()
        client.sends(self.ASK)
        link = self.servers[0].link()
        link.sends(self.YES)
        self.wait(3599)
        self.assertFalse(client.closed)
        self.wait(2)
        self.assertTrue(client.closed)
        self.assertTrue(link.closed)


class FailingOver(BrokerCase):
    def test_refused_then_unreachable_then_timeout_then_answered(self) -> None:
        self.start(servers=4, failover=Failover(tries=4))
        for server, behaviour in zip(self.servers, ("refuse", "unreachable", "timeout"), strict=False):
            server.behaviour = behaviour
        client = self.client()
        client.sends(POST)
        link = self.servers[3].link()
        self.assertTrue(link.takes().endswith(b"hello"))
        link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        outcomes = [("1", "refused"), ("2", "unreachable"), ("3", "connect-timeout"), ("4", "ok")]
        self.assertEqual(self.tries(), outcomes)
        self.assertEqual(self.records.all[-1]["tries"][0]["next"], "nothing-sent")

    def test_a_failing_status_of_a_replayable_request_is_never_seen(self) -> None:
        self.start()
        client = self.client()
        client.sends(PUT)
        self.servers[0].link().sends(ERROR)
        link = self.servers[1].link()
        self.assertTrue(link.takes().endswith(b"hello"))
        link.sends(OK)
        answer = client.takes()
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"))
        self.assertTrue(answer.endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "status"), ("2", "ok")])

    def test_a_request_that_goes_in_a_circle_is_not_sent_round_again(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.takes()
        link.sends(CIRCLE)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 508 "))
        self.assertEqual(self.tries(), [("1", "status")])
        self.assertEqual(self.records.all[-1]["tries"][0]["next"], "final")

    def test_a_server_that_says_508_of_itself_has_failed_like_any_other(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        self.servers[0].link().sends(ERROR.replace(b"500", b"508"))
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 200 "))

    def test_a_failing_status_of_a_post_reaches_the_client(self) -> None:
        self.start()
        client = self.client()
        client.sends(POST)
        self.servers[0].link().sends(ERROR)
        self.assertTrue(client.takes().endswith(b"oops"))
        self.assertEqual(self.tries(), [("1", "status")])
        self.assertEqual(self.records.all[-1]["tries"][0]["next"], "method")

    def test_a_post_with_an_idempotency_key_is_tried_again(self) -> None:
        self.start()
        client = self.client()
        client.sends(POST.replace(b"\r\n\r\n", b"\r\nIdempotency-Key: 7\r\n\r\n"))
        self.servers[0].link().resets()
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_the_last_permitted_try_is_passed_on_as_it_is(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        for server in self.servers:
            server.link().sends(ERROR)
        self.assertTrue(client.takes().endswith(b"oops"))
        self.assertEqual(self.tries(), [("1", "status"), ("2", "status"), ("3", "status")])
        self.assertEqual(self.end, "ok")

    def test_4xx_is_no_failure_unless_listed(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        self.servers[0].link().sends(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        self.assertIn(b"404 No", client.takes())
        self.tearDown()
        self.setUp()
        self.start(failover=Failover(statuses=((400, 699),)))
        client = self.client()
        client.sends(GET)
        self.servers[0].link().sends(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_garbage_empty_reset_truncated_and_silent_servers(self) -> None:
        self.start(servers=6, failover=Failover(tries=6, response_timeout=1.0))
        client = self.client()
        client.sends(GET)
        self.servers[0].link().sends(b"SSH-2.0-OpenSSH\r\n\r\n")
        self.servers[1].link().closes()
        self.servers[2].link().resets()
        half = self.servers[3].link()
        half.sends(b"HTTP/1.1 200 OK\r\nContent-")
        half.closes()
        self.servers[4].link()
        self.wait(1.1)
        self.servers[5].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        outcomes = [outcome for _, outcome in self.tries()]
        self.assertEqual(outcomes, ["malformed", "empty", "broken", "broken", "silent", "ok"])

    def test_a_stale_link_costs_nothing(self) -> None:
        self.start(servers=2, failover=Failover(tries=2))
        client = self.client()
        client.sends(GET)
        first = self.servers[0].link()
        first.sends(OK)
        client.sends(GET)
        self.servers[1].link().sends(OK)
        client.sends(GET)
        client.takes()
        first.resets()
        self.settle()
        self.assertEqual(self.servers[1].accepted, 1)

    def test_a_post_takes_a_fresh_link(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.sends(GET)
        self.servers[0].link().sends(OK)
        client.sends(POST)
        self.servers[0].link().sends(OK)
        self.assertEqual(self.servers[0].accepted, 2)

    def test_after_the_response_began_a_break_is_visible(self) -> None:
        self.start()
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        self.assertTrue(client.takes().endswith(b"abc"))
        link.closes()
        self.assertTrue(client.closed)
        self.assertEqual(self.end, "relay:truncated")
        self.assertEqual(self.servers[1].accepted, 0)

    def test_a_response_that_stalls_is_cut(self) -> None:
        self.start(failover=Failover(response_timeout=1.0))
        client = self.client()
        client.sends(GET)
        self.servers[0].link().sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        self.wait(1.5)
        self.assertTrue(client.closed)
        self.assertEqual(self.end, "relay:silent")

    def test_when_nothing_works_the_client_gets_a_502(self) -> None:
        self.start()
        for server in self.servers:
            server.behaviour = "refuse"
        client = self.client()
        client.sends(GET + GET)
        self.assertEqual(client.takes(), b"")
        self.wait(4.9)
        self.assertEqual(client.takes(), b"", "one of them may come back")
        self.wait(0.2)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 502 "))
        self.assertEqual(self.end, "link:refused")
        self.assertEqual(self.tries(), [("1", "refused"), ("2", "refused"), ("3", "refused")])
        self.assertFalse(client.closed)

    def test_while_no_server_can_be_reached_none_is_tried(self) -> None:
        self.start()
        for server in self.servers:
            server.behaviour = "refuse"
        client = self.client()
        client.sends(GET + GET)
        self.wait(10.1)
        answer = client.takes()
        self.assertEqual((answer.count(b"HTTP/1.1 502 "), answer.count(b"HTTP/1.1 503 ")), (1, 1))
        self.assertEqual((self.end, self.tries()), ("choose:queue-timeout", []))
        self.assertFalse(client.closed)


class Backpressure(BrokerCase):
    def test_a_client_that_does_not_read_pauses_its_server(self) -> None:
        self.start()
        client = self.client()
        client.stops_reading()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
        for _ in range(50):
            link.sends(b"x" * 100000)
        waiting = len(link.transport.out)  # type: ignore[union-attr]
        self.assertGreater(waiting, 4_000_000)
        for _ in range(50):
            link.sends(b"x" * 100000)
        client.reads_on()
        self.assertEqual(len(client.takes().partition(b"\r\n\r\n")[2]), 10_000_000)
        self.assertEqual(self.end, "ok")
