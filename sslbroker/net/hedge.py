"""A second try beside one that takes long: the first good answer of the two is the client's (R17).

Decides when a try has taken longer than the group of its client is promised. Invariant: there is one second
try for a transaction at most, of a request that is here, whole, without content, and may be repeated; it goes
to an open server that the transaction has not used, never waits for a place, and takes a token of the retry
budget. Until it is decided which of the two goes on, its link is this object's and not the relay's; then it
is the relay's, as if it had always been that, or ended. Refuses to judge answers, and to take clients from a
server that they are stuck to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ..core.attempt import Attempt
from ..core.members import Member
from ..core.promises import OWN_SHARE
from ..core.states import Input
from ..errors import AttemptError
from ..interfaces import End, Event, Head, Upgraded
from . import tries

if TYPE_CHECKING:
    from .link import Link
    from .relay import Relay
    from .way import Way

_HEDGED, _HEDGE_LINKED = Input.HEDGED, Input.HEDGE_LINKED
_HEDGE_FAILED, _HEDGE_FAILING = Input.HEDGE_FAILED, Input.HEDGE_FAILING

#: Seconds after a halt of the broker's own, in which it reads what has come meanwhile.
AFTER_LAG = 0.001


class Hedge:
    """Made by a `Relay` for a transaction that may have one; the user of its link while it is undecided."""

    __slots__ = (
        "_answer",
        "_attempt",
        "_due",
        "_exchange",
        "_link",
        "_relay",
        "_threshold",
        "_timer",
        "_way",
    )

    tunnel = False
    waits_for_server = True

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._threshold = 0.0
        self._due = 0.0
        self._timer: IDelayedCall | None = None
        self._attempt: Attempt | None = None  # the second try, while it is undecided
        self._way: Way | None = None
        self._link: Link | None = None
        self._exchange = 0
        self._answer: Any = None  # the message of a failing one

    # --- from the relay ---

    def watch(self) -> None:
        """A try has begun."""
        relay = self._relay
        if relay.transaction.hedged:
            return
        pool = relay.pool
        self._threshold = seconds = pool.thresholds.of(relay.origin.group)
        self._call_in(seconds)

    def begin(self, attempt: Attempt) -> None:
        """This is the second try: get a link for it."""
        relay = self._relay
        self._attempt = attempt
        relay.pool.figures.hedges += 1
        tries.begins(relay, attempt)
        self._way = relay.way.beside(self)
        self._way.link(attempt)

    def send(self) -> None:
        """The request goes to the second server."""
        relay, attempt, link, exchange = self._relay, self._attempt, self._link, self._exchange
        assert attempt is not None
        assert link is not None
        codec = link.codec
        head = relay.pool.rules.to_server(relay.request, relay.origin, attempt.member.address, link.secure)
        data = codec.send(Head(exchange, head)) + codec.send(End(exchange, relay.upload.trailers))
        attempt.wrote = True
        link.write(data)
        link.progress()

    def won(self) -> tuple[Attempt, Way | None, Link | None, int]:
        """It is the relay's from now on: the way to its link, or that link and the exchange on it."""
        attempt, way, link, exchange = self._attempt, self._way, self._link, self._exchange
        assert attempt is not None
        self._attempt = self._way = self._link = None
        self._relay.pool.figures.hedges_won += 1
        if link is not None:
            assert way is not None
            way.close()
            way = None
        return attempt, way, link, exchange

    def yields(self) -> tuple[Member, Any, Link, int]:
        """It is over, but its failing answer is read on: whose and what it is, and where."""
        attempt, link = self._attempt, self._link
        assert attempt is not None
        assert link is not None
        self._link = None
        self.cancel()
        return attempt.member, self._answer, link, self._exchange

    def cancel(self) -> None:
        """It is over, and its link with it. Again: nothing happens."""
        attempt, way, link = self._attempt, self._way, self._link
        self._attempt = self._way = self._link = None
        if link is not None:
            link.drop()
        if way is not None:
            way.give_up()
            way.close()
        if attempt is not None:
            tries.is_over(self._relay, attempt)

    def close(self) -> None:
        """There is none any more, and nothing is left in the reactor."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.cancel()

    # --- from its way to a link ---

    def linked(self, link: Link) -> None:
        """A link to the second server is ready."""
        self._link = link
        self._exchange = link.begin(self)
        self._relay.step(_HEDGE_LINKED, link.reused)

    def not_linked(self, error: AttemptError) -> None:
        """It has no link, and gets none."""
        self._relay.step(_HEDGE_FAILED, error)
        self._relay.flush()

    # --- from its link ---

    @property
    def answer_time(self) -> float:
        return self._relay.answer_time

    @property
    def upload(self) -> Hedge:
        return self

    def link_full(self) -> None:
        """The request is in the socket, whole, or never will be: there is nobody to hold."""

    def link_ready(self) -> None: ...

    def link_event(self, link: Link, event: Event) -> None:
        """The relay hears what follows the head. What comes before a final head is no answer."""
        if link is not self._link:
            self._relay.link_event(link, event)
        elif isinstance(event, (Head, Upgraded)):
            self._judge(link, event.message, type(event) is Upgraded)

    def link_failed(self, link: Link, error: AttemptError) -> None:
        if link is not self._link:
            self._relay.link_failed(link, error)
        else:
            self.not_linked(error)

    def flush(self) -> None:
        self._relay.flush()

    def mistake(self, failure: Failure | None = None) -> None:
        """A plugin has raised something about this try: as about any other."""
        self._relay.mistake(failure)

    # --- small things ---

    def _judge(self, link: Link, message: Any, upgraded: bool) -> None:
        relay, attempt = self._relay, self._attempt
        assert attempt is not None
        error = tries.judged(relay, attempt, link, message, upgraded)
        if error is None:
            relay.outrun(message, upgraded)
        else:
            self._answer = message
            relay.step(_HEDGE_FAILING, error)

    def _call_in(self, seconds: float) -> None:
        clock = self._relay.pool.clock
        self._due = clock.seconds() + seconds
        if self._timer is None:
            self._timer = clock.callLater(seconds, self._overdue)
        else:
            self._timer.reset(seconds)

    def _overdue(self) -> None:
        """The try has taken longer than the threshold; or the broker has."""
        self._timer = None
        relay, threshold = self._relay, self._threshold
        pool, own = relay.pool, threshold * OWN_SHARE
        now = pool.now()
        if now - self._due > own:
            self._call_in(AFTER_LAG)
            return
        if pool.busy(now - threshold, now) > own:
            self._call_in(threshold)
            return
        try:
            self._try_beside()
            relay.flush()
        except Exception:
            relay.mistake()

    def _try_beside(self) -> None:
        relay = self._relay
        transaction, pool, upload = relay.transaction, relay.pool, relay.upload
        if not transaction.watched or not upload.ended or upload.bytes_in:
            return
        if transaction.attempt.member.key == relay.way.stuck:
            return  # another server may not know this client
        member = pool.choose_beside(transaction.attempts, relay.request, relay.origin)
        if member is not None and transaction.may_hedge(pool.now()):
            relay.step(_HEDGED, member)
