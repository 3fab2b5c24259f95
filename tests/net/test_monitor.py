"""What the monitor counts of a server."""

from __future__ import annotations

from ..memory import BrokerCase

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"


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
