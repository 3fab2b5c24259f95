"""The one place that decides whether a transaction is tried on another server (spec §6, R13, R15).

Decides from what was sent, what came back, what is still stored, how many tries were made and what the
pool grants. Invariant: a request whose bytes may have reached a server is sent again only when it is
replayable, or that server proves that it did nothing, and everything received of it is still stored; once the
response has begun to reach the client only its rest is asked for, where it can be proved to be that; nothing
is tried again when only one link could do it, or when no server could. Refuses to look at types of errors, to
choose a server or to act.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..outcome import Replay
from .budget import Budget


class Decision(NamedTuple):
    """Whether there is another try, and the reason, as it stands in the access log."""

    again: bool
    reason: Replay


class Allowance:
    """What a pool grants to each of its transactions."""

    __slots__ = ("budget", "outage", "tries")

    def __init__(self, tries: int, budget: Budget, outage: Callable[[], bool]) -> None:
        self.tries = tries
        self.budget = budget
        #: Can no server be reached now, but one may come back? Then who has sent nothing waits for that.
        self.outage = outage


def decide(
    *,
    sent: bool,
    done: bool = True,
    final: bool = False,
    begun: bool,
    resumable: bool = False,
    got_on: bool = False,
    request: Replay,
    stored: Replay,
    tries: int,
    allowance: Allowance,
    now: float,
) -> Decision:
    """Is there another try after this one failed?

    `sent`: a byte of the request may have reached the server in this try (when an earlier one had sent,
    the request was replayable, or this one would not have been). `done`: the server may have done some of
    it. `final`: its answer shows that no other could mend the failure. `begun`: the response has begun to
    reach the client; `resumable`: its rest can be asked for; `got_on`: this try has brought so much of it
    that asking for the rest repeats next to nothing. `request`: may the request be repeated, by its
    method or key. `stored`: is everything received of it still here. `tries` of those that the `allowance`
    has were made, this one included. Another try of something sent takes a token of its budget.
    """
    if begun and not resumable:
        return Decision(False, Replay.RESPONSE_BEGUN)
    if final:
        return Decision(False, Replay.FINAL)
    if request is Replay.PINNED:
        return Decision(False, request)
    if sent and not begun:
        if done and request is not Replay.REPLAYABLE:
            return Decision(False, request)
        if stored is not Replay.REPLAYABLE:
            return Decision(False, stored)
    if tries >= allowance.tries and (sent or not allowance.outage()):
        return Decision(False, Replay.TRIES)
    if sent and not got_on and not allowance.budget.take(now):
        return Decision(False, Replay.BUDGET)
    if begun:
        return Decision(True, Replay.RESUME)
    if not sent:
        return Decision(True, Replay.NOTHING_SENT)
    return Decision(True, Replay.REPLAYABLE if done else Replay.NOTHING_DONE)


def may_hedge(*, request: Replay, stored: Replay, tries: int, allowance: Allowance, now: float) -> bool:
    """May the same be asked of another server, too, while a try of it is under way?

    As after a failure; but where nothing was sent by that, too, another try takes a token of the budget.
    """
    return (
        request is Replay.REPLAYABLE
        and stored is Replay.REPLAYABLE
        and tries < allowance.tries
        and allowance.budget.take(now)
    )
