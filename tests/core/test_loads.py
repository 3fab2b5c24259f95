"""Whether a slow answer is slow because of its server's load."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.loads import ENOUGH, FINE, FRESH, MOST, REMEMBERED, SLOWER, Loads, row


def known(times: dict[int, float], *, count: int = ENOUGH, plain: bool = False, now: float = 10.0) -> Loads:
    loads = Loads()
    more(loads, times, count=count, plain=plain, now=now)
    return loads


def more(loads: Loads, times: dict[int, float], *, count: int, plain: bool, now: float = 10.0) -> None:
    for load, seconds in times.items():
        for _ in range(count):
            loads.add(load, seconds, now, plain)


def test_small_loads_are_told_apart_and_large_ones_by_steps() -> None:
    assert [row(load) for load in range(FINE)] == list(range(FINE))
    assert row(FINE) == FINE
    assert row(2 * FINE) == row(2 * FINE + 1) != row(2 * FINE + 2)
    assert row(MOST) == row(10 * MOST) == max(row(load) for load in range(0, 2 * MOST, 97))


@given(load=st.integers(0, 3 * MOST))
def test_rows_go_up_with_loads(load: int) -> None:
    assert row(load) <= row(load + 1) <= row(load) + 1


def test_what_finds_nothing_under_way_is_not_slow_because_of_load() -> None:
    assert Loads().blames(0, 10.0) is False


def test_where_too_little_is_known_nothing_is_said() -> None:
    assert Loads().blames(1, 10.0) is None
    assert known({8: 0.1}).blames(8, 10.0) is None, "nothing is known of less load"
    assert known({2: 0.1}).blames(8, 10.0) is None, "nothing is known of this load"
    assert known({2: 0.1, 8: 0.1}, count=ENOUGH - 1).blames(8, 10.0) is None


def test_a_server_that_takes_as_long_with_half_of_the_load_is_slow_by_itself() -> None:
    assert not known({4: 0.1, 8: 0.1}).blames(8, 10.0)
    assert not known({4: 0.1, 8: 0.149}).blames(8, 10.0)
    assert known({4: 0.1, 8: 0.1 * SLOWER + 1e-9}).blames(8, 10.0)


def test_loads_between_half_and_three_quarters_count_for_neither() -> None:
    assert known({5: 0.01, 8: 0.1}).blames(8, 10.0) is None
    assert not known({4: 0.1, 5: 0.001, 8: 0.1}).blames(8, 10.0)
    assert not known({4: 0.1, 6: 0.1}).blames(8, 10.0)
    assert known({4: 0.1, 5: 0.1}).blames(8, 10.0) is None


def test_large_loads_are_compared_too() -> None:
    assert not known({100: 0.1, 390: 0.1}).blames(400, 10.0)
    assert known({100: 0.1, 390: 0.3}).blames(400, 10.0)
    assert known({100: 0.1, 390: 0.1}).blames(300, 10.0) is None, "nothing is known of about 300"


def test_what_is_known_is_forgotten() -> None:
    loads = known({4: 0.1, 8: 0.1})
    assert loads.blames(8, 10.0 + FRESH) is False
    assert loads.blames(8, 10.1 + FRESH) is None
    more(loads, {8: 0.1}, count=ENOUGH, plain=False, now=11.0 + FRESH)
    loads.add(4, 0.02, 11.0 + FRESH, plain=False)
    assert loads.blames(8, 11.0 + FRESH) is None, "one answer after a silence is one"


def test_the_mean_follows_what_the_server_does_now() -> None:
    loads = known({4: 0.02, 8: 0.1}, count=1000)
    assert loads.blames(8, 10.0)
    more(loads, {4: 0.1}, count=3 * REMEMBERED, plain=False)
    assert not loads.blames(8, 10.0)


def test_loads_count_by_how_much_is_known_of_them() -> None:
    loads = known({1: 0.1, 8: 0.1}, count=ENOUGH)
    more(loads, {4: 0.01}, count=1, plain=False)
    assert not loads.blames(8, 10.0)
    more(loads, {4: 0.01}, count=REMEMBERED, plain=False)
    assert loads.blames(8, 10.0)


def test_secure_ones_are_compared_with_each_other_where_plain_ones_are_heavier() -> None:
    loads = known({2: 0.02, 8: 0.06})
    more(loads, {2: 0.2, 8: 0.21}, count=10 * ENOUGH, plain=True)
    assert loads.blames(8, 10.0)


def test_where_too_little_is_known_of_them_all_are_compared() -> None:
    loads = known({8: 0.1})
    more(loads, {2: 0.1, 8: 0.1}, count=ENOUGH, plain=True)
    assert not loads.blames(8, 10.0)
    more(loads, {8: 0.5}, count=10 * ENOUGH, plain=True)
    assert loads.blames(8, 10.0)


@pytest.mark.parametrize("plain", [False, True])
def test_memory_is_constant(plain: bool) -> None:
    loads = Loads()
    for load in range(0, 3 * MOST, 501):
        loads.add(load, 0.1, 10.0, plain)
    assert loads.blames(3 * MOST, 10.0) is False
