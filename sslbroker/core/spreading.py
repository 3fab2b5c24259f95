"""How plain transactions that waited are spread over time, so that places do not all become free at once.

Decides when the next of them may begin. Servers that take about as long for each transaction keep a rhythm:
what began together ends together, and who needs a place in between waits for all of that time. Each halt of
anybody's makes more of them begin together, and nothing ever parts them again; so this does. Invariant:
those that wait begin at most `FASTER` times as often as all did lately, so nothing is lost that lasts; who
was late is made up for, as far as `SLACK`. Nothing is spread before it is known how often they begin, and
that is learnt only while somebody waits. Refuses to know who waits. Times are seconds of the clock that `now`
is of.
"""

from __future__ import annotations

#: How much more often than lately they may begin.
FASTER = 1.25

#: So many may begin together that should have begun before.
SLACK = 2.0

#: Beginnings that are enough to know how often there are some, and the weight of each one after that.
ENOUGH, WEIGHT = 16, 1 / 64


class Spreading:
    """The beginnings at the servers of one pool."""

    __slots__ = ("_due", "_known", "_last", "_usual")

    def __init__(self) -> None:
        self._known = -1  # beginnings in a row while somebody waited; the first tells nothing
        self._last = 0.0
        self._usual = 0.0  # seconds between two of them
        self._due = 0.0  # when the next one may begin

    def began(self, waits: bool, now: float) -> None:
        """A transaction begins; others wait, or nobody does."""
        if not waits:
            self._known = -1
            return
        self._known += 1
        if self._known:
            weight = 1.0 / self._known if self._known < ENOUGH else WEIGHT
            self._usual += (now - self._last - self._usual) * weight
        self._last = now
        gap = self._usual / FASTER
        self._due = max(self._due, now - SLACK * gap) + gap

    def wait(self, now: float) -> float:
        """Seconds until the next one may begin that waits; 0.0: now."""
        return max(0.0, self._due - now) if self._known >= ENOUGH else 0.0
