"""A server's bars, limits, weight, server time and load, from what it is told."""

from __future__ import annotations

from math import exp
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from sslbroker.core.members import FIRST_SHARE, LINGERS, LINKS, MEMORY, TRANSACTIONS, Member
from sslbroker.interfaces import IMember
from sslbroker.settings import Server


def member(slow_start: float = 10.0, **settings: int) -> Member:
    return Member(Server("10.0.0.1:80", **settings), slow_start)  # type: ignore[arg-type]


def measured(one: Member, seconds: float, until: float, good: bool = True) -> None:
    """It has answered a try after `seconds`, at `until`."""
    attempt = object()
    one.began(attempt, until - seconds)
    one.answered(attempt, seconds, good)
    one.ended(attempt)


def time_of(one: Member, now: float) -> float:
    time = one.response_time(now)
    assert time is not None
    return time


def test_it_is_what_a_balancer_is_told_of() -> None:
    one = Member(Server("[2001:db8::1]:8443", weight=3))
    verifyObject(IMember, one)
    assert one.address == one.figures.address == "[2001:db8::1]:8443"
    assert (one.weight, one.outstanding) == (3, 0)


def test_its_key_is_the_same_everywhere_and_shows_no_address() -> None:
    assert member().key == member().key == "e0f2af3b3dabfb17"
    assert Member(Server("10.0.0.2:80")).key != member().key


# --- bars, drain ---


def test_it_is_open_while_nobody_bars_it() -> None:
    one = member()
    assert one.open
    one.bar("down", "by the operator")
    one.bar("unresolved")
    assert not one.open
    assert one.bars == {"down": "by the operator", "unresolved": ""}
    one.unbar("down", 1.0)
    assert not one.open
    one.unbar("unresolved", 2.0)
    assert one.open


def test_a_bar_is_told_anew_with_another_reason() -> None:
    one = member()
    one.bar("unresolved", "no answer")
    one.bar("unresolved", "no such name")
    assert one.bars == {"unresolved": "no such name"}


def test_who_watches_hears_of_every_change_of_what_can_be_chosen_and_of_nothing_else() -> None:
    one, heard = member(), list[str]()
    one.watch(lambda: heard.append(f"{one.open} {one.draining} {one.weight}"))
    one.bar("a")
    one.bar("b")  # which bars there are decides who is tried when nobody is open
    one.bar("b", "for another reason")
    one.unbar("a", 1.0)
    one.unbar("c", 1.0)
    assert heard == ["False False 1"] * 3
    one.unbar("b", 1.0)
    one.unbar("b", 1.0)
    one.draining = True
    one.draining = True
    one.draining = False
    one.weight = 4
    measured(one, 1.0, 2.0)
    assert heard[3:] == ["True False 1", "True True 1", "True False 1", "True False 4"]


# --- limits ---


@pytest.mark.parametrize(
    ("settings", "outstanding", "idle", "busy", "place"),
    [
        ({}, 1000, 0, 1000, True),
        ({"maximum_transactions": 2}, 1, 0, 9, True),
        ({"maximum_transactions": 2}, 2, 0, 0, False),
        ({"maximum_links": 2}, 9, 0, 1, True),
        ({"maximum_links": 2}, 0, 0, 2, False),
        ({"maximum_links": 2}, 0, 1, 1, True),
        ({"maximum_transactions": 2, "maximum_links": 2}, 1, 0, 2, False),
        ({"maximum_transactions": 2, "maximum_links": 2}, 2, 2, 0, False),
    ],
)
def test_its_limits_leave_a_place_or_none(
    settings: dict[str, int], outstanding: int, idle: int, busy: int, place: bool
) -> None:
    one = member(**settings)
    one.figures.outstanding = outstanding
    one.figures.links_idle, one.figures.links_busy = idle, busy
    assert one.has_place() is place
    assert one.limited is bool(settings)


# --- weight ---


