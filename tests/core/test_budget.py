"""The retry budget: what it grants, and that it never grants more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.budget import MOST, RESERVE, Budget
from sslbroker.settings import RetryBudget


def taken(budget: Budget, now: float, most: int = 1000) -> int:
    """How many tokens there are."""
    count = 0
    while count < most and budget.take(now):
        count += 1
    return count


def test_the_reserve_is_there_from_the_beginning_and_is_spent() -> None:
    budget = Budget(RetryBudget(share=0.0, minimum=0.0), 5.0)
    assert taken(budget, 5.0) == RESERVE
    assert taken(budget, 1e6) == 0


def test_the_reserve_refills_by_its_minimum_a_second_and_no_further() -> None:
    budget = Budget(RetryBudget(share=0.0, minimum=3.0), 0.0)
    taken(budget, 0.0)
    assert taken(budget, 1.0) == 3
    assert taken(budget, 1.5) == 1
    assert taken(budget, 2.0) == 2
    assert taken(budget, 1e6) == RESERVE


def test_what_first_tries_deposit_counts_toward_the_minimum() -> None:
    budget = Budget(RetryBudget(share=0.5, minimum=3.0), 0.0)
    taken(budget, 0.0)
    budget.first_tries += 4  # two tokens in the second, and the reserve gives the third
    assert taken(budget, 1.0) == 3
    budget.first_tries += 8  # four: more than the minimum
    assert taken(budget, 2.0) == 4


def test_a_clock_that_goes_back_gives_nothing() -> None:
    budget = Budget(RetryBudget(share=0.0, minimum=3.0), 10.0)
    taken(budget, 10.0)
    assert taken(budget, 9.0) == 0


def test_each_first_try_deposits_its_share() -> None:
    budget = Budget(RetryBudget(share=0.25, minimum=0.0), 0.0)
    taken(budget, 0.0)
    budget.first_tries += 3
    assert taken(budget, 0.0) == 0
    budget.first_tries += 1
    assert taken(budget, 0.0) == 1


def test_deposits_are_spent_before_the_reserve_and_not_saved_up_for_ever() -> None:
    budget = Budget(RetryBudget(share=1.0, minimum=0.0), 0.0)
    budget.first_tries += 10
    assert taken(budget, 0.0, 10) == 10
    assert taken(budget, 0.0) == RESERVE
    budget.first_tries += 10_000
    assert taken(budget, 0.0) == MOST


@given(
    share=st.floats(0, 1),
    minimum=st.floats(0, 100),
    steps=st.lists(st.tuples(st.floats(0, 10), st.integers(0, 200), st.integers(0, 200)), max_size=30),
)
def test_it_never_grants_more_than_shares_reserve_and_what_refills_it(
    share: float, minimum: float, steps: list[tuple[float, int, int]]
) -> None:
    budget = Budget(RetryBudget(share=share, minimum=minimum), 0.0)
    now, granted, most = 0.0, 0, RESERVE
    for seconds, first, wanted in steps:
        now += seconds
        budget.first_tries += first
        granted += sum(budget.take(now) for _ in range(wanted))
        if wanted:  # it looks at the clock only when it is asked
            most = budget.first_tries * share + RESERVE + now * minimum
        assert granted <= most + 1e-6


@given(
    rate=st.integers(30, 500),
    seconds=st.integers(1, 20),
    wanted=st.integers(1, 500),
)
def test_while_there_is_traffic_the_reserve_is_spent_once(rate: int, seconds: int, wanted: int) -> None:
    budget = Budget(RetryBudget(share=0.1, minimum=3.0), 0.0)
    granted = 0
    for second in range(seconds):
        budget.first_tries += rate
        granted += sum(budget.take(second + 1.0) for _ in range(wanted))
    assert granted <= rate * seconds * 0.1 + RESERVE + 1e-6
