"""When a worker that has died is replaced.

Decides how long its slot stays empty: not at all, as a rule, for clients wait in the slot's socket; longer
each time while replacements die at once, for then something is wrong that no replacement mends. Invariant:
a slot is filled again whatever happens. Refuses to start anybody.
"""

from __future__ import annotations

#: Seconds after which a worker is not said to have died at once.
SETTLED = 5.0

#: Seconds that a slot is empty: after the second death at once, and at most.
FIRST, LONGEST = 0.25, 5.0


class Slot:
    """One of the places of workers, with the socket that is its own."""

    def __init__(self, number: int) -> None:
        self.number = number  # from 0
        self.restarts = 0
        self._deaths = 0  # at once, in a row
        self._began = 0.0

    def began(self, now: float) -> None:
        """A worker is being started in it."""
        self._began = now

    def died(self, now: float) -> float:
        """Its worker is gone, which nobody wished: after how many seconds there shall be another one."""
        self.restarts += 1
        if now - self._began >= SETTLED:
            self._deaths = 0
        self._deaths += 1
        if self._deaths == 1:
            return 0.0
        wait: float = FIRST * 2.0 ** min(self._deaths - 2, 16)
        return min(wait, LONGEST)
