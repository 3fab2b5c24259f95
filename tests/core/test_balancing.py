"""The laws of choice, by playing them out: who gets how much, and who is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sslbroker.core.balancing import BALANCERS, Balancer, LeastConnections, Member, RoundRobin, choose
from sslbroker.settings import Server


def members(count: int) -> list[Member]:
    return [Member(Server(f"10.0.0.{number}:80")) for number in range(1, count + 1)]


def names(chosen: Sequence[Member | None]) -> str:
    """``1 2 3`` for the members' last numbers."""
    return " ".join(member.settings.host[-1] if member else "-" for member in chosen)


def test_a_member_is_called_what_the_operator_calls_it() -> None:
    member = Member(Server("[2001:db8::1]:8443", weight=3))
    assert member.address == member.figures.address == "[2001:db8::1]:8443"
    assert member.figures.weight == 3


def test_the_names_of_the_configuration_have_their_laws() -> None:
    assert {"round-robin": RoundRobin, "least-connections": LeastConnections} == BALANCERS


# --- each law ---


@pytest.mark.parametrize("law", BALANCERS.values())
def test_idle_members_are_taken_in_turn_in_the_order_of_the_configuration(law: type[Balancer]) -> None:
    pool, balancer = members(3), law()
    assert names([choose(balancer, pool, ()) for _ in range(7)]) == "1 2 3 1 2 3 1"


def test_round_robin_does_not_look_at_what_members_are_doing() -> None:
    pool, balancer = members(2), RoundRobin()
    pool[0].figures.outstanding = 100
    assert names([choose(balancer, pool, ()) for _ in range(4)]) == "1 2 1 2"


def test_least_connections_takes_who_does_least() -> None:
    pool, balancer = members(3), LeastConnections()
    for member, outstanding in zip(pool, (2, 1, 3), strict=True):
        member.figures.outstanding = outstanding
    assert names([choose(balancer, pool, ()) for _ in range(2)]) == "2 2"


def test_least_connections_shares_evenly_among_equals_while_another_is_busy() -> None:
    pool, balancer = members(3), LeastConnections()
    pool[0].figures.outstanding = 1
    assert names([choose(balancer, pool, ()) for _ in range(6)]) == "2 3 2 3 2 3"


def test_least_connections_levels_what_is_outstanding() -> None:
    pool, balancer = members(4), LeastConnections()
    pool[0].figures.outstanding = 10
    for _ in range(30):
        member = choose(balancer, pool, ())
        assert member is not None
        member.figures.outstanding += 1
    assert [member.figures.outstanding for member in pool] == [10, 10, 10, 10]


@pytest.mark.parametrize("law", BALANCERS.values())
def test_a_member_that_always_fails_does_not_skew_the_others(law: type[Balancer]) -> None:
    pool, balancer = members(4), law()
    served: Counter[str] = Counter()
    for _ in range(300):
        first = choose(balancer, pool, ())
        second = choose(balancer, pool, [first]) if first is pool[1] else first
        served[names([second])] += 1
    assert served.keys() == {"1", "3", "4"}
    assert max(served.values()) - min(served.values()) <= 2


# --- who has been used ---


def test_a_transaction_goes_round_all_members_before_it_comes_back_to_one() -> None:
    pool, balancer = members(3), RoundRobin()
    used: list[Member] = []
    for _ in range(3):
        member = choose(balancer, pool, used)
        assert member is not None
        used.append(member)
    assert set(used) == set(pool)
    assert choose(balancer, pool, used) in pool


def test_a_busy_member_that_is_not_used_comes_before_an_idle_one_that_is() -> None:
    pool = members(2)
    pool[1].figures.outstanding = 50
    assert choose(LeastConnections(), pool, [pool[0]]) is pool[1]


def test_the_only_member_is_tried_again() -> None:
    pool = members(1)
    assert choose(RoundRobin(), pool, pool) is pool[0]


def test_a_pool_without_members_has_nobody_to_choose() -> None:
    assert choose(RoundRobin(), [], ()) is None
    assert choose(RoundRobin(), [], members(1)) is None


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    law=st.sampled_from(sorted(BALANCERS)),
    loads=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    rounds=st.lists(st.sets(st.integers(0, 5)), max_size=20),
)
def test_whoever_is_used_is_chosen_only_when_all_are(
    law: str, loads: list[int], rounds: list[set[int]]
) -> None:
    pool, balancer = members(len(loads)), BALANCERS[law]()
    for member, outstanding in zip(pool, loads, strict=True):
        member.figures.outstanding = outstanding
    for taken in rounds:
        used = {member for number, member in enumerate(pool) if number in taken}
        chosen = choose(balancer, pool, used)
        fresh = [each for each in pool if each not in used] or pool
        assert chosen in fresh
        if law == "least-connections":
            assert chosen is not None
            assert chosen.figures.outstanding == min(each.figures.outstanding for each in fresh)


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    law=st.sampled_from(sorted(BALANCERS)),
    count=st.integers(1, 6),
    rounds=st.integers(1, 60),
)
def test_idle_members_never_differ_by_more_than_one_turn(law: str, count: int, rounds: int) -> None:
    pool, balancer = members(count), BALANCERS[law]()
    turns = Counter(choose(balancer, pool, ()) for _ in range(rounds))
    shares = [turns[member] for member in pool]
    assert max(shares) - min(shares) <= 1
