"""Groups and priorities by lot: many clients, servers that are slow, fail and die, an operator.

What must hold: each transaction ends once; a secure one is never held back; nobody waits for longer than it
may, or where there is room; and what everybody sees is what it would be without the fast path. Each play is
the same each time; ``SSLBROKER_FUZZ=500`` makes so many others.
"""

from __future__ import annotations

import random
from random import Random
from typing import Any

from sslbroker.core.pacing import STEP
from sslbroker.core.warming import Warming
from sslbroker.settings import Ejection, Failover, Pacing, Queue

from ..memory import BrokerCase
from .test_fast_path import seen
from .test_fuzz import EXAMPLES
from .test_priorities import GET, GOLD, NO, NOBODY, OK, SILVER, Prioritized

LIMITS: tuple[dict[str, int], ...] = (
    {},
    {"maximum_transactions": 3},
    {"maximum_transactions": 2, "maximum_links": 2},
)
TIMEOUT, HELD = 0.5, 0.3
MOVES = 400


class Client:
    """One, and what it has asked; it asks for the next thing when it has had an answer."""

    def __init__(self, case: BrokerCase, number: int) -> None:
        self.case = case
        self.secure = number % 3 == 0
        self.source = (GOLD, NOBODY, NOBODY, SILVER)[number % 4]
        self.asked = 0
        self.comes()

    def comes(self) -> None:
        self.peer = self.case.client(secure=self.secure, peer=self.source)
        self.waits_for = 0

    @property
    def free(self) -> bool:
        return self.peer.received.count(b"HTTP/1.1 ") == self.waits_for

    def goes(self) -> None:
        if self.peer.lost is None:
            self.peer.resets()

    def asks(self) -> None:
        if self.peer.closed:
            self.comes()
        if self.free:
            self.asked += 1
            self.waits_for += 1
            self.peer.sends(GET)


class ByLot(Prioritized):
    def play(self, seed: int, way: bool) -> dict[str, Any]:
        lot = Random(seed)
        random.seed(seed)  # knocks come at times that differ a little
        hedge, limits, floor = lot.random() < 0.3, lot.choice(LIMITS), lot.choice((0.0, 0.05))
        self.begin(
            3,
            warm=False,
            failover=Failover(response_timeout=2.0, connect_timeout=1.0, hedge=hedge),
            ejection=Ejection(base=0.5),
            queue=Queue(length=6, timeout=TIMEOUT),
            pacing=Pacing(timeout=HELD, queue=4, floor=floor),
            limits_of_servers=limits,
        )
        self.pool.takes_fast_path &= way
        people = [Client(self, number) for number in range(20)]
        for _ in range(MOVES):
            self.move(lot, people)
        self.all_is_well()
        self.wait(4)
        self.check(people)
        saw = seen(self, [])
        self.reduced |= any(member.figures.reductions for member in self.pool.members)
        self.ends |= {record["end"] for record in self.records.all}
        self.tearDown()
        self.assertEqual(self.flushLoggedErrors(), [])
        return saw

    def move(self, lot: Random, people: list[Client]) -> None:
        kind, number = lot.randrange(100), lot.randrange(3)
        shop, server, address = self.shops[number], self.servers[number], self.servers[number].address
        if kind < 60:
            lot.choice(people).asks()
        elif kind < 85:
            self.wait(lot.choice((0.004, 0.01, 0.03)))
        elif kind < 87:
            self.wait(STEP)
            self.check_room()
        elif kind < 92:
            shop.is_well(lot.choice((0.005, 0.02, 0.02, 0.1)), lot.choice((2, 4, 100)))
            server.behaviour = "accept"
        elif kind < 93:
            shop.stalls()
        elif kind < 95:
            shop.answers = lot.choice((OK, OK, NO))
        elif kind < 96:
            server.behaviour = lot.choice(("refuse", "silent"))
        elif kind < 98:
            self.pool.set_server(address, lot.choice(("up", "up", "drain", "down")), lot.randrange(1, 4))
        else:
            lot.choice(people).goes()

    def all_is_well(self) -> None:
        for shop, server in zip(self.shops, self.servers, strict=True):
            server.behaviour, shop.answers = "accept", OK
            self.pool.set_server(server.address, "up")
            shop.is_well()

    def check_room(self) -> None:
        """Who is held back still has a reason to be, a step after the last change."""
        now = self.clock.seconds()
        if self.held and not self.promises.holding(now):
            members = [member for member in self.pool.members if member.open and member.has_place()]
            self.assertEqual(members, [], "somebody waits, and there is room")

    def check(self, people: list[Client]) -> None:
        records = self.records.all
        self.assertEqual(len(records), sum(client.asked for client in people), "each ends once")
        for record in records:
            if record["secure"]:
                self.assertNotEqual(record["end"], "choose:paced")
            most = TIMEOUT * (len(record["tries"]) + 1)
            self.assertLessEqual(record["timings"]["choose"], most * 1e3 + 1, record)
        for client in people:
            self.assertTrue(client.peer.closed or client.free, "not all that was asked was answered")

    def test_with_the_fast_path_and_without_it_the_same(self) -> None:
        self.patch(Warming, "warm", True)
        self.patch(Warming, "counts", lambda *_: True)
        self.reduced, self.ends = False, set[str]()
        for seed in range(EXAMPLES or 12):
            self.assertEqual(self.play(seed, True), self.play(seed, False), f"seed {seed}")
        del self.broker
        self.assertTrue(self.reduced)
        self.assertLessEqual({"ok", "choose:paced", "choose:client-gone"}, self.ends)
