"""Of the plain transactions that came lately, how many could begin.

Decides what of them is remembered: each counts for less as time passes, and is forgotten after a few times
`MEMORY`. Invariant: the share is from 0 to 1, and 1 where too few came to tell. Refuses to know who is held
back, and why. Times are seconds of the clock that `now` is of.
"""

from __future__ import annotations

from math import exp

#: Seconds after which one counts for a little more than a third.
MEMORY = 5.0

#: Seconds between two looks at the time: those that come between them count as if they had come together.
STEP = 0.1

#: With less than so many of them, or when none has come for so many seconds, nothing is known.
FEW, QUIET = 0.5, 2.0 * MEMORY


class PlainShare:
    """Made for each pool; told of each plain transaction that comes, and of each that begins."""

    __slots__ = ("_begun", "_came", "_faded", "_offered")

    def __init__(self) -> None:
        self._offered = self._begun = 0.0  # each fading
        self._faded = 0.0  # when they last did
        self._came = 0.0  # when the last one did

    def arrived(self, now: float) -> None:
        """One has come."""
        if now - self._faded > STEP:
            self._fade(now)
        self._came = now
        self._offered += 1.0

    def began(self, now: float) -> None:
        """One begins."""
        if now - self._faded > STEP:
            self._fade(now)
        self._begun += 1.0

    def share(self, now: float) -> float:
        """The part of those that came which began."""
        self._fade(now)
        if self._offered < FEW or now - self._came > QUIET:
            return 1.0
        return min(1.0, self._begun / self._offered)

    def _fade(self, now: float) -> None:
        left = exp(min(0.0, self._faded - now) / MEMORY)  # a clock may be put back
        self._offered *= left
        self._begun *= left
        self._faded = now
