"""Who of a pool waits: for a place at a server, for one that can be reached, or for a slow balancer.

Decides when somebody waits, and for how long. Invariant: a transaction waits for a place only while every
server that it may go to is at its limit or none can be reached, and a plain one also while none has room for
it beside secure ones (`core.promises`), or others have just begun (`core.spreading`); of those whom a place
suits, whose turn it is gets it (`core.queue`); nobody waits longer than `queue_timeout` of its group, or
`queue.timeout` of the pool; where the queue is full, who matters most is in it. A mistake of a balancer is
told to the one that it was asked for. Refuses to know by which law a server is chosen, and whose turn it is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from txaio.tx import as_future

from ..core.choosing import Choosing
from ..core.figures import PoolFigures
from ..core.members import Member
from ..core.promises import Promises
from ..core.queue import PoolQueue, Queued
from ..core.spreading import Spreading
from ..errors import HeldBack, NoServer, QueueFull, QueueTimeout
from ..interfaces import Origin
from ..settings import Pacing, Queue

_USUAL = Pacing()


class Waiter(Queued):
    """A transaction that waits for a place, or until a balancer that takes its time has chosen."""

    __slots__ = ("deferred", "key", "origin", "seconds", "stuck", "thinking", "timer", "used")

    deferred: Deferred[Member]
    timer: IDelayedCall

    def __init__(
        self, used: Sequence[Member], stuck: str, origin: Origin, key: bytes, seconds: float, held: bool
    ) -> None:
        group = origin.group
        # Plain ones need more room than secure ones, and those of a group stay away from some servers.
        sort = group.name if origin.secure and group is not None else origin.secure
        super().__init__(1 if group is None else group.priority, (held, sort, stuck, *used), held)
        self.used = used
        self.stuck = stuck
        self.origin = origin
        self.key = key
        self.seconds = seconds  # that it may wait
        self.thinking: Deferred[Any] | None = None  # what the balancer is doing for it


class Places:
    """The places at the servers of one pool."""

    def __init__(
        self,
        members: Sequence[Member],
        choosing: Choosing,
        queue: Queue,
        figures: PoolFigures,
        clock: Any,
        promises: Promises | None = None,
        pacing: Pacing = _USUAL,
    ) -> None:
        """With `promises` plain transactions give way to secure ones, by the rules of `pacing`."""
        self._members = members
        self._choosing = choosing
        self._settings = queue
        self._pacing = pacing
        self._promises = promises
        self._spreading = Spreading()
        self._woken: IDelayedCall | None = None  # when time alone may give somebody a place
        self._figures = figures
        self._clock = clock
        #: Called when a place may have become free, before who waits is served.
        self.settle: Callable[[], None] | None = None
        self._keys = {member.key for member in members}
        self._queue: PoolQueue[Waiter] = PoolQueue(figures)
        self._asked: Waiter | None = None  # the one of them that a balancer thinks about
        self._serving = self._again = False

    def choose(
        self,
        used: Sequence[Member],
        origin: Origin,
        key: bytes,
        stuck: str,
        until: float | None = None,
    ) -> Member | Deferred[Member]:
        """The member for a try, or a Deferred of it.

        Raises `NoServer`, of which `QueueFull` is one, or the Deferred fails with it, at the latest after
        `patience` seconds, and at the time `until` of the clock; it may be cancelled.
        """
        now = self._clock.seconds()
        promises = self._promises
        counted = promises if not (origin.secure or used) else None
        if counted is not None:
            counted.arrived(now)
        behind = self._serving  # it would get ahead of those who wait
        if promises is not None and not origin.secure and self._queue and not behind:
            self.freed()  # time alone may have made room, which is for those who have waited for it
            behind = len(self._queue) > 0 and self._must_wait(origin, now)
        chosen: Any = None
        if not behind:
            # The others have got the places that suit them, so a place that is free suits none of them.
            chosen = self._choosing.choose(used, origin, key, stuck, now)
            if type(chosen) is Member:
                if counted is not None:
                    counted.placed(now)
                if self._queue:
                    self._spreading.began(True, now)
                return chosen
        seconds = self.patience(origin)
        if until is not None:
            seconds = max(0.0, min(seconds, until - now))
        queued = behind or (chosen is None and self._choosing.waits)
        held = queued and promises is not None and not origin.secure and promises.holding(now)
        if held:
            seconds = min(seconds, self._pacing.timeout)
        waiter = Waiter(used, stuck if stuck in self._keys else "", origin, key, seconds, held)
        if queued and not self._has_room(waiter):
            raise self._full(waiter)
        waiter.deferred = Deferred(lambda _: self._over(waiter))
        waiter.timer = self._clock.callLater(seconds, self._timed_out, waiter)
        if queued:
            self._again = self._serving  # its turn comes, also when others are just being served
            self._enter(waiter, now)
        else:
            self._think(waiter, chosen)
        return waiter.deferred

    @property
    def held(self) -> int:
        """Plain transactions that wait for the sake of secure ones."""
        return self._queue.held

    def patience(self, origin: Origin) -> float:
        """For how many seconds a transaction of this client may wait."""
        group = origin.group
        own = None if group is None else group.queue_timeout
        return self._settings.timeout if own is None else own

    def freed(self) -> None:
        """A place may have become free, or nobody may be open any more: serve who waits."""
        if self.settle is not None:
            self.settle()
        if self._serving:
            self._again = True  # not by recursion: who is served may fail at once, and free the place again
        elif self._queue:
            self._serving = True
            try:
                self._serve()
            finally:
                self._serving = False

    def _serve(self) -> None:
        """Those whom a place suits get it, in turn, while there are places."""
        hopeless: set[Hashable] = set()
        self._again = False
        while self._worth_asking():
            now = self._clock.seconds()
            for waiter in self._queue.turns(hopeless, now):
                if not self._must_wait(waiter.origin, now):
                    self._serve_one(waiter, now)
                if self._again or not waiter.number:
                    break  # somebody else's turn may have come
                hopeless.add(waiter.kind)
                self._remind(waiter, now)
            else:
                return
            if self._again:
                self._again = False
                hopeless.clear()

    def _must_wait(self, origin: Origin, now: float) -> bool:
        """Plain ones begin one after the other while there are secure ones: then it is asked again."""
        promises = self._promises
        if promises is None or origin.secure or not (self._choosing.limited and promises.pacing(now)):
            return False
        seconds = self._spreading.wait(now)
        if seconds <= 0.0:
            return False
        self._wake_in(seconds)
        return True

    def _remind(self, waiter: Waiter, now: float) -> None:
        """Time alone may give it a place: when it has waited for so long that any server will do."""
        if self._promises is not None and waiter.origin.secure and waiter.came is not None:
            until = self._promises.choosy_until(waiter.origin, waiter.came)
            if until > now:
                self._wake_in(until - now)

    def _wake_in(self, seconds: float) -> None:
        """Whoever waits is asked for then, or before."""
        woken = self._woken
        if woken is None:
            self._woken = self._clock.callLater(seconds, self._wake)
        elif woken.getTime() > self._clock.seconds() + seconds:
            woken.reset(seconds)

    def _wake(self) -> None:
        self._woken = None
        self.freed()

    def stop(self) -> None:
        """Nobody is woken any more."""
        if self._woken is not None:
            self._woken.cancel()
            self._woken = None

    def _worth_asking(self) -> bool:
        """First it must be known which place is taken, where a balancer thinks about one."""
        return self._asked is None and self._choosing.worth_asking()

    def _serve_one(self, waiter: Waiter, now: float) -> None:
        """It is told its member, or why there is none; or it waits on."""
        try:
            chosen: Any = self._choosing.choose(
                waiter.used, waiter.origin, waiter.key, waiter.stuck, now, waiter.came
            )
        except Exception as error:  # it is the waiter's, and nobody else's
            self._fail(waiter, error)
            return
        if type(chosen) is Member:
            self._served(waiter, chosen, now)
        elif chosen is not None:
            self._queue.remove(waiter)
            self._asked = waiter
            self._think(waiter, chosen)

    def _has_room(self, waiter: Waiter) -> bool:
        return not self._is_full(waiter) or self._last_below(waiter) is not None

    def _is_full(self, waiter: Waiter) -> bool:
        """Those who are held come after all who wait; others do not wait for those who are held."""
        queue = self._queue
        if waiter.held:
            return len(queue) >= self._pacing.queue
        return len(queue) - queue.held >= self._settings.length

    def _last_below(self, waiter: Waiter) -> Waiter | None:
        return self._queue.last_below(waiter.priority, waiter.held)

    def _enter(self, waiter: Waiter, now: float) -> None:
        """It waits in the queue; where that is full, in place of who came last of the lowest priority."""
        if waiter.held:
            self._figures.held_back += 1
        last = self._last_below(waiter) if self._is_full(waiter) else None
        if last is not None:
            self._over(last)
        self._queue.push(waiter, now)
        self._remind(waiter, now)
        if last is not None:  # told at the end: it may do anything, at once
            last.deferred.errback(self._full(last))

    def _full(self, waiter: Waiter) -> NoServer:
        if waiter.held:
            return self._shed(f"{self._pacing.queue} plain transactions wait")
        if self._choosing.outage:
            what = "no server can be reached"
        else:
            what = "the pool is at its limit" if self._choosing.full else "every server is at its limit"
        return QueueFull(f"{what}, and {self._settings.length} transactions wait")

    def _shed(self, why: str) -> HeldBack:
        self._figures.shed += 1
        return HeldBack(f"no server has room for plain traffic beside secure transactions, and {why}")

    def _timed_out(self, waiter: Waiter) -> None:
        within, why = f"within {waiter.seconds:g} s", ""
        if waiter.held:
            self._fail(waiter, self._shed(f"none had {within}"))
            return
        if waiter.thinking is not None:
            what = "no choice by the balancer"
        elif self._choosing.outage:
            what, why = "no server could be reached", f": {self._choosing.why_none()}"
        else:
            what = "no place in the pool" if self._choosing.full else "no place at any server"
        self._fail(waiter, QueueTimeout(f"{what} {within}{why}"))

    def _served(self, waiter: Waiter, member: Member, now: float) -> None:
        self._queue.served(waiter, now)
        if self._promises is not None and not (waiter.origin.secure or waiter.used):
            self._promises.placed(now)
        self._spreading.began(len(self._queue) > 0, now)
        self._over(waiter)
        waiter.deferred.callback(member)

    def _fail(self, waiter: Waiter, error: Exception | Failure) -> None:
        self._over(waiter)
        waiter.deferred.errback(error)

    def _over(self, waiter: Waiter) -> None:
        """It waits no longer, whatever the reason."""
        self._queue.remove(waiter)
        if waiter.timer.active():
            waiter.timer.cancel()
        thinking = waiter.thinking
        if thinking is not None:
            self._thought(waiter)
            thinking.cancel()
            self._serve_others()

    # --- those for whom a balancer that is not ours takes its time ---

    def _think(self, waiter: Waiter, choice: Any) -> None:
        """`choice` is a Deferred or a coroutine of a member, or a mistake."""
        waiter.thinking = thinking = as_future(lambda: choice)  # type: ignore[no-untyped-call]
        thinking.addCallbacks(self._decided, self._undecided, (waiter,), None, (waiter,))

    def _decided(self, member: Any, waiter: Waiter) -> None:
        if waiter.thinking is None:
            return  # it had been told to stop
        self._thought(waiter)
        if type(member) is not Member or member not in self._members:
            expected = "expected one of the members that it was given"
            self._fail(waiter, TypeError(f"the balancer chose {member!r}, {expected}"))
        elif self._choosing.takes(member):
            self._served(waiter, member, self._clock.seconds())
        elif self._has_room(waiter):
            self._enter(waiter, self._clock.seconds())  # somebody was faster
        else:
            self._fail(waiter, self._full(waiter))
        self._serve_others()

    def _undecided(self, failure: Failure, waiter: Waiter) -> None:
        if waiter.thinking is not None:
            self._thought(waiter)
            self._fail(waiter, failure)
            self._serve_others()

    def _thought(self, waiter: Waiter) -> None:
        waiter.thinking = None
        if self._asked is waiter:
            self._asked = None

    def _serve_others(self) -> None:
        """They may have had to wait until this one was decided."""
        if not self._serving:
            self.freed()
