"""The figures as Prometheus metrics, made at the moment of a scrape.

Decides the names, help texts and labels of the metrics. Invariant: each figure of `core.figures` is
one metric, in base units (seconds, bytes), and a counter's name ends in ``_total``; labels take their
values from the configuration and the words of `outcome`, so no client can make new series. Refuses to
touch the data path: it only reads, and a long page is made in pieces between which the reactor turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..core.figures import (
    TIME_BUCKETS,
    BrokerFigures,
    ListenerFigures,
    PoolFigures,
    ServerFigures,
    StorageFigures,
    Times,
)
from ..version import __version__
from .state import Servers

PREFIX: Final = "sslbroker_"
PIECE: Final = 250
"""Lines of the page that are made at once: about two milliseconds."""

_BOUNDS: Final = [*map(str, TIME_BUCKETS), "+Inf"]

_Subject = TypeVar("_Subject")
_Rows = Sequence[tuple[tuple[str, ...], _Subject]]
_Columns = tuple[tuple[str, str, Callable[[_Subject], float]], ...]

# Each row: the name without prefix and suffix, the help text, where the number is.
_LISTENER_GAUGES: Final[_Columns[ListenerFigures]] = (
    ("listener_connections", "Client connections that are open now.", lambda f: f.open),
)
_LISTENER_COUNTERS: Final[_Columns[ListenerFigures]] = (
    ("listener_accepted_connections", "Client connections accepted.", lambda f: f.accepted),
    ("listener_refused_connections", "Client connections over limits.connections.", lambda f: f.refused),
    ("listener_tls_failures", "TLS handshakes with clients that failed.", lambda f: f.tls_failed),
    ("listener_transactions", "Transactions of clients.", lambda f: f.transactions),
    ("listener_request_bytes", "Content of requests received from clients.", lambda f: f.bytes_in),
    ("listener_response_bytes", "Content of responses sent to clients.", lambda f: f.bytes_out),
)
_SERVER_GAUGES: Final[_Columns[ServerFigures]] = (
    ("server_weight", "The server's share of the pool's transactions, as set.", lambda f: f.weight),
    ("server_outstanding_tries", "Tries that are under way now.", lambda f: f.outstanding),
)
_STANDING_GAUGES: Final[_Columns[Mapping[str, Any]]] = (
    ("server_open", "1 while the server may be chosen.", lambda s: float(s["open"])),
    ("server_draining", "1 while it gets no new clients.", lambda s: float(s["state"] == "drain")),
    ("server_addresses", "IP addresses of the server that are known.", lambda s: len(s["addresses"])),
)
_SERVER_COUNTERS: Final[_Columns[ServerFigures]] = (
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
_STORAGE_GAUGES: Final[_Columns[StorageFigures]] = (
    ("storage_size_bytes", "What the storage budget has sized itself to.", lambda f: f.size),
    ("storage_maximum_bytes", "What the storage budget may grow to.", lambda f: f.maximum),
    ("storage_unsent_bytes", "Stored bytes that no server has been sent yet.", lambda f: f.unsent),
    ("storage_replay_bytes", "Stored copies of sent bytes, for another try.", lambda f: f.replay),
)
_STORAGE_COUNTERS: Final[_Columns[StorageFigures]] = (
    ("storage_given_up_copies", "Transactions that lost their replay copy.", lambda f: f.given_up),
)


class LogFigures(Protocol):
    """What an access log counts (`AccessLog` does)."""

    @property
    def lines(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def waiting(self) -> int: ...


_LOG_GAUGES: Final[_Columns[LogFigures]] = (
    ("access_log_waiting_bytes", "Bytes of the access log that are not written yet.", lambda f: f.waiting),
)
_LOG_COUNTERS: Final[_Columns[LogFigures]] = (
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
    ) -> None:
        self._figures = figures
        self._access_log = access_log
        self._servers = servers

    def collect(self) -> Iterator[Metric]:
        figures = self._figures()
        yield InfoMetricFamily(f"{PREFIX}build", "The broker's version.", {"version": __version__})
        yield GaugeMetricFamily(
            f"{PREFIX}start_time_seconds", "When the broker started, since the epoch.", figures.started
        )
        yield from _of_listeners(figures.listeners)
        yield from _of_pools(figures.pools)
        yield from _of_servers(figures.pools)
        yield from _of_standing(self._servers())
        yield from _of_storage(figures.storage)
        if self._access_log is not None:
            log: _Rows[LogFigures] = [((), self._access_log)]
            yield from _gauges((), log, _LOG_GAUGES)
            yield from _counters((), log, _LOG_COUNTERS)


def broker_registry(
    figures: Callable[[], BrokerFigures],
    access_log: LogFigures | None = None,
    servers: Callable[[], Servers] = dict,
) -> CollectorRegistry:
    """A registry of its own, with the broker's figures and those of the process and of Python."""
    registry = CollectorRegistry()
    registry.register(FiguresCollector(figures, access_log, servers))
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
    step = PIECE if metric.name.startswith(PREFIX) else len(metric.samples)
    for start in range(0, max(1, len(metric.samples)), max(1, step)):
        part = Metric(metric.name, metric.documentation, metric.type)
        part.samples = metric.samples[start : start + step]
        text = generate_latest(_Only(part))
        # Help and type may stand once only, before the first sample.
        yield text if start == 0 else text.split(b"\n", 2)[2]


