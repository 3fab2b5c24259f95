"""What the log says of a pool whose plain traffic gives way to secure transactions.

Decides when an operator is told: when plain transactions begin to be held back, when that is over, and when
it did not help. Invariant: of each of these there is no more than a line a minute for each pool; what changes
sooner is told when the minute is over, if it is still so, thus begin and end take turns. Refuses to speak
of windows that hold nobody back, and of the broker's own overload (`admission` does).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from twisted.logger import Logger

from ..core.figures import INEFFECTIVE, PoolFigures
from ..core.promises import Promises

#: Seconds between two lines of the same kind.
QUIET = 60.0

#: Servers that a line names.
NAMED = 5

BEGIN, END, NO_USE = "begin", "end", "no use"

#: All servers of a pool, as if they were one.
WHOLE = "all servers together"

_log = Logger("sslbroker.pacing")


class PacingLog:
    """That of one pool."""

    def __init__(self, figures: PoolFigures, promises: Promises, waiting: Callable[[], int]) -> None:
        """`waiting` says how many plain transactions are held back now."""
        self._figures = figures
        self._promises = promises
        self._waiting = waiting
        self._said: dict[str, float] = {}  # kind: when
        self._counted = (0, 0)  # who was held back, and who was refused, until the last look
        self._holds = False
        self._told = False  # what the log said last
        self._since = self._until = 0.0  # of what it said
        self._before = (0, 0)  # what was counted by then
        self._narrowest = inf
        self._useless: set[str] = set()  # where the log says that it does not help

    def look(self, now: float) -> None:
        """Time has passed: is there something to tell?"""
        figures = self._figures
        windows = self._windows()
        counted = figures.held_back, figures.shed
        if not windows:
            self._holds = False
        elif counted != self._counted and not self._holds:
            self._holds = True
            if not self._told:
                self._since, self._narrowest = now, inf
                self._before = self._counted
        if self._holds:
            self._until = now
            self._narrowest = min(self._narrowest, *windows.values())
        if self._holds != self._told and self._may(END if self._told else BEGIN, now):
            self._told = self._holds
            if self._told:
                self._begins(windows)
            else:
                self._ends()
        self._counted = counted
        self._look_for_use(now)

    def _windows(self) -> dict[str, int]:
        """Where plain transactions have a window, and which one."""
        found = {server.address: server.window for server in self._figures.servers if server.window}
        if self._promises.whole.window != inf:
            found[WHOLE] = int(self._promises.whole.window)
        return found

    def _may(self, kind: str, now: float) -> bool:
        if now - self._said.get(kind, -inf) < QUIET:
            return False
        self._said[kind] = now
        return True

    def _begins(self, windows: dict[str, int]) -> None:
        _log.warn(
            "pool {pool}: plain traffic is held back{why}: it begins while no more transactions are under "
            "way than {windows}; {waiting} plain ones wait",
            windows=_listed([f"{window} at {place}" for place, window in windows.items()]),
            **self._now(),
        )

    def _ends(self) -> None:
        held_back, shed = self._before
        _log.info(
            "pool {pool}: plain traffic is held back no longer, after {seconds:.1f} s: {held_back} plain "
            "transactions waited, {shed} got no place in time; the narrowest window was {narrowest}",
            pool=self._figures.name,
            seconds=self._until - self._since,
            held_back=self._figures.held_back - held_back,
            shed=self._figures.shed - shed,
            narrowest=self._narrowest,
        )

    def _look_for_use(self, now: float) -> None:
        useless = {server.address for server in self._figures.servers if server.pacing == INEFFECTIVE}
        if self._promises.whole.state(now) == INEFFECTIVE:
            useless.add(WHOLE)
        self._useless &= useless
        if useless - self._useless and self._may(NO_USE, now):
            self._useless = useless
            _log.warn(
                "pool {pool}: holding plain traffic back does not help at {places}{why}: secure transactions "
                "became no faster, so something else makes them slow, and plain traffic comes back; "
                "{waiting} plain ones wait",
                places=_listed(sorted(useless)),
                **self._now(),
            )

    def _now(self) -> dict[str, object]:
        why, breach = "", self._promises.reduced_for
        if breach is not None:
            where = f"at {breach.server}" if breach.server else "with the time that it waited for a place"
            why = (
                f" (group {breach.group} is promised {breach.threshold * 1e3:.4g} ms, and a transaction took "
                f"{breach.seconds * 1e3:.4g} ms or more {where})"
            )
        return {"pool": self._figures.name, "why": why, "waiting": self._waiting()}


def _listed(words: Sequence[str]) -> str:
    more = len(words) - NAMED
    return ", ".join([*words[:NAMED], *([f"{more} more"] if more > 0 else [])])
