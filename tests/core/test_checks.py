"""A server's verdict from what its checks find, and when they are due."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.checks import JITTER, Checking, Result
from sslbroker.outcome import Cause
from sslbroker.settings import Health

RESULTS = {
    "+": Result(Cause.OK, "status 200"),
    "-": Result(Cause.REFUSED, "refused"),
    "?": Result(Cause.INTERNAL, "a mistake"),
}


def verdicts(found: str, rise: int = 2, fall: int = 3) -> str:
    """For each check the verdict afterwards: ``h`` or ``u``; in capitals where it has changed."""
    checking = Checking(Health(rise=rise, fall=fall), lambda: 0.5)
    told = ""
    for sign in found:
        changed = checking.heard(RESULTS[sign])
        word = "h" if checking.healthy else "u"
        told += word.upper() if changed else word
    return told


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("+++", "hhh"),
        ("---", "hhU"),
        ("----", "hhUu"),
        ("--+--", "hhhhh"),
        ("--+---", "hhhhhU"),
        ("---++", "hhUuH"),
        ("---+-+", "hhUuuu"),
        ("---+-++", "hhUuuuH"),
        ("---++---", "hhUuHhhU"),
        ("--?-", "hhhU"),
        ("---+?+", "hhUuuH"),
    ],
)
def test_so_many_in_a_row_change_the_verdict(found: str, expected: str) -> None:
    assert verdicts(found) == expected


def test_one_is_enough_where_the_operator_says_so() -> None:
    assert verdicts("-+-+", rise=1, fall=1) == "UHUH"


@given(st.text("+-?", max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_a_verdict_changes_after_so_many_that_say_so_and_never_otherwise(
    found: str, rise: int, fall: int
) -> None:
    healthy, last = True, ""
    for sign, verdict in zip(found, verdicts(found, rise, fall), strict=True):
        if sign != "?":
            last = (last + sign)[-5:]
        enough = "-" * fall if healthy else "+" * rise
        assert verdict.isupper() == (sign != "?" and last.endswith(enough))
        if verdict.isupper():
            healthy, last = not healthy, ""
        assert verdict.lower() == ("h" if healthy else "u")


def test_the_first_checks_of_a_pool_are_spread_over_the_interval() -> None:
    checking = Checking(Health(interval=2.0), lambda: 0.5)
    assert [checking.first(10.0, turn, 4) for turn in range(4)] == [10.25, 10.75, 11.25, 11.75]


@given(st.integers(1, 50), st.floats(0.1, 3600), st.lists(st.floats(0, 1), min_size=50, max_size=50))
def test_each_server_has_a_part_of_the_interval_for_its_first_check(
    servers: int, interval: float, randoms: list[float]
) -> None:
    checking = Checking(Health(interval=interval), iter(randoms).__next__)
    due = [checking.first(0.0, turn, servers) for turn in range(servers)]
    assert all(0.0 <= one <= interval * (1 + 1e-9) for one in due)
    assert all(one <= other + 1e-9 for one, other in pairwise(due))


@pytest.mark.parametrize(("random", "due"), [(0.0, 101.8), (0.5, 102.0), (1.0, 102.2)])
def test_the_next_is_due_an_interval_after_the_last_began_more_or_less(random: float, due: float) -> None:
    checking = Checking(Health(interval=2.0), lambda: random)
    assert checking.next(100.0, 100.5) == pytest.approx(due)


def test_the_next_is_due_at_once_when_the_last_took_longer_than_the_interval() -> None:
    checking = Checking(Health(interval=2.0, timeout=9.0), lambda: 0.5)
    assert checking.next(100.0, 107.0) == 107.0


@given(st.floats(0.1, 3600), st.floats(0, 3600), st.floats(0, 1))
def test_no_check_is_due_before_the_last_is_over_or_much_too_early(
    interval: float, took: float, random: float
) -> None:
    checking = Checking(Health(interval=interval), lambda: random)
    due = checking.next(0.0, took)
    assert due >= took
    assert due >= interval * (1 - JITTER) * (1 - 1e-9)
    assert due <= max(took, interval * (1 + JITTER) * (1 + 1e-9))
