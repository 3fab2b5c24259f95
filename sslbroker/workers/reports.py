"""What each worker has counted, and the sum of all.

Decides how the figures of several processes become one set. Invariant: a counter of the sum never goes
down: of a worker that is gone its last report stays, without what it had open; a figure of `core.figures`
is in one column of `SHAPES` (a test looks), so none is forgotten. Both sides walk the same objects in the
same order, as they were before the fork: a row is known by its number. Refuses to send and to format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.figures import (
    PACING,
    TIME_BUCKETS,
    BrokerFigures,
    GroupFigures,
    ListenerFigures,
    PoolFigures,
    QueueFigures,
    ServerFigures,
    StorageFigures,
    WatchFigures,
    WorkerFigures,
)

#: Characters of the longest text in a row.
_LONGEST_TEXT = 500


class LogCounts:
    """What the access logs of all workers have counted (`observe.metrics.LogFigures`)."""

    __slots__ = ("lines", "lost", "waiting")

    def __init__(self) -> None:
        self.lines = 0
        self.lost = 0
        self.waiting = 0


class ProcessCounts:
    """What a process costs."""

    __slots__ = ("cpu", "memory")

    def __init__(self) -> None:
        self.cpu = 0.0  # seconds, user and system
        self.memory = 0  # gauge: resident bytes


@dataclass(frozen=True, slots=True)
class Shape:
    """Which figures of a class are added up, and how.

    Of what is no sum, the workers count that are there now: the worst of them, or a mean. `told` is what
    the configuration, an operator or the parent's own checks say of servers for all workers.
    """

    counters: tuple[str, ...] = ()
    gauges: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # counters by word
    times: tuple[str, ...] = ()
    latest: tuple[str, ...] = ()  # of who has the highest of the last of them
    worst: tuple[str, ...] = ()  # the highest of all, or the last word of `PACING`
    means: tuple[tuple[str, str], ...] = ()  # and the figure that says how much each one counts
    told: tuple[str, ...] = ()


SHAPES: Mapping[type, Shape] = {
    ListenerFigures: Shape(
        counters=("accepted", "bytes_in", "bytes_out", "refused", "tls_failed", "transactions"),
        gauges=("open",),
        words=("ends", "statuses"),
        times=("client_times",),
        told=("endpoint", "name", "pool", "secure"),
    ),
    BrokerFigures: Shape(
        gauges=("overloaded",),
        worst=("lag", "lag_worst"),
        told=("listeners", "pools", "started", "storage"),
    ),
    PoolFigures: Shape(
        counters=("hedges", "hedges_won", "held_back", "shed", "transactions"),
        gauges=("queued",),
        words=("failovers",),
        means=(("plain_share", "transactions"),),
        told=("groups", "name", "protocol", "queues", "servers"),
    ),
    GroupFigures: Shape(
        counters=("breaches", "transactions"),
        times=("client_times",),
        worst=("idle", "threshold"),
        told=("name", "priority"),
    ),
    QueueFigures: Shape(gauges=("length",), times=("waits",), told=("priority",)),
    WatchFigures: Shape(
        gauges=("count",), worst=("p50", "p95", "p99"), means=(("mean", "count"),), told=("group",)
    ),
    ServerFigures: Shape(
        counters=(
            "bytes_in",
            "bytes_out",
            "ejections",
            "links_opened",
            "links_reused",
            "outages",
            "reductions",
            "rests",
        ),
        gauges=(
            "ejected",
            "links_busy",
            "links_connecting",
            "links_draining",
            "links_idle",
            "outstanding",
            "resting",
            "unreachable",
            "window",
        ),
        words=("outcomes", "statuses"),
        times=("server_times",),
        latest=("last_failure", "last_failure_at"),
        worst=("pacing",),
        told=("address", "checks", "last_check", "last_check_at", "watches", "weight"),
    ),
    StorageFigures: Shape(
        counters=("given_up", "grown", "shrunk"), gauges=("maximum", "replay", "size", "unsent")
    ),
    LogCounts: Shape(counters=("lines", "lost"), gauges=("waiting",)),
    ProcessCounts: Shape(counters=("cpu",), gauges=("memory",)),
}

_TRANSACTIONS = SHAPES[ListenerFigures].counters.index("transactions")

Row = list[Any]
"""Counters, gauges, words, times, latest, worst and means of one object: what JSON can hold."""

Rows = dict[int, Row]


def parts(figures: BrokerFigures) -> Iterator[Any]:
    """The objects of which there is a row, in their order."""
    yield figures.storage
    yield from figures.listeners
    for pool in figures.pools:
        yield pool
        yield from pool.groups
        yield from pool.queues
        for server in pool.servers:
            yield server
            yield from server.watches
    yield figures


def row(counted: Any, shape: Shape) -> Row:
    """What this object has counted."""
    return [
        [getattr(counted, name) for name in shape.counters],
        [getattr(counted, name) for name in shape.gauges],
        [dict(getattr(counted, name)) for name in shape.words],
        [[*times.counts, times.sum] for times in (getattr(counted, name) for name in shape.times)],
        [_short(getattr(counted, name)) for name in shape.latest],
        [getattr(counted, name) for name in shape.worst],
        [[getattr(counted, name), getattr(counted, weight)] for name, weight in shape.means],
    ]


def changed(objects: Iterable[Any], before: Rows) -> Iterator[tuple[int, Row] | None]:
    """For each object its row, or None where it is as it was; rows are noted in `before`."""
    for number, counted in enumerate(objects):
        now = row(counted, SHAPES[_kind(counted)])
        if before.get(number) != now:
            before[number] = now
            yield number, now
        else:
            yield None


@dataclass(slots=True, eq=False)
class Account:
    """What one worker has told."""

    rows: Rows = field(default_factory=dict)


class Totals:
    """The sum of the accounts of all workers that are and were, in the objects that are given."""

    def __init__(self, objects: Sequence[Any]) -> None:
        self._objects = objects
        self._gone: Rows = {}
        self._accounts: list[Account] = []

    def begin(self) -> Account:
        """A worker has been started."""
        account = Account()
        self._accounts.append(account)
        return account

    def end(self, account: Account) -> None:
        """It is gone: what it had counted stays, what it had open does not."""
        self._accounts.remove(account)
        for number, last in account.rows.items():
            counters, gauges, words, times, latest, worst, means = last
            nothing = [PACING[0] if isinstance(value, str) else 0 for value in worst]
            weightless = [[value, 0] for value, _ in means]
            closed = [counters, [0] * len(gauges), words, times, latest, nothing, weightless]
            before = self._gone.get(number)
            self._gone[number] = closed if before is None else _sum([before, closed])

    def add_up(self) -> None:
        """Write the sums into the objects."""
        for number, counted in enumerate(self._objects):
            rows = [rows[number] for rows in (self._gone, *self._living()) if number in rows]
            if rows:
                _write(counted, SHAPES[_kind(counted)], _sum(rows))

    def show(self, account: Account, shown: WorkerFigures) -> None:
        """Write what one worker has told of itself into `shown`."""
        for number, values in account.rows.items():
            counted = self._objects[number]
            if isinstance(counted, ProcessCounts):
                shown.cpu, shown.memory = values[0][0], values[1][0]
            elif isinstance(counted, ListenerFigures):
                shown.connections += values[1][0]
                shown.transactions += values[0][_TRANSACTIONS]

    def _living(self) -> Iterator[Rows]:
        return (account.rows for account in self._accounts)


def _sum(rows: Sequence[Row]) -> Row:
    counters, gauges, words, times, latest, worst, means = zip(*rows, strict=True)
    return [
        _columns(counters),
        _columns(gauges),
        [_words(some) for some in zip(*words, strict=True)],
        [_columns(some) for some in zip(*times, strict=True)],
        max(latest, key=lambda values: values[-1] if values else 0),
        [max(some, key=_badness) for some in zip(*worst, strict=True)],
        [_mean(some) for some in zip(*means, strict=True)],
    ]


def _columns(several: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) for column in zip(*several, strict=True)]


def _badness(value: float | str) -> float:
    return PACING.index(value) if isinstance(value, str) else value


def _mean(several: Sequence[Sequence[float]]) -> list[float]:
    """Of values with their weights; of all alike while none of them counts."""
    weight = sum(weight for _, weight in several)
    if not weight:
        return [sum(value for value, _ in several) / len(several), 0]
    return [sum(value * weight for value, weight in several) / weight, weight]


def _words(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in several:
        for word, number in counts.items():
            total[word] = total.get(word, 0) + number
    return total


def _write(counted: Any, shape: Shape, sums: Row) -> None:
    for names, values in zip((shape.counters, shape.gauges, shape.words), sums, strict=False):
        for name, value in zip(names, values, strict=True):
            setattr(counted, name, value)
    for name, values in zip(shape.times, sums[3], strict=True):
        times = getattr(counted, name)
        times.counts, times.sum = values[:-1], values[-1]
        times.count = sum(times.counts)
        assert len(times.counts) == len(TIME_BUCKETS) + 1
    for names, values in zip((shape.latest, shape.worst), sums[4:], strict=False):
        for name, value in zip(names, values, strict=True):
            setattr(counted, name, value)
    for (name, _), (value, _) in zip(shape.means, sums[6], strict=True):
        setattr(counted, name, value)


def _kind(counted: Any) -> type:
    """Its class in `SHAPES`: who counts the same under another name (an access log) is read alike."""
    kind = type(counted)
    return kind if kind in SHAPES else LogCounts


def _short(value: Any) -> Any:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else value
