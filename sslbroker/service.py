"""Configuration → objects → services: the one file that knows everyone.

Decides who gets which object, and the order of starting and stopping. Invariant: everything that can be
wrong with a start is found by `prepare` and `BrokerService.bind`, before anything listens; a stop ends
when the last transaction has, or at the drain's deadline. Refuses to relay, to judge and to watch.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from twisted.application.service import Application
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from . import announce
from .config import check, load
from .core.figures import BrokerFigures, StorageFigures, WorkerFigures
from .core.storage import Storage
from .demo.configuration import configuration as demo_configuration
from .demo.servers import DemoServers
from .errors import ConfigurationError, StartError
from .extensions import Extensions, extensions
from .interfaces import (
    GroupFields,
    IBackendProtocol,
    IBalancer,
    IGroups,
    IObserver,
    IResponseClassifier,
)
from .net import descriptors, heap, ports
from .net.addresses import Addresses
from .net.admission import Admission
from .net.checks import Checks
from .net.frontend import Frontend
from .net.grouping import Grouping
from .net.lag import Lag
from .net.monitor import MonitorService
from .net.names import Names
from .net.pool import Pool
from .net.regrouping import Regrouping
from .net.signals import Signals
from .net.transports import StockTransports, Transports
from .net.transports import transports as transports_of
from .observe.accesslog import AccessLog
from .observe.admin import admin_site
from .operating import OperatedService
from .prepared import prepare
from .settings import Configuration, Listener
from .settings import Pool as PoolSettings
from .several import Several
from .sockets import install_reactor_if_free
from .workers import shares
from .workers.turn import Turn

DAY = 86_400.0  # seconds

_log = Logger("sslbroker")


class BrokerService(OperatedService):
    """The whole broker of one process: listeners, pools, monitor, observers."""

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        known: Extensions | None = None,
        *,
        transports: Transports | None = None,
        alone: bool = True,
    ) -> None:
        """Build every object; `StartError` when a certificate, a plugin or the access log cannot be used.

        `known` has the extensions that the configuration, which has been checked, names. `transports` are
        for who has connections of its own in place of what the configuration says. One that is not alone is
        a worker: its parent hears signals, and says what all workers would say.
        """
        super().__init__()
        self.configuration = configuration
        self.reactor = reactor
        self.prepared = prepare(configuration, known)
        self.contexts = self.prepared.listeners
        self.monitor = MonitorService(reactor)
        self.monitor.setServiceParent(self)
        storage = configuration.storage
        self.storage = Storage(storage, StorageFigures(storage.initial, storage.maximum))
        name = configuration.broker.name or f"sslbroker-{secrets.token_hex(4)}"
        self.transports = transports or transports_of(configuration.broker.transport, reactor)
        self.names = Names(configuration.names, reactor)
        #: How busy the event loop is; None: nobody is promised anything.
        self.lag = Lag(reactor) if configuration.groups else None
        self.pools = {pool.name: self._pool_of(pool, name) for pool in configuration.pools}
        self.checks = Checks(self.pools, reactor)
        turn = None if alone else Turn()
        log = configuration.log.access
        self.access_log = AccessLog(log, reactor, turn=turn) if log else None
        own: list[IObserver] = [self.access_log] if self.access_log else []
        observers = [*own, *self.prepared.observers]
        self.room = sys.maxsize  # for clients of all listeners
        identities = _identities()
        self.grouping = self._grouping() if configuration.groups else None
        self.frontends = [
            Frontend(
                listener,
                self.pools[listener.pool],
                observers,
                reactor,
                identities,
                self.has_room,
                self.grouping,
                self._group_fields(listener),
            )
            for listener in configuration.listeners
        ]
        if self.grouping is not None:
            self.regrouping = Regrouping(configuration.groups, self.grouping, self.frontends, reactor)
        self.figures = BrokerFigures(
            [frontend.figures for frontend in self.frontends],
            [pool.figures for pool in self.pools.values()],
            self.storage.figures,
            time.time(),
        )
        if self.lag is not None:
            self.monitor.gauges.lag(self.lag, self.figures)
            self.admission = self._admission(self.lag)
        # Whoever steals a ticket key reads the recorded sessions of its day, and no others.
        self._renewals = [LoopingCall(contexts.renew_ticket_keys) for contexts in self.contexts.values()]
        for renewal in self._renewals:
            renewal.clock = reactor
        self.addresses = Addresses(configuration)
        self._listening: list[IListeningPort] = []
        self._admin_listening: IListeningPort | None = None  # to the end: a drain can be watched
        self._alone = alone
        self._signals = Signals(reactor, stop=self._stop_now, reopen=self.reopen_logs, reload=self.reload)

    def _pool_of(self, pool: PoolSettings, broker_name: str) -> Pool:
        parts = self.prepared.pools[pool.name]
        return Pool(
            pool,
            parts.protocol,
            self.storage,
            self.monitor,
            self.reactor,
            broker_name,
            transports=self.transports,
            names=self.names,
            pins=self.prepared.pins,
            contexts=self.prepared.links[pool.name],
            balancer=parts.balancer,
            classifier=parts.classifier,
            groups=self.configuration.groups,
            lag=self.lag,
        )

    def _admission(self, lag: Lag) -> Admission:
        configuration, pools = self.configuration, self.pools.values()
        promises = [pool.promises for pool in pools if pool.promises is not None]
        floor = max(pool.pacing.floor for pool in configuration.pools)
        return Admission(lag, promises, floor, self.figures, self.reactor)

    def _grouping(self) -> Grouping:
        parts = self.prepared.groups
        groups = self.configuration.groups
        return Grouping(groups, parts.networks, parts.names, parts.plugins, self.reactor)

    def _group_fields(self, listener: Listener) -> GroupFields | None:
        """Those that it believes and those of all; none where no listener has any."""
        headers = [one.group_header.lower().encode("ascii") for one in self.configuration.listeners]
        known = frozenset(filter(None, headers))
        believed = listener.group_header.lower().encode("ascii")
        return GroupFields(believed, known) if known else None

    def has_room(self) -> bool:
        """May one more client connect, to whichever listener?"""
        return sum(len(frontend.connections) for frontend in self.frontends) < self.room

    def lend(self, bound: Mapping[str, ports.BoundPort]) -> None:
        """Listen on these, by listener, which belong to the parent."""
        self.addresses.borrow(bound)

    def servers(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """How each server stands, by pool and address, beside the figures (`Pool.describe`)."""
        return {name: pool.describe() for name, pool in self.pools.items()}

    def workers(self) -> Sequence[WorkerFigures]:
        """Nobody: it serves by itself."""
        return ()

    def reopen_logs(self) -> None:
        """After a rotation: go on in a new file of the same name."""
        if self.access_log is not None:
            self.access_log.reopen()

    def state(self) -> Mapping[str, Any]:
        """What `/state` shows beside the figures."""
        return {
            "configuration": self.configuration.source,
            "listening": self.addresses.shown() if self._listening else {},
            "draining": any(frontend.draining for frontend in self.frontends),
        }

    # --- what Twisted calls ---

    def startService(self) -> None:
        self.bind()
        super().startService()
        if self._alone:
            self.provide_files()
            for warning in self.prepared.warnings():
                _log.warn("{warning}", warning=warning)
        for renewal in self._renewals:
            renewal.start(DAY, now=False)  # those of the start are all workers'
        if self.lag is not None:
            self.lag.start()
            self.admission.start()
        for pool in self.pools.values():
            pool.start()
            pool.pace()
        if self._alone:
            self.checks.start()
        mine = self.addresses.slot(0)
        for frontend in self.frontends:
            name = frontend.settings.name
            contexts = self.contexts.get(name)
            place, bound = f"listeners.{name}", mine[name]
            self._listening.append(self._listen(place, bound, self.transports, frontend, contexts))
            if self._alone:
                announce.listening(frontend.settings, bound.address)
        if self.addresses.admin is not None:
            site = admin_site(
                lambda: self.figures,
                self.reactor,
                access_log=self.access_log,
                extra=self.state,
                servers=self.servers,
            )
            stock = StockTransports(self.reactor)
            self._admin_listening = self._listen("admin", self.addresses.admin, stock, site)
            announce.admin(self.admin_address)
        if self._alone:
            self._signals.install()

    def provide_files(self) -> None:
        """Make room for as many open files as the limits need, or for fewer clients."""
        wanted = descriptors.needed(self.configuration.listeners, self.configuration.pools)
        granted = descriptors.provide(wanted)
        if granted >= wanted:
            return
        self.room = descriptors.clients(granted, self.configuration.pools)
        _log.warn(
            "only {granted} files may be open and {wanted} are needed for limits.connections of all "
            "listeners, so at most {clients} clients are taken at once: raise the limit (ulimit -n, "
            "LimitNOFILE) or lower limits.connections",
            granted=granted,
            wanted=wanted,
            clients=self.room,
        )

    def _listen(
        self,
        place: str,
        bound: ports.BoundPort,
        transports: Transports,
        factory: Any,
        contexts: Any = None,
    ) -> IListeningPort:
        try:
            return bound.listen(transports, factory, contexts)
        except StartError as error:
            # Two that start at once can both bind, and one listens. `twistd` would log a traceback, or
            # stay up without a listener.
            self.addresses.close()
            raise SystemExit(announce.explain(StartError(f"{place}: {error}"))) from None

    def stopService(self) -> Deferred[Any]:
        """Stop listening, let transactions end, and at the drain's deadline end what is left."""
        stopping: list[Deferred[Any]] = [maybeDeferred(port.stopListening) for port in self._listening]
        self._listening = []
        for bound, stopped in zip(self.addresses.slot(0).values(), stopping, strict=False):
            stopped.addBoth(_give_back, bound)
        draining = [frontend.drain() for frontend in self.frontends]
        deadline = self.reactor.callLater(self.configuration.broker.drain_timeout, self._deadline_passed)
        ended: Deferred[Any] = DeferredList([*stopping, *draining])
        ended.addCallback(self._drained, deadline)
        return ended

    def _deadline_passed(self) -> None:
        left = sum(len(frontend.connections) for frontend in self.frontends)
        _log.warn("drain deadline passed: {left} connections are ended", left=left)
        self.shut()

    def shut(self) -> None:
        """End every client's connection now."""
        for frontend in self.frontends:
            frontend.shut()

    def _stop_now(self) -> None:
        """A second signal: whoever sent it does not want to wait."""
        _log.warn("asked twice to stop: ending what is left now")
        self.shut()

    def _drained(self, _: object, deadline: Any) -> Any:
        if deadline.active():
            deadline.cancel()
        for renewal in self._renewals:
            if renewal.running:
                renewal.stop()
        admin, self._admin_listening = self._admin_listening, None
        closed = maybeDeferred(admin.stopListening) if admin is not None else succeed(None)
        self.checks.stop()
        if self.lag is not None:
            self.lag.stop()
            self.admission.stop()
        if self.regrouping is not None:
            self.regrouping.stop()
        for pool in self.pools.values():
            pool.close()
        self.names.stop()
        self.addresses.close()
        self._signals.remove()
        if self.access_log is not None:
            self.access_log.close()
        return DeferredList([closed, maybeDeferred(super().stopService)])


