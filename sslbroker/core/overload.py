"""Whether the broker itself is overloaded, and how many plain transactions it lets in then.

Decides by the lag of its loop, and only by lag that lasts: one that goes as fast as a mean forgets is the
tail of a stall. While there is overload, plain transactions in flight in the whole broker are bounded by a
window. Lag that lasts cuts it, once a second at most; with less than half of that lag it grows, the slower
the more there is; in between it is left alone, so it comes to rest where the loop is hardly ever idle and
lags a little. Where cuts in a row do not make the lag less, plain traffic is not its cause, and the window is
given up for a time. Invariant: the window never falls below its floor, which is at least one transaction, and
there is none any more when for `CALM` seconds it held nobody back and there was no such lag. Refuses to hold
back secure transactions, and to blame a server.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

#: Overload is lag above this share of the smallest promise, ...
SHARE = 0.25

#: ... but not less than these seconds: shorter turns are those of a loop that has much to do, and does it.
LEAST = 0.005

#: Seconds that lag must last, and between two cuts: what a cut does is seen a second later.
LASTS = 1.0

#: Lag that within a second falls below this share of itself is going; the mean of none would fall to 0.37.
GOING = 0.5

#: What one note can tell of, in seconds: not of a single long turn as of lag that lasts.
ONE_NOTE = 0.25

#: What a cut leaves.
CUT = 0.7

#: Of what was too much, the window grows by this share a second; by half of that after each time that this
#: led into lag again, as far as the least.
GROWTH, LEAST_GROWTH = 0.03, 0.0075

#: While there is less than this share of an overload's lag, growth doubles twice a second, up to that.
LITTLE, MOST_TIMES = 0.1, 32.0

#: Seconds without lag and without anybody held back, after which there is no window any more.
CALM = 5.0

#: So many cuts in a row are in vain if the lag is still this part of what it was at the first; the window is
#: then given up for so many seconds: each time twice as long, until an overload ends by itself.
VAIN, BETTER = 5, 0.9
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 600.0


def enters_at(thresholds: Iterable[float]) -> float:
    """The mean lag in seconds above which the broker is overloaded, by what its groups are promised."""
    return max(LEAST, SHARE * min(thresholds, default=0.0))


class Overload:
    """One broker's. Times are seconds of the clock of `now`."""

    def __init__(self, enter: float, floor: float) -> None:
        """`floor` is a share of what was in flight when an overload began."""
        #: The mean lag above which there is overload.
        self.enter = enter
        self._share = floor
        self._floor = 1.0
        #: Plain transactions that may be in flight.
        self.window = inf
        #: Was one held back since the last note?
        self.held = False
        self._top = 1.0  # that was too much
        self._growth = GROWTH
        self._times = 1.0  # so much faster now
        self._grew = False  # since the last cut
        self._lag = 0.0  # at the last note
        self._lasted = 0.0  # seconds of lag that was not going, since there is some, or since the last cut
        self._calm_since = inf
        self._noted = 0.0
        self._cuts = 0  # in a row
        self._first = 0.0  # the lag at the first of them
        self._pause = FIRST_PAUSE
        #: Until then nothing is cut, since that was in vain.
        self.given_up_until = -inf

    @property
    def overloaded(self) -> bool:
        return self.window != inf

    def has_room(self, plain: int) -> bool:
        """May one more plain transaction begin, while so many are in flight?"""
        if plain < self.window:
            return True
        self.held = True
        return False

    def note(self, lag: float, plain: int, now: float) -> None:
        """Be told some times a second: the mean lag, and how many plain transactions are in flight."""
        passed = now - self._noted
        self._noted = now
        before, self._lag = self._lag, lag
        held, self.held = self.held, False
        if now < self.given_up_until:
            return
        if lag > self.enter:
            self._calm_since = inf
            self._lags(before, plain, passed)
            return
        self._lasted = 0.0
        if self.window == inf:
            return
        if held and 2.0 * lag < self.enter:
            self._grow(lag, passed)
        if held or 2.0 * lag > self.enter:
            self._calm_since = inf
        elif self._calm_since == inf:
            self._calm_since = now
        elif now - self._calm_since >= CALM:
            self.window, self._pause = inf, FIRST_PAUSE

    def _lags(self, before: float, plain: int, passed: float) -> None:
        if before <= self.enter:
            if self.window == inf:
                # Not what there is in a second: by then it has piled up before the loop.
                self._top = max(1.0, float(plain))
        elif self._lag > before * GOING**passed:
            self._lasted += min(passed, ONE_NOTE)
        if self._lasted >= LASTS and plain < self.window + 1.0:  # what the last cut left has been reached
            self._lasted = 0.0
            self._cut(plain)

    def _cut(self, plain: int) -> None:
        if self.window == inf:
            self._floor = max(1.0, self._share * self._top)
            self._growth = GROWTH
            self.window = self._top
            self._cuts, self._first = 0, self._lag
        elif self._cuts >= VAIN and self._lag >= BETTER * self._first:
            self._give_up()
            return
        elif self._grew:
            self._top = max(1.0, min(self.window, plain))
            self._growth = max(LEAST_GROWTH, self._growth / 2.0)
        self._grew = False
        self._times = 1.0
        self._cuts += 1
        self.window = max(self._floor, min(self.window, plain) * CUT)

    def _give_up(self) -> None:
        self.window = inf
        self.given_up_until = self._noted + self._pause
        self._pause = min(LONGEST_PAUSE, 2.0 * self._pause)

    def _grow(self, lag: float, passed: float) -> None:
        self._grew = True
        self._cuts, self._first = 0, self.enter
        if lag > LITTLE * self.enter:
            self._times = 1.0
        else:
            self._times = min(MOST_TIMES, self._times * 4.0**passed)
        left = 1.0 - 2.0 * lag / self.enter
        self.window += self._growth * self._times * self._top * left * passed
