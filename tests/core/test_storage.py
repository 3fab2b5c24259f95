"""Storage: in order, within its maximum, and never a word of its own invention.

First the rules one by one, then `AnyUse`: many transactions doing anything, against a model that is
nothing but the bytes themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from sslbroker.core.storage import JOINED, Storage, Stored
from sslbroker.outcome import Replay
from sslbroker.settings import KiB
from sslbroker.settings import Storage as StorageSettings


def storage(
    maximum: int = 1000, *, minimum: int = 100, initial: int = 100, per_transaction: int = 500
) -> Storage:
    return Storage(StorageSettings(initial, minimum, maximum, per_transaction=per_transaction))


def stored(house: Storage, sent: int = 0, unsent: int = 0) -> Stored:
    """A transaction that has sent and not sent so many bytes."""
    one = house.open()
    if sent:
        one.append(b"s" * sent)
        one.take()
    if unsent:
        one.append(b"u" * unsent)
    return one


# --- what one transaction sees ---


def test_what_is_appended_is_taken_once_and_in_order() -> None:
    one = stored(storage())
    one.append(b"first")
    one.append(b"second")
    assert b"".join(one.take()) == b"firstsecond"
    assert one.take() == []


def test_a_request_without_body_costs_no_storage() -> None:
    house = storage()
    one = house.open()
    assert one.take() == []
    one.give_up(Replay.RESPONSE_BEGUN)
    one.close()
    assert house.used == 0
    assert house.figures.size == 100


def test_after_a_rewind_everything_is_sent_again_what_came_since_included() -> None:
    one = stored(storage())
    one.append(b"sent,")
    one.take()
    one.append(b"waiting,")
    one.rewind()
    one.append(b"new")
    assert (one.unsent_size, one.replay_size) == (16, 0)
    assert b"".join(one.take()) == b"sent,waiting,new"


def test_a_third_try_gets_everything_too() -> None:
    one = stored(storage())
    for piece in (b"a", b"b", b"c"):
        one.append(piece)
        one.take()
        one.rewind()
    assert b"".join(one.take()) == b"abc"


def test_what_was_given_up_cannot_be_sent_again() -> None:
    one = stored(storage(), sent=5)
    one.give_up(Replay.RESPONSE_BEGUN)
    with pytest.raises(ValueError, match="cannot rewind: response-begun"):
        one.rewind()


def test_giving_up_before_anything_was_sent_loses_nothing() -> None:
    one = stored(storage(), unsent=5)
    one.give_up(Replay.METHOD)
    one.rewind()
    assert one.take() == [b"uuuuu"]


def test_giving_up_keeps_what_is_unsent() -> None:
    house = storage()
    one = stored(house, sent=7, unsent=3)
    one.give_up(Replay.RESPONSE_BEGUN)
    assert (house.figures.unsent, house.figures.replay) == (3, 0)
    assert one.take() == [b"uuu"]
    assert house.used == 0  # no copy any more


def test_the_first_reason_for_giving_up_holds() -> None:
    one = stored(storage(), sent=1)
    one.give_up(Replay.METHOD)
    one.give_up(Replay.RESPONSE_BEGUN)
    assert one.replay is Replay.METHOD


def test_only_copies_lost_against_the_brokers_will_are_counted() -> None:
    house = storage()
    stored(house, sent=5).give_up(Replay.RESPONSE_BEGUN)
    stored(house, sent=5).give_up(Replay.METHOD)
    assert house.figures.given_up == 0
    stored(house, sent=501)
    assert house.figures.given_up == 1


def test_a_body_of_exactly_its_share_is_replayable_and_a_byte_more_is_not() -> None:
    house = storage()
    one = stored(house, sent=500)
    seen = [one.replay]
    one.append(b"!")
    assert one.take() == [b"!"]
    seen.append(one.replay)
    assert seen == [Replay.REPLAYABLE, Replay.TOO_LARGE]
    assert house.used == 0


def test_a_transactions_reader_stops_at_its_share_of_unsent_bytes() -> None:
    one = stored(storage(), sent=300, unsent=499)
    assert not one.over_share
    one.append(b"!")
    assert one.over_share
    one.take()
    assert not one.over_share


def test_closing_frees_everything_and_is_done_once() -> None:
    house = storage()
    other = stored(house, unsent=1)
    one = stored(house, sent=7, unsent=3)
    one.close()
    one.close()
    assert house.used == 1
    assert other.unsent_size == 1


def test_an_append_after_close_is_refused_since_nothing_would_free_it() -> None:
    house = storage()
    one = stored(house)
    one.close()
    with pytest.raises(ValueError, match="transaction that is over"):
        one.append(b"late")
    assert house.used == 0


def test_an_empty_chunk_is_not_kept_since_it_would_look_like_an_end() -> None:
    one = stored(storage())
    one.append(b"")
    assert one.take() == []


# --- many tiny chunks ---


def test_bytes_that_come_singly_are_joined_while_they_wait() -> None:
    one = stored(storage(64 * KiB, per_transaction=64 * KiB))
    for _ in range(10 * KiB):
        one.append(b"x")
    assert [len(chunk) for chunk in one.take()] == [JOINED, JOINED, 2 * KiB]


def test_bytes_that_are_sent_singly_are_joined_as_copies() -> None:
    one = stored(storage(64 * KiB, per_transaction=64 * KiB))
    for _ in range(10 * KiB):
        one.append(b"x")
        assert one.take() == [b"x"]
    one.rewind()
    assert [len(chunk) for chunk in one.take()] == [JOINED, JOINED, 2 * KiB]


def test_large_chunks_are_passed_on_as_they_came_without_a_copy() -> None:
    one = stored(storage(64 * KiB, per_transaction=64 * KiB))
    small, large = b"s", b"l" * JOINED
    one.append(small)
    one.append(large)
    first, second = one.take()
    assert first is small
    assert second is large


# --- the size of the whole ---


def test_it_doubles_when_an_append_passes_95_percent() -> None:
    house = storage()
    one = stored(house, unsent=95)
    assert house.figures.size == 100
    one.append(b"!")
    assert house.figures.size == 200
    one.append(b"x" * 700)
    assert house.figures.size == 1000  # not 1600: the maximum
    assert house.figures.grown == 4


def test_it_halves_when_less_than_40_percent_are_left() -> None:
    house = storage(minimum=100, initial=800)
    one, other = stored(house, unsent=320), stored(house, unsent=1)
    other.close()
    assert house.figures.size == 800
    one.take()
    assert house.figures.size == 800  # copies count
    one.give_up(Replay.RESPONSE_BEGUN)
    assert house.figures.size == 100  # not 50: the minimum
    assert house.figures.shrunk == 3


def test_a_factor_near_one_still_comes_to_an_end() -> None:
    house = Storage(StorageSettings(10, 10, 1000, grow_by=1.01, shrink_by=0.99))
    one = stored(house, unsent=500)
    assert 500 / 0.95 <= house.figures.size < 500 / 0.95 * 1.02
    one.close()
    assert house.figures.size == 10


def test_it_does_not_shrink_so_far_that_it_must_grow_at_once() -> None:
    house = Storage(StorageSettings(1000, 10, 1000, shrink_by=0.1))
    one, other = stored(house, unsent=300), stored(house, unsent=1)
    other.close()
    assert house.figures.size == 1000
    one.close()
    assert house.figures.size == 10


# --- at the maximum ---


def test_at_the_maximum_the_largest_copy_goes_first_and_only_so_many_as_needed() -> None:
    house = storage()
    small, large, middle = (stored(house, sent=size) for size in (200, 400, 300))
    one = stored(house, unsent=100)
    assert [each.replay for each in (small, large, middle)] == [Replay.REPLAYABLE] * 3
    one.append(b"!")
    assert [each.replay for each in (small, large, middle)] == [
        Replay.REPLAYABLE,
        Replay.STORAGE_FULL,
        Replay.REPLAYABLE,
    ]
    one.append(b"x" * 400)
    assert middle.replay is Replay.STORAGE_FULL
    assert small.replay is Replay.REPLAYABLE
    assert house.figures.given_up == 2


def test_the_largest_is_found_though_sizes_change_between() -> None:
    house = storage()
    one, other, third = (stored(house, sent=size) for size in (400, 300, 250))
    writer = stored(house, unsent=51)  # 1001: `one` goes
    assert one.replay is Replay.STORAGE_FULL
    third.append(b"x" * 100)
    third.take()  # 350 now, more than `other`
    writer.append(b"x" * 300)
    assert third.replay is Replay.STORAGE_FULL
    assert other.replay is Replay.REPLAYABLE


def test_who_has_no_copies_any_more_is_passed_over() -> None:
    house = storage()
    one, other, third = (stored(house, sent=size) for size in (400, 200, 300))
    writer = stored(house, unsent=101)  # 1001: `one` goes
    third.rewind()
    writer.append(b"x" * 400)
    assert [each.replay for each in (one, other, third)] == [
        Replay.STORAGE_FULL,
        Replay.STORAGE_FULL,
        Replay.REPLAYABLE,
    ]


def test_a_transaction_may_lose_its_own_copy_to_its_next_bytes() -> None:
    house = storage(400)
    one = stored(house, sent=400)
    one.append(b"more")
    assert one.replay is Replay.STORAGE_FULL
    assert one.take() == [b"more"]


def test_unsent_bytes_are_kept_even_above_the_maximum() -> None:
    house = storage(100)
    one, other = stored(house, unsent=100), stored(house, unsent=64)
    assert house.full
    assert (one.unsent_size, other.unsent_size) == (100, 64)


def test_above_the_maximum_what_is_sent_is_not_kept_as_a_copy() -> None:
    house = storage(100)
    one, other = stored(house, unsent=100), stored(house, unsent=64)
    assert len(b"".join(one.take())) == 100
    assert one.replay is Replay.STORAGE_FULL
    assert house.used == 64
    other.take()
    assert other.replay is Replay.REPLAYABLE


def test_many_give_ups_in_a_row_do_not_search_through_all_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is counted, not timed: sizes looked at for each copy given up."""
    house = storage(100_000, per_transaction=100_000)
    holders = [stored(house, sent=100) for _ in range(1000)]
    looked: list[int] = []
    real = Storage._largest

    def counting(self: Storage) -> Stored:
        before = len(self._ranked) if self._ranked is not None else 0
        found = real(self)
        looked.append(max(1, len(self._ranked or ()) - before))
        return found

    monkeypatch.setattr(Storage, "_largest", counting)
    writer = house.open()
    for _ in range(1000):
        writer.append(b"x" * 100)
    assert {one.replay for one in holders} == {Replay.STORAGE_FULL}
    assert sum(looked) < 3000


