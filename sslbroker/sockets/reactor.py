"""Twisted's epoll reactor, with less around each event; on Linux only.

Decides how an event reaches whom it is for: by one call. Twisted's own puts each into a context for the lines
that are logged meanwhile, which costs as much as a system call, and which nothing in `twisted.logger` reads.
And when transports of `plain` send: together, at the end of a turn, because each send that wakes a sleeping
process costs more than the send. Then comes who has something to do that can wait for that. And which turns
were long, where somebody wants to hear it: a turn is all that is done from the end of one wait to the begin
of the next, timers too. Invariant: what a selectable raises is logged, and ends it, as with every reactor;
what was written is sent, and what waits for that is done, before the reactor waits. Refuses to change
anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from errno import EINTR
from math import inf
from select import EPOLLIN
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.internet.posixbase import _NO_FILEDESC
from twisted.python import log

#: Connections that send together: the first waits for no more than the others' events.
TOGETHER = 16

#: Seconds of a turn that is told of.
LONG_TURN = 0.001

#: A wait is of whole milliseconds, rounded up: so much later than asked for is not late.
ROUNDING = 0.001

LongTurn = Callable[[float, float], object]
"""Told when a long turn began and ended."""


class DirectEPollReactor(EPollReactor):
    """An `EPollReactor` that calls selectables directly."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        #: The transports of `plain` that have been written to in this turn, and have not sent it.
        self.turn: list[Any] = []
        #: Who has something to do at the end of this turn, when they have.
        self.later: list[Any] = []
        #: When the turn that is under way began, or should have; only while somebody hears of turns.
        self.turn_began = 0.0
        self._watchers: tuple[LongTurn, ...] = ()

    def watch_turns(self, long_turn: LongTurn) -> None:
        """Tell `long_turn` when each turn that was longer than `LONG_TURN` began and ended.

        One that began later than the wait before it was to end counts from when it should have begun: what
        had become due waited since then, because the processor was with others.
        """
        if not self._watchers:
            self.turn_began = self.seconds()
        self._watchers += (long_turn,)

    def unwatch_turns(self, long_turn: LongTurn) -> None:
        """Tell it no more; others, as of a second broker in the process, are told on."""
        self._watchers = tuple(watcher for watcher in self._watchers if watcher != long_turn)

    def doPoll(self, timeout: float | None) -> None:
        turn, later = self.turn, self.later
        if turn or later:
            self._end_turn()  # of the calls that were due
        selectables: dict[int, Any] = self._selectables
        watchers, due = self._watchers, inf
        if watchers:
            now = self.seconds()
            if now - self.turn_began > LONG_TURN:
                for long_turn in watchers:
                    long_turn(self.turn_began, now)
            if timeout is not None:
                due = now + timeout + ROUNDING
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, len(selectables) or 1)
        except OSError as error:
            if error.errno != EINTR:
                raise
            events = []
        if watchers:
            now = self.seconds()
            self.turn_began = now if now < due else due
        find = selectables.get
        for descriptor, event in events:
            selectable = find(descriptor)
            if selectable is None:
                continue  # gone, by what was called before
            try:
                if event != EPOLLIN:
                    self._doReadOrWrite(selectable, descriptor, event)  # type: ignore[no-untyped-call]
                    continue
                try:
                    why = selectable.doRead() if selectable.fileno() != -1 else _NO_FILEDESC
                except BaseException:
                    why = sys.exc_info()[1]
                    log.err()
                if why:
                    self._disconnectSelectable(selectable, why, True)  # type: ignore[no-untyped-call]
            except Exception:  # by who is told of its end: the others' events are still to come
                log.err()
            if len(turn) >= TOGETHER:
                self._end_turn()
        if turn or later:
            self._end_turn()

    def _end_turn(self) -> None:
        for ending in (self.turn, self.later):
            these, ending[:] = ending[:], ()
            for one in these:
                try:
                    one.end_turn()
                except Exception:
                    log.err()

    doIteration = doPoll


def install() -> None:
    """Make it the reactor of this process; raises `ReactorAlreadyInstalledError` when there is one."""
    installReactor(DirectEPollReactor())
