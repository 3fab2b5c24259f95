"""The figures as Prometheus metrics, made at the moment of a scrape.

Decides the names, help texts and labels of the metrics. Invariant: each figure of `core.figures` is
one metric, in base units (seconds, bytes), and a counter's name ends in ``_total``; labels take their
values from the configuration and the words of `outcome`, so no client can make new series. Refuses to
touch the data path: it only reads, and a long page is made in pieces between which the reactor turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..core.figures import (
    BrokerFigures,
    ListenerFigures,
    PoolFigures,
    ServerFigures,
    StorageFigures,
    WorkerFigures,
)
from ..version import __version__
from .families import (
    PREFIX,
    Columns,
    Rows,
    by_word,
    counter,
    counters,
    gauge,
    gauges,
    histogram,
    info,
)
from .group_families import of_groups, of_lag, of_pacing
from .state import Servers

PIECE: Final = 200
"""Lines of the page that are made at once: about two milliseconds."""

_BROKER_GAUGES: Final[Columns[BrokerFigures]] = (
    ("start_time_seconds", "When the broker started, since the epoch.", lambda f: f.started),
)
_LISTENER_GAUGES: Final[Columns[ListenerFigures]] = (
    ("listener_connections", "Client connections that are open now.", lambda f: f.open),
)
_LISTENER_COUNTERS: Final[Columns[ListenerFigures]] = (
    ("listener_accepted_connections", "Client connections accepted.", lambda f: f.accepted),
    ("listener_refused_connections", "Client connections over limits.connections.", lambda f: f.refused),
    ("listener_tls_failures", "TLS handshakes with clients that failed.", lambda f: f.tls_failed),
    ("listener_transactions", "Transactions of clients.", lambda f: f.transactions),
    ("listener_request_bytes", "Content of requests received from clients.", lambda f: f.bytes_in),
    ("listener_response_bytes", "Content of responses sent to clients.", lambda f: f.bytes_out),
)
_POOL_GAUGES: Final[Columns[PoolFigures]] = (
    ("pool_queued_transactions", "Transactions that wait for a server.", lambda f: f.queued),
)
_POOL_COUNTERS: Final[Columns[PoolFigures]] = (
    ("pool_transactions", "Transactions given to the pool.", lambda f: f.transactions),
    ("pool_hedges", "Tries at a second server, beside one that took long.", lambda f: f.hedges),
    ("pool_hedges_won", "Those of them that took the place of the first.", lambda f: f.hedges_won),
)
_SERVER_GAUGES: Final[Columns[ServerFigures]] = (
    ("server_weight", "The server's share of the pool's transactions, as set.", lambda f: f.weight),
    ("server_outstanding_tries", "Tries that are under way now.", lambda f: f.outstanding),
    ("server_unreachable", "1 for each worker while the server takes no link.", lambda f: f.unreachable),
    ("server_ejected", "1 for each worker that leaves the server out for its failures.", lambda f: f.ejected),
    ("server_resting", "1 for each worker that lets the server rest as it asked.", lambda f: f.resting),
)
_STANDING_GAUGES: Final[Columns[Mapping[str, Any]]] = (
    ("server_open", "1 while the server may be chosen.", lambda s: float(s["open"])),
    ("server_draining", "1 while it gets no new clients.", lambda s: float(s["state"] == "drain")),
    ("server_addresses", "IP addresses of the server that are known.", lambda s: len(s["addresses"])),
)
_SERVER_COUNTERS: Final[Columns[ServerFigures]] = (
    ("server_outages", "Times that the server took no link any more.", lambda f: f.outages),
    ("server_ejections", "Times that the server was left out for its failures.", lambda f: f.ejections),
    ("server_rests", "Times that the server was left alone because it asked for it.", lambda f: f.rests),
    ("server_opened_links", "Links opened to the server.", lambda f: f.links_opened),
    ("server_reused_links", "Tries that took a link which was already open.", lambda f: f.links_reused),
    ("server_request_bytes", "Content of requests sent to the server.", lambda f: f.bytes_out),
    ("server_response_bytes", "Content of responses received from the server.", lambda f: f.bytes_in),
)
_LINK_STATES: Final[tuple[tuple[str, Callable[[ServerFigures], int]], ...]] = (
    ("connecting", lambda f: f.links_connecting),
    ("idle", lambda f: f.links_idle),
    ("busy", lambda f: f.links_busy),
    ("draining", lambda f: f.links_draining),
)
_STORAGE_GAUGES: Final[Columns[StorageFigures]] = (
    ("storage_size_bytes", "What the storage budget has sized itself to.", lambda f: f.size),
    ("storage_maximum_bytes", "What the storage budget may grow to.", lambda f: f.maximum),
    ("storage_unsent_bytes", "Stored bytes that no server has been sent yet.", lambda f: f.unsent),
    ("storage_replay_bytes", "Stored copies of sent bytes, for another try.", lambda f: f.replay),
)
_STORAGE_COUNTERS: Final[Columns[StorageFigures]] = (
    ("storage_given_up_copies", "Transactions that lost their replay copy.", lambda f: f.given_up),
)


_WORKER_GAUGES: Final[Columns[WorkerFigures]] = (
    ("worker_connections", "Client connections of the worker that are open now.", lambda f: f.connections),
    ("worker_resident_memory_bytes", "Memory of the worker.", lambda f: f.memory),
    ("worker_start_time_seconds", "When the worker began to serve, since the epoch.", lambda f: f.since),
)
_WORKER_COUNTERS: Final[Columns[WorkerFigures]] = (
    ("worker_transactions", "Transactions of the worker.", lambda f: f.transactions),
    ("worker_cpu_seconds", "Processor time of the worker.", lambda f: f.cpu),
)


class LogFigures(Protocol):
    """What an access log counts (`AccessLog` does)."""

    @property
    def lines(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def waiting(self) -> int: ...


_LOG_GAUGES: Final[Columns[LogFigures]] = (
    ("access_log_waiting_bytes", "Bytes of the access log that are not written yet.", lambda f: f.waiting),
)
_LOG_COUNTERS: Final[Columns[LogFigures]] = (
    ("access_log_lines", "Transactions told to the access log, lost lines too.", lambda f: f.lines),
    ("access_log_lost_lines", "Lines of the access log that could not be written.", lambda f: f.lost),
)


class FiguresCollector(Collector):
    """Turns what `figures()` gives at each scrape, and the access log's counts, into metrics."""

    def __init__(
        self,
        figures: Callable[[], BrokerFigures],
        access_log: LogFigures | None = None,
        servers: Callable[[], Servers] = dict,
        workers: Callable[[], Sequence[WorkerFigures]] = tuple,
    ) -> None:
        self._figures = figures
        self._workers = workers
        self._access_log = access_log
        self._servers = servers

    def collect(self) -> Iterator[Metric]:
        figures = self._figures()
        broker: Rows[BrokerFigures] = [((), figures)]
        yield info("build", "The broker's version.", (), broker, lambda _: {"version": __version__})
        yield from gauges((), broker, _BROKER_GAUGES)
        yield from _of_listeners(figures.listeners)
        yield from of_lag(figures)
        yield from _of_pools(figures.pools)
        yield from of_groups(figures.pools)
        yield from _of_servers(figures.pools)
        yield from of_pacing(figures.pools)
        yield from _of_standing(self._servers())
        yield from _of_storage(figures.storage)
        if workers := self._workers():
            yield from _of_workers(workers)
        if self._access_log is not None:
            log: Rows[LogFigures] = [((), self._access_log)]
            yield from gauges((), log, _LOG_GAUGES)
            yield from counters((), log, _LOG_COUNTERS)


