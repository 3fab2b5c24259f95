"""A pool played out in a time of its own: arrivals at random, servers with service times, a law that chooses.

A server works on `places` tries at once and lets the others wait, first come, first served. What it takes and
whether it fails may change with the time. Nothing sleeps: the next event is the next moment. The same seed
gives the same run, and `Run` says who got what, and when.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random

from sslbroker.core.balancing import BALANCERS, Balancer, LeastTime
from sslbroker.core.choosing import Choosing
from sslbroker.core.members import Member
from sslbroker.interfaces import Origin
from sslbroker.settings import Server

ORIGIN = Origin("203.0.113.7")


def law(name: str) -> Balancer:
    """A law by its name in a configuration; what it draws is the same in every run."""
    return LeastTime(Random(7)) if name == "least-time" else BALANCERS[name]()


@dataclass
class Model:
    """One server: how it behaves, as functions of the time."""

    takes: Callable[[float], float]  # mean seconds of work on one try
    weight: int = 1
    fails: Callable[[float], bool] = lambda now: False
    fails_after: float = 0.0005
    places: int = 1_000_000
    slow_start: float = 10.0


@dataclass
class Run:
    """What happened."""

    members: Sequence[Member]
    chosen: list[tuple[float, int]] = field(default_factory=list)  # when, and the number of the member
    outstanding: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)  # at each arrival, of each

    def shares(self, begin: float = 0.0, end: float = 1e9) -> list[float]:
        """Of the tries that began in this time, the share of each member."""
        tries = Counter(number for when, number in self.chosen if begin <= when < end)
        return [tries[number] / tries.total() for number in range(len(self.members))]

    def busy(self, begin: float = 0.0, end: float = 1e9) -> list[float]:
        """The mean of what each had outstanding in this time."""
        seen = [numbers for when, numbers in self.outstanding if begin <= when < end]
        return [sum(each) / len(seen) for each in zip(*seen, strict=True)]

    def most(self, number: int, begin: float = 0.0, end: float = 1e9) -> float:
        """The greatest part that one member ever had of all that was outstanding in this time."""
        seen = [numbers for when, numbers in self.outstanding if begin <= when < end]
        return max(numbers[number] / max(1, sum(numbers)) for numbers in seen)


def play(
    models: Sequence[Model],
    balancer: Balancer,
    *,
    rate: float,
    seconds: float,
    seed: int = 1,
    at: Sequence[tuple[float, Callable[[Sequence[Member]], None]]] = (),
    steady_times: bool = False,
) -> Run:
    """Play it for so many seconds, with so many transactions a second.

    `at` are things that are done to the members at some time. Service times are exponentially distributed
    around the mean, or all alike when `steady_times`. A try that fails goes on to another member.
    """
    random = Random(seed)
    members = [
        Member(Server(f"10.0.0.{number}:80", model.weight), model.slow_start)
        for number, model in enumerate(models, 1)
    ]
    numbers = {member: number for number, member in enumerate(members)}
    choosing = Choosing(members, balancer)
    run = Run(members)
    free: list[list[float]] = [[0.0] * min(model.places, 10_000) for model in models]
    order = count()
    events: list[tuple[float, int, Callable[[], None]]] = []
    now = 0.0

    def later(when: float, what: Callable[[], None]) -> None:
        heappush(events, (when, next(order), what))

    def begin(key: bytes, used: list[Member]) -> None:
        member = choosing.choose(used, ORIGIN, key, "", now)
        assert member is not None
        number = numbers[member]
        model = models[number]
        run.chosen.append((now, number))
        attempt = object()
        member.began(attempt, now)
        failed = model.fails(now)
        work = model.fails_after if failed else model.takes(now)
        if not steady_times:
            work = random.expovariate(1.0 / work)
        began = now
        start = max(now, heappop(free[number]))
        heappush(free[number], start + work)

        def over() -> None:
            member.answered(attempt, now - began, not failed)
            member.ended(attempt)
            if failed and len(used) < len(members) - 1:
                begin(key, [*used, member])

        later(start + work, over)

    def arrive() -> None:
        run.outstanding.append((now, tuple(member.outstanding for member in members)))
        begin(random.randbytes(8), [])
        later(now + random.expovariate(rate), arrive)

    for when, what in at:
        later(when, partial(what, members))
    later(0.0, arrive)
    while events[0][0] < seconds:
        now, _, happens = heappop(events)
        happens()
    return run
