"""What was found is shown whole: each front, what it failed, what is reached and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.priorities.aims import figure, reached
from bench.priorities.cases import CASES, Aim
from bench.priorities.options import CASE_NAMES, FRONT_NAMES, options
from bench.priorities.table import after, lines, priorities

from . import samples


def test_every_front_has_its_line() -> None:
    said = list(priorities(samples.result()))
    assert "- HAProxy: 2.6" in said
    assert "| sslbroker | 25.0 | 25.0 | 25.0 | 25 | 0 | 50 | 50 | 50.0% | 2 | 0.800 | 150 |" in said
    assert any(line.startswith("| HAProxy, limits and priorities | 43.0 ") for line in said)
    assert any(line.endswith("not run with nginx: nginx is not installed") for line in said)
    assert "at most 0.3 ms late" in said[-1]


def test_what_is_to_be_reached_is_held_against_what_was() -> None:
    said = list(priorities(samples.result()))
    assert "- sslbroker: p99 of secure at most 80 ms: 25, reached." in said
    assert "- sslbroker, limits: waiting of secure at most 14 ms (p99): 15, not reached." in said
    assert "- sslbroker: throughput at least 95 % of HAProxy's with limits: 0.8, not reached." in said
    back = "sslbroker not; sslbroker, limits not; HAProxy, limits and priorities not."
    assert f"- Plain requests are all served again after: {back}" in said


def test_a_figure_that_is_missing_reaches_nothing() -> None:
    fronts = samples.result()["cases"]["150"]
    aim = Aim("broker", "share.back", 10, "back")
    assert figure(fronts, aim) is None
    assert not reached(aim, None)
    fronts["broker"]["share"]["back"] = [2, 10]
    assert figure(fronts, aim) == 10
    assert reached(aim, 10)
    assert figure({"broker": fronts["broker"]}, replace(aim, figure="ratio")) is None


def test_aims_are_of_fronts_that_run_and_figures_that_are_there() -> None:
    for case in CASES:
        fronts = {name: samples.run() for name in case.fronts}
        for aim in case.aims:
            figure(fronts, aim)


def test_a_terminal_is_told_all_of_a_run() -> None:
    windows = {"servers": [[4, 0], [5, 6]], "share": [0.5, 0.25], "turns": 2.0}
    more = {"windows": windows, "choose": {"p50": 0.0, "p99": 6.0}, "tracebacks": 1}
    said = "\n".join(lines("broker", {**samples.run(), **more}))
    assert "1 timeout; plain" in said
    assert "8 refused with 503" in said
    assert "4/5 0/6" in said
    assert "p99 6.0 ms" in said
    assert "1 TRACEBACKS" in said
    assert "plain share: least 0.50, back after not; 0.50" in said
    assert after([0, 2, None]) == "0 s, 2 s, not"


def test_options_name_all_and_ours_is_both_ways_of_the_broker() -> None:
    assert options([]).only == ",".join(CASE_NAMES)
    assert options([]).proxy == ",".join(FRONT_NAMES)
    assert options(["--proxy", "ours"]).proxy == "broker,broker-limits"
    assert options(["--quick", "--seconds", "5"]).seconds == 5
    assert options(["--publish"]).json.name == "priorities.json"
    assert options(["--set", "a.b=1"]).sets[-1] == "a.b=1"
    assert options(["--no-groups"]).sets == []


@pytest.mark.parametrize("more", [["--set", "a.b=1"], ["--no-groups"]])
def test_what_is_published_is_the_broker_as_it_comes(more: list[str]) -> None:
    with pytest.raises(SystemExit):
        options(["--publish", *more])
