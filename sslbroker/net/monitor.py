"""Hears how every try ended, keeps the account of each server, and leaves out those that fail.

Decides what is counted; who is left out, and for how long, is `core.health`'s decision, and here are its
timers, one for each pool, and its lines in the log; `gauges` shows what was measured lately. Invariant:
every try that began is heard once; no timer is left when the service has stopped. Refuses to choose servers,
and to find out whether one can be reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ..core.attempt import Attempt
from ..core.figures import count, count_status
from ..core.health import Health, Verdict
from ..core.members import Member
from ..outcome import Cause
from .gauges import Gauges

_OK, _OUTRUN = Cause.OK, Cause.OUTRUN

_log = Logger("sslbroker.health")


class MonitorService(Service):
    """The broker's watch over status codes and response times."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._watched: dict[Member, _Watched] = {}
        self.gauges = Gauges(clock)

    def watch(
        self, pool: str, members: Sequence[Member], health: Health, changed: Callable[[], None]
    ) -> None:
        """Tell `health` of the tries on these members; `changed` is called after each bar of its own."""
        watched = _Watched(pool, health, changed, self._clock)
        self._watched.update(dict.fromkeys(members, watched))

    def heard(self, attempt: Attempt) -> None:
        """A try has ended; its `outcome`, `status` and times are final."""
        member = attempt.member
        figures = member.figures
        word = attempt.outcome_word
        count(figures.outcomes, word)
        count_status(figures.statuses, attempt.status)
        if attempt.outcome is _OUTRUN:
            pass  # another server was faster: nothing is held against this one
        elif attempt.outcome is not _OK:
            figures.last_failure = f"{word}: {attempt.detail}" if attempt.detail else word
            figures.last_failure_at = time.time()
            self._watched[member].heard(attempt)
        elif member.suspect:
            self._watched[member].heard(attempt)
        if attempt.first_byte:
            figures.server_times.add(attempt.first_byte - attempt.sent)

    def judged(self, attempts: Sequence[Attempt]) -> None:
        """A transaction has its answer, or ends without one: these are its tries, since this was last told.

        It need not be told of a single one: nobody is blamed for its status.
        """
        if attempts:
            self._watched[attempts[0].member].judged(attempts)

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self.gauges.start()

    def stopService(self) -> Deferred[None] | None:
        self.gauges.stop()
        for watched in self._watched.values():
            watched.stop()
        return super().stopService()  # type: ignore[no-any-return,no-untyped-call]


class _Watched:
    """The health of one pool, and the timer that ends what it has decided."""

    def __init__(self, pool: str, health: Health, changed: Callable[[], None], clock: Any) -> None:
        self._pool = pool
        self._health = health
        self._changed = changed
        self._clock = clock
        self._next: IDelayedCall | None = None
        self._stopped = False

    def heard(self, attempt: Attempt) -> None:
        verdict = self._health.heard(attempt, self._clock.seconds())
        if verdict is not None:
            self._carry_out((verdict,))

    def judged(self, attempts: Sequence[Attempt]) -> None:
        verdicts = self._health.judged(attempts, self._clock.seconds())
        if verdicts:
            self._carry_out(verdicts)

    def stop(self) -> None:
        self._stopped = True
        self._wait()

    def _carry_out(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            if verdict.seconds:
                _log.warn(
                    "pool {pool}: server {server} is {bar} for {seconds:g} s: {detail}",
                    **self._told(verdict),
                )
            else:
                _log.info("pool {pool}: server {server} is no longer {bar}: {detail}", **self._told(verdict))
        self._wait()
        self._changed()

    def _told(self, verdict: Verdict) -> dict[str, Any]:
        return {"pool": self._pool, "server": verdict.member.address, **verdict._asdict()}

    def _wait(self) -> None:
        """For what is due first."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        due = self._health.due()
        if due is not None and not self._stopped:
            self._next = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._tick)

    def _tick(self) -> None:
        self._next = None
        verdicts = self._health.tick(self._clock.seconds())
        if verdicts:
            self._carry_out(verdicts)
        else:
            self._wait()  # the clock is that little early
