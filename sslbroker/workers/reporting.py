"""A worker's figures on their way to its parent.

Decides when which rows are told: those that have changed, all within a second, some at a time, so that a
worker with thousands of servers serves clients in between; and at once when a page is asked for, or the
worker ends. Invariant: a row that has not changed is not told. Refuses to count, and to add up.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from .reports import ProcessCounts, Row, Rows, changed

#: Seconds within which a change is told, unasked.
INTERVAL = 1.0

#: Objects that are looked at in one turn of the reactor: about a millisecond.
TURN = 64

#: Bytes of rows in one message, which may have 65535.
PIECE = 32 * 1024


class Reporting:
    """Tells rows by `tell`, in JSON."""

    def __init__(self, counted: Sequence[Any], clock: Any, tell: Callable[[bytes], None]) -> None:
        """`counted` are the objects of `reports.parts`, and others with figures, after the process's own."""
        self._cost = ProcessCounts()
        self._objects = [self._cost, *counted]
        self._clock = clock
        self._tell = tell
        self._sent: Rows = {}
        self._pause = INTERVAL / -(-len(self._objects) // TURN)
        self._walk: Iterator[tuple[int, Row] | None] = iter(())
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        """From now on all changes are told within `INTERVAL`."""
        self._step()

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def soon(self) -> Deferred[None]:
        """Tell all, a turn of the reactor for each piece; fires when the last is on its way."""
        done: Deferred[None] = Deferred()
        self._soon(self._rows(), done)
        return done

    def now(self) -> None:
        """Tell all at once, for there is no later."""
        self._say(row for row in self._rows() if row is not None)

    def _soon(self, walk: Iterator[tuple[int, Row] | None], done: Deferred[None]) -> None:
        if self._some(walk):
            self._clock.callLater(0, self._soon, walk, done)
        else:
            done.callback(None)

    def _step(self) -> None:
        if not self._some(self._walk):
            self._walk = self._rows()
            self._some(self._walk)
        self._next = self._clock.callLater(self._pause, self._step)

    def _some(self, walk: Iterator[tuple[int, Row] | None]) -> bool:
        """Look at the next `TURN` objects; False: there were none."""
        looked = list(islice(walk, TURN))
        self._say(row for row in looked if row is not None)
        return bool(looked)

    def _rows(self) -> Iterator[tuple[int, Row] | None]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._cost.cpu = usage.ru_utime + usage.ru_stime
        self._cost.memory = _resident()
        return changed(self._objects, self._sent)

    def _say(self, rows: Iterator[tuple[int, Row]]) -> None:
        pieces: list[bytes] = []
        size = 0
        for row in rows:
            pieces.append(orjson.dumps(row))
            size += len(pieces[-1])
            if size > PIECE:
                self._tell(b"[%b]" % b",".join(pieces))
                pieces, size = [], 0
        if pieces:
            self._tell(b"[%b]" % b",".join(pieces))


def _resident() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()