def broker(
    configuration: Configuration | Path,
    reactor: Any,
    *,
    protocols: Sequence[IBackendProtocol] = (),
    balancers: Mapping[str, IBalancer] | None = None,
    classifiers: Mapping[str, IResponseClassifier] | None = None,
    observers: Sequence[IObserver] = (),
    groups: Sequence[IGroups] = (),
) -> BrokerService | Several:
    """A broker that has checked everything and taken its addresses, ready to start.

    `configuration` is objects, or the path of a TOML file.
    `protocols` can be named in it, beside those of plugins. `balancers` and `classifiers` are for the pools
    that they are given for, by name, in place of what the configuration says. `observers` hear
    of every transaction, after the access log. `groups` are asked for the group of a client, before the
    plugins that the configuration names.

    Raises `ConfigurationError` or `StartError`, before anything listens.
    """
    known = extensions(
        protocols=protocols,
        balancers=balancers,
        classifiers=classifiers,
        observers=observers,
        groups=groups,
    )
    if isinstance(configuration, Path):
        configuration = load(configuration, extensions=known.names)
    else:
        check(configuration, extensions=known.names)
    workers = shares.count(configuration)
    service: BrokerService | Several
    if workers == 1:
        service = BrokerService(configuration, reactor, known)
    else:
        mine = shares.of_worker(configuration, workers)
        service = Several(configuration, reactor, BrokerService(mine, reactor, known, alone=False), workers)
    service.bind()
    return service


