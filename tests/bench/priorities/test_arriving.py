"""Every proxy is asked the same, a quarter over TLS, and what becomes of each request is told."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.priorities.arriving import Order, Row, run
from bench.priorities.servers import done
from bench.programs import ROOT, Program, free_ports


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Of a server with one place and a thousandth of a second for each request."""
    (found,) = free_ports(1)
    said = json.dumps({"port": found, "places": 1, "service": 0.001})
    argv = [sys.executable, "-m", "bench.priorities.server", said]
    with Program("server", argv, tmp_path, ports=[found], env={"PYTHONPATH": str(ROOT)}):
        yield found


def plain(port: int, **more: object) -> Order:
    fields = {"phases": [(200.0, 0.2)], "share": 0.0, "connections": (0, 2), **more}
    return Order(port, port, **fields)  # type: ignore[arg-type]


def test_every_proxy_is_asked_the_same() -> None:
    order = Order(1, 2, [(400.0, 1.0), (100.0, 2.0)], seed=3)
    times = order.times()
    assert Order(**json.loads(order.words())).times() == times
    assert times == sorted(times)
    assert Counter(secure for _, secure in times) == {True: 150, False: 450}
    assert sum(due < 1 for due, _ in times) == 400
    assert Order(1, 2, order.phases, seed=4).times() != times


def test_all_are_served_in_places(port: int) -> None:
    told = run(plain(port))
    rows = [Row(*each) for each in told["rows"]]
    assert [row.outcome for row in rows] == [""] * 40
    assert all(not row.secure and row.late >= 0 and row.milliseconds >= 1 for row in rows)
    work = done([port])
    assert (len(work.secure), len(work.plain), len(work.late)) == (0, 40, 40)
    assert all(
        later - earlier >= 0.000_999 for earlier, later in zip(work.plain, work.plain[1:], strict=False)
    )


def test_who_waits_too_long_gives_up_and_the_work_is_done_all_the_same(port: int) -> None:
    told = run(plain(port, phases=[(100.0, 0.1)], slow=[(0.0, port, 1000.0), (0.3, port, 1.0)], patience=0.2))
    outcomes = Counter(Row(*each).outcome for each in told["rows"])
    assert outcomes["timeout"] >= 9
    assert outcomes.total() == 10


def test_who_finds_nobody_is_told_so() -> None:
    (port,) = free_ports(1)
    told = run(plain(port, phases=[(100.0, 0.1)]))
    assert {Row(*each).outcome for each in told["rows"]} == {"refused"}
