"""Overload of the broker itself: when it begins, how far plain traffic is narrowed, when it is over."""

from __future__ import annotations

from math import inf

import pytest

from sslbroker.core.overload import (
    CALM,
    CUT,
    FIRST_PAUSE,
    GROWTH,
    LEAST,
    LEAST_GROWTH,
    Overload,
    enters_at,
)

from .loop_model import CAPACITY, Loop

ENTER = 0.005


class Case:
    """An overload that is told something each 100 ms."""

    def __init__(self, floor: float = 0.05) -> None:
        self.now = 100.0
        self.overload = Overload(ENTER, floor)

    def told(self, lag: float, plain: int = 40, seconds: float = 0.1, held: bool = False) -> float:
        for _ in range(round(seconds / 0.1)):
            self.now += 0.1
            if held:
                self.overload.has_room(10_000)
            self.overload.note(lag, plain, self.now)
        return self.overload.window

    def overloaded(self, plain: int = 40) -> Case:
        self.told(2 * ENTER, plain, 1.2)
        assert self.overload.overloaded
        return self


def test_it_begins_at_a_quarter_of_the_smallest_promise_but_not_with_short_turns() -> None:
    assert enters_at([0.2, 0.1]) == 0.025
    assert enters_at([0.2, 0.01]) == enters_at([]) == LEAST


def test_without_lag_there_is_room_for_everybody() -> None:
    case = Case()
    assert case.told(ENTER, 10_000, 60.0) == inf
    assert not case.overload.overloaded
    assert case.overload.has_room(10**9)


def test_lag_must_last_a_second() -> None:
    case = Case()
    for _ in range(5):
        assert case.told(2 * ENTER, seconds=0.9) == inf
        case.told(ENTER)
    assert case.told(2 * ENTER, seconds=1.2) < inf
    assert case.overload.overloaded


def test_the_tail_of_a_stall_is_none() -> None:
    case = Case()
    lag = 1.0
    while lag > ENTER / 10:
        assert case.told(lag) == inf
        lag *= 0.9048  # as a mean with a memory of a second forgets


def test_one_long_turn_is_not_lag_that_lasts() -> None:
    case = Case()
    case.now += 10.0
    assert case.told(9.0) == inf


def test_the_first_cut_is_of_what_was_in_flight_when_lag_began() -> None:
    case = Case()
    case.told(2 * ENTER, 40)
    assert case.told(3 * ENTER, 900, 1.1) == 40 * CUT
    assert case.overload.has_room(27)
    assert not case.overload.has_room(28)


def test_further_cuts_are_of_what_is_in_flight_once_a_second_down_to_the_floor() -> None:
    case = Case(floor=0.1).overloaded(100)
    assert case.overload.window == 70
    assert case.told(2 * ENTER, 60, 0.8) == 70
    assert case.told(2 * ENTER, 60, 0.3) == pytest.approx(42)
    assert case.told(2 * ENTER, 5, 2.0) == 10


def test_it_is_not_cut_again_before_the_last_cut_is_reached() -> None:
    case = Case().overloaded(100)  # nobody is held back where there are no secure ones
    assert case.told(2 * ENTER, 300, 30.0) == 70
    assert case.told(2 * ENTER, 70, 0.1) == pytest.approx(49)


def test_a_floor_is_one_transaction_at_least() -> None:
    case = Case(floor=0.0).overloaded(0)
    assert case.overload.window == 1
    assert case.told(2 * ENTER, 0, 3.0) == 1


def test_lag_that_falls_after_a_cut_is_going_by_itself() -> None:
    case = Case().overloaded()
    lag = 100 * ENTER
    case.told(lag)
    while lag > ENTER:
        lag *= 0.92
        assert case.told(lag) == 40 * CUT


def test_cuts_that_do_not_help_are_given_up_for_a_time_each_time_longer() -> None:
    case = Case().overloaded()
    assert case.told(2 * ENTER, 0, 3.5) < inf
    assert case.told(2 * ENTER, 0, 2.0) == inf
    assert case.overload.given_up_until == pytest.approx(case.now, abs=FIRST_PAUSE)
    assert case.told(2 * ENTER, 40, FIRST_PAUSE - 2.5) == inf
    assert case.told(2 * ENTER, 40, 4.0) < inf
    assert case.told(2 * ENTER, 0, 6.0) == inf
    assert case.overload.given_up_until - case.now > FIRST_PAUSE


def test_cuts_that_help_are_not_given_up() -> None:
    case = Case().overloaded()
    assert case.told(1.7 * ENTER, 0, 30.0) == 2


def test_with_some_lag_the_window_stays() -> None:
    case = Case().overloaded()
    assert case.told(0.6 * ENTER, seconds=60.0, held=True) == 40 * CUT


