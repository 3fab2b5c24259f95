"""A run as clients, servers and proxies tell it, small enough to be counted by hand."""

from __future__ import annotations

from typing import Any

from bench.priorities.arriving import Row
from bench.priorities.cases import Case
from bench.priorities.figures import figures
from bench.priorities.servers import Done

CASE = Case("150", "150 %", [(1.5, 4.0)], slow=((0.5, 1.0),))
BEGIN = 1000.0


def rows(secure: float = 25.0) -> list[Row]:
    """Each half second one over TLS and two plain ones, of which the second is refused."""
    found = []
    for number in range(8):
        due = number / 2
        found.append(Row(due, True, secure, 0.1, "" if number else "timeout"))
        found.append(Row(due, False, 50.0, 0.2, ""))
        found.append(Row(due, False, 1.0, 0.3, "503"))
    return found


def run(secure: float = 25.0, work: int = 8) -> dict[str, Any]:
    """Its figures, and what `running` adds."""
    done = Done([BEGIN + 0.1, BEGIN + 3.0], [BEGIN + number / 2 for number in range(work)], [0.1, 0.4], 0.1)
    found = figures(CASE, rows(secure), done, BEGIN)
    return {
        **found,
        "proxy_busy": 0.1,
        "proxy_us": 150.0,
        "load_busy": 0.2,
        "servers_busy": 0.05,
        "others": 0.01,
    }


def result() -> dict[str, Any]:
    return {
        "date": "2026-01-02",
        "machine": {"cpu": "a processor", "cores": 2, "kernel": "6.1"},
        "versions": {"broker": "1.0", "haproxy": "2.6"},
        "cases": {"150": {"broker": run(work=7), "broker-limits": run(35.0), "haproxy-limits": run(43.0)}},
        "not_run": {"slow": {"nginx": "nginx is not installed"}},
    }
