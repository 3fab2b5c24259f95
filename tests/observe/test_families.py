"""A family gives the samples that Prometheus' own classes would, and not before they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sslbroker.core.figures import TIME_BUCKETS, Times
from sslbroker.observe import families
from sslbroker.observe.families import PREFIX, Rows

ROWS: Rows[dict[str, int]] = [(("a", "1"), {"x": 2, "y": 3}), (("a", "2"), {}), (("b", "1"), {"x": 5})]
LABELS = ("pool", "server")


class Only(Collector):
    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self.metric


def page(metric: Metric) -> bytes:
    registry = CollectorRegistry()
    registry.register(Only(metric))
    return generate_latest(registry)


def test_gauges_and_counters_are_those_of_prometheus() -> None:
    (made,) = families.gauges(LABELS, ROWS, (("size", "How many.", len),))
    gauge = GaugeMetricFamily(f"{PREFIX}size", "How many.", labels=LABELS)
    for names, subject in ROWS:
        gauge.add_metric(names, len(subject))
    assert page(made) == page(gauge)

    (made,) = families.counters(LABELS, ROWS, (("size", "How many.", len),))
    counter = CounterMetricFamily(f"{PREFIX}size", "How many.", labels=LABELS)
    for names, subject in ROWS:
        counter.add_metric(names, len(subject))
    assert page(made) == page(counter)


def test_words_become_the_last_label() -> None:
    made = families.by_word("words", "By word.", (*LABELS, "word"), ROWS, lambda counts: counts)
    counter = CounterMetricFamily(f"{PREFIX}words", "By word.", labels=(*LABELS, "word"))
    for names, subject in ROWS:
        for word, count in subject.items():
            counter.add_metric((*names, word), count)
    assert page(made) == page(counter)


def test_what_is_said_of_a_row_is_in_labels() -> None:
    made = families.info("row", "What it is.", LABELS, ROWS, lambda counts: {"words": "".join(counts)})
    info = InfoMetricFamily(f"{PREFIX}row", "What it is.", labels=LABELS)
    for names, subject in ROWS:
        info.add_metric(names, {"words": "".join(subject)})
    assert page(made) == page(info)


def test_histograms_are_those_of_prometheus() -> None:
    times = Times()
    for seconds in (0.001, 0.3, 99.0):
        times.add(seconds)
    made = families.histogram("time_seconds", "Times.", ("n",), [(("1",), times)], lambda times: times)
    histogram = HistogramMetricFamily(f"{PREFIX}time_seconds", "Times.", labels=("n",))
    bounds = [*map(str, TIME_BUCKETS), "+Inf"]
    totals = [sum(times.counts[: number + 1]) for number in range(len(bounds))]
    histogram.add_metric(("1",), list(zip(bounds, map(float, totals), strict=True)), times.sum)
    assert page(made) == page(histogram)


def test_nothing_is_read_before_its_sample_is_asked_for() -> None:
    read: list[int] = []

    def number(subject: int) -> float:
        read.append(subject)
        return subject

    (made,) = families.gauges(("n",), [(("1",), 1), (("2",), 2)], (("n", "A number.", number),))
    samples = iter(made.samples)
    assert read == []
    assert next(samples).value == 1
    assert read == [1]
    assert [sample.value for sample in made.samples] == [1, 2]  # anew


def test_figures_may_change_between_two_samples() -> None:
    counts = {"x": 1, "y": 2}
    made = families.by_word("words", "By word.", ("n", "word"), [(("1",), counts)], lambda counts: counts)
    samples = iter(made.samples)
    next(samples)
    counts["z"] = 3
    assert [sample.labels["word"] for sample in samples] == ["y"]

    times = Times()
    timed = families.histogram("time_seconds", "Times.", (), [((), times)], lambda times: times)
    buckets = iter(timed.samples)
    next(buckets)
    times.add(5.0)
    assert {sample.value for sample in buckets} == {0}
