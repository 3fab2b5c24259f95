"""What one server's tries tell of it."""

from __future__ import annotations

from math import inf
from unittest.mock import patch

import pytest

from sslbroker.core.account import Account, Breach
from sslbroker.core.attempt import Attempt
from sslbroker.core.figures import PoolFigures
from sslbroker.core.members import Member
from sslbroker.core.standing import Standing
from sslbroker.core.thresholds import Thresholds
from sslbroker.core.watch import Watch
from sslbroker.settings import Group, Pacing, Server

GOLD, SLOW = Group("gold", (), 5, 0.04), Group("slow", (), 2, 1.0)


@pytest.fixture
def account() -> Account:
    return Account(Member(Server("10.0.0.1:80")), Pacing())


def begin(account: Account, group: Group | None = None, *, plain: bool = True, now: float = 10.0) -> Attempt:
    attempt = Attempt(account.member, now)
    attempt.sent = now
    account.began(attempt, group, plain, None)
    return attempt


def standing(attempt: Attempt) -> Standing:
    assert attempt.standing is not None
    return attempt.standing


def test_a_try_knows_how_many_others_were_under_way_when_it_began(account: Account) -> None:
    assert [begin(account).load for _ in range(3)] == [0, 1, 2]
    assert account.under_way == 3


def test_each_group_has_one_standing_for_its_secure_tries_and_one_for_its_plain_ones(
    account: Account,
) -> None:
    kinds = [(group, plain) for group in (GOLD, SLOW, None) for plain in (False, True)]
    first = [standing(begin(account, group, plain=plain)) for group, plain in kinds]
    again = [standing(begin(account, group, plain=plain)) for group, plain in kinds]
    assert first == again
    assert len(set(map(id, first))) == len(account.standings) == 6
    assert [(one.group, one.plain) for one in first] == kinds


def test_the_times_of_secure_tries_are_shown_where_somebody_watches(account: Account) -> None:
    members = [account.member]
    figures = PoolFigures("pool", "http", [account.member.figures])
    watch = Watch((GOLD,), members, figures, Thresholds((GOLD,), members))
    for plain in (False, True):
        attempt = Attempt(account.member, 10.0)
        account.began(attempt, GOLD, plain, watch)
        assert (standing(attempt).times is None) is plain
    assert standing(begin(account, SLOW, plain=False)).times is None


def test_it_is_avoided_by_a_group_that_is_too_slow_there_with_secure_tries(account: Account) -> None:
    for group in (GOLD, SLOW, None):
        begin(account, group, plain=True)
        begin(account, group, plain=False)
    assert account.avoided_by(10.0) is None
    gold, slow = account.standings["gold", False], account.standings["slow", False]
    for standing in (gold, slow):
        standing.late = 1
        account.doubted(standing)
    assert account.avoided_by(10.0) is GOLD
    gold.late = 0
    assert account.avoided_by(10.0) is SLOW
    slow.late = 0
    assert account.avoided_by(10.0) is None


def test_who_keeps_away_is_not_looked_for_among_all_groups(account: Account) -> None:
    """It is asked at each answer to a plain transaction."""
    for number in range(100):
        begin(account, Group(f"group {number}", (), 3), plain=False)
    with patch.object(Standing, "over", side_effect=AssertionError):
        assert account.avoided_by(10.0) is None


def test_a_breach_makes_its_window_smaller_and_is_told_and_shown(account: Account) -> None:
    attempts = [begin(account) for _ in range(4)]
    assert account.has_room()
    breach = account.breached(attempts[-1], GOLD, 0.04, 0.05, 10.05)
    assert breach == Breach("gold", 0.04, 0.05, "10.0.0.1:80")
    assert account.pace.window == 2.0
    assert not account.has_room()
    account.under_way = 1
    assert account.has_room()
    account.show(10.05)
    figures = account.member.figures
    assert (figures.reductions, figures.window, figures.pacing) == (1, 2, "paced")


def test_one_that_reduces_nothing_is_not_told(account: Account) -> None:
    attempt = begin(account)
    for _ in range(3):
        begin(account)
    account.breached(attempt, GOLD, 0.04, 0.05, 10.05)
    assert account.breached(attempt, GOLD, 0.04, 0.06, 10.06) is None
    account.show(10.06)
    figures = account.member.figures
    assert (figures.reductions, figures.window) == (0, 0)
    assert account.pace.window == inf
