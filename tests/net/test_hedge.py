"""A second try beside one that takes long, through the whole broker, with real TLS."""

from __future__ import annotations

from typing import Any

from sslbroker.settings import THRESHOLDS, Failover, LinkTLS, RetryBudget, Sticky

from ..memory import BrokerCase
from .test_relay import GET, OK, POST
from .test_resume import CONTENT, part, whole
from .test_secure_links import FOLDER, speaks

#: The promise to clients in no group.
THRESHOLD = THRESHOLDS[1]


class HedgeCase(BrokerCase):
    def begin(self, request: bytes = GET, *, servers: int = 3, secure: bool = True, **failover: Any) -> None:
        """The request of a secure client is at the first server."""
        self.start(servers, failover=Failover(hedge=True, **failover))
        self.visitor = self.client(secure)
        self.visitor.sends(request)
        self.first = self.servers[0].link()
        self.first.takes()

    def hedge(self, request: bytes = GET, **more: Any) -> None:
        """It is at a second server, too."""
        self.begin(request, **more)
        self.wait(THRESHOLD)
        self.second = self.servers[1].link()
        self.assertTrue(self.second.takes().startswith(b"GET /a HTTP/1.1\r\n"))

    def reasons(self) -> list[Any]:
        return [one.get("next") for one in self.records.all[-1]["tries"]]

    @property
    def counted(self) -> tuple[int, int]:
        return self.pool.figures.hedges, self.pool.figures.hedges_won


