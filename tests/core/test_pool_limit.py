"""What a pool may have under way is counted over all its servers."""

from __future__ import annotations

from sslbroker.core.members import TRANSACTIONS, Member
from sslbroker.core.pool_limit import PoolLimit
from sslbroker.settings import Server


def test_what_all_have_counts() -> None:
    one, two = (Member(Server(f"10.0.0.{number}:80")) for number in (1, 2))
    limit = PoolLimit([one, two], 2)
    assert (limit.outstanding, limit.reached, limit.has_place()) == (0, False, True)
    one.began("first", 0.0)
    two.began("second", 0.0)
    assert (limit.outstanding, limit.reached, limit.has_place()) == (2, True, False)
    one.ended("first")
    assert limit.has_place()


def test_a_part_of_it_may_be_what_there_may_be_and_who_lacks_places_says_so() -> None:
    told: list[str] = []
    limit = PoolLimit([Member(Server("10.0.0.1:80"))], 20)
    limit.lacking = told.append
    assert limit.has_place()
    limit.most = 0
    assert limit.reached
    assert told == []
    assert not limit.has_place()
    assert (told, limit.total) == ([TRANSACTIONS], 20)
