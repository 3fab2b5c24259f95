"""What those who watch are told of the tries of a transaction: when each begins, has its answer, and is over.

Decides who hears what: the server's own account (`core.members`), those who watch over promises, the budget
of tries, the monitor, and those who wait for a place. Invariant: of each try that began they hear once that
it is over, and those who wait hear it last, when it counts nowhere any more. Refuses to judge answers, and to
know what follows from them. `fast_path` tells the same of a transaction whose only try is a good one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.attempt import Attempt
from ..errors import AttemptError
from ..outcome import Cause

if TYPE_CHECKING:
    from .link import Link
    from .relay import Relay

# Bind once: a lookup in an Enum class costs more than the test it is made for.
_OK, _OUTRUN = Cause.OK, Cause.OUTRUN


def begins(relay: Relay, attempt: Attempt) -> None:
    """A try begins, this one's or the other."""
    attempt.member.began(attempt, attempt.began)
    if relay.promises is not None:
        relay.promises.began(attempt, relay.origin, attempt.began)
    if len(relay.transaction.attempts) == 1:
        relay.pool.budget.first_tries += 1


def request_sent(relay: Relay) -> None:
    """All of the request went to the link: from here on the server's time counts."""
    attempt = relay.transaction.attempt
    if not attempt.first_byte:  # it may answer earlier
        attempt.sent = now = relay.pool.now()
        attempt.member.asked(attempt, now)
        if relay.promises is not None:
            relay.promises.asked(attempt, now)


def judged(relay: Relay, attempt: Attempt, link: Link, message: Any, upgraded: bool) -> AttemptError | None:
    """The head of the answer to a try has come: why it is a failing one; None: it is good."""
    pool = relay.pool
    judge = pool.judge
    attempt.first_byte = now = pool.now()
    attempt.status = judge.status(message)
    error = None
    if not upgraded and judge.failing(message):
        error = judge.failure(message, attempt.status)
        attempt.rest = judge.rest(message)
        relay.transaction.elsewhere += judge.tried_elsewhere(message, link.peer)
    if error is not None and error.final:
        attempt.member.excuse(attempt)  # what no server could mend is no server's fault
    else:
        awaited = attempt.member.waits_for(attempt)
        attempt.member.answered(attempt, now - attempt.sent, error is None)
        if relay.promises is not None:
            _answered(relay, attempt, message, now, error is None, awaited)
    return error


def is_over(relay: Relay, attempt: Attempt) -> None:
    """A try has ended, this one's or the other."""
    member, pool, promises = attempt.member, relay.pool, relay.promises
    if attempt.outcome is _OUTRUN:
        if promises is not None:
            promises.outrun(attempt, attempt.ended)
        member.outrun(attempt, attempt.ended - (attempt.sent or attempt.began))
    member.ended(attempt)
    if promises is not None:
        promises.ended(attempt)
    pool.monitor.heard(attempt)
    pool.places.freed()


def passed(relay: Relay) -> None:
    """The client is given the head of an answer."""
    transaction = relay.transaction
    if len(transaction.attempts) > 1:
        _tell_together(relay)
    if transaction.attempt.outcome is _OK and relay.promises is not None and relay.measured:
        relay.promises.passed(transaction, relay.origin)


def all_over(relay: Relay) -> None:
    """The transaction is over."""
    if len(relay.transaction.attempts) > relay.told + 1:
        _tell_together(relay)


def _tell_together(relay: Relay) -> None:
    """The client has an answer, or gets none: what do the tries since the last one tell together?"""
    attempts = relay.transaction.attempts
    relay.pool.monitor.judged(attempts[relay.told :])
    relay.told = len(attempts)


def _answered(relay: Relay, attempt: Attempt, message: Any, now: float, good: bool, awaited: bool) -> None:
    """Tell those who watch over response times. One that was not `awaited` from the server, since its client
    had not sent all of the request, may have taken as long as that client chose."""
    promises, measured = relay.promises, relay.pool.measured
    assert promises is not None
    if measured is None or measured.measured_answer(message):
        promises.answered(attempt, now, good and awaited)
    else:
        promises.ended(attempt)
        relay.measured = not good
