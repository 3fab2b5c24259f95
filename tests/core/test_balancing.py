"""The laws of choice: what each decides. `test_balancing_played` shows what comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain, repeat
from random import Random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from sslbroker.core.balancing import (
    BALANCERS,
    LOOK_EVERY,
    SHORTEST,
    Balancer,
    Hash,
    LeastConnections,
    LeastTime,
    RoundRobin,
)
from sslbroker.core.members import MEMORY, Member
from sslbroker.interfaces import IBalancer
from sslbroker.settings import Server

from .simulation import ORIGIN, law

LAWS = sorted(BALANCERS)


def members(*weights: int, slow_start: float = 10.0) -> tuple[Member, ...]:
    return tuple(
        Member(Server(f"10.0.0.{number}:80", weight), slow_start) for number, weight in enumerate(weights, 1)
    )


def choose(
    balancer: Balancer, pool: Sequence[Member], times: int = 1, *, key: bytes = b"key", now: float = 0.0
) -> str:
    """``1 2 3`` for the last numbers of the members that are chosen one after the other."""
    chosen = [balancer.choose(pool, ORIGIN, key, now) for _ in range(times)]
    return " ".join(member.settings.host.rpartition(".")[2] for member in chosen)


def outstanding(pool: Sequence[Member], *numbers: int) -> None:
    for member, number in zip(pool, numbers, strict=True):
        member.figures.outstanding = number


def answered(member: Member, seconds: float, now: float, good: bool = True) -> None:
    attempt = object()
    member.began(attempt, now - seconds)
    member.answered(attempt, seconds, good)
    member.ended(attempt)


class Drawn(Random):
    """Draws what it was told to, again and again."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self._numbers = chain.from_iterable(repeat(numbers))

    def random(self) -> float:
        return next(self._numbers)


def test_the_names_of_the_configuration_have_their_laws() -> None:
    assert {
        "round-robin": RoundRobin,
        "least-connections": LeastConnections,
        "least-time": LeastTime,
        "hash": Hash,
    } == BALANCERS


@pytest.mark.parametrize("name", LAWS)
def test_each_is_made_anew_and_is_a_balancer(name: str) -> None:
    verifyObject(IBalancer, BALANCERS[name]())


@pytest.mark.parametrize("name", LAWS)
def test_one_member_is_chosen_always(name: str) -> None:
    assert choose(law(name), members(3), 3) == "1 1 1"


@hypothesis_settings(max_examples=80, deadline=None)
@given(
    name=st.sampled_from(LAWS),
    weights=st.lists(st.integers(1, 1000), min_size=1, max_size=8),
    rounds=st.lists(st.tuples(st.sets(st.integers(0, 7)), st.floats(0, 20)), max_size=20),
)
def test_each_copes_with_members_that_come_and_go(
    name: str, weights: list[int], rounds: list[tuple[set[int], float]]
) -> None:
    pool, balancer, now = members(*weights), law(name), 0.0
    for there, gap in rounds:
        now += gap
        some = tuple(member for number, member in enumerate(pool) if number in there) or pool
        chosen = balancer.choose(some, ORIGIN, b"key", now)
        assert chosen in some
        answered(chosen, gap / 10, now, good=gap < 15)


# --- round-robin ---


def test_round_robin_takes_each_in_turn() -> None:
    assert choose(RoundRobin(), members(1, 1, 1), 7) == "1 2 3 1 2 3 1"


def test_round_robin_spreads_who_comes_often() -> None:
    assert choose(RoundRobin(), members(5, 1, 1), 14) == "1 1 2 1 3 1 1 1 1 2 1 3 1 1"


def test_round_robin_does_not_look_at_what_members_are_doing() -> None:
    pool = members(1, 1)
    outstanding(pool, 100, 0)
    assert choose(RoundRobin(), pool, 4) == "1 2 1 2"


