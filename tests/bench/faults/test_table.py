"""What was found is shown whole: each proxy, each kind of error, what is reached and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from bench.faults.cases import CASES
from bench.faults.options import NAMES, options
from bench.faults.overload import figures
from bench.faults.seen import Failure, Seen
from bench.faults.table import case_lines, faults, overload_lines

GOOD = Seen(3, [], [], [1.0, 2.0, 3.0], 1.0)
BAD = Seen(1, ["/01"], [Failure("/02", "cut", "", 0.1), Failure("/03", "timeout", "", 0.1)], [1.0] * 4, 1.0)
POST = {"executed": 3, "twice": 1, "lost": 0}
OVERLOAD = figures([GOOD, BAD, GOOD, GOOD], 14, [2**20, 3 * 2**20])
RESULT: dict[str, Any] = {
    "date": "2026-01-02",
    "machine": {"cpu": "a processor", "cores": 2, "kernel": "6.1"},
    "versions": {"broker": "1.0", "haproxy": "2.6"},
    "cases": {
        "kill": {"broker": {**GOOD.figures(), "faults": 5}, "haproxy": {**BAD.figures(), "faults": 5}},
        "keyed": {"broker": {**GOOD.figures(), **POST, "faults": 5}},
    },
    "not_run": {"long": {"nginx": "the clients did not end"}},
    "overload": {"broker": OVERLOAD},
}


def test_the_table_has_each_proxy_with_its_errors() -> None:
    lines = list(faults(RESULT))
    kill = next(case.title for case in CASES if case.name == "kill")
    assert f"| {kill} | sslbroker | 3 | 0 | 0 | 3 | 3 |" in lines
    assert f"| {kill} | HAProxy | 4 | 2 (1 cut, 1 timeout) | 1 | 1 | 1 |" in lines
    assert f"- {kill}: no visible error and no wrong answer wanted: reached." in lines
    assert any(line.endswith("not run with nginx: the clients did not end") for line in lines)


def test_what_was_executed_twice_is_not_what_is_wanted() -> None:
    lines = list(faults(RESULT))
    keyed = next(case.title for case in CASES if case.name == "keyed")
    assert f"| {keyed} | sslbroker | 2 | 1 | 0 | 0 |" in lines
    assert f"- {keyed}: no visible error and no wrong answer wanted: not reached." in lines


def test_the_tries_in_an_overload_are_held_against_the_budget() -> None:
    assert OVERLOAD["transactions"] == 13
    assert OVERLOAD["tries_each"] == pytest.approx(14 / 13)
    assert OVERLOAD["tries_most"] == pytest.approx(1.1 + 100 / 13)
    assert OVERLOAD["unanswered"] == 1
    assert any("1 of 4" in line for line in faults(RESULT))
    assert any("unanswered 1" in line for line in overload_lines("broker", OVERLOAD))


def test_a_terminal_is_told_why() -> None:
    said = {**BAD.figures(), **POST, "faults": 1, "tries": {"ok": 2}, "why": ["1 times cut"], "tracebacks": 1}
    lines = list(case_lines("broker", said))
    assert any("1 times cut" in line for line in lines)
    assert any("TRACEBACKS" in line for line in lines)
    assert any("twice 1" in line for line in lines)


def test_options_name_all_cases_and_ours_is_the_broker() -> None:
    assert options([]).only == ",".join(NAMES)
    said = options(["--only", "kill", "--proxy", "ours", "--publish"])
    assert said.proxy == "broker"
    assert said.json.name == "faults.json"


def test_what_is_published_is_the_broker_as_it_comes() -> None:
    with pytest.raises(SystemExit):
        options(["--publish", "--set", "broker.transport=stock"])