def test_with_little_it_grows_the_slower_the_more_there_is() -> None:
    grown = []
    for lag in (0.4, 0.2, 0.0):
        case = Case().overloaded()
        grown.append(case.told(lag * ENTER, seconds=1.0, held=True) / 40 - CUT)
    assert grown[0] == pytest.approx(0.2 * GROWTH)
    assert grown[1] == pytest.approx(0.6 * GROWTH)
    assert grown[2] > 1.5 * GROWTH


def test_it_grows_only_where_it_holds_somebody_back() -> None:
    case = Case().overloaded()
    assert case.told(0.0, seconds=4.0) == 40 * CUT


def test_without_lag_it_is_soon_wide_and_with_a_little_no_longer_fast() -> None:
    case = Case().overloaded()
    wide = case.told(0.0, seconds=5.0, held=True)
    assert wide > 80
    assert case.told(0.4 * ENTER, seconds=1.0, held=True) == pytest.approx(wide + 0.2 * GROWTH * 40)


def test_growth_that_led_into_lag_again_is_half_as_fast_up_to_a_least() -> None:
    case = Case().overloaded(1000)
    grown = []
    for _ in range(6):
        before = case.overload.window
        window = case.told(0.25 * ENTER, 1000, 1.0, held=True)
        grown.append((window - before) / before)
        case.told(2 * ENTER, int(window) + 1, 1.2)
    assert grown == pytest.approx(sorted(grown, reverse=True))
    assert grown[0] == pytest.approx(0.5 * GROWTH / CUT)
    assert grown[-1] == pytest.approx(0.5 * LEAST_GROWTH / CUT)


def test_it_is_over_after_some_seconds_of_calm() -> None:
    case = Case().overloaded()
    assert case.told(0.0, seconds=CALM) < inf
    assert case.told(0.0, seconds=0.2) == inf
    assert not case.overload.overloaded


@pytest.mark.parametrize("what", ["lag", "more lag", "held"])
def test_what_is_no_calm(what: str) -> None:
    case = Case().overloaded()
    for _ in range(10):
        case.told(0.0, seconds=CALM - 0.5)
        case.told({"lag": 0.6, "more lag": 1.1}.get(what, 0.0) * ENTER, held=what == "held")
        assert case.overload.overloaded


def test_another_overload_begins_anew() -> None:
    case = Case(floor=0.5).overloaded(1000)
    case.told(0.0, 0, CALM + 1.0)
    assert case.overloaded(10).overload.window == 10 * CUT
    assert case.told(2 * ENTER, 7, 10.0) == 5


# --- against a loop of a known capacity ---


def loop(load: float, until: float = 1e9, after: float = 0.6, *, serves: float = 0.02, seed: int = 1) -> Loop:
    """A load of this share of the capacity, and after a while of another."""
    return Loop(
        Overload(ENTER, 0.05),
        lambda at: (load if at < until else after) * CAPACITY,
        serves=serves,
        seed=seed,
    )


@pytest.mark.parametrize(("serves", "seed"), [(0.005, 1), (0.02, 2), (0.1, 3)])
def test_at_half_as_much_again_it_converges_and_does_not_oscillate(serves: float, seed: int) -> None:
    model = loop(1.5, serves=serves, seed=seed)
    model.run(75.0)
    began = next(at for at, window, _, _ in model.history if window < inf)
    assert 1.0 < began < 2.5
    assert all(window < inf for at, window, _, _ in model.history if at > began)
    assert model.turns_of_direction(15.0, 75.0) <= 3
    lags = [lag for at, _, lag, _ in model.history if at > 20.0]
    assert sum(lags) / len(lags) < 1.2 * ENTER
    # Unbounded, secure ones would wait for seconds; and the loop has next to nothing to spare.
    assert model.quantile(0.99, True, 20.0, 75.0) < 1.2 * serves + 8 * ENTER
    assert model.busy(20.0, 75.0) > 0.9


def test_unbounded_the_loop_would_be_lost() -> None:
    model = loop(1.5)
    model.overload.note = lambda *_: None  # type: ignore[method-assign]
    model.run(10.0)
    assert model.quantile(0.5, True, 5.0, 10.0) > 0.5


@pytest.mark.parametrize("load", [1.1, 1.5])
def test_it_recovers_within_ten_seconds(load: float) -> None:
    model = loop(load, until=30.0)
    model.run(45.0)
    assert model.throughput(40.0, 45.0) == pytest.approx(0.6 * CAPACITY, rel=0.05)
    assert not model.waiting
    assert model.history[-1][1] == inf


def test_a_load_that_the_loop_can_bear_and_stalls_are_no_overload() -> None:
    model = loop(0.6)
    model.stalls = [(float(at), 0.2) for at in range(5, 30, 4)]
    model.run(30.0)
    assert not model.overload.overloaded
    assert all(window == inf for _, window, _, _ in model.history)
