"""Places played at random beside a model: transactions that come, end, fail and leave, servers that change.

The model knows for each that waits which servers it may go to. After every step: nobody waits while a place
suits him, nobody was overtaken but by a higher priority or by who had waited long, no limit is exceeded, the
queue is full of those who matter most, and who has no server left, and none to hope for, has been told.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from sslbroker.core import queue
from sslbroker.core.balancing import BALANCERS
from sslbroker.core.choosing import Choosing
from sslbroker.core.figures import PoolFigures
from sslbroker.core.members import Member
from sslbroker.core.pool_limit import PoolLimit
from sslbroker.errors import NoServer, QueueFull
from sslbroker.interfaces import Origin
from sslbroker.net.places import Places
from sslbroker.settings import Group, Queue, Server

TIMEOUT = 5.0

#: Of each priority; None: clients in no group. The lowest are not patient.
GROUPS = (None, *(Group(f"{priority}", (), priority) for priority in (2, 3, 4, 5)))
OWN_TIMEOUT = 1.5
HURRIED = Group("hurried", (), 1, queue_timeout=OWN_TIMEOUT)

BARS = ("down", "unreachable", "unreachable", "ejected")


class Waits:
    """A transaction in the queue, as the model sees it."""

    def __init__(
        self,
        used: Sequence[Member],
        stuck: str,
        group: Group | None,
        deferred: Deferred[Member],
        came: float,
    ) -> None:
        self.used, self.stuck, self.group, self.deferred, self.came = used, stuck, group, deferred, came
        self.priority = priority(group)
        self.until = came + (OWN_TIMEOUT if group is HURRIED else TIMEOUT)


def priority(group: Group | None) -> int:
    return 1 if group is None else group.priority


class World:
    """A pool of servers with limits, and all that happens to it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.clock = Clock()
        self.members = [
            Member(
                Server(
                    f"10.0.0.{number}:80",
                    maximum_transactions=random.choice((0, 1, 1, 2)),
                    maximum_links=random.choice((0, 0, 1, 2)),
                )
            )
            for number in range(random.randint(1, 4))
        ]
        self.figures = PoolFigures("shop", "http", [member.figures for member in self.members])
        self.length = random.choice((3, 10, 40))
        law = BALANCERS[random.choice(sorted(BALANCERS))]()
        most = random.choice((0, 0, 2, 3))
        self.limit = PoolLimit(self.members, most) if most else None
        choosing = Choosing(self.members, law, limit=self.limit)
        settings = Queue(length=self.length, timeout=TIMEOUT)
        self.places = Places(self.members, choosing, settings, self.figures, self.clock)
        self.running: list[tuple[Member, object]] = []
        self.waiting: list[Waits] = []
        self.wrong: list[Failure] = []  # found where nobody hears it
        self.given = 0  # places that were waited for, since the last that was given out of turn
        self.coming = 0  # the priority of who is just coming

    def eligible(self, used: Sequence[Member], stuck: str) -> list[Member]:
        """Where a transaction may go when there is a place; nobody: it is refused."""
        opened = [member for member in self.members if member.open]
        opened = opened or [member for member in self.members if set(member.bars) <= {"ejected"}]
        for member in opened:
            if member.key == stuck and member not in used:
                return [member]
        ready = [member for member in opened if not member.draining]
        if not ready and not all(member.draining for member in self.members):
            ready = opened
        if not used:
            return ready
        fresh = [member for member in ready if member not in used]
        fresh = fresh or [member for member in opened if member not in used]
        doubted = [member for member in self.members if member.bars and set(member.bars) <= {"ejected"}]
        fresh = fresh or [member for member in doubted if member not in used]
        return fresh or [member for member in ready if member is not used[-1]] or ready or opened

    @property
    def outage(self) -> bool:
        """Nobody can be chosen, but one that cannot be reached may return."""
        members = self.members
        if all(member.draining for member in members) or any(set(m.bars) <= {"ejected"} for m in members):
            return False
        return any(set(member.bars) <= {"ejected", "unreachable"} for member in members)

    # --- what happens ---

    def comes(self, used: Sequence[Member], stuck: str, group: Group | None) -> None:
        origin = Origin("192.0.2.1")
        origin.group = group
        self.coming = priority(group)
        try:
            chosen = self.places.choose(used, origin, self.random.randbytes(8), stuck)
        except QueueFull:
            assert len(self.waiting) == self.length
            assert all(waits.priority >= priority(group) for waits in self.waiting)
        except NoServer:
            assert not self.eligible(used, stuck)
            assert not self.outage
        else:
            if isinstance(chosen, Member):
                assert self.has_place
                assert not self.suits(chosen)
                self.begins(chosen, used, stuck, group)
            else:
                waits = Waits(used, stuck, group, chosen, self.clock.seconds())
                self.waiting.append(waits)
                chosen.addCallbacks(self.served, self.refused, (waits,), {}, (waits,))
                chosen.addErrback(self.wrong.append)

    def served(self, member: Member, waits: Waits) -> None:
        assert self.has_place
        suits = self.suits(member)
        self.given += 1
        if waits is not max(suits, key=lambda one: one.priority):  # of equal ones it is the first
            assert self.given >= queue.OUT_OF_TURN
            assert waits is next(one for one in suits if one.priority < max(w.priority for w in self.waiting))
            assert self.clock.seconds() - waits.came >= queue.PATIENCE
            self.given = 0
        self.waiting.remove(waits)
        self.begins(member, waits.used, waits.stuck, waits.group)

    @property
    def has_place(self) -> bool:
        """So far as the pool's own limit goes."""
        used = sum(member.figures.outstanding for member in self.members)
        return self.limit is None or used < self.limit.total

    def suits(self, member: Member) -> list[Waits]:
        """Whom a place of this one suits, in the order of their coming."""
        return [waits for waits in self.waiting if member in self.eligible(waits.used, waits.stuck)]

    def refused(self, failure: Failure, waits: Waits) -> None:
        if failure.check(QueueFull):
            lowest = min(one.priority for one in self.waiting)
            assert waits is [one for one in self.waiting if one.priority == lowest][-1]
            assert lowest < self.coming
            assert len(self.waiting) == self.length
        self.waiting.remove(waits)

    def begins(self, member: Member, used: Sequence[Member], stuck: str, group: Group | None) -> None:
        assert member in self.eligible(used, stuck)
        attempt = object()
        member.began(attempt, self.clock.seconds())
        figures, settings = member.figures, member.settings
        figures.links_idle -= bool(figures.links_idle)
        figures.links_busy += 1
        assert not settings.maximum_transactions or figures.outstanding <= settings.maximum_transactions
        assert not settings.maximum_links or figures.links <= settings.maximum_links
        if self.random.random() < 0.2:  # it fails at once, and goes on to another server
            self.ends(member, attempt, keep=False)
            if len(used) < 2:
                self.comes([*used, member], stuck, group)
        else:
            self.running.append((member, attempt))

    def ends(self, member: Member, attempt: object, keep: bool) -> None:
        member.figures.links_busy -= 1
        member.figures.links_idle += keep
        self.places.freed()
        member.ended(attempt)
        self.places.freed()

    def step(self) -> None:
        random, members = self.random, self.members
        what, member = random.random(), random.choice(members)
        if what < 0.45:
            used = random.sample(members, random.choice((0, 0, 0, 1, 2))) if len(members) > 2 else []
            stuck = random.choice(members).key if random.random() < 0.3 else ""
            self.comes(used, stuck, random.choice((*GROUPS, HURRIED)))
        elif what < 0.8 and self.running:
            self.ends(*self.running.pop(random.randrange(len(self.running))), keep=random.random() < 0.5)
        elif what < 0.85 and self.waiting:
            random.choice(self.waiting).deferred.cancel()
        elif what < 0.96:
            if what < 0.88:
                member.bar(random.choice(BARS))
            elif what < 0.91:
                for bar in random.sample(BARS, 2):
                    member.unbar(bar, self.clock.seconds())
            elif what < 0.94:
                member.draining = random.random() < 0.4
            else:
                member.figures.links_idle = 0
            self.places.freed()
        else:
            self.clock.advance(random.random())

    def check(self) -> None:
        for failure in self.wrong:
            failure.raiseException()
        assert self.figures.queued == len(self.waiting) <= self.length
        for figures in self.figures.queues:
            assert figures.length == sum(one.priority == figures.priority for one in self.waiting)
        for waits in self.waiting:
            eligible = self.eligible(waits.used, waits.stuck)
            assert eligible or self.outage, "it has no server left, and was not told"
            assert not (self.has_place and any(member.has_place() for member in eligible)), "it was not woken"
            assert waits.until > self.clock.seconds()


@pytest.mark.parametrize("out_of_turn", [2, 5, 16])
def test_nobody_waits_in_vain_and_nobody_is_overtaken(out_of_turn: int) -> None:
    for seed in range(20):
        with patch.object(queue, "OUT_OF_TURN", out_of_turn):
            play(World(Random(100 * out_of_turn + seed)))


def play(world: World) -> None:
    for _ in range(250):
        world.step()
        world.check()
    world.clock.advance(TIMEOUT)
    world.check()
    assert not world.waiting
    assert not world.clock.getDelayedCalls()
