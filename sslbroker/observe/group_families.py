"""What groups of clients are promised and get, and what gives way to it, as metrics.

Decides their names, help texts and labels. Invariant: a broker without configured groups has none of these
samples but those of the queue; of servers only groups are told that had answers lately, so that servers times
groups is not what a page costs. Refuses to touch the data path: it only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.metrics_core import Metric

from ..core.figures import (
    BrokerFigures,
    GroupFigures,
    PoolFigures,
    QueueFigures,
    ServerFigures,
    WatchFigures,
)
from .families import Columns, Rows, counters, gauge, gauges, histogram, info

_LAG_GAUGES: Final[Columns[BrokerFigures]] = (
    ("event_loop_lag_seconds", "By how much the event loop was late lately, as a mean.", lambda f: f.lag),
    ("event_loop_worst_lag_seconds", "The most that the event loop was late lately.", lambda f: f.lag_worst),
    ("overloaded", "1 for each worker that holds plain traffic back for its lag.", lambda f: f.overloaded),
)
_PACED_POOL_GAUGES: Final[Columns[PoolFigures]] = (
    (
        "pool_plain_share",
        "The part of plain transactions that was not held back lately.",
        lambda f: f.plain_share,
    ),
)
_PACED_POOL_COUNTERS: Final[Columns[PoolFigures]] = (
    ("pool_held_back_transactions", "Plain ones that waited for secure ones.", lambda f: f.held_back),
    ("pool_shed_transactions", "Plain ones that were refused for secure ones.", lambda f: f.shed),
)
_GROUP_GAUGES: Final[Columns[GroupFigures]] = (
    ("group_threshold_seconds", "The response time that the group is promised.", lambda f: f.threshold),
    ("group_threshold_too_low", "1 if the pool takes longer even when it is idle.", lambda f: f.too_low),
)
_GROUP_COUNTERS: Final[Columns[GroupFigures]] = (
    ("group_transactions", "Secure transactions of the group.", lambda f: f.transactions),
    ("group_breaches", "Those of them that took longer than promised.", lambda f: f.breaches),
)
_QUEUE_GAUGES: Final[Columns[QueueFigures]] = (
    ("pool_queue_length", "Transactions of the priority that wait for a place.", lambda f: f.length),
)
_PACED_SERVER_GAUGES: Final[Columns[ServerFigures]] = (
    ("server_pacing_window", "Tries up to which plain ones begin; 0: any number.", lambda f: f.window),
)
_PACED_SERVER_COUNTERS: Final[Columns[ServerFigures]] = (
    ("server_pacing_reductions", "Times that this window was reduced.", lambda f: f.reductions),
)
_QUANTILES: Final[tuple[tuple[str, Callable[[WatchFigures], float]], ...]] = (
    ("0.5", lambda f: f.p50),
    ("0.95", lambda f: f.p95),
    ("0.99", lambda f: f.p99),
)


def of_lag(figures: BrokerFigures) -> Iterator[Metric]:
    """The broker's own part in response times, which is measured where there are groups."""
    rows: Rows[BrokerFigures] = [((), figures)] if any(pool.groups for pool in figures.pools) else []
    yield from gauges((), rows, _LAG_GAUGES)


def of_groups(pools: list[PoolFigures]) -> Iterator[Metric]:
    """What groups are promised and get; clients in no group have the label "" for it."""
    labels = ("pool", "group")
    rows: Rows[GroupFigures] = [((pool.name, group.name), group) for pool in pools for group in pool.groups]
    yield info("group", "What the group is.", labels, rows, lambda f: {"priority": str(f.priority)})
    yield from gauges(labels, rows, _GROUP_GAUGES)
    yield gauge(
        "group_idle_time_seconds",
        "What the pool takes when it is idle, as far as it is known.",
        labels,
        lambda: ((names, group.idle) for names, group in rows if group.idle),
    )
    yield from counters(labels, rows, _GROUP_COUNTERS)
    yield histogram(
        "group_client_time_seconds",
        "From a request's head to the first byte of its response written, for the group.",
        labels,
        rows,
        lambda f: f.client_times,
    )
    queued: Rows[QueueFigures] = [
        ((pool.name, str(queue.priority)), queue) for pool in pools for queue in pool.queues
    ]
    labels = ("pool", "priority")
    yield from gauges(labels, queued, _QUEUE_GAUGES)
    yield histogram(
        "pool_queue_wait_seconds",
        "How long those waited who got a place after they had to wait.",
        labels,
        queued,
        lambda f: f.waits,
    )


def of_pacing(pools: list[PoolFigures]) -> Iterator[Metric]:
    """Of pools with groups: without them nothing is watched for their sake, and nothing held back."""
    paced = [pool for pool in pools if pool.groups]
    of_pools: Rows[PoolFigures] = [((pool.name,), pool) for pool in paced]
    yield from gauges(("pool",), of_pools, _PACED_POOL_GAUGES)
    yield from counters(("pool",), of_pools, _PACED_POOL_COUNTERS)
    labels = ("pool", "server")
    rows: Rows[ServerFigures] = [
        ((pool.name, server.address), server) for pool in paced for server in pool.servers
    ]
    yield info(
        "server_pacing", "How plain traffic to it stands.", labels, rows, lambda f: {"state": f.pacing}
    )
    yield from gauges(labels, rows, _PACED_SERVER_GAUGES)
    yield from counters(labels, rows, _PACED_SERVER_COUNTERS)
    by_group = (*labels, "group")

    def watched() -> Iterator[tuple[tuple[str, ...], WatchFigures]]:
        return (((*names, watch.group), watch) for names, f in rows for watch in f.watches if watch.count)

    yield gauge(
        "server_recent_tries",
        "Secure tries of the group lately.",
        by_group,
        lambda: ((names, watch.count) for names, watch in watched()),
    )
    yield gauge(
        "server_recent_mean_time_seconds",
        "The mean of their server times, which forgets by the time.",
        by_group,
        lambda: ((names, watch.mean) for names, watch in watched()),
    )
    yield gauge(
        "server_recent_time_seconds",
        "Quantiles of their server times.",
        (*by_group, "quantile"),
        lambda: (
            ((*names, share), seconds(watch)) for names, watch in watched() for share, seconds in _QUANTILES
        ),
    )
