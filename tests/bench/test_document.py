"""The documents show the published figures, and say what each proxy lacks."""

from __future__ import annotations

from typing import Any

import pytest

from bench.document import details, offload, replaced, summary, update
from bench.options import chosen, options
from bench.programs import CannotRun

RESULT: dict[str, Any] = {
    "date": "2026-01-02",
    "machine": {"cpu": "a processor", "cores": 2, "kernel": "6.1"},
    "versions": {"broker": "1.0", "haproxy": "2.6"},
    "lacks": {"broker": "no probes"},
    "rows": {
        "1k": {
            "title": "1 KiB",
            "conditions": "kept alive",
            "main": "cpu_us",
            "aims": [{"figure": "cpu_us", "limit": 2.5, "relative": True, "at_least": False}],
            "rounds": [{"broker": {"cpu_us": 100.0}, "haproxy": {"cpu_us": 50.0}}],
            "not_run": {"nginx": "not installed"},
        }
    },
}


def test_the_documents_show_what_was_published() -> None:
    assert update(check=True) == []


def test_what_is_between_the_marks_is_replaced_and_nothing_else() -> None:
    text = "before\n<!-- generated: bench a -->\nold\n<!-- end bench -->\nafter"
    wanted = "before\n<!-- generated: bench a -->\n\nnew\n\n<!-- end bench -->\nafter"
    assert replaced(text, "a", iter(["new"])) == wanted
    assert replaced(wanted, "a", iter(["new"])) == wanted
    assert replaced(text, "b", iter(["new"])) == text


def test_the_summary_has_ratios_and_what_is_to_be_reached() -> None:
    assert list(summary(RESULT))[-1] == "| 1 KiB | 2.00 (2.00 to 2.00) | 2.5 |"


def test_the_details_say_who_was_measured_and_who_was_not() -> None:
    lines = list(details(RESULT))
    assert "- sslbroker: 1.0; no probes" in lines
    assert "| sslbroker | 100 | 2.00 (2.00 to 2.00) |" in lines
    assert "- Not run: nginx: not installed" in lines


def test_the_gain_is_of_one_round_and_a_way_that_did_not_run_has_none() -> None:
    figures = {"p50_ms": 10.0, "p99_ms": 60.0, "server_us": 2000.0}
    better = {"p50_ms": 5.0, "p99_ms": 20.0, "server_us": 500.0}
    points = [
        {"rate": 100.0, "share": 0.5, "rounds": [{"own TLS": figures, "broker": better}]},
        {"rate": 200.0, "share": 1.0, "rounds": [{"broker": better}]},
    ]
    result = {
        "date": "d",
        "machine": RESULT["machine"],
        "conditions": "c",
        "capacity": 200.0,
        "points": points,
    }
    lines = list(offload(result))
    assert "| 100 | 10.0 | 5.0 | 60.0 | 20.0 |" in lines
    assert "| 200 | - | 5.0 | - | 20.0 |" in lines
    assert "| 100 | 2000 | 500 | 2.0, 3.0, 4.0 |" in lines


def test_rows_are_chosen_by_name_in_the_order_of_the_table() -> None:
    assert chosen("b, a", ("a", "b", "c"), "--rows") == ["a", "b"]
    with pytest.raises(CannotRun, match="found --rows 'a,x', expected some of a, b"):
        chosen("a,x", ("a", "b"), "--rows")


def test_what_is_quick_can_be_changed() -> None:
    said = options(["--quick", "--seconds", "2"])
    assert (said.rounds, said.seconds) == (3, 2.0)
    assert "idle" not in said.rows
    assert options([]).rounds == 3
