"""Ratios are of one round, and what is missing is told."""

from __future__ import annotations

from typing import Any

from bench.report import ratios, row_lines, values, verdict


def result(**changed: Any) -> dict[str, Any]:
    rounds = [
        {"broker": {"cpu_us": 100.0, "rate": 10.0}, "haproxy": {"cpu_us": 50.0, "rate": 20.0}},
        {"broker": {"cpu_us": 300.0, "rate": 5.0}, "haproxy": {"cpu_us": 100.0, "rate": 10.0}},
        {"broker": {"cpu_us": 90.0, "rate": 11.0}},
    ]
    return {
        "title": "1 KiB", "conditions": "kept alive", "main": "cpu_us", "reach": 2.5,
        "rounds": rounds, "not_run": {}, **changed,
    }  # fmt: skip


def test_a_ratio_is_of_two_figures_of_one_round() -> None:
    assert ratios(result(), "broker", "cpu_us") == [2.0, 3.0]
    assert values(result(), "broker", "cpu_us") == [100.0, 300.0, 90.0]


def test_the_median_is_held_against_the_aim() -> None:
    assert verdict(result(), "broker") == "reached"
    assert verdict(result(reach=2.4), "broker") == "not reached"
    assert verdict(result(reach=None), "broker") == ""
    assert verdict(result(rounds=[]), "broker") == ""


def test_a_row_shows_spread_aim_and_who_could_not_run() -> None:
    lines = list(row_lines(result(not_run={"nginx": "nginx is not installed"})))
    assert lines == [
        "1 KiB (kept alive)",
        "           CPU µs  a second  ÷ haproxy (least to most)",
        "   broker     100        10        2.50 (2.00 to 3.00)",
        "  haproxy      75        15        1.00 (1.00 to 1.00)",
        "  to reach: 2.5 of haproxy's: reached",
        "  NOT RUN: nginx: nginx is not installed",
    ]


def test_a_row_that_nobody_could_run_says_why() -> None:
    lines = list(row_lines(result(rounds=[{}], not_run={"broker": "no workers yet"})))
    assert lines[-1] == "  NOT RUN: broker: no workers yet"