class _Only(Collector):
    """One metric as a collector: what `generate_latest` takes."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def _of_listeners(listeners: list[ListenerFigures]) -> Iterator[Metric]:
    labels = ("listener",)
    rows: _Rows[ListenerFigures] = [((listener.name,), listener) for listener in listeners]
    info = InfoMetricFamily(f"{PREFIX}listener", "How the listener is set up.", labels=labels)
    for names, listener in rows:
        about = {
            "endpoint": listener.endpoint,
            "pool": listener.pool,
            "secure": "true" if listener.secure else "false",
        }
        info.add_metric(names, about)
    yield info
    yield from _gauges(labels, rows, _LISTENER_GAUGES)
    yield from _counters(labels, rows, _LISTENER_COUNTERS)
    ends = CounterMetricFamily(
        f"{PREFIX}listener_transaction_ends",
        "Transactions by how they ended; without a phase when all went well.",
        labels=("listener", "phase", "cause"),
    )
    for names, listener in rows:
        for end, count in listener.ends.items():
            phase, _, cause = end.rpartition(":")
            ends.add_metric((*names, phase, cause), count)
    yield ends
    yield _by_word(
        "listener_responses",
        "Answers that clients got, by class of status.",
        ("listener", "class"),
        ((names, listener.statuses) for names, listener in rows),
    )
    yield _histogram(
        "listener_client_time_seconds",
        "From a request's head to the first byte of its response written.",
        labels,
        ((names, listener.client_times) for names, listener in rows),
    )


def _of_pools(pools: list[PoolFigures]) -> Iterator[Metric]:
    rows: _Rows[PoolFigures] = [((pool.name,), pool) for pool in pools]
    info = InfoMetricFamily(f"{PREFIX}pool", "What the pool speaks.", labels=("pool",))
    for names, pool in rows:
        info.add_metric(names, {"protocol": pool.protocol})
    yield info
    transactions: _Columns[PoolFigures] = (
        ("pool_transactions", "Transactions given to the pool.", lambda f: f.transactions),
    )
    yield from _counters(("pool",), rows, transactions)
    queued: _Columns[PoolFigures] = (
        ("pool_queued_transactions", "Transactions that wait for a place at a server.", lambda f: f.queued),
    )
    yield from _gauges(("pool",), rows, queued)
    yield _by_word(
        "pool_failovers",
        "Next tries, by the reason that allowed them.",
        ("pool", "reason"),
        ((names, pool.failovers) for names, pool in rows),
    )


def _of_servers(pools: list[PoolFigures]) -> Iterator[Metric]:
    labels = ("pool", "server")
    rows: _Rows[ServerFigures] = [
        ((pool.name, server.address), server) for pool in pools for server in pool.servers
    ]
    yield from _gauges(labels, rows, _SERVER_GAUGES)
    links = GaugeMetricFamily(
        f"{PREFIX}server_links", "Links to the server now, by state.", labels=(*labels, "state")
    )
    for names, server in rows:
        for state, count in _LINK_STATES:
            links.add_metric((*names, state), count(server))
    yield links
    yield from _counters(labels, rows, _SERVER_COUNTERS)
    yield _by_word(
        "server_tries",
        "Tries that are over, by outcome.",
        (*labels, "cause"),
        ((names, server.outcomes) for names, server in rows),
    )
    yield _by_word(
        "server_responses",
        "Answers of the server, by class of status.",
        (*labels, "class"),
        ((names, server.statuses) for names, server in rows),
    )
    yield _histogram(
        "server_time_seconds",
        "From a request sent to the first byte of the response's head.",
        labels,
        ((names, server.server_times) for names, server in rows),
    )
    failed = GaugeMetricFamily(
        f"{PREFIX}server_last_failure_time_seconds",
        "When a try on the server last failed, since the epoch.",
        labels=labels,
    )
    for names, server in rows:
        if server.last_failure_at:
            failed.add_metric(names, server.last_failure_at)
    yield failed


def _of_standing(servers: Servers) -> Iterator[Metric]:
    """What an operator, a lookup or a probe says of a server, and no count does."""
    labels = ("pool", "server")
    rows: _Rows[Mapping[str, Any]] = [
        ((pool, address), stands)
        for pool, addresses in servers.items()
        for address, stands in addresses.items()
    ]
    yield from _gauges(labels, rows, _STANDING_GAUGES)
    bars = GaugeMetricFamily(f"{PREFIX}server_barred", "1 for each bar.", labels=(*labels, "bar"))
    links = InfoMetricFamily(f"{PREFIX}server_link", "How links are made now, and why.", labels=labels)
    for names, stands in rows:
        for bar in stands["bars"]:
            bars.add_metric((*names, bar), 1)
        mode = stands["link_mode"]
        told = {True: "secure", False: "plain"}.get(mode, str(mode))
        links.add_metric(names, {"link": stands["link"], "mode": told, "finding": stands["finding"] or ""})
    yield bars
    yield links


def _of_storage(storage: StorageFigures) -> Iterator[Metric]:
    rows: _Rows[StorageFigures] = [((), storage)]
    yield from _gauges((), rows, _STORAGE_GAUGES)
    yield from _counters((), rows, _STORAGE_COUNTERS)
    yield _by_word(
        "storage_resizes",
        "Changes of the storage budget's size.",
        ("direction",),
        [((), {"up": storage.grown, "down": storage.shrunk})],
    )


def _gauges(labels: tuple[str, ...], rows: _Rows[_Subject], columns: _Columns[_Subject]) -> Iterator[Metric]:
    for name, text, number in columns:
        gauge = GaugeMetricFamily(PREFIX + name, text, labels=labels)
        for names, subject in rows:
            gauge.add_metric(names, number(subject))
        yield gauge


def _counters(
    labels: tuple[str, ...], rows: _Rows[_Subject], columns: _Columns[_Subject]
) -> Iterator[Metric]:
    for name, text, number in columns:
        counter = CounterMetricFamily(PREFIX + name, text, labels=labels)
        for names, subject in rows:
            counter.add_metric(names, number(subject))
        yield counter


def _by_word(
    name: str,
    text: str,
    labels: tuple[str, ...],
    rows: Iterable[tuple[tuple[str, ...], Mapping[str, int]]],
) -> Metric:
    """A counter whose last label is the word that was counted."""
    counter = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for names, counts in rows:
        for word, count in counts.items():
            counter.add_metric((*names, word), count)
    return counter


def _histogram(
    name: str, text: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], Times]]
) -> Metric:
    histogram = HistogramMetricFamily(PREFIX + name, text, labels=labels)
    for names, times in rows:
        total = 0
        buckets = []
        for bound, count in zip(_BOUNDS, times.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        histogram.add_metric(names, buckets, times.sum)
    return histogram