def test_a_server_that_is_back_gets_its_weight_by_and_by() -> None:
    one = member(slow_start=10.0, weight=4)
    assert one.weight_at(0.0) == 4
    one.bar("down")
    one.unbar("down", 100.0)
    shares = [one.weight_at(100.0 + after) for after in (0.0, 0.5, 2.5, 5.0, 9.0)]
    assert shares == [4 * FIRST_SHARE, 4 * FIRST_SHARE, 1.0, 2.0, 3.6]
    assert one.weight_at(110.0) == 4
    assert one.weight_at(105.0) == 4, "it is over when it is over"


def test_a_weight_that_is_changed_counts_at_once_in_a_slow_start_too() -> None:
    one = member(slow_start=10.0)
    one.bar("down")
    one.unbar("down", 100.0)
    one.weight = 10
    assert (one.weight_at(105.0), one.figures.weight) == (5.0, 10)


def test_without_a_slow_start_it_has_its_weight_at_once() -> None:
    one = member(slow_start=0.0)
    one.bar("down")
    one.unbar("down", 100.0)
    assert one.weight_at(100.0) == 1


def test_a_weight_that_is_none_is_refused() -> None:
    one = member()
    with pytest.raises(ValueError, match=r"10\.0\.0\.1:80: found weight 0, expected a number above 0"):
        one.weight = 0
    assert one.weight == 1


# --- server time ---


def test_it_has_no_time_before_its_first_good_answer() -> None:
    one = member()
    assert one.response_time(0.0) is None
    measured(one, 5.0, 10.0, good=False)
    assert one.response_time(10.0) is None
    measured(one, 0.25, 11.0)
    assert one.response_time(11.0) == 0.25


def test_the_older_the_mean_the_less_it_weighs() -> None:
    one = member()
    measured(one, 1.0, 100.0)
    measured(one, 3.0, 100.0 + MEMORY)
    assert one.response_time(110.0) == pytest.approx(3.0 - 2.0 * exp(-1))


def test_the_first_answers_have_an_even_mean() -> None:
    """The first of all is often the slowest: it finds nothing ready."""
    one = member()
    for number, seconds in enumerate((1.0, 0.1, 0.1, 0.2)):
        measured(one, seconds, 100.0 + number / 1000)
    assert one.response_time(101.0) == pytest.approx(1.4 / 4)


def test_after_a_silence_no_single_answer_is_believed_for_long() -> None:
    one = member()
    for number in range(2000):
        measured(one, 0.1, 100.0 + number / 100)
    measured(one, 1.1, 130.0)
    assert time_of(one, 130.0) == pytest.approx(1.1 - exp(-1), rel=0.01)
    for number in range(20):
        measured(one, 0.1, 130.0 + number / 1000)
    assert time_of(one, 130.0) < 0.2


@pytest.mark.parametrize("rate", [10, 1000])
def test_a_change_shows_in_the_same_time_whatever_the_rate(rate: int) -> None:
    one = member()
    for number in range(30 * rate):
        measured(one, 0.1 if number < 20 * rate else 1.1, 100.0 + number / rate)
    assert time_of(one, 130.0) == pytest.approx(1.1 - exp(-1), rel=0.01)


def test_an_answer_that_is_told_late_does_not_turn_the_time_back() -> None:
    one = member()
    measured(one, 1.0, 100.0)
    measured(one, 3.0, 50.0)
    assert one.response_time(100.0) == 2.0
    measured(one, 3.0, 100.0 + MEMORY)
    assert one.response_time(110.0) == pytest.approx(3.0 - exp(-1))


def test_a_mean_that_is_not_renewed_moves_evenly_to_what_is_typical() -> None:
    one = member()
    measured(one, 1.1, 100.0)
    assert one.response_time(1000.0) == 1.1, "nobody says what is typical"
    one.typical = 0.1
    times = [time_of(one, 100.0 + after) for after in (-1.0, 0.0, 2.5, 5.0, 10.0, 50.0)]
    assert times == pytest.approx([1.1, 1.1, 0.85, 0.6, 0.1, 0.1])