def broker_registry(
    figures: Callable[[], BrokerFigures],
    access_log: LogFigures | None = None,
    servers: Callable[[], Servers] = dict,
    workers: Callable[[], Sequence[WorkerFigures]] = tuple,
) -> CollectorRegistry:
    """A registry of its own, with the broker's figures and those of the process and of Python."""
    registry = CollectorRegistry()
    registry.register(FiguresCollector(figures, access_log, servers, workers))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> Iterator[bytes]:
    """The page in Prometheus' text format 0.0.4, in pieces of at least `PIECE` lines but the last."""
    texts: list[bytes] = []
    lines = 0
    for metric in registry.collect():
        for part in _parts(metric):
            texts.append(part)
            lines += part.count(b"\n")
            if lines >= PIECE:
                yield b"".join(texts)
                texts.clear()
                lines = 0
    yield b"".join(texts)


def _parts(metric: Metric) -> Iterator[bytes]:
    # A foreign metric may have samples that are moved to its end: it stays in one part.
    step = PIECE if metric.name.startswith(PREFIX) else None
    samples = iter(metric.samples)
    first = True
    while (some := list(islice(samples, step))) or first:
        part = Metric(metric.name, metric.documentation, metric.type)
        part.samples = some
        text = generate_latest(_Only(part))
        # Help and type may stand once only, before the first sample.
        yield text if first else text.split(b"\n", 2)[2]
        first = False


