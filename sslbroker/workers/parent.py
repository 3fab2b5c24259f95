"""The parent's side of all workers: one in each slot, whatever happens to them.

Decides when a worker is started, what it is told first, and when it is given up. Invariant: a slot whose
worker is gone, hangs or leaves gets another one, until the broker stops; a worker is told of every change
that an operator made before it serves; when the broker stops, no worker is left. Refuses to touch what
workers serve with: sockets, pools and files belong to the broker that calls this.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.figures import WorkerFigures
from . import told
from .changes import Changes
from .leases import Key, Leases, Word
from .messages import Begin, Change, Drain, End, Look, NotStarted, Regroup, Reload, Reopen, Report
from .pipe import Pipe
from .reports import Totals
from .slots import Slot
from .template import Template
from .watching import Watch

#: Seconds that a worker may take to tell its figures before a page is made without its newest ones.
PATIENCE = 1.0

#: Seconds after the drain's deadline until a worker that has not ended is killed.
GRACE = 3.0

_log = Logger("sslbroker.workers")


class Workers:
    """All workers of a broker."""

    def __init__(
        self,
        reactor: Any,
        count: int,
        make_template: Callable[..., Template],
        leases: Leases,
        totals: Totals,
        find: Callable[[str, str], Deferred[Any]],
        timeout: float,
    ) -> None:
        """`make_template` is called with `died` and `lost` of `Template`; `find` says what a server
        speaks. One that has not answered for `timeout` seconds is replaced."""
        self._reactor = reactor
        self._slots = [Slot(number) for number in range(count)]
        self._make_template = make_template
        self._leases = leases
        self._totals = totals
        self.find = find
        self.changes = Changes()
        self._living: list[Pipe] = []
        self._waiting: dict[int, IDelayedCall] = {}  # slots that are empty for a while
        self._last: dict[int, tuple[int, bool]] = {}  # of those whose pipe has ended: pid, expected to end
        self._complained = ""
        self._stopping = False
        self._empty: list[Deferred[None]] = []
        self._deadline: IDelayedCall | None = None
        self._timeout = timeout
        self._watch = Watch(reactor, timeout, lambda: self._living, self._hung, self._stuck)
        self._template = self._new_template()

    # --- what the broker calls ---

    def start(self) -> None:
        """Fork the template, and of it a worker for each slot."""
        self._template.start()
        for slot in self._slots:
            self._fill(slot)
        self._watch.start()

    def change(self, name: str, values: Sequence[Any]) -> None:
        """Tell what an operator changed to every worker, now and later."""
        self.changes.note(name, values)
        self._tell(Change, name=name, values=json.dumps(values))

    def reload(self, *, quiet: bool) -> None:
        self._template.do("reload")
        self._tell(Reload, quiet=quiet)

    def regroup(self) -> None:
        self._template.do("regroup")
        self._tell(Regroup)

    def reopen(self) -> None:
        self._template.do("reopen")
        self._tell(Reopen)

    def look(self, pool: str, server: str) -> None:
        """Something new is pinned of this server."""
        self._tell(Look, pool=pool, server=server)

    def report(self) -> Deferred[None]:
        """Fires when all have told their figures of now."""
        told = [worker.ask(Report) for worker in self._living if worker.standing != "starting"]
        all_told: Deferred[Any] = DeferredList(told, consumeErrors=True)
        all_told.addTimeout(PATIENCE, self._reactor, onTimeoutCancel=lambda *_: None)
        return all_told.addCallback(lambda _: None)

    def shown(self) -> list[WorkerFigures]:
        """How each worker stands, by slot, those that leave after the others; a slot without one too."""
        living = sorted(self._living, key=lambda worker: (worker.standing == "leaving", worker.slot))
        empty = [slot for slot in self._slots if not any(one.slot == slot.number for one in living)]
        return [self._show(one.slot, one) for one in living] + [self._show(slot.number) for slot in empty]

    def drain(self, timeout: float) -> Deferred[None]:
        """Let all end; what has not ended after `timeout` and a little is killed. Fires when all are gone."""
        self._stopping = True
        self._watch.stop()  # from here on there is a deadline
        for wait in self._waiting.values():
            wait.cancel()
        self._waiting.clear()
        self._template.do("close")
        self._tell(Drain)
        self._deadline = self._reactor.callLater(timeout + GRACE, self._kill)
        gone: Deferred[None] = Deferred()
        self._empty.append(gone)
        if not self._living:
            self._all_gone()
        return gone.addCallback(lambda _: self._template.finish())

    def end(self) -> None:
        """The drain takes too long for somebody."""
        self._tell(End)

    # --- what pipes tell ---

    def connected(self, worker: Pipe) -> None:
        for name, values in self.changes.all():
            worker.tell(Change, name=name, values=json.dumps(values))
        self._say(self._leases.joined(worker.child))
        if self._stopping:
            worker.tell(Drain)
            return
        begun = worker.ask(Begin)
        begun.addCallbacks(self._begun, self._not_begun, (worker,), {}, (worker,))

    def needs(self, worker: Pipe, key: Key) -> None:
        self._say(self._leases.need(worker.child, key))

    def gave_back(self, worker: Pipe, key: Key, places: int, *, asked: bool) -> None:
        self._say(self._leases.gave_back(worker.child, key, places, asked=asked))

    def leaves(self, worker: Pipe) -> None:
        """It was told to end by somebody else than the broker: its slot is filled at once."""
        worker.standing = "leaving"
        if not self._stopping:
            _log.info(
                "worker {number} (pid {pid}) leaves, as it was told", number=worker.slot + 1, pid=worker.pid
            )
            self._replace(worker.slot)

    def said(self, worker: Pipe, level: str, namespace: str, text: str) -> None:
        told.repeat(worker.slot + 1, level, namespace, text)

    def gone(self, worker: Pipe) -> None:
        """Its pipe has ended, as nothing but its end does."""
        self._living.remove(worker)
        self._totals.end(worker.account)
        self._last[worker.child] = (worker.pid, self._expected(worker))
        self._say(self._leases.left(worker.child))
        if self._stopping:
            if not self._living:
                self._all_gone()
        elif worker.standing != "leaving":
            self._replace(worker.slot)

    # --- starting ---

    def _new_template(self) -> Template:
        return self._make_template(died=self._died, lost=self._template_lost)

    def _fill(self, slot: Slot) -> None:
        self._waiting.pop(slot.number, None)
        slot.began(self._reactor.seconds())
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:  # too many open files
            _log.error(
                "worker {number} cannot be forked: {error}", number=slot.number + 1, error=error.strerror
            )
            self._replace(slot.number)
            return
        child = self._template.fork(slot.number, theirs.fileno())
        theirs.close()
        ours.setblocking(False)
        worker = Pipe(self, slot.number, child, self._totals.begin())
        self._living.append(worker)
        factory = Factory()
        factory.noisy = False
        factory.protocol = lambda: worker
        self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, factory)
        ours.close()

    def _replace(self, number: int) -> None:
        slot = self._slots[number]
        wait = slot.died(self._reactor.seconds())
        if wait:
            _log.warn("worker {number} is started again in {wait:.2f} s", number=number + 1, wait=wait)
        self._waiting[number] = self._reactor.callLater(wait, self._fill, slot)

    def _begun(self, answer: Any, worker: Pipe) -> None:
        if worker.standing == "starting":
            worker.standing = "serving"
        worker.pid = answer["pid"]
        worker.since = time.time()
        _log.info("worker {number} serves (pid {pid})", number=worker.slot + 1, pid=worker.pid)

    def _not_begun(self, failure: Failure, worker: Pipe) -> None:
        if failure.check(NotStarted) is None:
            return  # it died: that is told by its status
        reason = str(failure.value)
        if reason != self._complained:
            self._complained = reason
            _log.error("worker {number} cannot serve: {reason}", number=worker.slot + 1, reason=reason)
        self._template.kill(worker.child)

    # --- ending ---

    def _died(self, child: int, status: int) -> None:
        pid, expected = self._last.pop(child, (0, True))
        worker = next((one for one in self._living if one.child == child), None)
        if worker is not None:  # its pipe tells of its end in a moment
            pid, expected = worker.pid, self._expected(worker)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        elif code or not expected:
            how = f"ended with status {code}"
        else:
            return
        _log.error("a worker (pid {pid}) {how}", pid=pid or "unknown", how=how)

    def _hung(self, worker: Pipe) -> None:
        _log.error(
            "worker {number} (pid {pid}) hangs: it has not answered for {timeout:g} s, and is ended",
            number=worker.slot + 1,
            pid=worker.pid or "unknown",
            timeout=self._timeout,
        )
        self._template.kill(worker.child, signal.SIGABRT)

    def _stuck(self, worker: Pipe) -> None:
        self._template.kill(worker.child)

    def _expected(self, worker: Pipe) -> bool:
        return self._stopping or worker.standing == "leaving"

    def _template_lost(self) -> None:
        if self._stopping:
            return
        _log.error("the process that workers are forked from is gone: another one takes its place")
        self._template = self._new_template()
        self._template.start()
        for worker in [worker for worker in self._living if worker.standing == "starting"]:
            worker.cut()  # it may never have been forked

    def _kill(self) -> None:
        self._deadline = None
        for worker in self._living:
            _log.error("worker {number} does not end, and is killed", number=worker.slot + 1)
            self._template.kill(worker.child)

    def _all_gone(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        empty, self._empty = self._empty, []
        for waiting in empty:
            waiting.callback(None)

    # --- telling ---

    def _tell(self, command: Any, **values: Any) -> None:
        for worker in self._living:
            worker.tell(command, **values)

    def _say(self, words: Sequence[Word]) -> None:
        living = {worker.child: worker for worker in self._living}
        for word in words:
            if word.worker in living:
                living[word.worker].lend(word)

    def _show(self, number: int, worker: Pipe | None = None) -> WorkerFigures:
        shown = WorkerFigures(number + 1)
        shown.restarts = self._slots[number].restarts
        if worker is not None:
            shown.pid, shown.state, shown.since = worker.pid, worker.standing, worker.since
            self._totals.show(worker.account, shown)
        return shown