@hypothesis_settings(max_examples=40, deadline=None)
@given(weights=st.lists(st.integers(1, 20), min_size=1, max_size=6), rounds=st.integers(1, 3))
def test_round_robin_gives_exact_shares(weights: list[int], rounds: int) -> None:
    pool, balancer = members(*weights), RoundRobin()
    turns = Counter(balancer.choose(pool, ORIGIN, b"", 0.0) for _ in range(rounds * sum(weights)))
    assert [turns[member] for member in pool] == [rounds * weight for weight in weights]


def test_round_robin_follows_a_slow_start() -> None:
    pool, balancer = members(1, 1), RoundRobin()
    pool[0].bar("down")
    pool[0].unbar("down", 0.0)
    assert choose(balancer, pool, 11, now=1.0).count("1") == 1
    assert choose(balancer, pool, 12, now=5.0).count("1") == 4
    assert choose(balancer, pool, 12, now=10.0).count("1") == 6


@pytest.mark.parametrize("name", ["round-robin", "least-connections"])
def test_who_is_left_out_skews_nothing(name: str) -> None:
    """One of four fails always, and whoever had it goes on to another."""
    pool, balancer = members(1, 1, 1, 1), law(name)
    others = (pool[0], pool[2], pool[3])
    served: Counter[str] = Counter()
    for _ in range(300):
        first = choose(balancer, pool)
        served[choose(balancer, others) if first == "2" else first] += 1
    assert served.keys() == {"1", "3", "4"}
    assert max(served.values()) - min(served.values()) <= 2


# --- least-connections ---


def test_least_connections_takes_who_does_least() -> None:
    pool = members(1, 1, 1)
    outstanding(pool, 2, 1, 3)
    assert choose(LeastConnections(), pool, 2) == "2 2"


def test_least_connections_counts_by_weight() -> None:
    pool = members(1, 4)
    outstanding(pool, 1, 6)
    assert choose(LeastConnections(), pool) == "2", "(6 + 1) / 4 is less than (1 + 1) / 1"
    outstanding(pool, 1, 8)
    assert choose(LeastConnections(), pool) == "1", "(8 + 1) / 4 is more"


def test_least_connections_takes_equals_in_turn() -> None:
    assert choose(LeastConnections(), members(1, 1, 1), 7) == "1 2 3 1 2 3 1"
    pool = members(1, 1, 1)
    outstanding(pool, 1, 0, 0)
    assert choose(LeastConnections(), pool, 6) == "2 3 2 3 2 3"


def test_least_connections_does_not_take_who_has_just_failed_for_idle() -> None:
    pool = members(1, 1)
    outstanding(pool, 0, 1)
    assert choose(LeastConnections(), pool, now=1.0) == "1"
    for _ in range(3):
        answered(pool[0], 0.001, 1.0, good=False)
    assert choose(LeastConnections(), pool, now=1.0) == "2"
    assert choose(LeastConnections(), pool, now=60.0) == "1"


# --- least-time ---


def pair(*pool: Member, now: float = 0.0) -> str:
    """Which of two least-time takes: the same whoever is drawn first."""
    taken = {choose(LeastTime(Drawn(first)), pool, now=now) for first in (0.0, 0.9)}
    assert len(taken) == 1, "which one is chance"
    return taken.pop()


def test_least_time_takes_the_faster_one() -> None:
    slow, fast = members(1, 1)
    answered(slow, 0.2, 1.0)
    answered(fast, 0.1, 1.0)
    assert pair(slow, fast, now=1.0) == "2"


def test_least_time_takes_the_slower_one_when_the_faster_one_is_busy() -> None:
    slow, fast = members(1, 1)
    answered(slow, 0.2, 1.0)
    answered(fast, 0.1, 1.0)
    outstanding((slow, fast), 1, 4)
    assert pair(slow, fast, now=1.0) == "1", "0.2 x 2 is less than 0.1 x 5"
    outstanding((slow, fast), 1, 2)
    assert pair(slow, fast, now=1.0) == "2", "0.2 x 2 is more than 0.1 x 3"


def test_least_time_takes_the_heavier_one() -> None:
    light, heavy = members(1, 3)
    outstanding((light, heavy), 1, 4)
    assert pair(light, heavy) == "2"
    outstanding((light, heavy), 1, 6)
    assert pair(light, heavy) == "1"


