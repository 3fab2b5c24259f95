"""A transaction's way to a server: what is waited for, and what becomes of it when nobody waits any more."""

from __future__ import annotations

from sslbroker.settings import Failover, Queue

from ..memory import BrokerCase
from .test_relay import GET, OK, POST


class TheWay(BrokerCase):
    def test_a_request_that_may_be_repeated_takes_an_idle_link_and_another_one_a_fresh_one(self) -> None:
        self.start(servers=1)
        client = self.client()
        client.sends(GET)
        first = self.servers[0].link()
        first.sends(OK)
        client.sends(POST)
        self.assertEqual(self.servers[0].accepted, 2)
        self.servers[0].link().sends(OK)
        self.assertEqual([record["tries"][0]["reused"] for record in self.records.all], [False, False])
        client.sends(GET)
        self.assertEqual(self.servers[0].accepted, 2)

    def test_unless_the_operator_wants_it_so(self) -> None:
        self.start(servers=1, failover=Failover(reuse_for_unsafe=True))
        client = self.client()
        client.sends(GET)
        link = self.servers[0].link()
        link.sends(OK)
        client.sends(POST)
        self.assertEqual(self.servers[0].accepted, 1)
        link.sends(OK)

    def test_who_leaves_while_a_link_is_made_waits_for_it_no_longer(self) -> None:
        self.start(servers=1)
        self.servers[0].behaviour = "silent"
        client = self.client()
        client.sends(GET)
        self.settle()
        client.resets()
        self.assertEqual(self.end, "link:client-gone")
        self.servers[0].behaviour = "accept"
        self.assertEqual(self.servers[0].link().takes(), b"")  # it is kept for the next transaction

    def test_who_leaves_while_a_server_is_waited_for_waits_no_longer(self) -> None:
        self.start(servers=1, limits_of_servers={"maximum_transactions": 1})
        first, second = self.client(), self.client()
        first.sends(GET)
        second.sends(GET)
        self.settle()
        self.assertEqual(self.pool.figures.queued, 1)
        second.resets()
        self.settle()
        self.assertEqual(self.pool.figures.queued, 0)
        self.assertEqual(self.end, "choose:client-gone")

    def test_who_waits_for_a_server_that_can_be_reached_waits_once_for_all_its_tries(self) -> None:
        self.start(servers=1, queue=Queue(timeout=2.0))
        self.servers[0].behaviour = "refuse"
        client = self.client()
        client.sends(GET)
        self.wait(1.0)
        knocking = self.pool.links[self.pool.members[0]].knocking
        assert knocking is not None
        knocking.heard(None)  # it only seems to be back
        self.wait(0.9)
        self.assertEqual(client.takes(), b"")
        self.wait(0.2)
        self.assertTrue(client.takes().startswith(b"HTTP/1.1 502 "))
        self.assertEqual(self.tries(), [("1", "refused"), ("1", "refused")])

    def test_who_has_met_a_stale_link_is_given_a_fresh_one_to_the_same_server(self) -> None:
        self.start(servers=1, failover=Failover(tries=2))
        clients = [self.client() for _ in range(3)]
        for client in clients:
            client.sends(GET)
        links = [self.servers[0].link() for _ in clients]
        for link in reversed(links):
            link.sends(OK)
        self.assertEqual(self.pool.members[0].figures.links_idle, 3)
        # What closes the two other links is just behind it.
        self.closes_while_asked(links[0], clients[0], GET)
        self.servers[0].link().sends(OK)
        self.assertTrue(clients[0].takes().endswith(b"ok"))
        tries = self.records.all[-1]["tries"]
        self.assertEqual(
            [(tried["outcome"], tried["reused"]) for tried in tries], [("stale", True), ("ok", False)]
        )
