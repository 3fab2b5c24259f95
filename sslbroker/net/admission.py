"""Whether the broker itself has room for one more plain transaction, whatever its servers have.

Decides when it is asked how late the event loop is, and tells an operator of an overload: one line when it
begins and one when it is over. Invariant: no timer is left after `stop`; nobody is held back before `start`
and after `stop`. Refuses to decide what an overload is (`core.overload`), and where who is held back waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..core.figures import BrokerFigures
from ..core.overload import Overload, enters_at
from ..core.promises import Promises
from .lag import Lag

#: Seconds between two looks.
INTERVAL = 0.1

_log = Logger("sslbroker.overload")


class Admission:
    """That of one broker, for all its pools."""

    def __init__(
        self,
        lag: Lag,
        promises: Sequence[Promises],
        floor: float,
        figures: BrokerFigures,
        clock: Any,
    ) -> None:
        """`promises` are those of all pools; `floor` is the share of plain traffic that always has room."""
        self._lag = lag
        self._promises = promises
        self._figures = figures
        self._clock = clock
        self.overload = Overload(0.0, floor)
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self._since = 0.0  # of the overload that there is
        self._worst = 0.0  # its highest mean lag
        self._narrowest = 0.0  # its smallest window

    @property
    def plain(self) -> int:
        """Plain transactions under way at all servers."""
        return sum(promises.plain for promises in self._promises)

    def has_room(self) -> bool:
        """May one more plain transaction begin, as far as the broker itself is concerned?"""
        return not self.overload.overloaded or self.overload.has_room(self.plain)

    def start(self) -> None:
        for promises in self._promises:
            promises.overload = self
        self._looking.start(INTERVAL, now=False)

    def stop(self) -> None:
        if self._looking.running:
            self._looking.stop()
        for promises in self._promises:
            promises.overload = None

    def _look(self) -> None:
        now, overload = self._clock.seconds(), self.overload
        lag, plain, was = self._lag.mean(now), self.plain, overload.overloaded
        # What fits may be learnt, so a promise can change.
        overload.enter = enters_at(promises.thresholds.least for promises in self._promises)
        overload.note(lag, plain, now)
        if overload.overloaded:
            if not was:
                self._began(lag, plain, now)
            self._worst = max(self._worst, lag)
            self._narrowest = min(self._narrowest, overload.window)
        elif was:
            self._ended(now)

    def _began(self, lag: float, plain: int, now: float) -> None:
        self._figures.overloaded = 1
        self._since, self._worst, self._narrowest = now, lag, self.overload.window
        _log.warn(
            "the broker is overloaded: its event loop was busy for {lag:.1f} ms at a time in the last second "
            "(overload is above {enter:.1f} ms), so of {plain} plain transactions under way at all servers "
            "it lets in no more than {window:.0f} while there are secure ones; no server is blamed",
            lag=lag * 1e3,
            enter=self.overload.enter * 1e3,
            plain=plain,
            window=self.overload.window,
        )

    def _ended(self, now: float) -> None:
        self._figures.overloaded = 0
        pause = self.overload.given_up_until - now
        if pause > 0.0:
            _log.warn(
                "the broker is overloaded, and holding plain transactions back to {window:.0f} did not help: "
                "its event loop was busy for {lag:.1f} ms at a time at most, so for {pause:.0f} s they are "
                "let in again; others may take its processor, or secure transactions alone be too many",
                window=self._narrowest,
                lag=self._worst * 1e3,
                pause=pause,
            )
            return
        _log.info(
            "the broker's overload is over after {seconds:.1f} s: its event loop was busy for {lag:.1f} ms "
            "at a time at most, and plain transactions were held to {window:.0f} at the narrowest",
            seconds=now - self._since,
            lag=self._worst * 1e3,
            window=self._narrowest,
        )
