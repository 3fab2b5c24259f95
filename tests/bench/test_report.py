"""Ratios are of one round, and what is missing is told."""

from __future__ import annotations

from typing import Any

from bench.report import aim_text, ratios, row_lines, values

AIM = {"figure": "cpu_us", "limit": 2.5, "relative": True, "at_least": False}


def result(**changed: Any) -> dict[str, Any]:
    rounds = [
        {"broker": {"cpu_us": 100.0, "rate": 10.0}, "haproxy": {"cpu_us": 50.0, "rate": 20.0}},
        {"broker": {"cpu_us": 300.0, "rate": 5.0}, "haproxy": {"cpu_us": 100.0, "rate": 10.0}},
        {"broker": {"cpu_us": 90.0, "rate": 11.0}},
    ]
    return {
        "title": "1 KiB", "conditions": "kept alive", "main": "cpu_us", "aims": [AIM],
        "rounds": rounds, "not_run": {}, **changed,
    }  # fmt: skip


def test_a_ratio_is_of_two_figures_of_one_round() -> None:
    assert ratios(result(), "broker", "cpu_us") == [2.0, 3.0]
    assert values(result(), "broker", "cpu_us") == [100.0, 300.0, 90.0]


def test_the_median_is_held_against_the_aim() -> None:
    said = "CPU µs at most 2.5 of haproxy's: 2.50 (2.00 to 3.00), reached"
    assert aim_text(result(), AIM) == said
    assert aim_text(result(), {**AIM, "limit": 2.4}).endswith(", not reached")
    absolute = {"figure": "rate", "limit": 11.0, "relative": False, "at_least": True}
    assert aim_text(result(), absolute) == "a second at least 11: 10.00 (5.00 to 11.00), not reached"
    assert aim_text(result(rounds=[]), AIM) == ""


def test_a_row_shows_spread_aim_and_who_could_not_run() -> None:
    lines = list(row_lines(result(not_run={"nginx": "nginx is not installed"})))
    assert lines == [
        "1 KiB (kept alive)",
        "           CPU µs  a second  ÷ haproxy (least to most)",
        "   broker     100        10        2.50 (2.00 to 3.00)",
        "  haproxy      75        15        1.00 (1.00 to 1.00)",
        "  to reach: CPU µs at most 2.5 of haproxy's: 2.50 (2.00 to 3.00), reached",
        "  NOT RUN: nginx: nginx is not installed",
    ]


def test_a_row_that_nobody_could_run_says_why() -> None:
    lines = list(row_lines(result(rounds=[{}], not_run={"broker": "no workers yet"})))
    assert lines[-1] == "  NOT RUN: broker: no workers yet"
