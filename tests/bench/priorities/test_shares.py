"""How much of the plain traffic is served: turns and the way back."""

from __future__ import annotations

import pytest

from bench.priorities.arriving import Row
from bench.priorities.shares import FULL, at, back, seconds_of, served, smooth, turns


def row(due: float, outcome: str = "", milliseconds: float = 20.0) -> Row:
    return Row(due, False, milliseconds, 0.0, outcome)


def test_requests_belong_to_the_second_in_which_they_were_due() -> None:
    rows = [row(0.1), row(0.9, "503"), row(2.0), row(3.0)]
    assert [len(each) for each in seconds_of(rows, 3)] == [2, 0, 2]
    assert [served(each) for each in seconds_of(rows, 3)] == [0.5, 1.0, 1.0]


def test_a_time_is_of_those_that_were_served() -> None:
    assert at([row(0, "timeout", 5000.0), row(0, "", 21.26), row(0, "", 20.0)], 1.0) == 21.3
    assert at([row(0, "503")], 0.5) is None


@pytest.mark.parametrize(
    ("series", "found"),
    [
        ([], 0),
        ([0.5], 0),
        ([1.0, 0.8, 0.6, 0.55], 0),  # falling is no turn
        ([1.0, 0.6, 0.64, 0.6, 0.64], 0),  # too little
        ([1.0, 0.6, 0.62, 0.64, 0.66], 1),  # little by little
        ([1.0, 0.6, 0.7, 0.6, 0.7], 3),
        ([0.5, 0.6, 0.5], 1),
    ],
)
def test_a_turn_is_a_change_of_direction_by_more_than_little(series: list[float], found: int) -> None:
    assert turns(series) == found


def test_a_mean_has_as_many_values_as_there_are_whole_spans() -> None:
    assert smooth([1.0, 2.0, 3.0, 4.0], 2) == [1.5, 2.5, 3.5]
    assert smooth([1.0], 2) == []


def test_the_share_is_back_when_it_stays_full_until_the_next_trouble() -> None:
    series = [each >= FULL for each in (1.0, 0.5, 0.5, 0.9, 1.0, 0.9, 1.0, 1.0, 0.4)]
    assert back(series, [3.0], [8.0]) == [3]
    assert back(series, [6.0], [8.0]) == [0]
    assert back(series, [3.0, 6.0], [1.0, 8.0]) == [3, 0]
    assert back(series, [3.0], []) == [None]
    assert back(series, [], []) == []
