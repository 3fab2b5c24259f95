"""Who waits for room is called once, when there is room, and may use the storage in the call."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sslbroker.core.storage import Storage, Stored
from sslbroker.outcome import Replay

from .support import storage, stored


class Caller:
    """What is called when there is room; `then` is done in the call."""

    def __init__(self, house: Storage, then: Callable[[], object] = lambda: None) -> None:
        self.house = house
        self.then = then
        self.calls = 0

    def __call__(self) -> None:
        assert not self.house.full
        self.calls += 1
        self.then()


def test_who_waits_is_called_once_when_unsent_bytes_leave() -> None:
    house = storage(100)
    one, other = stored(house, unsent=100), stored(house, unsent=1)
    caller = Caller(house)
    other.when_room(caller)
    assert caller.calls == 0
    one.close()
    other.close()
    assert caller.calls == 1


def test_who_waits_is_called_when_unsent_bytes_become_copies() -> None:
    house = storage(100)
    one, other = stored(house, unsent=98), stored(house, unsent=2)
    caller = Caller(house)
    other.when_room(caller)
    one.take()
    assert one.replay is Replay.REPLAYABLE
    assert caller.calls == 1


def test_nobody_is_called_while_it_is_still_full() -> None:
    house = storage(100)
    one, other, third = (stored(house, unsent=size) for size in (100, 50, 1))
    caller = Caller(house)
    third.when_room(caller)
    other.close()
    assert caller.calls == 0
    one.close()
    assert caller.calls == 1


def test_giving_up_copies_calls_nobody_while_unsent_bytes_fill_it() -> None:
    house = storage(100)
    one = stored(house, sent=50)
    other = stored(house, unsent=100)
    caller = Caller(house)
    other.when_room(caller)
    one.give_up(Replay.RESPONSE_BEGUN)
    assert caller.calls == 0


def test_who_asks_while_there_is_room_is_called_at_once() -> None:
    house = storage(100)
    caller = Caller(house)
    stored(house, unsent=1).when_room(caller)
    assert caller.calls == 1


def test_asking_twice_is_asking_once() -> None:
    house = storage(100)
    one, other = stored(house, unsent=100), stored(house, unsent=1)
    caller, later = Caller(house), Caller(house)
    other.when_room(caller)
    other.when_room(later)
    one.close()
    assert (caller.calls, later.calls) == (0, 1)


def test_a_transaction_that_is_over_is_not_called() -> None:
    house = storage(100)
    one, other = stored(house, unsent=100), stored(house, unsent=1)
    caller = Caller(house)
    other.when_room(caller)
    other.close()
    other.when_room(caller)
    one.close()
    assert caller.calls == 0


def test_a_transaction_that_takes_is_not_called_before_it_has_sent_what_it_took() -> None:
    house = storage(100)
    one = stored(house, unsent=100)
    caller = Caller(house)
    one.when_room(caller)
    assert len(one.take()[0]) == 100
    assert caller.calls == 0


def test_a_call_that_fills_the_storage_again_leaves_the_others_waiting() -> None:
    house = storage(100)
    one, first, second = (stored(house, unsent=size) for size in (99, 1, 1))
    filler = Caller(house, lambda: first.append(b"x" * 99))
    caller = Caller(house)
    first.when_room(filler)
    second.when_room(caller)
    one.close()
    assert (filler.calls, caller.calls) == (1, 0)
    first.close()
    assert caller.calls == 1


def test_a_call_that_is_full_again_at_once_may_wait_again() -> None:
    house = storage(100)
    one, other = stored(house, unsent=100), stored(house, unsent=1)
    again = Caller(house)

    def fill_and_wait() -> None:
        other.append(b"x" * 100)
        other.when_room(again)

    other.when_room(fill_and_wait)
    one.close()
    assert again.calls == 0
    third = stored(house, unsent=1)
    third.close()
    assert again.calls == 0
    other.close()


def test_ten_thousand_calls_that_close_do_not_recurse() -> None:
    house = storage(100)
    one = stored(house, unsent=100)
    waiting = [house.open() for _ in range(10_000)]
    for each in waiting:

        def end(each: Stored = each) -> None:
            each.append(b"x")
            each.close()  # makes room, which is what the others wait for

        each.when_room(Caller(house, end))
    one.close()
    assert all(each.closed for each in waiting)
    assert house.used == 0


def test_a_call_that_raises_harms_neither_the_count_nor_the_others() -> None:
    house = storage(100)
    one, broken, other = (stored(house, unsent=size) for size in (100, 1, 1))
    caller = Caller(house)
    broken.when_room(Caller(house, lambda: 1 / 0))
    other.when_room(caller)
    with pytest.raises(ZeroDivisionError):
        one.close()
    assert house.used == 2
    broken.close()
    assert caller.calls == 1
