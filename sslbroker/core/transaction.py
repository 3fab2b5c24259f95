"""The life of one transaction, from its request's head to its record in the log.

Holds what is known of it, and says how it stands: its tries, how it ended, and where the time went.
Invariant: only `receive` and `under_way` change it, as the table of `transitions` says; it never changes
again once it is DONE. Body bytes never come here: the relay moves them while this machine stands in WATCH or
RELAY. Refuses I/O, clocks and HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..errors import BrokerError
from ..outcome import Cause, Replay
from .attempt import Attempt
from .failover import Allowance, may_hedge
from .members import Member
from .states import CHOOSE, LINK, RELAY, RESUME, WATCH, Actions, Input, State
from .storage import Stored
from .transitions import TRANSITIONS

# Once, since the value of an Enum's member is looked up in Python.
_PHASES = {state: state.value.value for state in State}
_OK = Cause.OK.value


class Kept(Protocol):
    """A failing answer that can be given in the end."""

    @property
    def member(self) -> Member | None:
        """The server that gave it; None: it is not here, or not whole."""


class Transaction:
    """One request's life. Call `receive`, then do the actions that it returns."""

    __slots__ = (
        "allowance",
        "attempt",
        "attempts",
        "began",
        "beside",
        "beside_linked",
        "elsewhere",
        "ended_in",
        "error",
        "fresh",
        "hedged",
        "kept",
        "left",
        "linked",
        "member",
        "now",
        "resumable",
        "state",
        "stale",
        "stored",
        "replay",
    )

    #: The try under way, or the last one; there is none before the first.
    attempt: Attempt

    def __init__(self, replay: Replay, stored: Stored, allowance: Allowance, now: float) -> None:
        self.replay = replay
        self.stored = stored
        self.allowance = allowance
        self.state = CHOOSE
        self.attempts: list[Attempt] = []  # in the order in which they began
        self.beside: Attempt | None = None  # the other one, while two are under way
        self.linked = self.beside_linked = False  # then: which of them has its link
        self.hedged = False  # there was a try beside another one
        self.elsewhere = 0  # tries that brokers behind our links made beyond the one that we count
        self.fresh = 0  # the tries from here on count
        self.stale = 0  # but for so many of them: a link that had been closed says nothing of its server
        self.kept: Kept | None = None  # the last failing answer, while another try is under way
        self.resumable = False  # can another server be asked for the rest? Said before it breaks off
        self.member: Member | None = (
            None  # of the try under way or the last one; of the answer, if it was kept
        )
        self.error: BrokerError | None = None
        self.ended_in = CHOOSE  # the state in which an error ended it
        self.began = self.now = now
        self.left: list[tuple[State, float]] = []  # the states that it has been in, and until when

    @property
    def tries(self) -> int:
        """How many were made, here and by brokers behind our links."""
        return len(self.attempts) + self.elsewhere

    @property
    def attempts_that_count(self) -> Sequence[Attempt]:
        """Those since the response last made progress; the one that was under way last is the last."""
        attempts = self.attempts[self.fresh :] if self.fresh else self.attempts
        if self.hedged and attempts[-1] is not self.attempt:
            return [*(attempt for attempt in attempts if attempt is not self.attempt), self.attempt]
        return attempts

    @property
    def tries_that_count(self) -> int:
        """How many these are, with those made by brokers behind our links."""
        return self.tries - self.fresh - self.stale

    @property
    def last(self) -> bool:
        """The try under way is the last one, if it sends anything."""
        return self.tries_that_count >= self.allowance.tries and not self.attempt.reused

    @property
    def end(self) -> str:
        """How it ended: ``ok``, or phase and cause."""
        error = self.error
        if error is None:
            return _OK
        if error.anywhere or self.ended_in is RESUME:
            return f"{self.ended_in.value.value}:{error.cause.value}"
        return error.end

    def receive(self, event: Input, now: float, subject: object = None) -> Actions:
        """Change state, and say what to do. `subject`: the member, the error, or whether a link was used.

        Raises `KeyError` for an input that the state does not know: a mistake of the caller.
        """
        state = self.state
        change, following = TRANSITIONS[state, event]
        self.now = now
        change(self, subject)
        self.left.append((state, now))
        return following[self.state]

    def under_way(self, attempt: Attempt) -> None:
        """What `CHOSEN` and `LINKED` would have made of it when `attempt` began, and sent its request."""
        began = self.now = attempt.began
        self.member = attempt.member
        self.attempt = attempt
        self.attempts.append(attempt)
        self.left += ((CHOOSE, began), (LINK, began))
        self.state = WATCH

    @property
    def watched(self) -> bool:
        """One try is under way, and has no answer."""
        return self.state is WATCH or self.state is LINK

    def may_hedge(self, now: float) -> bool:
        """May a try be made beside the one under way? Once; then a token of the budget is taken."""
        return (
            not self.hedged
            and self.watched
            and may_hedge(
                request=self.replay,
                stored=self.stored.replay,
                tries=self.tries_that_count,
                allowance=self.allowance,
                now=now,
            )
        )

    def timings(self) -> dict[str, float]:
        """Milliseconds for each phase that took part."""
        spent: dict[str, float] = {}
        since = self.began
        for state, until in self.left:
            phase = _PHASES[state]
            spent[phase] = spent.get(phase, 0.0) + until - since
            since = until
        return {phase: round(seconds * 1e6) / 1e3 for phase, seconds in spent.items()}

    def waited(self) -> float:
        """Of one that is over: seconds from the request to the response, or to the end without one."""
        until = self.began
        for state, then in self.left:
            if state is RELAY:
                break
            until = then
        return until - self.began
