"""What the garbage collector looks at: what has come since its last look, and all only when that has doubled.

Decides how long a collection stops the reactor. By itself Python looks at every object of every connection
whenever a quarter more has come: 100 ms with 9,000 idle clients, and it finds nothing, for what serves a
client goes without it. So whatever has been looked at is set aside ("frozen"), at the start all modules,
later connections, and a look takes some milliseconds. Invariant: garbage is collected; in cycles of what is
set aside it waits until there is twice as much as at the last look at all, so memory stays bounded. Refuses
to touch a process that is not the broker's own: a program that has a broker in it calls this, or does not.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any

#: Young objects are looked at as Python does it, those that have outlived two such looks five times as often.
THRESHOLDS = (700, 10, 1)

#: As a rule no more than this is set aside by one look. To count takes long, to estimate does not.
ONE_LOOK = 701 * 11 * 2

#: With no more than this set aside, all are not looked at: their garbage is some 30 MB at most, and to look
#: for it takes as long as a transaction that is served in time.
FEW = 250_000

#: Of a collection that looks at all that is not set aside.
_OLDEST = 2


class Heap:
    """The objects of this process, as its collector sees them."""

    def __init__(self, collector: Any = gc) -> None:
        self._gc = collector
        self._most = 0  # objects set aside, of which all shall be looked at
        self._perhaps = 0  # as many may be set aside now
        self._whole = False  # the next look is at all

    def begin(self) -> None:
        """Set aside what is there, and from now on what is looked at."""
        self._gc.collect()
        self._gc.freeze()
        self._looked_at_all()
        self._gc.set_threshold(*THRESHOLDS)
        self._gc.callbacks.append(self.looked)

    def looked(self, phase: str, info: Mapping[str, int]) -> None:
        """Before and after each collection: what the collector calls."""
        if phase != "stop" or info["generation"] != _OLDEST:
            return
        self._gc.freeze()
        if self._whole:
            self._looked_at_all()
            return
        self._perhaps += ONE_LOOK
        if self._perhaps > self._most:
            self._perhaps = self._gc.get_freeze_count()
            if self._perhaps > self._most:
                self._gc.unfreeze()
                self._whole = True

    def _looked_at_all(self) -> None:
        self._whole = False
        self._perhaps = self._gc.get_freeze_count()
        self._most = max(FEW, 2 * self._perhaps)


def settle() -> None:
    """For a process that has all that it serves with. One that is forked from it goes on so, and what it does
    not change stays in memory that both have in common."""
    Heap().begin()


def settle_when_running(reactor: Any) -> None:
    """When all services have started."""
    reactor.callWhenRunning(settle)
