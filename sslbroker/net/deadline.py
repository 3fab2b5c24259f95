"""One time limit at a time for a connection, at the price of reading a clock.

Decides nothing: it calls back when a limit has passed. Invariant: at most one delayed call stands for
each deadline, and none after `stop`. A limit that moves later leaves the delayed call where it is;
when that fires early it is set again for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadline:
    """Calls `expired` once, `seconds` after the last `set`, unless cleared."""

    __slots__ = ("_at", "_call", "_clock", "_expired", "_fires", "_now")

    def __init__(self, clock: IReactorTime, expired: Callable[[], None]) -> None:
        self._clock = clock
        self._now = clock.seconds
        self._expired = expired
        self._at = 0.0  # 0.0: no limit is set
        self._call: IDelayedCall | None = None
        self._fires = inf  # when the call will

    def set(self, seconds: float) -> None:
        """The limit is `seconds` from now; replaces an earlier one."""
        self._at = at = self._now() + seconds
        if at < self._fires:
            self._fires = at
            if self._call is None:
                self._call = self._clock.callLater(seconds, self._fired)
            else:
                self._call.reset(seconds)

    def clear(self) -> None:
        """No limit, until the next `set`."""
        self._at = 0.0

    def stop(self) -> None:
        """No limit for ever, nothing left in the reactor, and no circle of references to who was called."""
        self._at = 0.0
        self._expired = _nothing
        if self._call is not None:
            self._call.cancel()
            self._call = None
            self._fires = inf

    def _fired(self) -> None:
        self._call = None
        self._fires = inf
        if not self._at:
            return
        left = self._at - self._now()
        if left > 0:
            self._fires = self._at
            self._call = self._clock.callLater(left, self._fired)
            return
        self._at = 0.0
        self._expired()


def _nothing() -> None:
    pass
