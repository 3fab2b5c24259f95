"""The table of spec §6, row by row, and the order in which the reasons are given."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from sslbroker.core.budget import RESERVE, Budget
from sslbroker.core.failover import Allowance, Decision, decide
from sslbroker.errors import (
    AttemptError,
    ConnectTimeout,
    EmptyResponse,
    FailingStatus,
    LinkBroken,
    LinkTLSFailed,
    MalformedResponse,
    NoServer,
    Refused,
    Silent,
    StaleLink,
    Stalled,
    Truncated,
    Unreachable,
)
from sslbroker.outcome import Replay
from sslbroker.settings import RetryBudget

YES = Replay.REPLAYABLE


def grants(tries: int = 3, *, tokens: bool = True, outage: bool = False) -> Allowance:
    """What a pool grants, whose budget is full or empty."""
    budget = Budget(RetryBudget(share=0.0, minimum=0.0), 0.0)
    for _ in range(0 if tokens else int(RESERVE)):
        assert budget.take(0.0)
    return Allowance(tries, budget, lambda: outage)


def decided(**circumstances: Any) -> Decision:
    """The decision after a try that sent something, where nothing else is said."""
    usual = {"sent": True, "begun": False, "request": YES, "stored": YES, "tries": 1, "now": 0.0}
    return decide(**{**usual, "allowance": grants(), **circumstances})


def after(
    error: type[AttemptError] | type[NoServer],
    *,
    begun: bool = False,
    resumable: bool = False,
    got_on: bool = False,
    request: Replay = YES,
    stored: Replay = YES,
    tries: int = 1,
    allowed: int = 3,
    tokens: bool = True,
    outage: bool = False,
) -> Decision:
    """The decision after a try that failed like this."""
    return decided(
        sent=not error.nothing_sent,
        begun=begun,
        resumable=resumable,
        got_on=got_on,
        request=request,
        stored=stored,
        tries=tries,
        allowance=grants(allowed, tokens=tokens, outage=outage),
    )


NOTHING_WAS_SENT = [Refused, Unreachable, ConnectTimeout, LinkTLSFailed, NoServer]
BROKEN_OR_SILENT = [LinkBroken, StaleLink, Silent]
BAD_ANSWER = [FailingStatus, MalformedResponse, EmptyResponse]


@pytest.mark.parametrize("error", NOTHING_WAS_SENT)
@pytest.mark.parametrize("request_may", [YES, Replay.METHOD])
@pytest.mark.parametrize("stored", [YES, Replay.METHOD, Replay.TOO_LARGE, Replay.STORAGE_FULL])
def test_nothing_of_the_request_was_sent_always(
    error: type[AttemptError], request_may: Replay, stored: Replay
) -> None:
    assert after(error, request=request_may, stored=stored) == (True, Replay.NOTHING_SENT)


@pytest.mark.parametrize("error", BROKEN_OR_SILENT + BAD_ANSWER)
class TestSentAndFailedBeforeTheResponseBegan:
    def test_a_replayable_request_is_tried_again(self, error: type[AttemptError]) -> None:
        assert after(error) == (True, Replay.REPLAYABLE)

    def test_an_unsafe_method_is_not(self, error: type[AttemptError]) -> None:
        assert after(error, request=Replay.METHOD) == (False, Replay.METHOD)

    @pytest.mark.parametrize("why", [Replay.TOO_LARGE, Replay.STORAGE_FULL])
    def test_a_request_of_which_something_is_gone_is_not(
        self, error: type[AttemptError], why: Replay
    ) -> None:
        assert after(error, stored=why) == (False, why)


@pytest.mark.parametrize("error", [Truncated, Stalled, LinkBroken])
def test_the_response_has_begun_to_reach_the_client_never(error: type[AttemptError]) -> None:
    assert after(error, begun=True) == (False, Replay.RESPONSE_BEGUN)


@pytest.mark.parametrize("error", [Refused, LinkBroken])
def test_the_last_permitted_try_is_the_last(error: type[AttemptError]) -> None:
    assert after(error, tries=2, allowed=3).again
    assert after(error, tries=3, allowed=3) == (False, Replay.TRIES)
    assert after(error, tries=1, allowed=1) == (False, Replay.TRIES)


def test_the_reason_that_is_told_is_the_one_that_no_setting_of_tries_would_change() -> None:
    everything = {"request": Replay.METHOD, "stored": Replay.TOO_LARGE, "tries": 3}
    assert after(LinkBroken, begun=True, **everything).reason is Replay.RESPONSE_BEGUN  # type: ignore[arg-type]
    assert after(LinkBroken, **everything).reason is Replay.METHOD  # type: ignore[arg-type]
    assert after(LinkBroken, stored=Replay.TOO_LARGE, tries=3).reason is Replay.TOO_LARGE


@pytest.mark.parametrize("stored", [YES, Replay.TOO_LARGE, Replay.STORAGE_FULL])
def test_a_server_that_proves_that_it_did_nothing_leaves_only_what_is_stored_to_ask(stored: Replay) -> None:
    for request in (YES, Replay.METHOD, Replay.STREAM):
        decision = decided(done=False, request=request, stored=stored)
        assert decision == ((True, Replay.NOTHING_DONE) if stored is YES else (False, stored))


@pytest.mark.parametrize("error", [*NOTHING_WAS_SENT, *BROKEN_OR_SILENT, *BAD_ANSWER])
def test_what_only_one_link_could_do_is_tried_once(error: type[AttemptError]) -> None:
    assert after(error, request=Replay.PINNED) == (False, Replay.PINNED)
    assert after(error, request=Replay.PINNED, tries=3) == (False, Replay.PINNED)


@pytest.mark.parametrize("request_may", [YES, Replay.METHOD, Replay.PINNED])
def test_what_no_server_could_mend_is_not_tried_again(request_may: Replay) -> None:
    for done in (False, True):
        for begun, reason in ((False, Replay.FINAL), (True, Replay.RESPONSE_BEGUN)):
            decision = decided(done=done, final=True, begun=begun, request=request_may)
            assert decision == (False, reason)


@pytest.mark.parametrize(
    "error", [Truncated, Stalled, LinkBroken, StaleLink, FailingStatus, MalformedResponse]
)
@pytest.mark.parametrize("stored", [YES, Replay.RESPONSE_BEGUN])
def test_the_rest_of_a_response_is_asked_for_where_it_can_be_proved(
    error: type[AttemptError], stored: Replay
) -> None:
    assert after(error, begun=True, resumable=True, stored=stored) == (True, Replay.RESUME)
    assert after(error, begun=True, resumable=True, stored=stored, tries=3) == (False, Replay.TRIES)
    assert after(error, begun=True, resumable=True, stored=stored, tokens=False) == (False, Replay.BUDGET)


def test_a_response_that_has_got_on_goes_on_without_a_token() -> None:
    assert after(Truncated, begun=True, resumable=True, got_on=True, tokens=False) == (True, Replay.RESUME)
    assert after(Truncated, begun=True, resumable=True, got_on=True, tries=3) == (False, Replay.TRIES)


@pytest.mark.parametrize("error", [*BROKEN_OR_SILENT, *BAD_ANSWER])
def test_what_was_sent_is_repeated_within_the_budget_only(error: type[AttemptError]) -> None:
    assert after(error, tokens=False) == (False, Replay.BUDGET)


@pytest.mark.parametrize("error", NOTHING_WAS_SENT)
def test_of_what_nothing_was_sent_needs_no_budget(error: type[AttemptError]) -> None:
    assert after(error, tokens=False) == (True, Replay.NOTHING_SENT)
    assert after(error, tokens=False, begun=True, resumable=True) == (True, Replay.RESUME)


def test_only_a_try_that_is_granted_takes_a_token() -> None:
    allowance = grants()
    for request, tries in ((Replay.METHOD, 1), (YES, 3), (Replay.PINNED, 1)):
        decide(sent=True, begun=False, request=request, stored=YES, tries=tries, allowance=allowance, now=0.0)
    left = sum(allowance.budget.take(0.0) for _ in range(1000))
    assert left == RESERVE


@pytest.mark.parametrize("error", [Refused, Unreachable])
def test_while_no_server_can_be_reached_who_has_sent_nothing_waits_for_one(error: type[AttemptError]) -> None:
    assert after(error, tries=3, outage=True) == (True, Replay.NOTHING_SENT)
    assert after(error, tries=3, outage=True, begun=True, resumable=True) == (True, Replay.RESUME)


@pytest.mark.parametrize("error", [*BROKEN_OR_SILENT, *BAD_ANSWER])
def test_and_nobody_else(error: type[AttemptError]) -> None:
    assert after(error, tries=3, outage=True) == (False, Replay.TRIES)


def test_whatever_the_circumstances_only_four_reasons_allow_another_try() -> None:
    allowing = (Replay.NOTHING_SENT, Replay.NOTHING_DONE, Replay.REPLAYABLE, Replay.RESUME)
    reasons = [YES, *list(Replay)[4:]]
    truth = (False, True)
    for sent, done, begun, resumable, outage in product(truth, truth, truth, truth, truth):
        for request, stored, tries in product(reasons, reasons, (1, 2, 3)):
            decision = decided(
                sent=sent,
                done=done,
                begun=begun,
                resumable=resumable,
                request=request,
                stored=stored,
                tries=tries,
                allowance=grants(2, outage=outage),
            )
            assert decision.again is (decision.reason in allowing)
            if decision.again:
                assert resumable or not begun
                assert tries < 2 or (outage and not sent)
                assert request is not Replay.PINNED
                if not begun:
                    assert not sent or stored is YES
                    assert not (sent and done) or request is YES
