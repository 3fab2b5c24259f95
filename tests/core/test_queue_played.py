"""What comes of the queue when a pool of twelve places of 20 ms is played out: who waits how long.

Arrivals are at random and do not wait for answers; the same seed gives the same run. Nothing sleeps.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from heapq import heappop, heappush
from random import Random
from unittest.mock import patch

import pytest

from sslbroker.core import queue as module
from sslbroker.core.figures import PoolFigures
from sslbroker.core.queue import OUT_OF_TURN, PoolQueue, Queued

PLACES, TAKES = 12, 0.02
CAPACITY = PLACES / TAKES  # transactions a second


def play(loads: Mapping[int, float], seconds: float, timeout: float = 5.0) -> dict[int, list[float]]:
    """`loads` are arrivals of each priority, in parts of the capacity. How long each of them waited that got
    a place."""
    random = Random(5)
    queue: PoolQueue[Queued] = PoolQueue(PoolFigures("shop", "http", []))
    waits: dict[int, list[float]] = {priority: [] for priority in loads}
    busy: list[float] = []  # when each place in use is free
    leaves: list[tuple[float, int, Queued]] = []
    arrivals = [(random.expovariate(load * CAPACITY), priority) for priority, load in loads.items()]
    arrivals.sort()
    none: set[Hashable] = set()
    number = 0

    def serve(until: float) -> None:
        while busy and busy[0] <= until:
            now = heappop(busy)
            while leaves and leaves[0][0] <= now:
                queue.remove(heappop(leaves)[2])
            for one in queue.turns(none, now):
                queue.served(one, now)
                assert one.came is not None
                waits[one.priority].append(now - one.came)
                heappush(busy, now + TAKES)
                break

    while arrivals[0][0] < seconds:
        now, priority = heappop(arrivals)
        heappush(arrivals, (now + random.expovariate(loads[priority] * CAPACITY), priority))
        serve(now)
        if len(busy) < PLACES:
            waits[priority].append(0.0)
            heappush(busy, now + TAKES)
        else:
            one = Queued(priority, None)
            queue.push(one, now)
            number += 1
            heappush(leaves, (now + timeout, number, one))
    return waits


def strictly(loads: Mapping[int, float], seconds: float) -> dict[int, list[float]]:
    """The same without turns for who has waited long."""
    with patch.object(module, "OUT_OF_TURN", 10**9):
        return play(loads, seconds)


def mean(waits: list[float]) -> float:
    return sum(waits) / len(waits)


def p99(waits: list[float]) -> float:
    return sorted(waits)[len(waits) * 99 // 100]


def test_many_who_have_waited_long_do_not_take_over() -> None:
    loads = {5: 0.375, 1: 1.125}  # half as much again as there are places
    aged, strict = play(loads, 30), strictly(loads, 30)
    assert mean(aged[5]) == pytest.approx(mean(strict[5]), rel=0.03)
    assert p99(aged[5]) == pytest.approx(p99(strict[5]), rel=0.03)
    assert p99(aged[5]) < 0.014
    assert min(aged[1][-1000:]) > 1.0, "the lowest have all waited long"


def test_nobody_starves() -> None:
    loads = {5: 1.03, 1: 0.2}
    aged, strict = play(loads, 20), strictly(loads, 20)
    share = len(aged[1]) / (len(aged[1]) + len(aged[5]))
    assert share == pytest.approx(1 / OUT_OF_TURN, rel=0.2)
    assert len(strict[1]) < len(aged[1]) / 2


def test_those_in_the_middle_do_not_starve_the_lowest() -> None:
    aged = play({5: 0.4, 4: 0.4, 3: 0.4, 2: 0.2, 1: 0.2}, 20)
    assert mean(aged[5]) < 0.005
    # Not all turns by age are theirs: of those in the middle, too, some wait as long.
    assert len(aged[2]) + len(aged[1]) > 0.6 * sum(map(len, aged.values())) / OUT_OF_TURN
    assert len(aged[1]) == pytest.approx(len(aged[2]), rel=0.2)
