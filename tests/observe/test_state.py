"""`/state` shows every figure under its own name, and stays bounded."""

from __future__ import annotations

import json
import os

from sslbroker import __version__
from sslbroker.core.figures import (
    BrokerFigures,
    GroupFigures,
    ListenerFigures,
    PoolFigures,
    ServerFigures,
    Times,
    WatchFigures,
    WorkerFigures,
)
from sslbroker.observe.state import GROUP_LIMIT, LIST_LIMIT, state, summary

from .samples import STANDING, busy_broker


def test_every_figure_is_shown() -> None:
    shown = state(busy_broker(), now=1_700_000_060.5)

    assert shown["version"] == __version__
    assert shown["pid"] == os.getpid()
    assert (shown["started"], shown["uptime"]) == (1_700_000_000.0, 60.5)
    assert (shown["lag"], shown["lag_worst"], shown["overloaded"]) == (0.001, 0.002, 1)
    assert shown["listeners"] == [
        {
            "name": "https",
            "endpoint": "tcp:8443",
            "pool": "shop",
            "secure": True,
            "open": 3,
            "accepted": 11,
            "refused": 2,
            "tls_failed": 1,
            "transactions": 40,
            "bytes_in": 512,
            "bytes_out": 4096,
            "ends": {"ok": 38, "watch:silent": 2},
            "statuses": {"2xx": 33, "5xx": 7},
            "client_time": {"count": 3, "mean": 1.669333, "p50": 0.01, "p99": 10.0},
        }
    ]
    assert shown["pools"] == [
        {
            "name": "shop",
            "protocol": "http",
            "transactions": 41,
            "queued": 9,
            "queues": [
                {
                    "priority": 5,
                    "length": 19,
                    "wait": {"count": 1, "mean": 0.25, "p50": 0.25, "p99": 0.25},
                }
            ],
            "hedges": 11,
            "hedges_won": 7,
            "failovers": {"nothing-sent": 4, "replayable": 5},
            "plain_share": 0.75,
            "held_back": 20,
            "shed": 21,
            "groups": [
                {
                    "name": "gold",
                    "priority": 5,
                    "threshold": 0.01,
                    "threshold_too_low": True,
                    "idle": 0.02,
                    "transactions": 17,
                    "breaches": 18,
                    "client_time": {"count": 1, "mean": 0.03, "p50": 0.03, "p99": 0.03},
                },
                {
                    "name": None,
                    "priority": 1,
                    "threshold": 0.05,
                    "threshold_too_low": False,
                    "idle": None,
                    "transactions": 0,
                    "breaches": 0,
                    "client_time": {"count": 0, "mean": None, "p50": None, "p99": None},
                },
            ],
            "groups_left_out": 0,
            "servers": [
                {
                    "address": "10.0.0.1:80",
                    "weight": 2,
                    "outstanding": 6,
                    "links": {"connecting": 1, "idle": 2, "busy": 3, "draining": 4},
                    "unreachable": 1,
                    "ejected": 2,
                    "resting": 3,
                    "outages": 11,
                    "ejections": 12,
                    "rests": 13,
                    "links_opened": 7,
                    "links_reused": 8,
                    "bytes_in": 2048,
                    "bytes_out": 1024,
                    "outcomes": {"ok": 30, "refused": 9},
                    "statuses": {"2xx": 29, "5xx": 1},
                    "last_failure": "tls-failed (certificate has expired)",
                    "last_failure_at": 1_700_000_050.0,
                    "checks": {"ok": 12, "status": 3},
                    "last_check": "/healthz: status 503",
                    "last_check_at": 1_700_000_060.0,
                    "server_time": {"count": 1, "mean": 0.002, "p50": 0.0025, "p99": 0.0025},
                    "pacing": "paced",
                    "window": 14,
                    "reductions": 15,
                    "recent": [
                        {
                            "group": "gold",
                            "count": 16,
                            "mean": 0.021,
                            "p50": 0.02,
                            "p95": 0.03,
                            "p99": 0.04,
                        }
                    ],
                }
            ],
            "servers_left_out": 0,
        }
    ]
    assert shown["storage"] == {
        "size": 1000,
        "maximum": 2000,
        "unsent": 300,
        "replay": 400,
        "grown": 5,
        "shrunk": 6,
        "given_up": 7,
    }


def test_what_the_service_adds_stands_beside_but_replaces_nothing() -> None:
    shown = state(busy_broker(), now=0, extra={"draining": True, "version": "another"})

    assert shown["draining"] is True
    assert shown["version"] == __version__


