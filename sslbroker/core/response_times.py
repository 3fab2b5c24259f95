"""The response times that one server gave one group lately: their mean, their quantiles, their number.

Decides what "lately" is: the mean forgets by the time that passes (what was known `memory` ago keeps 37 %,
1/e, of its weight, as in `members`); quantiles and number are of a window that slides on by a tenth of it,
so of its last nine to ten tenths. Invariant: the space is the same however many times there are, nothing is
made for one, and a quantile is within 5 % of the exact one between `SHORTEST` and `LONGEST` (`RATIO`). Who
was quiet for a whole window has no mean and no quantile, and is known anew. Refuses to know clocks, and
what is measured.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from math import ceil, exp, inf, log, sqrt

#: Seconds: what is shorter is taken for the first, what is longer for the second.
SHORTEST, LONGEST = 0.0001, 100.0

#: Of the bounds of a bucket. What is told is the middle between them, which is off by 5 % at most.
RATIO = 1.1

#: Parts of the window.
SLICES = 10

#: Upper bounds of the buckets; a last one takes what is longer.
_BOUNDS = tuple(SHORTEST * RATIO**step for step in range(ceil(log(LONGEST / SHORTEST, RATIO)) + 1))
_TOLD = (SHORTEST, *(bound / sqrt(RATIO) for bound in _BOUNDS[1:]), LONGEST)
_NOTHING = array("I", bytes(4 * len(_TOLD)))


class ResponseTimes:
    """Seconds; `now` is of a clock that goes forward, and one that is a little late counts as now."""

    __slots__ = (
        "_count",
        "_doubt",
        "_last",
        "_mean",
        "_memory",
        "_slice",
        "_slices",
        "_step",
        "_total",
        "_turns",
        "_until",
    )

    def __init__(self, memory: float = 10.0, window: float = 10.0) -> None:
        self._memory = memory
        self._step = window / SLICES
        self._slices = [_NOTHING[:] for _ in range(SLICES)]
        self._total = _NOTHING[:]  # of all slices
        self._slice = self._slices[0]  # that times are added to
        self._turns = 0
        self._until = -inf  # the end of this slice; none has begun
        self._count = 0
        self._mean = 0.0
        self._doubt = 1.0  # the variance of the mean, in those of one time
        self._last = 0.0  # when the last one came

    def add(self, seconds: float, now: float) -> None:
        """One more."""
        if now >= self._until:
            self._turn(now)
        bucket = bisect_left(_BOUNDS, seconds)
        self._slice[bucket] += 1
        self._total[bucket] += 1
        count = self._count
        self._count = count + 1
        if not count:
            self._mean, self._doubt, self._last = seconds, 1.0, now
            return
        # No less than in an even mean: the first few, or one after a silence, are not believed for long.
        doubt, age = self._doubt, now - self._last
        share = doubt / (1.0 + doubt)
        if age > 0.0:
            self._last = now
            forgotten = 1.0 - exp(-age / self._memory)
            if forgotten > share:
                share = forgotten
        rest = 1.0 - share
        self._doubt = rest * rest * doubt + share * share
        self._mean += (seconds - self._mean) * share

    def count(self, now: float) -> int:
        """How many there were in the window."""
        if now >= self._until:
            self._turn(now)
        return self._count

    def mean(self, now: float) -> float | None:
        """The mean of all, an older one counting less; None when there was none in the window."""
        return self._mean if self.count(now) else None

    def quantile(self, share: float, now: float) -> float | None:
        """At least this share (0 to 1) of the window's times was that short; None when there was none."""
        several = self.quantiles((share,), now)
        return several[0] if several else None

    def quantiles(self, shares: Sequence[float], now: float) -> list[float]:
        """Several of them; empty when there was none."""
        count = self.count(now)
        if not count:
            return []
        totals = list(accumulate(self._total))
        return [_TOLD[bisect_left(totals, max(1, ceil(share * count)))] for share in shares]

    def _turn(self, now: float) -> None:
        """Go on to the slice that `now` is in; what the window has left behind is forgotten."""
        if now >= self._until + (SLICES - 1) * self._step:
            for times in (*self._slices, self._total):
                times[:] = _NOTHING
            self._count = 0
            self._until = now + self._step
        while now >= self._until:
            self._until += self._step
            self._turns += 1
            self._slice = times = self._slices[self._turns % SLICES]
            for bucket, here in enumerate(times):
                if here:
                    self._total[bucket] -= here
                    self._count -= here
            times[:] = _NOTHING
