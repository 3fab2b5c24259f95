"""The transaction's table, row by row, and what holds for every life that it permits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import event as note
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sslbroker import errors
from sslbroker.core.attempt import Attempt
from sslbroker.core.budget import Budget
from sslbroker.core.failover import Allowance
from sslbroker.core.members import Member
from sslbroker.core.states import CHOOSE, DONE, HEDGE, LINK, RELAY, RESUME, WATCH, Action, Input, State
from sslbroker.core.storage import Storage
from sslbroker.core.transaction import Transaction
from sslbroker.core.transitions import PROGRESS, TRANSITIONS
from sslbroker.errors import AttemptError, BrokerError, FailingStatus
from sslbroker.outcome import Cause, Replay
from sslbroker.settings import RetryBudget, Server
from sslbroker.settings import Storage as StorageSettings

from .transcript import Kept

SERVERS = [Member(Server(f"10.0.0.{number}:80")) for number in range(4)]
SHARE = 100


def new(replay: Replay = Replay.REPLAYABLE, tries: int = 3) -> Transaction:
    house = Storage(StorageSettings(initial=300, minimum=100, maximum=300, per_transaction=SHARE))
    budget = Budget(RetryBudget(), 0.0)
    return Transaction(replay, house.open(), Allowance(tries, budget, lambda: False), 0.0)


# --- each row ---

#: How to come into a state.
WAY_IN: dict[State, list[tuple[Input, object]]] = {
    CHOOSE: [],
    LINK: [(Input.CHOSEN, SERVERS[0])],
    WATCH: [(Input.CHOSEN, SERVERS[0]), (Input.LINKED, False)],
    HEDGE: [(Input.CHOSEN, SERVERS[0]), (Input.HEDGED, SERVERS[1])],
    RELAY: [(Input.CHOSEN, SERVERS[0]), (Input.LINKED, False), (Input.ANSWERED, None)],
    RESUME: [
        (Input.CHOSEN, SERVERS[0]),
        (Input.LINKED, False),
        (Input.ANSWERED, None),
        (Input.FAILED, errors.Truncated()),
        (Input.CHOSEN, SERVERS[1]),
    ],
}
GONE, BAD, BROKEN = errors.ClientGone(), errors.FramingError("no"), errors.LinkBroken()
#: An answer which shows that no server could give a better one.
CIRCLE = FailingStatus()
CIRCLE.final = True
#: For each row and each state that may follow it: the tries permitted, the subject, what is done. Of two
#: tries neither has a link, or both have where WATCH follows.
WAYS_OUT: dict[tuple[State, Input, State], tuple[int, object, str]] = {
    (CHOOSE, Input.CHOSEN, LINK): (3, SERVERS[0], "LINK"),
    (CHOOSE, Input.NO_SERVER, DONE): (3, errors.NoServer(), "DROP ANSWER FINISH"),
    (CHOOSE, Input.OWN, DONE): (3, None, "FINISH"),
    (CHOOSE, Input.REFUSED, DONE): (3, BAD, "DROP ANSWER FINISH"),
    (CHOOSE, Input.LOST, DONE): (3, GONE, "DROP FINISH"),
    (LINK, Input.LINKED, WATCH): (3, False, "SEND"),
    (LINK, Input.FAILED, CHOOSE): (3, errors.Refused(), "DROP CHOOSE"),
    (LINK, Input.FAILED, DONE): (1, errors.Refused(), "DROP ANSWER FINISH"),
    (LINK, Input.HEDGED, HEDGE): (3, SERVERS[1], "HEDGE"),
    (LINK, Input.REFUSED, DONE): (3, BAD, "DROP ANSWER FINISH"),
    (LINK, Input.LOST, DONE): (3, GONE, "DROP FINISH"),
    (WATCH, Input.ANSWERED, RELAY): (3, None, "PASS"),
    (WATCH, Input.FAILED, CHOOSE): (3, BROKEN, "DROP CHOOSE"),
    (WATCH, Input.FAILING, CHOOSE): (3, FailingStatus(), "KEEP CHOOSE"),
    (WATCH, Input.FAILING, RELAY): (1, FailingStatus(), "PASS"),
    (WATCH, Input.FAILED, DONE): (1, BROKEN, "DROP ANSWER FINISH"),
    (WATCH, Input.HEDGED, HEDGE): (3, SERVERS[1], "HEDGE"),
    (WATCH, Input.REFUSED, DONE): (3, BAD, "DROP ANSWER FINISH"),
    (WATCH, Input.LOST, DONE): (3, GONE, "DROP FINISH"),
    (HEDGE, Input.LINKED, HEDGE): (3, False, "SEND"),
    (HEDGE, Input.HEDGE_LINKED, HEDGE): (3, False, "SEND_HEDGE"),
    (HEDGE, Input.ANSWERED, RELAY): (3, None, "CANCEL PASS"),
    (HEDGE, Input.FAILED, LINK): (3, BROKEN, "DROP SWAP"),
    (HEDGE, Input.FAILED, WATCH): (3, BROKEN, "DROP SWAP"),
    (HEDGE, Input.FAILING, LINK): (3, FailingStatus(), "KEEP SWAP"),
    (HEDGE, Input.FAILING, WATCH): (3, FailingStatus(), "KEEP SWAP"),
    (HEDGE, Input.FAILING, RELAY): (3, CIRCLE, "CANCEL PASS"),
    (HEDGE, Input.OUTRUN, RELAY): (3, None, "DROP SWAP PASS"),
    (HEDGE, Input.HEDGE_FAILED, LINK): (3, BROKEN, "CANCEL"),
    (HEDGE, Input.HEDGE_FAILED, WATCH): (3, BROKEN, "CANCEL"),
    (HEDGE, Input.HEDGE_FAILING, LINK): (3, FailingStatus(), "KEEP_HEDGE"),
    (HEDGE, Input.HEDGE_FAILING, WATCH): (3, FailingStatus(), "KEEP_HEDGE"),
    (HEDGE, Input.REFUSED, DONE): (3, BAD, "CANCEL DROP ANSWER FINISH"),
    (HEDGE, Input.LOST, DONE): (3, GONE, "CANCEL DROP FINISH"),
    (RELAY, Input.ENDED, DONE): (3, None, "FINISH"),
    (RELAY, Input.FAILED, RESUME): (3, errors.Truncated(), "DROP CHOOSE"),
    (RELAY, Input.FAILED, DONE): (1, errors.Truncated(), "DROP CUT FINISH"),
    (RELAY, Input.REFUSED, DONE): (3, BAD, "DROP CUT FINISH"),
    (RELAY, Input.LOST, DONE): (3, GONE, "DROP FINISH"),
    (RESUME, Input.CHOSEN, RESUME): (3, SERVERS[1], "LINK"),
    (RESUME, Input.NO_SERVER, DONE): (3, errors.NoServer(), "DROP CUT FINISH"),
    (RESUME, Input.LINKED, RESUME): (3, False, "SEND"),
    (RESUME, Input.FAILED, RESUME): (3, BROKEN, "DROP CHOOSE"),
    (RESUME, Input.FAILED, DONE): (2, BROKEN, "DROP CUT FINISH"),
    (RESUME, Input.ANSWERED, RELAY): (3, None, ""),
    (RESUME, Input.REFUSED, DONE): (3, BAD, "DROP CUT FINISH"),
    (RESUME, Input.LOST, DONE): (3, GONE, "DROP FINISH"),
}


def test_no_way_out_of_any_row_is_forgotten_here() -> None:
    table = {
        (state, event, after) for (state, event), (_, following) in TRANSITIONS.items() for after in following
    }
    assert set(WAYS_OUT) == table


@pytest.mark.parametrize(
    ("state", "event", "after"),
    WAYS_OUT,
    ids=lambda part: part.name.lower(),
)
def test_the_row(state: State, event: Input, after: State) -> None:
    tries, subject, done = WAYS_OUT[state, event, after]
    transaction = new(tries=tries)
    transaction.resumable = True
    for step, with_what in WAY_IN[state]:
        if Action.SEND in transaction.receive(step, 1.0, with_what):
            transaction.attempt.wrote = True
    if after is WATCH and transaction.beside is not None:
        transaction.receive(Input.HEDGE_LINKED, 1.0, False)
        if not transaction.linked:
            transaction.receive(Input.LINKED, 1.0, False)
    assert transaction.state is state
    actions = transaction.receive(event, 2.0, subject)
    assert transaction.state is after
    assert " ".join(action.name for action in actions) == done


def test_every_state_but_the_last_can_end_and_the_last_is_final() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State) - {DONE}
    for state in WAY_IN:
        assert DONE in TRANSITIONS[state, Input.LOST][1]


# --- every life ---

#: Any error of a try, those included that a correct caller would never give in that state.
TRY_ERRORS: list[Callable[[str], AttemptError]] = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AttemptError) and kind is not AttemptError
]
CLIENT_ERRORS: list[Callable[[str], BrokerError]] = [
    errors.ClientGone,
    errors.ClientTimeout,
    errors.ShuttingDown,
    errors.InternalError,
]


class Life:
    """A transaction with a relay that does what it is told, and an account of it."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        replays = [Replay.REPLAYABLE, Replay.METHOD, Replay.STREAM, Replay.PINNED]
        self.replay = self.draw(st.sampled_from(replays), "replay")
        self.stream = self.draw(st.booleans(), "stream")
        self.tries = self.draw(st.integers(1, 4), "tries")
        self.transaction = new(self.replay, self.tries)
        # Only what had no content is resumed.
        self.resumable = self.replay is Replay.REPLAYABLE and self.draw(st.booleans(), "resumable")
        self.progress = 0
        self.now = self.began = self.transaction.began
        self.done: list[Action] = []
        self.undone = 0  # failing answers that proved that nothing was done
        self.received = b""
        self.on_the_link = b""  # in this try
        self.beside: Attempt | None = None  # the try that began beside another one
        self.sent = 0  # tries in which something was
        self.ends: dict[Attempt, float] = {}  # of tries, as they were when they were first ended

    def live(self) -> None:
        while self.transaction.state is not DONE:
            self.now += self.draw(st.floats(0, 10), "seconds")
            self.send_some()
            self.step()
            self.check_attempts()

    def send_some(self) -> None:
        body = b"" if self.resumable else self.draw(st.binary(max_size=40), "body")
        stored = self.transaction.stored
        self.received += body
        stored.append(body)
        if self.draw(st.integers(0, 9), "pressure") == 0 and stored.replay_size:
            stored.give_up(Replay.STORAGE_FULL)
        if self.transaction.state in (WATCH, RELAY):
            self.on_the_link += b"".join(stored.take())
            self.transaction.attempt.wrote |= bool(self.on_the_link)

    def step(self) -> None:
        state = self.transaction.state
        events = [event for at, event in TRANSITIONS if at is state]
        if self.transaction.attempts and Input.OWN in events:
            events.remove(Input.OWN)  # a protocol answers before a server is chosen
        if state is RESUME:  # one thing after the other there, too
            over = self.transaction.attempt.reason is not None
            linked = self.transaction.attempt.sent > 0.0
            if over:
                events = [Input.CHOSEN, Input.NO_SERVER, Input.LOST, Input.REFUSED]
            else:
                events.remove(Input.CHOSEN)
                events.remove(Input.NO_SERVER)
                events.remove(Input.LINKED if linked else Input.ANSWERED)
        if state is HEDGE:
            linked, beside_linked = self.transaction.linked, self.transaction.beside_linked
            cannot = {Input.LINKED} if linked else {Input.ANSWERED, Input.FAILING}
            cannot |= {Input.HEDGE_LINKED} if beside_linked else {Input.OUTRUN, Input.HEDGE_FAILING}
            events = [event for event in events if event not in cannot]
        if Input.HEDGED in events and (self.received or not self.transaction.may_hedge(self.now)):
            events.remove(Input.HEDGED)
        event = self.draw(st.sampled_from(events), "event")
        if event is Input.FAILED and state is RELAY:
            self.transaction.resumable = self.resumable
            self.transaction.attempt.passed = self.draw(st.sampled_from([0, PROGRESS]), "passed")
            self.progress += self.transaction.attempt.passed > 0
        self.transaction.kept = self.kept(state)
        actions = self.transaction.receive(event, self.now, self.subject(state, event))
        assert actions == TRANSITIONS[state, event][1][self.transaction.state]
        self.done += actions
        self.beside = self.transaction.beside or self.beside
        if Action.SEND in actions:
            if self.replay is not Replay.REPLAYABLE:
                self.transaction.stored.give_up(self.replay)
            self.on_the_link = b"".join(self.transaction.stored.take())
            assert self.on_the_link == self.received  # each try gets everything, from the first byte
            self.transaction.attempt.wrote = bool(self.on_the_link) or not self.stream
            self.sent += self.transaction.attempt.wrote
        if Action.SEND_HEDGE in actions:
            assert self.transaction.beside is not None
            self.transaction.beside.wrote = True
            self.sent += 1

    def kept(self, state: State) -> Kept | None:
        """The last failing answer, if it can be given."""
        failing = [one for one in self.transaction.attempts if one.outcome is Cause.STATUS and one.ended]
        if not failing or state not in (CHOOSE, LINK, WATCH, HEDGE) or not self.draw(st.booleans(), "kept"):
            return None
        return Kept(failing[-1].member)

    def subject(self, state: State, event: Input) -> object:
        if event in (Input.CHOSEN, Input.HEDGED):
            return self.draw(st.sampled_from(SERVERS), "server")
        if event in (Input.LINKED, Input.HEDGE_LINKED):
            return self.draw(st.booleans(), "reused")
        if event is Input.NO_SERVER:
            return errors.NoServer()
        if event in (Input.FAILED, Input.HEDGE_FAILED):
            kinds = [kind for kind in TRY_ERRORS if kind is not FailingStatus or state is RESUME]
            return self.draw(st.sampled_from(kinds), "error")("why")
        if event in (Input.FAILING, Input.HEDGE_FAILING):
            error = FailingStatus("why")
            error.nothing_done = self.draw(st.booleans(), "undone")
            error.final = self.draw(st.booleans(), "final")
            self.undone += error.nothing_done
            return error
        if event in (Input.REFUSED, Input.LOST):
            return self.draw(st.sampled_from(CLIENT_ERRORS), "error")("why")
        return None

    def check_attempts(self) -> None:
        """A try that is over does not change any more; one is under way, or two beside each other."""
        transaction = self.transaction
        for attempt in transaction.attempts:
            if attempt in self.ends:
                assert attempt.ended == self.ends[attempt]
            elif attempt.ended:
                self.ends[attempt] = attempt.ended
        going = [attempt for attempt in transaction.attempts if not attempt.ended]
        two = transaction.state is HEDGE
        assert len(going) == 2 if two else len(going) <= 1
        assert (transaction.beside in going) is two
        assert not going or transaction.attempt in going


