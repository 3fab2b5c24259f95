"""What ab counted."""

from __future__ import annotations

import pytest

from bench.ab import read
from bench.programs import CannotRun

OUTPUT = """Concurrency Level:      32
Time taken for tests:   3.005 seconds
Complete requests:      3681
Failed requests:        %d
%sTotal transferred:      4789 bytes
"""
TIMES = "Percentage served,Time in ms\n0,1.5\n50,25.125\n99,40.5\n"


def test_counts_and_quantiles_are_read() -> None:
    load = read(OUTPUT % (0, ""), TIMES)
    assert (load.requests, load.seconds) == (3681, 3.005)
    assert (load.p50, load.p99) == pytest.approx((0.025125, 0.0405))


def test_a_run_with_failures_is_no_figure() -> None:
    with pytest.raises(CannotRun, match="3681 transactions, 5 of them failed"):
        read(OUTPUT % (3, "Non-2xx responses:      2\n"), TIMES)


def test_a_run_without_transactions_is_no_figure() -> None:
    with pytest.raises(CannotRun, match="0 transactions, 0 of them failed"):
        read("", TIMES)
