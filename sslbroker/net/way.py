"""A transaction's way to a server: the member for its next try, and a link to that.

Decides nothing: the pool chooses, and its links give one that is idle or make a new one. Invariant: at most
one of the two is waited for, and who gives up waits for neither. Requests that must not be repeated get a
fresh link, so that a stale one never costs a transaction (R8), as does who has come upon a stale one at the
same server before; one that is pinned gets its own.
Refuses to know what is sent, and what comes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from ..core.attempt import Attempt
from ..core.members import Member
from ..core.states import Input
from ..errors import AttemptError, NoServer
from ..outcome import Cause, Replay

if TYPE_CHECKING:
    from .hedge import Hedge
    from .link import Link
    from .relay import Relay

# Bind once: a lookup in an Enum class costs more than the test it is made for.
_REPLAYABLE, _PINNED, _STALE = Replay.REPLAYABLE, Replay.PINNED, Cause.STALE
_CHOSEN, _NO_SERVER = Input.CHOSEN, Input.NO_SERVER


class Way:
    """Made by a `Relay`, which asks it for each try, and is told what comes of it; or, for a try beside
    another one, a `Hedge` is."""

    __slots__ = ("_relay", "_until", "_waiting", "stuck", "told")

    def __init__(self, relay: Relay) -> None:
        pool = relay.pool
        self._relay = relay
        self.told: Relay | Hedge = relay
        self._waiting: Deferred[Any] | None = None
        self._until: float | None = None  # the end of waiting for a server that can be reached
        #: The key of the server that the client came back with; "": none.
        self.stuck = pool.stickiness.stuck(relay.request) if pool.stickiness is not None else ""

    def beside(self, hedge: Hedge) -> Way:
        """Another one of the same transaction, for a try beside this one's."""
        way = Way.__new__(Way)
        way._relay, way.told, way._waiting = self._relay, hedge, None
        way._until, way.stuck = self._until, self.stuck
        return way

    def choose(self) -> None:
        """The member for the next try."""
        relay = self._relay
        pinned = relay.connection.pinned
        if pinned is not None:
            relay.step(_CHOSEN, pinned.links.member)
            return
        pool, used = relay.pool, relay.transaction.attempts_that_count
        if self._until is None and pool.outage():
            self._until = pool.now() + pool.patience(relay.origin)
        try:
            chosen = pool.choose(used, relay.request, relay.origin, self.stuck, self._until)
        except NoServer as error:
            relay.step(_NO_SERVER, error.with_traceback(None))  # that would keep us, in a circle
            return
        self.take(chosen)

    def take(self, chosen: Member | Deferred[Member]) -> None:
        """This was chosen, or will be."""
        relay = self._relay
        if isinstance(chosen, Member):
            relay.step(_CHOSEN, chosen)
        else:
            self._waiting = chosen
            chosen.addCallbacks(self._chosen, self._not_chosen)
            chosen.addErrback(relay.mistake)

    def link(self, attempt: Attempt) -> None:
        """A link to the member of this try."""
        relay = self._relay
        pool = relay.pool
        links = pool.links[attempt.member]
        replay = relay.transaction.replay
        link: Link | None
        if replay is _PINNED:
            link, relay.connection.pinned = relay.connection.pinned, None
        elif self._found_stale(attempt.member):
            link = None
        elif replay is _REPLAYABLE or pool.settings.failover.reuse_for_unsafe:
            link = links.take()
        else:
            link = None
        if link is not None:
            self.told.linked(link)
        else:
            links.make_room()
            self._waiting = connecting = links.connect()
            connecting.addCallbacks(self._connected, self._not_linked)
            connecting.addErrback(relay.mistake)

    def _found_stale(self, member: Member) -> bool:
        """A try before came upon a stale link to the same server. Those that were idle beside it may be as
        stale, and each would cost a try; a call shows at once whether the server is there."""
        attempts = self._relay.transaction.attempts
        return len(attempts) > 1 and any(
            attempt.outcome is _STALE and attempt.member is member for attempt in attempts
        )

    def give_up(self) -> None:
        """Nothing is waited for any more."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()

    def close(self) -> None:
        """The transaction is over. Nothing refers in a circle, so all that it had is freed at once."""
        del self._relay, self.told

    def _chosen(self, member: Member) -> None:
        self._waiting = None
        relay = self._relay
        relay.step(_CHOSEN, member)
        relay.flush()

    def _not_chosen(self, failure: Failure) -> None:
        self._waiting = None
        if isinstance(failure.value, NoServer):
            relay = self._relay
            relay.step(_NO_SERVER, failure.value)
            relay.flush()
        elif not isinstance(failure.value, CancelledError):
            self._relay.mistake(failure)

    def _connected(self, link: Link) -> None:
        self._waiting = None
        told = self.told
        told.linked(link)
        told.flush()

    def _not_linked(self, failure: Failure) -> None:
        self._waiting = None
        if not isinstance(failure.value, CancelledError):
            assert isinstance(failure.value, AttemptError)
            self.told.not_linked(failure.value)
