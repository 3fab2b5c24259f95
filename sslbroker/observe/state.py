"""What happens now, as a plain dictionary for ``/state``.

Decides the form that programs and people read when they ask a broker how it is. Invariant: the answer
is bounded, however large the configuration, and says what it left out; times are seconds, sizes are
bytes, and the words are those of the metrics and of the access log. Refuses to format: JSON is made
by the page.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate, islice
from typing import Any, Final

from ..core.figures import (
    TIME_BUCKETS,
    BrokerFigures,
    GroupFigures,
    ListenerFigures,
    PoolFigures,
    QueueFigures,
    ServerFigures,
    Times,
    WatchFigures,
    WorkerFigures,
)
from ..version import __version__

LIST_LIMIT: Final = 1000
"""How many listeners, how many pools, and how many servers of all pools together are shown."""

GROUP_LIMIT: Final = 100
"""How many groups of each pool are shown, and of each server those that it had lately."""


Servers = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""How servers stand, by pool and by address, beside what is counted."""


def state(
    figures: BrokerFigures,
    now: float,
    extra: Mapping[str, Any] | None = None,
    servers: Servers | None = None,
    workers: Sequence[WorkerFigures] = (),
) -> dict[str, Any]:
    """The broker's state at `now` (seconds since the epoch).

    What only the service knows is shown too: `extra` beside it, where it cannot replace anything, and
    `servers` in each server; and `workers`, where there are several.
    """
    listeners = [_listener(listener) for listener in figures.listeners[:LIST_LIMIT]]
    pools: list[dict[str, Any]] = []
    room = LIST_LIMIT
    for pool in figures.pools[:LIST_LIMIT]:
        pools.append(_pool(pool, room, (servers or {}).get(pool.name, {})))
        room -= len(pools[-1]["servers"])
    storage = figures.storage
    return {
        **(extra or {}),
        "version": __version__,
        "pid": os.getpid(),
        "started": figures.started,
        "uptime": max(0.0, round(now - figures.started, 3)),
        **(_lag(figures) if any(pool.groups for pool in figures.pools) else {}),
        "listeners": listeners,
        "listeners_left_out": len(figures.listeners) - len(listeners),
        "pools": pools,
        "pools_left_out": len(figures.pools) - len(pools),
        "storage": {
            "size": storage.size,
            "maximum": storage.maximum,
            "unsent": storage.unsent,
            "replay": storage.replay,
            "grown": storage.grown,
            "shrunk": storage.shrunk,
            "given_up": storage.given_up,
        },
        **({"workers": [_worker(worker) for worker in workers]} if workers else {}),
    }


def _lag(figures: BrokerFigures) -> dict[str, Any]:
    return {
        "lag": round(figures.lag, 6),
        "lag_worst": round(figures.lag_worst, 6),
        "overloaded": figures.overloaded,
    }


def _listener(listener: ListenerFigures) -> dict[str, Any]:
    return {
        "name": listener.name,
        "endpoint": listener.endpoint,
        "pool": listener.pool,
        "secure": listener.secure,
        "open": listener.open,
        "accepted": listener.accepted,
        "refused": listener.refused,
        "tls_failed": listener.tls_failed,
        "transactions": listener.transactions,
        "bytes_in": listener.bytes_in,
        "bytes_out": listener.bytes_out,
        "ends": dict(listener.ends),
        "statuses": dict(listener.statuses),
        "client_time": summary(listener.client_times),
    }


