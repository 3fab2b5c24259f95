"""The life of one transaction, from its request's head to its record in the log.

Decides what is done next: which inputs a state accepts, which state follows, which actions the glue
carries out. Invariant: the client sees one answer at most, a server's (PASS) or the broker's (ANSWER),
and CUT only after PASS; it sees none only when it is gone. Every try that began is ended once, FINISH
comes once and last, and DONE is final. Two tries are under way in HEDGE only, and one of them goes on. Body
bytes never come here: the relay moves them while this machine stands in WATCH or RELAY. Refuses I/O, clocks
and HTTP.

The table at the end of the file is the whole machine; ARCHITECTURE.md's diagram is made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import BrokerError
from ..outcome import Cause, Phase, Replay
from ..settings import KiB
from .failover import Allowance, decide, may_hedge
from .members import Member
from .storage import Stored

if TYPE_CHECKING:
    from .standing import Standing


class State(Enum):
    """Where the transaction is; the value is the phase that its time is counted for."""

    CHOOSE = Phase.CHOOSE
    LINK = Phase.LINK
    WATCH = Phase.WATCH
    HEDGE = Phase.HEDGE
    RELAY = Phase.RELAY
    RESUME = Phase.RESUME
    DONE = Phase.LOG

    __hash__ = object.__hash__  # Enum's own is written in Python, and every step looks states up


class Input(Enum):
    """What can happen to a transaction."""

    CHOSEN = "a server was chosen"
    NO_SERVER = "no server can be chosen"
    LINKED = "a link to the server is ready"
    FAILED = "the try failed"
    FAILING = "its answer is a failing one"
    ANSWERED = "a good response head came"
    HEDGED = "it takes long, and a server was chosen for a try beside it"
    HEDGE_LINKED = "a link for the try beside it is ready"
    OUTRUN = "the try beside it has a good answer first"
    HEDGE_FAILED = "the try beside it failed"
    HEDGE_FAILING = "the answer to the try beside it is a failing one"
    ENDED = "the response is whole"
    OWN = "the protocol answers by itself"
    REFUSED = "the client broke its protocol or a limit"
    LOST = "the client is gone"

    __hash__ = object.__hash__


class Action(Enum):
    """What the glue does after a transition, in the order given."""

    CHOOSE = "choose a server"
    LINK = "get a link to it"
    SEND = "send the request, from storage"
    DROP = "end the try and close its link"
    KEEP = "end the try, and keep its answer while another one is made"
    HEDGE = "make the same try at another server, beside it"
    SEND_HEDGE = "send the request in the try beside it"
    SWAP = "the try beside it takes its place"
    CANCEL = "end the try beside it, and close its link"
    KEEP_HEDGE = "end the try beside it, and keep its answer"
    PASS = "pass the response's head to the client"
    ANSWER = "answer the client: with the answer that was kept, or with an error of the broker's own"
    CUT = "cut the client's connection, visibly"
    FINISH = "log and forget"

    __hash__ = object.__hash__


CHOOSE, LINK, WATCH, HEDGE, RELAY, RESUME, DONE = State
# Once, since the value of an Enum's member is looked up in Python.
_PHASES = {state: state.value.value for state in State}
_OUTCOMES = {cause: cause.value for cause in Cause}
_OK = Cause.OK.value
_INTERNAL = Cause.INTERNAL
Actions = tuple[Action, ...]

#: Bytes of a response by which a try has got so far that tries are counted anew, and the next one takes no
#: token of the budget: a long response may outlive many servers, but none that gives a byte at a time.
PROGRESS = 64 * KiB


class Attempt:
    """One try. Times are seconds of the clock that `now` comes from; 0.0: has not happened."""

    __slots__ = (
        "began",
        "detail",
        "ended",
        "first_byte",
        "load",
        "member",
        "outcome",
        "passed",
        "reason",
        "rest",
        "reused",
        "sent",
        "stage",
        "standing",
        "status",
        "wrote",
    )

    def __init__(self, member: Member, now: float) -> None:
        self.member = member
        self.began = now
        # For who watches over response times (`promises`), where anybody does:
        self.load = 0  # other tries that its server had under way when it began
        self.standing: Standing | None = None
        self.stage = 0  # what is known of its answer
        self.sent = 0.0  # the request, so far as it had been received, was written
        self.first_byte = 0.0
        self.ended = 0.0
        self.wrote = False  # a byte of the request may have reached the server
        self.reused = False
        self.outcome: Cause | None = None
        self.reason: Replay | None = None  # why another try was, or was not, made after it
        self.detail = ""  # how it failed, for people
        self.status = 0  # of the answer, for protocols that have one
        self.passed = 0  # bytes of content that it gave the client, once it has broken off
        self.rest = 0.0  # seconds for which its failing answer asks that the server be left alone

    @property
    def outcome_word(self) -> str:
        """The outcome as logs and figures show it."""
        return _OUTCOMES[self.outcome or _INTERNAL]

    def log_fields(self) -> dict[str, object]:
        """The try as the access log shows it."""
        fields: dict[str, object] = {
            "server": self.member.address,
            "outcome": _OUTCOMES[self.outcome or _INTERNAL],
            "milliseconds": round((self.ended - self.began) * 1e6) / 1e3,  # an integer is rounded to faster
            "reused": self.reused,
        }
        if self.detail:
            fields["detail"] = self.detail
        if self.reason is not None:
            fields["next"] = self.reason.value
        return fields


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

    # --- transitions ---

    def _chosen(self, member: Member) -> None:
        self.member = member
        self.attempt = attempt = Attempt(member, self.now)
        self.attempts.append(attempt)
        if self.state is CHOOSE:
            self.state = LINK

    def _no_server(self, subject: BrokerError) -> None:
        self._nothing_better(self.error or subject)  # how the last try failed tells more

    def _linked(self, reused: bool) -> None:
        attempt = self.attempt
        attempt.reused = reused
        attempt.sent = self.now
        if self.state is LINK:
            self.state = WATCH
        else:
            self.linked = True

    def _failed(self, subject: BrokerError) -> None:
        again = self._another(subject)
        self.attempt.ended = self.now
        if again:
            self.error = subject
            self.stored.rewind()
            self.state = CHOOSE
        else:
            self._nothing_better(subject)

    def _failing(self, subject: BrokerError) -> None:
        if self._another(subject):
            self.attempt.ended = self.now
            self.error = subject
            self.stored.rewind()
            self.state = CHOOSE
        else:
            self._pass()  # a failing answer is better than none; the try ends with it

    def _another(self, subject: BrokerError, got_on: bool = False) -> bool:
        """The try has failed, and perhaps after it `got_on`: is there another one?"""
        attempt, state = self.attempt, self.state
        self._count_stale(subject)
        decision = decide(
            # In WATCH it is known; before, a link that broke may have sent something.
            sent=attempt.wrote or (state is not WATCH and not subject.nothing_sent),
            done=not subject.nothing_done,
            final=subject.final,
            begun=state is RELAY or state is RESUME,
            resumable=self.resumable,
            got_on=got_on,
            request=self.replay,
            stored=self.stored.replay,
            tries=self.tries_that_count,
            allowance=self.allowance,
            now=self.now,
        )
        attempt.outcome, attempt.reason, attempt.detail = subject.cause, decision.reason, subject.detail
        return decision.again

    def _count_stale(self, subject: BrokerError) -> None:
        if subject.cause is Cause.STALE and self.stale < self.allowance.tries:
            self.stale += 1  # it does not count, but there is an end to these, too

    def _nothing_better(self, error: BrokerError) -> None:
        """No server can do it (any more): a failing answer that was kept is better than ours."""
        member = self.kept.member if self.kept is not None else None
        if member is not None:
            self.member = member
            self.error = None
        else:
            self.error = error
            error.tries = self.tries
        self.state = DONE

    def _answered(self, subject: object) -> None:
        self.attempt.outcome = Cause.OK
        self._pass()

    def _pass(self) -> None:
        self.error = None
        self.kept = None
        self.stored.give_up(Replay.RESPONSE_BEGUN)
        self.state = RELAY

    def _broke_off(self, subject: BrokerError) -> None:
        """The response, of which the client has a part, breaks off, or this server has not the rest."""
        attempt = self.attempt
        got_on = attempt.passed >= PROGRESS
        if got_on:
            self.fresh = self.attempts.index(attempt)
            self.stale = len(self.attempts) - self.fresh - 1  # one that began beside it counts no more either
        again = self._another(subject, got_on)
        attempt.ended = self.now
        self.error = subject
        self.ended_in = self.state
        self.state = RESUME if again else DONE

    def _nobody_resumes(self, subject: BrokerError) -> None:
        self.ended_in = RESUME
        self.error = self.error or subject
        self.state = DONE

    def _joined(self, subject: object) -> None:
        self.attempt.outcome = Cause.OK
        self.error = None
        self.state = RELAY

    def _ended(self, subject: object) -> None:
        self.attempt.ended = self.now
        self.state = DONE

    def _own(self, subject: object) -> None:
        self.state = DONE

    def _left(self, error: BrokerError) -> None:
        """The transaction ends with an error, and the try that is under way, if there is one, too."""
        state = self.state
        if state is not CHOOSE and not (state is RESUME and self.attempt.reason is not None):
            self._over(self.attempt, error, Replay.FINAL)
        if self.beside is not None:
            self._over(self.beside, error, Replay.FINAL)
            self.beside = None
        self.ended_in = state
        self.error = error
        self.state = DONE

    # --- two tries at once ---

    def _hedged(self, member: Member) -> None:
        self.hedged = True
        self.linked, self.beside_linked = self.state is WATCH, False
        self.beside = beside = Attempt(member, self.now)
        self.attempts.append(beside)
        self.state = HEDGE

    def _hedge_linked(self, reused: bool) -> None:
        beside = self.beside
        assert beside is not None
        beside.reused, beside.sent = reused, self.now
        self.beside_linked = True

    def _answered_first(self, subject: object) -> None:
        self._outrun(self._beside())
        self._answered(subject)

    def _outrun_by_other(self, subject: object) -> None:
        self._outrun(self.attempt)
        self._swap()
        self._answered(subject)

    def _failed_beside(self, subject: BrokerError) -> None:
        """It failed while the other one is under way, which is the next try, and takes no token."""
        self._count_stale(subject)
        self._over(self.attempt, subject, Replay.HEDGE)
        self.error = subject
        self._swap()
        self._go_on_alone()

    def _failing_beside(self, subject: BrokerError) -> None:
        if subject.final:
            attempt = self.attempt
            attempt.outcome, attempt.reason, attempt.detail = subject.cause, Replay.FINAL, subject.detail
            self._outrun(self._beside())
            self._pass()
        else:
            self._failed_beside(subject)

    def _hedge_failed(self, subject: BrokerError) -> None:
        self._count_stale(subject)
        self._over(self._beside(), subject, Replay.HEDGE)
        self._go_on_alone()

    def _go_on_alone(self) -> None:
        self.state = WATCH if self.linked else LINK

    def _swap(self) -> None:
        self.attempt, self.linked = self._beside(), self.beside_linked
        self.member = self.attempt.member

    def _beside(self) -> Attempt:
        """The other try; from now on there is one only."""
        beside, self.beside = self.beside, None
        assert beside is not None
        return beside

    def _outrun(self, attempt: Attempt) -> None:
        attempt.outcome, attempt.reason, attempt.ended = Cause.OUTRUN, Replay.HEDGE, self.now

    def _over(self, attempt: Attempt, error: BrokerError, reason: Replay) -> None:
        attempt.outcome, attempt.reason, attempt.ended = error.cause, reason, self.now
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

Change = Callable[[Transaction, Any], None]

TRANSITIONS: dict[tuple[State, Input], tuple[Change, dict[State, Actions]]] = {
    (CHOOSE, Input.CHOSEN): (Transaction._chosen, {LINK: (Action.LINK,)}),
    (CHOOSE, Input.NO_SERVER): (Transaction._no_server, {DONE: _ANSWER}),
    (CHOOSE, Input.OWN): (Transaction._own, {DONE: _FINISH}),
    (CHOOSE, Input.REFUSED): (Transaction._left, {DONE: _ANSWER}),
    (CHOOSE, Input.LOST): (Transaction._left, {DONE: _END}),
    (LINK, Input.LINKED): (Transaction._linked, {WATCH: (Action.SEND,)}),
    (LINK, Input.FAILED): (Transaction._failed, {CHOOSE: _NEXT_TRY, DONE: _ANSWER}),
    (LINK, Input.HEDGED): (Transaction._hedged, {HEDGE: (Action.HEDGE,)}),
    (LINK, Input.REFUSED): (Transaction._left, {DONE: _ANSWER}),
    (LINK, Input.LOST): (Transaction._left, {DONE: _END}),
    (WATCH, Input.ANSWERED): (Transaction._answered, {RELAY: _PASS}),
    (WATCH, Input.FAILED): (Transaction._failed, {CHOOSE: _NEXT_TRY, DONE: _ANSWER}),
    (WATCH, Input.FAILING): (Transaction._failing, {CHOOSE: _KEEP, RELAY: _PASS}),
    (WATCH, Input.HEDGED): (Transaction._hedged, {HEDGE: (Action.HEDGE,)}),
    (WATCH, Input.REFUSED): (Transaction._left, {DONE: _ANSWER}),
    (WATCH, Input.LOST): (Transaction._left, {DONE: _END}),
    (HEDGE, Input.LINKED): (Transaction._linked, {HEDGE: (Action.SEND,)}),
    (HEDGE, Input.HEDGE_LINKED): (Transaction._hedge_linked, {HEDGE: (Action.SEND_HEDGE,)}),
    (HEDGE, Input.ANSWERED): (Transaction._answered_first, {RELAY: (Action.CANCEL, Action.PASS)}),
    (HEDGE, Input.FAILED): (Transaction._failed_beside, {LINK: _SWAP, WATCH: _SWAP}),
    (HEDGE, Input.FAILING): (
        Transaction._failing_beside,
        {LINK: _KEEP_SWAP, WATCH: _KEEP_SWAP, RELAY: (Action.CANCEL, Action.PASS)},
    ),
    (HEDGE, Input.OUTRUN): (Transaction._outrun_by_other, {RELAY: (*_SWAP, Action.PASS)}),
    (HEDGE, Input.HEDGE_FAILED): (
        Transaction._hedge_failed,
        {LINK: (Action.CANCEL,), WATCH: (Action.CANCEL,)},
    ),
    (HEDGE, Input.HEDGE_FAILING): (
        Transaction._hedge_failed,
        {LINK: (Action.KEEP_HEDGE,), WATCH: (Action.KEEP_HEDGE,)},
    ),
    (HEDGE, Input.REFUSED): (Transaction._left, {DONE: (Action.CANCEL, *_ANSWER)}),
    (HEDGE, Input.LOST): (Transaction._left, {DONE: (Action.CANCEL, *_END)}),
    (RELAY, Input.ENDED): (Transaction._ended, {DONE: _FINISH}),
    (RELAY, Input.FAILED): (Transaction._broke_off, {RESUME: _NEXT_TRY, DONE: _CUT}),
    (RELAY, Input.REFUSED): (Transaction._left, {DONE: _CUT}),
    (RELAY, Input.LOST): (Transaction._left, {DONE: _END}),
    (RESUME, Input.CHOSEN): (Transaction._chosen, {RESUME: (Action.LINK,)}),
    (RESUME, Input.NO_SERVER): (Transaction._nobody_resumes, {DONE: _CUT}),
    (RESUME, Input.LINKED): (Transaction._linked, {RESUME: (Action.SEND,)}),
    (RESUME, Input.FAILED): (Transaction._broke_off, {RESUME: _NEXT_TRY, DONE: _CUT}),
    (RESUME, Input.ANSWERED): (Transaction._joined, {RELAY: ()}),
    (RESUME, Input.REFUSED): (Transaction._left, {DONE: _CUT}),
    (RESUME, Input.LOST): (Transaction._left, {DONE: _END}),
}
"""For each state and input: what changes, and for each state that can follow, what is done then."""
