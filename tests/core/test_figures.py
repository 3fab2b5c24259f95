"""A histogram puts each time in one bucket; every figure starts at nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sslbroker.core.figures import (
    OPEN,
    PRIORITIES,
    TIME_BUCKETS,
    BrokerFigures,
    GroupFigures,
    ListenerFigures,
    PoolFigures,
    QueueFigures,
    ServerFigures,
    StorageFigures,
    Times,
    WatchFigures,
    WorkerFigures,
    count,
    count_status,
)


def test_the_bounds_of_the_buckets_grow() -> None:
    assert all(lower < upper for lower, upper in pairwise(TIME_BUCKETS))


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        (0.0, 0),
        (0.001, 0),
        (0.0010001, 1),
        (0.01, 3),
        (30.0, len(TIME_BUCKETS) - 1),
        (30.1, len(TIME_BUCKETS)),
    ],
)
def test_a_time_falls_into_the_bucket_whose_upper_bound_includes_it(seconds: float, bucket: int) -> None:
    times = Times()
    times.add(seconds)
    assert [index for index, count in enumerate(times.counts) if count] == [bucket]


def test_count_and_sum_go_with_the_buckets() -> None:
    times = Times()
    for seconds in (0.5, 0.25, 100.0):
        times.add(seconds)
    assert times.count == sum(times.counts) == 3
    assert times.sum == 100.75


def test_every_figure_of_a_listener_starts_at_nothing() -> None:
    figures = ListenerFigures("https", "tcp:8443", "shop", secure=True)
    assert (figures.name, figures.endpoint, figures.pool, figures.secure) == (
        "https",
        "tcp:8443",
        "shop",
        True,
    )
    assert unused(figures, "name", "endpoint", "pool", "secure")
    assert figures.ends == {}


def test_every_figure_of_a_server_starts_at_nothing() -> None:
    figures = ServerFigures("10.0.0.1:80", weight=2)
    assert (figures.address, figures.weight) == ("10.0.0.1:80", 2)
    assert unused(figures, "address", "weight", "pacing")
    assert figures.pacing == OPEN


def test_every_figure_of_a_group_starts_at_nothing() -> None:
    figures = GroupFigures("gold", 5)
    assert (figures.name, figures.priority) == ("gold", 5)
    assert unused(figures, "name", "priority")
    assert unused(WatchFigures("gold"), "group")
    assert unused(QueueFigures(5), "priority")


def test_a_group_may_be_promised_what_the_pool_cannot_do() -> None:
    figures = GroupFigures("gold", 5)
    figures.threshold = 0.01
    assert not figures.too_low
    figures.idle = 0.01
    assert not figures.too_low
    figures.idle = 0.02
    assert figures.too_low
    nobody = GroupFigures("", 1)
    nobody.idle = 9.0
    assert not nobody.too_low


def test_words_are_counted_and_statuses_by_their_class() -> None:
    counts: dict[str, int] = {}
    for word in ("ok", "broken", "ok"):
        count(counts, word)
    assert counts == {"ok": 2, "broken": 1}
    counts = {}
    for status in (200, 204, 599, 0, 1234):
        count_status(counts, status)
    assert counts == {"2xx": 3, "5xx": 1}, "0 is of a protocol that has none; 1234 has a class, too"


def test_the_links_of_a_server_are_all_that_are_open_or_being_made() -> None:
    figures = ServerFigures("10.0.0.1:80", 1)
    figures.links_connecting, figures.links_idle, figures.links_busy, figures.links_draining = (
        1,
        20,
        300,
        4000,
    )
    assert figures.links == 4321


def test_a_worker_begins_without_a_process() -> None:
    figures = WorkerFigures(2)
    assert (figures.number, figures.state) == (2, "starting")
    assert unused(figures, "number", "state")


def test_every_figure_of_storage_but_its_size_starts_at_nothing() -> None:
    figures = StorageFigures(size=10, maximum=20)
    assert (figures.size, figures.maximum) == (10, 20)
    assert unused(figures, "size", "maximum")


def test_a_brokers_figures_are_those_of_its_parts() -> None:
    server = ServerFigures("10.0.0.1:80", 1)
    pool = PoolFigures("shop", "http", [server])
    assert unused(pool, "name", "protocol", "queues", "servers", "plain_share")
    assert pool.plain_share == 1.0  # nothing was held back
    assert [queue.priority for queue in pool.queues] == list(PRIORITIES) == [1, 2, 3, 4, 5]
    assert all(unused(queue, "priority") for queue in pool.queues)
    storage = StorageFigures(1, 2)
    figures = BrokerFigures([], [pool], storage, started=5.0)
    assert figures.pools[0].servers == [server]
    assert (figures.listeners, figures.storage, figures.started) == ([], storage, 5.0)


def unused(figures: object, *said: str) -> bool:
    """Nothing has been counted: all but what the constructor was told is 0, empty or without a time."""
    names = [name for name in getattr(type(figures), "__slots__", ()) if name not in said]
    assert names
    values = [getattr(figures, name) for name in names]
    return all(value.count == 0 if isinstance(value, Times) else not value for value in values)