def _pool(pool: PoolFigures, room: int, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    servers = [
        _server(server, known.get(server.address, {}), bool(pool.groups)) for server in pool.servers[:room]
    ]
    return {
        "name": pool.name,
        "protocol": pool.protocol,
        "transactions": pool.transactions,
        "queued": pool.queued,
        "queues": [_queue(queue) for queue in pool.queues],
        "hedges": pool.hedges,
        "hedges_won": pool.hedges_won,
        "failovers": dict(pool.failovers),
        **(_paced_pool(pool) if pool.groups else {}),
        "servers": servers,
        "servers_left_out": len(pool.servers) - len(servers),
    }


def _queue(queue: QueueFigures) -> dict[str, Any]:
    return {"priority": queue.priority, "length": queue.length, "wait": summary(queue.waits)}


def _paced_pool(pool: PoolFigures) -> dict[str, Any]:
    return {
        "plain_share": round(pool.plain_share, 3),
        "held_back": pool.held_back,
        "shed": pool.shed,
        # The clients in no group are the last.
        "groups": [_group(group) for group in [*pool.groups[:-1][:GROUP_LIMIT], pool.groups[-1]]],
        "groups_left_out": max(0, len(pool.groups) - 1 - GROUP_LIMIT),
    }


def _group(group: GroupFigures) -> dict[str, Any]:
    return {
        "name": group.name or None,
        "priority": group.priority,
        "threshold": round(group.threshold, 6),
        "threshold_too_low": group.too_low,
        "idle": round(group.idle, 6) or None,
        "transactions": group.transactions,
        "breaches": group.breaches,
        "client_time": summary(group.client_times),
    }


def _paced_server(server: ServerFigures) -> dict[str, Any]:
    recent = (watch for watch in server.watches if watch.count)
    return {
        "pacing": server.pacing,
        "window": server.window or None,
        "reductions": server.reductions,
        "recent": [_watch(watch) for watch in islice(recent, GROUP_LIMIT)],
    }


def _watch(watch: WatchFigures) -> dict[str, Any]:
    return {
        "group": watch.group or None,
        "count": watch.count,
        "mean": round(watch.mean, 6),
        "p50": round(watch.p50, 6),
        "p95": round(watch.p95, 6),
        "p99": round(watch.p99, 6),
    }


def _server(server: ServerFigures, known: Mapping[str, Any], paced: bool) -> dict[str, Any]:
    return {
        "address": server.address,
        **known,
        "weight": server.weight,
        "outstanding": server.outstanding,
        "links": {
            "connecting": server.links_connecting,
            "idle": server.links_idle,
            "busy": server.links_busy,
            "draining": server.links_draining,
        },
        "unreachable": server.unreachable,
        "ejected": server.ejected,
        "resting": server.resting,
        "outages": server.outages,
        "ejections": server.ejections,
        "rests": server.rests,
        "links_opened": server.links_opened,
        "links_reused": server.links_reused,
        "bytes_in": server.bytes_in,
        "bytes_out": server.bytes_out,
        "outcomes": dict(server.outcomes),
        "statuses": dict(server.statuses),
        "last_failure": server.last_failure or None,
        "last_failure_at": server.last_failure_at or None,
        "checks": dict(server.checks),
        "last_check": server.last_check or None,
        "last_check_at": server.last_check_at or None,
        "server_time": summary(server.server_times),
        **(_paced_server(server) if paced else {}),
    }


def _worker(worker: WorkerFigures) -> dict[str, Any]:
    return {
        "number": worker.number,
        "pid": worker.pid or None,
        "state": worker.state,
        "since": worker.since or None,
        "restarts": worker.restarts,
        "connections": worker.connections,
        "transactions": worker.transactions,
        "cpu": round(worker.cpu, 3),
        "memory": worker.memory,
    }


def summary(times: Times) -> dict[str, float | int | None]:
    """Count, mean and two quantiles in seconds.

    A quantile is the upper bound of the bucket that it lies in: it is at most that. None: there is no
    measurement, or it lies above the last bucket.
    """
    mean = round(times.sum / times.count, 6) if times.count else None
    return {"count": times.count, "mean": mean, "p50": _at_most(times, 0.5), "p99": _at_most(times, 0.99)}


def _at_most(times: Times, share: float) -> float | None:
    totals = list(accumulate(times.counts))
    if not totals[-1]:
        return None
    bucket = bisect_left(totals, share * totals[-1])
    return TIME_BUCKETS[bucket] if bucket < len(TIME_BUCKETS) else None
