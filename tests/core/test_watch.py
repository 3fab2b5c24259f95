"""What a transaction that is over says of its group, and what servers gave groups lately."""

from __future__ import annotations

import pytest

from sslbroker.core.figures import PoolFigures
from sslbroker.core.members import Member
from sslbroker.core.thresholds import ENOUGH, Thresholds
from sslbroker.core.warming import FIRST
from sslbroker.core.watch import Watch
from sslbroker.interfaces import Origin
from sslbroker.settings import Group, Server

GOLD, AUTO = Group("gold", (), 5, 0.02), Group("silver", (), 3, "auto")


class Watched:
    def __init__(self) -> None:
        self.members = [Member(Server("a:1")), Member(Server("b:1"))]
        self.figures = PoolFigures("shop", "http", [member.figures for member in self.members])
        self.thresholds = Thresholds([GOLD, AUTO], self.members)
        self.watch = Watch([GOLD, AUTO], self.members, self.figures, self.thresholds)

    def shown(self, now: float) -> None:
        for write in self.watch.parts():
            write(now)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def origin(group: Group | None, secure: bool = True) -> Origin:
    made = Origin("192.0.2.1", secure=secure)
    made.group = group
    return made


def test_a_pool_and_its_servers_have_figures_of_each_group_and_of_those_in_none(watched: Watched) -> None:
    groups = [(group.name, group.priority, group.threshold) for group in watched.figures.groups]
    assert groups == [("gold", 5, 0.02), ("silver", 3, 0.03), ("", 1, 0.05)]
    for server in watched.figures.servers:
        assert [watch.group for watch in server.watches] == ["gold", "silver", ""]


@pytest.mark.parametrize(
    ("group", "waited", "secure", "promise", "counted"),
    [
        (GOLD, 0.02, True, (0.02, False), 1),
        (GOLD, 0.021, True, (0.02, True), 1),
        (GOLD, 0.021, False, (0.02, False), 0),
        (AUTO, 0.031, True, (0.03, True), 1),
        (None, 9.0, True, (0.05, False), 1),
        (None, 9.0, False, (0.05, False), 0),
    ],
)
def test_secure_transactions_are_counted_and_those_of_groups_can_breach(
    watched: Watched,
    group: Group | None,
    waited: float,
    secure: bool,
    promise: tuple[float, bool],
    counted: int,
) -> None:
    assert watched.watch.ended(origin(group, secure), waited) == promise
    figures = watched.watch.groups["" if group is None else group.name]
    assert (figures.transactions, figures.breaches, figures.client_times.count) == (
        counted,
        int(promise[1]),
        counted,
    )


def test_what_is_not_measured_breaches_nothing(watched: Watched) -> None:
    assert watched.watch.promise(origin(GOLD)) == (0.02, False)
    assert watched.figures.groups[0].transactions == 0


def test_server_times_are_shown_as_they_were_lately(watched: Watched) -> None:
    first, second = watched.members
    for member, group, seconds in ((first, GOLD, 0.01), (second, GOLD, 0.04), (first, None, 0.08)):
        watched.watch.times(member, group).add(seconds, 100.0)
    assert watched.watch.size == 4
    watched.shown(100.0)
    shown, others = first.figures.watches[0], first.figures.watches[2]
    assert [watch.count for watch in first.figures.watches] == [1, 0, 1]
    assert [watch.count for watch in second.figures.watches] == [1, 0, 0]
    assert (shown.mean, second.figures.watches[0].mean, others.mean) == (0.01, 0.04, 0.08)
    assert (shown.p50, shown.p95, others.p99) == pytest.approx((0.01, 0.01, 0.08), rel=0.05)
    watched.shown(120.0)
    assert (shown.count, shown.mean, shown.p50, shown.p95, shown.p99) == (0, 0.0, 0.0, 0.0, 0.0)


def test_what_is_learnt_is_shown_and_stays_while_nothing_is_known(watched: Watched) -> None:
    member = watched.members[0]
    for number in range(FIRST + ENOUGH):
        watched.thresholds.heard(member, 0.05, 0, 100.0 + number)
    gold, silver, others = watched.figures.groups
    assert gold.idle == 0.0
    watched.shown(200.0)
    assert (gold.threshold, silver.threshold, others.threshold) == (0.02, 0.1, 0.05)
    assert (gold.too_low, silver.too_low) == (True, False)
    assert gold.idle == silver.idle == 0.05
    member.bar("down")
    watched.shown(201.0)
    assert gold.idle == 0.05
