"""Samples of groups are there where groups are, and are told of what had answers lately."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric

from sslbroker.observe.group_families import of_groups, of_lag, of_pacing

from .samples import busy_broker


def samples(metrics: Iterable[Metric]) -> list[str]:
    return [sample.name for metric in metrics for sample in metric.samples]


def test_without_groups_there_are_the_queues_alone() -> None:
    figures = busy_broker()
    figures.pools[0].groups = []

    assert samples(of_lag(figures)) == []
    assert samples(of_pacing(figures.pools)) == []
    assert {name.partition("_queue_")[0] for name in samples(of_groups(figures.pools))} == {"sslbroker_pool"}


def test_without_groups_each_metric_is_still_named() -> None:
    figures, empty = busy_broker(), busy_broker()
    empty.pools[0].groups = []

    for families in (of_groups, of_pacing):
        assert [m.name for m in families(empty.pools)] == [m.name for m in families(figures.pools)]


def test_of_a_server_those_groups_are_told_that_had_answers_lately() -> None:
    figures = busy_broker()
    watch = figures.pools[0].servers[0].watches[0]

    assert samples(of_pacing(figures.pools)).count("sslbroker_server_recent_tries") == 1
    watch.count = 0
    assert not [name for name in samples(of_pacing(figures.pools)) if "_recent_" in name]


def test_what_a_pool_takes_when_idle_is_told_when_it_is_known() -> None:
    figures = busy_broker()

    (idle,) = [metric for metric in of_groups(figures.pools) if metric.name.endswith("_idle_time_seconds")]

    assert [(sample.labels["group"], sample.value) for sample in idle.samples] == [("gold", 0.02)]
