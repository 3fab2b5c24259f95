"""When a group keeps away from a server, and when it comes back."""

from __future__ import annotations

from sslbroker.core.standing import FIRST_REST, LONGEST_REST, MEMORY, Standing
from sslbroker.settings import Group

GOLD = Group("gold", (), 5)
PROMISED = 0.04


def made() -> Standing:
    return Standing(GOLD, False)


def test_it_begins_as_one_that_is_served_in_time() -> None:
    standing = made()
    assert (standing.group, standing.plain, standing.late) == (GOLD, False, 0)
    assert not standing.over(0.0)


def test_a_try_without_an_answer_keeps_others_away_as_long_as_that_lasts() -> None:
    standing = made()
    standing.late += 1
    assert standing.over(10.0)
    standing.late -= 1
    assert not standing.over(10.0)


def test_one_slow_answer_among_fast_ones_does_not() -> None:
    standing = made()
    standing.answered(0.02, PROMISED, 10.0)
    standing.answered(0.09, PROMISED, 10.1)
    assert not standing.over(10.1)
    standing.answered(0.09, PROMISED, 10.2)
    assert standing.over(10.2)


def test_after_a_silence_one_is_believed() -> None:
    standing = made()
    standing.answered(0.02, PROMISED, 10.0)
    standing.answered(0.05, PROMISED, 10.1 + MEMORY)
    assert standing.over(10.1 + MEMORY)


def test_who_was_sent_away_comes_back_after_a_time_that_doubles() -> None:
    standing, now, rests = made(), 10.0, []
    for _ in range(8):
        standing.answered(0.2, PROMISED, now)
        begin = now
        while standing.over(now):
            now += FIRST_REST / 2
        rests.append(now - begin)
    assert rests[:3] == [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST]
    assert rests[-2:] == [LONGEST_REST, LONGEST_REST]


def test_slow_answers_of_those_that_are_still_there_do_not_make_it_longer() -> None:
    standing = made()
    for _ in range(5):
        standing.answered(0.2, PROMISED, 10.0)
    assert standing.over(10.0)
    assert not standing.over(10.0 + FIRST_REST)


def test_an_answer_that_is_fast_enough_ends_it_and_the_next_time_is_short_again() -> None:
    standing = made()
    standing.answered(0.2, PROMISED, 10.0)
    standing.answered(0.2, PROMISED, 11.5)
    assert standing.over(11.9)
    standing.answered(0.04, PROMISED, 13.0)
    assert not standing.over(13.0)
    standing.answered(0.2, PROMISED, 14.5)
    assert standing.over(14.5)
    assert not standing.over(14.5 + FIRST_REST)
