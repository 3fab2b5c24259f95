"""What wrk counted."""

from __future__ import annotations

import pytest

from bench.programs import CannotRun
from bench.wrk import read

COUNTS = (
    'counted {"requests": %d, "microseconds": 2000000, "bytes": 5, "p50": 1500, "p99": 20000, '
    '"connect": 0, "read": 0, "write": 0, "timeout": %d, "status": %d}'
)


def test_the_counts_stand_between_what_wrk_prints_for_people() -> None:
    load = read("Running 2s test\n  1 threads\n" + COUNTS % (4000, 0, 0) + "\n")
    assert (load.requests, load.rate, load.p50, load.p99) == (4000, 2000, 0.0015, 0.02)


def test_a_run_with_errors_is_no_figure() -> None:
    with pytest.raises(CannotRun, match="4000 transactions, errors: 3 of timeout, 2 of status"):
        read(COUNTS % (4000, 3, 2))


def test_a_run_without_transactions_is_no_figure() -> None:
    with pytest.raises(CannotRun, match="0 transactions, errors: none"):
        read(COUNTS % (0, 0, 0))


def test_an_output_without_counts_is_told() -> None:
    with pytest.raises(CannotRun, match="did not say what it counted: unable to connect"):
        read("unable to connect")
