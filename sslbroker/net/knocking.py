"""Knocking at a server that takes no connections, until it does.

Decides when a server is barred as `unreachable`, and when that is over. Invariant: the bar tells a fact and
no judgement: it comes with a call that was refused or found no way, and goes with the first one that came to
anything else; while it stands a knock is due, unless a server with an unknown name, or one that the operator
has taken out, makes it pointless: then there is no such bar. Refuses to judge servers, and to make
connections: a knock is a link like any other, which is kept for the next transaction.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.jitter import jittered
from ..core.members import DOUBTS, UNREACHABLE, Member
from ..errors import AttemptError
from ..outcome import Cause

if TYPE_CHECKING:
    from .link import Link

#: Seconds to the first knock, for a server that is restarted is back soon; doubled each time, up to the next.
FIRST = 0.05
LONGEST = 1.0

#: The part of it by which each of these times is shortened or lengthened at random, at most.
JITTER = 0.1

#: Seconds of an outage after which a server begins anew with a slow start. In less nothing was forgotten that
#: others would have to make up for, and a server that is restarted each second would never have its share.
SHORT = 1.0

_TAKES_NONE = frozenset((Cause.REFUSED, Cause.UNREACHABLE))

_LET_IN = DOUBTS | {UNREACHABLE}

_log = Logger("sslbroker.health")


class ILinks(Protocol):
    """The links to the server, as far as this file needs to know them."""

    def connect(self) -> Deferred[Link]:
        """A new link; what comes of it is told to `Knocking.heard`, too."""

    def keep(self, link: Link) -> None:
        """Here is one that nobody uses."""


class Knocking:
    """The knocks at one server."""

    def __init__(
        self,
        pool: str,
        member: Member,
        links: ILinks,
        clock: Any,
        changed: Callable[[], None],
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`changed` is called when the bar is gone; `jitter` gives numbers from 0 to 1."""
        self._pool = pool
        self._member = member
        self._links = links
        self._clock = clock
        self._changed = changed
        self._jitter = jitter
        self._since = 0.0
        self._pause = FIRST
        self._next: IDelayedCall | None = None
        self._knock: Deferred[Link] | None = None
        self._stopped = False

    def heard(self, error: AttemptError | None) -> None:
        """A call of the server, no matter whose, came to this; None: to a link."""
        member = self._member
        if error is not None and error.cause is Cause.INTERNAL:
            return  # that is the broker's own failure, and shows nothing of the server
        if error is not None and error.cause in _TAKES_NONE:
            if UNREACHABLE in member.bars:
                member.bar(UNREACHABLE, error.detail)
            elif not self._stopped and self._worth_knocking():
                self._begin(error.detail)
        elif UNREACHABLE in member.bars:
            back = "can be reached again, after {seconds:g} s"
            self._end(back if error is None else f"{back}, though not used: {{why}}", why=error)

    def stop(self) -> None:
        """No knock is due any more."""
        self._stopped = True
        self._rest()

    def _worth_knocking(self) -> bool:
        """Would the member be tried, if it took links?"""
        return self._member.bars.keys() <= _LET_IN

    def _begin(self, detail: str) -> None:
        member = self._member
        self._since = self._clock.seconds()
        self._pause = FIRST
        member.bar(UNREACHABLE, detail)
        member.figures.unreachable = 1
        member.figures.outages += 1
        _log.warn("pool {pool}: server {server} is unreachable: {detail}", detail=detail, **self._told)
        self._wait()

    def _end(self, line: str, **values: object) -> None:
        self._rest()
        now, member = self._clock.seconds(), self._member
        seconds = now - self._since
        member.unbar(UNREACHABLE, now, slowly=seconds >= SHORT)
        member.figures.unreachable = 0
        _log.info("pool {pool}: server {server} " + line, seconds=round(seconds, 3), **values, **self._told)
        self._changed()

    @property
    def _told(self) -> dict[str, str]:
        return {"pool": self._pool, "server": self._member.address}

    def _rest(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._knock is not None:
            knock, self._knock = self._knock, None
            knock.cancel()

    def _wait(self) -> None:
        pause = jittered(self._pause, JITTER, self._jitter())
        self._pause = min(2.0 * self._pause, LONGEST)
        self._next = self._clock.callLater(pause, self._tick)

    def _tick(self) -> None:
        self._next = None
        member = self._member
        if not self._worth_knocking():
            others = ", ".join(bar for bar in member.bars if bar != UNREACHABLE)
            self._end("is no longer knocked at: {others}", others=others)
        elif member.figures.links >= member.most_links:
            self._wait()  # for those that it has, of before, to end
        else:
            self._knock = knock = self._links.connect()
            knock.addCallbacks(self._made, self._not_made)

    def _made(self, link: Link) -> None:
        self._knock = None
        self._links.keep(link)

    def _not_made(self, failure: Failure) -> None:
        """`heard` knows what that means for the bar, if it means anything."""
        self._knock = None
        if not failure.check(CancelledError) and UNREACHABLE in self._member.bars:
            self._wait()
