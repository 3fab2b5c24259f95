"""Twisted's epoll reactor, with less around each event; on Linux only.

Decides how an event reaches whom it is for: by one call. Twisted's own puts each into a context for the lines
that are logged meanwhile, which costs as much as a system call, and which nothing in `twisted.logger` reads.
Invariant: what a selectable raises is logged, and ends it, as with every reactor. Refuses to change anything
else.
"""

from __future__ import annotations

import sys
from errno import EINTR
from select import EPOLLIN
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.python import log


class DirectEPollReactor(EPollReactor):
    """An `EPollReactor` that calls selectables directly."""

    def doPoll(self, timeout: float | None) -> None:
        selectables: dict[int, Any] = self._selectables
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, len(selectables) or 1)
        except OSError as error:
            if error.errno == EINTR:
                return
            raise
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
                    why = selectable.doRead()
                except BaseException:
                    why = sys.exc_info()[1]
                    log.err()
                if why:
                    self._disconnectSelectable(selectable, why, True)  # type: ignore[no-untyped-call]
            except Exception:  # by who is told of its end: the others' events are still to come
                log.err()

    doIteration = doPoll


def install() -> None:
    """Make it the reactor of this process; raises `ReactorAlreadyInstalledError` when there is one."""
    installReactor(DirectEPollReactor())  # type: ignore[no-untyped-call]