def test_an_answer_is_weighed_against_the_mean_where_it_has_moved_to() -> None:
    one = member()
    measured(one, 1.1, 100.0)
    one.typical = 0.1
    measured(one, 0.1, 110.0)
    assert one.response_time(110.0) == pytest.approx(0.1)


def test_a_failure_may_raise_the_mean_and_never_lowers_it() -> None:
    one = member()
    measured(one, 1.0, 100.0)
    measured(one, 0.001, 105.0, good=False)
    assert one.response_time(105.0) == 1.0
    measured(one, 2.0, 110.0, good=False)
    assert one.response_time(110.0) == pytest.approx(2.0 - exp(-1)), "the fast failure has left no trace"


@given(
    answers=st.lists(
        st.tuples(st.floats(0.0, 20.0), st.floats(0.0, 30.0), st.booleans()), min_size=1, max_size=30
    ),
    typical=st.none() | st.floats(0.001, 5.0),
)
def test_the_mean_stays_between_what_was_seen_and_no_failure_lowers_it(
    answers: list[tuple[float, float, bool]], typical: float | None
) -> None:
    one, now = member(), 100.0
    one.typical = typical
    seen = [] if typical is None else [typical]
    for gap, seconds, good in answers:
        now += gap
        before = one.response_time(now)
        measured(one, seconds, now, good)
        after = one.response_time(now)
        seen.append(seconds)
        if not good and before is not None:
            assert cast(float, after) >= before - 1e-9
        if after is not None:
            assert min(seen) - 1e-9 <= after <= max(seen) + 1e-9


# --- tries ---


def test_the_oldest_try_is_the_first_without_an_answer() -> None:
    one = member()
    assert one.oldest(5.0) == 0.0
    one.began("download", 1.0)
    one.began("second", 2.0)
    one.began("third", 3.0)
    assert one.oldest(5.0) == 4.0
    one.answered("download", 0.5, True)
    assert one.oldest(5.0) == 3.0, "a long download is not waited for"
    one.ended("second")
    assert one.oldest(5.0) == 2.0
    one.excuse("third")
    one.excuse("third")
    assert one.oldest(5.0) == 0.0, "who waits for the client does not wait for the server"
    assert one.outstanding == 2
    one.ended("download")
    one.ended("third")
    assert one.outstanding == 0


def test_what_waited_for_its_client_tells_nothing_of_the_server() -> None:
    one = member()
    one.began("upload", 1.0)
    one.excuse("upload")
    one.answered("upload", 60.0, True)
    one.ended("upload")
    assert one.response_time(61.0) is None
    assert one.load(61.0) == 0


def test_an_upload_that_is_whole_waits_for_the_server_from_then_on() -> None:
    one = member()
    one.began("upload", 1.0)
    one.excuse("upload")
    one.began("other", 50.0)
    one.asked("upload", 60.0)
    one.asked("other", 60.0)
    assert one.oldest(63.0) == 13.0, "who was not excused is as old as before"
    one.ended("other")
    assert one.oldest(63.0) == 3.0
    one.answered("upload", 3.0, True)
    one.ended("upload")
    assert one.response_time(63.0) == 3.0
    assert one.oldest(63.0) == 0.0


def test_an_upload_that_is_whole_and_gets_no_answer_has_failed() -> None:
    one = member()
    one.began("upload", 1.0)
    one.excuse("upload")
    one.asked("upload", 60.0)
    one.ended("upload")
    assert one.load(60.0) == 1


def test_a_try_has_one_answer() -> None:
    one = member()
    one.began("try", 1.0)
    one.answered("try", 1.0, True)
    one.answered("try", 9.0, False)
    assert (one.response_time(2.0), one.load(2.0)) == (1.0, 1)


