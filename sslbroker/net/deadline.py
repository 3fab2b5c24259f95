"""One time limit at a time for a connection, at the price of reading a clock.

Decides nothing: it calls back when a limit has passed. Invariant: at most one delayed call stands for
each deadline, and none after `stop`. A limit that moves later leaves the delayed call where it is;
when that fires early it is set again for the rest.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadline:
    """Calls `expired` once, `seconds` after the last `set`, unless cleared."""

    __slots__ = ("_at", "_call", "_clock", "_expired")

    def __init__(self, clock: IReactorTime, expired: Callable[[], None]) -> None:
        self._clock = clock
        self._expired = expired
        self._at = 0.0  # 0.0: no limit is set
        self._call: IDelayedCall | None = None

    def set(self, seconds: float) -> None:
        """The limit is `seconds` from now; replaces an earlier one."""
        self._at = at = self._clock.seconds() + seconds
        call = self._call
        if call is None:
            self._call = self._clock.callLater(seconds, self._fired)
        elif call.getTime() > at:
            call.reset(seconds)

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

    def _fired(self) -> None:
        self._call = None
        if not self._at:
            return
        left = self._at - self._clock.seconds()
        if left > 0:
            self._call = self._clock.callLater(left, self._fired)
            return
        self._at = 0.0
        self._expired()


def _nothing() -> None:
    pass
