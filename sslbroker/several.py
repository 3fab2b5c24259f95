"""One broker of several processes: the parent, which a program and an operator talk to.

Decides what the parent does of a broker's work, and what workers do: it owns sockets, admin pages, findings
and an operator's changes; they serve. Invariant: everything that can be wrong with a start is found before
anything listens, as with one process; no listening socket is closed before the broker stops. Refuses to serve
anybody, and to know how workers come and go.

The parent and all workers are made from the same objects, which are built once: the parent's pools serve
nobody, but an operator changes them first, so a mistake is told where it was made; and they find out what
servers speak, and how they are. The workers' are forked with all that a ``.tac`` file gave them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from . import announce
from .core.figures import BrokerFigures, WorkerFigures
from .errors import StartError
from .net.addresses import Addresses
from .net.checks import Checks
from .net.names import Names
from .net.pool import Pool
from .net.ports import BoundPort
from .net.regrouping import Regrouping
from .net.signals import Signals
from .net.tls import ListenerContexts
from .net.transports import StockTransports
from .observe.accesslog import AccessLog
from .observe.admin import admin_site
from .operating import CHANGES, OperatedService
from .prepared import Prepared
from .settings import Configuration
from .workers import lent
from .workers.findings import Findings
from .workers.leases import Leases
from .workers.parent import Workers
from .workers.reports import LogCounts, ProcessCounts, Totals, parts
from .workers.template import Template
from .workers.worker import work

_log = Logger("sslbroker")


class IBroker(Protocol):
    """The broker that each worker is (`service.BrokerService`), as far as this file needs to know."""

    pools: Mapping[str, Pool]
    contexts: Mapping[str, ListenerContexts]
    prepared: Prepared
    names: Names
    access_log: AccessLog | None
    regrouping: Regrouping | None
    figures: BrokerFigures

    def provide_files(self) -> None: ...
    def lend(self, bound: Mapping[str, BoundPort]) -> None: ...
    def privilegedStartService(self) -> None: ...
    def startService(self) -> None: ...
    def stopService(self) -> Deferred[Any]: ...
    def shut(self) -> None: ...
    def reopen_logs(self) -> None: ...
    def read_certificates(self, read: Any) -> list[str]: ...
    def servers(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]: ...


class Several(OperatedService):
    """The parent of a broker with workers; used like a `BrokerService`."""

    def __init__(self, configuration: Configuration, reactor: Any, broker: IBroker, workers: int) -> None:
        """`broker` is what each worker is, by its share of the configuration; nothing of it has begun."""
        super().__init__()
        self.configuration = configuration
        self.reactor = reactor
        self.pools = broker.pools
        self.contexts = broker.contexts
        self.regrouping = broker.regrouping
        self.log_counts = LogCounts()
        self._broker = broker
        self.addresses = Addresses(configuration, workers)
        self._admin_listening: IListeningPort | None = None
        self._listening = self._draining = False
        counted = [ProcessCounts(), *parts(broker.figures), self.log_counts]
        self._findings = Findings(self.pools, broker.prepared.pins, reactor, self._pinned)
        self._checks = Checks(self.pools, reactor, partial(self.changed, "health"))
        limits = {limit.key: limit.total for limit in lent.limits(self.pools)}
        self._totals = Totals(counted)
        self._workers = Workers(
            reactor,
            workers,
            self._template,
            Leases(limits, workers),
            self._totals,
            self._findings.find,
            configuration.broker.worker_timeout,
        )
        self._signals = Signals(reactor, stop=self._stop_now, reopen=self.reopen_logs, reload=self.reload)

    def _template(self, **heard: Any) -> Template:
        calls = {
            "reload": self._reload_template,
            "regroup": self._regroup_template,
            "reopen": self._broker.reopen_logs,
            "close": self.addresses.let_go,
        }
        return Template(self.reactor, self._work, calls, **heard)

    # --- what is shown ---

    @property
    def figures(self) -> BrokerFigures:
        """The sums over all workers, as they have told them: at most a second old."""
        self._totals.add_up()
        return self._broker.figures

    def servers(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """How each server stands, by pool and address, beside the figures (`Pool.describe`)."""
        return self._broker.servers()

    def workers(self) -> Sequence[WorkerFigures]:
        """How each worker stands."""
        return self._workers.shown()

    def state(self) -> Mapping[str, Any]:
        """What `/state` shows beside the figures."""
        return {
            "configuration": self.configuration.source,
            "listening": self.addresses.shown() if self._listening else {},
            "draining": self._draining,
        }

    # --- what an operator changes, beside `OperatedService` ---

    def changed(self, name: str, *values: Any) -> None:
        self._workers.change(name, values)

    def clear_pin(self, pool: str, server: str) -> None:
        self._findings.forget(pool, server)
        super().clear_pin(pool, server)

    def reload_certificates(self) -> None:
        quiet = False
        try:
            super().reload_certificates()
        except StartError:
            quiet = True  # workers find the same problems
            raise
        finally:
            self._workers.reload(quiet=quiet)

    def regrouped(self) -> None:
        super().regrouped()
        self._workers.regroup()  # only now, for what is wrong has been told here

    def reopen_logs(self) -> None:
        """After a rotation: go on in a new file of the same name."""
        self._broker.reopen_logs()
        self._workers.reopen()

    def _pinned(self, pool: str, server: str) -> None:
        mode = self.pools[pool].links[self.pools[pool].member(server)].mode
        mode.look()
        self._workers.look(pool, server)

    # --- what Twisted calls ---

    def startService(self) -> None:
        self.bind()
        super().startService()
        self._broker.provide_files()  # each worker inherits the limit
        for warning in self._broker.prepared.warnings():
            _log.warn("{warning}", warning=warning)
        self._listen()
        self._workers.start()
        for pool in self.pools.values():
            pool.start()
        self._checks.start()
        for listener in self.configuration.listeners:
            announce.listening(listener, self.address(listener.name))
        if self.addresses.admin is not None:
            site = admin_site(
                lambda: self.figures,
                self.reactor,
                access_log=self.log_counts if self.configuration.log.access else None,
                extra=self.state,
                servers=self.servers,
                workers=self.workers,
                fresh=self._workers.report,
            )
            self._admin_listening = self.addresses.admin.listen(StockTransports(self.reactor), site)
            announce.admin(self.admin_address)
        self._signals.install()

    def _listen(self) -> None:
        """The kernel takes clients from here on; they wait until the first worker accepts them."""
        try:
            self.addresses.listen_early()
        except StartError as error:
            # Two that start at once can both bind, and one listens.
            self.addresses.close()
            raise SystemExit(announce.explain(error)) from None
        self._listening = True

    def stopService(self) -> Deferred[Any]:
        """Let all workers drain, and end those that do not."""
        self._draining = True
        listening, self._listening = self._listening, False
        self.addresses.close_listeners()
        timeout = self.configuration.broker.drain_timeout
        ended = self._workers.drain(timeout) if listening else succeed(None)
        return ended.addCallback(self._drained)

    def _stop_now(self) -> None:
        """A second signal: whoever sent it does not want to wait."""
        _log.warn("asked twice to stop: ending what is left now")
        self._workers.end()

    def _drained(self, _: object) -> Any:
        admin, self._admin_listening = self._admin_listening, None
        closed = maybeDeferred(admin.stopListening) if admin is not None else succeed(None)
        self._findings.stop()
        self._checks.stop()
        if self.regrouping is not None:
            self.regrouping.stop()
        for pool in self.pools.values():
            pool.close()
        self._broker.names.stop()
        self.addresses.close()
        self._signals.remove()
        if self._broker.access_log is not None:
            self._broker.access_log.close()
        return DeferredList([closed, maybeDeferred(super().stopService)])

    # --- what the template and the workers do, each in its own process ---

    def _work(self, slot: int, descriptor: int) -> None:
        mine = self.addresses.slot(slot)
        self.addresses.let_go(but=mine.values())
        work(self.reactor, _Serving(self._broker, mine), slot, descriptor)

    def _reload_template(self) -> None:
        self._broker.read_certificates(lambda place, contexts: None)

    def _regroup_template(self) -> None:
        if self.regrouping is not None:
            with suppress(StartError):  # it was told, or changed since: a reload will follow
                self.regrouping.now()


class _Serving:
    """The broker that a worker is (`workers.worker.IServing`)."""

    def __init__(self, broker: IBroker, bound: Mapping[str, BoundPort]) -> None:
        self.pools = broker.pools
        self._broker = broker
        self._bound = bound

    def serve(self, slot: int) -> None:
        self._broker.lend(self._bound)
        try:
            self._broker.privilegedStartService()
            self._broker.startService()
        except SystemExit as error:  # what a process would end with that is a broker alone
            raise StartError(str(error)) from None

    def drain(self) -> Deferred[Any]:
        return self._broker.stopService()

    def end(self) -> None:
        self._broker.shut()

    def counted(self) -> Sequence[Any]:
        log = self._broker.access_log
        return [*parts(self._broker.figures), *([log] if log is not None else [])]

    def change(self, name: str, values: list[Any]) -> None:
        pool, *said = values
        CHANGES[name](self.pools[pool], *said)

    def regroup(self) -> Deferred[Any]:
        regrouping = self._broker.regrouping
        return succeed(None) if regrouping is None else regrouping.start()

    def read_certificates(self) -> Sequence[str]:
        return self._broker.read_certificates(lambda place, contexts: None)

    def reopen_logs(self) -> None:
        self._broker.reopen_logs()