@hypothesis_settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_life(data: st.DataObject) -> None:
    life = Life(data)
    life.now += 1.0  # so that no time of the clock is 0.0
    life.live()
    transaction, done = life.transaction, life.done
    attempts = transaction.attempts

    # The client sees one answer at most, and none only when it is gone.
    answers = [action for action in done if action in (Action.PASS, Action.ANSWER)]
    assert len(answers) <= 1
    if Action.CUT in done or Replay.RESUME in {attempt.reason for attempt in attempts}:
        assert answers == [Action.PASS]
    if not answers:
        assert done[-2:] == [Action.DROP, Action.FINISH] or (done == [Action.FINISH])
    assert done.count(Action.FINISH) == 1
    assert done[-1] is Action.FINISH

    # Each try that began ended, was linked at most once, and there were not too many.
    stale = sum(attempt.outcome is Cause.STALE for attempt in attempts)  # as many again do not count
    assert len(attempts) <= (life.tries + min(stale, life.tries)) * (1 + life.progress)
    hedges = done.count(Action.HEDGE)
    assert hedges <= 1
    assert done.count(Action.LINK) + hedges == len(attempts) >= done.count(Action.SEND)
    # The one beside another took its place, or was ended.
    others = (Action.SWAP, Action.CANCEL, Action.KEEP_HEDGE)
    assert sum(done.count(action) for action in others) == hedges
    outrun = [attempt for attempt in attempts if attempt.outcome is Cause.OUTRUN]
    assert not outrun or Action.PASS in done
    for attempt in attempts:
        assert attempt.outcome is not None
        assert attempt.began <= attempt.ended <= life.now
        assert attempt.reason is not None or attempt.outcome is Cause.OK
    for attempt, following in pairwise(attempts):
        if following is life.beside:
            assert following.began <= attempt.ended
            assert attempt.reason in list(Replay)[:5] or attempt is transaction.attempt
        else:
            assert attempt.ended <= following.began
            assert attempt.reason in list(Replay)[:5]

    # What must not be repeated was sent once, but for those who proved that they did nothing.
    if life.replay is not Replay.REPLAYABLE:
        assert life.sent <= 1 + life.undone
    if life.replay is Replay.PINNED:
        assert len(attempts) <= 1

    # Times add up, to the microseconds that the log shows.
    total = sum(transaction.timings().values())
    assert abs(total - (life.now - life.began) * 1000) < 0.005
    assert transaction.waited() <= life.now - life.began + 1e-9

    # It is well only when a server's answer went out whole.
    assert (transaction.end == "ok") is (transaction.error is None)
    if transaction.end == "ok":
        assert answers == [Action.PASS] or transaction.kept is not None or not attempts
        assert Action.CUT not in done
    note(f"{transaction.end}, {' '.join(action.name for action in done[-3:])}")