class _Only(Collector):
    """One metric as a collector: what `generate_latest` takes."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def _of_listeners(listeners: list[ListenerFigures]) -> Iterator[Metric]:
    labels = ("listener",)
    rows: Rows[ListenerFigures] = [((listener.name,), listener) for listener in listeners]
    yield info("listener", "How the listener is set up.", labels, rows, _about_listener)
    yield from gauges(labels, rows, _LISTENER_GAUGES)
    yield from counters(labels, rows, _LISTENER_COUNTERS)
    yield counter(
        "listener_transaction_ends",
        "Transactions by how they ended; without a phase when all went well.",
        (*labels, "phase", "cause"),
        lambda: (
            ((*names, phase, cause), count)
            for names, listener in rows
            for end, count in [*listener.ends.items()]
            for phase, _, cause in [end.rpartition(":")]
        ),
    )
    yield by_word(
        "listener_responses",
        "Answers that clients got, by class of status.",
        (*labels, "class"),
        rows,
        lambda f: f.statuses,
    )
    yield histogram(
        "listener_client_time_seconds",
        "From a request's head to the first byte of its response written.",
        labels,
        rows,
        lambda f: f.client_times,
    )


def _about_listener(listener: ListenerFigures) -> dict[str, str]:
    return {
        "endpoint": listener.endpoint,
        "pool": listener.pool,
        "secure": "true" if listener.secure else "false",
    }


def _of_pools(pools: list[PoolFigures]) -> Iterator[Metric]:
    labels = ("pool",)
    rows: Rows[PoolFigures] = [((pool.name,), pool) for pool in pools]
    yield info("pool", "What the pool speaks.", labels, rows, lambda f: {"protocol": f.protocol})
    yield from counters(labels, rows, _POOL_COUNTERS)
    yield from gauges(labels, rows, _POOL_GAUGES)
    yield by_word(
        "pool_failovers",
        "Next tries, by the reason that allowed them.",
        (*labels, "reason"),
        rows,
        lambda f: f.failovers,
    )


def _of_servers(pools: list[PoolFigures]) -> Iterator[Metric]:
    labels = ("pool", "server")
    rows: Rows[ServerFigures] = [
        ((pool.name, server.address), server) for pool in pools for server in pool.servers
    ]
    yield from gauges(labels, rows, _SERVER_GAUGES)
    yield gauge(
        "server_links",
        "Links to the server now, by state.",
        (*labels, "state"),
        lambda: (((*names, state), count(server)) for names, server in rows for state, count in _LINK_STATES),
    )
    yield from counters(labels, rows, _SERVER_COUNTERS)
    yield by_word(
        "server_tries", "Tries that are over, by outcome.", (*labels, "cause"), rows, lambda f: f.outcomes
    )
    yield by_word(
        "server_responses",
        "Answers of the server, by class of status.",
        (*labels, "class"),
        rows,
        lambda f: f.statuses,
    )
    yield histogram(
        "server_time_seconds",
        "From a request sent to the first byte of the response's head.",
        labels,
        rows,
        lambda f: f.server_times,
    )
    yield by_word(
        "server_checks",
        "Active checks of the server, by result.",
        (*labels, "cause"),
        rows,
        lambda f: f.checks,
    )
    yield gauge(
        "server_last_check_time_seconds",
        "When the server was last checked, since the epoch.",
        labels,
        lambda: ((names, server.last_check_at) for names, server in rows if server.last_check_at),
    )
    yield gauge(
        "server_last_failure_time_seconds",
        "When a try on the server last failed, since the epoch.",
        labels,
        lambda: ((names, server.last_failure_at) for names, server in rows if server.last_failure_at),
    )


def _of_standing(servers: Servers) -> Iterator[Metric]:
    """What an operator, a lookup or a probe says of a server, and no count does."""
    labels = ("pool", "server")
    rows: Rows[Mapping[str, Any]] = [
        ((pool, address), stands)
        for pool, addresses in servers.items()
        for address, stands in addresses.items()
    ]
    yield from gauges(labels, rows, _STANDING_GAUGES)
    yield gauge(
        "server_barred",
        "1 for each bar.",
        (*labels, "bar"),
        lambda: (((*names, bar), 1) for names, stands in rows for bar in stands["bars"]),
    )
    yield info("server_link", "How links are made now, and why.", labels, rows, _about_link)


def _about_link(stands: Mapping[str, Any]) -> dict[str, str]:
    mode = stands["link_mode"]
    told = {True: "secure", False: "plain"}.get(mode, str(mode))
    return {"link": stands["link"], "mode": told, "finding": stands["finding"] or ""}


def _of_storage(storage: StorageFigures) -> Iterator[Metric]:
    rows: Rows[StorageFigures] = [((), storage)]
    yield from gauges((), rows, _STORAGE_GAUGES)
    yield from counters((), rows, _STORAGE_COUNTERS)
    yield by_word(
        "storage_resizes",
        "Changes of the storage budget's size.",
        ("direction",),
        rows,
        lambda f: {"up": f.grown, "down": f.shrunk},
    )


def _of_workers(workers: Sequence[WorkerFigures]) -> Iterator[Metric]:
    """One row for each process: two of one slot while one of them leaves."""
    labels = ("worker", "pid")
    rows: Rows[WorkerFigures] = [((str(worker.number), str(worker.pid)), worker) for worker in workers]
    yield info("worker", "How the worker stands.", labels, rows, lambda f: {"state": f.state})
    yield from gauges(labels, rows, _WORKER_GAUGES)
    yield from counters(labels, rows, _WORKER_COUNTERS)
    slots = {worker.number: worker for worker in workers}
    yield counter(
        "worker_restarts",
        "How often the worker was replaced.",
        labels[:1],
        lambda: (((str(number),), worker.restarts) for number, worker in slots.items()),
    )
