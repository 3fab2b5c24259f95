"""To which servers a transaction may go, and what is learnt from each: by small cases."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.account import Breach
from sslbroker.core.attempt import Attempt
from sslbroker.core.figures import PoolFigures
from sslbroker.core.members import Member
from sslbroker.core.promises import AWAITED, GAPS, HEARD, LATE, LATELY, WAITS, Promises
from sslbroker.core.thresholds import Thresholds
from sslbroker.core.transaction import Transaction
from sslbroker.core.warming import FIRST
from sslbroker.core.watch import Watch
from sslbroker.interfaces import Origin
from sslbroker.settings import Group, Pacing, Server

GOLD, SLOW = Group("gold", (), 5, 0.04), Group("slow", (), 2, 1.0)


def client(group: Group | None, *, secure: bool = True) -> Origin:
    origin = Origin("203.0.113.7", secure=secure)
    origin.group = group
    return origin


SECURE, PATIENT, OTHER, PLAIN = client(GOLD), client(SLOW), client(None), client(None, secure=False)


class Room:
    """A broker that has room for plain transactions, or not."""

    def __init__(self) -> None:
        self.room = False

    def has_room(self) -> bool:
        return self.room


class Case:
    """A pool of so many servers that are past their beginning, and its clock."""

    def __init__(
        self, count: int = 3, *, warm: bool = True, settings: Pacing | None = None, watched: bool = False
    ) -> None:
        self.now = 100.0
        self.lag = 0.0
        self.members = [Member(Server(f"10.0.0.{number}:80")) for number in range(1, count + 1)]
        self.figures = PoolFigures("pool", "http", [member.figures for member in self.members])
        self.thresholds = Thresholds((GOLD, SLOW), self.members)
        self.watch = Watch((GOLD, SLOW), self.members, self.figures, self.thresholds) if watched else None
        self.promises = Promises(
            self.members,
            settings or Pacing(),
            self.thresholds,
            self.figures,
            lambda since, now: self.lag,
            self.watch,
        )
        for member in self.members if warm else ():
            for _ in range(FIRST + 1):
                self.thresholds.heard(member, 0.01, 1, self.now)

    def begin(self, origin: Origin, number: int = 1, *, sent: bool = True) -> Attempt:
        attempt = Attempt(self.members[number - 1], self.now)
        if sent:
            attempt.sent = self.now
        attempt.member.began(attempt, self.now)
        self.promises.began(attempt, origin, self.now)
        return attempt

    def ask(self, attempt: Attempt) -> None:
        attempt.sent = self.now
        attempt.member.asked(attempt, self.now)
        self.promises.asked(attempt, self.now)

    def answer(self, attempt: Attempt, *, good: bool = True) -> None:
        attempt.member.answered(attempt, self.now - attempt.sent, good)
        self.promises.answered(attempt, self.now, good)

    def end(self, attempt: Attempt) -> None:
        attempt.member.ended(attempt)
        self.promises.ended(attempt)

    def whole(self, origin: Origin, seconds: float, number: int = 1, others: int = 0) -> None:
        """A try that finds so many others, and has its answer after so many seconds."""
        there = [self.begin(PLAIN, number) for _ in range(others)]
        attempt = self.begin(origin, number)
        self.now += seconds
        self.answer(attempt)
        for one in (attempt, *there):
            self.end(one)

    def look(self) -> bool:
        return self.promises.look(self.now)

    def about(self, origin: Origin, *, waited: float = 0.0) -> str:
        """``1 3``: to which servers it may go."""
        found = self.promises.suitable(self.members, origin, self.now, self.now - waited)
        return " ".join(member.settings.host[-1] for member in found)

    def window(self, number: int = 1) -> float:
        return self.promises._servers[self.members[number - 1]].pace.window


def test_while_all_is_well_all_are_suitable_and_nothing_is_built() -> None:
    case = Case()
    for origin in (SECURE, PATIENT, OTHER, PLAIN):
        case.whole(origin, 0.01)
        assert case.promises.suitable(case.members, origin, case.now, case.now) is case.members


# --- steering ---


def test_a_secure_one_avoids_a_server_that_has_not_answered_in_time() -> None:
    case = Case()
    attempt = case.begin(SECURE)
    case.now += 0.039
    assert case.about(SECURE) == "1 2 3"
    case.now += 0.002
    assert case.about(SECURE) == "2 3"
    assert attempt.stage == LATE
    assert case.about(PATIENT) == "1 2 3", "this group is promised less"
    assert case.about(OTHER) == "1 2 3"
    case.end(attempt)
    assert case.about(SECURE) == "1 2 3"


def test_it_avoids_one_whose_answers_are_too_slow_and_returns_to_it() -> None:
    case = Case()
    case.whole(SECURE, 0.05)
    assert case.about(SECURE) == "2 3"
    case.now += 0.3
    assert case.about(SECURE) == "1 2 3"


def test_who_has_waited_for_longer_than_promised_goes_anywhere() -> None:
    case = Case()
    case.whole(SECURE, 0.05)
    assert case.about(SECURE, waited=0.039) == "2 3"
    assert case.about(SECURE, waited=0.041) == "1 2 3"


def test_it_is_known_when_that_will_be() -> None:
    case = Case()
    since = case.now
    case.whole(SECURE, 0.05)
    assert case.promises.choosy_until(SECURE, since) == since + 0.04
    for origin in (PATIENT, OTHER):
        assert case.promises.choosy_until(origin, since) == since
    case.now = since + 0.04
    assert case.promises.suitable(case.members, SECURE, case.now, since) is case.members


def test_where_all_are_too_slow_all_are_suitable() -> None:
    case = Case(2)
    case.begin(SECURE, 1)
    case.begin(SECURE, 2)
    case.now += 0.05
    assert case.promises.suitable(case.members, SECURE, case.now, case.now) is case.members


def test_they_do_not_all_crowd_to_the_only_one_that_is_fast() -> None:
    case = Case(2)
    case.whole(SECURE, 0.05, 2, others=7)
    assert case.window(2) == 6.0
    case.now += 0.3
    case.begin(SECURE, 1)
    case.now += 0.05
    others = [case.begin(PLAIN, 2) for _ in range(8)]
    assert case.about(SECURE) == "2"
    others.append(case.begin(PLAIN, 2))
    assert case.about(SECURE) == "1 2"
    case.end(others.pop())
    assert case.about(SECURE) == "2"


# --- pacing ---


def test_plain_ones_go_where_there_is_room_and_else_wait() -> None:
    case = Case(2)
    case.whole(SECURE, 0.05, 1, others=4)
    assert case.window() == 3.0
    assert case.members[0].figures.reductions == 1
    assert case.promises.suitable(case.members, PLAIN, case.now, case.now) is case.members
    held = [case.begin(PLAIN, 1) for _ in range(3)]
    assert case.about(PLAIN) == "2"
    case.whole(SECURE, 0.05, 2, others=4)
    held += [case.begin(PLAIN, 2) for _ in range(3)]
    assert case.about(PLAIN) == ""
    assert case.about(SECURE) == "1 2"
    case.end(held.pop())
    assert case.about(PLAIN) == "2"


@pytest.mark.parametrize(("gap", "lately"), [(0.001, LATELY[0]), (0.5, GAPS * 0.5), (3.0, LATELY[1])])
def test_that_lasts_while_secure_ones_come_as_often_as_usual(gap: float, lately: float) -> None:
    case = Case(1)
    for _ in range(100):
        case.end(case.begin(SECURE))
        case.now += gap
    case.whole(SECURE, 0.05, others=4)
    for _ in range(3):
        case.begin(PLAIN)
    assert case.about(PLAIN) == ""
    case.now += 0.9 * lately
    assert case.promises.pacing(case.now)
    case.now += 0.15 * lately
    assert not case.promises.pacing(case.now)
    assert not case.promises.holding(case.now)
    assert case.about(PLAIN) == "1"


def test_secure_ones_of_no_group_hold_nobody_back() -> None:
    case = Case(1)
    case.whole(OTHER, 0.9, others=3)
    assert case.window() == inf
    assert not case.promises.pacing(case.now)


def test_without_a_window_nobody_is_held_back() -> None:
    case = Case(1)
    case.whole(SECURE, 0.01)
    assert case.promises.pacing(case.now)
    assert not case.promises.holding(case.now)
    case.whole(SECURE, 0.05, others=3)
    assert case.promises.holding(case.now)


def test_a_broker_that_is_overloaded_lets_no_plain_one_begin_beside_secure_ones() -> None:
    case, broker = Case(2), Room()
    case.promises.overload = broker
    assert case.about(PLAIN) == "1 2"
    case.whole(SECURE, 0.01)
    assert case.about(PLAIN) == ""
    assert case.about(SECURE) == "1 2"
    assert case.promises.holding(case.now)
    broker.room = True
    assert case.about(PLAIN) == "1 2"
    assert not case.promises.holding(case.now)


def test_while_a_group_keeps_away_plain_ones_show_how_the_server_does() -> None:
    case = Case(2)
    case.whole(SECURE, 0.05)
    assert case.window() == inf, "it had found nothing under way"
    case.whole(PLAIN, 0.03, others=9)
    assert case.window() == inf
    case.whole(PLAIN, 0.06, others=9)
    assert case.window() == 7.0
    case.now += 5.0
    case.whole(PLAIN, 0.06, others=5)
    assert case.window() == 7.0, "the group is back"


# --- what is a breach ---


def test_a_try_that_is_late_is_one_breach() -> None:
    case = Case(1)
    case.promises._servers[case.members[0]].pace._settings = Pacing(breaches=2, window=10.0)
    others = [case.begin(PLAIN) for _ in range(3)]
    attempt = case.begin(SECURE)
    case.now += 0.05
    case.look()
    case.answer(attempt)
    assert case.window() == inf
    case.begin(SECURE)
    case.now += 0.05
    case.look()
    assert case.window() == 3.0
    assert others


def test_who_waits_for_its_link_is_not_late() -> None:
    case = Case(1)
    case.begin(PLAIN)
    attempt = case.begin(SECURE, sent=False)
    case.now += 0.3
    case.look()
    assert (attempt.stage, case.window()) == (WAITS, inf)
    attempt.sent = case.now
    case.now += 0.03
    case.look()
    assert attempt.stage == WAITS
    case.now += 0.05
    case.look()
    assert attempt.stage == LATE


def test_nor_who_waits_for_its_client() -> None:
    case = Case(1)
    attempt = case.begin(SECURE)
    case.members[0].excuse(attempt)
    case.now += 0.05
    case.look()
    assert attempt.stage == AWAITED
    case.now += 10.0
    case.ask(attempt)
    case.now += 0.039
    case.look()
    assert attempt.stage == WAITS
    case.now += 0.002
    case.look()
    assert attempt.stage == LATE
    case.end(attempt)


def test_thousands_that_wait_for_their_clients_are_not_looked_at_again_and_again() -> None:
    case = Case(1)
    attempts = [case.begin(SECURE) for _ in range(1000)]
    for attempt in attempts:
        case.members[0].excuse(attempt)
    case.now += 0.05
    case.look()
    assert not any(case.promises._due.values())
    for attempt in attempts[:3]:
        case.end(attempt)
        case.ask(attempt)
    assert not any(case.promises._due.values()), "those that are over are not looked at either"


def test_nor_one_at_a_server_in_its_beginning() -> None:
    case = Case(1, warm=False)
    attempt = case.begin(SECURE)
    case.now += 0.05
    case.look()
    assert attempt.stage == WAITS
    case.answer(attempt)
    assert case.about(SECURE) == "1"


def test_nor_one_that_our_own_event_loop_kept_waiting() -> None:
    case = Case(1)
    case.lag = 0.011
    attempt = case.begin(SECURE)
    case.now += 0.05
    case.look()
    assert attempt.stage == WAITS
    case.answer(attempt)
    case.end(attempt)
    assert case.promises._servers[case.members[0]].standings["gold", False].over(case.now) is False
    slow = case.begin(SECURE)
    case.now += 0.09
    case.look()
    assert slow.stage == LATE, "that is more than lag explains"
    case.lag = 0.01
    slow = case.begin(SECURE)
    case.now += 0.05
    case.look()
    assert slow.stage == LATE, "so little lag is no excuse"


def test_what_failed_tells_nothing_of_how_fast_its_server_is() -> None:
    case = Case(1)
    case.begin(PLAIN)
    attempt = case.begin(SECURE)
    case.now += 0.05
    case.answer(attempt, good=False)
    assert (attempt.stage, case.window()) == (HEARD, inf)
    case.answer(attempt)
    assert case.window() == inf, "there is one answer"
    case.now += 0.05
    case.look()
    assert attempt.stage == HEARD


def test_what_is_not_measured_is_not_heard_of() -> None:
    case = Case(1)
    attempt = Attempt(case.members[0], case.now)
    case.promises.answered(attempt, case.now, True)
    case.promises.ended(attempt)
    assert (attempt.stage, case.promises.plain) == (WAITS, 0)


def test_an_answer_in_time_lets_the_window_grow_again() -> None:
    case = Case(1)
    case.whole(SECURE, 0.05, others=7)
    for _ in range(12):
        case.now += 0.2
        case.whole(SECURE, 0.01)
        for _ in range(7):
            case.begin(PLAIN)
        assert case.about(PLAIN) in ("", "1")
        for attempt in list(case.members[0]._waiting):
            assert isinstance(attempt, Attempt)
            case.end(attempt)
    assert case.window() > 6.0
    assert case.figures.servers[0].window == int(case.window())


def test_who_is_outrun_counts_as_slow_where_it_was_late_by_then() -> None:
    case = Case(2)
    for seconds, about in ((0.03, "1 2"), (0.05, "2")):
        attempt = case.begin(SECURE)
        case.now += seconds
        case.promises.outrun(attempt, case.now)
        case.end(attempt)
        assert case.about(SECURE) == about
    case.promises.outrun(attempt, case.now)  # what is over is not heard of
    case.now += 0.3
    assert case.about(SECURE) == "1 2"


# --- the queue ---


def queue_is_slow(case: Case, times: int, queued: float = 0.03) -> None:
    for _ in range(times):
        case.now += 0.05
        case.promises.waited(GOLD, 0.05, queued, case.now)


def test_where_the_queue_is_often_the_cause_the_pool_as_a_whole_gives_way() -> None:
    case = Case(2)
    for number in (1, 2):
        for _ in range(5):
            case.begin(PLAIN, number)
    case.answer(case.begin(SECURE))
    queue_is_slow(case, 3)
    assert case.promises._pool.window == inf, "that seldom happens"
    queue_is_slow(case, 1)
    assert case.promises._pool.window == 10.0
    assert case.about(PLAIN) == ""
    assert case.promises.holding(case.now)
    assert case.window() == case.window(2) == inf
    assert [member.figures.reductions for member in case.members] == [0, 0]
    assert case.promises.reduced_for == Breach("gold", 0.04, 0.05, "")
    assert case.promises.whole.window == 10.0
    case.promises.waited(GOLD, 0.06, 0.03, case.now)
    assert case.promises.reduced_for == Breach("gold", 0.04, 0.05, ""), "one that began before tells nothing"


def test_the_floor_of_the_pool_is_paid_for() -> None:
    case = Case(2, settings=Pacing(floor=0.5))
    others = [case.begin(PLAIN, number) for number in (1, 2) for _ in range(5)]
    case.answer(case.begin(SECURE))
    queue_is_slow(case, 4)
    case.answer(case.begin(SECURE, 2))
    assert case.about(PLAIN) == "1 2"
    case.begin(PLAIN, 1)
    assert case.about(PLAIN) == ""
    for attempt in others:
        case.end(attempt)
    assert case.about(PLAIN) == "1 2"


def test_the_first_answer_counts_for_the_queue_and_a_second_try_does_not() -> None:
    case = Case(1)
    for origin, tries, heard in ((SECURE, 1, 1), (SECURE, 2, 1), (OTHER, 1, 1), (PLAIN, 1, 1)):
        transaction = Transaction.__new__(Transaction)
        transaction.began, transaction.now = case.now, case.now + 0.03
        transaction.attempts = [Attempt(case.members[0], case.now + 0.01)] * tries
        case.promises.passed(transaction, origin)
        assert case.promises._pool._heard_of == heard


def test_it_is_not_the_cause_where_the_server_alone_was_too_slow_or_we_were() -> None:
    case = Case(1)
    for _ in range(5):
        case.begin(PLAIN)
    queue_is_slow(case, 20, queued=0.005)
    assert case.promises._pool.window == inf
    case.lag = 0.02
    queue_is_slow(case, 20)
    assert case.promises._pool.window == inf


def test_who_did_not_wait_and_has_its_only_answer_is_told_of_at_once() -> None:
    case = Case(1)
    for origin in (SECURE, OTHER, PLAIN):
        attempt = case.begin(origin)
        case.now += 0.01
        attempt.member.answered(attempt, 0.01, True)
        attempt.member.ended(attempt)
        case.promises.over(attempt, origin, case.now)
        assert (attempt.stage, attempt.standing) == (HEARD, None)
    assert case.promises._pool._heard_of == 1
    assert case.promises.plain == 0


# --- figures ---


def test_the_server_times_of_secure_ones_are_shown_for_each_group_and_server() -> None:
    case = Case(2, watched=True)
    for origin, number, seconds in ((SECURE, 1, 0.01), (SECURE, 1, 0.03), (OTHER, 2, 0.2), (PLAIN, 1, 0.1)):
        case.whole(origin, seconds, number)
    case.answer(case.begin(SECURE, 2), good=False)
    assert case.watch is not None
    for write in case.watch.parts():
        write(case.now)
    shown = {
        (server.address, watch.group): (watch.count, round(watch.mean, 9))
        for server in case.figures.servers
        for watch in server.watches
        if watch.count
    }
    assert shown == {("10.0.0.1:80", "gold"): (2, 0.02), ("10.0.0.2:80", ""): (1, 0.2)}


def test_the_share_of_plain_ones_that_began_lately_is_shown() -> None:
    case = Case(1)
    for number in range(20):
        case.promises.arrived(case.now)
        if number % 2:
            case.promises.placed(case.now)
            case.begin(PLAIN)
            case.begin(PLAIN)  # another try is not another transaction
    assert case.promises.plain == 20
    case.look()
    assert case.figures.plain_share == pytest.approx(0.5)
    assert (case.figures.servers[0].window, case.figures.servers[0].pacing) == (0, "open")
    case.now += 30.0
    case.look()
    assert case.figures.plain_share == 1.0, "too few are known"


def test_a_look_soon_after_the_last_finds_late_ones_only() -> None:
    case = Case(1)
    assert not case.look()
    case.whole(SECURE, 0.05, others=3)
    case.look()
    assert case.figures.servers[0].window in (0, 3)
    case.now += 10.0
    assert case.look(), "nobody was held back: the window ends"
    assert case.figures.servers[0].window == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "secure",
                "patient",
                "other",
                "plain",
                "link",
                "upload",
                "ask",
                "good",
                "bad",
                "end",
                "over",
                "look",
            ]
        ),
        st.integers(0, 1000),
        st.floats(0.0, 0.5),
        st.booleans(),
    ),
    max_size=150,
)


@given(steps=STEPS, floor=st.floats(0.0, 1.0))
def test_whatever_happens_secure_ones_are_never_held_back_and_nothing_is_left_behind(
    steps: Sequence[tuple[str, int, float, bool]], floor: float
) -> None:
    case = Case(3, settings=Pacing(floor=floor))
    origins = {"secure": SECURE, "patient": PATIENT, "other": OTHER, "plain": PLAIN, "link": SECURE}
    under_way: list[Attempt] = []
    for what, number, pause, lags in steps:
        case.now += pause
        case.lag = 0.1 if lags else 0.0
        if what in origins:
            under_way.append(case.begin(origins[what], number % 3 + 1, sent=what != "link"))
        elif what == "upload":
            under_way.append(case.begin(SECURE, number % 3 + 1))
            under_way[-1].member.excuse(under_way[-1])
        elif what == "look":
            case.look()
        elif under_way:
            attempt = under_way[number % len(under_way)]
            if what == "ask" and attempt.stage != HEARD:
                case.ask(attempt)
            elif what in ("good", "bad"):
                attempt.sent = attempt.sent or attempt.began
                case.answer(attempt, good=what == "good")
            else:
                under_way.remove(attempt)
                case.end(attempt)
        for origin in (SECURE, PATIENT, OTHER):
            assert case.about(origin, waited=pause)
        assert case.about(PLAIN) or sum(member.outstanding for member in case.members)
        standings = [
            standing for server in case.promises._servers.values() for standing in server.standings.values()
        ]
        assert all(standing.late >= 0 for standing in standings)
        assert sum(standing.late for standing in standings) == sum(one.stage == LATE for one in under_way)
        assert case.promises.plain == sum(
            one.standing is not None and one.standing.plain for one in under_way
        )
    for attempt in under_way:
        case.end(attempt)
    case.now += 2.5
    case.look()
    assert not any(case.promises._due.values())
    assert case.promises.plain == 0
    case.about(SECURE)
    assert case.about(PLAIN) == "1 2 3"
