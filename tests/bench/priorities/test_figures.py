"""Times are of those that were served, failures are counted apart, and the start is told apart."""

from __future__ import annotations

import pytest

from bench.priorities.arriving import Row
from bench.priorities.figures import chosen, group, scope
from bench.priorities.servers import Done

from . import samples


def test_a_group_is_counted_with_its_failures_apart() -> None:
    found = group([row for row in samples.rows() if row.secure])
    assert (found["requests"], found["served"], found["refused"], found["failed"]) == (8, 7, 0, 1)
    assert found["kinds"] == {"timeout": 1}
    assert (found["p50"], found["max"], found["wait_p99"]) == (25.0, 25.0, 5.0)
    found = group([row for row in samples.rows() if not row.secure])
    assert (found["served"], found["refused"], found["failed"]) == (8, 8, 0)


def test_where_nothing_was_served_there_is_no_time() -> None:
    found = group([Row(0.0, True, 5000.0, 0.0, "timeout")])
    assert found["p99"] is found["wait_p99"] is None


def test_throughput_is_what_the_servers_did_in_this_time() -> None:
    done = Done([10.5, 13.0, 14.0], [12.0, 12.5, 99.0], [], 0.0)
    found = scope(samples.rows(), done, 10.0, 2.0, 4.0)
    assert found["throughput"] == 1.5
    assert found["secure"]["requests"] == 4


def test_the_start_is_left_out_of_what_is_later() -> None:
    found = samples.run()
    assert (found["whole"]["secure"]["failed"], found["later"]["secure"]["failed"]) == (1, 0)
    assert found["later"]["secure"]["requests"] == 4
    assert found["series"]["share"] == [0.5] * 4
    assert found["series"]["secure_p99"] == [25.0] * 4
    assert found["share"] == {"least": 0.5, "turns": None, "back": [None], "fast": [None]}
    assert found["load_late"] == {"p50": 0.2, "p99": 0.3, "max": 0.3}


def test_the_log_says_how_long_those_over_tls_waited() -> None:
    log = [
        {"target": "/secure?n=0", "timings": {"choose": 99.0}},  # too early
        {"target": "/secure?n=21", "timings": {"choose": 4.0}},
        {"target": "/secure?n=18", "timings": {}},
        {"target": "/plain?n=22", "timings": {"choose": 50.0}},
        {"target": "/favicon.ico", "timings": {"choose": 50.0}},
    ]
    assert chosen(log, samples.rows(), 2.0) == {"p50": 0.0, "p99": 4.0}
    assert chosen([], samples.rows(), 2.0) == {}


def test_how_late_the_servers_were_is_told() -> None:
    assert samples.run()["servers_late"] == pytest.approx({"p50": 0.1, "p99": 0.4, "max": 0.4})
