"""How many transactions a server may have under way for another plain one to begin there (R17).

Decides that number, the window, by what becomes of secure transactions, since nobody knows what a server can
do. A breach tells how many others were under way when the try began: so many are too many, and the window
becomes `LESS` of them. The window is one on *all* that is under way, not on plain transactions alone: secure
ones come in bursts, and plain ones fill what these leave, so neither is a place wasted nor a queue made.

Without breaches it grows again, step by step, but slowly beyond where growth was punished before
(hysteresis); it ends when nobody was held back by it for a while. Who took as long with little under way is
not slow because of load (`loads`), and reduces nothing. Where reductions in a row do not make secure
transactions faster, plain ones were not the cause: nothing is reduced for a time, and the window returns
("ineffective"), but for what load is known to make even slower. Invariant: a plain transaction may always
begin where nothing is under way, and of those that begin at a server the share `floor` may be plain. Refuses
to know servers, groups, and who waits. Times are seconds of the clock that `now` is of.
"""

from __future__ import annotations

from math import inf

from ..settings import Pacing as PacingSettings
from .figures import INEFFECTIVE, OPEN, PACED
from .loads import Loads

#: The part that is left of what was too much.
LESS = 0.75

#: Seconds without a breach before the window grows, and between its steps.
CALM, STEP = 2.0, 0.25

#: What a step adds: one, or this part of the window.
MORE = 0.05

#: Seconds without a breach before the window grows beyond where that was punished: each time twice as long.
FIRST_HOLD, LONGEST_HOLD = 4.0, 60.0

#: Seconds after which a window that held nobody back ends.
UNUSED = 5.0

#: So many reductions in a row, or fewer to the smallest window, do not help if secure transactions still take
#: this part of their time before, and longer than promised on average.
ROW, BETTER = 5, 0.9

#: Seconds for which reductions that do not help are given up: each time twice as long.
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0

#: Transactions that the mean of these times needs, and that it remembers.
ENOUGH, REMEMBERED = 10, 20


