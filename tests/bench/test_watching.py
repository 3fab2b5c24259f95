"""What is looked at while a block runs."""

from __future__ import annotations

import threading

from bench.watching import repeated


def test_it_is_looked_at_while_the_block_runs_and_not_after_it() -> None:
    seen: list[str] = []
    twice = threading.Event()

    def look() -> None:
        seen.append(threading.current_thread().name)
        if len(seen) == 2:
            twice.set()

    before = threading.active_count()
    with repeated(0.001, look):
        assert twice.wait(10)
    assert threading.active_count() == before
    assert threading.current_thread().name not in seen