def test_the_ranking_does_not_outgrow_the_copies() -> None:
    house = storage(1000, initial=1000, minimum=1000, per_transaction=1000)
    one = stored(house, sent=600)
    other = stored(house, unsent=500)  # `one` is given up: there is a ranking now
    assert one.replay is Replay.STORAGE_FULL
    for _ in range(1000):
        other.take()
        other.rewind()
    assert house._ranked is None or len(house._ranked) <= 66


# --- waiting for room ---


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


# --- anything, in any order ---


@dataclass(eq=False)
class Model:
    """What a transaction must hold: nothing but what it received, and how much of it was sent."""

    real: Stored
    received: bytes = b""
    sent: int = 0  # by this try
    reason: Replay = Replay.REPLAYABLE

    @property
    def unsent(self) -> int:
        return len(self.received) - self.sent

    @property
    def copies(self) -> int:
        return self.sent if self.reason is Replay.REPLAYABLE else 0


BYTES = st.binary(min_size=1, max_size=200)
SHARE, MINIMUM, MAXIMUM = 256, 64, 1024


class AnyUse(RuleBasedStateMachine):
    """Transactions come, send, fail over, wait for room and go, in any order."""

    transactions = Bundle("transactions")

    @initialize()
    def empty(self) -> None:
        self.house = Storage(StorageSettings(MINIMUM, MINIMUM, MAXIMUM, per_transaction=SHARE))
        self.models: list[Model] = []
        self.waits: dict[Model, int] = {}  # calls that are owed
        self.lost = 0

    @rule(target=transactions)
    def open(self) -> Model:
        model = Model(self.house.open())
        self.models.append(model)
        return model

    @rule(model=transactions, data=BYTES)
    def append(self, model: Model, data: bytes) -> None:
        model.received += data
        model.real.append(data)
        self.settle()

    @rule(model=transactions)
    def take(self, model: Model) -> None:
        expected = model.received[model.sent :]
        if expected:
            self.waits.pop(model, None)
            model.sent = len(model.received)
            if model.reason is Replay.REPLAYABLE and model.sent > SHARE:
                model.reason = Replay.TOO_LARGE
                self.lost += 1
        assert b"".join(model.real.take()) == expected
        self.settle()

    @rule(model=transactions)
    def rewind(self, model: Model) -> None:
        if model.sent and model.reason is not Replay.REPLAYABLE:
            with pytest.raises(ValueError, match="cannot rewind"):
                model.real.rewind()
        else:
            model.sent = 0
            model.real.rewind()
        self.settle()

    @rule(model=transactions, reason=st.sampled_from([Replay.METHOD, Replay.RESPONSE_BEGUN]))
    def give_up(self, model: Model, reason: Replay) -> None:
        if model.reason is Replay.REPLAYABLE:
            model.reason = reason
        model.real.give_up(reason)
        self.settle()

    @rule(model=consumes(transactions))
    def close(self, model: Model) -> None:
        self.forget(model)
        model.real.close()
        self.settle()

    @rule(model=transactions, more=st.none() | BYTES, again=st.booleans())
    def wait(self, model: Model, more: bytes | None, again: bool) -> None:
        """Wait for room; when called, perhaps append, and perhaps wait again."""

        def called() -> None:
            assert not self.house.full
            self.waits[model] -= 1
            assert self.waits.pop(model) == 0
            self.settle()
            if more is not None:
                self.append(model, more)
                if again and self.house.full:
                    self.wait(model, None, False)

        self.waits[model] = 1
        model.real.when_room(called)

    def forget(self, model: Model) -> None:
        self.models.remove(model)
        self.waits.pop(model, None)

    def settle(self) -> None:
        """Whose copies were given up for want of room: only the largest, and not one too many."""
        total = sum(model.unsent + model.copies for model in self.models)
        gone = [
            model
            for model in self.models
            if model.copies
            and model.real.replay is Replay.STORAGE_FULL
            and model.real.replay is not model.reason
        ]
        sizes = [model.copies for model in gone]
        for model in gone:
            model.reason = Replay.STORAGE_FULL
        left = [model.copies for model in self.models]
        self.lost += len(gone)
        if gone:
            assert min(sizes) >= max(left)
            assert total - sum(sizes) + min(sizes) > MAXIMUM
        assert total - sum(sizes) <= MAXIMUM or not any(left)

    @invariant()
    def every_byte_is_counted_once(self) -> None:
        figures = self.house.figures
        for model in self.models:
            real = model.real
            assert (real.received, real.unsent_size, real.replay_size, real.replay) == (
                len(model.received),
                model.unsent,
                model.copies,
                model.reason,
            )
        assert figures.unsent == sum(model.unsent for model in self.models)
        assert figures.replay == sum(model.copies for model in self.models)
        assert figures.given_up == self.lost

    @invariant()
    def the_size_fits_the_use(self) -> None:
        size, used = self.house.figures.size, self.house.used
        assert MINIMUM <= size <= MAXIMUM
        assert used <= 0.95 * size or size == MAXIMUM
        assert used >= 0.40 * size or size == MINIMUM

    @invariant()
    def nobody_waits_while_there_is_room(self) -> None:
        assert self.house.full or not self.waits

    def teardown(self) -> None:
        for model in list(getattr(self, "models", [])):
            self.close(model)
        if hasattr(self, "house"):
            assert self.house.used == 0
            assert not self.waits
            assert self.house.figures.size == MINIMUM


TestAnyUse = AnyUse.TestCase
TestAnyUse.settings = hypothesis_settings(max_examples=80, stateful_step_count=40, deadline=None)
