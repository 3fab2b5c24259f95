"""The files of networks, read anew while the broker serves.

Decides when what was read counts: when all of it was read without a mistake, at once for every client who
comes; then those that are connected are asked for again. Invariant: a mistake changes nothing; the work is
done in small steps, one a turn of the reactor; what is asked for last is what is read last. Refuses to know
what is in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import CooperativeTask, Cooperator, TaskStopped
from twisted.python.failure import Failure

from ..settings import Group
from . import group_files
from .frontend import Frontend
from .grouping import Grouping


class Regrouping:
    """Does it for the clients of all these listeners."""

    def __init__(
        self, groups: Sequence[Group], grouping: Grouping, frontends: Sequence[Frontend], clock: Any
    ) -> None:
        self._groups = groups
        self._grouping = grouping
        self._frontends = frontends
        self._clock = clock
        self._task: CooperativeTask[Iterator[None]] | None = None

    @property
    def needed(self) -> bool:
        """Is there anything that could have changed?"""
        return any(group.files for group in self._groups)

    def start(self) -> Deferred[None]:
        """Fires when it is done, or when another one was begun, or it was stopped; fails with a `StartError`
        that has every mistake."""
        if not self.needed:
            return succeed(None)
        self.stop()
        turns = Cooperator(terminationPredicateFactory=lambda: lambda: True, scheduler=self._soon)
        self._task = task = turns.cooperate(self._steps())
        done: Deferred[Any] = task.whenDone()
        return done.addBoth(lambda result: self._over(task, result))

    def now(self) -> None:
        """All at once, where nobody is served. `StartError` with every mistake."""
        for _ in self._steps():
            pass

    def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.stop()

    def _over(self, task: CooperativeTask[Iterator[None]], result: object) -> Any:
        if self._task is task:
            self._task = None
        stopped = isinstance(result, Failure) and result.check(TaskStopped)
        return result if isinstance(result, Failure) and not stopped else None

    def _steps(self) -> Iterator[None]:
        self._grouping.networks = yield from group_files.read(self._groups)
        for frontend in self._frontends:
            yield from frontend.regroup()

    def _soon(self, call: Callable[[], None]) -> Any:
        return self._clock.callLater(0, call)
