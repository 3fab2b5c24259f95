"""The share of plain transactions that began lately: what is remembered, and for how long."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.plain_share import MEMORY, STEP, PlainShare


def come(share: PlainShare, now: float, count: int, begun: int) -> None:
    for number in range(count):
        share.arrived(now)
        if number < begun:
            share.began(now)


def test_it_is_whole_where_nothing_is_known() -> None:
    assert PlainShare().share(100.0) == 1.0


def test_it_is_the_part_of_those_that_came_which_began() -> None:
    share = PlainShare()
    come(share, 100.0, 20, 5)
    assert share.share(100.0) == pytest.approx(0.25)


def test_what_is_older_counts_for_less() -> None:
    share = PlainShare()
    come(share, 100.0, 10, 0)
    come(share, 100.0 + MEMORY, 10, 10)
    assert share.share(100.0 + MEMORY) == pytest.approx(1 / (1 + exp(-1)))


def test_it_is_whole_again_when_too_few_are_remembered() -> None:
    share = PlainShare()
    come(share, 100.0, 10, 0)
    assert share.share(110.0) == 0.0
    assert share.share(130.0) == 1.0


def test_it_is_whole_again_when_none_has_come_for_a_while_however_many_were_refused() -> None:
    share = PlainShare()
    come(share, 100.0, 100_000, 0)
    assert share.share(110.0) == 0.0
    assert share.share(110.1) == 1.0


def test_those_that_waited_do_not_make_it_more_than_whole() -> None:
    share = PlainShare()
    come(share, 100.0, 10, 0)
    for _ in range(10):
        share.began(120.0)
    assert share.share(120.0) == 1.0


def test_a_clock_that_is_put_back_changes_nothing() -> None:
    share = PlainShare()
    come(share, 100_000.0, 10, 5)
    assert share.share(10.0) == 0.5


def test_they_fade_at_most_once_in_each_step() -> None:
    share = PlainShare()
    come(share, 100.0, 10, 5)
    faded = share._faded
    for number in range(1, 10):
        share.began(100.0 + 0.1 * STEP * number)
        assert share._faded == faded
    share.began(100.0 + 1.1 * STEP)
    assert share._faded == 100.0 + 1.1 * STEP


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans()), max_size=200))
def test_the_steps_change_little(events: list[tuple[float, bool]]) -> None:
    """Beside one that fades at each event: the share differs by no more than one step makes of it."""
    share, exact, now = PlainShare(), PlainShare(), 100.0
    for pause, begins in events:
        now += pause
        exact._fade(now)
        for one in (share, exact):
            one.arrived(now)
            if begins:
                one.began(now)
    bound = exp(STEP / MEMORY) - 1.0
    shares = share.share(now), exact.share(now)
    assert share._offered == pytest.approx(exact._offered, rel=bound)
    assert share._begun == pytest.approx(exact._begun, rel=bound)
    if exact._offered > 1.0:
        assert shares[0] == pytest.approx(shares[1], abs=3 * bound)
