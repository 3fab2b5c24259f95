"""Gauges of what was measured lately, which change while nothing happens: they are written each second.

Decides when, and tells an operator of a promise that cannot be kept. Invariant: all are at most a second or
two old; a turn of the reactor writes some of them only, so that thousands are no stall; nothing runs, and no
timer is left, where there is nothing to write or after a stop. Refuses to measure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ..core.figures import BrokerFigures, GroupFigures
from ..core.watch import Watch
from .lag import Lag

#: Seconds for all of them.
INTERVAL = 1.0

#: How many are written in one turn: about a millisecond.
TURN = 64

#: Seconds of which the worst lag is shown.
LATELY = 10.0

#: Seconds between two lines about the same group of a pool.
QUIET = 3600.0

_log = Logger("sslbroker.groups")


class Gauges:
    """Those of the watches over pools, and of the broker's own lag."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._watches: dict[str, Watch] = {}
        self._lag: tuple[Lag, BrokerFigures] | None = None
        self._round: Iterator[Callable[[float], None]] = iter(())
        self._quiet: dict[GroupFigures, float] = {}  # until when nothing is said
        self._next: IDelayedCall | None = None

    def watch(self, pool: str, watch: Watch) -> None:
        """Write the gauges of this watch from now on."""
        self._watches[pool] = watch

    def lag(self, lag: Lag, figures: BrokerFigures) -> None:
        """Write how late the event loop is."""
        self._lag = lag, figures

    def start(self) -> None:
        if self._watches:
            self._step()

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _step(self) -> None:
        now = self._clock.seconds()
        if not self._some(now):
            self._round = self._all()
            self._some(now)
        turns = -(-(1 + sum(watch.size for watch in self._watches.values())) // TURN)
        self._next = self._clock.callLater(INTERVAL / turns, self._step)

    def _some(self, now: float) -> int:
        """Write the next of this round: how many were left?"""
        written = 0
        for write in islice(self._round, TURN):
            write(now)
            written += 1
        return written

    def _all(self) -> Iterator[Callable[[float], None]]:
        yield self._show_lag
        for pool, watch in self._watches.items():
            yield from watch.parts()
            self._tell(pool, watch)

    def _show_lag(self, now: float) -> None:
        if self._lag is not None:
            lag, figures = self._lag
            figures.lag, figures.lag_worst = lag.mean(now), lag.worst(now - LATELY, now)

    def _tell(self, pool: str, watch: Watch) -> None:
        now = self._clock.seconds()
        for name, group in watch.groups.items():
            # Of many groups and pools most never meet, and a promise to nobody is no news.
            if group.too_low and group.breaches and now >= self._quiet.get(group, now):
                self._quiet[group] = now + QUIET
                _log.warn(
                    "pool {pool}: group {group} is promised {threshold:.3g} ms, but the pool takes "
                    "{idle:.3g} ms even when it is idle ({breaches} of {transactions} transactions took "
                    'longer than promised): set groups.{group}.threshold to "auto", or to more than that',
                    pool=pool,
                    group=name,
                    threshold=group.threshold * 1e3,
                    idle=group.idle * 1e3,
                    breaches=group.breaches,
                    transactions=group.transactions,
                )
