"""What the monitor counts of a server, and what becomes of one that fails."""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs, formatEvent
from zope.interface import implementer

from sslbroker.interfaces import IResponseClassifier, IRests
from sslbroker.net.judging import Judge
from sslbroker.settings import Ejection, Failover

from ..memory import BrokerCase

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAILS = b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"


class Heard(BrokerCase):
    def test_outcomes_statuses_and_times_of_each_try(self) -> None:
        self.start(servers=2)
        client = self.client()
        client.sends(GET)
        first = self.servers[0].link()
        self.wait(0.25)
        first.sends(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        second = self.servers[1].link()
        self.wait(0.5)
        second.sends(b"HTTP/1.1 204 No\r\n\r\n")
        bad, good = (member.figures for member in self.pool.members)
        self.assertEqual((bad.outcomes, bad.statuses), ({"status": 1}, {"5xx": 1}))
        self.assertEqual((good.outcomes, good.statuses), ({"ok": 1}, {"2xx": 1}))
        self.assertAlmostEqual(bad.server_times.sum, 0.25)
        self.assertAlmostEqual(good.server_times.sum, 0.5)

    def test_a_try_without_an_answer_has_no_status_and_no_time(self) -> None:
        self.start(servers=2)
        self.servers[0].behaviour = "refuse"
        self.client().sends(GET)
        self.servers[1].link().sends(b"HTTP/1.1 204 No\r\n\r\n")
        figures = self.pool.members[0].figures
        self.assertEqual((figures.outcomes, figures.statuses), ({"refused": 1}, {}))
        self.assertEqual(figures.server_times.count, 0)

    def test_a_try_that_was_outrun_is_counted_and_is_no_failure(self) -> None:
        self.start(servers=2, failover=Failover(hedge=True))
        client = self.client(secure=True)
        client.sends(GET)
        self.wait(0.05)
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        figures = self.pool.members[0].figures
        self.assertEqual((figures.outcomes, figures.statuses), ({"outrun": 1}, {}))
        self.assertEqual((figures.last_failure, figures.last_failure_at), ("", 0.0))
        self.assertFalse(self.pool.members[0].suspect)


@implementer(IResponseClassifier, IRests)
class Rests:
    """Judges as another classifier does; each failing answer asks for ten seconds of rest."""

    def __init__(self, classifier: IResponseClassifier) -> None:
        self.failing, self.status = classifier.failing, classifier.status

    def rest(self, response: Any) -> float:
        return 10.0


class LeftOut(BrokerCase):
    """Who fails is left out, and comes back."""

    def begin(self, servers: int = 2, **settings: Any) -> None:
        self.start(servers, ejection=Ejection(failures=2), slow_start=0.0, **settings)
        self.one = self.client()

    def rounds(self, answer: bytes, times: int) -> None:
        """So many requests; the first server answers each of its tries like this, and ends its link."""
        for _ in range(times):
            self.one.sends(GET)
            while True:
                answered = self.one.received
                for server in self.servers:
                    while server.links:
                        link = server.link()
                        if link.lost is None and link.received:
                            link.sends(answer if server is self.servers[0] else OK)
                            link.closes()
                if self.one.received == answered:
                    break

    @property
    def bars(self) -> list[str]:
        return [" ".join(member.bars) for member in self.pool.members]

    def test_failures_in_a_row_take_a_server_out_until_their_time_is_over(self) -> None:
        self.begin()
        with capturedLogs() as events:
            self.rounds(b"nonsense\r\n\r\n", 4)
            self.assertEqual(self.bars, ["ejected", ""])
            accepted = self.servers[0].accepted
            self.rounds(b"nonsense\r\n\r\n", 3)
            self.assertEqual(self.servers[0].accepted, accepted, "nobody asks it")
            self.wait(10.0)
        self.assertEqual(self.bars, ["", ""])
        told = [formatEvent(event) for event in events if event["log_namespace"] == "sslbroker.health"]
        self.assertEqual(len(told), 2)
        self.assertIn("pool shop: server 10.0.0.1:80 is ejected for 10 s: 2 failures in a row", told[0])
        self.assertEqual(told[1], "pool shop: server 10.0.0.1:80 is no longer ejected: its time is over")
        self.rounds(b"nonsense\r\n\r\n", 2)
        self.assertEqual(self.bars, ["ejected", ""], "the first failure after a return is enough")
        self.wait(19.0)
        self.assertEqual(self.bars, ["ejected", ""])
        self.wait(1.1)
        self.rounds(OK, 2)
        self.assertFalse(self.pool.members[0].suspect)

    def test_a_status_counts_when_the_other_server_did_better(self) -> None:
        self.begin()
        self.rounds(FAILS, 4)
        self.assertEqual(self.bars, ["ejected", ""])

    def test_a_status_that_all_gave_is_nobodys_fault(self) -> None:
        self.begin(failover=Failover(tries=2))
        for _ in range(5):
            self.one.sends(GET)
            for _ in range(2):
                link = next(server for server in self.servers if server.links).link()
                link.sends(FAILS)
                link.closes()
            self.assertTrue(self.one.takes().startswith(b"HTTP/1.1 503 "))
            self.assertEqual([outcome for _, outcome in self.tries()], ["status", "status"])
        self.assertEqual(self.bars, ["", ""])

    def test_a_status_that_no_other_answer_followed_is_nobodys_fault(self) -> None:
        self.begin()
        for _ in range(5):
            self.one.sends(GET)
            next(server for server in self.servers if server.links).link().sends(FAILS)
            self.one.resets()
            for server in self.servers:
                server.links.clear()
            self.one = self.client()
        self.assertEqual(self.bars, ["", ""])

    def test_who_asks_for_rest_has_it(self) -> None:
        self.begin()
        self.pool.judge = Judge(Rests(self.pool.judge.classifier), None, ())
        self.rounds(FAILS, 2)
        self.assertEqual(self.bars, ["resting", ""])
        self.wait(9.9)
        self.assertEqual(self.bars, ["resting", ""])
        self.wait(0.2)
        self.assertEqual(self.bars, ["", ""])

    def test_a_stop_leaves_no_timer(self) -> None:
        self.begin()
        self.rounds(b"nonsense\r\n\r\n", 4)
        self.assertEqual(self.bars, ["ejected", ""])
        self.broker.monitor.stopService()
        self.rounds(b"nonsense\r\n\r\n", 1)
        self.wait(20.0)
        self.assertEqual(self.bars, ["ejected", ""])

    def test_a_timer_that_comes_too_early_waits_on(self) -> None:
        self.begin()
        self.rounds(b"nonsense\r\n\r\n", 4)
        (watched,) = set(self.broker.monitor._watched.values())
        watched._tick()
        self.assertEqual(self.bars, ["ejected", ""])
        self.wait(10.0)
        self.assertEqual(self.bars, ["", ""])

    def test_nobody_is_judged_when_there_was_no_try(self) -> None:
        self.begin()
        self.broker.monitor.judged([])
        self.assertEqual(self.bars, ["", ""])
