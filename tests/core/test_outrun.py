"""What a try that was given up for a faster one tells of how a group stands at its server."""

from __future__ import annotations

from sslbroker.core.attempt import Attempt
from sslbroker.core.figures import PoolFigures
from sslbroker.core.members import Member
from sslbroker.core.promises import LATE, Promises
from sslbroker.core.thresholds import Thresholds
from sslbroker.interfaces import Origin
from sslbroker.settings import Group, Pacing, Server

GOLD = Group("gold", priority=5, threshold=0.040)
FAST, TOO_LONG = 0.010, 0.055


class Case:
    """Two servers, and a client of a group that is promised 40 ms."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.members = [Member(Server(f"10.0.0.{number}:80")) for number in (1, 2)]
        figures = PoolFigures("shop", "http", [member.figures for member in self.members])
        thresholds = Thresholds((GOLD,), self.members)
        self.promises = Promises(self.members, Pacing(), thresholds, figures, lambda since, now: 0.0)
        self.origin = Origin("192.0.2.1", secure=True)
        self.origin.group = GOLD

    def begin(self, origin: Origin | None = None) -> Attempt:
        attempt = Attempt(self.members[0], self.now)
        attempt.member.began(attempt, self.now)
        self.promises.began(attempt, origin or self.origin, self.now)
        attempt.sent = self.now
        return attempt

    def over(self, attempt: Attempt, *, outrun: bool) -> None:
        if outrun:
            self.promises.outrun(attempt, self.now)
            attempt.member.outrun(attempt, self.now - attempt.sent)
        else:
            attempt.member.answered(attempt, self.now - attempt.sent, True)
            self.promises.answered(attempt, self.now, True)
        attempt.member.ended(attempt)
        self.promises.ended(attempt)

    def goes(self, seconds: float, *, outrun: bool = False) -> None:
        attempt = self.begin()
        self.now += seconds
        self.over(attempt, outrun=outrun)

    def avoided(self) -> bool:
        """Would the group's next transaction rather go elsewhere?"""
        return self.promises.suitable(self.members, self.origin, self.now, self.now) == self.members[1:]


def warm() -> Case:
    case = Case()
    for _ in range(20):
        case.goes(FAST)
    assert not case.avoided()
    return case


def test_a_server_that_is_outrun_again_and_again_is_avoided_as_if_its_answers_had_been_awaited() -> None:
    for outrun in (False, True):
        case = warm()
        times = 0
        while not case.avoided():
            case.goes(TOO_LONG, outrun=outrun)
            times += 1
            assert times < 20
        assert times > 1, "one slow answer sends nobody away"


def test_one_that_was_not_too_slow_by_then_has_shown_nothing() -> None:
    case = warm()
    for _ in range(20):
        case.goes(FAST * 2, outrun=True)
    assert not case.avoided()


def test_while_it_lasts_it_is_a_breach_and_no_longer() -> None:
    case = warm()
    attempt = case.begin()
    case.now += TOO_LONG
    assert case.avoided()
    assert attempt.stage == LATE
    case.over(attempt, outrun=True)
    assert not case.avoided()


def test_clients_in_no_group_are_promised_nothing_that_could_be_broken() -> None:
    case = warm()
    attempt = case.begin(Origin("198.51.100.1", secure=True))
    case.now += 9.0
    case.over(attempt, outrun=True)
    assert not case.avoided()
