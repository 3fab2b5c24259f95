"""When those begin that waited: one after the other, but never less often than before for long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.spreading import AHEAD, ENOUGH, FASTER, LONG, SLACK, Spreading

USUAL = 0.002


def known(usual: float = USUAL) -> tuple[Spreading, float]:
    """Of beginnings that were even."""
    spreading, now = Spreading(), 100.0
    for _ in range(ENOUGH + 1):
        spreading.began(True, now)
        now += usual
    return spreading, now


def test_nothing_is_spread_before_it_is_known_how_often_transactions_begin() -> None:
    spreading = Spreading()
    for _ in range(ENOUGH):
        assert spreading.wait(100.0) == 0.0
        spreading.began(True, 100.0)


def test_what_is_even_does_not_wait() -> None:
    spreading, now = known()
    for _ in range(100):
        assert spreading.wait(now) == 0.0
        spreading.began(True, now)
        now += USUAL


def test_of_what_could_begin_together_a_few_do_and_the_others_one_after_the_other() -> None:
    spreading, now = known()
    begun: list[float] = []
    while len(begun) < 10:
        now += spreading.wait(now)
        spreading.began(True, now)
        begun.append(now)
    together = sum(when == begun[0] for when in begun)
    assert together == SLACK + 1
    gaps = [later - one for one, later in zip(begun[together:], begun[together + 1 :], strict=False)]
    assert gaps == pytest.approx([USUAL / FASTER] * len(gaps), rel=0.2)


def test_where_nobody_waits_it_is_learnt_anew() -> None:
    spreading, now = known()
    for _ in range(5):
        spreading.began(True, now)
    assert spreading.wait(now) > 0.0
    spreading.began(False, now)
    assert spreading.wait(now) == 0.0


@given(st.lists(st.floats(0.0, 0.001), min_size=200, max_size=400))
def test_whoever_is_late_begins_as_often_as_before(lateness: list[float]) -> None:
    """A timer is late, but what it makes late is made up for: the servers are never less busy for long."""
    spreading, now = known()
    begin = now
    for late in lateness:
        wait = spreading.wait(now)
        if wait:
            now += wait + late
        spreading.began(True, now)
    assert now - begin <= len(lateness) * USUAL * 1.02


def rate(spreading: Spreading, now: float, seconds: float = 1.0) -> float:
    """Of those who wait, how many begin in a second, if there is always a place."""
    begun, end = 0, now + seconds
    while now < end:
        spreading.began(True, now)
        begun += 1
        now += max(spreading.wait(now), USUAL / 10)
    return begun / seconds


@pytest.mark.parametrize("halt", [0.1, 1.0, 30.0, 3600.0])
def test_a_halt_does_not_make_them_begin_more_rarely(halt: float) -> None:
    """Nobody could begin: all servers hung, or who waited had gone, and nobody came for long."""
    spreading, now = known()
    assert rate(spreading, now + halt) >= 0.9 / USUAL


def test_a_halt_while_it_is_learnt_begins_that_anew() -> None:
    spreading = Spreading()
    spreading.began(True, 100.0)
    for _ in range(ENOUGH):
        spreading.began(True, 101.0 + LONG)
        assert spreading.wait(101.0 + LONG) == 0.0
    spreading.began(True, 101.0 + LONG)
    assert spreading.wait(101.0 + LONG) == 0.0
    assert rate(spreading, 101.0 + LONG) >= 0.9 / USUAL


def test_those_that_wait_for_nobody_do_not_put_off_the_others_for_long() -> None:
    spreading, now = known(1.0)
    for _ in range(1000):  # each begins as it comes, and from now on they come often
        now += USUAL
        spreading.began(True, now)
    assert spreading.wait(now) <= AHEAD * 1.1 * USUAL


def test_what_becomes_slow_for_long_is_learnt() -> None:
    spreading, now = known()
    for _ in range(200):
        now += 1.0
        spreading.began(True, now)
    assert spreading._usual == pytest.approx(1.0, rel=0.1)