class Begun(HedgeCase):
    def test_a_try_that_is_older_than_the_threshold_gets_another_one_beside_it(self) -> None:
        self.begin()
        self.wait(THRESHOLD - 0.001)
        self.assertEqual(self.servers[1].accepted, 0)
        self.wait(0.001)
        self.assertIn(b"GET /a", self.servers[1].link().takes())
        self.assertEqual(self.counted, (1, 0))

    def test_the_second_has_the_first_good_answer(self) -> None:
        self.hedge()
        self.wait(0.010)
        self.second.sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"\r\n\r\nok"))
        self.assertTrue(self.first.closed)
        self.assertFalse(self.second.closed)
        self.assertEqual(self.end, "ok")
        self.assertEqual(self.tries(), [("1", "outrun"), ("2", "ok")])
        self.assertEqual(self.reasons(), ["hedge", None])
        record = self.records.all[-1]
        self.assertEqual((record["server"], record["status"]), ("10.0.0.2:80", 200))
        self.assertEqual(record["timings"], {"choose": 0, "link": 0, "watch": 50, "hedge": 10, "relay": 0})
        self.assertEqual(self.counted, (1, 1))
        self.assertEqual(self.pool.figures.failovers, {})

    def test_the_first_has_it_after_all(self) -> None:
        self.hedge()
        self.first.sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"\r\n\r\nok"))
        self.assertTrue(self.second.closed)
        self.assertFalse(self.first.closed)
        self.assertEqual(self.tries(), [("1", "ok"), ("2", "outrun")])
        self.assertEqual(self.reasons(), [None, "hedge"])
        self.assertEqual(self.records.all[-1]["server"], "10.0.0.1:80")
        self.assertEqual(self.counted, (1, 0))

    def test_both_answer_at_once_and_the_client_has_one_answer(self) -> None:
        self.hedge()
        for link, content in ((self.second, b"2!"), (self.first, b"1!")):
            link.transport.write(OK.replace(b"ok", content))  # type: ignore[union-attr]
        answer = self.visitor.takes()
        self.assertEqual(answer.count(b"HTTP/1.1 200"), 1)
        self.assertIn(answer[-2:], (b"1!", b"2!"))
        self.assertEqual(sorted(outcome for _, outcome in self.tries()), ["ok", "outrun"])

    def test_the_connections_go_on_to_serve(self) -> None:
        self.hedge()
        self.second.sends(OK)
        self.visitor.takes()
        self.visitor.sends(GET)
        self.servers[2].link().sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.servers[0].behaviour = "refuse"
        self.visitor.sends(GET)
        self.second.sends(OK.replace(b"ok", b"us"))  # its link was kept
        self.assertTrue(self.visitor.takes().endswith(b"us"))

    def test_an_idle_link_is_taken(self) -> None:
        self.begin()
        self.first.sends(OK)
        self.visitor.sends(GET)
        second = self.servers[1].link()
        second.sends(OK)
        self.visitor.takes()
        self.visitor.sends(GET)
        self.servers[2].link().takes()
        second.takes()
        self.wait(THRESHOLD)
        self.assertIn(b"GET /a", self.first.takes())
        self.first.sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual([one["reused"] for one in self.records.all[-1]["tries"]], [False, True])

    def test_a_long_answer_streams_from_the_second(self) -> None:
        self.hedge()
        self.second.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"a" * 100_000)
        self.visitor.stops_reading()
        self.second.sends(b"b" * 200_000)
        self.visitor.reads_on()
        answer = self.visitor.takes()
        self.assertTrue(answer.endswith(b"\r\n\r\n" + b"a" * 100_000 + b"b" * 200_000))
        self.assertEqual(self.end, "ok")

    def test_a_head_in_pieces(self) -> None:
        self.hedge()
        for byte in OK:
            self.second.sends(bytes([byte]))
        self.assertTrue(self.visitor.takes().endswith(b"\r\n\r\nok"))

    def test_an_answer_that_ends_with_its_link(self) -> None:
        self.hedge()
        self.second.sends(b"HTTP/1.0 200 OK\r\n\r\nall")
        self.second.closes()
        self.assertTrue(self.visitor.takes().endswith(b"3\r\nall\r\n0\r\n\r\n"))
        self.assertEqual(self.end, "ok")

    def test_a_head_before_the_final_one_is_no_answer(self) -> None:
        self.hedge()
        self.second.sends(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
        self.assertEqual(self.visitor.takes(), b"")
        self.first.sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))

    def test_after_the_first_has_given_one(self) -> None:
        self.begin()
        self.first.sends(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
        self.wait(THRESHOLD)
        self.servers[1].link().sends(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
        answer = self.visitor.takes()
        self.assertEqual((answer.count(b"HTTP/1.1 103"), answer.count(b"HTTP/1.1 200")), (1, 1))

    def test_head_and_options_too(self) -> None:
        for method in (b"HEAD", b"OPTIONS"):
            self.begin(GET.replace(b"GET", method))
            self.wait(THRESHOLD)
            self.servers[1].link().sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(self.tries(), [("1", "outrun"), ("2", "ok")])
            self.tearDown()
            self.setUp()

    def test_a_link_that_takes_long_to_make(self) -> None:
        self.start(2, failover=Failover(hedge=True))
        self.servers[0].behaviour = "silent"
        client = self.client(secure=True)
        client.sends(GET)
        self.wait(THRESHOLD)
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "outrun"), ("2", "ok")])
        self.servers[0].behaviour = "accept"  # the call goes on, and its link serves whoever is next
        self.pool.members[1].bar("test")
        client.sends(GET)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_of_two_links_that_take_long_the_first_that_comes_serves(self) -> None:
        self.start(2, failover=Failover(hedge=True))
        for server in self.servers:
            server.behaviour = "silent"
        client = self.client(secure=True)
        client.sends(GET)
        self.wait(THRESHOLD)
        self.servers[0].behaviour = "accept"
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.tries(), [("1", "ok"), ("2", "outrun")])

    def test_over_secure_links(self) -> None:
        tls = LinkTLS(ca=FOLDER / "ca.pem")
        self.start(2, failover=Failover(hedge=True), continue_secure_link=True, tls=tls)
        for number, server in enumerate(self.servers, 1):
            server.contexts = speaks(f"10.0.0.{number}")
        client = self.client(secure=True)
        client.sends(GET)
        first = self.servers[0].link()
        first.takes()
        self.wait(THRESHOLD)
        second = self.servers[1].link()
        self.assertIn(b"GET /a", second.takes())
        second.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        self.assertEqual(self.records.all[-1]["link"], "secure")
        self.assertTrue(first.closed)


