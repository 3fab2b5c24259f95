"""The window of one server, by transcripts of what happens when, and what must hold whatever happens."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.loads import ENOUGH as KNOWN
from sslbroker.core.loads import Loads
from sslbroker.core.pacing import (
    CALM,
    ENOUGH,
    FIRST_HOLD,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    ROW,
    STEP,
    UNUSED,
    Pace,
)
from sslbroker.settings import Pacing

#: Seconds that a try takes in the transcripts.
TOOK = 0.05


def played(pace: Pace, transcript: str) -> None:
    """Each line: the time, what happens, and the window afterwards.

    `late N` is a breach of a try that found N others, `late N PART` one that took PART of its time, `old N
    SECONDS` one that began so many seconds ago, `fine` an answer in time, `held` a plain transaction that
    could not begin, `look` that time does its work.
    """
    for line in transcript.strip().splitlines():
        words, expected = line.split("->")
        time, what, *numbers = words.split()
        now = float(time)
        if what == "late":
            part = float(numbers[1]) if numbers[1:] else 1.5
            pace.breached(part, now - TOOK, int(numbers[0]), now)
        elif what == "old":
            pace.breached(1.5, now - float(numbers[1]), int(numbers[0]), now)
        elif what == "fine":
            pace.kept(0.5, now - TOOK, now)
        elif what == "held":
            pace.held(now)
        else:
            assert what == "look"
            pace.look(now)
        assert pace.window == float(expected), line


def grown(pace: Pace, start: float, seconds: float) -> list[tuple[float, float]]:
    """Let plain ones wait and secure ones be fast: at which times the window became what."""
    found = []
    for tick in range(int(seconds / STEP)):
        now = start + tick * STEP
        pace.held(now)
        pace.kept(0.5, now - 0.01, now)
        if pace.look(now):
            found.append((now - start, pace.window))
    return found


def test_without_a_breach_there_is_no_window() -> None:
    pace = Pace(Pacing())
    assert not pace.look(1.0)
    pace.began(True, 1000)
    assert pace.has_room(100_000)
    assert (pace.window, pace.state(1.0), pace.reductions) == (inf, "open", 0)


def test_a_breach_makes_the_window_a_part_of_what_was_too_much() -> None:
    pace = Pace(Pacing())
    assert pace.breached(1.5, 10.0, 19, 10.1)
    assert (pace.window, pace.state(10.1), pace.reductions) == (15.0, "paced", 1)
    assert pace.has_room(14)
    assert not pace.has_room(15)


@pytest.mark.parametrize(("load", "window"), [(0, 1), (1, 1), (2, 1), (3, 2), (4, 3), (7, 6), (99, 75)])
def test_it_is_less_than_what_was_under_way_but_never_below_one(load: int, window: int) -> None:
    pace = Pace(Pacing())
    pace.breached(1.5, 10.0, load, 10.1)
    assert pace.window == window


def test_a_burst_of_breaches_reduces_once_and_again_what_began_afterwards() -> None:
    played(
        Pace(Pacing()),
        """
        10.00 late 19    -> 15
        10.01 late 19    -> 15
        10.02 old 11 0.1 -> 15
        10.10 late 15    -> 12
        10.30 late 30    -> 12
        10.40 late 11    -> 9
        """,
    )


def test_several_breaches_within_a_time_may_be_asked_for() -> None:
    played(
        Pace(Pacing(breaches=3, window=1.0)),
        """
        10.0 late 19 -> inf
        10.5 late 19 -> inf
        11.2 late 19 -> inf
        11.3 late 19 -> inf
        11.4 late 19 -> 15
        11.5 late 15 -> 15
        """,
    )


def test_it_grows_when_it_was_calm_and_somebody_waits_and_secure_ones_are_fast() -> None:
    played(
        Pace(Pacing()),
        """
        10.0 late 7 -> 6
        12.0 held   -> 6
        12.0 look   -> 6
        12.1 fine   -> 6
        12.1 look   -> 7
        12.2 fine   -> 7
        12.2 look   -> 7
        12.4 held   -> 7
        12.4 look   -> 8
        13.0 fine   -> 8
        13.0 look   -> 8
        """,
    )


def test_it_does_not_grow_by_answers_of_tries_that_began_before_it_last_did() -> None:
    """Else it would run away where answers take long."""
    pace = Pace(Pacing())
    pace.breached(1.5, 9.9, 7, 10.0)
    for now in (12.5, 13.0):
        pace.held(now)
        pace.kept(0.9, 9.9, now)
        assert not pace.look(now)
    pace.kept(0.9, 10.1, 13.0)
    assert pace.look(13.0)
    pace.held(14.0)
    pace.kept(0.9, 12.9, 14.0)
    assert not pace.look(14.0)


def test_a_large_one_grows_by_a_part_of_itself() -> None:
    pace = Pace(Pacing())
    pace.breached(1.5, 9.9, 399, 10.0)
    steps = grown(pace, 10.0, CALM + STEP)
    assert steps == [(CALM, 315.0)]


def test_growth_that_was_punished_stops_below_and_goes_on_only_after_a_long_calm() -> None:
    pace = Pace(Pacing())
    pace.breached(1.5, 9.9, 7, 10.0)
    assert grown(pace, 10.0, CALM + 2 * STEP)[-1][1] == 8.0
    pace.breached(1.5, 12.5, 8, 12.6)
    assert pace.window == 6.0
    steps = grown(pace, 12.6, 20.0)
    assert steps[0][0] == pytest.approx(2 * FIRST_HOLD)
    assert pace.breached(1.5, 33.0, 12, 33.1)
    assert grown(pace, 33.1, 40.0)[0][0] == pytest.approx(CALM), "known ground is taken back soon"


def test_a_breach_that_speaks_for_no_smaller_window_does_not_stop_growth() -> None:
    pace = Pace(Pacing())
    pace.breached(1.5, 9.9, 7, 10.0)
    pace.breached(1.5, 11.8, 40, 11.9)
    assert grown(pace, 10.0 + CALM, STEP) == [(0.0, 7.0)]
    pace.breached(1.5, 12.2, 10, 12.3)
    assert grown(pace, 12.3, CALM) == []


def test_a_window_that_holds_nobody_back_ends() -> None:
    pace = Pace(Pacing())
    pace.breached(1.5, 9.9, 7, 10.0)
    pace.held(10.0)
    assert not pace.look(10.0 + UNUSED)
    assert pace.look(10.1 + UNUSED)
    assert (pace.window, pace.state(15.1)) == (inf, "open")


def test_it_does_not_end_while_there_are_breaches() -> None:
    pace = Pace(Pacing())
    pace.breached(1.5, 9.9, 7, 10.0)
    pace.breached(1.5, 14.0, 7, 14.1)
    assert not pace.look(15.2)
    assert pace.look(16.2)


# --- what does not help ---


def in_vain(pace: Pace, now: float) -> float:
    """Breaches until reductions are given up, and nothing becomes faster by them: when that is."""
    for _ in range(400):
        now += 0.0625
        pace.breached(3.0, now - TOOK, 2, now)
        if pace.state(now) == "ineffective":
            return now
    raise AssertionError("not given up")


def test_reductions_that_do_not_help_are_given_up_for_a_time() -> None:
    pace = Pace(Pacing())
    for load in (99, 70, 50, 35, 24, 17):
        pace.breached(3.0, 110.0 - load, load, 110.1 - load)
        for _ in range(ENOUGH):
            pace.breached(3.0, 110.2 - load, 99, 110.3 - load)
    assert (pace.reductions, pace.window, pace.state(93.1)) == (ROW, 18.0, "ineffective")
    assert pace.state(93.2 + FIRST_PAUSE) == "paced"
    assert not pace.breached(3.0, 94.0, 5, 94.1)
    assert not pace.breached(3.0, 94.0, 5, 94.1)
    assert pace.window == 18.0
    assert grown(pace, 95.2, 4.0)[-1][1] > 18.0


def test_then_load_is_to_blame_only_where_that_is_known() -> None:
    known = calm_server(slow=True, busy=0, now=20.0)
    for loads, grows in ((None, True), (Loads(), True), (known, False)):
        pace = Pace(Pacing(), loads)
        now = in_vain(pace, 20.0)
        for _ in range(int(4.0 / STEP)):
            now += STEP
            pace.held(now)
            pace.breached(3.0, now - TOOK, 2, now)
            pace.look(now)
        assert (pace.window > 1.0) is grows


def test_where_the_smallest_window_does_not_help_it_is_given_up_again() -> None:
    pace = Pace(Pacing())
    now = in_vain(pace, 10.0)
    assert pace.window == 1.0
    now = in_vain(pace, now + FIRST_PAUSE)
    assert pace.window == 1.0
    assert pace.state(now + 2 * FIRST_PAUSE - 0.1) == "ineffective"


def test_one_that_makes_them_faster_is_not() -> None:
    pace = Pace(Pacing())
    for load, part in ((99, 4.0), (80, 3.5), (60, 2.5), (40, 2.0), (30, 1.5), (20, 1.2)):
        now = 10.0 + (100 - load)
        for _ in range(12):
            pace.breached(part, now, load, now + TOOK)
    assert (pace.reductions, pace.state(99.0)) == (6, "paced")


def test_nor_are_few_reductions_or_few_transactions_proof() -> None:
    pace = Pace(Pacing())
    for number, load in enumerate((99, 80, 60, 40, 30, 20, 15)):
        pace.breached(3.0, 10.0 + number, load, 10.1 + number)
    assert (pace.reductions, pace.state(20.0)) == (7, "paced")


def test_the_smallest_window_is_proof_after_fewer() -> None:
    pace = Pace(Pacing())
    pace.breached(3.0, 10.0, 2, 10.1)
    for number in range(10):
        assert pace.state(11.0) == "paced"
        pace.breached(3.0, 10.5, 1, 11.0 + number / 100)
    assert pace.state(11.1) == "ineffective"
    assert pace.reductions == 1


def test_who_is_fast_on_average_is_not_given_up() -> None:
    pace = Pace(Pacing())
    pace.breached(1.05, 10.0, 2, 10.1)
    for number in range(30):
        pace.kept(0.5, 10.5, 11.0)
        pace.breached(1.1, 10.5, 1, 11.0 + number / 100)
    assert pace.state(11.5) == "paced"


@pytest.mark.parametrize(("part", "state"), [(0.96, "paced"), (1.0, "ineffective")])
def test_nor_is_who_keeps_its_promise_on_average_though_it_did_so_nearly_before(
    part: float, state: str
) -> None:
    pace = Pace(Pacing())
    pace.breached(1.05, 10.0, 2, 10.1)
    for number in range(30):
        pace.kept(part, 10.5, 11.0)
        pace.breached(1.01, 10.5, 1, 11.0 + number / 100)
    assert pace.state(11.5) == state


def test_each_time_it_is_given_up_for_longer_until_it_was_open() -> None:
    pace = Pace(Pacing())
    now, pauses = 10.0, []
    for _ in range(7):
        now = begin = in_vain(pace, now)
        while pace.state(now) == "ineffective":
            now += 0.5
        pauses.append(now - begin)
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    pace.look(now + 10.0)
    assert pace.window == inf
    now = in_vain(pace, now + 10.0)
    assert pace.state(now + FIRST_PAUSE) != "ineffective"


# --- load is not to blame ---


def calm_server(slow: bool, busy: int = 10, now: float = 10.0) -> Loads:
    """One that takes 0.1 s whatever its load is, or only when it is busy, if `slow`."""
    loads = Loads()
    for load in range(20):
        for _ in range(KNOWN):
            loads.add(load, 0.1 if load > busy or not slow else 0.02, now, plain=False)
    return loads


def test_a_server_that_is_slow_without_load_is_not_reduced() -> None:
    pace = Pace(Pacing(), calm_server(slow=False))
    assert not pace.breached(2.0, 10.0, 15, 10.1)
    assert pace.window == inf
    pace = Pace(Pacing(), calm_server(slow=True))
    assert pace.breached(2.0, 10.0, 15, 10.1)


def test_and_its_window_grows_as_if_answers_were_in_time() -> None:
    loads = Loads()
    pace = Pace(Pacing(), loads)
    pace.breached(2.0, 10.0, 15, 10.1)
    for load in range(20):
        for _ in range(KNOWN):
            loads.add(load, 0.1, 12.0, plain=False)
    pace.held(12.5)
    pace.breached(2.0, 12.4, 3, 12.5)
    assert not pace.look(12.5), "with so few under way it says nothing of a larger window"
    pace.breached(2.0, 12.4, 11, 12.5)
    assert pace.look(12.5)


# --- the floor ---


@pytest.mark.parametrize("floor", [0.0, 0.05, 0.2, 0.5, 0.7, 0.9, 1.0])
def test_of_those_that_begin_where_there_is_no_room_the_floor_may_be_plain(floor: float) -> None:
    pace = Pace(Pacing(floor=floor))
    pace.breached(1.5, 9.9, 7, 10.0)
    plain = secure = 0
    for _ in range(1000):
        pace.began(False, 50)
        secure += 1
        for _ in range(20):
            if pace.has_room(50):
                pace.began(True, 50)
                plain += 1
    if floor == 1.0:
        assert plain == 20_000, "all"
    else:
        assert plain / (plain + secure) == pytest.approx(floor, abs=0.002)


def test_what_begins_where_there_is_room_costs_no_credit_and_credit_is_not_hoarded() -> None:
    pace = Pace(Pacing(floor=0.05))
    pace.breached(1.5, 9.9, 7, 10.0)
    for _ in range(100):
        pace.began(False, 50)
    pace.began(True, 5)
    assert pace.has_room(50)
    pace.began(True, 50)
    assert not pace.has_room(50)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["breach", "kept", "plain", "secure", "held", "look"]),
        st.integers(0, 200),  # load
        st.floats(0.0, 3.0),  # seconds since the last event
        st.floats(0.0, 20.0),  # part
        st.floats(0.0, 1.0),  # age
    ),
    max_size=120,
)


@given(events=EVENTS, floor=st.floats(0.0, 1.0), breaches=st.integers(1, 3))
def test_whatever_happens_a_plain_one_may_begin_where_nothing_is_under_way(
    events: list[tuple[str, int, float, float, float]], floor: float, breaches: int
) -> None:
    pace, now = Pace(Pacing(floor=floor, breaches=breaches)), 10.0
    for what, load, pause, part, age in events:
        now += pause
        before = pace.window
        if what == "breach":
            smaller = pace.breached(part, now - age, load, now)
            assert smaller is (pace.window < before)
        elif what == "kept":
            pace.kept(part, now - age, now)
        elif what == "held":
            pace.held(now)
        elif what == "look":
            assert pace.look(now) is (pace.window > before)
        else:
            pace.began(what == "plain", load)
        assert pace.window >= 1.0
        assert pace.has_room(0)
        assert what == "breach" or pace.window >= before
        assert pace.state(now) in ("open", "paced", "ineffective")
    pace.look(now + 100.0)
    assert pace.window == inf, "nobody is held back: it ends"