def demo(reactor: Any, *, https: int, http: int, admin: int) -> tuple[BrokerService | Several, list[str]]:
    """A broker with embedded servers behind it, and the lines that tell a user what to try.

    Raises `StartError` when a port is taken.
    """
    servers = DemoServers(reactor)
    servers.listen()
    service = broker(demo_configuration(servers.addresses, https=https, http=http, admin=admin), reactor)
    servers.setServiceParent(service)
    secure, plain = service.address("https"), service.address("http")
    return service, [
        "sslbroker demo: three servers of a small shop behind one broker",
        f"  secure  https://{secure}/   (a throwaway certificate: your browser will ask)",
        f"  plain   http://{plain}/",
        f"  figures http://{service.admin_address}/",
        f"try it:           curl -k https://{secure}/products",
        f"make traffic:     {sys.executable} -m sslbroker.demo.traffic https://{secure}/ --insecure",
        *servers.hints(),
        "Ctrl-C ends it.",
    ]


def application(configuration: Configuration | Path, **given: Any) -> Any:
    """For the end of a ``.tac`` file: the `application` that ``twistd -y`` runs.

    `given` is as for `broker`. Ends the process with one message for each problem and exit code 1 when it
    cannot start.
    """
    install_reactor_if_free()
    from twisted.internet import reactor

    made = Application("sslbroker")
    try:
        broker(configuration, reactor, **given).setServiceParent(made)
    except (ConfigurationError, StartError) as error:
        raise SystemExit(announce.explain(error)) from None
    heap.settle_when_running(reactor)
    return made


def _give_back(stopped: Any, bound: ports.BoundPort) -> Any:
    bound.close()  # else the kernel still takes clients, which then wait for nothing
    return stopped


def _identities() -> Callable[[], str]:
    """Names for transactions, unique among all brokers that ever ran.

    They begin with the first one, not here: a process that is forked has names of its own.
    """

    def names() -> Iterator[str]:
        prefix = f"{secrets.token_hex(4)}{os.getpid():x}-"
        for number in count(1):
            yield f"{prefix}{number:x}"

    return names().__next__
