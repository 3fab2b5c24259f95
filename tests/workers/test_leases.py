"""Places at servers with a limit: never more than there are, and nobody starves."""

from __future__ import annotations

from sslbroker.workers.leases import Grant, Key, Leases, Recall

KEY: Key = ("shop", "a:1", "transactions")


def joined(total: int, workers: int) -> Leases:
    leases = Leases({KEY: total}, workers)
    for worker in range(workers):
        leases.joined(worker)
    return leases


def test_each_worker_begins_with_an_equal_share() -> None:
    leases = Leases({KEY: 11}, 3)
    assert [leases.joined(worker) for worker in range(3)] == [[Grant(worker, KEY, 3)] for worker in range(3)]
    assert dict(leases.lent(KEY)) == {0: 3, 1: 3, 2: 3}


def test_who_needs_more_gets_half_of_what_nobody_has() -> None:
    leases = joined(11, 2)  # one is left
    assert leases.need(0, KEY) == [Grant(0, KEY, 1)]
    assert leases.lent(KEY)[0] == 6


def test_when_nothing_is_left_the_others_are_asked_once() -> None:
    leases = joined(10, 2)
    assert leases.need(0, KEY) == [Recall(1, KEY, 5)]
    assert leases.need(0, KEY) == []
    assert leases.gave_back(1, KEY, 3, asked=True) == [Grant(0, KEY, 2)]
    assert leases.need(0, KEY) == [Grant(0, KEY, 1)]
    assert dict(leases.lent(KEY)) == {0: 8, 1: 2}


def test_who_has_more_than_its_share_gives_it_up_though_it_needs_places_itself() -> None:
    leases = joined(10, 2)
    leases.need(0, KEY)
    leases.gave_back(1, KEY, 4, asked=True)
    leases.need(0, KEY)
    leases.need(0, KEY)  # all are lent: 9 and 1
    assert leases.need(0, KEY) == []
    assert leases.need(1, KEY) == [Recall(0, KEY, 5)]
    assert leases.gave_back(0, KEY, 0, asked=True) == []  # all are in use
    assert leases.gave_back(0, KEY, 1, asked=False) == [Grant(1, KEY, 1), Recall(1, KEY, 2)]


def test_who_has_its_share_takes_nothing_that_others_use() -> None:
    leases = joined(12, 3)
    leases.need(0, KEY)
    leases.gave_back(1, KEY, 2, asked=True)
    assert leases.need(0, KEY) == [Grant(0, KEY, 1)]
    leases.gave_back(2, KEY, 0, asked=True)
    assert leases.need(0, KEY) == [Recall(1, KEY, 2), Recall(2, KEY, 4)]  # no more than they have


def test_places_of_who_is_gone_go_to_who_waits() -> None:
    leases = joined(4, 2)
    leases.need(0, KEY)
    assert leases.left(1) == [Grant(0, KEY, 1)]
    assert leases.joined(2) == [Grant(2, KEY, 1)]
    assert leases.gave_back(1, KEY, 2, asked=True) == []  # what it said at its end


def test_who_finds_nothing_when_it_begins_waits_for_what_comes_back() -> None:
    leases = joined(2, 2)
    assert leases.joined(2) == []  # each has one, which stays
    assert leases.left(0) == [Grant(2, KEY, 1)]


def test_what_is_not_limited_is_not_lent() -> None:
    assert joined(4, 2).need(0, ("shop", "b:1", "links")) == []
    leases = Leases({KEY: 4}, 2)
    assert leases.need(9, KEY) == []