def test_how_a_server_stands_is_shown_with_it_and_replaces_nothing() -> None:
    (server,) = state(busy_broker(), now=0, servers=STANDING)["pools"][0]["servers"]

    assert {key: server[key] for key in STANDING["shop"]["10.0.0.1:80"]} == {
        **STANDING["shop"]["10.0.0.1:80"],
        "weight": 2,  # as the figures have it
    }
    elsewhere = state(busy_broker(), now=0, servers={"other": STANDING["shop"]})
    assert elsewhere == state(busy_broker(), now=0)


def test_a_server_that_never_failed_has_no_failure() -> None:
    figures = BrokerFigures(
        [], [PoolFigures("a", "http", [ServerFigures("a:1", 1)])], busy_broker().storage, 0
    )
    (server,) = state(figures, now=0)["pools"][0]["servers"]

    assert (server["last_failure"], server["last_failure_at"]) == (None, None)
    assert (server["last_check"], server["last_check_at"]) == (None, None)


def test_it_can_be_written_as_strict_json() -> None:
    json.dumps(state(busy_broker(), now=0, servers=STANDING), allow_nan=False)


def test_a_clock_that_was_set_back_gives_no_negative_uptime() -> None:
    assert state(busy_broker(), now=1.0)["uptime"] == 0.0


def test_lists_are_cut_and_say_how_much_is_left_out() -> None:
    many = LIST_LIMIT + 3
    pools = [
        PoolFigures("a", "http", [ServerFigures(f"a:{n}", 1) for n in range(LIST_LIMIT - 1)]),
        PoolFigures("b", "http", [ServerFigures(f"b:{n}", 1) for n in range(4)]),
        *(PoolFigures(f"c{n}", "tcp", []) for n in range(many - 2)),
    ]
    listeners = [ListenerFigures(f"l{n}", "tcp:1", "a", False) for n in range(many)]

    shown = state(BrokerFigures(listeners, pools, busy_broker().storage, 0.0), now=0)

    assert (len(shown["listeners"]), shown["listeners_left_out"]) == (LIST_LIMIT, 3)
    assert (len(shown["pools"]), shown["pools_left_out"]) == (LIST_LIMIT, 3)
    assert (len(shown["pools"][0]["servers"]), shown["pools"][0]["servers_left_out"]) == (LIST_LIMIT - 1, 0)
    assert (len(shown["pools"][1]["servers"]), shown["pools"][1]["servers_left_out"]) == (1, 3)


def test_a_pool_without_groups_shows_nothing_of_them() -> None:
    figures = busy_broker()
    figures.pools[0].groups = []

    shown = state(figures, now=0)

    (pool,) = shown["pools"]
    assert not {"lag", "lag_worst", "overloaded"} & set(shown)
    assert not {"groups", "groups_left_out", "plain_share", "held_back", "shed"} & set(pool)
    assert not {"pacing", "window", "reductions", "recent"} & set(pool["servers"][0])


def test_of_many_groups_some_are_shown_and_always_the_clients_in_none() -> None:
    figures = busy_broker()
    (pool,) = figures.pools
    names = [f"g{number}" for number in range(GROUP_LIMIT + 2)]
    pool.groups = [*(GroupFigures(name, 2) for name in names), GroupFigures("", 1)]
    watches = [WatchFigures(name) for name in names]
    for watch in watches:
        watch.count = 1
    pool.servers[0].watches = watches

    (shown,) = state(figures, now=0)["pools"]

    assert [group["name"] for group in shown["groups"]] == [*names[:GROUP_LIMIT], None]
    assert shown["groups_left_out"] == 2
    assert len(shown["servers"][0]["recent"]) == GROUP_LIMIT


def test_a_summary_of_nothing_has_no_times() -> None:
    assert summary(Times()) == {"count": 0, "mean": None, "p50": None, "p99": None}


def test_a_quantile_is_the_bound_of_its_bucket() -> None:
    times = Times()
    for seconds in [0.0009] * 50 + [0.2] * 49 + [3.0]:
        times.add(seconds)

    assert summary(times) == {"count": 100, "mean": 0.12845, "p50": 0.001, "p99": 0.25}


def test_a_quantile_above_the_last_bucket_is_unknown() -> None:
    times = Times()
    times.add(31.0)

    assert summary(times) == {"count": 1, "mean": 31.0, "p50": None, "p99": None}


def test_each_worker_is_shown_where_there_are_several() -> None:
    assert "workers" not in state(busy_broker(), now=0)
    worker = WorkerFigures(1)
    worker.restarts = 3
    (shown,) = state(busy_broker(), now=0, workers=[worker])["workers"]
    assert shown == {
        "number": 1,
        "pid": None,
        "state": "starting",
        "since": None,
        "restarts": 3,
        "connections": 0,
        "transactions": 0,
        "cpu": 0.0,
        "memory": 0,
    }
