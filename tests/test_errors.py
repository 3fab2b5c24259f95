"""Every failure says its phase, its cause, whether a server can have seen it, and what a client is told."""

from __future__ import annotations

import pytest

from sslbroker import errors
from sslbroker.errors import (
    AttemptError,
    BrokerError,
    ClientError,
    ClientTimeout,
    ConfigurationError,
    FramingError,
    Problem,
    Refused,
    RequestRefused,
)
from sslbroker.outcome import Cause, Phase

KINDS: list[type[BrokerError]] = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, BrokerError)
    and kind not in (BrokerError, ClientError, AttemptError)
]


@pytest.mark.parametrize("kind", KINDS)
class TestEveryFailure:
    def test_is_complete(self, kind: type[BrokerError]) -> None:
        error = kind("what was found")
        assert isinstance(error.phase, Phase)
        assert isinstance(error.cause, Cause)
        assert error.cause is not Cause.OK
        assert isinstance(error.nothing_sent, bool)
        assert 400 <= error.status <= 599

    def test_tells_phase_cause_and_detail(self, kind: type[BrokerError]) -> None:
        error = kind("what was found")
        assert error.end == f"{error.phase.value}:{error.cause.value}"
        assert str(error) == f"{error.end} (what was found)"
        assert error.detail == "what was found"
        assert str(kind("")) == error.end


def test_a_try_has_sent_nothing_only_when_its_link_never_stood() -> None:
    """This is what makes it safe to repeat an order: a class that is added here needs a proof."""
    names = {kind.__name__ for kind in KINDS if issubclass(kind, AttemptError) and kind.nothing_sent}
    assert names == {"Refused", "Unreachable", "ConnectTimeout", "LinkTLSFailed", "NoSocket"}


def test_each_failure_of_a_try_is_told_apart_by_phase_and_cause() -> None:
    ends = [kind("").end for kind in KINDS if issubclass(kind, AttemptError)]
    assert len(ends) == len(set(ends))


def test_what_a_client_did_wrong_is_told_with_a_4xx_or_508() -> None:
    statuses = {kind("").status for kind in KINDS if issubclass(kind, ClientError)}
    assert all(400 <= status <= 499 or status == 508 for status in statuses)


@pytest.mark.parametrize("kind", [FramingError, RequestRefused])
def test_a_refusal_may_choose_its_status_without_changing_others(
    kind: type[FramingError] | type[RequestRefused],
) -> None:
    usual = kind("too long").status
    assert kind("too long", 414).status == 414
    assert kind("too long").status == usual


def test_a_slow_client_is_told_408() -> None:
    assert ClientTimeout("nothing for 10 s").status == 408


def test_a_detail_may_be_missing() -> None:
    assert str(Refused()) == "link:refused"


# --- configuration ---


def test_a_problem_says_where_what_was_found_what_was_expected_and_a_suggestion() -> None:
    problem = Problem("pools.shop.tries", '"many"', "a number", "did you mean 3?")
    assert str(problem) == 'pools.shop.tries: found "many", expected a number (did you mean 3?)'
    assert str(Problem("a.b", "1", "2")) == "a.b: found 1, expected 2"


def test_a_configuration_error_tells_every_problem_with_its_source() -> None:
    error = ConfigurationError("etc/x.toml", [Problem("a", "1", "2"), Problem("b", "3", "4")])
    assert str(error).splitlines() == [
        "etc/x.toml: a: found 1, expected 2",
        "etc/x.toml: b: found 3, expected 4",
    ]
