"""A second try beside one that takes longer than its client's group is promised."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from sslbroker.settings import Failover, Group, Pacing

from ..memory import BrokerCase, Peer
from .test_relay import GET, OK

GROUPS: Sequence[Group] = (
    Group("gold", (ip_network("192.0.2.0/25"),), 5),
    Group("silver", (ip_network("192.0.2.128/25"),), 3, threshold=0.2),
)
SILVER, NOBODY = "192.0.2.200", "198.51.100.1"


class InGroups(BrokerCase):
    def asked(self, peer: str = "192.0.2.1", request: bytes = GET, **more: Any) -> Peer:
        self.start(2, groups=GROUPS, failover=Failover(hedge=True), **more)
        client = self.client(secure=True, peer=peer)
        client.sends(request)
        self.first = self.servers[0].link()
        return client

    def test_the_threshold_is_that_of_the_clients_group(self) -> None:
        for peer, threshold in (("192.0.2.1", 0.010), (SILVER, 0.200), (NOBODY, 0.050)):
            client = self.asked(peer)
            self.wait(threshold - 0.001)
            self.assertEqual(self.pool.figures.hedges, 0)
            self.wait(0.001)
            self.assertEqual(self.pool.figures.hedges, 1)
            self.servers[1].link().sends(OK)
            self.assertTrue(client.takes().endswith(b"ok"))
            self.assertEqual(self.tries(), [("1", "outrun"), ("2", "ok")])
            self.tearDown()
            self.setUp()

    def test_what_is_not_measured_is_not_too_slow(self) -> None:
        client = self.asked(request=GET.replace(b"/a", b"/events"), pacing=Pacing(exclude=("/events",)))
        self.wait(1.0)
        self.assertEqual(self.pool.figures.hedges, 0)
        self.first.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_without_groups_neither(self) -> None:
        self.start(2, failover=Failover(hedge=True), pacing=Pacing(exclude=("/events",)))
        client = self.client(secure=True)
        client.sends(GET.replace(b"/a", b"/events"))
        self.wait(1.0)
        self.assertEqual(self.pool.figures.hedges, 0)
        self.servers[0].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_the_second_goes_rather_to_a_server_that_is_not_too_slow_for_the_group(self) -> None:
        self.start(3, groups=GROUPS, failover=Failover(hedge=True, tries=2))
        promises = self.pool.promises
        assert promises is not None
        account = promises._servers[self.pool.members[1]]
        standing = account.standing(GROUPS[0], False)
        standing.late = 1
        promises._doubted(account, standing)
        client = self.client(secure=True)
        client.sends(GET)
        self.servers[0].link()
        self.wait(0.010)
        self.servers[2].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        standing.late = 0

    def test_not_while_the_brokers_own_loop_was_too_busy(self) -> None:
        client = self.asked()
        busy, self.pool.busy = self.pool.busy, lambda since, now: 0.003
        self.wait(0.010)
        self.assertEqual(self.pool.figures.hedges, 0)
        self.pool.busy = busy
        self.wait(0.010)
        self.assertEqual(self.pool.figures.hedges, 1)
        self.servers[1].link().sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))

    def test_all_that_began_is_ended_for_who_watches_over_the_promises(self) -> None:
        client = self.asked()
        self.wait(0.010)
        second = self.servers[1].link()
        promises = self.pool.promises
        assert promises is not None
        second.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        standings = [promises._servers[member].standing(GROUPS[0], False) for member in self.pool.members]
        self.assertEqual([standing.late for standing in standings], [0, 0])
        self.assertEqual((self.records.all[-1]["group"], promises.plain), ("gold", 0))
