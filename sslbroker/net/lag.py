"""The broker's own lag: how long the event loop was busy with something else when something was to be done.

Decides what is blamed on the broker, and so on no server: for as long as one turn of the loop takes, an
answer that has come is not read, and a timer that is due is not called. Invariant: memory is bounded, and no
delayed call is left after `stop`. Refuses to know thresholds.

With the reactor of `sockets` each turn is timed, from the end of a wait to the begin of the next, so what a
plugin, a timer, a garbage collection or the scheduler took of it is seen. A process that should have been
woken and was not, because the processor was with others, is seen by a wait that ended late; a timer sees to
it that none is longer than `TICK`. With another reactor that timer is all there is: how late it is called.

Not seen: turns up to `SHORT`; with another reactor those shorter than `TICK`, unless by chance. What becomes
ready in one turn is served in the next, so it can wait for most of two, twice of what is told. Of the time
that a process was not woken, up to `TICK` is missing. Where the reactor's clock is put forward, both a
transaction and the lag seem long.
"""

from __future__ import annotations

from bisect import bisect_right
from math import exp, inf
from typing import Any

from twisted.internet.interfaces import IDelayedCall

#: Seconds between the calls of the timer.
TICK = 0.02

#: Seconds of a turn that is no lag.
SHORT = 0.001

#: Seconds that the mean looks back: what was so long ago counts with 1/e.
MEMORY = 1.0

#: Turns that are remembered: each longer than all that came after it, so it takes a strange series to have
#: more, of which the oldest are forgotten.
MOST = 256


class Lag:
    """The lag of the loop of `reactor`. All times are seconds of its clock."""

    __slots__ = ("_at", "_call", "_due", "_ends", "_lengths", "_mean", "_now", "_reactor", "_tells")

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._now = reactor.seconds
        self._tells = False  # the reactor does, of each turn
        self._call: IDelayedCall | None = None
        self._due = inf  # when the timer is to be called
        # The turns that no later one exceeded: when each ended, and how long it was.
        self._ends: list[float] = []
        self._lengths: list[float] = []
        self._mean = 0.0  # at
        self._at = 0.0

    def start(self) -> None:
        watch_turns = getattr(self._reactor, "watch_turns", None)
        if watch_turns is not None:
            self._tells = True
            watch_turns(self._took)
        self._set()

    def stop(self) -> None:
        """Nothing is measured any more."""
        if self._tells:
            self._tells = False
            self._reactor.unwatch_turns(self._took)
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._due = inf

    def worst(self, since: float, now: float) -> float:
        """Seconds of the longest turn that ended after `since`; the one under way counts up to `now`."""
        first = bisect_right(self._ends, since)
        longest = self._lengths[first] if first < len(self._lengths) else 0.0
        return max(longest, now - self._busy_since())

    def mean(self, now: float) -> float:
        """Seconds of the turn that a moment of the last second fell into, on average; 0 where it waited."""
        since = self._busy_since()
        if now - since > SHORT:
            return self._mean_with(since, now)
        return self._mean * exp(min(0.0, self._at - now) / MEMORY)

    def _busy_since(self) -> float:
        since: float = self._reactor.turn_began if self._tells else self._due
        return since

    def _set(self) -> None:
        self._due = self._now() + TICK
        self._call = self._reactor.callLater(TICK, self._tick)

    def _tick(self) -> None:
        if not self._tells:
            now = self._now()
            if now - self._due > SHORT:
                self._took(self._due, now)
        self._set()

    def _took(self, began: float, ended: float) -> None:
        """A turn was longer than `SHORT`."""
        self._mean = self._mean_with(began, ended)
        self._at = ended
        ends, lengths, length = self._ends, self._lengths, ended - began
        if ends and ended < ends[-1]:  # the clock was put back
            ends.clear()
            lengths.clear()
        while lengths and lengths[-1] <= length:
            lengths.pop()
            ends.pop()
        if len(ends) == MOST:
            del ends[0], lengths[0]
        lengths.append(length)
        ends.append(ended)

    def _mean_with(self, began: float, ended: float) -> float:
        length = ended - began
        before = self._mean * exp(min(0.0, self._at - began) / MEMORY)
        return length + (before - length) * exp(-length / MEMORY)
