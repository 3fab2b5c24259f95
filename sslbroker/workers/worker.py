"""A worker process: a broker on the socket of its slot, led by the parent.

Decides when it serves and when it ends: after the parent's `Begin`, until `Drain`, its own SIGTERM, or the
end of its pipe, which is the death of the parent; then it drains as any broker does. Invariant: it never
outlives its last transaction, nor the drain's deadline, whatever has become of the parent. Refuses to be
reached by anybody but the parent, and to know what serving is: `IServing` does it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import StartError
from ..net.pins import Finding
from ..net.probing import Found
from . import told
from .fresh import name_process, renew
from .lent import Lent
from .messages import (
    LONGEST_TEXT,
    Alive,
    Allow,
    Begin,
    Change,
    Drain,
    End,
    Figures,
    Find,
    GiveBack,
    Leave,
    Look,
    Need,
    NotStarted,
    PipeEnd,
    Recall,
    Regroup,
    Reload,
    Reopen,
    Report,
    Said,
)
from .reporting import Reporting

#: Seconds that the parent may take to read what a worker says last.
LAST = 5.0

_log = Logger("sslbroker.workers")


class IServing(Protocol):
    """What a worker does: the broker, as far as this file needs to know."""

    pools: Mapping[str, Any]

    def serve(self, slot: int) -> None:
        """Listen; `StartError` when that cannot be."""

    def drain(self) -> Deferred[Any]:
        """Let transactions end until the deadline; fires when all have."""

    def end(self) -> None:
        """End what is left now: the drain is over then."""

    def counted(self) -> Sequence[Any]:
        """The objects with the figures (`reports.parts`, and what else is counted)."""

    def change(self, name: str, values: list[Any]) -> None:
        """Carry out an operator's change."""

    def read_certificates(self) -> Sequence[str]:
        """Anew; the problems."""

    def regroup(self) -> Deferred[Any]:
        """Read the files of groups anew; fails with the problems."""

    def reopen_logs(self) -> None: ...