class Pace:
    """The window of one server, or of all of a pool together."""

    __slots__ = (
        "_before",
        "_breaches",
        "_counted_from",
        "_credit",
        "_fine_at",
        "_grant",
        "_grown",
        "_held",
        "_heard_of",
        "_hold",
        "_last_breach",
        "_less",
        "_loads",
        "_mean",
        "_pause",
        "_paused_until",
        "_reduced",
        "_row",
        "_settings",
        "_tight",
        "reductions",
        "window",
    )

    def __init__(self, settings: PacingSettings, loads: Loads | None = None, less: float = LESS) -> None:
        """Without `loads` it is not known whether load is to blame. `less` is as `LESS`."""
        self._less = less
        self._settings = settings
        self._loads = loads
        #: Plain transactions begin while fewer than so many are under way.
        self.window = inf
        self.reductions = 0
        self._reduced = -inf  # when that was last done
        self._grown = -inf
        self._held = -inf  # when somebody was last held back
        self._last_breach = -inf  # of those that speak against a larger window
        self._fine_at = -inf  # when a try began whose answer spoke for a larger window
        self._breaches = 0  # lately
        self._counted_from = -inf
        self._tight = inf  # the window to which growth was punished
        self._hold = FIRST_HOLD
        #: What the floor grants plain transactions for each secure one, and has granted so far.
        self._grant = settings.floor / (1.0 - settings.floor) if settings.floor < 1.0 else inf
        self._credit = 0.0 if self._grant < inf else inf
        self._mean = 0.0  # since the last reduction: what part of the promised time secure ones take
        self._heard_of = 0  # of so many of them
        self._before = 0.0  # that of before the first reduction in this row
        self._row = 0
        self._pause = FIRST_PAUSE
        self._paused_until = -inf

    def state(self, now: float) -> str:
        """Whether plain traffic is held back here: one of `figures.PACING`."""
        if now < self._paused_until:
            return INEFFECTIVE
        return OPEN if self.window == inf else PACED

    def has_room(self, under_way: int) -> bool:
        """May another plain transaction begin, with so many transactions under way?"""
        return under_way + 1 <= self.window or self._credit >= 1.0

    def held(self, now: float) -> None:
        """A plain transaction could not begin here."""
        self._held = now

    def began(self, plain: bool, under_way: int) -> None:
        """A transaction begins, with so many others under way."""
        if self.window == inf:
            return
        if plain:
            if under_way + 1 > self.window:
                self._credit = max(0.0, self._credit - 1.0)
        else:
            self._credit = min(1.0, self._credit) + self._grant

    def kept(self, part: float, began: float, now: float) -> None:
        """A secure transaction that began then was as fast as promised: it took this part of that time."""
        self._fine_at = began
        self._heard(part, began)

    def breached(self, part: float, began: float, load: int, now: float) -> bool:
        """A secure transaction that began then, with so many others under way, is slower than promised: it
        took so many times as long.

        True: the window is smaller now. Of those that began before the last reduction nothing is learnt about
        it, so a burst of breaches reduces once.
        """
        self._heard(part, began)
        given_up = now < self._paused_until
        blamed = self._loads.blames(load, now) if self._loads is not None else None
        if not (blamed or (blamed is None and not given_up)):
            if load + 1 >= self.window:
                self._fine_at = began  # slow it is, but no more window makes it slower
            return False
        if given_up:
            return False
        window = max(1.0, min(float(int(self._less * (load + 1))), load - 1.0))
        if window <= self.window + self._step():
            self._last_breach = now
        if began < self._reduced:
            return False
        if now - self._counted_from > self._settings.window:
            self._breaches, self._counted_from = 0, now
        self._breaches += 1
        if self._breaches < self._settings.breaches or (window >= self.window and self.window > 1.0):
            return False
        return self._reduce(window, now)

    def _heard(self, part: float, began: float) -> None:
        if began >= self._reduced:
            if self._heard_of < REMEMBERED:
                self._heard_of += 1
            self._mean += (part - self._mean) / self._heard_of

    def _reduce(self, window: float, now: float) -> bool:
        self._breaches = 0
        if not self._row:
            self._before = self._mean
        elif self._not_better():
            self._give_up(now)
            return False
        self._row += 1  # also where nothing is left to reduce
        if window >= self.window:
            return False
        if self._grown > self._reduced:
            self._tight = (window + self.window) / 2.0
            self._hold = min(LONGEST_HOLD, 2.0 * self._hold)
        self.window = window
        self.reductions += 1
        self._reduced, self._mean, self._heard_of = now, 0.0, 0
        return True

    def _not_better(self) -> bool:
        """Are secure transactions no faster than before the first reduction in this row?"""
        enough = self._heard_of >= ENOUGH and (self._row >= ROW or self.window == 1.0)
        return enough and self._mean >= max(1.0, BETTER * self._before)

    def _give_up(self, now: float) -> None:
        """Plain traffic was not the cause: the window returns, as far as load does not make it worse."""
        self._row, self._tight, self._hold = 0, inf, FIRST_HOLD
        self._paused_until = now + self._pause
        self._pause = min(LONGEST_PAUSE, 2.0 * self._pause)

    def _open(self) -> None:
        self.window = self._tight = inf
        self._hold = FIRST_HOLD
        self._row = 0

    def _step(self) -> float:
        return max(1.0, MORE * self.window)

    def look(self, now: float) -> bool:
        """Let time do its work: True, there may be more room now."""
        if self.window == inf:
            return False
        calm = now - max(self._last_breach, self._reduced)
        if now - self._held > UNUSED and calm > CALM:
            self._open()
            self._pause = FIRST_PAUSE
            return True
        step = self._step()
        known = now < self._paused_until or self.window + step < self._tight
        if (
            calm < (CALM if known else self._hold)
            or now - self._grown < STEP
            or now - self._held > STEP
            or self._fine_at <= max(self._grown, self._reduced)
        ):
            return False
        self.window += step
        self._grown, self._row = now, 0
        return True
