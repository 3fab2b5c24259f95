"""What Prometheus reads is what was counted, under names that keep its conventions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from sslbroker import __version__
from sslbroker.core.figures import (
    BrokerFigures,
    ListenerFigures,
    PoolFigures,
    ServerFigures,
    StorageFigures,
    WorkerFigures,
)
from sslbroker.observe.metrics import PIECE, FiguresCollector, broker_registry, exposition

from .samples import STANDING, busy_broker

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


class Log:
    """An access log's counts."""

    lines = 12
    lost = 13
    waiting = 14


def figures_only(
    figures: BrokerFigures, log: Log | None = None, workers: Sequence[WorkerFigures] = ()
) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(FiguresCollector(lambda: figures, log, lambda: STANDING, lambda: workers))
    return registry


def scraped(registry: CollectorRegistry) -> list[Metric]:
    text = b"".join(exposition(registry)).decode()
    return list(text_string_to_metric_families(text))


def values(metrics: Iterable[Metric]) -> dict[str, float]:
    """Each sample as its line would be, without the buckets."""
    return {
        name + "".join(f" {key}={value}" for key, value in sorted(labels.items())): number
        for metric in metrics
        for name, labels, number, *_ in metric.samples
        if "le" not in labels
    }


def test_every_figure_appears_with_its_value() -> None:
    listener = "listener=https"
    server = "pool=shop server=10.0.0.1:80"
    prefix = "sslbroker_"
    expected = {
        f"build_info version={__version__}": 1,
        "start_time_seconds": 1_700_000_000.0,
        "event_loop_lag_seconds": 0.001,
        "event_loop_worst_lag_seconds": 0.002,
        "overloaded": 1,
        f"listener_info endpoint=tcp:8443 {listener} pool=shop secure=true": 1,
        f"listener_connections {listener}": 3,
        f"listener_accepted_connections_total {listener}": 11,
        f"listener_refused_connections_total {listener}": 2,
        f"listener_tls_failures_total {listener}": 1,
        f"listener_transactions_total {listener}": 40,
        f"listener_request_bytes_total {listener}": 512,
        f"listener_response_bytes_total {listener}": 4096,
        f"listener_transaction_ends_total cause=ok {listener} phase=": 38,
        f"listener_transaction_ends_total cause=silent {listener} phase=watch": 2,
        f"listener_responses_total class=2xx {listener}": 33,
        f"listener_responses_total class=5xx {listener}": 7,
        f"listener_client_time_seconds_count {listener}": 3,
        f"listener_client_time_seconds_sum {listener}": 5.008,
        "pool_info pool=shop protocol=http": 1,
        "pool_transactions_total pool=shop": 41,
        "pool_queued_transactions pool=shop": 9,
        "pool_hedges_total pool=shop": 11,
        "pool_hedges_won_total pool=shop": 7,
        "pool_failovers_total pool=shop reason=nothing-sent": 4,
        "pool_failovers_total pool=shop reason=replayable": 5,
        "pool_plain_share pool=shop": 0.75,
        "pool_held_back_transactions_total pool=shop": 20,
        "pool_shed_transactions_total pool=shop": 21,
        "pool_queue_length pool=shop priority=5": 19,
        "pool_queue_wait_seconds_count pool=shop priority=5": 1,
        "pool_queue_wait_seconds_sum pool=shop priority=5": 0.25,
        "group_info group= pool=shop priority=1": 1,
        "group_info group=gold pool=shop priority=5": 1,
        "group_threshold_seconds group= pool=shop": 0.05,
        "group_threshold_seconds group=gold pool=shop": 0.01,
        "group_threshold_too_low group= pool=shop": 0,
        "group_threshold_too_low group=gold pool=shop": 1,
        "group_idle_time_seconds group=gold pool=shop": 0.02,
        "group_transactions_total group= pool=shop": 0,
        "group_transactions_total group=gold pool=shop": 17,
        "group_breaches_total group= pool=shop": 0,
        "group_breaches_total group=gold pool=shop": 18,
        "group_client_time_seconds_count group= pool=shop": 0,
        "group_client_time_seconds_count group=gold pool=shop": 1,
        "group_client_time_seconds_sum group= pool=shop": 0,
        "group_client_time_seconds_sum group=gold pool=shop": 0.03,
        f"server_pacing_info {server} state=paced": 1,
        f"server_pacing_window {server}": 14,
        f"server_pacing_reductions_total {server}": 15,
        f"server_recent_tries group=gold {server}": 16,
        f"server_recent_mean_time_seconds group=gold {server}": 0.021,
        "server_recent_time_seconds group=gold pool=shop quantile=0.5 server=10.0.0.1:80": 0.02,
        "server_recent_time_seconds group=gold pool=shop quantile=0.95 server=10.0.0.1:80": 0.03,
        "server_recent_time_seconds group=gold pool=shop quantile=0.99 server=10.0.0.1:80": 0.04,
        f"server_weight {server}": 2,
        f"server_outstanding_tries {server}": 6,
        f"server_unreachable {server}": 1,
        f"server_ejected {server}": 2,
        f"server_resting {server}": 3,
        f"server_outages_total {server}": 11,
        f"server_ejections_total {server}": 12,
        f"server_rests_total {server}": 13,
        f"server_links {server} state=connecting": 1,
        f"server_links {server} state=idle": 2,
        f"server_links {server} state=busy": 3,
        f"server_links {server} state=draining": 4,
        f"server_opened_links_total {server}": 7,
        f"server_reused_links_total {server}": 8,
        f"server_request_bytes_total {server}": 1024,
        f"server_response_bytes_total {server}": 2048,
        f"server_tries_total cause=ok {server}": 30,
        f"server_tries_total cause=refused {server}": 9,
        f"server_responses_total class=2xx {server}": 29,
        f"server_responses_total class=5xx {server}": 1,
        f"server_time_seconds_count {server}": 1,
        f"server_time_seconds_sum {server}": 0.002,
        f"server_checks_total cause=ok {server}": 12,
        f"server_checks_total cause=status {server}": 3,
        f"server_last_check_time_seconds {server}": 1_700_000_060.0,
        f"server_last_failure_time_seconds {server}": 1_700_000_050.0,
        f"server_open {server}": 0,
        f"server_draining {server}": 1,
        f"server_addresses {server}": 2,
        f"server_barred bar=unresolved {server}": 1,
        f"server_link_info finding=tls link=secure mode=auto {server}": 1,
        "storage_size_bytes": 1000,
        "storage_maximum_bytes": 2000,
        "storage_unsent_bytes": 300,
        "storage_replay_bytes": 400,
        "storage_given_up_copies_total": 7,
        "storage_resizes_total direction=up": 5,
        "storage_resizes_total direction=down": 6,
        "access_log_waiting_bytes": 14,
        "access_log_lines_total": 12,
        "access_log_lost_lines_total": 13,
    }

    found = values(scraped(figures_only(busy_broker(), Log())))

    assert found == {prefix + name: value for name, value in expected.items()}


