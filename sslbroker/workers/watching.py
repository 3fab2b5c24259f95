"""Which worker's reactor turns no more: an endless loop of a plugin, a lock that is never given.

Decides that from answers which do not come. Invariant: what counts is how often this process has looked
since it asked, not how late it is: a machine that slept, a clock that was set and a parent that was stopped
are one look. Refuses to end anybody: it says who is to be ended, and who lives all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from .messages import Alive
from .pipe import Pipe

#: How often it is looked within the time that a worker has to answer.
LOOKS = 6


class Watch:
    """Asks all that live, one question at a time."""

    def __init__(
        self,
        clock: Any,
        timeout: float,
        living: Callable[[], Sequence[Pipe]],
        hung: Callable[[Pipe], None],
        stuck: Callable[[Pipe], None],
    ) -> None:
        """`hung` is called once for a worker that has not answered for `timeout` seconds; `stuck` at each
        look from then on, while it lives all the same."""
        self._clock = clock
        self._interval = timeout / LOOKS
        self._living = living
        self._hung = hung
        self._stuck = stuck
        self._silent: dict[int, int] = {}  # looks since the question, for workers that have not answered it
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        self._next = self._clock.callLater(self._interval, self._look)

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _look(self) -> None:
        self.start()
        for worker in list(self._living()):
            if worker.child in self._silent:
                self._missed(worker)
            elif worker.open:
                self._silent[worker.child] = 0
                asked = worker.ask(Alive)
                asked.addBoth(self._heard, worker.child)  # one that is gone fails it

    def _missed(self, worker: Pipe) -> None:
        self._silent[worker.child] += 1
        if self._silent[worker.child] == LOOKS:
            self._hung(worker)
        elif self._silent[worker.child] > LOOKS:
            self._stuck(worker)

    def _heard(self, _: object, child: int) -> None:
        del self._silent[child]
