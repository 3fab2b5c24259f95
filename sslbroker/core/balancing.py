"""The laws of choice: which of the members that can take a try gets it.

Decides by round-robin, least-connections, least-time or hash; BALANCERS has them by their names in a
configuration. Invariant: a law is asked about whoever is there now, in the configuration's order; members
come and go from call to call, and what was one's share falls to the others by their weights. Refuses to know
who may be chosen (`choosing` does), links and health.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import accumulate
from math import log
from random import Random
from random import random as random_of_all
from typing import Protocol

from zope.interface import implementer

from ..interfaces import IBalancer, Origin
from .members import Member

#: Seconds for which what was worked out about all members of a pool is used: their weights and median.
LOOK_EVERY = 0.25

#: Seconds below which server times are not told apart: less is noise, and 0 would outweigh any load.
SHORTEST = 0.0001


class Balancer(Protocol):
    """A law of choice.

    `members` is never empty, and is not changed after the call: the same object has the same members.
    """

    def choose(self, members: Sequence[Member], origin: Origin, key: bytes, now: float) -> Member: ...


@implementer(IBalancer)
class RoundRobin:
    """Each in turn, as often as its weight says, and evenly spread: weights 5, 1, 1 give A A B A C A A.

    This is nginx's smooth weighted round-robin: each gains its weight, the richest is chosen and pays what
    all have gained. Who is left out neither gains nor pays.
    """

    __slots__ = ("_credits",)

    def __init__(self) -> None:
        self._credits: dict[Member, float] = {}

    def choose(self, members: Sequence[Member], origin: Origin, key: bytes, now: float) -> Member:
        credits, gained, most, richest = self._credits, 0.0, 0.0, members[0]
        for member in members:
            weight = member.weight_at(now)
            gained += weight
            credits[member] = credit = credits.get(member, 0.0) + weight
            if credit > most or member is richest:
                most, richest = credit, member
        credits[richest] = most - gained
        return richest


@implementer(IBalancer)
class LeastConnections:
    """The lowest (outstanding + 1) / weight; of equal ones, the one whose last turn is longest ago.

    `Member.load` is what is outstanding, with tries that have just failed.
    """

    __slots__ = ("_turn", "_turns")

    def __init__(self) -> None:
        self._turn = 0
        self._turns: dict[Member, int] = {}

    def choose(self, members: Sequence[Member], origin: Origin, key: bytes, now: float) -> Member:
        turns, least, chosen = self._turns, 0.0, members[0]
        for member in members:
            score = (member.load(now) + 1) / member.weight_at(now)
            if (
                score < least
                or member is chosen
                or (score == least and turns.get(member, 0) < turns.get(chosen, 0))
            ):
                least, chosen = score, member
        self._turn += 1
        turns[chosen] = self._turn
        return chosen


class Weights:
    """The weights of members, looked up once in a while: in a slow start they change with the time."""

    __slots__ = ("_members", "_until", "bounds", "each", "even", "total")

    def __init__(self) -> None:
        self._members: Sequence[Member] = ()
        self._until = 0.0
        self.each: list[float] = []
        self.bounds: list[float] = []  # the sums of the weights so far
        self.total = 0.0
        self.even = True  # all are equal

    def look(self, members: Sequence[Member], now: float) -> None:
        """Be about these members, at this time or shortly before."""
        if members is self._members and now < self._until:
            return
        self._members, self._until = members, now + LOOK_EVERY
        self.each = [member.weight_at(now) for member in members]
        self.bounds = list(accumulate(self.each))
        self.total = self.bounds[-1]
        self.even = min(self.each) == max(self.each)


@implementer(IBalancer)
class LeastTime:
    """Of two members drawn at random, the one with the lower

        max(mean server time, age of the oldest try without an answer) x (outstanding + 1) / weight

    Two, because the best of all would be chosen by everybody who looks before its first new try shows (the
    "power of two choices", Mitzenmacher 2001). They are drawn by their weights; else a member could have no
    more than 2/n of the tries, whatever its weight. A member that has not been measured counts with the
    median. The mean of one that is not measured again moves evenly toward the median and is there after
    10 s (`Member.response_time`), so that a slow server is tried again: the slowest of a pool, too, as of an
    even number of times the lower middle one is the median. The median is at most `LOOK_EVERY` old.
    """

    __slots__ = ("_median", "_random", "_until", "_weights")

    def __init__(self, random: Random | None = None) -> None:
        # The module's own is begun anew in a process that is forked: no two workers draw the same.
        self._random = random_of_all if random is None else random.random
        self._weights = Weights()
        self._median = SHORTEST
        self._until = 0.0

    def choose(self, members: Sequence[Member], origin: Origin, key: bytes, now: float) -> Member:
        if now >= self._until:
            self._compare(members, now)
        count = len(members)
        if count == 1:
            return members[0]
        weights, random = self._weights, self._random
        weights.look(members, now)
        if weights.even:
            first = int(random() * count)
            second = int(random() * (count - 1))
            if second >= first:
                second += 1
        else:
            first, second = self._drawn(weights)
        one, other = members[first], members[second]
        median = self._median
        return one if one.burden(now, median, SHORTEST) <= other.burden(now, median, SHORTEST) else other

    def _drawn(self, weights: Weights) -> tuple[int, int]:
        """The numbers of two members, by their weights; the second as if the first was not there."""
        bounds, each, total, random = weights.bounds, weights.each, weights.total, self._random
        last = len(each) - 1
        first = min(bisect_right(bounds, random() * total), last)
        point = random() * (total - each[first])
        if point >= bounds[first] - each[first]:
            point += each[first]
        second = min(bisect_right(bounds, point), last)
        # The sums are rounded, so a point beside the gap may seem to be in it.
        return first, second if second != first else (first + 1) % (last + 1)

    def _compare(self, members: Sequence[Member], now: float) -> None:
        """Find the median, and tell the members what is typical."""
        self._until = now + LOOK_EVERY
        times = sorted(time for member in members if (time := member.response_time(now)) is not None)
        if times:
            self._median = median = max(times[(len(times) - 1) // 2], SHORTEST)
            for member in members:
                member.typical = median


#: A prime (Mersenne's ninth). A number below it, times another, modulo it: as good as drawn at random.
_PRIME = 2**61 - 1


@implementer(IBalancer)
class Hash:
    """The same member for the same key, as long as it is there: weighted rendezvous hashing.

    Key and member together give each member a number, evenly spread between 0 and 1; the highest
    log(number) / weight wins (Schindelhauer and Schomaker 2005). So the shares follow the weights exactly;
    a member that is left out moves only its own keys, evenly to all others; one that is added, or whose
    weight grows (in its slow start), only takes keys, and takes each of them once.

    A ring of points was the other choice. It costs about 2 microseconds for any number of members, this 2 for
    3 members, 20 for 100 and 200 for 1000 (with different weights two to three times that). But a ring's
    shares are off by 8 % with 160 points a member, a few neighbours get all keys of who is left out, a weight
    that changes moves points, a slow start needs a mechanism of its own, and sorting the points of 1000
    members holds up everything else. Pools are small, and transactions cost far more than a choice.
    """

    __slots__ = ("_known", "_seeds", "_seeds_of", "_weights")

    def __init__(self) -> None:
        self._weights = Weights()
        self._known: dict[Member, int] = {}  # a digest for each try is too much where limits apply
        self._seeds_of: Sequence[Member] = ()
        self._seeds: list[int] = []

    def choose(self, members: Sequence[Member], origin: Origin, key: bytes, now: float) -> Member:
        weights = self._weights
        weights.look(members, now)
        if members is not self._seeds_of:
            known = self._known
            self._seeds_of, self._seeds = (
                members,
                [
                    known.get(member) or known.setdefault(member, _seed(member.key.encode()))
                    for member in members
                ],
            )
        point = _seed(key)
        numbers: list[float] = [point * seed % _PRIME for seed in self._seeds]
        if not weights.even:
            numbers = [
                log(number / _PRIME) / weight for number, weight in zip(numbers, weights.each, strict=True)
            ]
        return members[numbers.index(max(numbers))]


def _seed(of: bytes) -> int:
    """A number from 1 to below the prime, the same in every process and on every machine."""
    return int.from_bytes(blake2b(of, digest_size=8).digest(), "big") % (_PRIME - 1) + 1


BALANCERS: dict[str, Callable[[], Balancer]] = {
    "round-robin": RoundRobin,
    "least-connections": LeastConnections,
    "least-time": LeastTime,
    "hash": Hash,
}
