"""How a configuration is divided among workers, and which one cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from sslbroker.settings import (
    Admin,
    Broker,
    Configuration,
    Limits,
    LinkLimits,
    Listener,
    MiB,
    Pacing,
    Pool,
    Queue,
    Server,
    Storage,
)
from sslbroker.workers import shares


def configuration(workers: int | str, *servers: Server, **changes: Any) -> Configuration:
    return Configuration(
        listeners=(Listener("http", "tcp:0", "shop", limits=Limits(connections=1001)),),
        pools=(
            Pool(
                "shop",
                servers or (Server("a:1"),),
                links=LinkLimits(idle=9),
                queue=Queue(length=1000),
                pacing=Pacing(queue=11),
            ),
        ),
        admin=Admin("tcp:0"),
        broker=Broker(workers=workers),
        **changes,
    )


@pytest.fixture(autouse=True)
def four_cores() -> Iterator[None]:
    with mock.patch("os.sched_getaffinity", return_value={0, 1, 2, 3}), mock.patch("sys.platform", "linux"):
        yield


def test_auto_is_one_for_each_core_that_may_be_used() -> None:
    assert [shares.count(configuration(workers)) for workers in ("auto", 1, 7)] == [4, 1, 7]
    with mock.patch("sys.platform", "darwin"):
        assert shares.count(configuration("auto")) == 1


def test_what_each_worker_has_adds_up_to_the_whole() -> None:
    whole = configuration(2)
    mine = shares.of_worker(whole, 2)
    assert mine.listeners[0].limits.connections == 500
    assert (mine.pools[0].links.idle, mine.pools[0].queue.length) == (5, 500)
    assert mine.pools[0].pacing == Pacing(queue=6)
    assert mine.storage == replace(Storage(), initial=2 * MiB, minimum=MiB // 2, maximum=128 * MiB)
    assert mine.admin is None
    assert mine.pools[0].servers == whole.pools[0].servers


def test_one_worker_has_all() -> None:
    whole = configuration(1)
    assert shares.of_worker(whole, 1) is whole


def test_nothing_is_divided_away() -> None:
    whole = configuration(1024, storage=Storage(initial=4096, minimum=4096, maximum=2 * MiB))
    mine = shares.of_worker(whole, 1024)
    assert mine.listeners[0].limits.connections == 1
    assert mine.storage.maximum == mine.storage.per_transaction == 1 * MiB
    assert mine.storage.minimum <= mine.storage.initial <= mine.storage.maximum


def problems(made: Configuration) -> list[str]:
    return [str(problem) for problem in shares.problems(made)]


def test_a_server_with_fewer_places_than_there_are_workers_is_refused() -> None:
    servers = Server("a:1", maximum_transactions=3), Server("b:1", maximum_links=4), Server("c:1")
    assert problems(configuration(3, *servers)) == []
    (one,) = problems(configuration("auto", *servers))
    assert one.startswith("pools.shop.servers[0].maximum_transactions: found 3, expected a place for each")
    assert '4 ("auto" on this machine)' in one
    assert problems(configuration(1, *servers)) == []


def test_so_is_a_pool() -> None:
    whole = configuration(3)
    (pool,) = whole.pools
    small = replace(whole, pools=(replace(pool, maximum_transactions=2),))
    (one,) = problems(small)
    assert one.startswith("pools.shop.maximum_transactions: found 2, expected a place for each worker")
    assert problems(replace(whole, pools=(replace(pool, maximum_transactions=3),))) == []


def test_the_limit_of_a_pool_is_not_divided_but_leased() -> None:
    whole = configuration(3)
    whole = replace(whole, pools=(replace(whole.pools[0], maximum_transactions=7),))
    assert shares.of_worker(whole, 3).pools[0].maximum_transactions == 7


def test_several_workers_are_for_linux() -> None:
    with mock.patch("sys.platform", "darwin"):
        (one,) = problems(configuration(2))
    assert one.startswith("broker.workers: found 2, expected 1")
