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
        self._waiting: list[Deferred[bool]] = []  # those who have asked since the last end

    @property
    def needed(self) -> bool:
        """Is there anything that could have changed?"""
        return any(group.files for group in self._groups)

    def start(self) -> Deferred[bool]:
        """Fires with True when it is done; with False when one that was begun meanwhile has done it, or when
        it was stopped. Fails with a `StartError` that has every mistake."""
        if not self.needed:
            return succeed(False)
        self._halt()
        done: Deferred[bool] = Deferred()
        self._waiting.append(done)
        turns = Cooperator(terminationPredicateFactory=lambda: lambda: True, scheduler=self._soon)
        self._task = turns.cooperate(self._steps())
        self._task.whenDone().addCallbacks(self._done, self._failed)
        return done

    def now(self) -> None:
        """All at once, where nobody is served. `StartError` with every mistake."""
        for _ in self._steps():
            pass

    def stop(self) -> None:
        self._halt()
        for done in self._waited():
            done.callback(False)

    def _halt(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.stop()

    def _waited(self) -> Sequence[Deferred[bool]]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _done(self, _: object) -> None:
        self._task = None
        *others, last = self._waited()
        last.callback(True)
        for done in others:
            done.callback(False)

    def _failed(self, failure: Failure) -> None:
        if failure.check(TaskStopped) is None:
            self._task = None
            for done in self._waited():
                done.errback(failure)

    def _steps(self) -> Iterator[None]:
        self._grouping.networks = yield from group_files.read(self._groups)
        for frontend in self._frontends:
            yield from frontend.regroup()

    def _soon(self, call: Callable[[], None]) -> Any:
        return self._clock.callLater(0, call)
