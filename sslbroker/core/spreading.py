"""How plain transactions that waited are spread over time, so that places do not all become free at once.

Decides when the next of them may begin. Servers that take about as long for each transaction keep a rhythm:
what began together ends together, and who needs a place in between waits for all of that time. Each halt of
anybody's makes more of them begin together, and nothing ever parts them again; so this does. Invariant:
those that wait begin at most `FASTER` times as often as all did lately, so nothing is lost that lasts; who
was late is made up for, as far as `SLACK`. Nothing is spread before it is known how often they begin, and
that is learnt only while somebody waits; a halt, in which nobody can begin, tells little of it. Refuses to
know who waits. Times are seconds of the clock that `now` is of.
"""

from __future__ import annotations

#: How much more often than lately they may begin.
FASTER = 1.25

#: So many may begin together that should have begun before.
SLACK = 2.0

#: Beginnings that are enough to know how often there are some, and the weight of each one after that.
ENOUGH, WEIGHT = 16, 1 / 64

#: What took so many times as long as usual, and longer than these seconds, was a halt: it counts as no more.
HALT, SHORTEST = 8.0, 0.01

#: A halt of so many seconds, before it is known what is usual: it is learnt anew.
LONG = 1.0

#: Those that wait make up for no more than so many that began before it was their turn.
AHEAD = 16.0


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
        passed = now - self._last
        self._last = now
        if self._known >= ENOUGH:
            self._usual += (min(passed, max(HALT * self._usual, SHORTEST)) - self._usual) * WEIGHT
        elif self._known < 0 or passed > LONG:
            self._known = 0
        else:
            self._known += 1
            self._usual += (passed - self._usual) / self._known
        gap = self._usual / FASTER
        self._due = min(max(self._due, now - SLACK * gap) + gap, now + AHEAD * gap)

    def wait(self, now: float) -> float:
        """Seconds until the next one may begin that waits; 0.0: now."""
        return max(0.0, self._due - now) if self._known >= ENOUGH else 0.0
