"""Who is left out for its failures: counting, blame, ceiling, growing times, rest, return."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbroker.core.attempt import Attempt
from sslbroker.core.health import LONGEST_EJECTION, LONGEST_REST, Health, Verdict
from sslbroker.core.members import Member
from sslbroker.outcome import Cause, Replay
from sslbroker.settings import Ejection, Server

FAILURES = (
    Cause.BROKEN,
    Cause.EMPTY,
    Cause.MALFORMED,
    Cause.TRUNCATED,
    Cause.SILENT,
    Cause.CONNECT_TIMEOUT,
    Cause.TLS_FAILED,
)
NOBODYS_FAULT = (
    Cause.STALE,
    Cause.REFUSED,
    Cause.UNREACHABLE,
    Cause.STATUS,  # alone
    Cause.MISMATCH,
    Cause.CLIENT_GONE,
    Cause.CLIENT_TIMEOUT,
    Cause.BAD_REQUEST,
    Cause.SHUTDOWN,
    Cause.INTERNAL,
)


class Case:
    """A pool of so many, `a` being the first, and its clock."""

    def __init__(self, count: int = 4, **ejection: float) -> None:
        self.members = [Member(Server(f"10.0.0.{number}:80")) for number in range(1, count + 1)]
        self.a, self.b, self.c, self.d, *_ = *self.members, *[self.members[-1]] * 3
        self.health = Health(self.members, Ejection(**ejection))  # type: ignore[arg-type]
        self.now = 1000.0

    def attempt(
        self,
        member: Member,
        outcome: Cause = Cause.OK,
        status: int = 0,
        *,
        began: float | None = None,
        rest: float = 0.0,
    ) -> Attempt:
        attempt = Attempt(member, self.now if began is None else began)
        attempt.outcome, attempt.status, attempt.rest = outcome, status, rest
        return attempt

    def hears(self, member: Member, outcome: Cause = Cause.OK, began: float | None = None) -> Verdict | None:
        """A try that began now, or then, has ended now."""
        return self.health.heard(self.attempt(member, outcome, began=began), self.now)

    def fails(self, member: Member, times: int = 1) -> Verdict | None:
        verdict = None
        for _ in range(times):
            verdict = self.hears(member, Cause.SILENT)
        return verdict

    def judged(self, *attempts: Attempt) -> list[Verdict]:
        return self.health.judged(attempts, self.now)

    def passes(self, seconds: float) -> list[Verdict]:
        self.now += seconds
        return self.health.tick(self.now)

    @property
    def out(self) -> str:
        """``1 3`` for the last numbers of those that are barred."""
        return " ".join(member.settings.host[-1] for member in self.members if member.bars)


# --- what counts ---


@pytest.mark.parametrize("outcome", FAILURES)
def test_failures_in_a_row_eject(outcome: Cause) -> None:
    case = Case(failures=3)
    assert case.hears(case.a, outcome) is None
    assert case.hears(case.a, outcome) is None
    assert case.out == ""
    verdict = case.hears(case.a, outcome)
    assert verdict == (case.a, "ejected", 10.0, f"3 failures in a row, the last: {outcome.value}")
    assert case.out == "1"
    assert case.a.bars == {"ejected": verdict.detail}
    assert (case.a.figures.ejected, case.a.figures.ejections) == (1, 1)
    assert case.health.due() == case.now + 10.0


@pytest.mark.parametrize("outcome", NOBODYS_FAULT)
def test_what_is_not_the_servers_fault_does_not_count_and_ends_no_row(outcome: Cause) -> None:
    case = Case(failures=2)
    for _ in range(10):
        assert case.hears(case.a, outcome) is None
    assert not case.a.suspect
    case.fails(case.a)
    case.hears(case.a, outcome)
    assert case.fails(case.a)


def test_a_try_that_goes_well_ends_the_row() -> None:
    case = Case(failures=3)
    case.fails(case.a, 2)
    assert case.a.suspect
    assert case.hears(case.a) is None
    assert not case.a.suspect
    assert case.fails(case.a, 2) is None
    assert case.out == ""


def test_what_is_known_of_the_last_failure_is_told() -> None:
    case = Case(failures=1)
    attempt = case.attempt(case.a, Cause.MALFORMED)
    attempt.detail = "no status line"
    verdict = case.health.heard(attempt, case.now)
    assert verdict is not None
    assert verdict.detail == "1 failure, the last: malformed: no status line"


@pytest.mark.parametrize("outcome", [Cause.BROKEN, Cause.EMPTY, Cause.TRUNCATED])
def test_all_that_are_under_way_when_a_server_dies_are_one_failure(outcome: Cause) -> None:
    case = Case(failures=2)
    began, case.now = case.now, case.now + 1.0
    for _ in range(50):
        assert case.hears(case.a, outcome, began) is None
    assert case.out == ""
    assert case.hears(case.a, outcome) is not None, "one that began later is another one"


def test_each_try_that_is_not_answered_is_a_failure() -> None:
    case = Case(failures=2)
    began, case.now = case.now, case.now + 30.0
    assert case.hears(case.a, Cause.SILENT, began) is None
    assert case.hears(case.a, Cause.SILENT, began) is not None


# --- blame for a status ---


def test_a_failing_status_counts_when_another_server_did_better() -> None:
    case = Case(failures=2)
    for _ in range(2):
        verdicts = case.judged(case.attempt(case.a, Cause.STATUS, 500), case.attempt(case.b, Cause.OK, 200))
    assert [(verdict.member, verdict.bar) for verdict in verdicts] == [(case.a, "ejected")]
    assert case.out == "1"


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_nobody_is_blamed_for_a_status_that_all_gave(tries: int) -> None:
    case = Case(failures=1)
    attempts = [case.attempt(member, Cause.STATUS, 503, rest=5.0) for member in case.members[:tries]]
    assert case.judged(*attempts) == []
    assert case.out == ""


def test_who_failed_otherwise_has_not_given_it() -> None:
    case = Case(failures=1)
    attempts = [
        case.attempt(case.a, Cause.STATUS, 500),
        case.attempt(case.b, Cause.STATUS, 502),
        case.attempt(case.c, Cause.BROKEN),
    ]
    assert [verdict.member for verdict in case.judged(*attempts)] == [case.a, case.b]


@pytest.mark.parametrize("outcome", [Cause.REFUSED, Cause.STALE, Cause.CONNECT_TIMEOUT, Cause.CLIENT_GONE])
def test_who_did_not_have_the_request_does_not_show_that_it_can_be_done(outcome: Cause) -> None:
    case = Case(failures=1)
    assert case.judged(case.attempt(case.a, Cause.STATUS, 500), case.attempt(case.b, outcome)) == []


def test_what_no_server_could_mend_blames_nobody() -> None:
    case = Case(failures=1)
    loop = case.attempt(case.b, Cause.STATUS, 508)
    loop.reason = Replay.FINAL
    assert case.judged(case.attempt(case.a, Cause.STATUS, 500), loop) == []


def test_a_status_4xx_never_counts() -> None:
    case = Case(failures=1)
    attempts = [case.attempt(case.a, Cause.STATUS, 404, rest=5.0), case.attempt(case.b, Cause.OK, 200)]
    assert case.judged(*attempts) == []
    assert not case.a.suspect


def test_a_failing_answer_of_a_protocol_without_statuses_counts() -> None:
    case = Case(failures=1)
    assert case.judged(case.attempt(case.a, Cause.STATUS), case.attempt(case.b))


# --- times ---


def test_an_ejection_ends_with_its_time() -> None:
    case = Case(failures=2)
    case.fails(case.a, 2)
    assert case.passes(9.9) == []
    assert case.passes(0.1) == [(case.a, "ejected", 0.0, "its time is over")]
    assert (case.out, case.a.figures.ejected, case.health.due()) == ("", 0, None)


def test_after_a_return_the_first_failure_ejects_for_longer() -> None:
    case = Case(failures=3)
    case.fails(case.a, 3)
    seconds = []
    for _ in range(40):
        case.passes(case.health.due() - case.now)  # type: ignore[operator]
        verdict = case.fails(case.a)
        assert verdict is not None
        seconds.append(verdict.seconds)
    assert seconds[:3] == [20.0, 30.0, 40.0]
    assert seconds[-1] == LONGEST_EJECTION


def test_a_base_above_the_longest_holds() -> None:
    case = Case(failures=1, base=900.0)
    for _ in range(2):
        verdict = case.fails(case.a)
        assert verdict is not None
        assert verdict.seconds == 900.0
        case.passes(900.0)


def test_after_a_return_one_that_goes_well_is_enough() -> None:
    case = Case(failures=2)
    case.fails(case.a, 2)
    case.passes(10.0)
    assert case.a.suspect, "else nobody would tell"
    case.hears(case.a)
    assert case.fails(case.a) is None
    verdict = case.fails(case.a)
    assert verdict is not None
    assert verdict.seconds == 10.0


def test_what_began_before_tells_nothing_of_what_came_after() -> None:
    case = Case(failures=2)
    began = case.now
    case.now += 1.0
    case.fails(case.a, 2)
    case.now += 1.0
    case.hears(case.a, Cause.OK, began)
    assert case.out == "1"
    case.passes(10.0)
    assert case.hears(case.a, Cause.SILENT, began) is None
    assert case.hears(case.a, Cause.OK, began) is None
    assert case.fails(case.a), "it is not trusted yet"


def test_who_is_tried_though_it_is_ejected_comes_back_when_that_goes_well() -> None:
    case = Case(failures=2)
    case.fails(case.a, 2)
    case.now += 1.0
    assert case.fails(case.a, 5) is None
    assert case.health.due() == case.now + 9.0, "failures make it no longer"
    assert case.hears(case.a) == (case.a, "ejected", 0.0, "a try went well")
    assert (case.out, case.health.due()) == ("", None)


# --- the ceiling ---


@pytest.mark.parametrize(
    ("count", "share", "most"),
    [(1, 0.5, 0), (2, 0.5, 1), (3, 0.5, 1), (4, 0.5, 2), (3, 0.0, 0), (3, 1.0, 3), (100, 0.29, 29)],
)
def test_no_more_than_the_share_is_out(count: int, share: float, most: int) -> None:
    case = Case(count, failures=1, share=share)
    for member in case.members:
        case.fails(member)
    assert len(case.out.split()) == most


def test_who_found_no_room_is_ejected_by_its_next_failure_when_there_is_some() -> None:
    case = Case(2, failures=2)
    case.fails(case.a, 2)
    assert case.fails(case.b, 7) is None
    case.passes(10.0)
    verdict = case.fails(case.b)
    assert verdict is not None
    assert verdict.detail.startswith("8 failures in a row")


# --- rest ---


def rests(case: Case, member: Member, seconds: float) -> list[Verdict]:
    return case.judged(
        case.attempt(member, Cause.STATUS, 503, rest=seconds), case.attempt(case.members[-1], Cause.OK, 200)
    )


def test_who_asks_for_it_rests() -> None:
    case = Case()
    detail = "it asked for 5 s by its answer of status 503"
    assert rests(case, case.a, 5.0) == [(case.a, "resting", 5.0, detail)]
    assert case.a.bars == {"resting": detail}
    assert (case.a.figures.resting, case.a.figures.rests) == (1, 1)
    assert case.passes(4.9) == []
    assert case.passes(0.1) == [(case.a, "resting", 0.0, "it has rested")]
    assert (case.out, case.a.figures.resting) == ("", 0)


def test_nobody_rests_longer_than_the_longest() -> None:
    case = Case()
    (verdict,) = rests(case, case.a, 86_400.0)
    assert verdict.seconds == LONGEST_REST


def test_who_rests_may_ask_again() -> None:
    case = Case()
    rests(case, case.a, 5.0)
    case.now += 1.0
    assert rests(case, case.a, 2.0) == []
    assert case.health.due() == case.now + 4.0
    assert rests(case, case.a, 10.0) == []
    assert case.health.due() == case.now + 10.0
    assert case.a.figures.rests == 1


def test_resting_and_ejected_share_the_ceiling_and_one_that_is_both_counts_once() -> None:
    case = Case(failures=2)
    rests(case, case.a, 5.0)
    assert [verdict.bar for verdict in rests(case, case.a, 5.0)] == ["ejected"]
    rests(case, case.b, 5.0)
    assert case.out == "1 2"
    assert rests(case, case.c, 5.0) == []
    assert case.fails(case.c, 5) is None
    assert case.out == "1 2"
    assert [(v.member, v.bar) for v in case.passes(10.0)] == [
        (case.a, "ejected"),
        (case.a, "resting"),
        (case.b, "resting"),
    ]


def test_a_pool_without_members_is_well() -> None:
    health = Health((), Ejection())
    assert (health.due(), health.tick(0.0), health.judged((), 0.0)) == (None, [], [])


# --- whatever happens ---

TRIES = st.tuples(
    st.integers(0, 4), st.sampled_from(Cause), st.sampled_from((0, 200, 404, 500, 503)), st.floats(0, 60)
)


@given(
    count=st.integers(1, 5),
    failures=st.integers(1, 3),
    share=st.floats(0, 1),
    transactions=st.lists(st.tuples(st.floats(0, 20), st.lists(TRIES, min_size=1, max_size=3)), max_size=40),
)
def test_the_ceiling_holds_and_ejections_in_a_row_grow(
    count: int,
    failures: int,
    share: float,
    transactions: Sequence[tuple[float, Sequence[tuple[int, Cause, int, float]]]],
) -> None:
    case = Case(count, failures=failures, share=share)
    longest: dict[Member, float] = {}

    def check(verdicts: Sequence[Verdict]) -> None:
        for member, bar, length, _ in verdicts:
            if bar == "ejected" and length:
                assert length > longest.get(member, 0.0) or length == LONGEST_EJECTION
                longest[member] = length
            assert length <= (LONGEST_EJECTION if bar == "ejected" else LONGEST_REST)

    for seconds, tries in transactions:
        check(case.passes(seconds))
        attempts = [
            case.attempt(case.members[number % count], outcome, status, rest=rest)
            for number, outcome, status, rest in tries
        ]
        for attempt in attempts:
            verdict = case.health.heard(attempt, case.now)
            check([verdict] if verdict is not None else [])
            if attempt.outcome is Cause.OK:
                longest[attempt.member] = 0.0
        check(case.judged(*attempts))
        out = [member for member in case.members if member.bars]
        assert len(out) <= share * count + 1e-9
        assert all(member.figures.ejected == ("ejected" in member.bars) for member in case.members)
        assert all(member.figures.resting == ("resting" in member.bars) for member in case.members)
        assert (case.health.due() is None) == (not out)


@given(
    statuses=st.lists(st.integers(400, 499), min_size=1, max_size=3),
    same=st.tuples(st.integers(500, 699), st.integers(1, 3)),
)
def test_neither_a_4xx_nor_a_status_that_all_gave_is_anybodys_fault(
    statuses: list[int], same: tuple[int, int]
) -> None:
    case = Case(failures=1, share=1.0)
    for _ in range(3):
        several = [
            case.attempt(member, Cause.STATUS, status)
            for member, status in zip(case.members, statuses, strict=False)
        ]
        case.judged(*several, case.attempt(case.d, Cause.OK, 200))
        case.judged(*(case.attempt(member, Cause.STATUS, same[0]) for member in case.members[: same[1]]))
    assert case.out == ""
