"""Figures of several processes become one set, and no counter ever goes down."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.figures import (
    INEFFECTIVE,
    OPEN,
    PACED,
    BrokerFigures,
    GroupFigures,
    ListenerFigures,
    PoolFigures,
    QueueFigures,
    ServerFigures,
    StorageFigures,
    WatchFigures,
    WorkerFigures,
    count,
)
from sslbroker.observe.accesslog import AccessLog
from sslbroker.workers.reports import SHAPES, Account, LogCounts, ProcessCounts, Rows, Totals, changed, parts


def figures() -> BrokerFigures:
    servers = [ServerFigures("a:1", 1), ServerFigures("b:1", 1)]
    for server in servers:
        server.watches = [WatchFigures("gold"), WatchFigures("")]
    pool = PoolFigures("shop", "http", servers)
    pool.groups = [GroupFigures("gold", 5), GroupFigures("", 1)]
    pool.queues = [QueueFigures(5), QueueFigures(1)]
    listeners = [ListenerFigures("http", "tcp:0", "shop", False)]
    return BrokerFigures(listeners, [pool], StorageFigures(10, 100), 0.0)


class Counting:
    """A worker, as far as it counts."""

    def __init__(self, totals: Totals) -> None:
        self.figures = figures()
        self.account: Account = totals.begin()
        self.sent: Rows = {}
        self.objects = [ProcessCounts(), *parts(self.figures), LogCounts()]

    def report(self) -> int:
        rows = json.loads(json.dumps([row for row in changed(self.objects, self.sent) if row]))
        self.account.rows.update(dict(rows))
        return len(rows)


def made() -> tuple[Totals, BrokerFigures, LogCounts]:
    total, log = figures(), LogCounts()
    return Totals([ProcessCounts(), *parts(total), log]), total, log


def test_every_figure_is_in_one_column() -> None:
    for kind, shape in SHAPES.items():
        columns = [
            *shape.counters,
            *shape.gauges,
            *shape.words,
            *shape.times,
            *shape.latest,
            *shape.worst,
            *(name for name, _ in shape.means),
            *shape.told,
        ]
        assert sorted(columns) == sorted(kind.__slots__), kind  # type: ignore[attr-defined]


def test_the_sum_of_two() -> None:
    totals, total, log = made()
    one, two = Counting(totals), Counting(totals)
    for worker, seconds in ((one, 0.0005), (two, 20.0)):
        listener = worker.figures.listeners[0]
        listener.accepted += 2
        listener.open += 1
        count(listener.ends, "ok")
        listener.client_times.add(seconds)
        worker.objects[-1].lines = 3
        worker.report()
    count(two.figures.listeners[0].ends, "watch:silent")
    two.report()
    totals.add_up()
    listener = total.listeners[0]
    assert (listener.accepted, listener.open, listener.ends) == (4, 2, {"ok": 2, "watch:silent": 1})
    times = listener.client_times
    assert (times.count, times.sum, times.counts[0], times.counts[-2]) == (2, 20.0005, 1, 1)
    assert (total.storage.size, total.storage.maximum, log.lines) == (20, 200, 6)
    assert (listener.name, total.pools[0].servers[1].address) == ("http", "b:1")


def test_only_what_has_changed_is_told() -> None:
    totals, *_ = made()
    worker = Counting(totals)
    assert worker.report() == len(worker.objects)
    assert worker.report() == 0
    worker.figures.pools[0].servers[1].links_idle += 1
    assert worker.report() == 1


def test_who_is_gone_keeps_what_it_counted_and_has_nothing_open() -> None:
    totals, total, _ = made()
    for _ in range(3):
        worker = Counting(totals)
        server = worker.figures.pools[0].servers[0]
        server.outstanding, server.links_opened = 4, 5
        count(server.outcomes, "ok")
        server.server_times.add(0.1)
        worker.report()
        totals.end(worker.account)
    totals.add_up()
    server = total.pools[0].servers[0]
    assert (server.outstanding, server.links_opened, server.outcomes) == (0, 15, {"ok": 3})
    assert (server.server_times.count, total.storage.size, total.storage.maximum) == (3, 0, 0)


def test_the_latest_failure_is_the_one_that_is_shown() -> None:
    totals, total, _ = made()
    for number, at in enumerate((5.0, 9.0, 7.0)):
        worker = Counting(totals)
        server = worker.figures.pools[0].servers[0]
        server.last_failure, server.last_failure_at = f"broken: {number}" * 200, at
        worker.report()
        if number != 2:
            totals.end(worker.account)
    totals.add_up()
    server = total.pools[0].servers[0]
    assert server.last_failure_at == 9.0
    assert server.last_failure.startswith("broken: 1")
    assert len(server.last_failure) <= 500


def test_groups_and_queues_are_added_up() -> None:
    totals, total, _ = made()
    for number in (1, 2):
        worker = Counting(totals)
        pool = worker.figures.pools[0]
        gold, queue = pool.groups[0], pool.queues[1]
        gold.transactions, gold.breaches, gold.threshold, gold.idle = 10, number, 0.02 * number, 0.01 / number
        gold.client_times.add(0.02)
        queue.length = number
        queue.waits.add(0.5)
        pool.held_back, pool.shed = 3, 4
        worker.report()
    totals.add_up()
    pool = total.pools[0]
    gold, queue = pool.groups[0], pool.queues[1]
    assert (gold.transactions, gold.breaches, gold.client_times.count) == (20, 3, 2)
    assert (gold.threshold, gold.idle) == (0.04, 0.01)
    assert (queue.length, queue.waits.sum, pool.held_back, pool.shed) == (3, 1.0, 6, 8)
    assert (pool.groups[1].name, pool.groups[1].transactions, pool.queues[0].waits.count) == ("", 0, 0)


def test_what_is_no_sum_is_the_worst_or_the_mean_of_those_who_live() -> None:
    totals, total, _ = made()
    workers = []
    for lag, p99, mean, tries, pacing, share, transactions in (
        (0.001, 0.03, 0.02, 30, PACED, 0.5, 300),
        (0.005, 0.02, 0.01, 10, OPEN, 1.0, 100),
        (0.9, 0.9, 0.9, 1000, INEFFECTIVE, 0.0, 9999),
    ):
        worker = Counting(totals)
        pool = worker.figures.pools[0]
        server = pool.servers[1]
        watch = server.watches[0]
        worker.figures.lag, worker.figures.overloaded = lag, 1
        watch.p99, watch.mean, watch.count = p99, mean, tries
        server.pacing, server.window = pacing, 4
        pool.plain_share, pool.transactions = share, transactions
        worker.report()
        workers.append(worker)
    totals.end(workers.pop().account)
    totals.add_up()
    pool = total.pools[0]
    server = pool.servers[1]
    watch = server.watches[0]
    assert (total.lag, total.overloaded) == (0.005, 2)
    assert (watch.p99, round(watch.mean, 9), watch.count) == (0.03, 0.0175, 40)
    assert (server.pacing, server.window, pool.plain_share) == (PACED, 8, 0.625)

    for worker in workers:
        totals.end(worker.account)
    totals.add_up()
    assert (total.lag, total.overloaded, watch.p99, watch.count) == (0, 0, 0, 0)
    assert (server.pacing, server.window, pool.transactions) == (OPEN, 0, 10_399)


def test_one_worker_by_itself() -> None:
    totals, *_ = made()
    worker = Counting(totals)
    worker.objects[0].cpu, worker.objects[0].memory = 1.5, 4096
    worker.figures.listeners[0].open, worker.figures.listeners[0].transactions = 7, 8
    worker.report()
    shown = WorkerFigures(1)
    totals.show(worker.account, shown)
    assert (shown.cpu, shown.memory, shown.connections, shown.transactions) == (1.5, 4096, 7, 8)


def test_an_access_log_counts_as_the_sum_of_them_does() -> None:
    for name in LogCounts.__slots__:
        assert name in SHAPES[LogCounts].counters + SHAPES[LogCounts].gauges
    assert issubclass(AccessLog, object)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["count", "report", "die"])), max_size=60))
def test_no_total_ever_goes_down(steps: list[tuple[int, str]]) -> None:
    totals, total, _ = made()
    workers = [Counting(totals) for _ in range(4)]
    before: list[Any] = [0, 0, 0]
    for number, step in steps:
        worker = workers[number]
        if step == "count":
            worker.figures.listeners[0].transactions += 1
            count(worker.figures.pools[0].failovers, "replayable")
            worker.figures.pools[0].servers[0].server_times.add(0.001)
        elif step == "report":
            worker.report()
        else:
            totals.end(worker.account)
            workers[number] = Counting(totals)
        totals.add_up()
        now = [
            total.listeners[0].transactions,
            total.pools[0].failovers.get("replayable", 0),
            total.pools[0].servers[0].server_times.count,
        ]
        assert all(one >= other for one, other in zip(now, before, strict=True))
        before = now