def test_buckets_add_up_from_the_shortest_time_to_all() -> None:
    metrics = {metric.name: metric for metric in scraped(figures_only(busy_broker()))}
    samples = metrics["sslbroker_listener_client_time_seconds"].samples
    buckets = {sample.labels["le"]: sample.value for sample in samples if "le" in sample.labels}

    assert list(buckets.values()) == sorted(buckets.values())
    assert [buckets[bound] for bound in ("0.001", "0.005", "0.01", "2.5", "10.0", "+Inf")] == [
        1,
        1,
        2,
        2,
        3,
        3,
    ]


def test_a_scrape_reads_the_figures_of_that_moment() -> None:
    figures = busy_broker()
    registry = figures_only(figures)
    scraped(registry)

    figures.listeners[0].open = 99

    assert values(scraped(registry))["sslbroker_listener_connections listener=https"] == 99


def test_without_an_access_log_its_metrics_are_absent() -> None:
    assert not [metric for metric in scraped(figures_only(busy_broker())) if "access_log" in metric.name]


def test_a_broker_that_has_counted_nothing_still_names_every_metric() -> None:
    empty = BrokerFigures(
        [ListenerFigures("plain", "tcp:80", "p", secure=False)],
        [PoolFigures("p", "tcp", [ServerFigures("h:1", 1)])],
        StorageFigures(1, 1),
        0.0,
    )

    names = [metric.name for metric in scraped(figures_only(empty))]

    assert names == [metric.name for metric in scraped(figures_only(busy_broker()))]
    assert values(scraped(figures_only(empty)))[
        "sslbroker_listener_info endpoint=tcp:80 listener=plain pool=p secure=false"
    ]