def test_a_try_that_failed_is_a_load_for_a_while() -> None:
    one = member()
    measured(one, 0.01, 9.0)
    assert one.load(10.0) == 0
    for good in (False, True, False):
        measured(one, 0.01, 10.0, good)
    one.began("refused", 10.0)
    one.ended("refused")
    one.began("under way", 10.0)
    assert one.load(10.0) == 1 + 3
    assert one.load(10.0 + LINGERS) == pytest.approx(1 + 3 * exp(-1))
    assert one.load(10.0 + 2 * LINGERS) == pytest.approx(1 + 3 * exp(-2))
    assert one.load(10.0 + 9 * LINGERS) == pytest.approx(1, abs=0.01)
    assert one.load(10.0 + 9 * LINGERS) == 1


def test_an_answer_that_breaks_off_has_failed_however_good_it_looked() -> None:
    one = Member(Server("one:80"))
    one.began("a", 10.0)
    one.answered("a", 0.1, True)
    one.broke_off()
    one.ended("a")
    assert one.load(10.0) == 1


def test_what_failed_now_adds_to_what_is_left() -> None:
    one = member()
    measured(one, 0.01, 10.0, good=False)
    assert one.load(10.0) == 1
    measured(one, 0.01, 10.0 + LINGERS, good=False)
    assert one.load(10.0 + LINGERS) == pytest.approx(1 + exp(-1))


def test_whoever_can_do_something_about_it_is_told_which_place_was_lacking() -> None:
    told: list[str] = []
    one = Member(Server("a:1", maximum_transactions=2, maximum_links=1))
    one.lacking = told.append
    assert one.has_place()
    one.figures.links_busy = 1
    assert not one.has_place()
    one.figures.links_idle = 1
    assert one.has_place()
    one.most_transactions = 0
    assert not one.has_place()
    assert told == [LINKS, TRANSACTIONS]


# --- a try that is given up, because another server was faster ---


def outrun(one: Member, seconds: float, until: float) -> None:
    attempt = object()
    one.began(attempt, until - seconds)
    one.outrun(attempt, seconds)
    one.ended(attempt)


def test_one_that_was_outrun_has_not_failed() -> None:
    one = member()
    measured(one, 0.020, 1000.0)
    outrun(one, 0.005, 1000.1)
    assert (one.load(1000.1), one.oldest(1000.1), one.outstanding) == (0, 0.0, 0)
    assert one.response_time(1000.1) == 0.020


def test_its_answer_would_have_taken_longer_than_it_was_waited_for() -> None:
    one = member()
    measured(one, 0.020, 1000.0)
    outrun(one, 0.080, 1000.1)
    assert 0.020 < time_of(one, 1000.1) < 0.080
    assert one.load(1000.1) == 0


@pytest.mark.parametrize(("typical", "known"), [(None, 0.080), (0.050, 0.080), (0.100, None)])
def test_so_it_is_where_nothing_is_known_but_what_is_typical(
    typical: float | None, known: float | None
) -> None:
    one = member()
    one.typical = typical
    outrun(one, 0.080, 1000.0)
    assert one.response_time(1000.0) == known


def test_but_not_where_it_waited_for_somebody_else() -> None:
    one = member()
    attempt = object()
    one.began(attempt, 1000.0)
    one.excuse(attempt)
    one.outrun(attempt, 9.0)
    one.ended(attempt)
    assert one.response_time(1010.0) is None


@given(
    st.lists(st.tuples(st.sampled_from(["good", "outrun"]), st.floats(0.001, 2.0)), min_size=1, max_size=30)
)
def test_no_try_that_was_outrun_makes_a_server_look_faster(tries: list[tuple[str, float]]) -> None:
    one, now = member(), 1000.0
    for how, seconds in tries:
        now += seconds
        before = one.response_time(now)
        (measured if how == "good" else outrun)(one, seconds, now)
        if how == "outrun":
            assert time_of(one, now) >= (before or 0.0)
        assert one.load(now) == 0


def test_a_clock_that_is_put_back_makes_no_more_of_failed_tries() -> None:
    one = Member(Server("10.0.0.1:80"))
    attempt = object()
    one.began(attempt, 100_000.0)
    one.ended(attempt)
    assert one.load(100_000.0) == 1.0
    assert one.load(10.0) == 1.0
    assert one.load(12.0) < 0.2