def test_least_time_sees_a_server_that_has_stopped_answering() -> None:
    stuck, slow = members(1, 1)
    answered(stuck, 0.01, 1.0)
    answered(slow, 0.2, 1.0)
    stuck.began("try", 1.0)
    assert pair(stuck, slow, now=1.05) == "1"
    assert pair(stuck, slow, now=1.15) == "2"


def test_least_time_gives_who_is_not_measured_the_median() -> None:
    fast, middle, slow, new = members(1, 1, 1, 1)
    for member, seconds in ((fast, 0.1), (middle, 0.2), (slow, 0.4)):
        answered(member, seconds, 1.0)
    balancer = LeastTime(Drawn(0.0))
    choose(balancer, (fast, middle, slow), now=1.0)
    median = balancer._median
    assert new.burden(1.0, median, SHORTEST) == middle.burden(1.0, median, SHORTEST)


def test_least_time_has_the_lower_of_two_for_the_median() -> None:
    """Else the slower one of two would never be tried again."""
    slow, fast = members(1, 1)
    answered(slow, 5.0, 10.0)
    answered(fast, 0.1, 10.0)
    assert pair(slow, fast, now=10.0) == "2"
    answered(fast, 0.1, 9.9 + MEMORY)
    choose(LeastTime(), (slow, fast), 10, now=10.0 + MEMORY)
    assert cast(float, slow.response_time(10.0 + MEMORY)) <= cast(float, fast.response_time(10.0 + MEMORY))


def test_least_time_works_out_the_median_once_in_a_while() -> None:
    one, other = members(1, 1)
    balancer = LeastTime(Random(1))
    choose(balancer, (one, other), now=1.0)
    answered(one, 0.5, 1.0)
    choose(balancer, (one, other), now=1.0 + LOOK_EVERY / 2)
    assert other.typical is None
    choose(balancer, (one, other), now=1.0 + LOOK_EVERY)
    assert {one.typical, other.typical} == {0.5}


def test_least_time_does_not_take_a_server_for_infinitely_fast() -> None:
    instant, other = members(1, 1)
    answered(instant, 0.0, 1.0)
    answered(other, SHORTEST, 1.0)
    outstanding((instant, other), 2, 1)
    assert pair(instant, other, now=1.0) == "2"


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 2, 3, 4), (7, 1, 1, 1)])
def test_least_time_draws_two_different_members_by_their_weights(weights: tuple[int, ...]) -> None:
    drawn: list[Member] = []

    class Telling(Member):
        def burden(self, now: float, usual: float, shortest: float) -> float:
            drawn.append(self)
            return 0.0

    pool = tuple(Telling(member.settings) for member in members(*weights))
    balancer, pairs = LeastTime(Random(3)), Counter[tuple[Member, ...]]()
    for _ in range(20_000):
        drawn.clear()
        balancer.choose(pool, ORIGIN, b"", 0.0)
        pairs[tuple(drawn)] += 1
    for first in pool:
        assert pairs[first, first] == 0
        for second in {*pool} - {first}:
            share = first.weight / sum(weights) * second.weight / (sum(weights) - first.weight)
            assert pairs[first, second] / 20_000 == pytest.approx(share, abs=0.015)


def test_least_time_draws_two_members_at_the_very_edges_too() -> None:
    pool = members(1, 2, 1)
    below_one = 1 - 2**-53
    for first in (0.0, 0.25, 0.75, below_one):
        for second in (0.0, 1 / 3, 2 / 3, below_one):
            assert choose(LeastTime(Drawn(first, second)), pool) in "123"


def test_sums_that_are_rounded_do_not_make_it_draw_one_member_twice() -> None:
    balancer = LeastTime(Drawn(0.5, 0.5))
    balancer._weights.each = [1.0, 9.5, 1.0]
    balancer._weights.bounds = [0.9, 10.9, 11.9]
    balancer._weights.total = 11.9
    assert balancer._drawn(balancer._weights) == (1, 2)


# --- hash ---

KEYS = [b"client %d" % number for number in range(6000)]