def test_names_keep_the_conventions_of_prometheus() -> None:
    for metric in scraped(figures_only(busy_broker(), Log())):
        assert re.fullmatch(r"sslbroker_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.documentation.endswith(".")
        for sample in metric.samples:
            if metric.type == "counter":
                assert sample.name.endswith("_total")
            else:
                assert not sample.name.endswith("_total")
        if metric.type == "histogram":
            assert metric.name.endswith("_seconds")


def test_labels_from_the_configuration_cannot_break_the_page() -> None:
    figures = busy_broker()
    figures.pools[0].name = 'a"b\\c\nd'

    found = values(scraped(figures_only(figures)))

    assert found['sslbroker_pool_transactions_total pool=a"b\\c\nd'] == 41


def test_a_long_page_comes_in_pieces_and_is_the_same_page() -> None:
    servers = [ServerFigures(f"10.0.0.{number}:80", 1) for number in range(40)]
    figures = BrokerFigures([], [PoolFigures("shop", "http", servers)], StorageFigures(1, 2), 0.0)
    registry = figures_only(figures)

    pieces = list(exposition(registry))

    assert len(pieces) > 3
    assert max(piece.count(b"\n") for piece in pieces) < 2 * PIECE + 2
    assert b"".join(pieces) == generate_latest(registry)


def test_transactions_may_end_while_the_page_is_made() -> None:
    servers = [ServerFigures(f"10.0.0.{number}:80", 1) for number in range(2 * PIECE)]
    listener = ListenerFigures("https", "tcp:443", "shop", secure=True)
    listener.ends = {f"watch:{number}": 1 for number in range(2 * PIECE)}
    figures = BrokerFigures([listener], [PoolFigures("shop", "http", servers)], StorageFigures(1, 2), 0.0)

    for number, _ in enumerate(exposition(figures_only(figures))):
        listener.ends[f"more:{number}"] = 1
        for server in servers:
            server.outcomes[f"cause-{number}"] = 1
            server.server_times.add(1.0)


def test_a_foreign_metric_is_never_cut() -> None:
    registry = CollectorRegistry()
    foreign = Counter("foreign", "Of a plugin.", ["n"], registry=registry)
    for number in range(PIECE):
        foreign.labels(str(number)).inc()

    assert b"".join(exposition(registry)) == generate_latest(registry)


def test_process_and_python_are_measured_too() -> None:
    names = {metric.name for metric in scraped(broker_registry(busy_broker))}

    assert {"sslbroker_build_info", "python_info", "python_gc_collections", "process_open_fds"} <= names


def test_each_metric_is_explained_to_operators() -> None:
    explained = set(re.findall(r"`(sslbroker_\w+)`", OPERATIONS.read_text()))
    made = {
        re.sub(r"_(bucket|count|sum)$", "", sample.name) if metric.type == "histogram" else sample.name
        for metric in scraped(figures_only(busy_broker(), Log(), [WorkerFigures(1)]))
        for sample in metric.samples
    }

    assert explained == made


def test_each_worker_has_rows_of_its_own() -> None:
    worker = WorkerFigures(2)
    worker.pid, worker.state, worker.since = 77, "serving", 9.0
    worker.connections, worker.transactions, worker.restarts = 5, 6, 3
    worker.cpu, worker.memory = 1.5, 4096
    found = values(scraped(figures_only(busy_broker(), None, [worker])))
    assert {name: value for name, value in found.items() if "_worker_" in name} == {
        "sslbroker_worker_info pid=77 state=serving worker=2": 1,
        "sslbroker_worker_connections pid=77 worker=2": 5,
        "sslbroker_worker_transactions_total pid=77 worker=2": 6,
        "sslbroker_worker_restarts_total worker=2": 3,
        "sslbroker_worker_cpu_seconds_total pid=77 worker=2": 1.5,
        "sslbroker_worker_resident_memory_bytes pid=77 worker=2": 4096,
        "sslbroker_worker_start_time_seconds pid=77 worker=2": 9,
    }


def test_restarts_are_told_once_for_each_slot() -> None:
    several = [WorkerFigures(1), WorkerFigures(2), WorkerFigures(1)]
    for pid, worker in enumerate(several, 70):
        worker.pid = pid
        worker.restarts = 1
    several[2].state = "leaving"
    found = values(scraped(figures_only(busy_broker(), None, several)))
    restarts = {name: value for name, value in found.items() if "restarts" in name}
    assert restarts == {
        "sslbroker_worker_restarts_total worker=1": 1,
        "sslbroker_worker_restarts_total worker=2": 1,
    }
