"""What each input changes in a transaction, and what is done then: the table at the end of the file.

Decides which inputs a state accepts, which state follows, and which actions the glue carries out. Invariant:
the client sees one answer at most, a server's (PASS) or the broker's (ANSWER), and CUT only after PASS; it
sees none only when it is gone. Every try that began is ended once, FINISH comes once and last, and DONE is
final. Two tries are under way in HEDGE only, and one of them goes on. Refuses I/O, clocks and HTTP; whether
another try is made is said by `failover`.

The table is the whole machine; ARCHITECTURE.md's diagram is made from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import BrokerError
from ..outcome import Cause, Replay
from ..settings import KiB
from .attempt import Attempt
from .failover import decide
from .members import Member
from .states import CHOOSE, DONE, HEDGE, LINK, RELAY, RESUME, WATCH, Action, Actions, Input, State

if TYPE_CHECKING:
    from .transaction import Transaction

#: Bytes of a response by which a try has got so far that tries are counted anew, and the next one takes no
#: token of the budget: a long response may outlive many servers, but none that gives a byte at a time.
PROGRESS = 64 * KiB


def _chosen(transaction: Transaction, member: Member) -> None:
    transaction.member = member
    transaction.attempt = attempt = Attempt(member, transaction.now)
    transaction.attempts.append(attempt)
    if transaction.state is CHOOSE:
        transaction.state = LINK


def _no_server(transaction: Transaction, subject: BrokerError) -> None:
    _nothing_better(transaction, transaction.error or subject)  # how the last try failed tells more


def _linked(transaction: Transaction, reused: bool) -> None:
    attempt = transaction.attempt
    attempt.reused = reused
    attempt.sent = transaction.now
    if transaction.state is LINK:
        transaction.state = WATCH
    else:
        transaction.linked = True


def _failed(transaction: Transaction, subject: BrokerError) -> None:
    again = _another(transaction, subject)
    transaction.attempt.ended = transaction.now
    if again:
        transaction.error = subject
        transaction.stored.rewind()
        transaction.state = CHOOSE
    else:
        _nothing_better(transaction, subject)


def _failing(transaction: Transaction, subject: BrokerError) -> None:
    if _another(transaction, subject):
        transaction.attempt.ended = transaction.now
        transaction.error = subject
        transaction.stored.rewind()
        transaction.state = CHOOSE
    else:
        _pass(transaction)  # a failing answer is better than none; the try ends with it


def _another(transaction: Transaction, subject: BrokerError, got_on: bool = False) -> bool:
    """The try has failed, and perhaps after it `got_on`: is there another one?"""
    attempt, state = transaction.attempt, transaction.state
    _count_stale(transaction, subject)
    decision = decide(
        # In WATCH it is known; before, a link that broke may have sent something.
        sent=attempt.wrote or (state is not WATCH and not subject.nothing_sent),
        done=not subject.nothing_done,
        final=subject.final,
        begun=state is RELAY or state is RESUME,
        resumable=transaction.resumable,
        got_on=got_on,
        request=transaction.replay,
        stored=transaction.stored.replay,
        tries=transaction.tries_that_count,
        allowance=transaction.allowance,
        now=transaction.now,
    )
    attempt.outcome, attempt.reason, attempt.detail = subject.cause, decision.reason, subject.detail
    return decision.again


def _count_stale(transaction: Transaction, subject: BrokerError) -> None:
    if subject.cause is Cause.STALE and transaction.stale < transaction.allowance.tries:
        transaction.stale += 1  # it does not count, but there is an end to these, too


def _nothing_better(transaction: Transaction, error: BrokerError) -> None:
    """No server can do it (any more): a failing answer that was kept is better than ours."""
    member = transaction.kept.member if transaction.kept is not None else None
    if member is not None:
        transaction.member = member
        transaction.error = None
    else:
        transaction.error = error
        error.tries = transaction.tries
    transaction.state = DONE


def _answered(transaction: Transaction, subject: object) -> None:
    transaction.attempt.outcome = Cause.OK
    _pass(transaction)


def _pass(transaction: Transaction) -> None:
    transaction.error = None
    transaction.kept = None
    transaction.stored.give_up(Replay.RESPONSE_BEGUN)
    transaction.state = RELAY


def _broke_off(transaction: Transaction, subject: BrokerError) -> None:
    """The response, of which the client has a part, breaks off, or this server has not the rest."""
    attempt = transaction.attempt
    got_on = attempt.passed >= PROGRESS
    if got_on:
        transaction.fresh = transaction.attempts.index(attempt)
        # One that began beside it counts no more either.
        transaction.stale = len(transaction.attempts) - transaction.fresh - 1
    again = _another(transaction, subject, got_on)
    attempt.ended = transaction.now
    transaction.error = subject
    transaction.ended_in = transaction.state
    transaction.state = RESUME if again else DONE


def _nobody_resumes(transaction: Transaction, subject: BrokerError) -> None:
    transaction.ended_in = RESUME
    transaction.error = transaction.error or subject
    transaction.state = DONE


def _joined(transaction: Transaction, subject: object) -> None:
    transaction.attempt.outcome = Cause.OK
    transaction.error = None
    transaction.state = RELAY


def _ended(transaction: Transaction, subject: object) -> None:
    transaction.attempt.ended = transaction.now
    transaction.state = DONE


def _own(transaction: Transaction, subject: object) -> None:
    transaction.state = DONE


def _left(transaction: Transaction, error: BrokerError) -> None:
    """The transaction ends with an error, and the try that is under way, if there is one, too."""
    state = transaction.state
    if state is not CHOOSE and not (state is RESUME and transaction.attempt.reason is not None):
        _over(transaction, transaction.attempt, error, Replay.FINAL)
    if transaction.beside is not None:
        _over(transaction, transaction.beside, error, Replay.FINAL)
        transaction.beside = None
    transaction.ended_in = state
    transaction.error = error
    transaction.state = DONE


# --- two tries at once ---


def _hedged(transaction: Transaction, member: Member) -> None:
    transaction.hedged = True
    transaction.linked, transaction.beside_linked = transaction.state is WATCH, False
    transaction.beside = beside = Attempt(member, transaction.now)
    transaction.attempts.append(beside)
    transaction.state = HEDGE


def _hedge_linked(transaction: Transaction, reused: bool) -> None:
    beside = transaction.beside
    assert beside is not None
    beside.reused, beside.sent = reused, transaction.now
    transaction.beside_linked = True


def _answered_first(transaction: Transaction, subject: object) -> None:
    _outrun(transaction, _beside(transaction))
    _answered(transaction, subject)


def _outrun_by_other(transaction: Transaction, subject: object) -> None:
    _outrun(transaction, transaction.attempt)
    _swap(transaction)
    _answered(transaction, subject)


def _failed_beside(transaction: Transaction, subject: BrokerError) -> None:
    """It failed while the other one is under way, which is the next try, and takes no token."""
    _count_stale(transaction, subject)
    _over(transaction, transaction.attempt, subject, Replay.HEDGE)
    transaction.error = subject
    _swap(transaction)
    _go_on_alone(transaction)


def _failing_beside(transaction: Transaction, subject: BrokerError) -> None:
    if subject.final:
        attempt = transaction.attempt
        attempt.outcome, attempt.reason, attempt.detail = subject.cause, Replay.FINAL, subject.detail
        _outrun(transaction, _beside(transaction))
        _pass(transaction)
    else:
        _failed_beside(transaction, subject)


def _hedge_failed(transaction: Transaction, subject: BrokerError) -> None:
    _count_stale(transaction, subject)
    _over(transaction, _beside(transaction), subject, Replay.HEDGE)
    _go_on_alone(transaction)


def _go_on_alone(transaction: Transaction) -> None:
    transaction.state = WATCH if transaction.linked else LINK


def _swap(transaction: Transaction) -> None:
    transaction.attempt, transaction.linked = _beside(transaction), transaction.beside_linked
    transaction.member = transaction.attempt.member


def _beside(transaction: Transaction) -> Attempt:
    """The other try; from now on there is one only."""
    beside, transaction.beside = transaction.beside, None
    assert beside is not None
    return beside


def _outrun(transaction: Transaction, attempt: Attempt) -> None:
    attempt.outcome, attempt.reason, attempt.ended = Cause.OUTRUN, Replay.HEDGE, transaction.now


def _over(transaction: Transaction, attempt: Attempt, error: BrokerError, reason: Replay) -> None:
    attempt.outcome, attempt.reason, attempt.ended = error.cause, reason, transaction.now
    attempt.detail = error.detail


_NEXT_TRY = (Action.DROP, Action.CHOOSE)
_KEEP = (Action.KEEP, Action.CHOOSE)
_ANSWER = (Action.DROP, Action.ANSWER, Action.FINISH)
_CUT = (Action.DROP, Action.CUT, Action.FINISH)
_END = (Action.DROP, Action.FINISH)
_SWAP = (Action.DROP, Action.SWAP)
_KEEP_SWAP = (Action.KEEP, Action.SWAP)

_PASS = (Action.PASS,)
_FINISH = (Action.FINISH,)

Change = Callable[["Transaction", Any], None]

TRANSITIONS: dict[tuple[State, Input], tuple[Change, dict[State, Actions]]] = {
    (CHOOSE, Input.CHOSEN): (_chosen, {LINK: (Action.LINK,)}),
    (CHOOSE, Input.NO_SERVER): (_no_server, {DONE: _ANSWER}),
    (CHOOSE, Input.OWN): (_own, {DONE: _FINISH}),
    (CHOOSE, Input.REFUSED): (_left, {DONE: _ANSWER}),
    (CHOOSE, Input.LOST): (_left, {DONE: _END}),
    (LINK, Input.LINKED): (_linked, {WATCH: (Action.SEND,)}),
    (LINK, Input.FAILED): (_failed, {CHOOSE: _NEXT_TRY, DONE: _ANSWER}),
    (LINK, Input.HEDGED): (_hedged, {HEDGE: (Action.HEDGE,)}),
    (LINK, Input.REFUSED): (_left, {DONE: _ANSWER}),
    (LINK, Input.LOST): (_left, {DONE: _END}),
    (WATCH, Input.ANSWERED): (_answered, {RELAY: _PASS}),
    (WATCH, Input.FAILED): (_failed, {CHOOSE: _NEXT_TRY, DONE: _ANSWER}),
    (WATCH, Input.FAILING): (_failing, {CHOOSE: _KEEP, RELAY: _PASS}),
    (WATCH, Input.HEDGED): (_hedged, {HEDGE: (Action.HEDGE,)}),
    (WATCH, Input.REFUSED): (_left, {DONE: _ANSWER}),
    (WATCH, Input.LOST): (_left, {DONE: _END}),
    (HEDGE, Input.LINKED): (_linked, {HEDGE: (Action.SEND,)}),
    (HEDGE, Input.HEDGE_LINKED): (_hedge_linked, {HEDGE: (Action.SEND_HEDGE,)}),
    (HEDGE, Input.ANSWERED): (_answered_first, {RELAY: (Action.CANCEL, Action.PASS)}),
    (HEDGE, Input.FAILED): (_failed_beside, {LINK: _SWAP, WATCH: _SWAP}),
    (HEDGE, Input.FAILING): (
        _failing_beside,
        {LINK: _KEEP_SWAP, WATCH: _KEEP_SWAP, RELAY: (Action.CANCEL, Action.PASS)},
    ),
    (HEDGE, Input.OUTRUN): (_outrun_by_other, {RELAY: (*_SWAP, Action.PASS)}),
    (HEDGE, Input.HEDGE_FAILED): (
        _hedge_failed,
        {LINK: (Action.CANCEL,), WATCH: (Action.CANCEL,)},
    ),
    (HEDGE, Input.HEDGE_FAILING): (
        _hedge_failed,
        {LINK: (Action.KEEP_HEDGE,), WATCH: (Action.KEEP_HEDGE,)},
    ),
    (HEDGE, Input.REFUSED): (_left, {DONE: (Action.CANCEL, *_ANSWER)}),
    (HEDGE, Input.LOST): (_left, {DONE: (Action.CANCEL, *_END)}),
    (RELAY, Input.ENDED): (_ended, {DONE: _FINISH}),
    (RELAY, Input.FAILED): (_broke_off, {RESUME: _NEXT_TRY, DONE: _CUT}),
    (RELAY, Input.REFUSED): (_left, {DONE: _CUT}),
    (RELAY, Input.LOST): (_left, {DONE: _END}),
    (RESUME, Input.CHOSEN): (_chosen, {RESUME: (Action.LINK,)}),
    (RESUME, Input.NO_SERVER): (_nobody_resumes, {DONE: _CUT}),
    (RESUME, Input.LINKED): (_linked, {RESUME: (Action.SEND,)}),
    (RESUME, Input.FAILED): (_broke_off, {RESUME: _NEXT_TRY, DONE: _CUT}),
    (RESUME, Input.ANSWERED): (_joined, {RELAY: ()}),
    (RESUME, Input.REFUSED): (_left, {DONE: _CUT}),
    (RESUME, Input.LOST): (_left, {DONE: _END}),
}
"""For each state and input: what changes, and for each state that can follow, what is done then."""