class NotBegun(HedgeCase):
    def none(self, seconds: float = 1.0) -> None:
        """Time passes, and there is no second try; the first has the answer."""
        self.wait(seconds)
        self.assertEqual([server.accepted for server in self.servers], [1] + [0] * (len(self.servers) - 1))
        self.first.sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual(self.counted, (0, 0))

    def test_without_the_setting(self) -> None:
        self.start(failover=Failover())
        self.visitor = self.client(secure=True)
        self.visitor.sends(GET)
        self.first = self.servers[0].link()
        self.none()

    def test_for_a_plain_client(self) -> None:
        self.begin(secure=False)
        self.none()

    def test_of_a_request_with_content(self) -> None:
        for method in (b"POST", b"GET"):
            self.begin(POST.replace(b"POST", method))
            self.none()
            self.tearDown()
            self.setUp()

    def test_of_a_request_that_is_not_safe(self) -> None:
        for method in (b"PUT", b"DELETE"):
            self.begin(GET.replace(b"GET", method))
            self.none()
            self.tearDown()
            self.setUp()

    def test_of_one_with_an_upgrade(self) -> None:
        self.begin(GET[:-2] + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.none()

    def test_of_one_that_the_operator_does_not_let_be_repeated(self) -> None:
        self.begin(methods=("HEAD",))
        self.none()

    def test_when_the_answer_has_begun(self) -> None:
        self.begin()
        self.first.sends(OK[:-2])
        self.wait(1.0)
        self.first.sends(b"ok")
        self.assertEqual(self.tries(), [("1", "ok")])

    def test_when_no_tries_are_left(self) -> None:
        self.begin(tries=1)
        self.none()

    def test_without_another_server(self) -> None:
        self.begin(servers=1)
        self.none()

    def test_at_a_server_that_is_barred_or_drains(self) -> None:
        self.begin()
        self.pool.members[1].bar("ejected")
        self.pool.set_server("10.0.0.3:80", "drain")
        self.none()

    def test_while_the_budget_is_spent(self) -> None:
        self.begin(budget=RetryBudget(share=0.0, minimum=0.0))
        while self.pool.budget.take(self.clock.seconds()):
            pass
        self.none()

    def test_where_it_would_wait_for_a_place(self) -> None:
        self.start(2, failover=Failover(hedge=True), limits_of_servers={"maximum_transactions": 1})
        self.visitor, other = self.client(secure=True), self.client()
        self.visitor.sends(GET)
        self.first = self.servers[0].link()
        other.sends(GET)
        second = self.servers[1].link()
        self.wait(1.0)
        self.assertEqual(self.counted, (0, 0))
        second.sends(OK)
        self.first.sends(OK)
        self.assertEqual([*self.tries(-2), *self.tries()], [("2", "ok"), ("1", "ok")])

    def test_for_a_client_that_is_stuck_to_its_server(self) -> None:
        self.start(failover=Failover(hedge=True), sticky=Sticky("SRV"))
        self.visitor = self.client(secure=True)
        key = self.pool.members[0].key.encode()
        self.visitor.sends(GET[:-2] + b"Cookie: SRV=" + key + b"\r\n\r\n")
        self.first = self.servers[0].link()
        self.none()

    def test_but_for_one_that_is_not_stuck_yet_and_then_is_to_the_second(self) -> None:
        self.start(2, failover=Failover(hedge=True), sticky=Sticky("SRV"))
        client = self.client(secure=True)
        client.sends(GET)
        self.servers[0].link()
        self.wait(THRESHOLD)
        self.servers[1].link().sends(OK)
        self.assertIn(b"\r\nSet-Cookie: SRV=" + self.pool.members[1].key.encode(), client.takes())

    def test_twice(self) -> None:
        self.hedge()
        self.second.resets()
        self.wait(1.0)
        self.first.resets()
        third = self.servers[2].link()
        self.wait(1.0)
        self.assertEqual(self.counted, (1, 0))
        third.sends(OK)
        self.assertEqual(self.tries(), [("1", "broken"), ("2", "broken"), ("3", "ok")])

    def test_in_the_next_try_its_time_begins_anew(self) -> None:
        self.begin()
        self.wait(THRESHOLD - 0.01)
        self.first.resets()
        self.servers[1].link()
        self.wait(THRESHOLD - 0.001)
        self.assertEqual(self.counted, (0, 0))
        self.wait(0.001)
        self.servers[2].link().sends(OK)
        self.assertEqual(self.tries(), [("1", "broken"), ("2", "outrun"), ("3", "ok")])

    def test_of_what_came_while_the_broker_itself_was_halted(self) -> None:
        self.begin()
        self.first.transport.write(OK)  # type: ignore[union-attr]
        self.clock.advance(2 * THRESHOLD)  # timers come before what can be read
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual(self.counted, (0, 0))

    def test_but_where_nothing_came_meanwhile(self) -> None:
        self.begin()
        self.clock.advance(2 * THRESHOLD)
        self.wait(0.001)
        self.servers[1].link().sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))
        self.assertEqual(self.counted, (1, 1))

    def test_of_the_rest_of_an_answer(self) -> None:
        self.begin()
        self.first.sends(whole() + CONTENT[:5000])
        self.first.resets()
        second = self.servers[1].link()
        self.wait(1.0)
        self.assertEqual(self.servers[2].accepted, 0)
        second.sends(part(904) + CONTENT[904:])
        self.assertTrue(self.visitor.takes().endswith(CONTENT))