class Worker(PipeEnd):
    """The worker's end of the pipe, and its life."""

    def __init__(self, reactor: Any, slot: int, serving: IServing, stop: Callable[[], None]) -> None:
        """`stop` ends the process; it is called once."""
        super().__init__()
        self._reactor = reactor
        self._slot = slot
        self._serving = serving
        self._stop = stop
        self._reporting = Reporting(serving.counted(), reactor, lambda rows: self.tell(Figures, rows=rows))
        self._began = self._leaving = self._drains = False
        self._last: IDelayedCall | None = None  # the end of waiting for the parent to read
        self._lent = Lent(serving.pools, reactor, self._need, self._give_back)
        for name, pool in serving.pools.items():
            for links in pool.links.values():
                links.mode.probe = self._asking(name, links.member.address)

    # --- what the parent says ---

    @Begin.responder
    def begin(self) -> dict[str, Any]:
        try:
            self._serving.serve(self._slot)
        except StartError as error:
            raise NotStarted(str(error)[:LONGEST_TEXT]) from None
        except Exception as error:
            _log.failure("A worker cannot start")
            raise NotStarted(f"{type(error).__name__}: {error}"[:LONGEST_TEXT]) from None
        self._began = True
        self._reporting.start()
        return {"pid": os.getpid()}

    @Change.responder
    def change(self, name: str, values: str) -> dict[str, Any]:
        try:
            self._serving.change(name, json.loads(values))
        except Exception:  # the parent could: this worker is not what the others are, but it serves
            _log.failure("A change of {name} cannot be carried out: {values}", name=name, values=values)
        return {}

    @Reload.responder
    def reload(self, quiet: bool) -> dict[str, Any]:
        problems = self._serving.read_certificates()
        for line in () if quiet else problems:
            _log.error("kept as it was: {line}", line=line)
        return {}

    @Regroup.responder
    def regroup(self) -> dict[str, Any]:
        self._serving.regroup().addErrback(_not_regrouped)
        return {}

    @Reopen.responder
    def reopen(self) -> dict[str, Any]:
        self._serving.reopen_logs()
        return {}

    @Alive.responder
    def alive(self) -> dict[str, Any]:
        return {}

    @Report.responder
    def asked_to_report(self) -> Deferred[Any]:
        return self._reporting.soon().addCallback(lambda _: {})

    @Allow.responder
    def allow(self, pool: str, server: str, kind: str, places: int) -> dict[str, Any]:
        self._lent.granted((pool, server, kind), places)
        return {}

    @Recall.responder
    def recall(self, pool: str, server: str, kind: str, most: int) -> dict[str, Any]:
        return {"returned": self._lent.recalled((pool, server, kind), most)}

    @Look.responder
    def look(self, pool: str, server: str) -> dict[str, Any]:
        found = self._serving.pools[pool]
        found.links[found.member(server)].mode.look()
        return {}

    @Drain.responder
    def asked_to_drain(self) -> dict[str, Any]:
        self.drain()
        return {}

    @End.responder
    def end(self) -> dict[str, Any]:
        self._serving.end()
        return {}

    # --- what the parent is told ---

    def say(self, level: str, namespace: str, text: str) -> None:
        """A line for the log."""
        self.tell(Said, level=level, namespace=namespace, text=text)

    def _need(self, key: tuple[str, str, str]) -> None:
        pool, server, kind = key
        self.tell(Need, pool=pool, server=server, kind=kind)

    def _give_back(self, key: tuple[str, str, str], places: int) -> None:
        pool, server, kind = key
        self.tell(GiveBack, pool=pool, server=server, kind=kind, places=places)

    def _asking(self, pool: str, server: str) -> Callable[[], Deferred[Found]]:
        """In place of a probe of its own: one process probes, and all go by what it found."""

        def ask() -> Deferred[Found]:
            if not self.open:
                return succeed(Found(Finding.UNKNOWN, "the process that finds out is gone"))
            asked = self.ask(Find, pool=pool, server=server)
            return asked.addCallback(_found)

        return ask

    # --- how it ends ---

    def leave(self) -> None:
        """Somebody wants this one to end, and not the broker."""
        if not self._leaving:
            self.tell(Leave)
            self.drain()
        else:
            self._serving.end()

    def drain(self) -> None:
        """End with the last transaction."""
        if not self._leaving:
            self._leaving = self._drains = True
            drained = self._serving.drain() if self._began else succeed(None)
            drained.addErrback(lambda failure: _log.failure("A worker ends by a mistake", failure))
            drained.addCallback(self._drained)

    def _drained(self, _: object) -> None:
        self._drains = False
        self._reporting.stop()
        self._reporting.now()
        if self.open:
            transport: Any = self.transport
            # When all is written; but a parent that reads nothing holds nobody up.
            self._last = self._reactor.callLater(LAST, transport.abortConnection)
            transport.loseConnection()
        else:
            self._stop()

    # --- what Twisted calls ---

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if self._last is not None and self._last.active():
            self._last.cancel()
        if self._leaving:
            if not self._drains:  # else `_drained` follows
                self._stop()
        else:
            self.drain()


def work(reactor: Any, serving: IServing, slot: int, descriptor: int) -> None:
    """The life of a worker process, from its fork to its end."""
    renew(reactor)
    faulthandler.enable(2)  # where it was when it hung, or crashed, for who reads standard error
    worker = Worker(reactor, slot, serving, reactor.stop)
    told.tell_all(worker.say)
    name_process(f"worker{slot + 1}")
    pipe = Factory()
    pipe.noisy = False
    pipe.protocol = lambda: worker
    reactor.callWhenRunning(reactor.adoptStreamConnection, descriptor, socket.AF_UNIX, pipe)
    reactor.callWhenRunning(os.close, descriptor)
    # The reactor sets its own as it starts: that for children who end, which an observer may need, stays.
    reactor.callWhenRunning(
        signal.signal, signal.SIGTERM, lambda number, frame: reactor.callFromThread(worker.leave)
    )
    reactor.run()


def _not_regrouped(failure: Failure) -> None:
    """The parent could read them: they have changed since."""
    failure.trap(StartError)
    for line in str(failure.value).splitlines():
        _log.error("kept as it was: {line}", line=line)


def _found(answer: Mapping[str, Any]) -> Found:
    return Found(Finding(answer["finding"]), answer["detail"])