def owners(pool: Sequence[Member], now: float = 0.0, balancer: Hash | None = None) -> list[Member]:
    balancer = balancer or Hash()
    return [balancer.choose(pool, ORIGIN, key, now) for key in KEYS]


def unlikely(found: Sequence[int], expected: Sequence[float]) -> float:
    """Chi-square by its degrees of freedom: how many standard deviations above the mean."""
    freedom = len(found) - 1
    square = sum((one - other) ** 2 / other for one, other in zip(found, expected, strict=True))
    return float((square - freedom) / (2 * freedom) ** 0.5)


@pytest.mark.parametrize("weights", [(1, 1), (1, 1, 1), (1, 2, 3), (1, 10), (1,) * 30, (1, 100, 100, 1000)])
def test_hash_shares_by_weight(weights: tuple[int, ...]) -> None:
    pool = members(*weights)
    owned = Counter(owners(pool))
    expected = [len(KEYS) * weight / sum(weights) for weight in weights]
    assert unlikely([owned[member] for member in pool], expected) < 4


def test_hash_keeps_a_client_at_its_server_in_every_process() -> None:
    pool = members(1, 1, 1, 1)
    hosts = [b"203.0.113.%d" % number for number in range(12)]
    assert " ".join(choose(Hash(), pool, key=host) for host in hosts) == "2 2 4 3 3 1 2 1 2 3 3 2"
    pool = members(1, 2, 3, 4)
    assert " ".join(choose(Hash(), pool, key=host) for host in hosts) == "2 2 4 3 3 4 4 1 3 3 3 2"


@pytest.mark.parametrize("weights", [(1,) * 6, (1, 2, 3, 4, 5, 6)])
def test_hash_moves_only_the_keys_of_who_is_left_out_and_to_all_others(weights: tuple[int, ...]) -> None:
    pool, balancer = members(*weights), Hash()
    before = owners(pool, balancer=balancer)
    after = owners([*pool[:2], *pool[3:]], balancer=balancer)
    moved = [(was, now) for was, now in zip(before, after, strict=True) if was is not now]
    assert {was for was, _ in moved} == {pool[2]}
    assert len(moved) == before.count(pool[2])
    taken = Counter(now for _, now in moved)
    others = [member for member in pool if member is not pool[2]]
    total = sum(member.weight for member in others)
    expected = [len(moved) * member.weight / total for member in others]
    assert unlikely([taken[member] for member in others], expected) < 4
    assert owners(pool, balancer=balancer) == before, "and gives them back"


def test_hash_lets_who_comes_only_take() -> None:
    pool = members(1, 1, 1, 1, 1)
    before, after = owners(pool[:4]), owners(pool)
    assert {now for was, now in zip(before, after, strict=True) if was is not now} == {pool[4]}
    assert after.count(pool[4]) == pytest.approx(len(KEYS) / 5, rel=0.15)


def test_hash_gives_keys_back_one_by_one_in_a_slow_start() -> None:
    pool, balancer = members(1, 1, 1, 1), Hash()
    full = owners(pool, balancer=balancer)
    pool[1].bar("down")
    without = owners([pool[0], *pool[2:]], balancer=balancer)
    pool[1].unbar("down", 100.0)
    taken: list[int] = []
    last = without
    for now in (100.0, 102.0, 104.0, 106.0, 108.0):
        owned = owners(pool, now, balancer)
        assert {new for old, new in zip(last, owned, strict=True) if old is not new} == {pool[1]}
        taken.append(owned.count(pool[1]))
        last = owned
    assert taken[0] == pytest.approx(len(KEYS) * 0.1 / 3.1, rel=0.2)
    assert taken == sorted(taken)
    assert owners(pool, 110.0, balancer) == full


def test_hash_heeds_a_weight_that_is_changed() -> None:
    pool, balancer = members(1, 1), Hash()
    before = owners(pool, balancer=balancer)
    pool[0].weight = 3
    after = owners(tuple(pool), 1.0, balancer=balancer)
    assert {now for was, now in zip(before, after, strict=True) if was is not now} == {pool[0]}
    assert after.count(pool[0]) == pytest.approx(len(KEYS) * 3 / 4, rel=0.05)
