"""Quantiles are those of a sorted list within the bound; what is old is forgotten; the space is constant."""

from __future__ import annotations

import sys
from math import ceil, exp, inf, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.response_times import LONGEST, RATIO, SHORTEST, SLICES, ResponseTimes

BOUND = sqrt(RATIO)


def exact(times: list[float], share: float) -> float:
    return sorted(times)[max(1, ceil(share * len(times))) - 1]


def known(value: float | None) -> float:
    assert value is not None
    return value


@given(st.lists(st.floats(SHORTEST, LONGEST), min_size=1), st.floats(0.0, 1.0))
def test_a_quantile_is_within_five_per_cent(times: list[float], share: float) -> None:
    seen = ResponseTimes()
    for seconds in times:
        seen.add(seconds, 1.0)
    assert exact(times, share) / BOUND <= known(seen.quantile(share, 1.0)) * (1 + 1e-9)
    assert known(seen.quantile(share, 1.0)) <= exact(times, share) * BOUND * (1 + 1e-9)
    assert seen.count(1.0) == len(times)


@given(
    st.lists(st.tuples(st.floats(0.0, 4.0), st.floats(SHORTEST, LONGEST)), min_size=1, max_size=60),
    st.floats(0.0, 15.0),
    st.sampled_from([0.5, 0.95, 0.99]),
)
def test_the_window_has_what_came_in_its_last_nine_to_ten_tenths(
    came: list[tuple[float, float]], later: float, share: float
) -> None:
    seen, now, times = ResponseTimes(window=10.0), 100.0, []
    for after, seconds in came:
        now += after
        seen.add(seconds, now)
        times.append((now, seconds))
    now += later
    surely = [seconds for then, seconds in times if now - then < 9.0 - 1e-6]
    perhaps = [seconds for then, seconds in times if now - then <= 10.0 + 1e-6]
    assert len(surely) <= seen.count(now) <= len(perhaps)
    quantile = seen.quantile(share, now)
    if quantile is None:
        assert not surely
    else:
        assert min(perhaps) / BOUND <= quantile * (1 + 1e-9)
        assert quantile <= max(perhaps) * BOUND * (1 + 1e-9)


def test_who_is_quiet_is_forgotten() -> None:
    seen = ResponseTimes()
    assert (seen.mean(0.0), seen.quantile(0.5, 0.0), seen.count(0.0)) == (None, None, 0)
    for _ in range(100):
        seen.add(2.0, 5.0)
    assert seen.count(13.9) == 100
    assert (seen.mean(15.0), seen.quantile(0.99, 15.0), seen.count(15.0)) == (None, None, 0)
    seen.add(0.1, 15.0)
    assert seen.mean(15.0) == 0.1
    assert seen.count(15.0) == 1


@pytest.mark.parametrize("quiet", [1.0, 5.0, 9.9, 10.0, 1000.0])
def test_a_silence_leaves_nothing_behind_that_is_too_old(quiet: float) -> None:
    seen = ResponseTimes()
    for tenth in range(100):
        seen.add(0.01, tenth / 10)
    now = 9.9 + quiet
    seen.add(0.5, now)
    assert abs(seen.count(now) - 1 - max(0, 100 - 10 * quiet)) <= 10


def test_what_lies_outside_is_told_as_the_nearest() -> None:
    seen = ResponseTimes()
    seen.add(0.0, 0.0)
    assert seen.quantile(0.5, 0.0) == SHORTEST
    for _ in range(2):
        seen.add(1e6, 0.0)
    assert seen.quantile(0.5, 0.0) == LONGEST


def test_the_first_few_count_alike() -> None:
    seen = ResponseTimes()
    for seconds in (0.1, 0.2, 0.6):
        seen.add(seconds, 3.0)
    assert known(seen.mean(3.0)) == pytest.approx(0.3)


def test_the_mean_forgets_by_the_time() -> None:
    seen = ResponseTimes(memory=2.0)
    for tick in range(1000):
        seen.add(0.1, tick / 100)
    seen.add(0.5, 9.99 + 1.0)
    assert known(seen.mean(10.99)) == pytest.approx(0.1 + 0.4 * (1 - exp(-0.5)))


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.001, 50.0)), min_size=1))
def test_the_mean_lies_among_the_times(came: list[tuple[float, float]]) -> None:
    seen, now = ResponseTimes(), 0.0
    for after, seconds in came:
        now += after
        seen.add(seconds, now)
    times = [seconds for _, seconds in came]
    assert min(times) * (1 - 1e-9) <= known(seen.mean(now)) <= max(times) * (1 + 1e-9)


def test_a_clock_that_is_a_little_late_counts_as_now() -> None:
    seen = ResponseTimes()
    seen.add(0.1, 10.0)
    seen.add(0.3, 9.5)
    assert seen.count(10.0) == 2
    assert known(seen.mean(10.0)) == pytest.approx(0.2)


def test_the_space_is_constant() -> None:
    def space(seen: ResponseTimes) -> int:
        return sum(map(sys.getsizeof, (seen, seen._slices, seen._total, *seen._slices)))

    seen, random = ResponseTimes(), Random(1)
    before = space(seen)
    for tick in range(20_000):
        seen.add(random.lognormvariate(-4.0, 1.0), tick / 500)
    assert space(seen) == before < 10_000
    assert len(seen._slices) == SLICES
    assert seen._until < inf
