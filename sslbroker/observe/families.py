"""Metrics whose samples are made only while somebody goes through them.

Decides how a figure of each row becomes the samples of a metric of one type, with the suffixes that
Prometheus gives to them. Invariant: making a family costs nothing, so that a scrape of thousands of servers
can be cut anywhere between two samples, and the figures may change there: those of a row are read at once.
Refuses to know what is counted, and to write text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Final, TypeVar, cast

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from ..core.figures import TIME_BUCKETS, Times

PREFIX: Final = "sslbroker_"

_BOUNDS: Final = [*map(str, TIME_BUCKETS), "+Inf"]

Subject = TypeVar("Subject")
Labels = tuple[str, ...]
Rows = Sequence[tuple[Labels, Subject]]
"""The values of the labels, and the object that has the figures."""
Columns = tuple[tuple[str, str, Callable[[Subject], float]], ...]
"""Each: the name without prefix and suffix, the help text, where the number is."""
Numbers = Iterator[tuple[Labels, float]]


def gauges(labels: Labels, rows: Rows[Subject], columns: Columns[Subject]) -> Iterator[Metric]:
    """A gauge for each column."""
    for name, text, number in columns:
        yield gauge(name, text, labels, partial(_column, rows, number))


def counters(labels: Labels, rows: Rows[Subject], columns: Columns[Subject]) -> Iterator[Metric]:
    """A counter for each column."""
    for name, text, number in columns:
        yield counter(name, text, labels, partial(_column, rows, number))


def _column(rows: Rows[Subject], number: Callable[[Subject], float]) -> Numbers:
    return ((names, number(subject)) for names, subject in rows)


def gauge(name: str, text: str, labels: Labels, numbers: Callable[[], Numbers]) -> Metric:
    """What goes up and down; `numbers` gives them anew at each call."""

    def make(full: str) -> Iterator[Sample]:
        return (Sample(full, dict(zip(labels, names, strict=True)), number) for names, number in numbers())

    return _family(name, text, "gauge", make)


def counter(name: str, text: str, labels: Labels, numbers: Callable[[], Numbers]) -> Metric:
    """What never goes down; `numbers` gives them anew at each call."""

    def make(full: str) -> Iterator[Sample]:
        full += "_total"
        return (Sample(full, dict(zip(labels, names, strict=True)), number) for names, number in numbers())

    return _family(name, text, "counter", make)


def by_word(
    name: str,
    text: str,
    labels: Labels,
    rows: Rows[Subject],
    counts: Callable[[Subject], Mapping[str, int]],
) -> Metric:
    """A counter whose last label is the word that was counted."""

    def numbers() -> Numbers:
        return (
            ((*names, word), count) for names, subject in rows for word, count in [*counts(subject).items()]
        )

    return counter(name, text, labels, numbers)


def info(
    name: str,
    text: str,
    labels: Labels,
    rows: Rows[Subject],
    about: Callable[[Subject], Mapping[str, str]],
) -> Metric:
    """A metric that is always 1, and says by its labels what is so."""

    def make(full: str) -> Iterator[Sample]:
        return (
            Sample(f"{full}_info", {**dict(zip(labels, names, strict=True)), **about(subject)}, 1)
            for names, subject in rows
        )

    return _family(name, text, "info", make)


def histogram(
    name: str,
    text: str,
    labels: Labels,
    rows: Rows[Subject],
    measured: Callable[[Subject], Times],
) -> Metric:
    """The times of each row, in seconds."""

    def make(full: str) -> Iterator[Sample]:
        for names, subject in rows:
            times, said = measured(subject), dict(zip(labels, names, strict=True))
            totals, seconds = list(accumulate(times.counts)), times.sum
            for bound, total in zip(_BOUNDS, totals, strict=True):
                yield Sample(f"{full}_bucket", {**said, "le": bound}, total)
            yield Sample(f"{full}_count", said, totals[-1])
            yield Sample(f"{full}_sum", said, seconds)

    return _family(name, text, "histogram", make)


class _Samples:
    """Samples that are made when somebody goes through them: a family of many servers takes its time."""

    def __init__(self, make: Callable[[], Iterator[Sample]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Sample]:
        return self._make()


def _family(name: str, text: str, kind: str, make: Callable[[str], Iterator[Sample]]) -> Metric:
    """A metric of this type; `make` is given its full name."""
    metric = Metric(PREFIX + name, text, kind)
    metric.samples = cast("list[Sample]", _Samples(lambda: make(PREFIX + name)))
    return metric
