"""Storage, rule by rule: in order, within its maximum, the largest copies given up first.

Who waits for room: test_storage_waiting.py. Anything in any order: test_storage_model.py.
"""

from __future__ import annotations

import pytest

from sslbroker.core.storage import JOINED, Storage, Stored
from sslbroker.outcome import Replay
from sslbroker.settings import KiB
from sslbroker.settings import Storage as StorageSettings

from .support import storage, stored

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


def test_exactly_95_percent_are_enough() -> None:
    house = storage()
    stored(house, unsent=190)
    assert house.figures.size == 200


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


def test_it_does_not_shrink_below_its_minimum() -> None:
    house = storage(minimum=150, initial=800)
    stored(house, unsent=1).close()
    assert house.figures.size == 150


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


def test_one_append_may_cost_several_copies() -> None:
    house = storage()
    holders = [stored(house, sent=300) for _ in range(3)]
    writer = stored(house, unsent=450)
    assert sorted(one.replay.value for one in holders) == ["replayable", "storage-full", "storage-full"]
    assert (house.used, writer.unsent_size) == (750, 450)


def test_who_was_rewound_has_no_copies_to_lose() -> None:
    house = storage(500)
    one = stored(house, sent=400)
    one.rewind()
    stored(house, unsent=200)
    assert one.replay is Replay.REPLAYABLE
    assert one.unsent_size == 400


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


def test_when_the_pressure_is_over_no_transaction_that_is_over_is_remembered() -> None:
    house = storage(1000)
    open_ones = [stored(house, sent=300) for _ in range(4)]
    assert house.figures.given_up == 1
    for one in open_ones:
        one.close()
    assert house._ranked is None
