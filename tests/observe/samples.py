"""Figures in which every number is set, for the tests of this folder."""

from __future__ import annotations

from typing import Any

from sslbroker.core.figures import (
    PACED,
    BrokerFigures,
    GroupFigures,
    ListenerFigures,
    PoolFigures,
    QueueFigures,
    ServerFigures,
    StorageFigures,
    WatchFigures,
)

STANDING: dict[str, dict[str, dict[str, Any]]] = {
    "shop": {
        "10.0.0.1:80": {
            "state": "drain",
            "open": False,
            "bars": {"unresolved": "no such name"},
            "weight": 3,
            "link": "secure",
            "link_mode": "auto",
            "finding": "tls",
            "addresses": ["10.0.0.1", "10.0.0.2"],
        }
    }
}
"""How its server stands."""


def busy_broker() -> BrokerFigures:
    """A broker with one listener and one server, whose figures differ from one another."""
    listener = ListenerFigures("https", "tcp:8443", "shop", secure=True)
    listener.open = 3
    listener.accepted = 11
    listener.refused = 2
    listener.tls_failed = 1
    listener.transactions = 40
    listener.bytes_in = 512
    listener.bytes_out = 4096
    listener.ends = {"ok": 38, "watch:silent": 2}
    listener.statuses = {"2xx": 33, "5xx": 7}
    for seconds in (0.001, 0.007, 5.0):
        listener.client_times.add(seconds)

    server = ServerFigures("10.0.0.1:80", weight=2)
    server.outstanding = 6
    server.links_connecting = 1
    server.links_idle = 2
    server.links_busy = 3
    server.links_draining = 4
    server.unreachable = 1
    server.ejected = 2
    server.resting = 3
    server.outages = 11
    server.ejections = 12
    server.rests = 13
    server.links_opened = 7
    server.links_reused = 8
    server.bytes_out = 1024
    server.bytes_in = 2048
    server.outcomes = {"ok": 30, "refused": 9}
    server.statuses = {"2xx": 29, "5xx": 1}
    server.server_times.add(0.002)
    server.checks = {"ok": 12, "status": 3}
    server.last_check = "/healthz: status 503"
    server.last_check_at = 1_700_000_060.0
    server.last_failure = "tls-failed (certificate has expired)"
    server.last_failure_at = 1_700_000_050.0

    server.pacing = PACED
    server.window = 14
    server.reductions = 15
    watch, _ = server.watches = [WatchFigures("gold"), WatchFigures("")]
    watch.count = 16
    watch.mean, watch.p50, watch.p95, watch.p99 = 0.021, 0.02, 0.03, 0.04

    pool = PoolFigures("shop", "http", [server])
    gold, others = pool.groups = [GroupFigures("gold", 5), GroupFigures("", 1)]
    gold.threshold, gold.idle = 0.01, 0.02
    gold.transactions, gold.breaches = 17, 18
    gold.client_times.add(0.03)
    others.threshold = 0.05
    queue = QueueFigures(5)
    queue.length = 19
    queue.waits.add(0.25)
    pool.queues = [queue]
    pool.plain_share = 0.75
    pool.held_back = 20
    pool.shed = 21
    pool.transactions = 41
    pool.queued = 9
    pool.hedges = 11
    pool.hedges_won = 7
    pool.failovers = {"nothing-sent": 4, "replayable": 5}

    storage = StorageFigures(size=1000, maximum=2000)
    storage.unsent = 300
    storage.replay = 400
    storage.grown = 5
    storage.shrunk = 6
    storage.given_up = 7
    broker = BrokerFigures([listener], [pool], storage, started=1_700_000_000.0)
    broker.lag = 0.001
    broker.lag_worst = 0.002
    broker.overloaded = 1
    return broker
