"""Each group of clients is promised a time: its own, that of its priority, or one that fits the pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.members import EJECTED, Member
from sslbroker.core.thresholds import ENOUGH, KEPT, MULTIPLE, PAUSE, IdleTimes, Thresholds
from sslbroker.core.warming import FIRST
from sslbroker.settings import Group, Server

GOLD = Group("gold", (), 5)
AUTO = replace(GOLD, threshold="auto")


@pytest.mark.parametrize(
    ("priority", "seconds"), [(5, 0.010), (4, 0.020), (3, 0.030), (2, 0.040), (1, 0.050)]
)
def test_a_threshold_follows_from_the_priority(priority: int, seconds: float) -> None:
    group = Group("gold", (), priority)
    assert Thresholds().of(group) == Thresholds([group]).of(group) == seconds


def test_a_group_may_have_a_threshold_of_its_own() -> None:
    group = Group("gold", (), 5, 0.2)
    assert Thresholds().of(group) == Thresholds([group]).of(group) == 0.2


def test_clients_in_no_group_are_promised_what_priority_1_is() -> None:
    assert Thresholds().of(None) == 0.050


def test_the_least_of_all_is_known() -> None:
    assert Thresholds().least == 0.0
    assert Thresholds([GOLD, Group("slow", (), 1)]).least == 0.010
    pool = Pool()
    assert pool.thresholds.least == 0.010
    pool.answers(pool.members[0], [0.03] * ENOUGH)
    assert pool.thresholds.least == 0.06, "also of one that is learnt"


# --- what a pool takes when it is idle ---


class Pool:
    """Servers whose answers are told to the thresholds of one group, a moment apart."""

    def __init__(self, group: Group = AUTO, servers: int = 3, warm: bool = True) -> None:
        self.group = group
        self.members = [Member(Server(f"10.0.0.{number}:80")) for number in range(servers)]
        self.thresholds = Thresholds([group], self.members)
        self.now = 1000.0
        if warm:
            for member in self.members:
                self.answers(member, [9.9] * FIRST)

    def answers(self, member: Member, times: list[float], load: int = 0, pause: float = PAUSE) -> None:
        for seconds in times:
            self.now += pause
            self.thresholds.heard(member, seconds, load, self.now)

    @property
    def threshold(self) -> float:
        return self.thresholds.of(self.group)


def test_until_enough_is_known_the_priority_s_holds() -> None:
    pool = Pool()
    first = pool.members[0]
    pool.answers(first, [0.03] * (ENOUGH - 1))
    assert (pool.threshold, pool.thresholds.idle(), pool.thresholds.idle(first)) == (0.010, None, None)
    pool.answers(first, [0.03])
    assert (pool.threshold, pool.thresholds.idle(), pool.thresholds.idle(first)) == (0.06, 0.03, 0.03)
    assert pool.thresholds.idle(pool.members[1]) is None


def test_it_is_never_below_the_priority_s() -> None:
    pool = Pool()
    pool.answers(pool.members[0], [0.001] * ENOUGH)
    assert (pool.threshold, pool.thresholds.idle()) == (0.010, 0.001)


def test_what_is_answered_under_load_teaches_nothing() -> None:
    pool = Pool()
    pool.answers(pool.members[0], [0.03] * 100, load=1)
    assert pool.thresholds.idle() is None


def test_nor_does_a_server_s_beginning() -> None:
    pool = Pool(warm=False)
    member = pool.members[0]
    assert not pool.thresholds.warm(member)
    pool.answers(member, [9.9] * FIRST)
    pool.answers(member, [0.03] * ENOUGH)
    assert pool.thresholds.warm(member)
    assert pool.thresholds.idle() == 0.03
    member.bar(EJECTED)
    member.unbar(EJECTED, pool.now)
    assert not pool.thresholds.heard(member, 9.9, 0, pool.now)
    assert pool.thresholds.idle() == 0.03
    assert pool.thresholds.heard(member, 0.03, 0, pool.now + 5.0)


@pytest.mark.parametrize("servers", [2, 3])
def test_a_slow_server_does_not_raise_it(servers: int) -> None:
    pool = Pool(servers=servers)
    slow, *others = pool.members
    pool.answers(slow, [0.5] * KEPT)
    for member in others:
        pool.answers(member, [0.02] * ENOUGH)
    assert (pool.threshold, pool.thresholds.idle()) == (0.04, 0.02)
    assert pool.thresholds.idle(slow) == 0.5


def test_nor_does_one_that_is_barred() -> None:
    pool = Pool(servers=2)
    slow, other = pool.members
    pool.answers(slow, [0.5] * ENOUGH)
    assert pool.threshold == 1.0
    slow.bar(EJECTED)
    assert pool.thresholds.idle() is None
    pool.answers(other, [0.02])
    assert pool.threshold == 1.0  # nothing better is known
    pool.answers(other, [0.02] * ENOUGH)
    assert pool.threshold == 0.04


def test_it_changes_once_a_second_at_most_and_not_for_a_trifle() -> None:
    pool = Pool(servers=1)
    (member,) = pool.members
    pool.answers(member, [0.02] * ENOUGH)
    pool.answers(member, [0.0219] * KEPT)
    assert pool.threshold == 0.04
    pool.answers(member, [0.03] * (KEPT - 1), pause=PAUSE / KEPT)
    assert pool.threshold == 0.04
    pool.answers(member, [0.03])
    assert pool.threshold == 0.06


def test_a_group_with_a_threshold_of_its_own_keeps_it_and_the_idle_time_is_known_all_the_same() -> None:
    pool = Pool(replace(GOLD, threshold=0.015))
    pool.answers(pool.members[0], [0.03] * ENOUGH)
    assert (pool.threshold, pool.thresholds.idle()) == (0.015, 0.03)


@given(st.lists(st.sampled_from([0.001, 0.002, 0.02, 0.5]) | st.floats(0.0, 9.0), max_size=3 * KEPT))
def test_a_server_s_idle_times_are_the_last_of_them(times: list[float]) -> None:
    idle = IdleTimes(Member(Server("a:1")))
    for seconds in times:
        idle.add(seconds)
    kept = sorted(times[-KEPT:])
    for share in (0.5, 0.95):
        known = kept[ceil(share * len(kept)) - 1] if len(kept) >= ENOUGH else None
        assert idle.quantile(share) == known


# --- the rule, played ---

MEAN = 0.02
KINDS: dict[str, Callable[[Random], float]] = {
    "even": lambda random: MEAN,
    "nearly even": lambda random: MEAN * random.uniform(0.9, 1.1),
    "exponential": lambda random: random.expovariate(1 / MEAN),
    "log-normal": lambda random: random.lognormvariate(0.0, 0.5) * MEAN / 1.133,
    "log-normal, wide": lambda random: random.lognormvariate(0.0, 1.0) * MEAN / 1.649,
    "two kinds, one in ten long": lambda random: MEAN / 2.9 * (20 if random.random() < 0.1 else 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_idle_pool_breaches_what_it_has_taught_one_time_in_eighty_at_most(kind: str) -> None:
    random, times = Random(kind), KINDS[kind]
    pool = Pool()
    for member in pool.members:
        pool.answers(member, [times(random) for _ in range(KEPT)])
    held = pool.threshold
    assert sum(times(random) > held for _ in range(20_000)) <= 20_000 / 80


@pytest.mark.parametrize("kind", ["even", "nearly even"])
def test_servers_that_are_three_times_slower_are_noticed_each_time(kind: str) -> None:
    random, times = Random(kind), KINDS[kind]
    pool = Pool()
    for member in pool.members:
        pool.answers(member, [times(random) for _ in range(KEPT)])
    assert pool.threshold < min(3 * times(random) for _ in range(1000))
    assert pool.threshold >= MULTIPLE * MEAN
