"""One try: how the access log shows it."""

from __future__ import annotations

from sslbroker.core.attempt import Attempt
from sslbroker.core.members import Member
from sslbroker.outcome import Cause, Replay
from sslbroker.settings import Server


def ended(outcome: Cause | None) -> Attempt:
    attempt = Attempt(Member(Server("one:80")), 100.0)
    attempt.ended, attempt.outcome = 100.0123456, outcome
    return attempt


def test_a_good_one_has_its_server_its_outcome_and_its_time() -> None:
    attempt = ended(Cause.OK)
    attempt.reused = True
    assert attempt.log_fields() == {
        "server": "one:80",
        "outcome": "ok",
        "milliseconds": 12.346,
        "reused": True,
    }


def test_a_failed_one_says_how_and_whether_there_was_another() -> None:
    attempt = ended(Cause.REFUSED)
    attempt.detail, attempt.reason = "nobody listens", Replay.NOTHING_SENT
    assert attempt.log_fields() == {
        "server": "one:80",
        "outcome": "refused",
        "milliseconds": 12.346,
        "reused": False,
        "detail": "nobody listens",
        "next": "nothing-sent",
    }


def test_one_that_a_mistake_of_the_brokers_own_ended_has_an_outcome_too() -> None:
    assert ended(None).log_fields()["outcome"] == ended(None).outcome_word == "internal"
    assert ended(Cause.SILENT).outcome_word == Cause.SILENT.value
