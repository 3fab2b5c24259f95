"""Each request is counted once, and what another process counted is read back whole."""

from __future__ import annotations

import json

from bench.faults.seen import Failure, Seen

SEEN = Seen(2, ["/01?n=3"], [Failure("/02?n=4", "cut", "in the response", 0.5)], [1.0, 2.0, 3.0, 40.0], 1.5)


def test_figures_have_each_kind_of_failure_and_the_times_of_all() -> None:
    figures = SEEN.figures()
    assert (figures["requests"], figures["good"], figures["errors"], figures["wrong"]) == (4, 2, 1, 1)
    assert (figures["cut"], figures["status"]) == (1, 0)
    assert (figures["p50_ms"], figures["p99_ms"], figures["max_ms"]) == (2.0, 40.0, 40.0)


def test_what_is_told_as_json_is_heard() -> None:
    assert Seen.heard(json.loads(json.dumps(SEEN.told()))) == SEEN
