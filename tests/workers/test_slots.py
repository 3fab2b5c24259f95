"""When a worker is started again: at once, unless it dies at once again and again."""

from __future__ import annotations

from sslbroker.workers.slots import FIRST, LONGEST, SETTLED, Slot


def test_who_dies_is_replaced_at_once() -> None:
    slot = Slot(0)
    slot.began(0.0)
    assert slot.died(SETTLED + 1) == 0.0
    slot.began(100.0)
    assert slot.died(100.0 + SETTLED) == 0.0
    assert slot.restarts == 2


def test_who_dies_at_once_again_and_again_is_waited_for_longer_each_time() -> None:
    slot = Slot(0)
    waits = []
    for now in range(12):
        slot.began(float(now))
        waits.append(slot.died(now + 0.1))
    assert waits[:4] == [0.0, FIRST, 2 * FIRST, 4 * FIRST]
    assert waits[-1] == LONGEST


def test_a_worker_that_has_settled_ends_the_row() -> None:
    slot = Slot(0)
    for now in (0.0, 1.0, 2.0):
        slot.began(now)
        slot.died(now)
    slot.began(10.0)
    assert slot.died(10.0 + SETTLED) == 0.0
